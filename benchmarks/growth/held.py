"""Held requests: one awaits its entry, among so many others that go on waiting.

Decides who is held for what, at one branch of four. What a far branch decides never arrives there, and the
crowd waits for that; what a near one decides is on its way for a moment, and a probe waits for that. The
fourth one has what the far one decided: when that is killed, it is fetched from there, which frees the crowd.
Must not know how a hold works. Proof: tests/alternatives/test_growth_curves.py.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from statistics import median

from bankbook.bench.histogram import Histogram
from bankbook.bench.machine import usage_of
from bankbook.client import Bank, SessionToken
from bankbook.core.types import BranchId
from bankbook.server.config import Delay
from benchmarks.cases import BenchmarkError
from benchmarks.growth.banks import HELD_AT_MOST_S, RunningBank, bank
from benchmarks.growth.crowd import Waiting, crowd
from benchmarks.growth.figures import Point
from benchmarks.growth.lab import Lab
from benchmarks.machine import Stopwatch
from benchmarks.progress import Show

NEAR, HERE, FAR, RELAY = (BranchId(number) for number in range(1, 5))

# Long enough that a probe's read is there before the entry it depends on.
_NEAR_US = 100_000

_PROBES, _PROBERS = 1_000, 8
# Who answers all of them at once has them wait for each other, in the process that measures as well.
_APART_S = 0.1

_DEPOSITS = 200
_IDLE_S = 3.0

# Of fewer, what the branch itself took meanwhile would be most.
_MEMORY_FROM = 100

_NEVER = Delay(round(HELD_AT_MOST_S * 1e6), round(HELD_AT_MOST_S * 1e6))
_DELAYS = {HERE: {NEAR: Delay(_NEAR_US, _NEAR_US), FAR: _NEVER}, NEAR: {FAR: _NEVER}}


def measure(lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
    """Yield a point for each number of held requests. Raises BenchmarkError, LaunchError, BankbookError."""
    for size in sizes:
        lab.show(f"{size:,} held requests")
        with lab.room() as room, bank(room, 4, _DELAYS) as running:
            yield _point(running, size, lab.show)
            running.launcher.kill_all()  # one is gone already, and draining would wait for that


def _point(running: RunningBank, size: int, show: Show) -> Point:
    watch = Stopwatch.start()
    memory_mb = _memory_mb(running)
    token = asyncio.run(_decided_far(running.addresses))
    with crowd(Waiting(running.addresses, HERE, str(token)), size) as waiting:
        asyncio.run(waiting.gather(show))
        crowded_mb = _memory_mb(running)
        idle = _idle_cpu(running)
        late = asyncio.run(_probe(running.addresses))
        deposit_ms = asyncio.run(_deposits(running.addresses))
        running.launcher.kill(FAR)
        freed_s = waiting.freed()
    values = {
        "p50_ms": late.percentile(50) / 1000,
        "p99_ms": late.percentile(99) / 1000,
        "deposit_ms": deposit_ms,
        "idle_cpu": idle,
    }
    if size >= _MEMORY_FROM:
        values["memory_kb"] = max(crowded_mb - memory_mb, 0.0) * 1000 / size
    if size > 1:
        values["freed_us"] = 1e6 * (freed_s[-1] - freed_s[0]) / (size - 1)
    missed = _PROBES - late.count
    notes = (f"{missed} of {_PROBES:,} probes came after their entry, and are not told of",) if missed else ()
    return Point(size, values, watch.others(), notes)


def _memory_mb(running: RunningBank) -> float:
    usage = usage_of(running.launcher.pid(HERE))
    if usage is None:
        raise BenchmarkError("this system does not tell how much memory a process has")
    return usage.memory_bytes / 1e6


def _idle_cpu(running: RunningBank) -> float:
    """Return the share of a processor that the branch uses while nobody asks for anything."""
    pid = running.launcher.pid(HERE)
    before = usage_of(pid)
    time.sleep(_IDLE_S)
    after = usage_of(pid)
    assert before is not None, "its memory was told a moment ago"
    assert after is not None, "its memory was told a moment ago"
    return (after.cpu_s - before.cpu_s) / _IDLE_S


async def _decided_far(addresses: dict[BranchId, str]) -> SessionToken:
    """Return the token of a deposit that the branch which holds does not get."""
    async with Bank(addresses) as customers:
        session = customers.session("bench-1")
        await session.deposit(1, branch=FAR)
        return session.token


# The probes.


async def _probe(addresses: dict[BranchId, str]) -> Histogram:
    """Return how late holds ended, in microseconds from when the awaited entry was due to arrive."""
    late = Histogram()
    async with Bank(addresses) as customers:
        await asyncio.gather(*(_probe_often(customers, number, late) for number in range(_PROBERS)))
    if late.count < _PROBES / 2:
        raise BenchmarkError("most probes came after the entry that they were to wait for")
    return late


async def _probe_often(customers: Bank, number: int, late: Histogram) -> None:
    for _ in range(_PROBES // _PROBERS):
        await asyncio.sleep(random.uniform(0, _APART_S))  # noqa: S311  (no secret)
        session = customers.session(f"bench-{number + 2}")
        await session.deposit(1, branch=NEAR)
        due_s = time.perf_counter() + _NEAR_US / 1e6
        receipt = await session.balance(branch=HERE)
        if receipt.held_us:
            late.record(max(round((time.perf_counter() - due_s) * 1e6), 0))


async def _deposits(addresses: dict[BranchId, str]) -> float:
    """Return the median of deposits at the branch that holds, in milliseconds."""
    taken_s = []
    async with Bank(addresses) as customers:
        session = customers.session("bench-0")
        for _ in range(_DEPOSITS):
            began_s = time.perf_counter()
            await session.deposit(1, branch=HERE)
            taken_s.append(time.perf_counter() - began_s)
    return 1000 * median(taken_s)
