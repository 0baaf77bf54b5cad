"""Tables are a checkpoint of the log: whenever they are written, the answers are those of the whole log."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
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
    GENESIS,
    HERE,
    IDENTITY,
    START,
    THERE,
    Twin,
    changes_by,
    entry_of,
    moved,
    opened,
    posting_entry,
    reserved,
    settled,
)
from store.stores import open_sqlite
from store.test_histories import COMMITS, compare, decide

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Record, RecordKind, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Holding
from bankbook.core.types import EntryId, Key, Money, Origin, ReservationId, Seq, reservation_id
from bankbook.core.vector import VersionVector
from bankbook.store import fresh
from bankbook.store.base import CommitRefusedError, StoreError
from bankbook.store.fresh import ENTRY_WEIGHT, OTHER_WEIGHT
from bankbook.store.history import history
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sqlite_logs import Logs
from bankbook.store.sums import ROW_WEIGHT, Bounds, Slice, Sums

TESTS = Path(__file__).parents[1]

NEVER = Bounds()
ALWAYS = Bounds(replay_max=1, slice_rows=99, clean_rows_max=1, segment_rows=3)
"""Every commit writes what the one before has left to be written, and almost nothing is remembered."""
NO_ROOM = "CREATE TRIGGER no_room BEFORE INSERT ON statement BEGIN SELECT RAISE(ABORT, 'no room'); END"


def killed(store: SqliteStore, folder: Path) -> Path:
    """Return a copy of the store's files as a process that is killed at this moment leaves them."""
    path = store._file.path
    copy = folder / f"{path.stem}-killed.db"
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


@contextmanager
def store_with(path: Path, bounds: Bounds, *commits: list[Entry]) -> Iterator[SqliteStore]:
    """Open a store, and commit these."""
    with closing(open_sqlite(path, bounds)) as store:
        for entries in commits:
            store.commit(changes_by(store, *entries))
        yield store


def summed(store: SqliteStore) -> VersionVector:
    """Return what the tables tell of, as the file says."""
    rows = store._connection.execute("SELECT branch, incarnation, summed FROM origin")
    return VersionVector((Origin(branch, life), seq) for branch, life, seq in rows)


def check_integrity(store: SqliteStore) -> None:
    """Check tables and memory together against a store that applies the whole log anew, entry by entry."""
    replayed = MemoryStore(IDENTITY)
    names: dict[ReservationId, None] = {}
    for entry in history(store, VersionVector(), store.applied()):
        changes = changes_by(replayed, entry)
        replayed.commit(changes)
        names |= dict.fromkeys(changes.reservations)
    for account in {*ACCOUNTS, ALICE, BOB}:
        assert store.account(account) == replayed.account(account)
        assert store.holdings(account) == replayed.holdings(account)
        stated = replayed.postings(account, START, FOR_EVER, 9999)
        assert store.postings(account, START, FOR_EVER, 9999) == stated
        for posting in stated:
            assert store.moved_from(account, posting.position) == replayed.moved_from(
                account, posting.position
            )
    for name in names:
        assert store.reservation(name) == replayed.reservation(name)
    for branch in GENESIS.branches:
        assert store.expiring(branch, 9) == replayed.expiring(branch, 9)


def check_tables(store: SqliteStore) -> None:
    """Check that the rows of each statement follow each other in time, and that their sums are right.

    And that of each segment is known between which moments its rows end.
    """
    question = (
        "SELECT segment, account, until, moved, postings FROM statement ORDER BY account, segment, until"
    )
    before: dict[str, int] = {}
    segments = {
        number: (size, since, until)
        for number, size, since, until in store._connection.execute("SELECT * FROM segment")
    }
    for segment, account, until, total, text in store._connection.execute(question):
        size, since, last = segments[segment]
        assert size > 0
        assert since <= until <= last
        legs = fresh.parsed(text)
        assert legs == sorted(legs)
        assert legs[0][0] > before.get(account, -1)
        assert legs[-1][0] == until
        assert sum(leg[-1] for leg in legs) == total
        before[account] = until


BOUNDS = st.builds(
    Bounds,
    replay_max=st.integers(1, 80),
    slice_rows=st.integers(1, 2),
    clean_rows_max=st.integers(1, 3),
    dropped_min=st.integers(1, 4),
    segment_rows=st.integers(1, 4),
)


@settings(max_examples=150)
@given(
    commits=COMMITS,
    bounds=BOUNDS,
    ends=st.lists(st.sampled_from(["goes on", "closed", "killed"]), min_size=8, max_size=8),
    after=st.integers(0, 6),
    limit=st.integers(0, 6),
)
def test_any_history_with_stops_and_kills_anywhere_reads_as_its_log(
    commits: list[list[tuple[Origin, object, str, bool]]],
    bounds: Bounds,
    ends: list[str],
    after: int,
    limit: int,
) -> None:
    twin = Twin()
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "store.db"
        store = open_sqlite(path, bounds)
        try:
            for drafts, end in zip(commits, ends, strict=False):
                store.commit(changes_by(store, *[decide(twin, *draft) for draft in drafts]))
                if end == "killed":
                    copy = killed(store, folder)
                    store.close()
                    path = copy
                if end == "closed":
                    store.close()
                if end != "goes on":
                    store = open_sqlite(path, bounds)
                compare(store, twin, after, limit)
                check_integrity(store)
                check_tables(store)
        finally:
            store.close()


def deposits(*seqs: int) -> list[Entry]:
    return [posting_entry(HERE, seq, ("alice", seq)) for seq in seqs]


def test_what_a_commit_made_durable_is_there_after_a_kill_though_no_table_has_it(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", NEVER, deposits(1, 2), deposits(3)) as store:
        assert store._connection.execute("SELECT count(*) FROM account").fetchone() == (0,)
        copy = killed(store, tmp_path)
    with store_with(copy, NEVER) as store:
        assert summed(store) == VersionVector()
        assert store.account(ALICE) == Account(Money(106))
        assert store.holdings(ALICE) == {HERE: Holding(Seq(3), Money(6))}
        check_integrity(store)


def test_a_start_after_a_kill_looks_no_key_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are on the disk with their entries; among millions, each would have to be read from there."""
    keyed = [posting_entry(HERE, seq, ("alice", seq), key=f"k{seq}") for seq in (1, 2)]
    with store_with(tmp_path / "store.db", NEVER, keyed) as store:
        copy = killed(store, tmp_path)
        noted = {key: store.key(key) for key in (Key("k1"), Key("k2"))}
    looked_up: list[Key] = []
    monkeypatch.setattr(Logs, "key", lambda _logs, key, _kept: looked_up.append(key))
    with store_with(copy, NEVER) as store:
        assert not looked_up
        assert store.account(ALICE) == Account(Money(103))
        monkeypatch.undo()
        assert {key: store.key(key) for key in noted} == noted
        assert all(noted.values())


def test_a_branch_that_is_stopped_leaves_a_file_that_is_complete_without_it(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", NEVER, deposits(1, 2, 3)):
        pass
    with closing(SqliteStore.open_stopped(tmp_path / "store.db")) as store:
        assert summed(store) == store.applied() == VersionVector([(HERE, Seq(3))])
        assert store._connection.execute("SELECT balance FROM account").fetchall() == [(106,)]
        assert store._connection.execute("SELECT balance FROM readable_statement").fetchall() == [
            (101,),
            (103,),
            (106,),
        ]


def test_whoever_audits_after_a_kill_sees_all_and_changes_nothing(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", NEVER, deposits(1, 2)) as store:
        copy = killed(store, tmp_path)
    for _ in range(2):
        with closing(SqliteStore.open_stopped(copy)) as store:
            assert store.account(ALICE) == Account(Money(103))
            assert summed(store) == VersionVector()


REFUSAL = Record(RecordKind.REFUSAL, verdict=Verdict(Outcome.INSUFFICIENT_FUNDS))


@pytest.mark.parametrize(
    ("entries", "weight"),
    [
        ([posting_entry(HERE, seq, ("alice", 1), ("bob", 1)) for seq in (1, 2)], 2 * (5 + 2 * 3) + 2 * 3),
        ([entry_of(HERE, 1, reserved("alice", 1), reserved("alice", 2))], 5 + 2 * 3 + 3 * 3),
        ([entry_of(HERE, seq, REFUSAL, key=f"k{seq}") for seq in (1, 2, 3)], 3 * (5 + 3)),
    ],
    ids=["postings", "reservations, which are rows", "refusals, which post nothing"],
)
def test_the_tables_are_written_by_the_commit_after_the_one_that_reaches_the_bound(
    tmp_path: Path, entries: list[Entry], weight: int
) -> None:
    for short, is_due in ((0, True), (1, False)):
        bounds = Bounds(replay_max=weight + short)
        with store_with(tmp_path / f"{short}.db", bounds, *([entry] for entry in entries)) as store:
            assert summed(store) == VersionVector()
            step_on(store)
            assert summed(store) == (store.applied() if is_due else VersionVector())
            check_integrity(store)


def test_a_commit_that_fails_with_a_checkpoint_in_it_leaves_memory_and_tables_as_they_were(
    tmp_path: Path,
) -> None:
    with store_with(tmp_path / "store.db", ALWAYS, deposits(1), deposits(2)) as store:
        store._connection.execute(NO_ROOM)
        for _ in range(2):
            with pytest.raises(CommitRefusedError, match="no room"):
                store.commit(changes_by(store, *deposits(3)))
            assert store.account(ALICE) == Account(Money(103))
            assert summed(store) == VersionVector([(HERE, Seq(1))])
            check_integrity(store)
        store._connection.execute("DROP TRIGGER no_room")
        store.commit(changes_by(store, *deposits(3)))
        assert summed(store) == VersionVector([(HERE, Seq(2))])
        check_integrity(store)


def test_the_last_checkpoint_fails_and_the_branch_starts_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with store_with(path, NEVER, deposits(1, 2)) as store:
        store._connection.execute(NO_ROOM)
    with store_with(path, NEVER) as store:
        assert summed(store) == VersionVector()
        assert store.account(ALICE) == Account(Money(103))
        check_integrity(store)


def step_on(store: SqliteStore) -> None:
    """Commit something that touches no account."""
    store.commit(Changes(clock=store.clock()))


@pytest.mark.parametrize("steps", range(8))
def test_a_kill_while_some_accounts_are_written_and_others_not(tmp_path: Path, steps: int) -> None:
    """A slice at a time: accounts at the front tell of more than those behind, and are not told it twice."""
    slow = Bounds(replay_max=24, slice_rows=1)
    every = [(account, 1) for account in ACCOUNTS]
    first = entry_of(HERE, 1, moved(*every), reserved("a", 5, expires_ms=9))
    name = reservation_id(first.id, 1)
    with store_with(tmp_path / "store.db", slow, [first]) as store:
        made = store.reservation(name)
        assert made is not None
        for _ in range(steps):
            step_on(store)
        store.commit(changes_by(store, entry_of(HERE, 2, settled(RecordKind.CAPTURE, name, made, 2))))
        store.commit(changes_by(store, posting_entry(HERE, 3, *every)))
        step_on(store)
        check_integrity(store)
        copy = killed(store, tmp_path)
    for seq in (4, 5):
        with store_with(copy, slow) as store:
            check_integrity(store)
            store.commit(changes_by(store, posting_entry(HERE, seq, ("a", 1), ("z" * 64, 1))))
            check_integrity(store)
            check_tables(store)
            copy = killed(store, tmp_path)


def torn(tmp_path: Path, bounds: Bounds) -> Path:
    """Return the file of a store that was killed when one account was written, and all others were not."""
    first = posting_entry(HERE, 1, *((account, 1) for account in ACCOUNTS))
    with store_with(tmp_path / "store.db", bounds, [first]) as store:
        step_on(store)
        assert written(store) == 1
        assert summed(store) == VersionVector()
        return killed(store, tmp_path)


def written(store: SqliteStore) -> int:
    (count,) = store._connection.execute("SELECT count(*) FROM account").fetchone()
    return int(count)


def test_under_the_same_load_slices_are_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Though of the accounts that a period changes, most are changed at its beginning."""
    slices, next_slice = [], Sums.next_slice

    def counted(sums: Sums, clock: HybridTime) -> Slice | None:
        part = next_slice(sums, clock)
        slices.append(len(part.accounts) if part else 0)
        return part

    monkeypatch.setattr(Sums, "next_slice", counted)
    names = [f"a{number}" for number in range(40)]
    halves = [[(name, 1) for name in names[start::2]] for start in (0, 1)]
    due_after = 20
    weight = ENTRY_WEIGHT + len(halves[0]) * OTHER_WEIGHT
    bounds = Bounds(replay_max=due_after * weight + len(names) * ROW_WEIGHT, slice_rows=1)
    with store_with(tmp_path / "store.db", bounds) as store:
        for seq in range(1, 2 * due_after + 1):
            store.commit(changes_by(store, posting_entry(HERE, seq, *halves[seq % 2])))
    assert not any(slices[:due_after])
    assert sum(slices[due_after:]) == len(names)
    assert max(slices) == 2 * len(names) / due_after


def test_a_commit_that_goes_on_with_torn_tables_fails_and_the_next_one_goes_on(tmp_path: Path) -> None:
    slow = Bounds(replay_max=24, slice_rows=1)
    with store_with(torn(tmp_path, slow), slow) as store:
        store._connection.execute(NO_ROOM)
        with pytest.raises(CommitRefusedError, match="no room"):
            step_on(store)
        store._connection.execute("DROP TRIGGER no_room")
        step_on(store)
        assert written(store) == 2
        check_integrity(store)


def test_the_first_commit_after_a_kill_has_not_to_wait_until_all_is_written(tmp_path: Path) -> None:
    """It goes on where the kill was, a slice with each commit, however often it is killed on the way."""
    slow = Bounds(replay_max=24, slice_rows=1)
    copy = torn(tmp_path, slow)
    for told in range(1, len(ACCOUNTS)):
        with store_with(copy, slow) as store:
            assert written(store) == told
            assert summed(store) == VersionVector()
            check_integrity(store)
            step_on(store)
            check_integrity(store)
            check_tables(store)
            copy = killed(store, tmp_path)
    with store_with(copy, slow) as store:
        assert written(store) == len(ACCOUNTS)
        assert summed(store) == store.applied()
        check_integrity(store)


def late(origin: Origin, seq: int, clock: int, *legs: tuple[str, int]) -> Entry:
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(clock),
        dependencies=VersionVector(),
        records=(moved(*legs),),
    )


def test_postings_that_arrive_late_are_put_among_those_that_the_tables_have(tmp_path: Path) -> None:
    """Another branch was apart, and what it did is older than what this one has done meanwhile."""
    own = [late(HERE, seq, 10 * seq, ("alice", seq)) for seq in range(1, 7)]
    their = [late(THERE, seq, 15 * seq - 1, ("alice", 100 * seq)) for seq in range(1, 4)]
    commits = [own[:2], own[2:4], own[4:], their[:1], their[1:], []]
    with store_with(tmp_path / "store.db", ALWAYS, *commits) as store:
        amounts = [posting.amount for posting in store.postings(ALICE, START, FOR_EVER, 99)]
        assert amounts == [1, 100, 2, 200, 3, 4, 300, 5, 6]
        check_tables(store)
        check_integrity(store)


def test_a_batch_with_very_many_postings_of_one_moment_is_one_row_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    many = fresh.BLOCK_POSTINGS_MAX + 10
    batch = entry_of(HERE, 3, *(moved(("alice", 1)) for _ in range(many)))
    with store_with(tmp_path / "store.db", NEVER, [*deposits(1, 2), batch], deposits(4)) as store:
        check_integrity(store)
    with store_with(tmp_path / "store.db", NEVER) as store:
        rows = store._connection.execute("SELECT until >> 16, json_array_length(postings) FROM statement")
        assert rows.fetchall() == [(3, many + 2), (4, 1)]
        check_tables(store)
        check_integrity(store)


def test_a_segment_ends_after_so_many_rows_also_where_some_were_replaced(tmp_path: Path) -> None:
    commits = [[late(HERE, seq, 10 * seq, ("alice", seq))] for seq in range(1, 11)]
    with store_with(tmp_path / "store.db", ALWAYS, *commits, []) as store:
        assert segments(store) == [(0, 3, 10, 30), (1, 3, 40, 60), (2, 3, 70, 90), (3, 1, 100, 100)]
        for entry in (late(THERE, 1, 5, ("alice", 1), ("bob", 2)), late(THERE, 2, 45, ("alice", 3))):
            store.commit(changes_by(store, entry))
        store.commit(changes_by(store))
        assert segments(store) == [(0, 4, 10, 30), (1, 4, 40, 60), (2, 3, 70, 90), (3, 2, 5, 100)]
        check_tables(store)
        check_integrity(store)


def segments(store: SqliteStore) -> list[tuple[int, int, int, int]]:
    """Return the number of each segment, how many rows it was given, and between which moments they end."""
    return store._connection.execute("SELECT number, size, since, until FROM segment").fetchall()


def test_a_hot_account_is_divided_into_rows_of_a_page_each(tmp_path: Path) -> None:
    size = fresh.BLOCK_POSTINGS_MAX
    with store_with(tmp_path / "store.db", NEVER, deposits(*range(1, 2 * size + 2))):
        pass
    with store_with(tmp_path / "store.db", NEVER) as store:
        rows = store._connection.execute("SELECT json_array_length(postings) FROM statement ORDER BY until")
        assert rows.fetchall() == [(size,), (size,), (1,)]
        check_integrity(store)


def test_what_arrives_late_is_written_among_its_neighbours_and_no_other_row_is_touched(
    tmp_path: Path,
) -> None:
    many = [entry_of(HERE, seq, moved(("alice", seq)), clock=HybridTime(seq * 100)) for seq in range(1, 4000)]
    late = entry_of(THERE, 1, moved(("alice", -1)), clock=HybridTime(100_050))
    with store_with(tmp_path / "store.db", ALWAYS, many, deposits(4000), [late]) as store:
        before = store._connection.total_changes
        store.commit(changes_by(store, entry_of(HERE, 4001, moved(("bob", 1)), clock=HybridTime(10**9))))
        written = store._connection.total_changes - before
        check_tables(store)
        check_integrity(store)
    assert written < 15, "two rows of the statement, and what every commit writes"


def test_a_statement_that_is_read_while_it_grows_has_each_posting_once(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", NEVER) as store:
        for seq in range(1, 6):
            store.commit(changes_by(store, *deposits(seq)))
            amounts = [posting.amount for posting in store.postings(ALICE, START, FOR_EVER, 99)]
            assert amounts == list(range(1, seq + 1))


def test_rows_that_were_forgotten_are_read_again_as_they_were(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", ALWAYS) as store:
        for seq, account in zip(count(1), (*ACCOUNTS, *ACCOUNTS), strict=False):
            store.commit(changes_by(store, posting_entry(HERE, seq, (account, 1))))
        for account in ACCOUNTS:
            assert store.account(account) == Account(Money(102))
        store.rows(ACCOUNTS)
        assert [store.account(account) for account in ACCOUNTS] == [Account(Money(102))] * len(ACCOUNTS)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("replace(entry, '\"alice\",5,0', '\"alice\",5,1') WHERE seq = 3", "does not follow"),
        ("replace(entry, '-2-0\"', '-9-0\"') WHERE seq = 3", "was settled before it was made"),
        ("replace(entry, '\"clock\":131072', '\"clock\":1310720') WHERE seq = 2", "later than the clock"),
        ("replace(entry, '\"clock\"', '\"clack\"') WHERE seq = 3", "not an entry"),
    ],
)
def test_a_log_that_cannot_be_applied_is_a_damaged_file(tmp_path: Path, damage: str, sentence: str) -> None:
    copy = damaged_store(tmp_path, damage)
    with pytest.raises(StoreError, match=f"is damaged, .*{sentence}.*: restore the file, or start again as"):
        open_sqlite(copy, NEVER)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("replace(entry, '\"alice\",5,0', '\"alice\",5,1') WHERE seq = 3", "does not follow"),
        ("replace(entry, '-2-0\"', '-9-0\"') WHERE seq = 3", "was settled before it was made"),
    ],
)
def test_it_is_one_also_for_a_python_without_assertions(tmp_path: Path, damage: str, sentence: str) -> None:
    copy = damaged_store(tmp_path, damage)
    opening = "import sys; from store.stores import *; open_sqlite(Path(sys.argv[1]), Bounds())"
    program = subprocess.run(
        [sys.executable, "-O", "-c", opening, copy],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    last = program.stderr.splitlines()[-1]
    assert last.startswith("bankbook.store.base.StoreError: ")
    assert "is damaged" in last
    assert sentence in last


def damaged_store(folder: Path, damage: str) -> Path:
    """Return a store with a reservation and its release, one of which was changed behind its back."""
    with store_with(folder / "store.db", NEVER, deposits(1)) as store:
        store.commit(changes_by(store, entry_of(HERE, 2, reserved("alice", 5))))
        name = reservation_id(EntryId(HERE, Seq(2)), 0)
        made = store.reservation(name)
        assert made is not None
        store.commit(changes_by(store, entry_of(HERE, 3, settled(RecordKind.RELEASE, name, made, 5))))
        copy = killed(store, folder)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(f"UPDATE log SET entry = {damage}").rowcount == 1  # noqa: S608
        connection.commit()
    return copy


def test_a_step_that_only_notes_something_writes_no_tables(tmp_path: Path) -> None:
    with store_with(tmp_path / "store.db", ALWAYS) as store:
        store.commit(Changes(has_joined=True))
        assert not store._sums.is_dirty


def test_an_account_is_opened_and_used_between_two_checkpoints(tmp_path: Path) -> None:
    opening = entry_of(HERE, 1, opened("till", None, "EUR"))
    with store_with(tmp_path / "store.db", NEVER, [opening], [posting_entry(HERE, 2, ("till", -5))]) as store:
        copy = killed(store, tmp_path)
    with store_with(copy, NEVER) as store:
        assert store.account(opening.accounts[0]) == Account(Money(-5), None, "EUR")


@pytest.mark.xfail(
    strict=True, reason="what is replayed is in the order of clocks, which nobody checks on arrival"
)
def test_an_entry_whose_clock_is_behind_what_it_depends_on_is_replayed_behind_it_all_the_same(
    tmp_path: Path,
) -> None:
    opening = entry_of(THERE, 1, opened("till", None, "EUR"), clock=HybridTime(100 << 16))
    posting = make_entry(
        origin=HERE,
        seq=Seq(1),
        clock=HybridTime(50 << 16),
        dependencies=VersionVector([opening.id]),
        records=(moved(("till", -5)),),
    )
    with store_with(tmp_path / "store.db", NEVER, [opening], [posting]) as store:
        copy = killed(store, tmp_path)
        before = store.account(opening.accounts[0])
    with store_with(copy, NEVER) as store:
        assert store.account(opening.accounts[0]) == before
