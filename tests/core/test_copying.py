"""A new store is given a copy where logs do not begin at 1: whole, of one moment, or none at all."""

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread, Letter

from bankbook.core.commands import Capture, Deposit, ReadBalance, ReadStatement, Reply, Reserve, Withdraw
from bankbook.core.messages import AskCopy, AskHead, CopyPart, Entries, Subscribe
from bankbook.core.outcome import Outcome
from bankbook.core.ports import ReservationState
from bankbook.core.replica import Settings
from bankbook.core.types import AccountId, Money
from bankbook.core.vector import NOTHING
from bankbook.store import copying
from bankbook.store.copying import VoidCopy

KEPT_US = 600 * SECOND
SETTINGS = Settings(log_retention_us=KEPT_US, key_retention_us=300 * SECOND)
FIVE = Money(5)


def bank_of(count: int = 3) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=100, settings=SETTINGS)
    bank.deliver_all()
    return bank


def deposit(bank: BankInOneThread, branch: int = 1, account: AccountId = ANNA, **options: object) -> Reply:
    reply = bank.do(branch, Deposit(account, FIVE), **options)  # type: ignore[arg-type]
    assert reply.outcome is Outcome.OK
    return reply


def grow_old(bank: BankInOneThread) -> None:
    """Let what is there grow old, and each branch write something: so what was there is dropped."""
    bank.pass_time(2 * SECOND)
    bank.now_us += 2 * KEPT_US  # in one leap, as heartbeats take a while
    bank.pass_time(2 * SECOND)
    for branch in bank.branches:
        if branch in bank.replicas and bank.replicas[branch].has_joined:
            deposit(bank, branch, BERT)
    bank.deliver_all()


def old_bank(count: int = 3) -> BankInOneThread:
    """Return a bank that has dropped something everywhere: ANNA has 115, BERT 100 and 5 for each branch."""
    bank = bank_of(count)
    for _ in range(3):
        deposit(bank)
    grow_old(bank)
    assert all(store.dropped() for store in bank.stores.values())
    return bank


def lose_disk(bank: BankInOneThread, branch: int) -> None:
    bank.crash(branch)
    bank.create_store(branch)
    bank.restart(branch)


def begin_copy(bank: BankInOneThread) -> Letter:
    """Have branch 3 lose its disk and take the first part of a copy, no further; return that part."""
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 3)
    bank.pass_time(SECOND)
    (part,) = bank.letters(kind=CopyPart)
    bank.deliver(part)
    return part


def check_same(bank: BankInOneThread) -> None:
    """Check that all branches have the same, and tell the same."""
    bank.pass_time(20 * SECOND)
    first = bank.stores[1]
    for store in bank.stores.values():
        assert store.applied() == first.applied()
        assert store._rows == first._rows
        assert store._reservations == first._reservations
        assert store.ended() == first.ended()
    for account in (ANNA, BERT):
        assert len({bank.do(branch, ReadBalance(account)).balance for branch in bank.branches}) == 1


def test_a_lost_disk_comes_back_with_what_no_log_has_any_more() -> None:
    bank = old_bank()
    lose_disk(bank, 3)
    bank.pass_time(10 * SECOND)
    assert bank.replicas[3].has_joined
    assert bank.do(3, ReadBalance(ANNA)).balance == 115
    request = bank.ask(3, Withdraw(ANNA, Money(115)))
    bank.pass_time(SECOND)
    assert bank.reply(request).outcome is Outcome.OK
    check_same(bank)


def test_the_logs_that_are_left_come_with_the_copy_and_are_passed_on() -> None:
    bank = old_bank()
    lose_disk(bank, 3)
    bank.pass_time(10 * SECOND)
    own = bank.stores[1].identity.origin
    kept = bank.stores[3].entries(own, bank.stores[3].dropped()[own], 99)
    assert kept == bank.stores[1].entries(own, bank.stores[3].dropped()[own], 99)
    assert kept


def test_every_right_is_spent_once_whoever_lost_its_disk() -> None:
    bank = old_bank()
    lose_disk(bank, 1)
    bank.pass_time(10 * SECOND)
    taken = 0
    for branch in (1, 2, 3):
        request = bank.ask(branch, Withdraw(ANNA, Money(60)))
        bank.pass_time(15 * SECOND)
        taken += 60 * (bank.reply(request).outcome is Outcome.OK)
    assert taken == 60
    check_same(bank)


def test_a_key_of_an_entry_that_is_kept_is_known_to_the_new_store() -> None:
    bank = old_bank()
    told = deposit(bank, 1, key="1/order-17")
    bank.deliver_all()
    lose_disk(bank, 1)
    bank.pass_time(10 * SECOND)
    again = deposit(bank, 1, key="1/order-17")
    assert (again.entry, again.is_replayed) == (told.entry, True)


def test_a_reservation_of_the_lost_store_is_its_successors() -> None:
    bank = bank_of()
    reserved = bank.do(1, Reserve(ANNA, Money(7)))
    assert reserved.reservation is not None
    bank.deliver_all()
    grow_old(bank)
    assert bank.stores[2].dropped()[bank.stores[1].identity.origin] == 1
    lose_disk(bank, 1)
    bank.pass_time(10 * SECOND)
    assert bank.do(1, Capture(reserved.reservation)).outcome is Outcome.OK
    check_same(bank)


def test_a_store_that_is_lost_twice_ends_all_its_logs() -> None:
    bank = old_bank()
    for _ in range(2):
        lose_disk(bank, 3)
        bank.pass_time(10 * SECOND)
        grow_old(bank)
    assert len(bank.stores[1].ended()) == 2
    lose_disk(bank, 2)
    bank.pass_time(10 * SECOND)
    check_same(bank)


def test_nothing_is_served_before_the_copy_is_whole() -> None:
    bank = old_bank()
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 3)
    request = bank.ask(3, ReadBalance(ANNA))
    bank.pass_time(5 * SECOND)
    assert bank.is_held(request)
    assert not bank.letters(kind=Subscribe), "and no log is read instead"
    bank.let_go()
    bank.pass_time(SECOND)
    assert bank.reply(request).balance == 115


def test_a_lost_or_doubled_part_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank()
    bank.hold_back(None, None, CopyPart)
    bank.hold_back(None, None, AskCopy)
    lose_disk(bank, 3)
    for round_ in range(60):
        bank.pass_time(6 * SECOND)
        for letter in bank.letters(kind=AskCopy) + bank.letters(kind=CopyPart):
            if round_ % 3 == 0:
                bank.drop(letter)
            else:
                bank.duplicate(letter)
                bank.deliver(letter)
    assert bank.replicas[3].has_joined
    check_same(bank)


def test_a_giver_that_dies_leaves_nothing_and_another_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank()
    part = begin_copy(bank)
    bank.pass_time(0)
    giver = part.sender
    bank.crash(giver)
    bank.let_go()
    bank.pass_time(10 * SECOND)
    assert bank.stores[3].applied(), "the other one has everything that both had"
    bank.restart(giver)
    check_same(bank)


def test_a_giver_that_is_started_anew_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank(2)
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 2)
    bank.pass_time(SECOND)
    (part,) = bank.letters(kind=CopyPart)
    bank.deliver(part)
    bank.crash(1)
    bank.restart(1)
    bank.let_go()
    bank.pass_time(30 * SECOND)
    check_same(bank)


def test_who_cannot_give_a_copy_is_not_asked_again_as_fast_as_the_network_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by reading: a giver whose disk is full has no copy, and says so at once, each time."""
    bank = old_bank(2)
    monkeypatch.setattr(bank.stores[1], "copy", VoidCopy)
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 2)
    bank.deliver_all()
    (said,) = bank.letters(kind=CopyPart)
    bank.deliver(said)
    assert not bank.letters(kind=AskCopy)
    bank.let_go()
    monkeypatch.undo()
    bank.pass_time(10 * SECOND)
    check_same(bank)


def test_a_new_store_that_crashes_amid_its_copy_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    bank = old_bank()
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 3)
    bank.pass_time(SECOND)
    bank.deliver(bank.letters(kind=CopyPart)[0])
    bank.crash(3)
    deposit(bank, 1)
    bank.deliver_all()
    bank.restart(3)
    bank.let_go()
    bank.pass_time(40 * SECOND)
    assert bank.do(3, ReadBalance(ANNA)).balance == 120
    check_same(bank)


def test_while_a_new_store_is_not_there_yet_nothing_is_dropped() -> None:
    bank = old_bank()
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 3)
    bank.pass_time(SECOND)
    before = bank.stores[1].dropped(), bank.stores[2].dropped()
    grow_old(bank)
    grow_old(bank)
    assert (bank.stores[1].dropped(), bank.stores[2].dropped()) == before
    bank.let_go()
    bank.pass_time(30 * SECOND)
    check_same(bank)
    grow_old(bank)
    grow_old(bank)
    assert bank.stores[1].dropped() != before[0]


def test_two_new_stores_are_given_a_copy_one_after_the_other() -> None:
    bank = old_bank()
    for branch in (2, 3):
        bank.crash(branch)
        bank.create_store(branch)
    bank.restart(2)
    bank.restart(3)
    bank.pass_time(60 * SECOND)
    assert all(replica.has_joined for replica in bank.replicas.values())
    check_same(bank)


def test_a_copy_that_was_asked_for_before_another_store_was_answered_is_not_taken() -> None:
    """What this branch tells the other one is that it has nothing; so it must not have more afterwards."""
    bank = old_bank(4)
    for branch in (2, 3):
        bank.crash(branch)
        bank.create_store(branch)
    bank.hold_back(None, 3, CopyPart)
    bank.hold_back(2, 3, AskHead)
    bank.restart(2)
    bank.restart(3)
    bank.pass_time(SECOND // 2)
    (before,) = bank.letters(None, 3, CopyPart)
    bank.deliver(bank.letters(2, 3, AskHead)[0])
    bank.deliver(before)
    assert not bank.stores[3]._is_copying
    assert bank.stores[3].applied() == NOTHING
    bank.let_go()
    bank.pass_time(60 * SECOND)
    check_same(bank)


def test_a_bank_that_has_dropped_nothing_gives_no_copies() -> None:
    bank = bank_of()
    deposit(bank)
    bank.deliver_all()
    lose_disk(bank, 3)
    bank.hold_back(None, None, Entries)
    bank.pass_time(SECOND)
    assert not bank.letters(kind=AskCopy)
    assert bank.letters(kind=Entries)


def test_a_statement_of_the_new_store_begins_where_the_one_that_gave_it_does() -> None:
    bank = old_bank()
    lose_disk(bank, 3)
    bank.pass_time(10 * SECOND)
    told = [bank.do(branch, ReadStatement(BERT)).statement for branch in (1, 3)]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0].begins_ms is not None
    assert told[1].closing == told[0].closing
    moment_ms = max(told[0].begins_ms, told[1].begins_ms or 0)
    pages = [bank.do(branch, ReadStatement(BERT, from_ms=moment_ms)).statement for branch in (1, 3)]
    assert pages[0] == pages[1]
    early_ms = told[0].begins_ms - 60_000
    assert bank.do(3, ReadBalance(BERT, at_ms=early_ms)).outcome is Outcome.HISTORY_DROPPED


def test_rights_that_were_granted_when_the_disk_was_lost_are_neither_lost_nor_doubled() -> None:
    bank = old_bank()
    request = bank.ask(3, Withdraw(ANNA, Money(100)))
    bank.deliver(bank.letters(3, kind=AskHead)[0])
    lose_disk(bank, 3)
    bank.pass_time(20 * SECOND)
    assert request in bank.lost
    again = bank.ask(3, Withdraw(ANNA, Money(115)))
    bank.pass_time(20 * SECOND)
    assert bank.reply(again).outcome is Outcome.OK
    check_same(bank)


def test_what_is_set_aside_in_the_step_in_which_a_branch_joins_ends_in_time() -> None:
    """Found by the simulator: the store was looked through for what expires as it had been before that."""
    bank = old_bank()
    bank.hold_back(None, None, CopyPart)
    lose_disk(bank, 3)
    request = bank.ask(3, Reserve(ANNA, Money(7), lifetime_ms=5_000), within_us=60 * SECOND)
    bank.let_go()
    bank.pass_time(SECOND)
    reservation = bank.reply(request).reservation
    assert reservation is not None
    bank.pass_time(20 * SECOND)
    record = bank.stores[1].reservation(reservation)
    assert record is not None
    assert record.state is ReservationState.EXPIRED
