"""Measure the SQLite store on the disk of this folder: python tools/measure_store.py

The figures in docs/decisions/0003-sqlite.md come from here.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Keyed, Posting, Record, RecordKind
from bankbook.core.ports import Account, Changes, Genesis, Holding, KeyRecord, Position
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Key, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.base import KEYS_FORGOTTEN_MAX
from bankbook.store.sqlite import SqliteStore

ORIGIN = Origin(BranchId(1), Incarnation(1))
GENESIS = Genesis("measurement", (BranchId(1),), Money(0))
ACCOUNTS = 100_000
SMALL_COMMITS = 5_000
LARGE_COMMITS = 50
LARGE_COMMIT_ENTRIES = 1_000
READS = 50_000
POSTINGS = 10_000
PAGE = 100
END = HybridTime(2**48)


def deposits(first: int, count: int, *, are_keyed: bool = False) -> Changes:
    """Return a commit of deposits, each to another account, scattered over all of them."""
    changes = Changes(clock=HybridTime(first << 16))
    for number in range(first, first + count):
        account, seq = account_number(number), Seq(number)
        keyed = Keyed(a_key(number), "fingerprint") if are_keyed else None
        entry = make_entry(
            origin=ORIGIN,
            seq=seq,
            clock=HybridTime(number << 16),
            dependencies=NOTHING,
            records=(Record(RecordKind.DEPOSIT, (Posting(account, Money(1)),)),),
            customer=CustomerId("customer"),
            keyed=keyed,
        )
        changes.entries.append(entry)
        changes.accounts[account] = Account(Money(number))
        changes.holdings[account] = {ORIGIN: Holding(seq, Money(1))}
        if keyed is not None:
            changes.keys[keyed.key] = KeyRecord(keyed.fingerprint, entry.id, entry.clock)
    return changes


def a_key(number: int) -> Key:
    """Return a key as a client makes one up: nothing tells where it comes to stand in an index."""
    return Key(f"{ORIGIN.branch}/{sha256(str(number).encode()).hexdigest()[:32]}")


def account_number(number: int) -> AccountId:
    """Return one of ACCOUNTS ids; consecutive numbers lie far apart (7,919 is a prime)."""
    return AccountId(f"account-{number * 7919 % ACCOUNTS}")


def report(what: str, count: int, work: Callable[[], object]) -> None:
    """Run `work`, which does something `count` times, and write how many a second that was."""
    started = time.perf_counter()
    work()
    sys.stdout.write(f"{count / (time.perf_counter() - started):>10,.0f} {what}\n")


def sync_bare(path: Path) -> None:
    """Append and sync pages without any database: what the disk allows."""
    with path.open("wb", buffering=0) as file:
        for _ in range(SMALL_COMMITS):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())


def main() -> None:
    """Measure writes, then reads of what they wrote; without keys, then the same with one for each entry."""
    sys.stdout.write(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, per second:\n")
    with TemporaryDirectory(dir=Path.cwd(), prefix="measure-") as name:
        folder = Path(name)
        report("bare appends of 4 KiB, each synced", SMALL_COMMITS, lambda: sync_bare(folder / "bare"))
        with closing(new_store(folder / "store.db")) as store:
            measure_commits(store, are_keyed=False)
            measure_reads(store)
            measure_statement(store)
        with closing(new_store(folder / "keyed.db")) as store:
            measure_commits(store, are_keyed=True)
            measure_keys(store)


def new_store(path: Path) -> SqliteStore:
    """Return an empty store."""
    return SqliteStore.create_or_open(path, GENESIS, ORIGIN.branch, ORIGIN.incarnation)


def measure_commits(store: SqliteStore, *, are_keyed: bool) -> None:
    """Fill a new store by small commits, then by large ones."""
    large = LARGE_COMMITS * LARGE_COMMIT_ENTRIES
    firsts = range(SMALL_COMMITS + 1, SMALL_COMMITS + large, LARGE_COMMIT_ENTRIES)
    small_ones = [deposits(number, 1, are_keyed=are_keyed) for number in range(1, SMALL_COMMITS + 1)]
    large_ones = [deposits(first, LARGE_COMMIT_ENTRIES, are_keyed=are_keyed) for first in firsts]
    keyed = ", each with a key" if are_keyed else ""
    report(f"commits of 1 entry{keyed}", SMALL_COMMITS, lambda: commit(store, small_ones))
    report(f"entries in commits of {LARGE_COMMIT_ENTRIES:,}{keyed}", large, lambda: commit(store, large_ones))


def commit(store: SqliteStore, every: list[Changes]) -> None:
    """Commit one after the other."""
    for changes in every:
        store.commit(changes)


def measure_reads(store: SqliteStore) -> None:
    """Read accounts here and there, and the log from its beginning."""
    accounts = [account_number(number) for number in range(1, READS + 1)]
    starts = range(0, READS, LARGE_COMMIT_ENTRIES)
    report("reads of an account", READS, lambda: [store.account(a) for a in accounts])
    report("reads of an account's holdings", READS, lambda: [store.holdings(a) for a in accounts])
    report(
        f"entries read {LARGE_COMMIT_ENTRIES:,} at a time",
        READS,
        lambda: [len(store.entries(ORIGIN, Seq(after), LARGE_COMMIT_ENTRIES)) for after in starts],
    )


def measure_keys(store: SqliteStore) -> None:
    """Read keys, and forget them all."""
    keys = [a_key(number) for number in range(1, READS + 1)]
    count = SMALL_COMMITS + LARGE_COMMITS * LARGE_COMMIT_ENTRIES
    forgetting = Changes(forget_keys_before=HybridTime(HYBRID_TIME_MAX))
    commits = -(-count // KEYS_FORGOTTEN_MAX)
    report("reads of a key", READS, lambda: [store.key(key) for key in keys])
    report(
        f"keys forgotten in commits of {KEYS_FORGOTTEN_MAX:,}",
        count,
        lambda: commit(store, [forgetting] * commits),
    )


def measure_statement(store: SqliteStore) -> None:
    """Read a statement of POSTINGS page by page, and the balance before its end."""
    account, first = AccountId("busy"), store.applied()[ORIGIN] + 1
    batch = tuple(Record(RecordKind.DEPOSIT, (Posting(account, Money(1)),)) for _ in range(POSTINGS))
    entry = make_entry(origin=ORIGIN, seq=Seq(first), clock=END, dependencies=NOTHING, records=batch)
    balance, held = Account(Money(POSTINGS)), Holding(Seq(first), Money(POSTINGS))
    store.commit(Changes([entry], {account: balance}, {account: {ORIGIN: held}}))
    pages = [Position(END, ORIGIN, Seq(first), leg) for leg in range(0, POSTINGS, PAGE)]
    report(
        f"postings read {PAGE} at a time",
        POSTINGS,
        lambda: [store.postings(account, after, HybridTime(END + 1), PAGE) for after in pages],
    )
    report(
        "postings added up before a position",
        POSTINGS * 10,
        lambda: [
            store.moved_before(account, Position(HybridTime(END + 1), ORIGIN, Seq(0), 0)) for _ in range(10)
        ],
    )


if __name__ == "__main__":
    main()
