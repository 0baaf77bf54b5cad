"""What a command does to the accounts: the ladder, its precedence and its limits."""

from collections.abc import Collection

import pytest

from bankbook.core.clock import HybridTime
from bankbook.core.commands import (
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.decision import Decision, Short
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Opening, Posting, RecordKind
from bankbook.core.ledger import Teller, decider_of
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Holding, Identity, account_in, holdings_in, row_of
from bankbook.core.state import State
from bankbook.core.types import (
    BALANCE_MAX,
    MONEY_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Money,
    Origin,
    Seq,
    chosen_branch,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.memory import MemoryStore

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
HERE, THERE = (Origin(BranchId(branch), Incarnation(1)) for branch in (1, 2))
INT32_MAX = 2**31 - 1


def state_with(
    accounts: dict[AccountId, Account], *, opening_balance: int | None = None, rights_there: int = 0
) -> State:
    """Return accounts, the rights to which are here but for some to each that are at another branch."""
    genesis = Genesis(
        "test",
        (HERE.branch, THERE.branch) if rights_there else (HERE.branch,),
        None if opening_balance is None else Money(opening_balance),
    )
    store = MemoryStore(Identity(HERE, genesis))
    rows = {}
    for name, each in accounts.items():
        holdings = {HERE: Holding(rights=Money(max(each.available or 0, 0) - rights_there))}
        if rights_there:
            holdings[THERE] = Holding(rights=Money(rights_there))
        rows[name] = row_of(each, holdings)
    store.commit(Changes(rows=rows))
    return State(store, genesis)


def decide(
    state: State,
    command: Command,
    *,
    balance_max: int = BALANCE_MAX,
    heard: Collection[AccountId] = (A, B, C),
) -> Decision:
    """Decide as a branch that has asked all others about the accounts in `heard`."""
    here = EntryId(HERE, Seq(1))
    return Teller(state, HERE.branch, 0, here, Money(balance_max), heard).decide(command)


def carry_out(state: State, command: Command, seq: int) -> Decision:
    """Decide, and apply what was decided as entry `seq`."""
    decision = decide(state, command)
    if decision.records:
        state.apply(
            make_entry(
                origin=HERE,
                seq=Seq(seq),
                clock=HybridTime(seq),
                dependencies=NOTHING,
                customer=CustomerId("anna"),
                records=decision.records,
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
    return decide(state_with(accounts), command, balance_max=balance_max).outcome


def test_a_deposit_tells_the_balance_after_and_writes_one_leg() -> None:
    decision = decide(state_with({A: account(3)}), deposit(5))
    assert (decision.outcome, decision.balance) == (Outcome.OK, 8)
    (record,) = decision.records
    assert (record.kind, record.postings) == (RecordKind.DEPOSIT, (Posting(A, Money(5)),))
    assert record.verdict == (Outcome.OK, 8, 8, "")


def test_a_transfer_tells_the_sources_balance_and_its_legs_sum_to_zero() -> None:
    decision = decide(state_with({A: account(5), B: account(0)}), transfer(5))
    assert (decision.outcome, decision.balance) == (Outcome.OK, 0)
    (record,) = decision.records
    assert record.postings == (Posting(A, Money(-5)), Posting(B, Money(5)))


def test_deciding_changes_nothing() -> None:
    state = state_with({A: account(3)})
    decide(state, deposit(5))
    assert decide(state, ReadBalance(A)).balance == 3
    assert not state.take_changes(HybridTime(0))


def test_a_transfer_moves_both_balances_in_one_change() -> None:
    state = state_with({A: account(5), B: account(0)})
    carry_out(state, transfer(5), 1)
    changes = state.take_changes(HybridTime(1))
    assert {name: account_in(row) for name, row in changes.rows.items()} == {A: account(0), B: account(5)}
    assert {name: holdings_in(row)[HERE] for name, row in changes.rows.items()} == {A: (1, 0), B: (1, 5)}
    assert len(changes.entries) == 1


def test_every_possible_account_is_open_where_the_genesis_says_so() -> None:
    state = state_with({}, opening_balance=7)
    assert decide(state, ReadBalance(C)).balance == 7
    assert carry_out(state, deposit(1, into=C), 1).balance == 8
    assert decide(state, OpenAccount(Opening(C, None, ""))).outcome is Outcome.ACCOUNT_EXISTS


def test_an_account_can_be_used_in_the_step_that_opens_it_and_not_be_opened_twice() -> None:
    state = state_with({})
    opening = OpenAccount(Opening(A, Money(-5), "EUR"))
    assert carry_out(state, opening, 1).outcome is Outcome.OK
    assert decide(state, opening).outcome is Outcome.ACCOUNT_EXISTS
    assert carry_out(state, withdraw(5), 2).balance == -5
    assert decide(state, withdraw(1)).outcome is Outcome.INSUFFICIENT_FUNDS


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
    decision = decide(state_with({A: account(5, -1)}), withdraw(7))
    assert decision.balance == 5
    assert decision.detail == "account a has 5, its floor is -1: 7 is more than 6"


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
    state = state_with({A: account(2 * MONEY_MAX), B: account(-2 * MONEY_MAX, None)})
    assert decide(state, ReadBalance(A)).balance == 2 * MONEY_MAX
    assert decide(state, withdraw(1)).balance == 2 * MONEY_MAX - 1
    assert decide(state, transfer(1)).balance == 2 * MONEY_MAX - 1
    assert decide(state, deposit(1)).outcome is Outcome.BALANCE_LIMIT


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
    (withdraw(9), {A: account(-1)}, Outcome.INSUFFICIENT_FUNDS),
    (deposit(9), {A: account(MONEY_MAX)}, Outcome.BALANCE_LIMIT),
]


@pytest.mark.parametrize(("command", "accounts", "told"), PRECEDENCE)
def test_where_several_refusals_apply_the_one_defined_first_is_told(
    command: Command, accounts: dict[AccountId, Account], told: Outcome
) -> None:
    assert outcome_of(command, accounts, balance_max=1) is told


def opening_of(name: str) -> OpenAccount:
    return OpenAccount(Opening(AccountId(name), None, ""))


def test_the_home_of_an_account_is_the_same_in_every_process() -> None:
    branches = tuple(BranchId(number) for number in range(1, 11))
    assert [decider_of(opening_of(name), branches) for name in ("anna", "bert", "345")] == [4, 3, 4]


def test_homes_are_spread_over_all_branches() -> None:
    branches = tuple(BranchId(number) for number in range(1, 11))
    homes = {decider_of(opening_of(f"account-{number}"), branches) for number in range(200)}
    assert homes == set(branches)
    assert chosen_branch("account-1", branches) == decider_of(opening_of("account-1"), branches)


@pytest.mark.parametrize(
    "command", [deposit(1), withdraw(1), transfer(1), ReadBalance(A), Reserve(A, Money(1))]
)
def test_what_needs_no_home_is_decided_wherever_it_is_asked(command: Command) -> None:
    assert decider_of(command, (HERE.branch, THERE.branch)) is None


# Rights.


def test_a_branch_takes_out_what_it_may_and_says_what_it_lacks() -> None:
    state = state_with({A: account(10)}, rights_there=6)
    assert decide(state, withdraw(4)).outcome is Outcome.OK
    short = decide(state, withdraw(5))
    assert (short.outcome, short.shorts) == (Outcome.RIGHTS_UNREACHABLE, (Short(A, Money(1), False),))


def test_what_looks_like_too_little_is_no_fact_before_the_others_were_heard() -> None:
    state = state_with({A: account(10)}, rights_there=6)
    before = decide(state, withdraw(11), heard=())
    assert (before.outcome, before.shorts) == (Outcome.RIGHTS_UNREACHABLE, (Short(A, Money(7), True),))
    after = decide(state, withdraw(11), heard=(A,))
    assert (after.outcome, after.shorts, after.balance) == (Outcome.INSUFFICIENT_FUNDS, (), 10)


def test_a_transaction_that_lacks_rights_to_two_accounts_names_both() -> None:
    state = state_with({A: account(10), B: account(10), C: account(0)}, rights_there=6)
    legs = Submit((Posting(A, Money(-7)), Posting(B, Money(-8)), Posting(C, Money(15))))
    assert decide(state, legs).shorts == (Short(A, Money(3), False), Short(B, Money(4), False))


def test_a_fact_about_one_account_comes_before_a_want_of_rights_to_another() -> None:
    state = state_with({A: account(10), B: account(10), C: account(0)}, rights_there=6)
    legs = Submit((Posting(A, Money(-7)), Posting(B, Money(-11)), Posting(C, Money(18))))
    assert decide(state, legs, heard=(B,)).outcome is Outcome.INSUFFICIENT_FUNDS
    assert decide(state, legs, heard=(A,)).outcome is Outcome.RIGHTS_UNREACHABLE


# Transactions of many legs.


@pytest.mark.parametrize(
    ("legs", "outcome"),
    [
        ({A: -7, B: 3, C: 4}, Outcome.OK),
        ({A: -7, B: 3, C: 5}, Outcome.UNBALANCED),
        ({A: 0, B: 0}, Outcome.OK),
        ({A: -11, B: 11}, Outcome.INSUFFICIENT_FUNDS),
        ({A: -1, AccountId("nobody"): 1}, Outcome.UNKNOWN_ACCOUNT),
    ],
)
def test_the_legs_of_a_transaction_sum_to_zero_or_nothing_moves(
    legs: dict[AccountId, int], outcome: Outcome
) -> None:
    accounts = {A: account(10), B: account(0), C: account(0)}
    postings = tuple(Posting(name, Money(amount)) for name, amount in legs.items())
    assert outcome_of(Submit(postings), accounts) is outcome


def test_each_currency_of_a_transaction_sums_to_zero_by_itself() -> None:
    accounts = {A: account(10, 0, "EUR"), B: account(0, 0, "USD"), C: account(0, 0, "EUR")}
    across = Submit((Posting(A, Money(-5)), Posting(B, Money(5))))
    within = Submit((Posting(A, Money(-5)), Posting(C, Money(5)), Posting(B, Money(0))))
    assert outcome_of(across, accounts) is Outcome.UNBALANCED
    assert outcome_of(within, accounts) is Outcome.OK


def test_an_account_with_two_legs_is_told_to_make_them_one() -> None:
    accounts = {A: account(10), B: account(0)}
    twice = Submit((Posting(A, Money(-5)), Posting(B, Money(10)), Posting(A, Money(-5))))
    decision = decide(state_with(accounts), twice)
    assert (decision.outcome, decision.detail) == (
        Outcome.SAME_ACCOUNT,
        "account a has two legs; make them one",
    )


def test_the_log_shows_the_steps_own_entries_behind_the_committed_ones() -> None:
    state = state_with({A: account(0)})
    for seq in (1, 2, 3):
        carry_out(state, deposit(1), seq)
    assert [entry.seq for entry in state.entries(HERE, Seq(0), 2)] == [1, 2]
    assert [entry.seq for entry in state.entries(HERE, Seq(1), 9)] == [2, 3]
    assert state.last_write(A, HERE) == 3
    assert state.write_set((A,), VersionVector([(HERE, Seq(3))]))[HERE] == 3
    assert state.last_write(B, HERE) == 0
