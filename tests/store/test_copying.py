"""A copy of a store, taken by another one: it reads as the first did at that moment, or as nothing at all."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.history import (
    ALICE,
    BOB,
    FOR_EVER,
    GENESIS,
    HERE,
    START,
    THERE,
    Twin,
    changes_by,
    entry_of,
    granted,
    posting_entry,
    reserved,
    settled,
)
from store.stores import STORES, NewStore, open_sqlite
from store.test_checkpoints import killed
from store.test_dropping import compare
from store.test_histories import COMMITS, decide

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, RecordKind
from bankbook.core.ports import Changes, Copy, Drop, Identity, Portion
from bankbook.core.state import State
from bankbook.core.types import AccountId, BranchId, EntryId, Incarnation, Key, Origin, Seq, reservation_id
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import copying
from bankbook.store.base import Store, StoreError
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import Bounds

NEW = Origin(BranchId(3), Incarnation(0x3E3))
ORDER = Key("1/order-17")
LENT = reservation_id(EntryId(HERE, Seq(2)), 0)


def new_memory(_folder: Path) -> Store:
    return MemoryStore(Identity(NEW, GENESIS))


def new_sqlite(folder: Path, bounds: Bounds = Bounds()) -> SqliteStore:  # noqa: B008
    return SqliteStore.create_or_open(folder / "new.db", GENESIS, NEW.branch, NEW.incarnation, bounds)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(request.param(tmp_path)) as giver:
        yield giver


@pytest.fixture(params=[new_memory, new_sqlite])
def taker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(request.param(tmp_path)) as new:
        yield new


def commit(store: Store, *entries: Entry) -> None:
    store.commit(changes_by(store, *entries))


def some_history(store: Store) -> None:
    commit(store, posting_entry(HERE, 1, ("alice", 5), key=ORDER))
    commit(store, entry_of(HERE, 2, reserved("alice", 3, expires_ms=9)), posting_entry(THERE, 1, ("bob", 2)))
    commit(store, entry_of(HERE, 3, granted("bob", THERE, 2)))


def portions(copy: Copy) -> Iterator[Portion]:
    """Yield all portions of a copy that nothing disturbs."""
    while True:
        portion = copy.next()
        assert portion is not None
        yield portion
        if portion.end is not None:
            return


def take(store: Store, portion: Portion, *, is_first: bool) -> None:
    state = State(store, GENESIS)
    state.take_portion(portion, is_first=is_first)
    store.commit(state.take_changes(store.clock()))


def take_all(store: Store, copy: Copy) -> None:
    for number, portion in enumerate(portions(copy)):
        take(store, portion, is_first=number == 0)
    copy.close()


def test_a_copy_has_everything(store: Store, taker: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    some_history(store)
    take_all(taker, store.copy())
    assert taker.identity.origin == NEW, "but for whose it is"
    assert (taker.applied(), taker.dropped(), taker.clock()) == (store.applied(), NOTHING, store.clock())
    assert not taker.has_joined()
    for account in (ALICE, BOB):
        assert (taker.account(account), taker.holdings(account)) == (
            store.account(account),
            store.holdings(account),
        )
        assert taker.postings(account, START, FOR_EVER, 9) == store.postings(account, START, FOR_EVER, 9)
        assert taker.moved_from(account, START) == store.moved_from(account, START)
    assert taker.key(ORDER) == store.key(ORDER)
    assert taker.reservation(LENT) == store.reservation(LENT)
    assert taker.expiring(HERE.branch, 9) == store.expiring(HERE.branch, 9) != []
    assert taker.entries(HERE, Seq(0), 9) == store.entries(HERE, Seq(0), 9)


def test_who_took_a_copy_goes_on_from_there(store: Store, taker: Store) -> None:
    some_history(store)
    take_all(taker, store.copy())
    more = posting_entry(THERE, 2, ("alice", 1), ("bob", 1))
    for each in (store, taker):
        commit(each, more)
        assert each.account(ALICE) == store.account(ALICE)
        assert each.holdings(BOB) == store.holdings(BOB)
        assert each.moved_from(ALICE, START) == 6


def test_a_copy_is_of_one_moment_whatever_is_decided_while_it_is_read(
    store: Store, taker: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    some_history(store)
    before = store.applied(), store.account(ALICE), store.account(BOB)
    copy = store.copy()
    seq, is_first = 2, True
    while True:
        portion = copy.next()
        assert portion is not None
        take(taker, portion, is_first=is_first)
        if portion.end is not None:
            break
        is_first = False
        commit(store, posting_entry(THERE, seq, ("alice", 1), ("bob", 1), ("till", 1)))
        seq += 1
    assert (taker.applied(), taker.account(ALICE), taker.account(BOB)) == before


@pytest.mark.parametrize("replay_max", [1, 17, 50, 999])
@pytest.mark.parametrize("first", range(4))
def test_a_copy_comes_to_its_end_however_often_the_tables_are_written_meanwhile(
    replay_max: int, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts and reservations that are read already, are read later, or were not there: written twice."""
    monkeypatch.setattr(copying, "ROWS_MAX", 2)
    with closing(open_sqlite(tmp_path / "store.db", Bounds(replay_max, slice_rows=2))) as store:
        commit(store, *(posting_entry(HERE, 1 + at, (name, 9)) for at, name in enumerate("bdfhj")))
        commit(store, *(entry_of(HERE, 6 + at, reserved(name, 3)) for at, name in enumerate("bfj")))
        with closing(MemoryStore(store.identity)) as then, closing(new_sqlite(tmp_path)) as taker:
            take_all(then, store.copy())
            copy = store.copy()
            parts = [copy.next() for _ in range(first)]
            for at, name in enumerate("abcdefghijk" * 2):
                commit(store, posting_entry(THERE, 1 + at, (name, 1)))
            commit(store, *(entry_of(HERE, 9 + at, reserved(name, 2)) for at, name in enumerate("adfk")))
            lent = [reservation_id(EntryId(HERE, Seq(seq)), 0) for seq in (6, 7, 8)]
            for at, each in enumerate(lent):
                known = store.reservation(each)
                assert known is not None
                commit(store, entry_of(HERE, 13 + at, settled(RecordKind.RELEASE, each, known, 3)))
            store._write_tables()
            for number, portion in enumerate([*parts, *portions(copy)]):
                assert portion is not None
                take(taker, portion, is_first=number == 0)
            names = [AccountId(name) for name in "abcdefghijk"]
            assert list(taker.rows(names)) == list(then.rows(names))
            assert [taker.reservation(each) for each in lent] == [then.reservation(each) for each in lent]
            assert taker.applied() == then.applied()


def test_what_is_put_aside_for_a_copy_is_gone_with_it(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path / "store.db", Bounds(1))) as store:
        some_history(store)
        copy = store.copy()
        commit(store, posting_entry(THERE, 2, ("alice", 1), ("bob", 1)))
        commit(store, posting_entry(THERE, 3, ("alice", 1), ("bob", 1)))
        aside = "SELECT count(*) FROM temp.account_then"
        assert store._connection.execute(aside).fetchone()[0] > 0
        copy.close()
        copy.close()
        assert store._connection.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone() == (0,)


def test_after_a_commit_that_failed_nothing_is_put_aside_for_a_copy_that_nobody_reads(tmp_path: Path) -> None:
    """Found by reading: who gave it is built anew from the disk, and nobody is left to close it."""
    with closing(open_sqlite(tmp_path / "store.db", Bounds(1))) as store:
        some_history(store)
        copy = store.copy()
        store._connection.execute(
            "CREATE TEMP TRIGGER no BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(StoreError, match="no"):
            commit(store, posting_entry(THERE, 2, ("alice", 1)))
        store._connection.execute("DROP TRIGGER no")
        commit(store, posting_entry(THERE, 2, ("alice", 1)))
        assert store._connection.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone() == (0,)
        assert copy.next() is None


def test_where_there_is_no_room_to_put_anything_aside_the_copy_ends_and_not_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    with closing(open_sqlite(tmp_path / "store.db", Bounds(1))) as store:
        some_history(store)
        copy = store.copy()
        assert copy.next() is not None
        no = (
            "CREATE TEMP TRIGGER no BEFORE INSERT ON temp.account_then BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        store._connection.execute(no)
        for seq in (2, 3, 4):
            commit(store, posting_entry(THERE, seq, ("alice", 1), ("bob", 1)))
        assert copy.next() is None
        assert store.applied()[THERE] == 4


def test_a_copy_that_is_left_ends_where_entries_behind_it_were_dropped(
    store: Store, taker: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by reading: a question of long ago may come late, and what it asks for is gone."""
    monkeypatch.setattr(copying, "ROWS_MAX", 1)
    some_history(store)
    store.commit(Changes(forget_keys_before=FOR_EVER, clock=store.clock()))
    for parts in range(6):
        copy = store.copy()
        assert [copy.next() is not None for _ in range(parts)] == [True] * parts
        changes = changes_by(store, posting_entry(THERE, 2 + parts, ("bob", 1)))
        changes.drop = Drop(FOR_EVER, store.applied())
        before = store.dropped()
        store.commit(changes)
        assert copy.next() is None or store.dropped() == before
        copy.close()
    assert store.dropped()
    take_all(taker, store.copy())
    assert taker.applied() == store.applied()


def test_only_one_copy_at_a_time_can_be_read(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path / "store.db", Bounds())) as store:
        some_history(store)
        first = store.copy()
        second = store.copy()
        assert first.next() is None
        assert second.next() is not None


def test_a_store_that_cannot_be_written_gives_no_copy(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path / "store.db", Bounds())) as store:
        some_history(store)
        no = "CREATE TEMP TRIGGER no BEFORE INSERT ON statement BEGIN SELECT RAISE(ABORT, 'no'); END"
        store._connection.execute(no)
        assert store.copy().next() is None
        store._connection.execute("DROP TRIGGER no")
        with pytest.raises(StoreError, match="read anew"):
            commit(store, posting_entry(THERE, 2, ("bob", 1)))
        commit(store, posting_entry(THERE, 2, ("bob", 1)))
        assert store.account(BOB) == (103, 0, "", 0)


def test_a_copy_that_could_not_be_begun_leaves_no_posting_twice_in_a_statement(tmp_path: Path) -> None:
    """Found by reading: tables that were written halfway, in a transaction that was left open, were read."""
    with closing(open_sqlite(tmp_path / "store.db", Bounds())) as store:
        some_history(store)
        no = (
            "CREATE TEMP TRIGGER no BEFORE INSERT ON statement WHEN new.account = 'bob' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        store._connection.execute(no)
        assert store.copy().next() is None
        assert [posting.amount for posting in store.postings(ALICE, START, FOR_EVER, 99)] == [5]
        assert store.moved_from(ALICE, START) == 5


def test_what_was_taken_of_a_copy_counts_only_with_its_end(store: Store, taker: Store) -> None:
    some_history(store)
    for number, portion in enumerate(portions(store.copy())):
        assert taker.applied() == NOTHING
        if portion.end is None:
            take(taker, portion, is_first=number == 0)
            taker.commit(Changes(lives={THERE: False}, clock=taker.clock()))
    assert taker.applied() == NOTHING


def test_a_copy_begun_anew_leaves_nothing_of_the_one_before(store: Store, taker: Store) -> None:
    some_history(store)
    for number, portion in enumerate(portions(store.copy())):
        if portion.end is None:
            take(taker, portion, is_first=number == 0)
    commit(store, posting_entry(THERE, 2, ("alice", 1)))
    take_all(taker, store.copy())
    assert taker.applied() == store.applied()
    assert taker.account(ALICE) == store.account(ALICE)
    assert taker.postings(ALICE, START, FOR_EVER, 9) == store.postings(ALICE, START, FOR_EVER, 9)
    assert taker.entries(HERE, Seq(0), 9) == store.entries(HERE, Seq(0), 9)


def test_where_logs_come_instead_of_the_rest_nothing_of_the_copy_is_left(store: Store, taker: Store) -> None:
    some_history(store)
    for number, portion in enumerate(portions(store.copy())):
        if portion.end is None:
            take(taker, portion, is_first=number == 0)
    first = posting_entry(HERE, 1, ("carl", 5))
    # Decided on an empty store, as whoever reads the logs from their beginning does.
    with closing(MemoryStore(Identity(NEW, GENESIS))) as empty:
        taker.commit(changes_by(empty, first))
    assert taker.applied() == VersionVector([(HERE, Seq(1))])
    assert taker.account(ALICE) is None
    assert taker.key(ORDER) is None
    assert taker.reservation(LENT) is None
    assert taker.entries(HERE, Seq(0), 9) == [first]


def test_a_branch_that_is_killed_amid_a_copy_has_nothing_of_it(store: Store, tmp_path: Path) -> None:
    some_history(store)
    with closing(new_sqlite(tmp_path)) as taker:
        for number, portion in enumerate(portions(store.copy())):
            if portion.end is None:
                take(taker, portion, is_first=number == 0)
        path = killed(taker, tmp_path)
        with pytest.raises(StoreError, match="a part only"):
            SqliteStore.open_stopped(path)
        with closing(SqliteStore.create_or_open(path, GENESIS, NEW.branch, Incarnation(1))) as again:
            assert again.identity.origin == NEW, "it is the same life"
            assert again.account(ALICE) is None
            assert again.key(ORDER) is None
            take_all(again, store.copy())
            assert again.applied() == store.applied()


def test_a_branch_that_is_killed_after_a_copy_has_all_of_it(store: Store, tmp_path: Path) -> None:
    some_history(store)
    with closing(new_sqlite(tmp_path)) as taker:
        take_all(taker, store.copy())
        path = killed(taker, tmp_path)
        with closing(SqliteStore.create_or_open(path, GENESIS, NEW.branch, Incarnation(1))) as again:
            assert again.applied() == store.applied()
            assert again.account(ALICE) == store.account(ALICE)


def test_a_store_that_has_something_takes_no_copy(store: Store, taker: Store) -> None:
    some_history(store)
    commit(taker, posting_entry(HERE, 1, ("alice", 5)))
    with pytest.raises(AssertionError, match="nothing takes a copy"):
        take(taker, Portion(), is_first=True)


@pytest.mark.parametrize("new_taker", [new_memory, new_sqlite])
@pytest.mark.parametrize("new_store", STORES)
@settings(max_examples=15)
@given(commits=COMMITS, more=COMMITS, before=st.integers(0, 30), after=st.integers(0, 6))
def test_any_history_is_copied_as_it_is_and_goes_on(
    new_store: NewStore,
    new_taker: NewStore,
    commits: list[list[tuple[Origin, object, str, bool]]],
    more: list[list[tuple[Origin, object, str, bool]]],
    before: int,
    after: int,
) -> None:
    twin = Twin()
    with (
        TemporaryDirectory() as folder,
        closing(new_store(Path(folder))) as store,
        closing(new_taker(Path(folder))) as taker,
    ):
        for drafts in commits:
            changes = changes_by(store, *(decide(twin, *draft) for draft in drafts))
            changes.drop = Drop(HybridTime(before), store.applied())
            store.commit(changes)
        take_all(taker, store.copy())
        assert taker.dropped() == store.dropped()
        compare(taker, twin, after)
        for drafts in more:
            taker.commit(changes_by(taker, *(decide(twin, *draft) for draft in drafts)))
            compare(taker, twin, after)
