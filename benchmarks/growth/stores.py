"""More accounts, and a longer history: one branch over stores that were prepared.

Decides that each size is measured in turns with the same reference, and from which states a branch is started
again. Must not know how a store is prepared. Proof: tests/alternatives/test_growth_curves.py.
"""

import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from bankbook.server.branch import STORE_FILE
from bankbook.store.sqlite_schema import SCHEMA_VERSION
from benchmarks.cases import BenchmarkError
from benchmarks.growth import prepare
from benchmarks.growth.banks import bank, bulk, singles, store_folder
from benchmarks.growth.figures import Point
from benchmarks.growth.lab import Lab, in_turns

REFERENCE_ACCOUNTS = 10_000
REFERENCE_ENTRIES = 100_000

# A process tells of its progress so often.
_TELL_EVERY = 500_000


def measure_accounts(lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
    """Yield a point for each number of accounts, all of which have a row and a statement.

    Raises BenchmarkError, LaunchError, StoreError, BankbookError.
    """
    with lab.room() as reference:
        prepare.touch_accounts(store_folder(reference), REFERENCE_ACCOUNTS)
        for size in sizes:
            lab.show(f"{size:,} accounts: preparing")
            with lab.room() as stores:
                prepare.touch_accounts(store_folder(stores), size)
                yield _point(lab, stores, reference, size, size, REFERENCE_ACCOUNTS)


def measure_history(lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
    """Yield a point for each number of entries; each store is that of the size before, continued.

    Raises BenchmarkError, LaunchError, StoreError, BankbookError.
    """
    with lab.room() as room:
        reference, before, done = room / "reference", None, 0
        prepare.add_history(store_folder(reference), REFERENCE_ENTRIES, REFERENCE_ACCOUNTS)
        for size in sizes:
            stores = (lab.kept or room) / f"history-{size}-{SCHEMA_VERSION}"
            if not stores.exists():
                lab.show(f"{size:,} entries: preparing")
                _continue(lab, stores, before, done, size)
            before, done = stores, size
            yield _point(lab, stores, reference, size, REFERENCE_ACCOUNTS, REFERENCE_ACCOUNTS)


def _continue(lab: Lab, stores: Path, before: Path | None, done: int, size: int) -> None:
    """Make a history of one that is shorter; where that is interrupted, nothing bears its name."""
    with TemporaryDirectory(dir=stores.parent, prefix="growth-") as name:
        unfinished = Path(name) / stores.name
        if before is not None:
            shutil.copytree(before, unfinished)
        prepare.add_history(
            store_folder(unfinished), size - done, REFERENCE_ACCOUNTS, _teller(lab, done, size)
        )
        unfinished.rename(stores)


def _teller(lab: Lab, done: int, size: int) -> Callable[[int], None]:
    def tell(added: int) -> None:
        if (done + added) % _TELL_EVERY == 0:
            lab.show(f"{size:,} entries: {done + added:,} are there")

    return tell


def _point(
    lab: Lab, stores: Path, reference: Path, size: int, accounts: int, accounts_of_reference: int
) -> Point:
    lab.show(f"{size:,}: starting, and starting after a kill")
    values = {
        "file_mb": (store_folder(stores) / STORE_FILE).stat().st_size / 1e6,
        "started_s": _started_s(lab, stores),
        "killed_s": _started_after_kill_s(lab, stores, accounts),
    }
    lab.show(f"{size:,}: measuring")
    with lab.copy_of(stores) as worn, lab.copy_of(reference) as other:
        one = in_turns(
            worn, other, singles(lab.seconds, accounts), singles(lab.seconds, accounts_of_reference)
        )
        many = in_turns(worn, other, bulk(lab.seconds, accounts), bulk(lab.seconds, accounts_of_reference))
    values |= {
        "single_per_s": one.loaded.per_s,
        "single_us": one.loaded.server_us,
        "single_ratio": one.ratio,
        "bulk_per_s": many.loaded.per_s,
        "bulk_us": many.loaded.server_us,
        "bulk_ratio": many.ratio,
        "peak_mb": max(one.loaded.peak_mb, many.loaded.peak_mb),
    }
    others = [each.loaded.others_cpu for each in (one, many) if each.loaded.others_cpu is not None]
    return Point(size, values, fmean(others) if others else None)


def _started_s(lab: Lab, stores: Path) -> float:
    with lab.copy_of(stores) as copy, bank(copy) as running:
        running.answers()
        return running.started_s


def _started_after_kill_s(lab: Lab, stores: Path, accounts: int) -> float:
    """Return how long a start takes when a kill has left nearly as much to replay as there can be."""
    with lab.copy_of(stores) as copy:
        context = multiprocessing.get_context("forkserver")
        count = prepare.unsummed_transfers(accounts)
        process = context.Process(
            target=prepare.die_with_history, args=(store_folder(copy), count, accounts), daemon=True
        )
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise BenchmarkError(f"a store could not be left to be replayed: exit status {process.exitcode}")
        with bank(copy) as running:
            running.answers()
            return running.started_s
