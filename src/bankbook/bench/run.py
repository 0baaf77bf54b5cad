"""All of it, from the bank's start to the figures.

Decides the order: accounts, clients, warm-up, the measured window, and then how long the branches take until
all have everything. Must not know how anything is told. Proof: tests/bench/test_run.py.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from bankbook.bench.bank import BankUnderTest, Disk
from bankbook.bench.branches import Branches
from bankbook.bench.clients import Clients
from bankbook.bench.histogram import Histogram
from bankbook.bench.lag import LagProbe
from bankbook.bench.machine import Usage, busy_s, usage_of
from bankbook.bench.prepare import prepare
from bankbook.bench.schedule import Window
from bankbook.bench.settings import BenchError, Load
from bankbook.bench.tally import Tally
from bankbook.client import Bank
from bankbook.core.types import BranchId
from bankbook.server.tasks import first_of

# Until all clients have heard when they begin.
_LEAD_S = 0.2

# At the end, for the branches to pass on what the others lack: a minute of their work.
SETTLE_S = 60.0

# A branch of the bench's own that has died is found out within this.
_WATCH_S = 0.2


class Progress(NamedTuple):
    """How far a bench is."""

    subject: str
    share: float | None
    """From 0 to 1; None where it is not known."""
    operations: int = 0


OnProgress = Callable[[Progress], None]


class Used(NamedTuple):
    """What one branch used while it was measured."""

    cpu_s: float
    memory_bytes: int
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one bench."""

    load: Load
    cluster: str
    branches: tuple[BranchId, ...]
    disk: Disk | None
    tally: Tally
    elapsed_s: float
    """Of the measured window."""
    settled_s: float | None
    """From its beginning until every branch had all of it; None where that did not come to be."""
    lag: Histogram
    lag_failed: int
    used: dict[BranchId, Used]
    """Empty where it is not known."""
    machine_busy_s: float | None
    """Of all processors, for everybody."""
    own_cpu_s: float
    """Of the process that measures, without the clients."""

    @property
    def operations(self) -> int:
        """How many were carried out, of those that were due in the window."""
        return self.tally.outcomes["OK"]

    @property
    def per_s(self) -> float:
        """Operations carried out each second of the window."""
        return self.tally.in_time / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def everywhere_per_s(self) -> float | None:
        """The same, counted until every branch had them."""
        return self.operations / self.settled_s if self.settled_s else None


async def run(
    bank: BankUnderTest, load: Load, on_progress: OnProgress, *, then_at_half: bool = False
) -> list[Measured]:
    """Measure a bank that runs; `then_at_half`, once more, at half the rate that came of the first time.

    Raises BenchError, BankbookError.
    """
    return await first_of(_run(bank, load, on_progress, then_at_half), _watch(bank))


async def _watch(bank: BankUnderTest) -> list[Measured]:
    """End, by an error, once a branch has ended."""
    while not (died := bank.died()):  # noqa: ASYNC110  (they are other processes)
        await asyncio.sleep(_WATCH_S)
    branch, how = next(iter(died.items()))
    raise BenchError(f"branch {branch} {how} while it was measured")


async def _run(
    bank: BankUnderTest, load: Load, on_progress: OnProgress, then_at_half: bool
) -> list[Measured]:
    async with Branches(bank.addresses) as branches, Bank(bank.addresses) as customers:
        if not await _has_accounts(bank, branches):
            opening = Progress("opening accounts", 0.0)
            await prepare(
                customers,
                load.accounts,
                lambda opened: on_progress(opening._replace(share=opened / load.accounts)),
            )
        bench = _Bench(bank, branches, customers, on_progress)
        measured = [await bench.measure(load)]
        if then_at_half and measured[0].per_s:
            measured.append(await bench.measure(replace(load, rate=measured[0].per_s / 2)))
        return measured


async def _has_accounts(bank: BankUnderTest, branches: Branches) -> bool:
    """Return whether every account was there from the beginning. Raises BenchError if it is another bank."""
    statuses = await branches.statuses()
    for status, (branch, address) in zip(statuses, bank.addresses.items(), strict=True):
        if (status.cluster, status.origin.branch) != (bank.cluster, branch):
            found = f"branch {status.origin.branch} of {status.cluster}"
            raise BenchError(f"at {address} is {found}, not branch {branch} of {bank.cluster}")
    return statuses[0].HasField("opening_balance")


@dataclass(frozen=True, slots=True)
class _Bench:
    """A bank, and whom to ask about it."""

    bank: BankUnderTest
    branches: Branches
    customers: Bank
    on_progress: OnProgress

    async def measure(self, load: Load) -> Measured:
        """Put a load on the bank. Raises BenchError, BankbookError."""
        self.on_progress(Progress("starting the clients", None))
        with Clients(load, self.bank.addresses) as clients:
            await clients.ready()
            return await _measure(self, load, clients)


async def _measure(bench: _Bench, load: Load, clients: Clients) -> Measured:
    bank, branches, customers, on_progress = bench.bank, bench.branches, bench.customers, bench.on_progress
    window = window_of(load, time.monotonic() + _LEAD_S)
    clients.go(window)
    probe = LagProbe(customers)
    readings = asyncio.create_task(_read_at(window, bank))
    probing = asyncio.create_task(_probe_from(window, probe))
    try:
        tally = await clients.done(lambda done: on_progress(_progress(load, window, done)))
        before, after = await _ends(readings, bank)
    finally:
        for task in (readings, probing):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await probing
    on_progress(Progress("waiting until every branch has everything", None))
    is_settled = await branches.settled(SETTLE_S)
    settled_s = time.monotonic() - window.measured_s if is_settled else None
    end_s = min(window.end_s, tally.last_s)
    return Measured(
        load=load,
        cluster=bank.cluster,
        branches=tuple(bank.addresses),
        disk=bank.disk,
        tally=tally,
        elapsed_s=max(end_s - window.measured_s, 0.0),
        settled_s=settled_s,
        lag=probe.lag,
        lag_failed=probe.failed,
        used=_used(before, after),
        machine_busy_s=_difference(before.busy_s, after.busy_s),
        own_cpu_s=after.own_s - before.own_s,
    )


def window_of(load: Load, now_s: float) -> Window:
    """Return when a load begins, is measured and ends, if it begins now."""
    measured_s = now_s + load.warmup_s
    if load.operations is not None:
        return Window(now_s, measured_s)
    return Window(now_s, measured_s, measured_s + load.duration_s)


def _progress(load: Load, window: Window, done: int) -> Progress:
    now_s = time.monotonic()
    if now_s < window.measured_s:
        return Progress("warming up", None, done)
    if load.operations is not None:
        return Progress("measuring", min(done / load.operations, 1.0), done)
    return Progress("measuring", min((now_s - window.measured_s) / load.duration_s, 1.0), done)


class _Reading(NamedTuple):
    """What everybody had used at one moment."""

    branches: dict[BranchId, Usage]
    busy_s: float | None
    own_s: float


def _read(bank: BankUnderTest) -> _Reading:
    told = {branch: usage_of(pid) for branch, pid in bank.pids.items()}
    own = os.times()
    return _Reading(
        {branch: usage for branch, usage in told.items() if usage is not None},
        busy_s(),
        own.user + own.system,
    )


async def _read_at(window: Window, bank: BankUnderTest) -> tuple[_Reading, _Reading | None]:
    """Return what had been used at the beginning of the window, and at its end if it ends by the clock."""
    await asyncio.sleep(window.measured_s - time.monotonic())
    before = _read(bank)
    if window.end_s == float("inf"):
        return before, None
    await asyncio.sleep(window.end_s - time.monotonic())
    return before, _read(bank)


async def _ends(
    readings: "asyncio.Task[tuple[_Reading, _Reading | None]]", bank: BankUnderTest
) -> tuple[_Reading, _Reading]:
    before, after = await readings
    return before, after or _read(bank)


async def _probe_from(window: Window, probe: LagProbe) -> None:
    await asyncio.sleep(window.measured_s - time.monotonic())
    await probe.run()


def _used(before: _Reading, after: _Reading) -> dict[BranchId, Used]:
    return {
        branch: Used(usage.cpu_s - before.branches[branch].cpu_s, usage.memory_bytes, usage.memory_peak_bytes)
        for branch, usage in after.branches.items()
        if branch in before.branches
    }


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
