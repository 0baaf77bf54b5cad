"""Stores with a past: millions of entries in minutes, as a branch would have written them in days.

Decides what that past is. Every commit goes through the store's own `commit`, with entries, accounts,
holdings and keys as the core makes them; left out are the network, the core's ladder, and most syncs: 2,000
requests share one. Must not know what is measured.
Proof: tests/alternatives/test_growth_prepare.py, which holds it against the core.
"""

import math
import os
import signal
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

from bankbook.bench.accounts import account_name
from bankbook.bench.bank import CLUSTER
from bankbook.bench.prepare import OPENING
from bankbook.core.clock import HybridTime
from bankbook.core.columns import Columns
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Keyed, MoveRecords, Posting, Record, RecordKind, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Holding, KeyRecord, row_of
from bankbook.core.state import State
from bankbook.core.types import (
    KEY_DRAWN_BITS,
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Money,
    Origin,
    Seq,
    new_key,
)
from bankbook.core.vector import NOTHING
from bankbook.server.branch import STORE_FILE
from bankbook.server.machine import collect_rarely
from bankbook.store.fresh import ENTRY_WEIGHT, OTHER_WEIGHT
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import ROW_WEIGHT, Bounds

BRANCH = BranchId(1)
GENESIS = Genesis(CLUSTER, (BRANCH,), OPENING)

_INCARNATION = Incarnation(0x6B0B)
ORIGIN = Origin(BRANCH, _INCARNATION)
_CUSTOMER = CustomerId("bench-0")

# Of what makes the tables due, a store that is killed at the worst moment has not written.
_NEARLY_ONE_AND_A_HALF = 1.4

COMMIT_ENTRIES = 2_000
_BATCH = 1_000

# A past that ends before now, and no key of which is old enough to be forgotten.
_BEGAN_DAYS_AGO = 10
_EVERY_MS = 50

# Of a hybrid clock, below the milliseconds.
_COUNTER_BITS = 16

OnProgress = Callable[[int], None]


def open_store(folder: Path) -> SqliteStore:
    """Open the store of the only branch of a bank, or make it. Raises StoreError."""
    return SqliteStore.create_or_open(folder / STORE_FILE, GENESIS, BRANCH, _INCARNATION)


def touch_accounts(folder: Path, accounts: int, on_progress: OnProgress = lambda _: None) -> None:
    """Let every account pay another one once, so that each has a row and a statement. Raises StoreError."""
    with closing(open_store(folder)) as store:
        for first in range(0, accounts, 2 * _BATCH):
            names = [account_name(number) for number in range(first, min(first + 2 * _BATCH, accounts))]
            store.commit(_paid_in_pairs(store, names))
            on_progress(first)


def _paid_in_pairs(store: SqliteStore, names: list[AccountId]) -> Changes:
    """Return the commit of one batch in which every second account pays 1 to the next one."""
    pairs = len(names) // 2
    sources, destinations = range(1, 2 * pairs, 2), range(2, 2 * pairs + 1, 2)
    columns = Columns(tuple(names[: 2 * pairs]), tuple(sources), tuple(destinations), (Money(1),) * pairs)
    balances = (Money(OPENING - 1),) * pairs
    clock = next_clock(store)
    entry = make_entry(
        origin=ORIGIN,
        seq=Seq(store.applied()[ORIGIN] + 1),
        clock=clock,
        dependencies=NOTHING,
        customer=_CUSTOMER,
        keyed=Keyed(new_key(BRANCH, clock >> _COUNTER_BITS, 0), f"{clock:016x}"),
        records=MoveRecords(columns, balances, (Money(0),) * (2 * pairs)),
    )
    state = State(store, GENESIS)
    state.apply(entry)
    return state.take_changes(clock)


def next_clock(store: SqliteStore) -> HybridTime:
    """Return when the next entry is to be."""
    if store.clock():
        return HybridTime(store.clock() + (_EVERY_MS << _COUNTER_BITS))
    began_ms = time.time_ns() // 1_000_000 - _BEGAN_DAYS_AGO * 24 * 3600 * 1000
    return HybridTime(began_ms << _COUNTER_BITS)


def add_history(
    folder: Path, entries: int, accounts: int, on_progress: OnProgress = lambda _: None, seed: int = 0
) -> None:
    """Add so many transfers between accounts drawn at random, an entry and a key each. Raises StoreError."""
    with closing(open_store(folder)) as store:
        _commit_history(store, entries, accounts, Random(f"{seed}/{store.clock()}"), on_progress)  # noqa: S311


def _commit_history(
    store: SqliteStore, entries: int, accounts: int, chance: Random, on_progress: OnProgress
) -> None:
    for done in range(0, entries, COMMIT_ENTRIES):
        count = min(COMMIT_ENTRIES, entries - done)
        store.commit(transfers(store, count, accounts, chance))
        on_progress(done + count)


def transfers(store: SqliteStore, count: int, accounts: int, chance: Random) -> Changes:
    """Return a commit of so many transfers of 1.

    By hand, and not by the core's `State`, which takes twice as long: ten million would take a quarter of an
    hour. Both come to the same.
    """
    pairs = list(_pairs(count, accounts, chance))
    names = tuple({account for pair in pairs for account in pair})
    rows = zip(names, store.rows(names), strict=True)
    balances = {name: OPENING if row is None else row[0] for name, row in rows}
    seq, clock = store.applied()[ORIGIN], next_clock(store)
    last: dict[AccountId, Seq] = {}
    changes = Changes()
    for source, destination in pairs:
        seq = Seq(seq + 1)
        balances[source] = Money(balances[source] - 1)
        balances[destination] = Money(balances[destination] + 1)
        last[source] = last[destination] = seq
        key = Keyed(
            new_key(BRANCH, clock >> _COUNTER_BITS, chance.getrandbits(KEY_DRAWN_BITS)),
            f"{chance.getrandbits(64):016x}",
        )
        entry = _transfer(seq, clock, source, destination, balances[source], key)
        changes.entries.append(entry)
        changes.keys[key.key] = KeyRecord(key.fingerprint, entry.id, clock)
        changes.clock, clock = clock, HybridTime(clock + (_EVERY_MS << _COUNTER_BITS))
    for name, balance in balances.items():
        changes.rows[name] = row_of(Account(balance), {ORIGIN: Holding(last[name], Money(balance - OPENING))})
    return changes


def _pairs(count: int, accounts: int, chance: Random) -> Iterator[tuple[AccountId, AccountId]]:
    draw = chance.random
    for _ in range(count):
        source = int(draw() * accounts)
        yield account_name(source), account_name((source + 1 + int(draw() * (accounts - 1))) % accounts)


def _transfer(
    seq: Seq, clock: HybridTime, source: AccountId, destination: AccountId, left: Money, keyed: Keyed
) -> Entry:
    """Return what `make_entry` makes of a transfer of 1, in a third of the time."""
    encoded = (
        f'{{"origin":[{BRANCH},{_INCARNATION}],"seq":{seq},"clock":{clock},"after":[],'
        f'"customer":"{_CUSTOMER}","key":["{keyed.key}","{keyed.fingerprint}"],"records":[{{"kind":"transfer",'
        f'"postings":[["{source}",-1],["{destination}",1]],"verdict":["OK",{left},{left},""]}}]}}'
    )
    postings = (Posting(source, Money(-1)), Posting(destination, Money(1)))
    record = Record(RecordKind.TRANSFER, postings, verdict=Verdict(Outcome.OK, left, left))
    return Entry(ORIGIN, seq, clock, NOTHING, _CUSTOMER, keyed, (record,), encoded.encode())


def unsummed_transfers(accounts: int) -> int:
    """Return how many transfers may be on the disk and not in the tables: nearly as many as there ever are.

    What makes the tables due is frozen and being written, and nearly half as much again has come meanwhile.
    """
    replay_max = Bounds().replay_max

    def weight(transfers: int) -> int:
        drawn = -accounts * math.expm1(-2 * transfers / accounts)  # of the accounts, as may be expected
        return transfers * (ENTRY_WEIGHT + 2 * OTHER_WEIGHT) + round(drawn) * ROW_WEIGHT

    return int(_NEARLY_ONE_AND_A_HALF * bisect_left(range(replay_max), replay_max, key=weight))


def die_with_history(folder: Path, entries: int, accounts: int) -> None:
    """Add transfers and be killed before the tables are written. Runs in a process of its own."""
    collect_rarely()
    _commit_history(open_store(folder), entries, accounts, Random(entries), lambda _: None)  # noqa: S311
    os.kill(os.getpid(), signal.SIGKILL)
