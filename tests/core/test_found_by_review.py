"""What a reading of the core found that neither random weeks nor single examples had."""

import pytest
from bank_in_one_thread import ANNA, SECOND, BankInOneThread, Letter

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Capture, Deposit, Freshness, Level, ReadBalance, Reserve, Withdraw
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Record, RecordKind
from bankbook.core.messages import AskHead, Entries, Forward, Received
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import BranchId, EntryId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import VersionVector

ONE, TEN, FIFTY = Money(1), Money(10), Money(50)


def settled_bank(count: int, opening_balance: int | None = 100) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def lose_disk(bank: BankInOneThread, branch: int) -> None:
    """Take a branch's store away, and what it has under way."""
    bank.under_way = [letter for letter in bank.under_way if letter.sender != branch]
    bank.crash(branch)
    bank.create_store(branch)
    bank.let_go()
    bank.restart(branch)
    bank.deliver_all()


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_refusal_is_not_told_as_something_that_happened_where_other_disks_do_not_answer(
    attempts: int,
) -> None:
    bank = settled_bank(3, opening_balance=None)
    bank.cut_link(1, 2)
    for _ in range(attempts):
        paid = bank.ask(1, Deposit(ANNA, FIFTY), durable=2, key="1/pay", within_us=SECOND)
        bank.pass_time(2 * SECOND)
        assert bank.reply(paid).outcome is Outcome.UNKNOWN_ACCOUNT


@pytest.mark.parametrize("is_anything_saved", [True, False])
def test_a_round_does_not_wait_for_a_grant_that_was_lost_with_its_disk(is_anything_saved: bool) -> None:
    bank = settled_bank(3, opening_balance=30)
    if is_anything_saved:
        bank.do(2, Deposit(ANNA, ONE))
        bank.deliver_all()
    bank.hold_back(2, kind=Entries)  # its answer comes, and names a grant that does not
    asked = bank.ask(1, Withdraw(ANNA, Money(1000)))
    bank.deliver_all()
    assert bank.is_held(asked)
    lose_disk(bank, 2)
    bank.pass_time(3 * SECOND)
    assert bank.reply(asked).outcome is Outcome.INSUFFICIENT_FUNDS


def test_what_was_answered_as_not_done_is_not_done_by_a_late_double() -> None:
    """Whoever is told that nothing happened may go on with a new key."""
    bank = settled_bank(2)
    reservation = bank.do(1, Reserve(ANNA, FIFTY)).reservation
    assert reservation is not None
    bank.deliver_all()
    bank.hold_back(2, 1, Entries)
    seen = bank.do(2, Deposit(ANNA, ONE)).token
    capture = Capture(reservation, TEN, is_final=False)
    asked = bank.ask(2, capture, seen, key="1/capture", within_us=2 * SECOND)
    (sent,) = bank.letters(2, 1, Forward)
    double = Letter(sent.sender, sent.receiver, sent.message)
    bank.deliver_all()
    bank.now_us += 2 * SECOND
    bank.step(1)
    bank.deliver_all()
    assert bank.reply(asked).outcome is Outcome.HOLD_TIMEOUT
    bank.let_go()
    bank.deliver_all()
    bank.step(1, Received(BranchId(2), double.message))
    bank.pass_time(SECOND)
    assert bank.do(2, ReadBalance(ANNA)).balance == 101


def test_latest_without_a_token_is_not_told_that_its_token_names_what_was_lost() -> None:
    bank = settled_bank(3)
    bank.do(2, Deposit(ANNA, ONE))
    bank.deliver_all()
    bank.hold_back(2, kind=Entries)
    bank.do(2, Deposit(ANNA, ONE))
    asked = bank.ask(1, ReadBalance(ANNA), freshness=Freshness(Level.LATEST))
    bank.deliver_all()
    lose_disk(bank, 2)
    bank.pass_time(9 * SECOND)
    assert bank.reply(asked).outcome is Outcome.OK


def test_an_old_disk_of_which_nobody_has_an_entry_is_nobody_when_it_comes_back() -> None:
    """Both lives of the branch spend the same share of the opening balance: the account is overdrawn."""
    bank = settled_bank(2)
    bank.cut_link(1, 2)
    assert [bank.do(branch, Withdraw(ANNA, FIFTY)).outcome for branch in (1, 2)] == [Outcome.OK] * 2
    old = bank.stores[1]
    bank.crash(1)
    bank.create_store(1)
    bank.restart(1)
    bank.mend_link(1, 2)
    bank.pass_time(SECOND)
    again = bank.ask(1, Withdraw(ANNA, TEN))
    bank.pass_time(SECOND)
    assert bank.reply(again).outcome is Outcome.OK  # the first withdrawal at branch 1 is lost with its disk
    bank.crash(1)
    bank.stores[1] = old
    bank.restart(1)
    bank.pass_time(9 * SECOND)
    balance = bank.do(2, ReadBalance(ANNA)).balance
    assert balance is not None
    assert balance >= 0


def test_a_store_out_of_use_does_not_say_of_what_it_sent_on_that_nothing_happened() -> None:
    bank = settled_bank(3, opening_balance=300)
    bank.do(1, Deposit(ANNA, ONE))
    reservation = bank.do(2, Reserve(ANNA, FIFTY)).reservation
    assert reservation is not None
    bank.deliver_all()
    asked = bank.ask(1, Capture(reservation, TEN, is_final=False), key="2/capture")
    bank.hold_back(2, 1)
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA)).balance == 291  # it was carried out, and the answer is under way
    own = bank.stores[1].identity.origin
    ended = EntryId(own, bank.stores[1].applied()[own])
    newer = Origin(own.branch, Incarnation(own.incarnation + 1))
    first = make_entry(
        origin=newer,
        seq=Seq(1),
        clock=bank.stores[2].clock(),
        dependencies=VersionVector(),
        records=(Record(RecordKind.REJOINING, ended=(ended,)),),
    )
    bank.step(1, Received(BranchId(3), Entries(newer, (first,))))
    assert bank.reply(asked).outcome is Outcome.OUTCOME_UNKNOWN


def test_a_question_that_comes_again_while_a_store_is_new_is_given_rights_for_once() -> None:
    bank = settled_bank(3, opening_balance=300)
    bank.do(3, Deposit(ANNA, TEN))
    bank.deliver_all()
    bank.crash(2)
    bank.create_store(2)
    bank.cut_link(2, 3)
    bank.restart(2)
    bank.deliver_all()
    account, since = ANNA, HybridTime(1)
    for _ in range(5):
        bank.step(2, Received(BranchId(1), AskHead(7, account, TEN, since)))
    bank.mend_link(2, 3)
    bank.deliver_all()
    store = bank.stores[2]
    entries = store.entries(store.identity.origin, Seq(0), 100)
    assert sum(record.grant is not None for entry in entries for record in entry.records) == 1


def test_what_happened_is_not_told_as_not_done_where_there_is_no_room_to_wait_for_disks() -> None:
    """Who is told TOO_MANY_HELD may send the payment again with a new key."""
    bank = BankInOneThread(2, settings=Settings(held_max=0))
    bank.deliver_all()
    bank.cut_link(1, 2)
    assert bank.do(1, Deposit(ANNA, TEN), key="1/pay").outcome is Outcome.OK
    again = bank.do(1, Deposit(ANNA, TEN), key="1/pay", durable=1)
    assert (again.outcome, again.balance, again.is_replayed) == (Outcome.DURABILITY_TIMEOUT, 10, True)
    assert bank.do(1, Deposit(ANNA, TEN), key="1/other", durable=1).outcome is Outcome.TOO_MANY_HELD
