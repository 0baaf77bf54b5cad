"""Money that is set aside: captured, released, or free again when its time is over."""

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread

from bankbook.core.commands import Batch, Capture, Deposit, ReadBalance, Release, Reply, Reserve, Withdraw
from bankbook.core.messages import Answer, Entries, Forward
from bankbook.core.outcome import Outcome
from bankbook.core.types import Money, ReservationId

FORTY, HUNDRED = Money(40), Money(100)


def settled_bank(count: int = 2, opening_balance: int = 100) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def reserve(bank: BankInOneThread, amount: int = 40, branch: int = 1, **terms: object) -> ReservationId:
    reply = bank.do(branch, Reserve(ANNA, Money(amount), **terms))  # type: ignore[arg-type]
    assert reply.reservation is not None
    bank.deliver_all()
    return reply.reservation


def told(reply: Reply) -> tuple[Outcome, int | None, int | None]:
    return reply.outcome, reply.balance, reply.available


def seen(bank: BankInOneThread) -> set[tuple[int | None, int | None]]:
    bank.pass_time(5 * SECOND)
    replies = [bank.do(branch, ReadBalance(ANNA)) for branch in bank.branches]
    return {(reply.balance, reply.available) for reply in replies}


def test_what_is_set_aside_is_still_there_and_can_be_taken_by_nobody_else() -> None:
    bank = settled_bank()
    assert told(bank.do(1, Reserve(ANNA, FORTY))) == (Outcome.OK, 100, 60)
    asked = bank.ask(2, Withdraw(ANNA, Money(61)))
    bank.deliver_all()
    refused = bank.reply(asked)
    assert told(refused) == (Outcome.INSUFFICIENT_FUNDS, 100, 60)
    assert "40 is reserved" in refused.detail
    assert seen(bank) == {(100, 60)}


def test_a_capture_takes_all_that_is_left() -> None:
    bank = settled_bank()
    assert told(bank.do(1, Capture(reserve(bank)))) == (Outcome.OK, 60, 60)
    assert seen(bank) == {(60, 60)}


def test_a_capture_of_a_part_frees_the_rest_unless_more_is_to_come() -> None:
    bank = settled_bank()
    assert told(bank.do(1, Capture(reserve(bank), Money(10)))) == (Outcome.OK, 90, 90)
    name = reserve(bank)
    assert told(bank.do(1, Capture(name, Money(10), is_final=False))) == (Outcome.OK, 80, 50)
    assert told(bank.do(1, Capture(name, Money(30), is_final=False))) == (Outcome.OK, 50, 50)
    assert bank.do(1, Capture(name, Money(0))).outcome is Outcome.RESERVATION_ENDED
    assert seen(bank) == {(50, 50)}


def test_a_release_frees_a_part_or_all() -> None:
    bank = settled_bank()
    name = reserve(bank)
    assert told(bank.do(1, Release(name, Money(10)))) == (Outcome.OK, 100, 70)
    assert bank.do(1, Capture(name, FORTY)).outcome is Outcome.RESERVATION_EXCEEDED
    assert told(bank.do(1, Release(name))) == (Outcome.OK, 100, 100)
    assert bank.do(1, Release(name)).outcome is Outcome.RESERVATION_ENDED
    assert seen(bank) == {(100, 100)}


def test_what_is_captured_goes_to_the_destination_that_was_named() -> None:
    bank = settled_bank()
    name = reserve(bank, destination=BERT)
    assert bank.do(2, ReadBalance(BERT)).balance == 100
    bank.do(1, Capture(name, Money(30)))
    bank.deliver_all()
    assert seen(bank) == {(70, 70)}
    assert [bank.do(branch, ReadBalance(BERT)).balance for branch in (1, 2)] == [130, 130]


@pytest.mark.parametrize("branch", [1, 2])
def test_what_expires_is_free_again_and_is_never_captured(branch: int) -> None:
    bank = settled_bank()
    name = reserve(bank, lifetime_ms=2000)
    bank.pass_time(2 * SECOND - SECOND // 10)
    assert bank.do(1, ReadBalance(ANNA)).available == 60
    bank.pass_time(SECOND // 5)
    assert seen(bank) == {(100, 100)}
    late = bank.ask(branch, Capture(name), key=f"{branch}/late")
    bank.deliver_all()
    assert bank.reply(late).outcome is Outcome.RESERVATION_EXPIRED


def test_a_capture_that_comes_at_the_moment_of_expiry_comes_too_late() -> None:
    bank = settled_bank(1)
    name = reserve(bank, lifetime_ms=2000)
    bank.now_us += 2 * SECOND
    assert bank.do(1, Capture(name)).outcome is Outcome.RESERVATION_EXPIRED
    assert seen(bank) == {(100, 100)}


def test_what_was_captured_in_time_does_not_expire_as_well() -> None:
    bank = settled_bank()
    captured, partly = reserve(bank, 40, lifetime_ms=2000), reserve(bank, 10, lifetime_ms=2000)
    bank.do(1, Capture(captured))
    bank.do(1, Capture(partly, Money(4), is_final=False))
    bank.pass_time(5 * SECOND)
    assert seen(bank) == {(56, 56)}


def test_two_thousand_that_expire_at_once_all_do() -> None:
    bank = settled_bank(1, opening_balance=2000)
    bank.do(1, Batch((Reserve(ANNA, Money(1), lifetime_ms=3_600_000),) * 2000))
    assert bank.do(1, ReadBalance(ANNA)).available == 0
    bank.now_us += 3601 * SECOND
    assert seen(bank) == {(2000, 2000)}


def test_what_expired_while_the_branch_was_down_is_free_once_it_is_up() -> None:
    bank = settled_bank()
    reserve(bank, lifetime_ms=2000)
    bank.crash(1)
    bank.pass_time(5 * SECOND)
    assert bank.do(2, ReadBalance(ANNA)).available == 60
    bank.restart(1)
    assert seen(bank) == {(100, 100)}


def test_a_capture_asked_elsewhere_is_carried_out_by_the_branch_that_reserved() -> None:
    bank = settled_bank()
    name = reserve(bank)
    asked = bank.ask(2, Capture(name), key="2/capture")
    assert bank.is_held(asked)
    bank.deliver_all()
    reply = bank.reply(asked)
    assert (told(reply), reply.is_replayed) == ((Outcome.OK, 60, 60), False)
    assert reply.entry is not None
    assert reply.entry.origin.branch == 1
    again = bank.ask(2, Capture(name), key="2/capture")
    bank.deliver_all()
    assert (bank.reply(again).is_replayed, bank.reply(again).entry) == (True, reply.entry)
    assert seen(bank) == {(60, 60)}


@pytest.mark.parametrize("first", [Answer, Entries])
def test_a_capture_asked_again_elsewhere_is_told_again_though_its_entry_is_not_there_yet(first: type) -> None:
    bank = settled_bank()
    name = reserve(bank)
    before = bank.do(1, Capture(name), key="1/capture")
    bank.do(1, Deposit(ANNA, Money(5)))
    asked = bank.ask(2, Capture(name), key="1/capture")
    bank.deliver(next(each for each in bank.under_way if isinstance(each.message, Forward)))
    bank.deliver(next(each for each in bank.under_way if isinstance(each.message, first)))
    bank.deliver_all()
    assert (bank.reply(asked).is_replayed, bank.reply(asked).entry) == (True, before.entry)


def test_a_capture_asked_elsewhere_is_told_for_the_first_time_though_its_question_comes_twice() -> None:
    bank = settled_bank()
    name = reserve(bank)
    asked = bank.ask(2, Capture(name), key="1/capture")
    question = next(each for each in bank.under_way if isinstance(each.message, Forward))
    bank.duplicate(question)
    bank.deliver_all()
    assert (bank.reply(asked).outcome, bank.reply(asked).is_replayed) == (Outcome.OK, False)


def test_a_capture_elsewhere_without_a_key_is_not_sent_on() -> None:
    bank = settled_bank()
    assert bank.do(2, Capture(reserve(bank))).outcome is Outcome.INVALID_REQUEST


@pytest.mark.parametrize("delivered", range(8))
@pytest.mark.parametrize("who", [1, 2])
def test_a_crash_between_asking_and_capturing_captures_once(who: int, delivered: int) -> None:
    bank = settled_bank()
    name = reserve(bank)
    bank.ask(2, Capture(name, Money(10), is_final=False), key="2/capture")
    for _ in range(delivered):
        if bank.under_way:
            bank.deliver(bank.under_way[0])
    bank.crash(who)
    bank.restart(who)
    bank.pass_time(10 * SECOND)
    retry = bank.ask(2, Capture(name, Money(10), is_final=False), key="2/capture")
    bank.pass_time(10 * SECOND)
    assert bank.reply(retry).outcome is Outcome.OK
    assert seen(bank) == {(90, 60)}


def test_where_its_branch_cannot_be_reached_the_outcome_is_unknown_and_a_retry_captures_once() -> None:
    bank = settled_bank()
    name = reserve(bank)
    bank.cut_link(1, 2)
    asked = bank.ask(2, Capture(name), key="2/capture", within_us=SECOND)
    bank.pass_time(SECOND)
    assert (bank.reply(asked).outcome, bank.reply(asked).branch) == (Outcome.OUTCOME_UNKNOWN, 1)
    bank.mend_link(1, 2)
    retry = bank.ask(2, Capture(name), key="2/capture")
    bank.deliver_all()
    assert bank.reply(retry).outcome is Outcome.OK
    assert seen(bank) == {(60, 60)}


@pytest.mark.parametrize("name", ["1.00000101-99-0", "2.0badcafe-1-0", "9.00000001-1-0"])
def test_a_reservation_that_nobody_made_is_unknown(name: str) -> None:
    bank = settled_bank()
    asked = bank.ask(1, Release(ReservationId(name)), key="1/release")
    bank.deliver_all()
    assert bank.reply(asked).outcome is Outcome.UNKNOWN_RESERVATION


def test_a_reservation_gathers_rights_as_a_withdrawal_does() -> None:
    bank = settled_bank()
    asked = bank.ask(1, Reserve(ANNA, HUNDRED))
    bank.deliver_all()
    assert told(bank.reply(asked)) == (Outcome.OK, 100, 0)


def test_a_capture_is_not_refused_for_want_of_rights_though_all_others_were_given_away() -> None:
    bank = settled_bank()
    name = reserve(bank)
    rest = bank.ask(2, Withdraw(ANNA, Money(60)))
    bank.deliver_all()
    assert bank.reply(rest).outcome is Outcome.OK
    assert told(bank.do(1, Capture(name))) == (Outcome.OK, 0, 0)


def test_a_reservation_of_nothing_has_ended_already() -> None:
    bank = settled_bank(1)
    assert bank.do(1, Capture(reserve(bank, 0))).outcome is Outcome.RESERVATION_ENDED
    assert bank.do(1, Deposit(ANNA, Money(1))).available == 101
