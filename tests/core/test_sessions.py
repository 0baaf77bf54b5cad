"""Stories of customers who walk between branches while messages are late, lost or out of order."""

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread, CommitFailure

from bankbook.core.commands import (
    Cancel,
    Deposit,
    Drain,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.messages import Acknowledge, AskHead, Entries, Head
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account
from bankbook.core.replica import Settings
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import AccountId, BranchId, Incarnation, Money, Origin, Seq, chosen_branch
from bankbook.core.vector import NOTHING, Gap, VersionVector

FIVE, SEVEN = Money(5), Money(7)
LATEST = Freshness(Level.LATEST)
LOCAL = Freshness(Level.LOCAL)


def settled_bank(count: int = 3, settings: Settings = Settings()) -> BankInOneThread:  # noqa: B008
    """Return a bank whose branches are connected and have nothing left to say."""
    bank = BankInOneThread(count, settings=settings)
    bank.deliver_all()
    return bank


def origin_of(bank: BankInOneThread, branch: int) -> Origin:
    return bank.stores[branch].identity.origin


def naming(origin: Origin, seq: int) -> Token:
    return Token(read=VersionVector([(origin, Seq(seq))]))


# Read your writes.


def test_a_query_that_overtakes_the_propagation_of_its_deposit_is_held_and_says_why() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token)
    assert bank.is_held(query)
    bank.now_us += 1234
    bank.deliver_all()
    reply = bank.reply(query)
    assert (reply.outcome, reply.balance, reply.held_us) == (Outcome.OK, 5, 1234)
    assert reply.awaited == (Gap(origin_of(bank, 1), has=Seq(0), needs=Seq(1)),)


def test_two_deposits_in_a_row_and_a_query_elsewhere_do_not_hang() -> None:
    bank = settled_bank(2)
    first = bank.do(1, Deposit(ANNA, FIVE))
    second = bank.do(1, Deposit(ANNA, SEVEN), first.token)
    query = bank.ask(2, ReadBalance(ANNA), second.token)
    one, other = bank.letters(1, 2, Entries)
    bank.deliver(other)
    assert bank.is_held(query)
    bank.deliver(one)
    assert bank.reply(query).balance == 12


def test_a_query_where_the_deposit_was_made_is_answered_at_once() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    assert bank.do(1, ReadBalance(ANNA), paid.token).held_us == 0


def test_a_deposit_of_nothing_propagates_so_that_the_next_query_does_not_hang() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, Money(0)))
    query = bank.ask(2, ReadBalance(ANNA), paid.token)
    bank.deliver_all()
    assert bank.reply(query).balance == 0


def test_a_refused_withdrawal_holds_up_nobody() -> None:
    bank = settled_bank(2)
    withdrawal = bank.ask(1, Withdraw(ANNA, FIVE))
    bank.deliver_all()
    refused = bank.reply(withdrawal)
    assert (refused.outcome, refused.balance, refused.asked) == (Outcome.INSUFFICIENT_FUNDS, 0, 0)
    assert bank.do(2, ReadBalance(ANNA), refused.token).outcome is Outcome.OK


# Monotonic reads.


def test_who_saw_a_strangers_deposit_sees_it_at_the_next_branch_too() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE), customer="bert")
    bank.deliver_all()
    seen = bank.do(2, ReadBalance(ANNA))
    query = bank.ask(3, ReadBalance(ANNA), seen.token)
    assert (seen.balance, bank.is_held(query)) == (5, True)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(query).balance == 5


def test_a_refusal_for_want_of_funds_is_a_read_of_the_balance() -> None:
    bank = settled_bank(2)
    bank.hold_back(kind=Entries)
    bank.do(1, Deposit(ANNA, FIVE))
    withdrawal = bank.ask(1, Withdraw(ANNA, SEVEN))
    bank.deliver_all()
    refused = bank.reply(withdrawal)
    assert (refused.outcome, refused.balance) == (Outcome.INSUFFICIENT_FUNDS, 5)
    assert bank.is_held(bank.ask(2, ReadBalance(ANNA), refused.token))


def test_a_refusal_that_tells_the_balance_in_words_is_a_read_of_it_too() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    refused = bank.do(1, ReadBalance(ANNA), balance_max=4)
    assert refused.outcome is Outcome.NOT_REPRESENTABLE
    assert bank.is_held(bank.ask(2, ReadBalance(ANNA), refused.token))


def test_who_was_told_that_an_account_is_open_finds_it_open_at_the_next_branch() -> None:
    bank = BankInOneThread(2, opening_balance=None)
    bank.deliver_all()
    home = chosen_branch(ANNA, (BranchId(1), BranchId(2)))
    opening = OpenAccount(Opening(ANNA, Money(0), ""))
    assert bank.do(home, opening, customer="bert").outcome is Outcome.OK
    refused = bank.do(home, opening)
    assert refused.outcome is Outcome.ACCOUNT_EXISTS
    query = bank.ask(3 - home, ReadBalance(ANNA), refused.token)
    assert bank.is_held(query)
    bank.deliver_all()
    assert bank.reply(query).outcome is Outcome.OK


# Monotonic writes and writes follow reads.


def test_a_third_branch_never_shows_the_second_write_without_the_first_on_the_slow_link() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    first = bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.do(2, Deposit(ANNA, SEVEN), first.token)
    bank.deliver_all()
    assert bank.do(3, ReadBalance(ANNA)).balance == 0
    bank.let_go()
    bank.deliver_all()
    assert bank.do(3, ReadBalance(ANNA)).balance == 12


def test_a_write_waits_where_the_first_write_of_its_session_has_not_arrived() -> None:
    bank = settled_bank(2)
    first = bank.do(1, Deposit(ANNA, FIVE))
    second = bank.ask(2, Deposit(ANNA, SEVEN), first.token)
    assert bank.is_held(second)
    bank.deliver_all()
    assert bank.reply(second).balance == 12


def test_a_third_branch_never_shows_a_payment_before_the_receipt_that_it_answers() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE), customer="bert")
    bank.deliver_all()
    seen = bank.do(2, ReadBalance(ANNA))
    bank.do(2, Deposit(BERT, SEVEN), seen.token)
    bank.deliver_all()
    assert bank.do(3, ReadBalance(BERT)).balance == 0
    bank.let_go()
    bank.deliver_all()
    assert bank.do(3, ReadBalance(BERT)).balance == 7


@pytest.mark.parametrize(
    ("guarantee", "side", "command", "waits"),
    [
        (Guarantee.READ_YOUR_WRITES, "write", ReadBalance(ANNA), True),
        (Guarantee.READ_YOUR_WRITES, "read", ReadBalance(ANNA), False),
        (Guarantee.MONOTONIC_READS, "read", ReadBalance(ANNA), True),
        (Guarantee.MONOTONIC_READS, "write", ReadBalance(ANNA), False),
        (Guarantee.MONOTONIC_WRITES, "write", Deposit(ANNA, FIVE), True),
        (Guarantee.MONOTONIC_WRITES, "read", Deposit(ANNA, FIVE), False),
        (Guarantee.MONOTONIC_WRITES, "write", ReadBalance(ANNA), False),
        (Guarantee.WRITES_FOLLOW_READS, "read", Deposit(ANNA, FIVE), True),
        (Guarantee.WRITES_FOLLOW_READS, "write", Deposit(ANNA, FIVE), False),
        (Guarantee.WRITES_FOLLOW_READS, "read", ReadBalance(ANNA), False),
        (Guarantee.NONE, "read", Deposit(ANNA, FIVE), False),
        (Guarantee.NONE, "write", Deposit(ANNA, FIVE), False),
    ],
)
def test_each_guarantee_alone_waits_for_its_own_vector_only(
    guarantee: Guarantee, side: str, command: ReadBalance | Deposit, *, waits: bool
) -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE)).token
    token = Token(read=paid.read) if side == "read" else Token(write=paid.write)
    assert bank.is_held(bank.ask(2, command, token, guarantees=guarantee)) is waits


# A hold is nobody else's business.


def test_a_stranger_is_answered_at_once_while_twenty_are_held() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    held = [bank.ask(2, ReadBalance(ANNA), paid.token) for _ in range(20)]
    assert bank.do(2, ReadBalance(ANNA), customer="bert").balance == 0
    bank.deliver_all()
    assert [bank.reply(each).balance for each in held] == [5] * 20


def test_one_held_request_does_not_block_the_same_customers_independent_one() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    held = bank.ask(2, ReadBalance(ANNA), paid.token)
    assert bank.do(2, Deposit(BERT, SEVEN)).balance == 7
    assert bank.is_held(held)


def test_who_waits_for_less_is_served_first_and_equals_in_the_order_of_their_arrival() -> None:
    bank = settled_bank(2)
    first = bank.do(1, Deposit(ANNA, FIVE))
    second = bank.do(1, Deposit(ANNA, FIVE), first.token)
    waits = [bank.ask(2, ReadBalance(ANNA), token) for token in (second.token, first.token, second.token)]
    bank.deliver_all()
    assert [request for request in bank.replies if request in waits] == [waits[1], waits[0], waits[2]]


# Freshness.


def test_local_serves_what_is_there_and_session_waits() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    assert bank.do(2, ReadBalance(ANNA), paid.token, freshness=LOCAL).balance == 0
    assert bank.is_held(bank.ask(2, ReadBalance(ANNA), paid.token))


def test_a_write_that_asks_for_nothing_fresher_than_local_keeps_its_place_behind_the_one_before() -> None:
    bank = settled_bank(3)
    first = bank.do(1, Deposit(ANNA, FIVE))
    second = bank.ask(2, Deposit(ANNA, SEVEN), first.token, freshness=LOCAL)
    assert bank.is_held(second)
    bank.hold_back(sender=1, receiver=3, kind=Entries)
    bank.deliver_all()
    assert bank.reply(second).balance == 12
    assert bank.do(3, ReadBalance(ANNA), freshness=LOCAL).balance == 0  # and never 7
    bank.let_go()
    bank.deliver_all()
    assert bank.do(3, ReadBalance(ANNA), freshness=LOCAL).balance == 12


def test_latest_without_a_token_sees_every_acknowledged_write() -> None:
    bank = settled_bank(3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.do(3, Deposit(ANNA, SEVEN))
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    reply = bank.reply(query)
    assert (reply.balance, reply.asked) == (12, 2)


def test_latest_waits_for_the_entries_that_the_answers_name() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.hold_back(kind=Entries)
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    assert bank.is_held(query)
    bank.let_go()
    bank.deliver_all()
    reply = bank.reply(query)
    assert (reply.balance, reply.awaited) == (5, (Gap(origin_of(bank, 1), Seq(0), Seq(1)),))


def test_latest_does_not_wait_for_entries_of_other_accounts() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(BERT, FIVE))
    bank.hold_back(kind=Entries)
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    assert bank.reply(query).balance == 0


def test_two_latest_reads_in_a_row_never_go_back_even_before_the_write_is_acknowledged() -> None:
    bank = settled_bank(3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.hold_back(1, 3, Entries)
    bank.deliver_all()
    first = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    assert bank.reply(first).balance == 5
    second = bank.ask(3, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    assert bank.is_held(second)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(second).balance == 5


def test_latest_ends_by_naming_the_branch_that_cannot_be_reached() -> None:
    bank = settled_bank(3)
    bank.cut_link(2, 3)
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST, within_us=2 * SECOND)
    bank.pass_time(2 * SECOND)
    reply = bank.reply(query)
    assert (reply.outcome, reply.branch, reply.held_us) == (Outcome.BRANCH_UNREACHABLE, 3, 2 * SECOND)


def test_latest_recovers_where_the_branch_comes_back_in_time() -> None:
    bank = settled_bank(3)
    bank.cut_link(2, 3)
    bank.do(3, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST, within_us=2 * SECOND)
    bank.now_us += SECOND
    bank.mend_link(2, 3)
    bank.deliver_all()
    assert bank.reply(query).balance == 5


def test_the_question_of_a_request_that_ended_is_not_asked_again() -> None:
    bank = settled_bank(2)
    bank.cut_link(1, 2)
    timed_out = bank.ask(2, ReadBalance(ANNA), freshness=LATEST, within_us=1)
    cancelled = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.pass_time(1)
    bank.step(2, Cancel(cancelled))
    assert bank.reply(timed_out).outcome is Outcome.BRANCH_UNREACHABLE
    bank.mend_link(1, 2)
    assert bank.letters(2, 1, AskHead) == []


def test_latest_survives_a_lost_question() -> None:
    bank = settled_bank(2, Settings(resend_us=SECOND))
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    for letter in bank.letters(kind=AskHead):
        bank.drop(letter)
    bank.pass_time(3 * SECOND)
    assert bank.reply(query).outcome is Outcome.OK


def test_the_answer_to_a_question_from_before_a_crash_does_not_pass_for_one_asked_after() -> None:
    bank = settled_bank(2)
    bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    (asked,) = bank.letters(2, 1, AskHead)
    bank.deliver(asked)
    (answer,) = bank.letters(1, 2, Head)
    bank.crash(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.restart(2)
    bank.hold_back(kind=Entries)
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.under_way.append(answer)
    bank.deliver(answer)
    assert bank.is_held(query)


def test_bounded_believes_a_heartbeat_that_is_fresh_and_asks_nobody() -> None:
    bank = settled_bank(2)
    bank.pass_time(SECOND)
    reply = bank.do(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, 2 * SECOND))
    assert (reply.outcome, reply.asked) == (Outcome.OK, 0)


def test_a_late_answer_to_an_earlier_heartbeat_does_not_make_the_last_one_older() -> None:
    bank = settled_bank(2)
    bank.now_us += SECOND
    bank.step(2)
    (early,) = bank.letters(2, 1, AskHead)
    bank.now_us += SECOND
    bank.step(2)
    bank.hold_back(2, 1)
    for asked in reversed(bank.letters(2, 1, AskHead)):
        bank.deliver(asked)
    assert early not in bank.under_way
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, SECOND // 2)).asked == 0


def test_bounded_waits_for_what_the_fresh_heartbeat_named() -> None:
    bank = settled_bank(2)
    bank.hold_back(kind=Entries)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(SECOND)
    query = bank.ask(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, 2 * SECOND))
    assert bank.is_held(query)
    bank.let_go()
    bank.deliver_all()
    reply = bank.reply(query)
    assert (reply.balance, reply.asked) == (5, 0)


def test_bounded_asks_where_the_heartbeat_is_stale() -> None:
    bank = settled_bank(2)
    bank.pass_time(SECOND)
    bank.now_us += SECOND // 2
    bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, SECOND // 10))
    assert bank.is_held(query)
    bank.deliver_all()
    reply = bank.reply(query)
    assert (reply.balance, reply.asked) == (5, 1)


def test_bounded_by_nothing_believes_no_heartbeat_not_even_one_of_the_same_microsecond() -> None:
    bank = settled_bank(2)
    bank.pass_time(SECOND)
    bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, 0))
    bank.deliver_all()
    assert bank.reply(query).balance == 5


def test_bounded_does_not_wait_for_the_head_of_an_earlier_life_of_a_branch() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(SECOND)
    bank.crash(1)
    bank.create_store(1)
    bank.restart(1)
    bank.deliver_all()
    query = bank.ask(2, ReadBalance(ANNA), freshness=Freshness(Level.BOUNDED, 5 * SECOND))
    bank.deliver_all()
    assert bank.reply(query).outcome is Outcome.OK


# How a hold ends.


def test_a_hold_ends_at_its_deadline_and_names_what_is_missing() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token, within_us=2 * SECOND)
    bank.pass_time(2 * SECOND - 1)
    assert bank.is_held(query)
    bank.pass_time(1)
    reply = bank.reply(query)
    assert (reply.outcome, reply.held_us, reply.token) == (Outcome.HOLD_TIMEOUT, 2 * SECOND, paid.token)
    assert reply.awaited == (Gap(origin_of(bank, 1), has=Seq(0), needs=Seq(1)),)
    assert "of branch 1 it has 0 and needs 1" in reply.detail


def test_a_hold_that_timed_out_names_what_is_missing_now_not_what_was_at_first() -> None:
    bank = settled_bank(3)
    first = bank.do(1, Deposit(ANNA, FIVE))
    bank.hold_back(1, 3)
    second = bank.do(1, Deposit(ANNA, SEVEN), first.token)
    third = bank.do(2, Deposit(BERT, SEVEN), customer="bert")
    query = bank.ask(3, ReadBalance(ANNA), second.token.merge(third.token), within_us=SECOND)
    early, _ = bank.letters(1, 3, Entries)
    bank.deliver(early)
    bank.deliver_all()
    bank.now_us += SECOND
    bank.step(3)
    assert bank.reply(query).awaited == (Gap(origin_of(bank, 1), has=Seq(1), needs=Seq(2)),)


def test_ten_thousand_who_gave_up_on_an_unreachable_branch_leave_nothing_behind() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.cut_link(1, 2)
    for _ in range(10_000):
        bank.step(2, Cancel(bank.ask(2, ReadBalance(ANNA), paid.token)))
    assert len(bank.replicas[2]._logs.watchers.still_watching(origin_of(bank, 1))) < 100


def test_the_branch_holds_nobody_beyond_its_own_limit() -> None:
    bank = settled_bank(2, Settings(hold_limit_us=SECOND))
    bank.hold_back(kind=Entries)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token, within_us=3600 * SECOND)
    bank.pass_time(SECOND)
    assert bank.reply(query).outcome is Outcome.HOLD_TIMEOUT


def test_one_hold_too_many_is_refused_and_nobody_else_suffers() -> None:
    bank = settled_bank(2, Settings(held_max=2))
    paid = bank.do(1, Deposit(ANNA, FIVE))
    held = [bank.ask(2, ReadBalance(ANNA), paid.token) for _ in range(2)]
    refused = bank.do(2, ReadBalance(ANNA), paid.token)
    assert (refused.outcome, refused.token) == (Outcome.TOO_MANY_HELD, paid.token)
    assert bank.do(2, ReadBalance(ANNA)).outcome is Outcome.OK
    bank.deliver_all()
    assert [bank.reply(each).outcome for each in held] == [Outcome.OK] * 2


def test_a_cancelled_request_is_never_carried_out_nor_answered() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    deposit = bank.ask(2, Deposit(ANNA, SEVEN), paid.token)
    bank.step(2, Cancel(deposit))
    bank.deliver_all()
    assert deposit not in bank.replies
    assert bank.do(2, ReadBalance(ANNA)).balance == 5
    assert bank.replicas[2].status().held == ()


def test_a_cancellation_that_comes_too_late_changes_nothing() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.step(1, Cancel(paid.request))
    assert bank.do(1, ReadBalance(ANNA)).balance == 5


def test_a_branch_that_stops_refuses_the_new_and_lets_the_held_finish() -> None:
    bank = settled_bank(3)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    in_time, too_late = (bank.ask(2, ReadBalance(ANNA), paid.token) for _ in range(2))
    bank.hold_back(3, 2, Entries)
    elsewhere = bank.do(3, Deposit(ANNA, SEVEN))
    never = bank.ask(2, ReadBalance(ANNA), elsewhere.token, within_us=20 * SECOND)
    bank.step(2, Drain(bank.clock(2).monotonic_us + SECOND // 2))
    assert bank.do(2, ReadBalance(ANNA)).outcome is Outcome.SHUTTING_DOWN
    assert not bank.replicas[2].is_drained()
    bank.deliver_all()
    assert bank.reply(in_time).outcome is bank.reply(too_late).outcome is Outcome.OK
    bank.pass_time(SECOND // 2, deliver=False)
    assert bank.reply(never).outcome is Outcome.SHUTTING_DOWN
    assert not bank.replicas[2].is_drained(), "branch 3 is there, and has what this one lacks"
    bank.let_go()
    bank.deliver_all()
    assert bank.replicas[2].is_drained()


def test_when_a_whole_bank_stops_whoever_decided_nothing_stays_for_what_the_others_did() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    for branch in (1, 2):
        bank.step(branch, Drain(bank.clock(branch).monotonic_us + SECOND))
    assert not bank.replicas[2].is_drained()
    bank.deliver_all()
    assert bank.replicas[1].is_drained()
    assert bank.replicas[2].is_drained()
    assert bank.stores[2].account(ANNA) == Account(FIVE)


def test_a_branch_is_drained_only_once_the_others_have_what_it_decided() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.step(1, Drain(bank.clock(1).monotonic_us + SECOND))
    assert not bank.replicas[1].is_drained()
    bank.deliver_all()
    assert bank.replicas[1].is_drained()


# Tokens that cannot be.


def test_a_token_naming_a_branch_the_bank_does_not_have_is_refused_at_once() -> None:
    bank = settled_bank(2)
    reply = bank.do(1, ReadBalance(ANNA), naming(Origin(BranchId(9), Incarnation(1)), 1))
    assert reply.outcome is Outcome.INVALID_TOKEN


@pytest.mark.parametrize("freshness", [LOCAL, Freshness(), LATEST])
def test_a_token_naming_more_than_this_branch_ever_decided_is_refused_at_once(freshness: Freshness) -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    token = naming(origin_of(bank, 1), 2)
    assert bank.do(1, ReadBalance(ANNA), token, freshness=freshness).outcome is Outcome.INVALID_TOKEN


def test_a_token_naming_more_than_another_branch_ever_decided_is_refused_once_that_is_known() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), naming(origin_of(bank, 1), 2))
    bank.deliver_all()
    assert bank.is_held(query)
    bank.pass_time(SECOND)
    assert bank.reply(query).outcome is Outcome.INVALID_TOKEN


def test_a_late_answer_of_a_branch_does_not_condemn_a_token_written_after_it() -> None:
    bank = settled_bank(2)
    bank.pass_time(SECOND, deliver=False)
    for asked in bank.letters(2, 1, AskHead):
        bank.deliver(asked)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token)
    for answer in bank.letters(1, 2, Head):
        bank.duplicate(answer)
    for answer in bank.letters(1, 2, Head):
        bank.deliver(answer)
    assert bank.is_held(query)
    bank.deliver_all()
    assert bank.reply(query).balance == 5


def test_a_restart_does_not_condemn_the_tokens_of_the_life_before() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.crash(1)
    query = bank.ask(2, ReadBalance(ANNA), paid.token)
    bank.restart(1)
    bank.hold_back(kind=Entries)
    bank.pass_time(3 * SECOND)
    assert bank.is_held(query)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(query).balance == 5


# Tokens stay small, and lose nothing by it.


def test_what_every_branch_has_leaves_the_token() -> None:
    bank = settled_bank(3)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(2 * SECOND)
    assert bank.do(2, ReadBalance(ANNA), paid.token).token == EMPTY


def test_what_one_branch_has_received_but_not_confirmed_stays_in_the_token() -> None:
    bank = settled_bank(3)
    bank.hold_back(3, 1)
    bank.hold_back(3, 2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(2 * SECOND)
    assert bank.do(2, ReadBalance(ANNA), paid.token).token == paid.token


def test_what_a_branch_lost_with_its_store_is_not_taken_for_known_there() -> None:
    bank = settled_bank(3)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(2 * SECOND)
    bank.crash(3)
    bank.create_store(3)
    bank.restart(3)
    assert bank.do(2, ReadBalance(ANNA), paid.token).token != EMPTY


def test_the_late_answer_of_an_earlier_life_does_not_speak_for_the_new_one() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(SECOND, deliver=False)
    for letter in bank.letters(kind=Entries) + bank.letters(kind=AskHead):
        bank.deliver(letter)
    late = bank.letters(2, 1, Head)
    bank.crash(2)
    bank.create_store(2)
    bank.restart(2)
    bank.hold_back(2, 1, Acknowledge)
    bank.under_way += late
    for letter in late:
        bank.deliver(letter)
    (peer,) = bank.replicas[1].status().peers
    assert (peer.origin, peer.applied) == (origin_of(bank, 2), NOTHING)


# Whole entries, or nothing.


def test_a_transfer_arrives_with_both_legs_or_not_at_all() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.do(1, Transfer(ANNA, BERT, FIVE))
    for letter in bank.letters(1, 2, Entries):
        before = {bank.do(2, ReadBalance(account)).balance for account in (ANNA, BERT)}
        assert before in ({0}, {5, 0})
        bank.deliver(letter)
    assert bank.do(2, ReadBalance(ANNA)).balance == 0
    assert bank.do(2, ReadBalance(BERT)).balance == 5


def test_an_account_is_opened_by_its_home_branch_whichever_is_asked() -> None:
    for branch in (1, 2, 3):
        bank = BankInOneThread(3, opening_balance=None)
        bank.deliver_all()
        account = AccountId("carla")
        home = chosen_branch(account, (BranchId(1), BranchId(2), BranchId(3)))
        asked = bank.ask(branch, OpenAccount(Opening(account, Money(0), "EUR")), key=f"{branch}/opening")
        assert bank.is_held(asked) is (branch != home)
        bank.deliver_all()
        reply = bank.reply(asked)
        assert (reply.outcome, reply.balance, reply.currency) == (Outcome.OK, 0, "EUR")
        assert reply.entry is not None
        assert reply.entry.origin == origin_of(bank, home)
        assert [bank.do(each, ReadBalance(account)).balance for each in bank.branches] == [0, 0, 0]


def test_two_branches_asked_to_open_an_account_at_once_open_it_once() -> None:
    bank = BankInOneThread(3, opening_balance=None)
    bank.deliver_all()
    home = chosen_branch(ANNA, (BranchId(1), BranchId(2), BranchId(3)))
    near, far = (branch for branch in bank.branches if branch != home)
    in_euro = bank.ask(near, OpenAccount(Opening(ANNA, Money(0), "EUR")), key=f"{near}/opening")
    in_dollars = bank.ask(far, OpenAccount(Opening(ANNA, Money(-9), "USD")), key=f"{far}/opening")
    bank.deliver_all()
    outcomes = {bank.reply(each).outcome for each in (in_euro, in_dollars)}
    assert outcomes == {Outcome.OK, Outcome.ACCOUNT_EXISTS}
    currency = "EUR" if bank.reply(in_euro).outcome is Outcome.OK else "USD"
    assert {bank.do(branch, ReadBalance(ANNA)).currency for branch in bank.branches} == {currency}


def test_an_opening_without_a_key_is_not_sent_on_to_its_home_branch() -> None:
    bank = BankInOneThread(3, opening_balance=None)
    bank.deliver_all()
    home = chosen_branch(ANNA, (BranchId(1), BranchId(2), BranchId(3)))
    reply = bank.do(home % 3 + 1, OpenAccount(Opening(ANNA, Money(0), "")))
    assert reply.outcome is Outcome.INVALID_REQUEST
    assert f"branch {home} decides this, so it needs an idempotency key" in reply.detail


def test_a_deposit_never_arrives_before_the_opening_of_its_account() -> None:
    bank = BankInOneThread(3, opening_balance=None)
    bank.deliver_all()
    home = chosen_branch(ANNA, (BranchId(1), BranchId(2), BranchId(3)))
    near, far = (branch for branch in bank.branches if branch != home)
    bank.hold_back(home, far)
    bank.do(home, OpenAccount(Opening(ANNA, Money(0), "")))
    bank.deliver_all()
    assert bank.do(near, Deposit(ANNA, FIVE)).outcome is Outcome.OK
    bank.deliver_all()
    assert bank.do(far, ReadBalance(ANNA)).outcome is Outcome.UNKNOWN_ACCOUNT
    bank.let_go()
    bank.deliver_all()
    assert bank.do(far, ReadBalance(ANNA)).balance == 5


# Disks.


def test_a_commit_that_fails_releases_nothing() -> None:
    bank = settled_bank(2)
    bank.failing[1] = CommitFailure.NOTHING_KEPT
    deposit = bank.ask(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    assert (bank.lost, bank.replies) == ([deposit], {})
    assert [bank.do(branch, ReadBalance(ANNA)).balance for branch in (1, 2)] == [0, 0]
    assert bank.do(1, Deposit(ANNA, SEVEN)).balance == 7
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA)).balance == 7


def test_a_commit_in_doubt_that_reached_the_disk_is_shown_everywhere_and_answers_nobody() -> None:
    bank = settled_bank(2)
    bank.failing[1] = CommitFailure.ALL_KEPT
    bank.ask(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    assert bank.replies == {}
    assert [bank.do(branch, ReadBalance(ANNA)).balance for branch in (1, 2)] == [5, 5]


def test_a_read_in_the_step_of_a_write_waits_for_the_same_commit() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    held = bank.ask(2, ReadBalance(ANNA), paid.token)
    bank.failing[2] = CommitFailure.NOTHING_KEPT
    bank.deliver_all()
    assert bank.lost == [held]
    assert bank.do(2, ReadBalance(ANNA)).balance == 5


def test_a_deposit_acknowledged_just_before_a_crash_is_there_after_the_restart() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.crash(1)
    bank.restart(1)
    assert bank.do(1, ReadBalance(ANNA), paid.token).balance == 5
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA), paid.token).balance == 5


def test_a_customer_whose_name_no_entry_can_carry_is_refused_before_it_stops_the_log() -> None:
    bank = settled_bank(2)
    assert bank.do(1, Deposit(ANNA, FIVE), customer="no name!").outcome is Outcome.INVALID_REQUEST
