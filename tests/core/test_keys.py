"""Idempotency keys: one key, one effect, at whichever branches it arrives and whatever gets lost."""

import itertools

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread

from bankbook.core.commands import (
    Batch,
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    Release,
    Reserve,
    Transfer,
    Withdraw,
    batch_of,
    fingerprint_of,
)
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Keyed, Opening, Posting, Record, RecordKind, Verdict
from bankbook.core.messages import Answer, AskKey, Entries, Received
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import AccountId, BranchId, CustomerId, Key, Money, ReservationId, Seq
from bankbook.core.vector import VersionVector

FIVE, SEVEN = Money(5), Money(7)


def settled_bank(
    count: int = 3,
    opening_balance: int | None = 0,
    settings: Settings = Settings(),  # noqa: B008
) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance, settings=settings)
    bank.deliver_all()
    return bank


def balances(bank: BankInOneThread, account: AccountId = ANNA) -> set[Money | None]:
    bank.pass_time(10 * SECOND)
    return {bank.do(branch, ReadBalance(account)).balance for branch in bank.branches}


def test_a_key_sent_ten_times_to_every_branch_takes_effect_once() -> None:
    bank = settled_bank()
    first = bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    assert (first.is_replayed, first.balance) == (False, 5)
    for number in range(10):
        asked = bank.ask(number % 3 + 1, Deposit(ANNA, FIVE), key="1/pay")
        bank.deliver_all()
        reply = bank.reply(asked)
        assert (reply.outcome, reply.balance, reply.is_replayed) == (Outcome.OK, 5, True)
        assert reply.entry == first.entry
    assert balances(bank) == {5}


@pytest.mark.parametrize("born", [1, 2, 3])
@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_a_key_sent_to_all_branches_at_once_takes_effect_once(order: tuple[int, ...], born: int) -> None:
    bank = settled_bank()
    asked = [bank.ask(branch, Deposit(ANNA, FIVE), key=f"{born}/pay") for branch in order]
    bank.pass_time(SECOND)
    replies = [bank.reply(each) for each in asked]
    assert {(reply.outcome, reply.balance) for reply in replies} == {(Outcome.OK, 5)}
    assert len({reply.entry for reply in replies}) == 1
    assert sum(not reply.is_replayed for reply in replies) == 1
    assert balances(bank) == {5}


@pytest.mark.parametrize("delivered", range(6))
def test_the_first_branch_dies_in_between_and_the_retry_elsewhere_does_not_pay_twice(delivered: int) -> None:
    """Its answer was lost: whether its deposit took effect is known to nobody but its disk."""
    bank = settled_bank()
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    for letter in bank.under_way[:delivered]:
        bank.deliver(letter)
    bank.crash(1)
    retry = bank.ask(2, Deposit(ANNA, FIVE), key="1/pay", within_us=30 * SECOND)
    bank.pass_time(5 * SECOND)
    bank.restart(1)
    bank.pass_time(5 * SECOND)
    reply = bank.reply(retry)
    assert (reply.outcome, reply.balance, reply.is_replayed) == (Outcome.OK, 5, True)
    assert balances(bank) == {5}


def test_a_key_that_its_birth_branch_never_saw_takes_effect_where_it_is_sent() -> None:
    bank = settled_bank()
    paid = bank.ask(2, Deposit(ANNA, FIVE), key="1/pay")
    assert bank.is_held(paid)
    bank.deliver_all()
    reply = bank.reply(paid)
    assert (reply.outcome, reply.is_replayed, reply.asked) == (Outcome.OK, False, 1)
    late = bank.ask(1, Deposit(ANNA, FIVE), key="1/pay")
    bank.deliver_all()
    assert bank.reply(late).is_replayed
    assert balances(bank) == {5}


def test_a_key_goes_from_branch_to_branch_by_fences_and_takes_effect_at_the_last() -> None:
    """1 leaves the key to 2, where the deposit waits for its session; 2 leaves it to 3."""
    bank = settled_bank(4)
    bank.hold_back(4, 1, Entries)
    bank.hold_back(4, 2, Entries)
    before = bank.do(4, Deposit(BERT, FIVE)).token
    bank.deliver_all()
    at_two = bank.ask(2, Deposit(ANNA, FIVE), before, key="1/pay")
    bank.deliver_all()
    assert bank.is_held(at_two)
    at_three = bank.ask(3, Deposit(ANNA, FIVE), before, key="1/pay")
    bank.deliver_all()
    reply = bank.reply(at_three)
    assert (reply.outcome, reply.is_replayed) == (Outcome.OK, False)
    bank.let_go()
    bank.deliver_all()
    assert (bank.reply(at_two).outcome, bank.reply(at_two).is_replayed) == (Outcome.OK, True)
    assert balances(bank) == {5}


def test_a_key_that_two_branches_want_while_both_lack_the_rights_takes_effect_once() -> None:
    bank = settled_bank(3, opening_balance=90)
    asked = [bank.ask(branch, Withdraw(ANNA, Money(80)), key="3/pay") for branch in (1, 2)]
    bank.pass_time(5 * SECOND)
    assert [bank.reply(each).outcome for each in asked] == [Outcome.OK] * 2
    assert balances(bank) == {10}


def test_a_request_whose_key_went_elsewhere_while_it_waited_does_not_say_that_nothing_happened() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.cut_link(2, 3)
    at_one = bank.ask(1, Withdraw(ANNA, Money(80)), key="1/pay", within_us=2 * SECOND)
    for letter in bank.letters(1):
        bank.drop(letter)
    at_two = bank.ask(2, Withdraw(ANNA, Money(20)), key="1/pay", customer="anna")
    bank.hold_back(2, 1)
    for letter in bank.letters(2, 1, AskKey):
        bank.deliver(letter)
    bank.deliver_all()
    assert bank.reply(at_two).outcome is Outcome.OK
    bank.pass_time(2 * SECOND)
    assert bank.reply(at_one).outcome is Outcome.OUTCOME_UNKNOWN


@pytest.mark.parametrize(
    ("command", "customer"),
    [
        (Deposit(ANNA, SEVEN), "anna"),
        (Deposit(BERT, FIVE), "anna"),
        (Withdraw(ANNA, FIVE), "anna"),
        (Batch((Deposit(ANNA, FIVE),)), "anna"),
        (Deposit(ANNA, FIVE), "bert"),
    ],
)
@pytest.mark.parametrize("branch", [1, 2])
def test_a_key_is_refused_for_another_request(branch: int, command: Command, customer: str) -> None:
    bank = settled_bank()
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    asked = bank.ask(branch, command, key="1/pay", customer=customer)
    bank.deliver_all()
    reply = bank.reply(asked)
    assert (reply.outcome, reply.entry) == (Outcome.KEY_REUSED, None)
    assert balances(bank) == {5}


def test_a_batch_under_the_key_of_another_batch_is_refused() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Batch((Deposit(ANNA, FIVE),)), key="1/pay")
    assert bank.do(1, Batch((Withdraw(ANNA, FIVE),)), key="1/pay").outcome is Outcome.KEY_REUSED


def test_where_the_birth_branch_cannot_be_reached_nobody_guesses_and_a_later_retry_pays_once() -> None:
    bank = settled_bank()
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    for letter in bank.letters():
        bank.drop(letter)
    bank.cut_link(1, 2)
    bank.cut_link(1, 3)
    asked = bank.ask(2, Deposit(ANNA, FIVE), key="1/pay", within_us=2 * SECOND)
    bank.pass_time(2 * SECOND)
    reply = bank.reply(asked)
    assert (reply.outcome, reply.branch, reply.held_us) == (Outcome.OUTCOME_UNKNOWN, 1, 2 * SECOND)
    assert bank.do(2, ReadBalance(ANNA)).balance == 0
    bank.mend_link(1, 2)
    retry = bank.ask(2, Deposit(ANNA, FIVE), key="1/pay")
    bank.pass_time(SECOND)
    assert bank.reply(retry).is_replayed
    bank.mend_link(1, 3)
    assert balances(bank) == {5}


@pytest.mark.parametrize("kind", [AskKey, Answer])
def test_a_question_for_a_key_that_is_lost_is_asked_again(kind: type) -> None:
    bank = settled_bank()
    asked = bank.ask(2, Deposit(ANNA, FIVE), key="1/pay", within_us=20 * SECOND)
    while not bank.letters(kind=kind):
        bank.deliver(bank.under_way[0])
    for letter in bank.letters(kind=kind):
        bank.drop(letter)
    bank.pass_time(10 * SECOND)
    assert (bank.reply(asked).outcome, bank.reply(asked).is_replayed) == (Outcome.OK, False)
    assert balances(bank) == {5}


def test_a_question_for_a_key_that_comes_twice_is_answered_with_the_same_entry() -> None:
    bank = settled_bank()
    bank.ask(2, Deposit(ANNA, FIVE), key="1/pay")
    (question,) = bank.letters(2, 1, AskKey)
    bank.duplicate(question)
    for letter in bank.letters(2, 1, AskKey):
        bank.deliver(letter)
    first, second = bank.letters(1, 2, Answer)
    assert first.message == second.message
    assert balances(bank) == {5}


def test_a_refusal_is_told_again_though_the_money_has_come() -> None:
    bank = settled_bank()
    asked = bank.ask(1, Withdraw(ANNA, FIVE), key="1/pay")
    bank.deliver_all()
    refused = bank.reply(asked)
    bank.do(1, Deposit(ANNA, SEVEN))
    again = bank.do(1, Withdraw(ANNA, FIVE), key="1/pay")
    assert (refused.outcome, again.outcome) == (Outcome.INSUFFICIENT_FUNDS,) * 2
    assert (again.balance, again.available, again.detail) == (0, 0, refused.detail)
    assert (again.is_replayed, again.entry) == (True, refused.entry)
    assert bank.do(1, Withdraw(ANNA, FIVE), key="1/pay-again").outcome is Outcome.OK


def test_a_replay_tells_the_currency_also_of_what_was_refused() -> None:
    bank = settled_bank(1, opening_balance=None)
    bank.do(1, OpenAccount(Opening(ANNA, Money(0), "EUR")))
    for command in (Deposit(ANNA, FIVE), Withdraw(ANNA, SEVEN)):
        first, again = (bank.do(1, command, key=f"1/{type(command).__name__}") for _ in range(2))
        assert first.currency == again.currency == "EUR"


def test_what_ended_for_want_of_time_may_be_tried_again_with_the_same_key() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.cut_link(1, 3)
    bank.cut_link(2, 3)
    asked = bank.ask(1, Withdraw(ANNA, Money(80)), key="1/pay", within_us=SECOND)
    bank.pass_time(SECOND)
    assert bank.reply(asked).outcome is Outcome.RIGHTS_UNREACHABLE
    bank.mend_link(1, 3)
    bank.mend_link(2, 3)
    again = bank.ask(2, Withdraw(ANNA, Money(80)), key="1/pay")
    bank.pass_time(SECOND)
    assert (bank.reply(again).outcome, bank.reply(again).is_replayed) == (Outcome.OK, False)
    assert balances(bank) == {10}


@pytest.mark.parametrize("branch", [1, 2])
def test_a_batch_and_a_reservation_are_told_again_as_they_were(branch: int) -> None:
    bank = settled_bank(opening_balance=90)
    batch = Batch((Deposit(ANNA, FIVE), Reserve(ANNA, SEVEN), Withdraw(AccountId("bert"), Money(1))))
    first = bank.do(1, batch, key="1/batch")
    reserved = bank.do(1, Reserve(ANNA, FIVE), key="1/reserve")
    assert first.results[1].reservation is not None
    assert reserved.reservation is not None
    batch_again = bank.ask(branch, batch, key="1/batch")
    reserved_again = bank.ask(branch, Reserve(ANNA, FIVE), key="1/reserve")
    bank.deliver_all()
    assert bank.reply(batch_again).results == first.results
    assert bank.reply(reserved_again).reservation == reserved.reservation
    assert bank.reply(reserved_again).available == reserved.available


def test_an_atomic_batch_that_was_refused_is_told_again_with_the_same_reason() -> None:
    """The first command lacks rights here, which alone would be no reason: it could be had elsewhere."""
    bank = settled_bank(3, opening_balance=None)
    opening = bank.ask(1, OpenAccount(Opening(ANNA, Money(0), "")), key="1/open")
    bank.deliver_all()
    bank.do(2, Deposit(ANNA, SEVEN))
    bank.deliver_all()
    assert bank.reply(opening).outcome is Outcome.OK
    batch = Batch((Withdraw(ANNA, FIVE), Transfer(ANNA, AccountId("nobody"), FIVE)), is_atomic=True)
    first = bank.do(1, batch, key="1/batch")
    again = bank.do(1, batch, key="1/batch")
    assert first.outcome is Outcome.UNKNOWN_ACCOUNT
    assert (again.outcome, again.detail, again.results) == (first.outcome, first.detail, first.results)


def test_a_read_with_a_key_reads_what_is_there_each_time() -> None:
    bank = settled_bank(1)
    assert bank.do(1, ReadBalance(ANNA), key="1/read").balance == 0
    bank.do(1, Deposit(ANNA, FIVE))
    assert bank.do(1, ReadBalance(ANNA), key="1/read").balance == 5


def test_keys_are_forgotten_after_their_time_and_not_before() -> None:
    day = 24 * 3600 * SECOND
    bank = settled_bank(1, settings=Settings(heartbeat_us=day // 24, key_retention_us=2 * day))
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    bank.pass_time(2 * day - SECOND)
    assert bank.do(1, Deposit(ANNA, FIVE), key="1/pay").is_replayed
    bank.pass_time(day // 8)
    assert not bank.do(1, Deposit(ANNA, FIVE), key="1/pay").is_replayed
    assert bank.do(1, ReadBalance(ANNA)).balance == 10


# What no branch that is right writes.


def hear_of(bank: BankInOneThread, command: Command, *records: Record) -> None:
    """Let branch 1 apply an entry of branch 2 that says of itself that it decided anna's request "2/pay"."""
    origin = bank.stores[2].identity.origin
    entry = make_entry(
        origin=origin,
        seq=Seq(bank.stores[1].applied()[origin] + 1),
        clock=bank.stores[2].clock(),
        dependencies=VersionVector(),
        records=records,
        customer=CustomerId("anna"),
        keyed=Keyed(Key("2/pay"), fingerprint_of(CustomerId("anna"), command)),
    )
    bank.step(1, Received(BranchId(2), Entries(origin, (entry,))))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("command", [Deposit(ANNA, FIVE), Reserve(ANNA, FIVE)])
def test_an_entry_with_another_number_of_results_than_its_batch_has_commands_is_none_of_its(
    command: Deposit | Reserve, count: int
) -> None:
    bank = settled_bank()
    batch = batch_of((command, command))
    done = Record(RecordKind.DEPOSIT, (Posting(ANNA, FIVE),), verdict=Verdict(Outcome.OK, FIVE, FIVE))
    hear_of(bank, batch, *[done] * count)
    reply = bank.do(1, batch, key="2/pay")
    assert (reply.outcome, reply.results) == (Outcome.KEY_REUSED, ())
    assert f"has {count} results, and this batch 2 commands" in reply.detail
    assert bank.do(1, ReadBalance(ANNA)).balance == 5 * count  # and the branch goes on


def test_an_entry_that_tells_the_balance_of_no_account_is_told_as_it_is() -> None:
    bank = settled_bank()
    command = Release(ReservationId("2.00000007-1-0"))
    refused = Verdict(Outcome.INSUFFICIENT_FUNDS, FIVE, FIVE, "so there")
    hear_of(bank, command, Record(RecordKind.REFUSAL, verdict=refused))
    reply = bank.do(1, command, key="2/pay")
    assert (reply.outcome, reply.balance, reply.currency) == (Outcome.INSUFFICIENT_FUNDS, 5, "")
