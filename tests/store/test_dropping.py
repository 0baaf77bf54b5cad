"""Entries that every branch has are dropped; accounts, keys and reservations stay as they were."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.history import (
    ACCOUNTS,
    ALICE,
    BOB,
    FOR_EVER,
    HERE,
    ORIGINS,
    START,
    THERE,
    Twin,
    changes_by,
    posting_entry,
)
from store.stores import STORES, NewStore, open_sqlite
from store.test_checkpoints import killed
from store.test_histories import COMMITS, KEYS, decide

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Changes, Drop, Position
from bankbook.core.types import Key, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import dropping
from bankbook.store.base import Store
from bankbook.store.history import history
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import Bounds

ALWAYS = Bounds(replay_max=1, slice_rows=99, clean_rows_max=1, segment_rows=3)
ORDER = Key("1/order-17")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(request.param(tmp_path)) as new:
        yield new


def commit(store: Store, *entries: Entry) -> None:
    store.commit(changes_by(store, *entries))


def drop(store: Store, before: int, everywhere: VersionVector | None = None) -> None:
    """Have the store drop what is older than that, and what every branch has: all, if nothing is said."""
    store.commit(
        Changes(
            drop=Drop(HybridTime(before), store.applied() if everywhere is None else everywhere),
            clock=store.clock(),
        )
    )


def summed_up(store: Store) -> Store:
    """Return the store once its tables tell of all that it has."""
    if not isinstance(store, SqliteStore):
        return store
    path = store._file.path
    store.close()
    return open_sqlite(path, store._bounds)


def test_what_is_old_and_everywhere_is_dropped_and_the_balances_stay(store: Store) -> None:
    commit(store, *(posting_entry(HERE, seq, ("alice", seq), ("bob", -seq)) for seq in (1, 2, 3, 4)))
    before = [(store.account(each), store.holdings(each)) for each in (ALICE, BOB)]
    with closing(summed_up(store)) as kept:
        drop(kept, 3 << 16)
        assert kept.dropped() == VersionVector([(HERE, Seq(2))])
        assert kept.stated_from() == (2 << 16) + 1
        assert [entry.seq for entry in kept.entries(HERE, Seq(2), 9)] == [3, 4]
        assert [(kept.account(each), kept.holdings(each)) for each in (ALICE, BOB)] == before
        later = Position(HybridTime(kept.stated_from()), *START[1:])
        assert [each.amount for each in kept.postings(ALICE, later, FOR_EVER, 9)] == [3, 4]
        assert kept.moved_from(ALICE, later) == 7


def test_of_what_was_dropped_nothing_is_sent_instead(store: Store) -> None:
    commit(store, *(posting_entry(HERE, seq, ("alice", 1)) for seq in (1, 2, 3)))
    with closing(summed_up(store)) as kept:
        drop(kept, 3 << 16)
        for after in (0, 1):
            with pytest.raises(AssertionError, match="dropped"):
                kept.entries(HERE, Seq(after), 9)


def test_what_some_branch_lacks_is_kept_however_old(store: Store) -> None:
    commit(store, *(posting_entry(HERE, seq, ("alice", 1)) for seq in (1, 2, 3)))
    commit(store, *(posting_entry(THERE, seq, ("alice", 1)) for seq in (1, 2, 3)))
    with closing(summed_up(store)) as kept:
        drop(kept, FOR_EVER, VersionVector([(HERE, Seq(2))]))
        assert kept.dropped() == VersionVector([(HERE, Seq(2))])
        drop(kept, FOR_EVER, NOTHING)
        assert kept.dropped() == VersionVector([(HERE, Seq(2))])


def test_the_entry_of_a_key_that_is_remembered_is_kept_and_all_that_is_younger(store: Store) -> None:
    first, keyed = posting_entry(HERE, 1, ("alice", 1)), posting_entry(HERE, 2, ("alice", 1), key=ORDER)
    commit(store, first, keyed, posting_entry(HERE, 3, ("alice", 1)))
    with closing(summed_up(store)) as kept:
        drop(kept, FOR_EVER)
        assert kept.entries(HERE, Seq(1), 1) == [keyed]
        kept.commit(Changes(forget_keys_before=FOR_EVER, clock=kept.clock()))
        drop(kept, FOR_EVER)
        assert kept.dropped() == kept.applied()


def test_what_is_dropped_depends_on_nothing_that_is_kept(store: Store) -> None:
    """The oldest go first, whichever log they are in, also where not all can go at once."""
    for seq in range(1, 20):
        commit(store, posting_entry(HERE, seq, ("alice", 1)), posting_entry(THERE, seq, ("bob", 1)))
    with closing(summed_up(store)) as kept:
        drop_at_least(kept, 6)
        while kept.dropped() != kept.applied():
            before = kept.dropped()
            drop(kept, FOR_EVER)
            here, there = (kept.dropped()[origin] for origin in (HERE, THERE))
            assert there <= here <= there + 1
            assert 0 < here + there - before[HERE] - before[THERE] <= 3, "a few with each commit"


def drop_at_least(store: Store, weight: int) -> None:
    if isinstance(store, SqliteStore):
        store._bounds = store._bounds._replace(dropped_min=weight)
    else:
        assert isinstance(store, MemoryStore)
        store.dropped_min = weight


def test_dropping_keeps_up_with_writing(store: Store) -> None:
    drop_at_least(store, 1)
    for seq in range(1, 200):
        changes = changes_by(store, posting_entry(HERE, seq, ("alice", 1), ("bob", -1)))
        changes.drop = Drop(FOR_EVER, store.applied())
        store.commit(changes)
    if not isinstance(store, SqliteStore) or store._bounds.replay_max == 1:
        assert store.dropped()[HERE] >= 190


def test_a_statement_row_with_something_that_is_kept_stays_whole(tmp_path: Path) -> None:
    """Rows of the table have several postings; a row goes once all of them are dropped."""
    with closing(open_sqlite(tmp_path / "store.db", Bounds())) as store:
        commit(store, *(posting_entry(HERE, seq, ("alice", seq)) for seq in (1, 2, 3)))
    with closing(open_sqlite(tmp_path / "store.db", ALWAYS)) as store:
        rows = "SELECT count(*) FROM statement"
        drop(store, 3 << 16)
        assert store._connection.execute(rows).fetchone() == (1,)
        later = Position(store.stated_from(), *START[1:])
        assert [each.amount for each in store.postings(ALICE, later, FOR_EVER, 9)] == [3]
        drop(store, 4 << 16)
        assert store._connection.execute(rows).fetchone() == (0,)
        assert store.moved_from(ALICE, Position(store.stated_from(), *START[1:])) == 0


def test_the_lines_of_an_account_that_is_busy_go_when_it_is_written_next(tmp_path: Path) -> None:
    path, rows = tmp_path / "store.db", "SELECT account, postings FROM statement ORDER BY account"
    with closing(open_sqlite(path, Bounds())) as store:
        commit(store, posting_entry(HERE, 1, ("alice", 1), ("bob", 1)))
    with closing(open_sqlite(path, Bounds())) as store:
        commit(store, posting_entry(HERE, 2, ("alice", 2)))
        drop(store, FOR_EVER)
        assert [account for account, _ in store._connection.execute(rows)] == ["alice"]
        store._write_tables()
        (_, postings), *others = store._connection.execute(rows).fetchall()
        assert not others
        assert [leg[-1] for leg in json.loads(postings)] == [2]
        assert store.moved_from(ALICE, Position(store.stated_from(), *START[1:])) == 2


def test_what_the_tables_do_not_tell_of_is_not_dropped_and_a_killed_branch_has_it_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    with closing(open_sqlite(path, Bounds())) as store:
        commit(store, posting_entry(HERE, 1, ("alice", 1)))
    with closing(open_sqlite(path, Bounds())) as store:
        commit(store, posting_entry(HERE, 2, ("alice", 2)), posting_entry(HERE, 3, ("bob", 3)))
        drop(store, FOR_EVER)
        assert store.dropped() == VersionVector([(HERE, Seq(1))])
        with closing(open_sqlite(killed(store, tmp_path), Bounds())) as again:
            for account in (ALICE, BOB):
                assert again.account(account) == store.account(account)
                assert again.holdings(account) == store.holdings(account)
            assert (again.dropped(), again.stated_from()) == (store.dropped(), store.stated_from())
            assert again.entries(HERE, Seq(1), 9) == store.entries(HERE, Seq(1), 9)


def test_a_drop_whose_commit_failed_did_not_happen(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_sqlite(path, Bounds())) as store:
        commit(store, *(posting_entry(HERE, seq, ("alice", 1)) for seq in (1, 2, 3)))
    with closing(open_sqlite(path, Bounds())) as store:
        no = "CREATE TEMP TRIGGER no BEFORE UPDATE OF dropped ON origin BEGIN SELECT RAISE(ABORT, 'no'); END"
        store._connection.execute(no)
        with pytest.raises(Exception, match="no"):
            drop(store, FOR_EVER)
        assert store.dropped() == NOTHING
        assert len(store.entries(HERE, Seq(0), 9)) == 3
        store._connection.execute("DROP TRIGGER no")
        drop(store, FOR_EVER)
        assert store.dropped() == store.applied()


def test_a_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """The space of what was dropped is used again."""
    path, sizes = tmp_path / "store.db", []
    with closing(open_sqlite(path, Bounds(replay_max=17, slice_rows=9, segment_rows=10))) as store:
        for seq in range(1, 4_001):
            changes = changes_by(store, posting_entry(HERE, seq, ("alice", 1), ("bob", -1)))
            changes.drop = Drop(HybridTime(max(seq - 100, 0) << 16), store.applied())
            store.commit(changes)
            if seq % 1_000 == 0:
                pages = store._connection.execute("PRAGMA page_count").fetchone()
                sizes.append(pages[0])
        rows, segments = (
            store._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  (ours)
            for table in ("statement", "segment")
        )
        assert 0 < segments <= rows / 10 + 2, (rows, segments)
    assert max(sizes) <= sizes[0] + 4, sizes


@pytest.mark.parametrize("new_store", STORES)
@settings(max_examples=100)
@given(
    commits=COMMITS,
    drops=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8),
    after=st.integers(0, 6),
)
def test_any_history_reads_the_same_but_for_what_was_dropped(
    new_store: NewStore,
    commits: list[list[tuple[Origin, object, str, bool]]],
    drops: list[tuple[int, int]],
    after: int,
) -> None:
    twin = Twin()
    with TemporaryDirectory() as folder, closing(new_store(Path(folder))) as store:
        for number, drafts in enumerate(commits):
            changes = changes_by(store, *(decide(twin, *draft) for draft in drafts))
            if number < len(drops):
                before, lacking = drops[number]
                everywhere = VersionVector((o, Seq(max(s - lacking, 0))) for o, s in store.applied())
                changes.drop = Drop(HybridTime(before), everywhere)
            store.commit(changes)
            compare(store, twin, after)


def compare(store: Store, twin: Twin, after: int) -> None:
    """Compare a store that has dropped some with a twin that has not."""
    dropped, stated_from = store.dropped(), store.stated_from()
    assert store.applied() == twin.applied()
    assert store.applied().dominates(dropped)
    for origin in ORIGINS:
        start = Seq(max(dropped[origin], after))
        assert store.entries(origin, start, 9) == twin.entries(origin, start, 9)
        assert store.expiring(origin.branch, 9) == twin.expiring(origin.branch, 9)
    assert [entry.id for entry in history(store, dropped, store.applied())] == [
        entry.id
        for entry in sorted(twin.history, key=lambda e: (e.clock, e.origin, e.seq))
        if entry.seq > dropped[entry.origin]
    ]
    for key in KEYS:
        known = store.key(key)
        assert known == twin.key(key)
        assert known is None or known.entry.seq > dropped[known.entry.origin], "its outcome can be told"
    for name, made in twin.reservations().items():
        assert store.reservation(name) == made
    for account in ACCOUNTS:
        assert store.account(account) == twin.account(account)
        assert store.holdings(account) == twin.holdings(account)
        for clock in (stated_from, HybridTime(stated_from + after)):
            place = Position(clock, *START[1:])
            assert store.postings(account, place, FOR_EVER, 99) == twin.postings(account, place, FOR_EVER, 99)
            assert store.moved_from(account, place) == twin.moved_from(account, place)


def test_entries_of_a_log_are_dropped_in_its_order_only() -> None:
    with pytest.raises(AssertionError, match="#2 is not the oldest"):
        dropping.dropped_after(NOTHING, [posting_entry(HERE, 2, ("alice", 1))])


def test_of_large_entries_few_are_read_ahead(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by reading: eight batches of 8,192 movements are 19 MB, for each log, as long as it lasts."""
    entries = [posting_entry(HERE, seq, ("alice", 1)) for seq in range(1, 9)]
    commit(store, *entries)
    monkeypatch.setattr(dropping, "_AHEAD_BYTES", 2 * len(entries[0].encoded))
    oldest, all_of_them = dropping.Oldest(store), Drop(FOR_EVER, store.applied())
    assert oldest.droppable(all_of_them, store.applied(), 99) == entries
    assert 1 <= max(map(len, oldest._runs.values())) <= 2
    assert dropping.Oldest(store).droppable(all_of_them, store.applied(), 1) == entries[:1]
