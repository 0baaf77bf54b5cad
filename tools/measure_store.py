"""Measure the SQLite store on the disk of this folder: python tools/measure_store.py

The figures in docs/decisions/0003-sqlite.md come from here.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from bankbook.core.clock import HybridTime
from bankbook.core.entry import EntryKind, Posting, make_entry
from bankbook.core.ports import Account, Changes, Genesis
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.sqlite import SqliteStore

ORIGIN = Origin(BranchId(1), Incarnation(1))
GENESIS = Genesis("measurement", (BranchId(1),), Money(0))
ACCOUNTS = 100_000
SMALL_COMMITS = 5_000
LARGE_COMMITS = 50
LARGE_COMMIT_ENTRIES = 1_000
READS = 50_000


def deposits(first: int, count: int) -> Changes:
    """Return a commit of deposits, each to another account, scattered over all of them."""
    changes = Changes(clock=HybridTime(first << 16))
    for number in range(first, first + count):
        account, seq = account_number(number), Seq(number)
        changes.entries.append(
            make_entry(
                origin=ORIGIN,
                seq=seq,
                clock=HybridTime(number << 16),
                dependencies=NOTHING,
                kind=EntryKind.DEPOSIT,
                customer=CustomerId("customer"),
                postings=(Posting(account, Money(1)),),
            )
        )
        changes.accounts[account] = Account(Money(number))
        changes.last_writes[account] = {ORIGIN: seq}
    return changes


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
    """Measure writes, then reads of what they wrote."""
    small = [deposits(number, 1) for number in range(1, SMALL_COMMITS + 1)]
    firsts = range(
        SMALL_COMMITS + 1, SMALL_COMMITS + LARGE_COMMITS * LARGE_COMMIT_ENTRIES, LARGE_COMMIT_ENTRIES
    )
    large = [deposits(first, LARGE_COMMIT_ENTRIES) for first in firsts]
    accounts = [account_number(number) for number in range(1, READS + 1)]
    sys.stdout.write(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, per second:\n")
    with TemporaryDirectory(dir=Path.cwd(), prefix="measure-") as name:
        folder = Path(name)
        report("bare appends of 4 KiB, each synced", SMALL_COMMITS, lambda: sync_bare(folder / "bare"))
        path = folder / "store.db"
        with closing(SqliteStore.create_or_open(path, GENESIS, ORIGIN.branch, ORIGIN.incarnation)) as store:

            def commit(every: list[Changes]) -> None:
                for changes in every:
                    store.commit(changes)

            report("commits of 1 entry", SMALL_COMMITS, lambda: commit(small))
            report(
                f"entries in commits of {LARGE_COMMIT_ENTRIES:,}",
                LARGE_COMMITS * LARGE_COMMIT_ENTRIES,
                lambda: commit(large),
            )
            report("reads of an account", READS, lambda: [store.account(a) for a in accounts])
            report("reads of a write set", READS, lambda: [store.write_set(a) for a in accounts])
            report(
                f"entries read {LARGE_COMMIT_ENTRIES:,} at a time",
                READS,
                lambda: (
                    [
                        store.entries(ORIGIN, Seq(after), LARGE_COMMIT_ENTRIES)
                        for after in range(0, READS, LARGE_COMMIT_ENTRIES)
                    ]
                    and None
                ),
            )


if __name__ == "__main__":
    main()
