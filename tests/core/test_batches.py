"""Many commands in one request: each its own outcome, all in one entry."""

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread

from bankbook.core.commands import (
    Batch,
    Deposit,
    MoveResults,
    OpenAccount,
    ReadBalance,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
    batch_of,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.messages import Entries
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money

FIVE, HUNDRED = Money(5), Money(100)
ABORTED, SHORT = Outcome.BATCH_ABORTED, Outcome.RIGHTS_UNREACHABLE


def settled_bank(count: int = 2, opening_balance: int = 100) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def balances(bank: BankInOneThread, account: AccountId = ANNA) -> set[Money | None]:
    bank.pass_time(5 * SECOND)
    return {bank.do(branch, ReadBalance(account)).balance for branch in bank.branches}


def test_each_command_has_an_outcome_of_its_own_and_a_refusal_stops_nobody() -> None:
    bank = settled_bank(1)
    reply = bank.do(1, Batch((Withdraw(ANNA, FIVE), Transfer(ANNA, ANNA, FIVE), Deposit(ANNA, Money(7)))))
    assert reply.outcome is Outcome.OK
    outcomes = [(each.outcome, each.balance) for each in reply.results]
    assert outcomes == [(Outcome.OK, 95), (Outcome.SAME_ACCOUNT, None), (Outcome.OK, 102)]
    assert balances(bank) == {102}


def test_what_the_first_brings_the_second_may_take() -> None:
    bank = settled_bank(1, opening_balance=0)
    reply = bank.do(1, Batch((Deposit(ANNA, FIVE), Transfer(ANNA, BERT, FIVE), Withdraw(BERT, FIVE))))
    assert [each.outcome for each in reply.results] == [Outcome.OK] * 3
    backwards = bank.do(1, Batch((Withdraw(ANNA, FIVE), Deposit(ANNA, FIVE))))
    assert [each.outcome for each in backwards.results] == [Outcome.INSUFFICIENT_FUNDS, Outcome.OK]


def test_a_batch_is_seen_elsewhere_whole_or_not_at_all() -> None:
    bank = settled_bank(2)
    bank.do(1, Batch((Deposit(ANNA, FIVE), Deposit(BERT, FIVE))))
    (letter,) = bank.letters(1, 2, Entries)
    assert [bank.do(2, ReadBalance(each)).balance for each in (ANNA, BERT)] == [100, 100]
    bank.deliver(letter)
    assert [bank.do(2, ReadBalance(each)).balance for each in (ANNA, BERT)] == [105, 105]


def test_of_an_atomic_batch_all_or_nothing_happens_and_each_is_told_why() -> None:
    bank = settled_bank(1)
    reply = bank.do(1, Batch((Withdraw(ANNA, FIVE), Withdraw(BERT, Money(101))), is_atomic=True))
    assert reply.outcome is Outcome.INSUFFICIENT_FUNDS
    assert reply.detail.startswith("command 2 of the batch: ")
    assert [each.outcome for each in reply.results] == [ABORTED, Outcome.INSUFFICIENT_FUNDS]
    assert reply.entry is None
    assert balances(bank) == {100}
    whole = bank.do(1, Batch((Withdraw(ANNA, FIVE), Withdraw(BERT, HUNDRED)), is_atomic=True))
    assert [each.balance for each in whole.results] == [95, 0]


@pytest.mark.parametrize("is_atomic", [False, True])
def test_what_a_batch_lacks_is_gathered_and_all_of_it_happens(*, is_atomic: bool) -> None:
    bank = settled_bank(2)
    batch = Batch(
        (Withdraw(ANNA, Money(60)), Withdraw(BERT, Money(70)), Withdraw(ANNA, Money(40))), is_atomic
    )
    asked = bank.ask(1, batch)
    assert bank.is_held(asked)
    bank.deliver_all()
    assert [each.outcome for each in bank.reply(asked).results] == [Outcome.OK] * 3
    assert (balances(bank), balances(bank, BERT)) == ({0}, {30})


def test_when_time_is_over_what_can_be_done_is_done_and_the_rest_may_be_tried_again() -> None:
    bank = settled_bank(2)
    bank.cut_link(1, 2)
    batch = Batch((Withdraw(ANNA, Money(60)), Deposit(BERT, FIVE), Withdraw(ANNA, Money(50))))
    asked = bank.ask(1, batch, within_us=SECOND, key="1/batch")
    bank.pass_time(SECOND)
    reply = bank.reply(asked)
    assert reply.outcome is Outcome.OK
    assert [each.outcome for each in reply.results] == [SHORT, Outcome.OK, Outcome.OK]
    assert bank.do(1, batch, key="1/batch").results == reply.results
    bank.mend_link(1, 2)
    assert (balances(bank), balances(bank, BERT)) == ({50}, {105})


@pytest.mark.parametrize("is_in_columns", [False, True])
def test_of_what_is_asked_for_at_hand_nothing_waits_for_rights(is_in_columns: bool) -> None:
    bank = settled_bank(2)
    asked = (Withdraw(ANNA, Money(60)), Deposit(BERT, FIVE), Withdraw(ANNA, FIVE))
    batch = batch_of(asked) if is_in_columns else Batch(asked)
    reply = bank.do(1, batch, key="1/at-hand", at_hand=True)
    assert [each.outcome for each in reply.results] == [SHORT, Outcome.OK, Outcome.OK]
    assert reply.held_us == 0
    assert balances(bank) == {95}
    again = bank.do(2, batch, key="1/at-hand", at_hand=True)
    assert again.is_replayed
    assert list(again.results) == list(reply.results), "it is refused for good under this key"
    by_itself = bank.ask(1, asked[0], key="1/by-itself")
    bank.deliver_all()
    assert bank.reply(by_itself).balance == 35


def test_a_single_command_waits_for_rights_whatever_it_says_of_what_is_at_hand() -> None:
    bank = settled_bank(2)
    asked = bank.ask(1, Withdraw(ANNA, Money(60)), at_hand=True)
    assert bank.is_held(asked)
    bank.deliver_all()
    assert bank.reply(asked).balance == 40


def test_a_batch_tells_what_its_balances_count_also_when_it_is_told_again() -> None:
    bank = BankInOneThread(1, opening_balance=None)
    for account, currency in ((ANNA, "EUR"), (BERT, "SEK")):
        bank.do(1, OpenAccount(Opening(account, Money(0), currency)))
    alike = batch_of([Deposit(ANNA, FIVE), Withdraw(ANNA, FIVE)])
    mixed = batch_of([Deposit(BERT, FIVE), Deposit(ANNA, FIVE), Transfer(ANNA, BERT, FIVE)])
    for name, batch, currencies in (("alike", alike, ["EUR", "EUR"]), ("mixed", mixed, ["SEK", "EUR", ""])):
        for is_replayed in (False, True):
            reply = bank.do(1, batch, key=name)
            assert reply.is_replayed == is_replayed
            assert [each.currency for each in reply.results] == currencies
            assert isinstance(reply.results, MoveResults) == (name == "alike")


def test_of_an_atomic_batch_nothing_happens_when_time_is_over() -> None:
    bank = settled_bank(2)
    bank.cut_link(1, 2)
    batch = Batch((Withdraw(ANNA, Money(60)), Deposit(BERT, FIVE)), is_atomic=True)
    asked = bank.ask(1, batch, within_us=SECOND, key="1/batch")
    bank.pass_time(SECOND)
    assert (bank.reply(asked).outcome, bank.reply(asked).branch) == (SHORT, 2)
    bank.mend_link(1, 2)
    retry = bank.ask(1, batch, key="1/batch")
    bank.deliver_all()
    assert bank.reply(retry).outcome is Outcome.OK
    assert (balances(bank), balances(bank, BERT)) == ({40}, {105})


def test_a_batch_tells_each_reservation_by_its_own_name() -> None:
    bank = settled_bank(1)
    reply = bank.do(1, Batch((Reserve(ANNA, FIVE), Deposit(ANNA, FIVE), Reserve(ANNA, FIVE))))
    names = [each.reservation for each in reply.results]
    assert names[1] is None
    assert len(set(names)) == 3


def test_a_transaction_of_many_legs_gathers_for_each_account_and_moves_in_one_step() -> None:
    bank = settled_bank(3, opening_balance=90)
    carla = AccountId("carla")
    legs = Submit((Posting(ANNA, Money(-80)), Posting(BERT, Money(-85)), Posting(carla, Money(165))))
    asked = bank.ask(2, legs)
    bank.deliver_all()
    assert (bank.reply(asked).outcome, bank.reply(asked).balance) == (Outcome.OK, 10)
    assert [balances(bank, each) for each in (ANNA, BERT, carla)] == [{10}, {5}, {255}]


def test_two_transactions_that_cross_each_other_do_not_wait_for_each_other_for_ever() -> None:
    bank = settled_bank(2)
    one = bank.ask(1, Submit((Posting(ANNA, Money(-100)), Posting(BERT, HUNDRED))))
    other = bank.ask(2, Submit((Posting(BERT, Money(-100)), Posting(ANNA, HUNDRED))))
    bank.pass_time(5 * SECOND)
    assert bank.reply(one).outcome is Outcome.OK
    assert bank.reply(other).outcome is Outcome.OK
    assert (balances(bank), balances(bank, BERT)) == ({100}, {100})
