"""What a command does to the accounts: the ladder, its precedence and its limits."""

from collections.abc import Iterable

import pytest

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Command, Deposit, OpenAccount, ReadBalance, Transfer, Withdraw
from bankbook.core.entry import EntryKind, Opening, Posting, make_entry
from bankbook.core.ledger import Decision, Ledger, home_branch
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Identity
from bankbook.core.types import MONEY_MAX, AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.memory import MemoryStore

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
HERE = Origin(BranchId(1), Incarnation(1))
INT32_MAX = 2**31 - 1


def ledger_with(
    accounts: dict[AccountId, Account], *, opening_balance: int | None = None, branches: Iterable[int] = (1,)
) -> Ledger:
    genesis = Genesis(
        "test",
        tuple(BranchId(branch) for branch in branches),
        None if opening_balance is None else Money(opening_balance),
    )
    store = MemoryStore(Identity(HERE, genesis))
    store.commit(Changes(accounts=accounts))
    return Ledger(store, genesis, BranchId(1))


def carry_out(ledger: Ledger, command: Command, seq: int) -> Decision:
    """Decide, and apply what was decided as entry `seq`."""
    decision = ledger.decide(command)
    if decision.draft is not None:
        kind, postings, opening = decision.draft
        ledger.apply(
            make_entry(
                origin=HERE,
                seq=Seq(seq),
                clock=HybridTime(seq),
                dependencies=NOTHING,
                kind=kind,
                customer=CustomerId("anna"),
                postings=postings,
                opening=opening,
            )
        )
    return decision


def account(balance: int, floor: int | None = 0, currency: str = "") -> Account:
    return Account(Money(balance), None if floor is None else Money(floor), currency)


def deposit(amount: int, into: AccountId = A) -> Deposit:
    return Deposit(into, Money(amount))


def withdraw(amount: int) -> Withdraw:
    return Withdraw(A, Money(amount))


def transfer(amount: int, source: AccountId = A, destination: AccountId = B) -> Transfer:
    return Transfer(source, destination, Money(amount))


def outcome_of(command: Command, accounts: dict[AccountId, Account], balance_max: int = MONEY_MAX) -> Outcome:
    return ledger_with(accounts).decide(command, Money(balance_max)).outcome


def test_a_deposit_tells_the_balance_after_and_drafts_one_leg() -> None:
    decision = ledger_with({A: account(3)}).decide(deposit(5))
    assert (decision.outcome, decision.balance) == (Outcome.OK, 8)
    assert decision.draft is not None
    assert decision.draft[:2] == (EntryKind.DEPOSIT, (Posting(A, Money(5)),))


def test_a_transfer_tells_the_sources_balance_and_its_legs_sum_to_zero() -> None:
    decision = ledger_with({A: account(5), B: account(0)}).decide(transfer(5))
    assert (decision.outcome, decision.balance) == (Outcome.OK, 0)
    assert decision.draft is not None
    assert decision.draft.postings == (Posting(A, Money(-5)), Posting(B, Money(5)))


def test_deciding_changes_nothing() -> None:
    ledger = ledger_with({A: account(3)})
    ledger.decide(deposit(5))
    assert ledger.decide(ReadBalance(A)).balance == 3
    assert not ledger.take_changes(HybridTime(0))


def test_a_transfer_moves_both_balances_in_one_change() -> None:
    ledger = ledger_with({A: account(5), B: account(0)})
    carry_out(ledger, transfer(5), 1)
    changes = ledger.take_changes(HybridTime(1))
    assert changes.accounts == {A: account(0), B: account(5)}
    assert changes.last_writes == {A: {HERE: 1}, B: {HERE: 1}}
    assert len(changes.entries) == 1


def test_every_possible_account_is_open_where_the_genesis_says_so() -> None:
    ledger = ledger_with({}, opening_balance=7)
    assert ledger.decide(ReadBalance(C)).balance == 7
    assert carry_out(ledger, deposit(1, into=C), 1).balance == 8
    assert ledger.decide(OpenAccount(Opening(C, None, ""))).outcome is Outcome.ACCOUNT_EXISTS


def test_an_account_can_be_used_in_the_step_that_opens_it_and_not_be_opened_twice() -> None:
    ledger = ledger_with({})
    opening = OpenAccount(Opening(A, Money(-5), "EUR"))
    assert carry_out(ledger, opening, 1).outcome is Outcome.OK
    assert ledger.decide(opening).outcome is Outcome.ACCOUNT_EXISTS
    assert carry_out(ledger, withdraw(5), 2).balance == -5
    assert ledger.decide(withdraw(1)).outcome is Outcome.INSUFFICIENT_FUNDS


@pytest.mark.parametrize(
    ("balance", "floor", "amount", "outcome"),
    [
        (5, 0, 5, Outcome.OK),
        (5, 0, 6, Outcome.INSUFFICIENT_FUNDS),
        (5, -1, 6, Outcome.OK),
        (5, -1, 7, Outcome.INSUFFICIENT_FUNDS),
        (5, None, 600, Outcome.OK),
        (-9, 0, 0, Outcome.OK),
        (-9, 0, 1, Outcome.INSUFFICIENT_FUNDS),
    ],
)
def test_no_withdrawal_goes_below_the_floor(
    balance: int, floor: int | None, amount: int, outcome: Outcome
) -> None:
    assert outcome_of(withdraw(amount), {A: account(balance, floor)}) is outcome


def test_a_refusal_for_want_of_funds_tells_balance_and_floor() -> None:
    decision = ledger_with({A: account(5, -1)}).decide(withdraw(7))
    assert decision.balance == 5
    assert decision.detail == "account a has 5 and its floor is -1: 7 is more than 6"


@pytest.mark.parametrize(
    ("command", "balance", "outcome"),
    [
        (deposit(1), MONEY_MAX - 1, Outcome.OK),
        (deposit(1), MONEY_MAX, Outcome.BALANCE_LIMIT),
        (deposit(0), MONEY_MAX, Outcome.OK),
        (deposit(MONEY_MAX), 0, Outcome.OK),
        (withdraw(1), 1 - MONEY_MAX, Outcome.OK),
        (withdraw(1), -MONEY_MAX, Outcome.BALANCE_LIMIT),
        (withdraw(0), -MONEY_MAX, Outcome.OK),
    ],
)
def test_one_branch_takes_no_balance_beyond_money_max_either_way(
    command: Command, balance: int, outcome: Outcome
) -> None:
    assert outcome_of(command, {A: account(balance, None)}) is outcome


def test_a_transfer_does_not_take_its_destination_beyond_the_limit() -> None:
    accounts = {A: account(5), B: account(MONEY_MAX)}
    assert outcome_of(transfer(1), accounts) is Outcome.BALANCE_LIMIT
    assert outcome_of(transfer(0), accounts) is Outcome.OK


def test_a_balance_that_two_branches_took_beyond_the_limit_is_told_and_can_be_taken_out() -> None:
    ledger = ledger_with({A: account(2 * MONEY_MAX), B: account(-2 * MONEY_MAX, None)})
    assert ledger.decide(ReadBalance(A)).balance == 2 * MONEY_MAX
    assert ledger.decide(withdraw(1)).balance == 2 * MONEY_MAX - 1
    assert ledger.decide(transfer(1)).balance == 2 * MONEY_MAX - 1
    assert ledger.decide(deposit(1)).outcome is Outcome.BALANCE_LIMIT


def test_the_original_protocol_is_told_2147483647_and_refused_one_more() -> None:
    at_limit, above = {A: account(INT32_MAX)}, {A: account(INT32_MAX + 1)}
    assert outcome_of(ReadBalance(A), at_limit, INT32_MAX) is Outcome.OK
    assert outcome_of(ReadBalance(A), above, INT32_MAX) is Outcome.NOT_REPRESENTABLE
    assert outcome_of(deposit(1), at_limit, INT32_MAX) is Outcome.NOT_REPRESENTABLE
    assert outcome_of(deposit(1), at_limit) is Outcome.OK
    assert outcome_of(withdraw(1), above, INT32_MAX) is Outcome.OK


def test_a_transfer_is_not_refused_because_the_destination_could_not_be_told() -> None:
    accounts = {A: account(5), B: account(INT32_MAX)}
    assert outcome_of(transfer(5), accounts, INT32_MAX) is Outcome.OK


# Each case breaks every rule from the one told downward, so the order of the ladder is the precedence.
PRECEDENCE = [
    (transfer(9, A, A), {}, Outcome.UNKNOWN_ACCOUNT),
    (transfer(9, A, B), {B: account(0)}, Outcome.UNKNOWN_ACCOUNT),
    (transfer(9, A, B), {A: account(9)}, Outcome.UNKNOWN_ACCOUNT),
    (transfer(9, A, A), {A: account(0)}, Outcome.SAME_ACCOUNT),
    (
        transfer(9, A, B),
        {A: account(0, 0, "EUR"), B: account(MONEY_MAX, 0, "USD")},
        Outcome.CURRENCY_MISMATCH,
    ),
    (transfer(9, A, B), {A: account(0), B: account(MONEY_MAX)}, Outcome.INSUFFICIENT_FUNDS),
    (transfer(9, A, B), {A: account(90), B: account(MONEY_MAX)}, Outcome.BALANCE_LIMIT),
    (transfer(9, A, B), {A: account(90), B: account(0)}, Outcome.NOT_REPRESENTABLE),
    (withdraw(9), {A: account(-MONEY_MAX)}, Outcome.INSUFFICIENT_FUNDS),
    (deposit(9), {A: account(MONEY_MAX)}, Outcome.BALANCE_LIMIT),
]


@pytest.mark.parametrize(("command", "accounts", "told"), PRECEDENCE)
def test_where_several_refusals_apply_the_one_defined_first_is_told(
    command: Command, accounts: dict[AccountId, Account], told: Outcome
) -> None:
    assert outcome_of(command, accounts, balance_max=1) is told


def test_the_home_of_an_account_is_the_same_in_every_process() -> None:
    branches = tuple(BranchId(number) for number in range(1, 11))
    assert [home_branch(AccountId(name), branches) for name in ("anna", "bert", "345")] == [4, 3, 4]


def test_homes_are_spread_over_all_branches() -> None:
    branches = tuple(BranchId(number) for number in range(1, 11))
    assert {home_branch(AccountId(f"account-{number}"), branches) for number in range(200)} == set(branches)


def test_an_account_is_not_opened_away_from_home() -> None:
    ledger = ledger_with({}, branches=range(1, 11))
    for number in range(20):
        name = AccountId(f"account-{number}")
        home = home_branch(name, tuple(BranchId(branch) for branch in range(1, 11)))
        decision = ledger.decide(OpenAccount(Opening(name, None, "")))
        assert decision.outcome is (Outcome.OK if home == 1 else Outcome.NOT_HOME)
        assert decision.branch == (None if home == 1 else home)


def test_the_log_shows_the_steps_own_entries_behind_the_committed_ones() -> None:
    ledger = ledger_with({A: account(0)})
    for seq in (1, 2, 3):
        carry_out(ledger, deposit(1), seq)
    assert [entry.seq for entry in ledger.entries(HERE, Seq(0), 2)] == [1, 2]
    assert [entry.seq for entry in ledger.entries(HERE, Seq(1), 9)] == [2, 3]
    assert ledger.last_write(A, HERE) == 3
    assert ledger.write_set(A)[HERE] == 3
    assert ledger.last_write(B, HERE) == 0
