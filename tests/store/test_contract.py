"""What bankbook.core.ports and bankbook.store.base promise, of every store there is."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.history import (
    ALICE,
    BOB,
    GENESIS,
    HERE,
    IDENTITY,
    THERE,
    THERE_REBORN,
    Twin,
    changes_by,
    opening_entry,
    posting_entry,
)

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Account, Changes
from bankbook.core.types import ID_CHARACTERS_MAX, MONEY_MAX, AccountId, Money, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.base import Store
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore

ORIGINS = (HERE, THERE, THERE_REBORN)
# Every character that an id may have, and ids that only differ in case or length.
ACCOUNTS = tuple(
    AccountId(name) for name in ("alice", "ALICE", "a", "0", "a._:@+-9", "z" * ID_CHARACTERS_MAX)
)


def new_memory(_folder: Path) -> Store:
    return MemoryStore(IDENTITY)


def new_sqlite(folder: Path) -> Store:
    return SqliteStore.create_or_open(folder / "store.db", GENESIS, HERE.branch, HERE.incarnation)


STORES = pytest.mark.parametrize("new_store", [new_memory, new_sqlite])


@pytest.fixture(params=[new_memory, new_sqlite])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    make: Callable[[Path], Store] = request.param
    with closing(make(tmp_path)) as store:
        yield store


def commit(store: Store, *entries: Entry) -> None:
    store.commit(changes_by(store, *entries))


def test_a_new_store_knows_whose_it_is_and_nothing_else(store: Store) -> None:
    assert store.identity == IDENTITY
    assert store.applied() == NOTHING
    assert store.clock() == 0
    assert store.account(ALICE) is None
    assert store.write_set(ALICE) == NOTHING
    assert store.last_write(ALICE, HERE) == 0
    assert store.entries(HERE, Seq(0), 10) == []


def test_one_commit_is_read_back_whole(store: Store) -> None:
    entry = posting_entry(HERE, 1, ("alice", -40), ("bob", 40))
    commit(store, entry)
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.clock() == entry.clock
    assert store.account(ALICE) == Account(Money(60))
    assert store.account(BOB) == Account(Money(140))
    assert store.write_set(ALICE) == store.write_set(BOB) == VersionVector([(HERE, Seq(1))])
    assert store.last_write(BOB, HERE) == 1
    (read,) = store.entries(HERE, Seq(0), 10)
    assert read == entry
    assert read.encoded == entry.encoded


def test_an_account_no_entry_touched_stays_unknown_beside_one_that_was(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    assert store.account(BOB) is None
    assert store.write_set(BOB) == NOTHING
    assert store.last_write(BOB, HERE) == 0
    assert store.last_write(ALICE, THERE) == 0


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 100, [1, 2, 3, 4, 5]),
        (0, 2, [1, 2]),
        (2, 2, [3, 4]),
        (4, 1, [5]),
        (4, 100, [5]),
        (5, 100, []),
        (9, 100, []),
        (0, 0, []),
    ],
)
def test_a_peer_reads_the_log_from_where_it_stands(
    store: Store, after: int, limit: int, expected: list[int]
) -> None:
    commit(store, *(posting_entry(HERE, seq, ("alice", seq)) for seq in (1, 2, 3)))
    commit(store, posting_entry(HERE, 4, ("alice", 4)), posting_entry(HERE, 5, ("bob", 5)))
    assert [entry.seq for entry in store.entries(HERE, Seq(after), limit)] == expected


def test_logs_that_arrive_interleaved_are_kept_apart(store: Store) -> None:
    entries = [posting_entry(origin, seq, ("alice", 1)) for seq in (1, 2, 3) for origin in reversed(ORIGINS)]
    commit(store, *entries[:4])
    commit(store, *entries[4:])
    assert store.applied() == VersionVector((origin, Seq(3)) for origin in ORIGINS)
    for origin in ORIGINS:
        assert store.entries(origin, Seq(0), 9) == [e for e in entries if e.origin == origin]


def test_a_branch_that_lost_its_disk_starts_its_second_log_at_1(store: Store) -> None:
    commit(store, posting_entry(THERE, 1, ("alice", 1)), posting_entry(THERE, 2, ("alice", 1)))
    commit(store, posting_entry(THERE_REBORN, 1, ("alice", 1)))
    assert store.applied() == VersionVector([(THERE, Seq(2)), (THERE_REBORN, Seq(1))])
    assert store.write_set(ALICE) == store.applied()
    assert store.last_write(ALICE, THERE_REBORN) == 1


def test_write_sets_merge_over_commits_and_forget_no_origin(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)), posting_entry(THERE, 1, ("alice", 1)))
    commit(store, posting_entry(HERE, 2, ("alice", 1)), posting_entry(THERE, 2, ("bob", 1)))
    assert store.write_set(ALICE) == VersionVector([(HERE, Seq(2)), (THERE, Seq(1))])
    assert store.write_set(BOB) == VersionVector([(THERE, Seq(2))])


@pytest.mark.parametrize("sign", [1, -1])
def test_branches_that_decide_at_once_take_an_account_beyond_what_one_may(store: Store, sign: int) -> None:
    for seq, amount in enumerate((MONEY_MAX, MONEY_MAX, 1), start=1):
        before = store.account(ALICE) or Account(Money(100))
        commit(store, posting_entry(HERE, seq, ("alice", sign * amount)))
        assert store.account(ALICE) == Account(Money(before.balance + sign * amount))


@pytest.mark.parametrize("balance", [2**63 - 1, -(2**63), MONEY_MAX, -MONEY_MAX, 0])
def test_a_balance_is_kept_to_the_last_unit_up_to_the_ends_of_int64(store: Store, balance: int) -> None:
    state = Account(Money(balance), floor=Money(-MONEY_MAX))
    entry = posting_entry(HERE, 1, ("alice", 1))
    store.commit(Changes([entry], {ALICE: state}, {ALICE: {HERE: Seq(1)}}, HybridTime(HYBRID_TIME_MAX)))
    assert store.account(ALICE) == state
    assert store.clock() == HYBRID_TIME_MAX


def test_an_account_is_opened_on_its_own_terms(store: Store) -> None:
    entries = [
        opening_entry(HERE, 1, "till", None, "EUR"),
        opening_entry(HERE, 2, "credit", -500, ""),
        opening_entry(HERE, 3, "savings", 0, "CHF"),
    ]
    commit(store, *entries)
    assert store.account(AccountId("till")) == Account(Money(0), None, "EUR")
    assert store.account(AccountId("credit")) == Account(Money(0), Money(-500), "")
    assert store.account(AccountId("savings")) == Account(Money(0), Money(0), "CHF")
    assert store.entries(HERE, Seq(0), 3) == entries
    commit(store, posting_entry(HERE, 4, ("till", -MONEY_MAX)))
    assert store.account(AccountId("till")) == Account(Money(-MONEY_MAX), None, "EUR")


def test_account_ids_that_look_alike_are_different_accounts(store: Store) -> None:
    for seq, account in enumerate(ACCOUNTS, start=1):
        commit(store, posting_entry(HERE, seq, (account, seq)))
    assert [store.account(account) for account in ACCOUNTS] == [
        Account(Money(100 + seq)) for seq in range(1, len(ACCOUNTS) + 1)
    ]


def test_a_gap_in_a_log_is_refused_before_anything_is_written(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 1)))
    gap = changes_by(store, posting_entry(HERE, 2, ("alice", 1)), posting_entry(HERE, 4, ("alice", 1)))
    with pytest.raises(AssertionError, match="#4 does not follow #2"):
        store.commit(gap)
    assert store.applied() == VersionVector([(HERE, Seq(1))])
    assert store.account(ALICE) == Account(Money(101))
    assert len(store.entries(HERE, Seq(0), 9)) == 1


def test_the_same_entry_twice_is_refused(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    store.commit(changes)
    with pytest.raises(AssertionError, match="#1 does not follow #1"):
        store.commit(changes)
    assert store.account(ALICE) == Account(Money(101))


def test_a_write_set_that_names_an_entry_nobody_has_is_refused(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    changes.last_writes[ALICE][THERE] = Seq(1)
    with pytest.raises(AssertionError, match="alice"):
        store.commit(changes)
    assert store.applied() == NOTHING


def test_a_balance_that_no_database_can_hold_is_refused(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    changes.accounts[ALICE] = Account(Money(2**63))
    with pytest.raises(AssertionError, match="alice"):
        store.commit(changes)
    assert store.applied() == NOTHING


def test_what_was_committed_does_not_change_with_the_callers_object(store: Store) -> None:
    changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
    store.commit(changes)
    changes.entries.clear()
    changes.accounts[ALICE] = Account(Money(0))
    changes.last_writes[ALICE].clear()
    assert len(store.entries(HERE, Seq(0), 9)) == 1
    assert store.account(ALICE) == Account(Money(101))
    assert store.last_write(ALICE, HERE) == 1


def test_a_step_without_entries_commits_its_clock(store: Store) -> None:
    store.commit(Changes(clock=HybridTime(7)))
    assert store.clock() == 7
    assert store.applied() == NOTHING


def test_closing_twice_is_harmless(store: Store) -> None:
    store.close()
    store.close()


LEGS = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), st.integers(-MONEY_MAX, MONEY_MAX)), min_size=1, max_size=2
)
OPENINGS = st.tuples(
    st.sampled_from(ACCOUNTS), st.none() | st.integers(-MONEY_MAX, 0), st.sampled_from(["", "EUR"])
)
COMMITS = st.lists(
    st.lists(st.tuples(st.sampled_from(ORIGINS), LEGS | OPENINGS), min_size=1, max_size=6), max_size=8
)


def make(origin: Origin, seq: int, what: object) -> Entry:
    if isinstance(what, list):
        return posting_entry(origin, seq, *what)
    assert isinstance(what, tuple)
    return opening_entry(origin, seq, *what)


@STORES
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=COMMITS, after=st.integers(0, 6), limit=st.integers(0, 6))
def test_any_history_reads_as_a_list_of_its_entries_would(
    new_store: Callable[[Path], Store], history: list[list[tuple[Origin, object]]], after: int, limit: int
) -> None:
    twin = Twin()
    with TemporaryDirectory() as folder, closing(new_store(Path(folder))) as store:
        for drafts in history:
            fresh: list[Entry] = []
            for origin, what in drafts:
                seq = twin.applied()[origin] + 1
                fresh.append(make(origin, seq, what))
                twin.history.append(fresh[-1])
            commit(store, *fresh)
            assert store.applied() == twin.applied()
            assert store.clock() == twin.clock()
            for account in ACCOUNTS:
                assert store.account(account) == twin.account(account)
                assert store.write_set(account) == twin.write_set(account)
            for origin in ORIGINS:
                assert store.entries(origin, Seq(after), limit) == twin.entries(origin, Seq(after), limit)
                for account in ACCOUNTS:
                    assert store.last_write(account, origin) == twin.last_write(account, origin)
