"""Rights on their way: who asks, who gives, who comes first, and when a refusal is a fact."""

from random import Random

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread, Letter

from bankbook.core.commands import Cancel, Deposit, ReadBalance, Withdraw, batch_of
from bankbook.core.entry import RecordKind
from bankbook.core.messages import AskHead, Entries, Head
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import AccountId, Money

EIGHTY, HUNDRED = Money(80), Money(100)


def settled_bank(
    count: int = 2,
    opening_balance: int = 100,
    settings: Settings = Settings(),  # noqa: B008
) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance, settings=settings)
    bank.deliver_all()
    return bank


def rights(bank: BankInOneThread, branch: int) -> dict[int, int]:
    known = bank.replicas[branch]._context.state.rights(ANNA)
    return {int(holder): int(amount) for holder, amount in known.items()}


def balances(bank: BankInOneThread) -> set[Money | None]:
    bank.pass_time(10 * SECOND)
    return {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches}


def asked_for_rights(bank: BankInOneThread, sender: int) -> list[Letter]:
    return [
        letter
        for letter in bank.letters(sender, kind=AskHead)
        if isinstance(letter.message, AskHead) and letter.message.wanted
    ]


def grants(bank: BankInOneThread, branch: int) -> int:
    store = bank.stores[branch]
    entries = store.entries(store.identity.origin, 0, 10_000)  # type: ignore[arg-type]
    return sum(record.kind is RecordKind.GRANT for entry in entries for record in entry.records)


def deliver_in_any_order(bank: BankInOneThread, seed: int) -> None:
    """Deliver one letter after the other, some of them twice, whichever the dice choose."""
    dice = Random(seed)  # noqa: S311
    while bank.under_way:
        letter = dice.choice(bank.under_way)
        if dice.random() < 0.1:
            bank.duplicate(letter)
        bank.deliver(letter)


@pytest.mark.parametrize("seed", range(60))
def test_of_two_withdrawals_of_80_from_100_at_two_branches_exactly_one_succeeds(seed: int) -> None:
    bank = settled_bank(2 + seed % 3)
    asked = [bank.ask(branch, Withdraw(ANNA, EIGHTY)) for branch in (1, 2)]
    deliver_in_any_order(bank, seed)
    bank.pass_time(3 * SECOND)
    outcomes = sorted(bank.reply(each).outcome.name for each in asked)
    assert outcomes == ["INSUFFICIENT_FUNDS", "OK"]
    assert balances(bank) == {20}


@pytest.mark.parametrize("branch", [1, 5, 10])
def test_a_hundred_that_is_spread_over_ten_branches_can_be_withdrawn_whole_at_any_of_them(
    branch: int,
) -> None:
    bank = settled_bank(10)
    assert rights(bank, branch) == dict.fromkeys(range(1, 11), 10)
    asked = bank.ask(branch, Withdraw(ANNA, HUNDRED))
    bank.deliver_all()
    reply = bank.reply(asked)
    assert (reply.outcome, reply.balance) == (Outcome.OK, 0)
    assert balances(bank) == {0}


@pytest.mark.parametrize("seed", range(20))
def test_of_three_that_withdraw_everything_at_once_the_first_gets_it(seed: int) -> None:
    bank = settled_bank(3, opening_balance=90)
    asked = [bank.ask(branch, Withdraw(ANNA, Money(90))) for branch in (3, 1, 2)]
    deliver_in_any_order(bank, seed)
    bank.pass_time(3 * SECOND)
    outcomes = [bank.reply(each).outcome for each in asked]
    assert sorted(outcome.name for outcome in outcomes) == ["INSUFFICIENT_FUNDS"] * 2 + ["OK"]
    assert balances(bank) == {0}


@pytest.mark.parametrize("seed", range(20))
def test_where_two_lack_the_same_rights_the_older_request_wins_in_every_order(seed: int) -> None:
    bank = settled_bank(3, opening_balance=90)
    older = bank.ask(2, Withdraw(ANNA, Money(90)))
    bank.now_us += SECOND
    younger = bank.ask(1, Withdraw(ANNA, Money(90)))
    deliver_in_any_order(bank, seed)
    bank.pass_time(2 * SECOND)
    assert bank.reply(older).outcome is Outcome.OK
    assert bank.reply(younger).outcome is Outcome.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("how", ["is cancelled", "runs out of time", "dies"])
def test_who_waits_behind_an_older_request_goes_on_when_that_one(how: str) -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.hold_back(3, 2)
    older = bank.ask(2, Withdraw(ANNA, Money(90)), within_us=3 * SECOND, customer="bert")
    bank.now_us += SECOND
    younger = bank.ask(1, Withdraw(ANNA, Money(60)), within_us=20 * SECOND)
    bank.deliver_all()
    assert bank.is_held(older)
    assert bank.is_held(younger)
    assert rights(bank, 2)[2] >= 60, "the younger one has given what it has"
    if how == "is cancelled":
        bank.step(2, Cancel(older))
    elif how == "dies":
        bank.crash(2)
        bank.restart(2)
    else:
        bank.pass_time(3 * SECOND)
    bank.pass_time(8 * SECOND)
    assert bank.reply(younger).outcome is Outcome.OK


def test_who_is_older_and_stalls_on_an_unreachable_third_keeps_nobody_waiting() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.crash(3)
    older = bank.ask(2, Withdraw(ANNA, Money(90)), within_us=20 * SECOND, customer="bert")
    bank.deliver_all()
    bank.now_us += SECOND
    younger = bank.ask(1, Withdraw(ANNA, Money(60)), within_us=20 * SECOND)
    bank.deliver_all()
    assert bank.is_held(older)
    assert bank.reply(younger).outcome is Outcome.OK


def test_a_refusal_counts_what_was_acknowledged_anywhere_before_it_was_asked_for() -> None:
    bank = settled_bank(3, opening_balance=0)
    bank.hold_back(kind=Entries)
    bank.do(3, Deposit(ANNA, Money(50)))
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY))
    bank.deliver_all()
    assert bank.is_held(asked)
    bank.let_go()
    bank.deliver_all()
    reply = bank.reply(asked)
    assert (reply.outcome, reply.balance) == (Outcome.INSUFFICIENT_FUNDS, 50)
    enough = bank.ask(1, Withdraw(ANNA, Money(50)))
    bank.deliver_all()
    assert bank.reply(enough).outcome is Outcome.OK


def test_where_the_rights_cannot_be_reached_it_names_the_branch_and_the_amount() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.crash(3)
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY), within_us=2 * SECOND)
    bank.pass_time(2 * SECOND)
    reply = bank.reply(asked)
    assert (reply.outcome, reply.branch, reply.held_us) == (Outcome.RIGHTS_UNREACHABLE, 3, 2 * SECOND)
    assert "lacks 20" in reply.detail
    assert "30 at branch 3" in reply.detail
    bank.restart(3)
    again = bank.ask(1, Withdraw(ANNA, EIGHTY))
    bank.pass_time(SECOND)
    assert bank.reply(again).outcome is Outcome.OK


def test_what_the_reachable_branches_have_is_enough_though_another_cannot_be_reached() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.crash(3)
    asked = bank.ask(1, Withdraw(ANNA, Money(60)))
    bank.pass_time(SECOND)
    assert bank.reply(asked).outcome is Outcome.OK


def test_money_that_comes_in_elsewhere_while_a_third_is_unreachable_is_asked_for() -> None:
    bank = settled_bank(3, opening_balance=30)
    bank.crash(3)
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY), within_us=20 * SECOND)
    bank.pass_time(SECOND)
    assert bank.is_held(asked)
    bank.do(2, Deposit(ANNA, HUNDRED))
    bank.pass_time(10 * SECOND)
    assert bank.reply(asked).outcome is Outcome.OK


def test_a_hundred_waiting_requests_ask_together() -> None:
    bank = settled_bank(3, opening_balance=900)
    bank.do(1, Withdraw(ANNA, Money(300)))
    asked = [bank.ask(1, Withdraw(ANNA, Money(5)), customer=f"c{number}") for number in range(100)]
    before = len(bank.transcript)
    bank.deliver_all()
    assert all(bank.reply(each).outcome is Outcome.OK for each in asked)
    assert sum("wanted=495" in each for each in bank.transcript[before:]) <= 1
    assert grants(bank, 2) + grants(bank, 3) < 10


def test_who_waits_for_rights_delays_nobody_else() -> None:
    bank = settled_bank(2)
    bank.hold_back()
    waiting = bank.ask(1, Withdraw(ANNA, EIGHTY))
    assert bank.do(1, Withdraw(ANNA, Money(50))).balance == 50
    assert bank.do(1, Withdraw(BERT, Money(50))).balance == 50
    assert bank.do(1, Deposit(ANNA, Money(1))).balance == 51
    assert bank.do(1, ReadBalance(ANNA)).balance == 51
    assert bank.is_held(waiting)


def test_rights_that_arrive_for_another_reason_serve_whoever_waits() -> None:
    bank = settled_bank(2)
    bank.hold_back()
    waiting = bank.ask(1, Withdraw(ANNA, EIGHTY))
    bank.do(1, Deposit(ANNA, Money(30)))
    assert bank.reply(waiting).outcome is Outcome.OK


@pytest.mark.parametrize("kind", [AskHead, Head, Entries])
def test_a_question_an_answer_or_a_grant_that_is_lost_is_made_good(kind: type) -> None:
    bank = settled_bank(2)
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY), within_us=25 * SECOND)
    while not bank.letters(kind=kind):
        bank.deliver(bank.under_way[0])
    for letter in bank.letters(kind=kind):
        bank.drop(letter)
    bank.pass_time(20 * SECOND)
    assert bank.reply(asked).outcome is Outcome.OK
    assert balances(bank) == {20}


def test_a_question_that_comes_twice_moves_no_right_twice_over() -> None:
    bank = settled_bank(2)
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY))
    for letter in asked_for_rights(bank, 1):
        bank.duplicate(letter)
    bank.deliver_all()
    assert bank.reply(asked).outcome is Outcome.OK
    assert sum(rights(bank, 1).values()) == 20
    assert min(rights(bank, 1).values()) >= 0


@pytest.mark.parametrize("who", [1, 2])
def test_a_grant_survives_the_crash_of_whoever_gave_or_got_it(who: int) -> None:
    bank = settled_bank(2)
    asked = bank.ask(1, Withdraw(ANNA, EIGHTY), within_us=30 * SECOND)
    for letter in asked_for_rights(bank, 1):
        bank.deliver(letter)
    assert grants(bank, 2) == 1
    bank.crash(who)
    bank.restart(who)
    bank.pass_time(10 * SECOND)
    if who == 1:
        assert bank.lost == [asked]
        asked = bank.ask(1, Withdraw(ANNA, EIGHTY))
    bank.deliver_all()
    assert bank.reply(asked).outcome is Outcome.OK
    assert balances(bank) == {20}


def test_a_branch_that_is_asked_for_what_it_has_not_gives_what_it_has() -> None:
    bank = settled_bank(3, opening_balance=90)
    bank.do(2, Withdraw(ANNA, Money(25)))
    asked = bank.ask(1, Withdraw(ANNA, Money(65)))
    bank.pass_time(SECOND)
    assert bank.reply(asked).outcome is Outcome.OK
    assert balances(bank) == {0}


def test_rights_follow_use_so_that_the_next_withdrawals_ask_nobody() -> None:
    bank = settled_bank(3, opening_balance=900)
    for _ in range(20):
        bank.do(1, Withdraw(ANNA, Money(10)))
        bank.deliver_all()
    held = rights(bank, 1)
    assert held[1] > 0.7 * sum(held.values())
    given = sum(grants(bank, branch) for branch in (1, 2, 3))
    assert given <= 12


def test_nothing_is_given_back_and_forth_while_nothing_is_used() -> None:
    bank = settled_bank(3, opening_balance=900)
    for number in range(30):
        bank.ask(number % 3 + 1, Withdraw(ANNA, Money(10)))
        bank.deliver_all()
    before = {branch: store.applied() for branch, store in bank.stores.items()}
    bank.pass_time(60 * SECOND)
    assert {branch: store.applied() for branch, store in bank.stores.items()} == before


def test_of_large_batches_the_use_is_noted_in_turns_each_time_for_as_many_accounts_as_it_stands_for() -> None:
    bank = settled_bank(2, 10_000)
    names = [AccountId(f"a{number}") for number in range(1000)]
    batch = batch_of(Withdraw(name, Money(1)) for name in names)
    for _ in range(12):
        bank.do(1, batch)
        bank.deliver_all()
    for branch in bank.branches:
        usage = bank.replicas[branch]._gatherings._usage
        assert {name: usage.of(name) for name in names} == {name: {1: 12} for name in names}
