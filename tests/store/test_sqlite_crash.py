"""What a SQLite store keeps when its process is killed, its disk is full or a write fails."""

import random
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store.history import ALICE, BOB, FOR_EVER, HERE, START, THERE, changes_by, posting_entry
from store.stores import open_sqlite

from bankbook.core.ports import Account, Holding
from bankbook.core.types import Key, Money, Seq
from bankbook.core.vector import VersionVector
from bankbook.store.base import CommitRefusedError, CommitUnknownError
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import Bounds

TESTS = Path(__file__).parents[1]
COMMITTER = (sys.executable, "-m", "store.commit_forever")
KILLS = 10
# Long enough for some hundred commits and a checkpoint or two, short enough for ten rounds.
LIFE_S_MAX = 0.25


Opener = Callable[[Path], SqliteStore]


@pytest.fixture(
    params=[Bounds(), Bounds(replay_max=1, clean_rows_max=1, segment_rows=2)],
    ids=["tables later", "tables with each commit"],
)
def open_store(request: pytest.FixtureRequest) -> Opener:
    return lambda path: open_sqlite(path, request.param)


@contextmanager
def committer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that commits until it is killed; it holds the store once this yields."""
    with subprocess.Popen([*COMMITTER, path], cwd=TESTS, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            yield child
        finally:
            child.kill()


def add_to_alice(store: SqliteStore, entries: int = 1) -> None:
    first = store.applied()[HERE] + 1
    made = (posting_entry(HERE, seq, ("alice", 1)) for seq in range(first, first + entries))
    store.commit(changes_by(store, *made))


def check_alice(store: SqliteStore, entries: int) -> None:
    """Check that every read agrees that alice's log has exactly so many entries."""
    assert store.applied() == VersionVector([(HERE, Seq(entries))])
    assert store.holdings(ALICE) == {HERE: Holding(Seq(entries), Money(entries))}
    assert [p.position.seq for p in store.postings(ALICE, START, FOR_EVER, entries + 1)] == list(
        range(1, entries + 1)
    )
    assert store.account(ALICE) == Account(Money(100 + entries))
    assert [entry.seq for entry in store.entries(HERE, Seq(0), entries + 1)] == list(range(1, entries + 1))
    assert store.clock() == entries << 16


def check_whole_commits(store: SqliteStore, commits: int) -> None:
    """Check that the store has all of exactly so many commits of commit_forever."""
    own = 4 * commits
    assert store.applied() == VersionVector([(HERE, Seq(own)), (THERE, Seq(commits))])
    assert len(store.entries(THERE, Seq(0), commits + 1)) == commits
    assert len(store.entries(HERE, Seq(0), own + 1)) == own
    if not commits:
        assert store.account(ALICE) is store.account(BOB) is None
        return
    assert store.account(ALICE) == Account(Money(100))
    assert store.account(BOB) == Account(Money(100 + own), reserved=Money(commits))
    assert store.holdings(ALICE) == {
        HERE: Holding(Seq(own), Money(-own)),
        THERE: Holding(Seq(commits), Money(own)),
    }
    assert [p.amount for p in store.postings(BOB, START, FOR_EVER, own + 1)] == [1] * own
    assert [end for end, _ in store.expiring(THERE.branch, commits + 1)] == list(range(1, commits + 1))
    last, next_one = store.key(Key(f"order-{own}")), store.key(Key(f"order-{own + 1}"))
    assert last is not None
    assert last.entry.seq == own
    assert next_one is None


def test_whatever_was_acknowledged_before_kill_9_is_there_after_restart(
    open_store: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    acknowledged = 0
    for _ in range(KILLS):
        with committer(path) as child:
            time.sleep(random.uniform(0, LIFE_S_MAX))  # noqa: S311  (a moment, not a secret)
            child.kill()
            # The last line may be cut short by the kill; the one before it was whole.
            said, _ = child.communicate(timeout=10)
        acknowledged = max([acknowledged, *map(int, said.rpartition("\n")[0].split())])
        with closing(open_store(path)) as store:
            there = store.applied()[THERE]
            assert there in (acknowledged, acknowledged + 1)
            check_whole_commits(store, there)
        acknowledged = there
    assert acknowledged > KILLS, "a test that never committed anything proves nothing"


def test_a_second_branch_on_a_running_branchs_store_is_refused_at_once_and_not_after_kill_9(
    open_store: Opener,
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    with committer(path) as child:
        started = time.monotonic()
        refused = subprocess.run(
            [*COMMITTER, path], cwd=TESTS, capture_output=True, text=True, timeout=10, check=False
        )
        took_s = time.monotonic() - started
        assert "StoreError" in refused.stderr
        assert "is in use by another process: stop that one, or choose another --data" in refused.stderr
        assert took_s < 5, "the refusal does not wait for a lock; this is a process's start and its end"
        assert child.poll() is None, "the first one did not notice"
    open_store(path).close()


def test_the_disk_is_full_and_the_branch_refuses_writes_serves_reads_and_recovers(
    open_store: Opener, tmp_path: Path
) -> None:
    with closing(open_store(tmp_path / "store.db")) as store:
        add_to_alice(store, entries=50)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(2):
            with pytest.raises(CommitRefusedError, match="disk is full: make room"):
                add_to_alice(store, entries=500)
            check_alice(store, entries=50)
        store._connection.execute(f"PRAGMA max_page_count = {2**30}")
        add_to_alice(store, entries=500)
        check_alice(store, entries=550)
    with closing(open_store(tmp_path / "store.db")) as store:
        check_alice(store, entries=550)


def test_the_disk_is_full_when_another_branchs_log_is_first_heard_of(
    open_store: Opener, tmp_path: Path
) -> None:
    with closing(open_store(tmp_path / "store.db")) as store:
        add_to_alice(store)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        flood = [posting_entry(THERE, seq, ("alice", 1)) for seq in range(1, 500)]
        with pytest.raises(CommitRefusedError):
            store.commit(changes_by(store, *flood))
        assert store.entries(THERE, Seq(0), 9) == []
        assert store.holdings(ALICE) == {HERE: Holding(Seq(1), Money(1))}
        store._connection.execute(f"PRAGMA max_page_count = {2**30}")
        store.commit(changes_by(store, *flood))
        assert store.entries(THERE, Seq(0), 999) == flood
        assert store.holdings(ALICE)[THERE] == Holding(Seq(499), Money(499))


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Have the kernel fail every write beyond `size` in any file of this process (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_fails_during_commit_and_its_remains_are_certainly_gone(
    open_store: Opener, tmp_path: Path
) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    with closing(open_store(path)) as store:
        add_to_alice(store, entries=5)
        # Room for one page more: not for the commit, but for the one that overwrites what it left.
        with files_at_most(log.stat().st_size + 5000), pytest.raises(CommitRefusedError):
            add_to_alice(store, entries=50)
        failed = store._connection.execute("SELECT value FROM meta WHERE name = 'failed commits'")
        assert failed.fetchone() == (1,), "something else stands where the remains were"
        check_alice(store, entries=5)
        add_to_alice(store)
        check_alice(store, entries=6)
    with closing(open_store(path)) as store:
        check_alice(store, entries=6)


def test_every_write_fails_during_commit_and_the_outcome_is_called_unknown(
    open_store: Opener, tmp_path: Path
) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    with closing(open_store(path)) as store:
        add_to_alice(store, entries=5)
        with files_at_most(log.stat().st_size), pytest.raises(CommitUnknownError) as raised:
            add_to_alice(store)
        assert isinstance(raised.value.__cause__, sqlite3.Error)
        check_alice(store, entries=5)
        add_to_alice(store)
        check_alice(store, entries=6)
    with closing(open_store(path)) as store:
        check_alice(store, entries=6)


@pytest.mark.parametrize("cut", ["sectors missing", "end missing", "both"])
def test_a_commit_that_was_torn_by_a_power_cut_is_there_whole_or_not_at_all(
    open_store: Opener, tmp_path: Path, cut: str
) -> None:
    """Of what was written and not synced, a disk may have any sectors, in any order."""
    draw, sector = random.Random(cut), 512  # noqa: S311  (a seed, not a secret)
    path, torn = tmp_path / "store.db", tmp_path / "torn.db"
    with closing(open_store(path)) as store:
        add_to_alice(store, entries=5)
        before = Path(f"{path}-wal").read_bytes()
        add_to_alice(store, entries=50)
        after, file = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    assert after.startswith(before), "what was synced before is not written again"
    outcomes = set()
    for _ in range(100):
        end = len(after) if cut == "sectors missing" else draw.randrange(len(before), len(after) + 1)
        log = bytearray(after[:end])
        if cut != "end missing":
            sectors = range(-(-len(before) // sector) * sector, end, sector)
            for start in draw.sample(sectors, draw.randrange(min(len(sectors), 4) + 1)):
                log[start : start + sector] = bytes(len(log[start : start + sector]))
        torn.write_bytes(file)
        Path(f"{torn}-wal").write_bytes(log)
        with closing(open_store(torn)) as store:
            entries = store.applied()[HERE]
            check_alice(store, entries)
        assert entries == (55 if bytes(log) == after else 5)
        outcomes.add(int(entries))
    assert 5 in outcomes


def test_after_a_refused_commit_the_disk_is_read_anew(open_store: Opener, tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "store.db")) as store:
        add_to_alice(store)
        changes = changes_by(store, posting_entry(HERE, 2, ("alice", 1)))
        store._connection.execute("UPDATE meta SET value = 777777 WHERE name = 'clock'")
        store._connection.execute(
            "CREATE TRIGGER no_room BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        with pytest.raises(CommitRefusedError, match="no room"):
            store.commit(changes)
        assert store.clock() == 777777
        assert store.account(ALICE) == Account(Money(101))


def test_a_disk_that_could_not_be_read_after_a_failed_commit_is_read_anew_before_the_next(
    open_store: Opener, tmp_path: Path
) -> None:
    """Suppose the commit is there after all: whoever goes on from the state before it must not write."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        add_to_alice(store)
        changes = changes_by(store, posting_entry(HERE, 2, ("alice", 1)))
        store._connection.execute("ALTER TABLE meta RENAME TO lost")
        with pytest.raises(CommitUnknownError, match="no such table"):
            store.commit(changes)
        with pytest.raises(CommitRefusedError, match="no such table"):
            store.commit(changes)
        store._connection.execute("ALTER TABLE lost RENAME TO meta")
        with pytest.raises(CommitRefusedError, match="read anew after a commit had failed: try again"):
            store.commit(changes)
        store.commit(changes)
        check_alice(store, entries=2)


def test_nothing_can_be_read_after_a_failed_commit_and_the_outcome_is_called_unknown(
    open_store: Opener, tmp_path: Path
) -> None:
    with closing(open_store(tmp_path / "store.db")) as store:
        changes = changes_by(store, posting_entry(HERE, 1, ("alice", 1)))
        store._connection.execute("DROP TABLE meta")
        with pytest.raises(CommitUnknownError, match="no such table"):
            store.commit(changes)
