"""Banks that are measured, each branch a process over a store that was prepared.

Decides how a bank is started, loaded, killed and started again. Must not know how its stores came to be, nor
what is told of it. Proof: tests/alternatives/test_growth_curves.py.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bankbook.bench.bank import CLUSTER, BankUnderTest
from bankbook.bench.machine import usage_of
from bankbook.bench.prepare import OPENING
from bankbook.bench.report import others_share
from bankbook.bench.run import Measured, run
from bankbook.bench.settings import Load
from bankbook.client import LOCAL, Bank
from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId
from bankbook.server.config import BranchConfig, Delay
from bankbook.server.launcher import Launcher
from benchmarks.cases import BenchmarkError

FIRST = BranchId(1)

# Beyond what anything here takes on a machine in distress.
HELD_AT_MOST_S = 900.0

# Before it is measured.
_WARMUP_S = 1.0


Delays = Mapping[BranchId, dict[BranchId, Delay]]
"""How long entries are on their way: to a branch, from another one."""

_NO_DELAYS: Delays = {}


class Loaded(NamedTuple):
    """What came of a load."""

    per_s: float
    everywhere_per_s: float | None
    p50_ms: float
    p99_ms: float
    server_us: float
    """Of a processor, for each operation, at all branches together."""
    peak_mb: float
    """Of the largest branch."""
    others_cpu: float | None


@dataclass(frozen=True, slots=True)
class RunningBank:
    """A bank that runs."""

    launcher: Launcher
    started_s: float
    """From the fork of its processes until all serve and are joined to each other."""

    @property
    def addresses(self) -> dict[BranchId, str]:
        """Where each branch listens."""
        return self.launcher.addresses

    def load(self, load: Load) -> Loaded:
        """Put a load on it. Raises BenchError, BankbookError, BenchmarkError."""
        pids = {branch: self.launcher.pid(branch) for branch in self.addresses}
        bank = BankUnderTest(CLUSTER, self.addresses, pids, None, self.launcher.ended)
        (measured,) = asyncio.run(run(bank, load, lambda _: None))
        return _loaded(measured)

    def cpu_s(self) -> float:
        """Return what all branches together have used of processors so far."""
        usages = [usage_of(self.launcher.pid(branch)) for branch in self.addresses]
        return sum(usage.cpu_s for usage in usages if usage is not None)

    def memory_mb(self) -> float:
        """Return how much memory the largest branch has. Raises BenchmarkError."""
        usages = [usage_of(self.launcher.pid(branch)) for branch in self.addresses]
        if None in usages:
            raise BenchmarkError("this system does not tell how much memory a process has")
        return max(usage.memory_bytes for usage in usages if usage is not None) / 1e6

    def answers(self) -> None:
        """Return once the first branch has answered. Raises BankbookError."""
        asyncio.run(_ask(self.addresses))


async def _ask(addresses: dict[BranchId, str]) -> None:
    async with Bank(addresses) as bank:
        await bank.session("bench-0").balance(branch=FIRST, freshness=LOCAL)


def _loaded(measured: Measured) -> Loaded:
    failed = {name: count for name, count in measured.tally.outcomes.items() if name != "OK"}
    if failed or not measured.operations:
        raise BenchmarkError(f"operations failed, of {measured.operations} that did not: {failed}")
    service, used = measured.tally.service, measured.used.values()
    return Loaded(
        per_s=measured.per_s,
        everywhere_per_s=measured.everywhere_per_s,
        p50_ms=service.percentile(50) / 1000,
        p99_ms=service.percentile(99) / 1000,
        server_us=1e6 * sum(each.cpu_s for each in used) / measured.operations,
        peak_mb=max((each.memory_peak_bytes for each in used), default=0) / 1e6,
        others_cpu=others_share(measured),
    )


@contextmanager
def bank(folder: Path, branches: int = 1, delays: Delays = _NO_DELAYS) -> Iterator[RunningBank]:
    """Start a bank over the stores in `folder`, made where there are none; stop it in the end.

    Raises LaunchError.
    """
    with Launcher(_configs(folder, branches, delays)) as launcher:
        began_s = time.perf_counter()
        launcher.start()
        yield RunningBank(launcher, time.perf_counter() - began_s)


def _configs(folder: Path, branches: int, delays: Delays) -> Iterator[BranchConfig]:
    everybody = tuple(BranchId(number) for number in range(1, branches + 1))
    for branch in everybody:
        yield BranchConfig(
            branch=branch,
            genesis=Genesis(CLUSTER, everybody, OPENING),
            data=store_folder(folder, branch),
            is_temporary=True,
            log_level="error",  # that a branch is gone is no news: it was killed
            hold_limit_us=round(HELD_AT_MOST_S * 1e6),
            delays=delays.get(branch, {}),
        )


def store_folder(folder: Path, branch: BranchId = FIRST) -> Path:
    """Return where a branch has its store."""
    return folder / f"branch-{branch}"


def bulk(seconds: float, accounts: int, callers: int = 4) -> Load:
    """Return a load of transfers, a thousand in a request."""
    return Load(
        accounts=accounts, bulk=1_000, remote=0.0, callers=callers, warmup_s=_WARMUP_S, duration_s=seconds
    )


def singles(seconds: float, accounts: int, callers: int = 64) -> Load:
    """Return a load of transfers, one in a request: each is an entry, and has a key."""
    return Load(accounts=accounts, remote=0.0, callers=callers, warmup_s=_WARMUP_S, duration_s=seconds)
