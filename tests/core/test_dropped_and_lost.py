"""What was dropped meets what was lost: disks, links and clocks that nobody reckoned with."""

from copy import deepcopy

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread
from core.test_copying import KEPT_US, bank_of, begin_copy, check_same, deposit, grow_old, lose_disk, old_bank

from bankbook.core.commands import Capture, ReadBalance, ReadStatement, Release, Reserve, Withdraw
from bankbook.core.messages import Acknowledge, AskCopy, CopyPart, Received
from bankbook.core.outcome import Outcome
from bankbook.core.ports import ReservationState
from bankbook.core.types import BranchId, Key, Money
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import copying

TEN = Money(10)


def dropped(bank: BankInOneThread) -> list[VersionVector]:
    return [bank.stores[branch].dropped() for branch in bank.branches]


def test_a_branch_that_was_cut_off_for_longer_than_anything_is_kept_lacks_nothing() -> None:
    """Both sides decide meanwhile, and what one had set aside ended while nobody heard of it."""
    bank = bank_of()
    for other in (1, 2):
        bank.cut_link(3, other)
    reserved = bank.do(3, Reserve(ANNA, TEN, lifetime_ms=2 * KEPT_US // 1000))
    assert reserved.reservation is not None
    for round_ in range(6):
        grow_old(bank)
        for branch in bank.branches:
            deposit(bank, branch, key=f"{branch}/{round_}")
    assert dropped(bank) == [NOTHING] * 3, "each side has what the other one lacks"
    for other in (1, 2):
        bank.mend_link(3, other)
    bank.pass_time(20 * SECOND)
    record = bank.stores[1].reservation(reserved.reservation)
    assert record is not None
    assert record.state is ReservationState.EXPIRED
    check_same(bank)
    for _ in range(3):
        grow_old(bank)
    assert all(dropped(bank))
    check_same(bank)
    assert {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches} == {100 + 18 * 5}


def test_lines_that_came_from_the_cut_off_side_too_late_are_in_every_balance_brought_forward() -> None:
    bank = bank_of()
    for other in (1, 2):
        bank.cut_link(3, other)
    deposit(bank, 3)
    bank.pass_time(2 * SECOND)
    for other in (1, 2):
        bank.mend_link(3, other)
    bank.pass_time(10 * SECOND)
    grow_old(bank)
    grow_old(bank)
    deposit(bank)
    bank.deliver_all()
    for branch in bank.branches:
        page = bank.do(branch, ReadStatement(ANNA)).statement
        assert page is not None
        assert (page.opening, [line.balance for line in page.lines]) == (105, [110])


def test_a_giver_that_loses_its_own_disk_amid_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank()
    part = begin_copy(bank)
    lose_disk(bank, part.sender)
    bank.pass_time(SECOND)
    bank.let_go()
    bank.pass_time(120 * SECOND)
    assert all(replica.has_joined for replica in bank.replicas.values())
    check_same(bank)
    assert bank.do(3, ReadBalance(ANNA)).balance == 115


def test_where_one_new_store_has_its_copy_and_another_a_part_nobody_drops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank(4)
    bank.hold_back(None, 4, CopyPart)
    lose_disk(bank, 3)
    lose_disk(bank, 4)
    bank.pass_time(60 * SECOND)
    assert [bank.replicas[branch].has_joined for branch in bank.branches] == [True, True, True, False]
    before = dropped(bank)
    for _ in range(3):
        grow_old(bank)
    assert dropped(bank) == before
    bank.let_go()
    bank.pass_time(60 * SECOND)
    check_same(bank)
    for _ in range(3):
        grow_old(bank)
    assert all(now != then for now, then in zip(dropped(bank), before, strict=True))


def test_what_a_former_life_had_acknowledged_does_not_count_for_the_present_one() -> None:
    """Its last acknowledgement comes late, when the new store has asked."""
    bank = bank_of()
    deposit(bank)
    bank.deliver_all()
    former = bank.stores[3].identity.origin
    told = Acknowledge(former, bank.stores[3].applied())
    bank.hold_back(None, 3)
    lose_disk(bank, 3)
    bank.deliver_all()
    bank.step(1, Received(BranchId(3), told))
    grow_old(bank)
    grow_old(bank)
    assert dropped(bank)[:2] == [NOTHING, NOTHING]
    bank.let_go()
    bank.pass_time(30 * SECOND)
    check_same(bank)


def test_an_old_disk_comes_back_when_what_it_lacks_was_dropped() -> None:
    bank = old_bank()
    old = bank.stores[3]
    lose_disk(bank, 3)
    bank.pass_time(10 * SECOND)
    for _ in range(3):
        grow_old(bank)
    assert not old.applied().dominates(bank.stores[1].dropped())
    new = bank.stores[3]
    bank.crash(3)
    bank.stores[3] = old
    bank.restart(3)
    bank.pass_time(10 * SECOND)
    assert bank.do(3, Withdraw(ANNA, TEN)).outcome is Outcome.SHUTTING_DOWN
    bank.crash(3)
    bank.stores[3] = new
    bank.restart(3)
    bank.pass_time(10 * SECOND)
    check_same(bank)


def test_a_disk_that_was_set_back_does_not_serve_what_it_can_never_catch_up_with() -> None:
    """A backup of the present life: nobody can have what it lacks, so it would be behind for ever."""
    bank = old_bank()
    backup = deepcopy(bank.stores[3])
    deposit(bank)
    deposit(bank, 2)
    bank.deliver_all()
    for _ in range(3):
        grow_old(bank)
    assert not backup.applied().dominates(bank.stores[1].dropped())
    bank.crash(3)
    bank.stores[3] = backup
    bank.restart(3)
    bank.pass_time(10 * SECOND)
    refused = bank.do(3, ReadBalance(ANNA))
    assert refused.outcome is Outcome.SHUTTING_DOWN
    assert "with an empty folder" in refused.detail
    bank.crash(3)
    bank.create_store(3)
    bank.restart(3)
    bank.pass_time(30 * SECOND)
    check_same(bank)


def test_what_is_set_aside_for_longer_than_entries_are_kept_ends_as_it_should() -> None:
    bank = bank_of()
    names = []
    for _ in range(3):
        reply = bank.do(1, Reserve(ANNA, TEN, lifetime_ms=4 * KEPT_US // 1000))
        assert reply.reservation is not None
        names.append(reply.reservation)
    bank.deliver_all()
    grow_old(bank)
    assert bank.stores[1].dropped()[bank.stores[1].identity.origin] >= 3
    asked = bank.ask(2, Capture(names[0]), key="2/capture")
    bank.pass_time(SECOND)
    assert bank.reply(asked).outcome is Outcome.OK
    assert bank.do(1, Release(names[1])).outcome is Outcome.OK
    for branch in (1, 2):
        again = bank.ask(branch, Capture(names[0]), key="2/capture")
        bank.pass_time(SECOND)
        assert (bank.reply(again).entry, bank.reply(again).is_replayed) == (bank.reply(asked).entry, True)
    grow_old(bank)
    grow_old(bank)
    states = [bank.stores[3].reservation(name) for name in names]
    assert [each and each.state for each in states] == [
        ReservationState.CAPTURED,
        ReservationState.RELEASED,
        ReservationState.EXPIRED,
    ]
    late = bank.ask(2, Capture(names[0]), key="2/capture")
    bank.pass_time(SECOND)
    assert bank.reply(late).outcome is not Outcome.OK, "its key is forgotten, and it took effect once"
    check_same(bank)
    assert bank.do(2, ReadBalance(ANNA)).balance == 90
    assert bank.do(2, ReadBalance(BERT)).balance == bank.do(3, ReadBalance(BERT)).balance


def test_a_question_for_a_part_that_comes_when_its_entries_were_dropped_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The new store has its copy from another branch, and this one has dropped since."""
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank()
    deposit(bank)
    bank.deliver_all()
    bank.crash(3)
    bank.create_store(3)
    bank.now_us += 2 * KEPT_US
    bank.pass_time(2 * SECOND)
    before = dropped(bank)[0]
    bank.hold_back(1, 3, CopyPart)
    bank.restart(3)
    bank.pass_time(2 * SECOND)
    part = bank.letters(kind=CopyPart)[0].message
    assert isinstance(part, CopyPart)
    bank.pass_time(24 * SECOND)
    assert bank.replicas[3].has_joined, "with a copy of branch 2"
    for branch in (1, 2, 1):
        deposit(bank, branch)
        bank.deliver_all()
    assert dropped(bank)[0] != before
    for number in range(1, 6):
        bank.step(1, Received(BranchId(3), AskCopy(part.copy, number)))
    assert bank.letters(1, 3, CopyPart)[-1].message == CopyPart(part.copy, 1, None)
    bank.let_go()
    check_same(bank)


def test_who_has_forgotten_a_key_asks_its_decider_no_faster_than_heartbeats() -> None:
    """Branch 1, whose clock is a minute ahead, has forgotten the key; branch 2 names the entry every time."""
    bank = bank_of()
    reserved = bank.do(2, Reserve(ANNA, TEN))
    assert reserved.reservation is not None
    bank.deliver_all()
    first = bank.ask(1, Capture(reserved.reservation), key="1/capture")
    bank.deliver_all()
    assert bank.reply(first).outcome is Outcome.OK
    bank.pass_time(320 * SECOND)
    deposit(bank, 1, BERT)
    bank.deliver_all()
    assert bank.stores[1].key(Key("1/capture")) is None
    assert bank.stores[2].key(Key("1/capture")) is not None
    again = bank.ask(1, Capture(reserved.reservation), key="1/capture", within_us=8 * SECOND)
    for _ in range(50):
        for letter in list(bank.under_way):
            bank.deliver(letter)
    assert not bank.under_way, "as fast as the network goes"
    bank.pass_time(20 * SECOND)
    assert bank.reply(again).outcome is Outcome.OUTCOME_UNKNOWN
    check_same(bank)
    assert bank.do(1, ReadBalance(ANNA)).balance == 90
