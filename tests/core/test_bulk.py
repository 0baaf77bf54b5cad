"""Thousands of plain movements at once: decided, written and applied as one after the other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HybridTime
from bankbook.core.columns import Columns
from bankbook.core.commands import Batch, Deposit, Moves, Transfer, Withdraw, batch_of, outcomes_of
from bankbook.core.decision import Decision
from bankbook.core.encoding import decode_entry, make_entry
from bankbook.core.entry import Entry, Keyed, MoveRecords
from bankbook.core.keys import replay
from bankbook.core.ledger import Teller
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Holding, Identity, row_of
from bankbook.core.state import State
from bankbook.core.types import (
    MONEY_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    Seq,
)
from bankbook.core.vector import NOTHING
from bankbook.store.memory import MemoryStore

HERE, BEFORE, THERE = (
    Origin(BranchId(branch), Incarnation(life)) for branch, life in ((1, 2), (1, 1), (2, 1))
)
GENESIS = Genesis("test", (HERE.branch, THERE.branch))
NAMES = [AccountId(name) for name in "abcdef"]
NOT_OPEN = AccountId("nobody")

# Small ones, so that funds and rights run out; and such as lie at the ends of what a balance may be.
amounts = st.one_of(st.integers(0, 60), st.sampled_from([MONEY_MAX, MONEY_MAX - 1])).map(Money)
balances = st.one_of(
    st.integers(-60, 60), st.sampled_from([MONEY_MAX, -MONEY_MAX, MONEY_MAX - 30, 2 * MONEY_MAX])
)
names = st.sampled_from([*NAMES, NOT_OPEN])
memos = st.sampled_from(["", "rent"])
commands = st.one_of(
    st.builds(Deposit, names, amounts, memos),
    st.builds(Withdraw, names, amounts, memos),
    st.builds(Transfer, names, names, amounts, memos),
)


@st.composite
def states(draw: st.DrawFn) -> MemoryStore:
    """Return accounts with and without a floor, whose rights are here in part."""
    rows = {}
    currencies = draw(st.sampled_from([[""], [""], ["", "EUR"]]))
    for name in NAMES:
        balance = draw(balances)
        floor = draw(st.sampled_from([None, 0, -50]))
        floor = None if floor is None else min(floor, balance)
        reserved = draw(st.integers(0, 5)) if floor is None or balance - floor > 5 else 0
        account = Account(
            Money(balance),
            None if floor is None else Money(floor),
            draw(st.sampled_from(currencies)),
            Money(reserved),
        )
        rights = balance - (floor or 0) - reserved
        here = draw(st.integers(0, rights)) if rights > 0 else rights
        earlier = draw(st.integers(0, max(here, 0)))
        holdings = {
            HERE: Holding(rights=Money(here - earlier)),
            BEFORE: Holding(rights=Money(earlier)),
            THERE: Holding(rights=Money(rights - here)),
        }
        rows[name] = row_of(account, holdings)
    store = MemoryStore(Identity(HERE, GENESIS))
    store.commit(Changes(rows=rows))
    return store


def decide(store: MemoryStore, batch: Batch, heard: list[AccountId]) -> Decision:
    state = State(store, GENESIS)
    return Teller(state, HERE.branch, 0, EntryId(HERE, Seq(1)), heard=heard).decide(batch)


def entry_of(decision: Decision) -> Entry:
    return make_entry(
        origin=HERE,
        seq=Seq(1),
        clock=HybridTime(7),
        dependencies=NOTHING,
        customer=CustomerId("anna"),
        keyed=Keyed(Key("1/x"), "f00d"),
        records=decision.records,
    )


def changed_by(store: MemoryStore, entry: Entry) -> Changes:
    state = State(store, GENESIS)
    state.apply(entry)
    return replace(state.take_changes(HybridTime(8)), entries=[])


@given(states(), st.lists(commands, min_size=1, max_size=30), st.booleans(), st.lists(names, unique=True))
def test_movements_in_columns_end_as_the_same_commands_one_by_one(
    store: MemoryStore, asked: list[Deposit | Withdraw | Transfer], is_atomic: bool, heard: list[AccountId]
) -> None:
    in_columns, one_by_one = batch_of(asked, is_atomic=is_atomic), Batch(tuple(asked), is_atomic)
    assert isinstance(in_columns.commands, Moves)
    assert list(in_columns.commands) == asked
    fast, slow = decide(store, in_columns, heard), decide(store, one_by_one, heard)
    assert list(fast.results) == list(slow.results)
    assert list(fast.records) == list(slow.records)
    assert fast._replace(records=(), results=()) == slow._replace(records=(), results=())
    assert (fast.moves_money, fast.refuses_some) == (slow.moves_money, slow.refuses_some)
    assert outcomes_of(fast.results) == outcomes_of(slow.results)
    quick, plain = entry_of(fast), entry_of(slow)
    assert (quick.postings, quick.moves_money) == (plain.postings, plain.moves_money)
    assert quick.kinds == plain.kinds
    assert set(quick.accounts) == set(plain.accounts)
    assert changed_by(store, quick) == changed_by(store, plain)
    assert decode_entry(quick.encoded) == quick
    again = replay(quick, in_columns), replay(plain, one_by_one)
    # What balances count stands in no entry; who replays one looks it up (test_batches.py).
    told = [each._replace(currency="") for each in slow.results]
    assert list(again[0].results) == list(again[1].results) == told
    assert [each.outcome for each in again] == [slow.outcome] * 2


@pytest.mark.parametrize("is_atomic", [False, True])
def test_plain_movements_in_one_currency_are_written_in_columns(is_atomic: bool) -> None:
    store = MemoryStore(Identity(HERE, Genesis("test", (HERE.branch,), Money(100))))
    batch = batch_of([Transfer(NAMES[0], NAMES[1], Money(5))] * 3, is_atomic=is_atomic)
    state = State(store, store.identity.genesis)
    decision = Teller(state, HERE.branch, 0, EntryId(HERE, Seq(1))).decide(batch)
    assert isinstance(decision.records, MoveRecords)
    assert [result.balance for result in decision.results] == [95, 90, 85]
    assert b'"moves":{"accounts":["a","b"],"from":[1,1,1],"to":[2,2,2],' in entry_of(decision).encoded


def test_what_an_account_lacks_in_a_movement_is_asked_for_with_what_came_before_it() -> None:
    store = MemoryStore(Identity(HERE, Genesis("test", (HERE.branch, THERE.branch), Money(100))))
    state = State(store, store.identity.genesis)
    taken = Withdraw(NAMES[0], Money(30))
    batch = batch_of([taken, taken, Deposit(NAMES[1], Money(1))])
    decision = Teller(state, HERE.branch, 0, EntryId(HERE, Seq(1))).decide(batch)
    outcomes = [result.outcome for result in decision.results]
    assert outcomes == [Outcome.OK, Outcome.RIGHTS_UNREACHABLE, Outcome.OK]
    assert [(short.account, short.missing) for short in decision.shorts] == [(NAMES[0], 10)]


def test_columns_name_each_account_once_in_the_order_in_which_it_comes() -> None:
    batch = batch_of([Transfer(NAMES[1], NAMES[0], Money(5)), Deposit(NAMES[0], Money(2), "tip")])
    assert isinstance(batch.commands, Moves)
    amounts = Money(5), Money(2)
    assert batch.commands.columns == Columns((NAMES[1], NAMES[0]), (1, 0), (2, 2), amounts, ("", "tip"))
    assert batch.commands[-1] == Deposit(NAMES[0], Money(2), "tip")
    assert batch.commands[0:1] == (Transfer(NAMES[1], NAMES[0], Money(5)),)
