"""Measure the SQLite store on the disk of this folder: python tools/measure_store.py [ROUNDS [CHECKOUT]]

With the folder of another checkout (git worktree add ...), its store is measured in turns with this one, and
ratios are told. The figures in docs/decisions/0012-tables-are-a-checkpoint.md come from here; those in
0003-sqlite.md from an earlier form of this program.
"""

import gc
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Keyed, Posting, Record, RecordKind
from bankbook.core.ports import Account, Changes, Genesis, Holding, KeyRecord, Position
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Key, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.base import KEYS_FORGOTTEN_MAX
from bankbook.store.sqlite import SqliteStore

ORIGIN = Origin(BranchId(1), Incarnation(0xB0B))
GENESIS = Genesis("measurement", (BranchId(1),), Money(0))
TRANSFERS = 1_000  # of one batch
FEW_ACCOUNTS, MANY_ACCOUNTS = 10_000, 1_000_000
SMALL_COMMITS = 2_000
BATCHES = 150
READS = 20_000
LONG_LOG = 1_000_000
PAGE = 100
FOR_EVER = HybridTime(HYBRID_TIME_MAX)

Figures = dict[str, float]


class Bank:
    """One branch's books, kept by hand: what a commit says must not cost what is measured."""

    def __init__(self, store: SqliteStore, accounts: int) -> None:
        self.store = store
        self.names = [AccountId(f"account-{number}") for number in range(accounts)]
        self._balances = [0] * accounts
        self._seq: int = store.applied()[ORIGIN]
        self._random = random.Random(accounts)  # noqa: S311  (chance that can be repeated)
        self.worst_s = 0.0

    def batch(self, legs: list[tuple[int, int]], key: str = "") -> Changes:
        """Return a commit of one entry with these legs, two of them to a transfer."""
        self._seq += 1
        changes = Changes(clock=HybridTime(self._seq << 16))
        entry = self._entry(legs, changes.clock, key)
        changes.entries.append(entry)
        for number, amount in legs:
            self._balances[number] += amount
            balance, name = Money(self._balances[number]), self.names[number]
            put_row(changes, name, Account(balance), Holding(Seq(self._seq), balance))
        if entry.keyed:
            changes.keys[entry.keyed.key] = KeyRecord(entry.keyed.fingerprint, entry.id, entry.clock)
        return changes

    def _entry(self, legs: list[tuple[int, int]], clock: HybridTime, key: str) -> Entry:
        postings = [Posting(self.names[number], Money(amount)) for number, amount in legs]
        pairs = zip(postings[::2], postings[1::2], strict=True) if len(legs) > 1 else [(postings[0],)]
        kind = RecordKind.TRANSFER if len(legs) > 1 else RecordKind.DEPOSIT
        return make_entry(
            origin=ORIGIN,
            seq=Seq(self._seq),
            clock=clock,
            dependencies=NOTHING,
            records=tuple(Record(kind, tuple(pair)) for pair in pairs),
            customer=CustomerId("customer"),
            keyed=Keyed(Key(key), "fingerprint") if key else None,
        )

    def transfers(self) -> Changes:
        """Return a commit of a batch of transfers between accounts drawn at random."""
        drawn = self._random.choices(range(len(self.names)), k=2 * TRANSFERS)
        return self.batch([(number, 1 if leg % 2 else -1) for leg, number in enumerate(drawn)])

    def deposit(self) -> Changes:
        """Return a commit of one deposit, with a key as a client makes one up."""
        key = f"1/{sha256(str(self._seq).encode()).hexdigest()[:32]}"
        return self.batch([(self._random.randrange(len(self.names)), 1)], key)

    def fill(self) -> None:
        """Touch every account."""
        for first in range(0, len(self.names), 2 * TRANSFERS):
            self.store.commit(self.batch([(number, 0) for number in range(first, first + 2 * TRANSFERS)]))

    def commit(self, make: Callable[[], Changes], count: int) -> tuple[float, float]:
        """Commit so many; return the seconds they took of a processor, and of the clock."""
        processor_s = wall_s = 0.0
        self.worst_s = 0.0
        for _ in range(count):
            changes = make()
            started, wall = time.process_time(), time.perf_counter()
            self.store.commit(changes)
            took_s = time.perf_counter() - wall
            processor_s += time.process_time() - started
            wall_s += took_s
            self.worst_s = max(self.worst_s, took_s)
        return processor_s, wall_s


def new_store(path: Path) -> SqliteStore:
    """Open a store, or make one."""
    return SqliteStore.create_or_open(path, GENESIS, ORIGIN.branch, ORIGIN.incarnation)


def seconds(work: Callable[[], object]) -> float:
    """Return how long it took by the clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def small_commits(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield figures of commits of one entry."""
    with closing(new_store(folder / "small.db")) as store:
        bank = Bank(store, FEW_ACCOUNTS)
        bank.fill()
        processor_s, wall_s = bank.commit(bank.deposit, SMALL_COMMITS)
        yield "commit of one deposit, µs of processor", processor_s / SMALL_COMMITS * 1e6
        yield "commit of one deposit, µs", wall_s / SMALL_COMMITS * 1e6
        forgetting = Changes(forget_keys_before=FOR_EVER, clock=store.clock())
        count = min(SMALL_COMMITS, KEYS_FORGOTTEN_MAX)
        yield "key forgotten, µs", seconds(lambda: store.commit(forgetting)) / count * 1e6


def large_commits(folder: Path, accounts: int) -> Iterator[tuple[str, float]]:
    """Yield figures of commits of batches, of reads, and of starting again."""
    path, over = folder / "large.db", f"over {accounts:,} accounts"
    with closing(new_store(path)) as store:
        bank = Bank(store, accounts)
        bank.fill()
    gc.freeze()  # what this program itself holds is not to be looked through again and again
    with closing(new_store(path)) as store:
        bank.store = store
        processor_s, wall_s = bank.commit(bank.transfers, BATCHES)
        count = BATCHES * TRANSFERS
        yield f"transfer in batches {over}, µs of processor", processor_s / count * 1e6
        yield f"transfer in batches {over}, µs", wall_s / count * 1e6
        yield f"longest commit of a batch {over}, ms", bank.worst_s * 1e3
        yield f"memory {over}, MB", resident_mb()
        yield from statement(bank)
        # As a process that is killed leaves it: what is in memory is gone.
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{folder / 'killed.db'}{suffix}")
    yield f"start after a kill {over}, s", seconds(lambda: new_store(folder / "killed.db").close())
    yield from reads(path, bank.names)
    yield f"size of the file {over}, MB", path.stat().st_size / 1e6


def statement(bank: Bank) -> Iterator[tuple[str, float]]:
    """Yield figures of reading the statements of some accounts, and of what was moved since."""
    store, names = bank.store, bank.names[: FEW_ACCOUNTS : FEW_ACCOUNTS // PAGE]
    start = Position(HybridTime(0), ORIGIN, Seq(0), 0)
    store.postings(names[0], start, FOR_EVER, PAGE)
    took_s = seconds(lambda: [store.postings(name, start, FOR_EVER, PAGE) for name in names])
    yield f"page of a statement {len(bank.names):,}, µs", took_s / len(names) * 1e6
    took_s = seconds(lambda: [store.moved_from(name, start) for name in names])
    yield f"balance of the past {len(bank.names):,}, µs", took_s / len(names) * 1e6


def reads(path: Path, names: list[AccountId]) -> Iterator[tuple[str, float]]:
    """Yield figures of reading accounts, for the first time and again."""
    chosen = random.Random(7).sample(names, min(READS, len(names)))  # noqa: S311
    steps = [chosen[first : first + 2 * TRANSFERS] for first in range(0, len(chosen), 2 * TRANSFERS)]
    over = f"{len(names):,}"
    with closing(new_store(path)) as store:
        took_s = seconds(lambda: [(store.account(name), store.holdings(name)) for name in chosen])
        yield f"account and its holdings, cold, {over}, µs", took_s / len(chosen) * 1e6
        took_s = seconds(lambda: [(store.account(name), store.holdings(name)) for name in chosen])
        yield f"account and its holdings, hot, {over}, µs", took_s / len(chosen) * 1e6
    with closing(new_store(path)) as store:
        load = getattr(store, "load", None)
        if load is not None:  # in an older checkout it is
            took_s = seconds(lambda: [load(step) for step in steps])
            yield f"account loaded with {2 * TRANSFERS:,} others, {over}, µs", took_s / len(chosen) * 1e6


def long_log(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield figures of a log of very many entries: the time until a branch serves again."""
    path = folder / "long.db"
    with closing(new_store(path)) as store:
        bank = Bank(store, FEW_ACCOUNTS)
        bank.fill()
        for _ in range(LONG_LOG // TRANSFERS):
            store.commit(merged([bank.deposit() for _ in range(TRANSFERS)]))
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{folder / 'killed.db'}{suffix}")
    yield f"start with {LONG_LOG:,} entries, s", seconds(lambda: new_store(path).close())
    yield f"start with {LONG_LOG:,} after a kill, s", seconds(lambda: new_store(folder / "killed.db").close())


def merged(commits: list[Changes]) -> Changes:
    """Return one commit of several."""
    whole = Changes(clock=commits[-1].clock)
    for each in commits:
        whole.entries += each.entries
        for part in {"rows", "accounts", "holdings", "keys"} & set(Changes.__slots__):
            getattr(whole, part).update(getattr(each, part))
    return whole


def put_row(changes: Any, name: AccountId, state: Account, held: Holding) -> None:
    """Say what has become of an account, in this checkout's form or in an older one's."""
    if hasattr(changes, "rows"):
        changes.rows[name] = (*state, (ORIGIN.code, *held))
    else:
        changes.accounts[name], changes.holdings[name] = state, {ORIGIN: held}


def resident_mb() -> float:
    """Return how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


CASES: dict[str, Callable[[Path], Iterator[tuple[str, float]]]] = {
    "small": small_commits,
    "few": lambda folder: large_commits(folder, FEW_ACCOUNTS),
    "many": lambda folder: large_commits(folder, MANY_ACCOUNTS),
    "long": long_log,
}


def measure(case: str) -> Figures:
    """Return the figures of one case."""
    gc.freeze()
    with TemporaryDirectory(dir=Path.cwd(), prefix="measure-") as name:
        return dict(CASES[case](Path(name)))


def measure_apart(checkout: Path, case: str) -> Figures:
    """Return the figures of one case, by a process of its own with the code of a checkout."""
    command = [sys.executable, __file__, "--case", case]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(result.stdout)
    return figures


def main(rounds: int, *others: str) -> None:
    """Measure every case in turns; tell medians and, where there are two checkouts, the ratio of them."""
    checkouts = [Path(__file__).parents[1], *map(Path, others)]
    versions = f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    print(f"{versions}; medians of {rounds} (lowest–highest)")
    for case in CASES:
        found: dict[str, list[list[float]]] = {}
        for _ in range(1 if case == "long" else rounds):
            for number, checkout in enumerate(checkouts):
                for what, figure in measure_apart(checkout, case).items():
                    found.setdefault(what, [[] for _ in checkouts])[number].append(figure)
        for what, columns in found.items():
            print(f"{what:<60}", *map(told, columns), ratio(columns), flush=True)


def told(figures: list[float]) -> str:
    """Return a median with the lowest and the highest."""
    if not figures:
        return f"{'':>26}"
    middle = statistics.median(figures)
    return f"{middle:>10,.2f} ({min(figures):,.2f}–{max(figures):,.2f})"


def ratio(columns: list[list[float]]) -> str:
    """Return how many times as much the last column is as the first."""
    if len(columns) == 1 or not all(columns):
        return ""
    pairs = [last / first for first, last in zip(columns[0], columns[-1], strict=True)]
    return f"× {statistics.median(pairs):.2f}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3, *sys.argv[2:])
