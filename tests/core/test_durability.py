"""A write that is acknowledged only once other branches have it on their disks."""

import pytest
from bank_in_one_thread import ANNA, SECOND, BankInOneThread

from bankbook.core.commands import Batch, Cancel, Deposit, ReadBalance, Withdraw
from bankbook.core.messages import Acknowledge, Entries
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import Money

FIVE, SEVEN = Money(5), Money(7)


def settled_bank(count: int = 3, settings: Settings = Settings()) -> BankInOneThread:  # noqa: B008
    bank = BankInOneThread(count, settings=settings)
    bank.deliver_all()
    return bank


@pytest.mark.parametrize("durable", [0, 1, 2])
def test_a_write_is_answered_with_the_last_acknowledgement_it_was_to_have(durable: int) -> None:
    bank = settled_bank()
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=durable)
    for letter in bank.letters(1, kind=Entries):
        bank.deliver(letter)
    for number, letter in enumerate(bank.letters(receiver=1, kind=Acknowledge)):
        assert bank.is_held(paid) is (number < durable)
        bank.deliver(letter)
    reply = bank.reply(paid)
    assert (reply.outcome, reply.balance, reply.is_replayed) == (Outcome.OK, 5, False)


def test_that_an_entry_was_sent_or_that_one_branch_says_so_twice_does_not_count() -> None:
    bank = settled_bank()
    bank.hold_back(1, 3)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=2)
    bank.deliver_all()
    bank.pass_time(2 * SECOND)
    assert bank.is_held(paid)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(paid).outcome is Outcome.OK


def test_where_too_few_can_be_reached_it_says_that_it_happened_and_a_retry_waits_on() -> None:
    bank = settled_bank()
    bank.cut_link(1, 2)
    bank.cut_link(1, 3)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=1, key="1/pay", within_us=2 * SECOND)
    bank.pass_time(2 * SECOND)
    reply = bank.reply(paid)
    assert (reply.outcome, reply.held_us) == (Outcome.DURABILITY_TIMEOUT, 2 * SECOND)
    assert reply.entry is not None
    assert reply.token.write[reply.entry.origin] == reply.entry.seq
    retry = bank.ask(1, Deposit(ANNA, FIVE), durable=1, key="1/pay")
    assert bank.is_held(retry)
    bank.mend_link(1, 3)
    bank.deliver_all()
    again = bank.reply(retry)
    assert (again.outcome, again.is_replayed, again.entry) == (Outcome.OK, True, reply.entry)
    bank.mend_link(1, 2)
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA)).balance == 5


def test_what_an_earlier_life_of_a_branch_had_on_its_disk_is_not_credited_to_the_next() -> None:
    bank = settled_bank()
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    bank.deliver(*bank.letters(1, 2, Entries))
    late = bank.letters(2, 1, Acknowledge)
    bank.crash(2)
    bank.create_store(2)
    bank.restart(2)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=1, key="1/pay")
    bank.under_way += late
    for letter in late:
        bank.deliver(letter)
    assert bank.is_held(paid)
    bank.deliver_all()
    assert bank.reply(paid).outcome is Outcome.OK


def test_a_branch_that_loses_its_disk_while_it_is_waited_for_counts_no_more() -> None:
    bank = settled_bank()
    bank.hold_back(1, 3)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=2)
    bank.deliver_all()
    bank.hold_back(1, 2, Entries)
    bank.crash(2)
    bank.create_store(2)
    bank.restart(2)
    del bank._held_back[0]
    bank.deliver_all()
    assert bank.is_held(paid)


@pytest.mark.parametrize("durable", [-1, 3])
def test_more_disks_than_there_are_other_branches_are_refused(durable: int) -> None:
    bank = settled_bank()
    reply = bank.do(1, Deposit(ANNA, FIVE), durable=durable)
    assert reply.outcome is Outcome.INVALID_REQUEST
    assert "0 to 2 other branches" in reply.detail


def test_a_read_and_a_refusal_that_wrote_nothing_wait_for_no_disk() -> None:
    bank = settled_bank(2)
    bank.hold_back(kind=Entries)
    assert bank.do(1, ReadBalance(ANNA), durable=1).outcome is Outcome.OK
    refused = bank.ask(1, Withdraw(ANNA, FIVE), durable=1)
    bank.deliver_all()
    assert bank.reply(refused).outcome is Outcome.INSUFFICIENT_FUNDS


def test_where_no_more_can_be_held_nothing_is_written_that_would_have_to_wait() -> None:
    bank = settled_bank(2, Settings(held_max=1))
    first = bank.ask(1, Deposit(ANNA, FIVE), durable=1)
    second = bank.do(1, Deposit(ANNA, SEVEN), durable=1)
    assert second.outcome is Outcome.TOO_MANY_HELD
    bank.deliver_all()
    assert bank.reply(first).balance == 5
    assert bank.do(1, ReadBalance(ANNA)).balance == 5


def test_a_write_whose_caller_is_gone_stays_written() -> None:
    bank = settled_bank(2)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=1)
    bank.step(1, Cancel(paid))
    bank.deliver_all()
    assert paid not in bank.replies
    assert bank.do(2, ReadBalance(ANNA)).balance == 5
    assert bank.replicas[1].status().held == ()


def test_a_batch_waits_for_disks_as_one() -> None:
    bank = settled_bank(2)
    paid = bank.ask(1, Batch((Deposit(ANNA, FIVE), Deposit(ANNA, SEVEN))), durable=1)
    assert bank.is_held(paid)
    bank.deliver_all()
    assert [result.balance for result in bank.reply(paid).results] == [5, 12]


PATIENT = Settings(acknowledge_us=20_000)


def test_what_nobody_waits_for_is_acknowledged_some_time_later_all_at_once() -> None:
    bank = settled_bank(settings=PATIENT)
    bank.pass_time(PATIENT.acknowledge_us)
    bank.deliver_all()
    for _ in range(3):
        bank.do(1, Deposit(ANNA, FIVE))
        for letter in bank.letters(1, kind=Entries):
            bank.deliver(letter)
    assert not bank.letters(kind=Acknowledge)
    bank.pass_time(PATIENT.acknowledge_us, deliver=False)
    told = [letter.message for letter in bank.letters(sender=2, receiver=1, kind=Acknowledge)]
    origin = bank.stores[1].identity.origin
    assert [each.applied[origin] for each in told if isinstance(each, Acknowledge)] == [3]


def test_what_somebody_waits_for_is_acknowledged_at_once() -> None:
    bank = settled_bank(settings=PATIENT)
    paid = bank.ask(1, Deposit(ANNA, FIVE), durable=2)
    bank.deliver_all()
    assert bank.reply(paid).outcome is Outcome.OK
