"""Held requests: one awaits its entry, among so many others that go on waiting.

Decides who is held for what, at one branch of four. What a far branch decides never arrives there, and the
crowd waits for that; what a near one decides is on its way for a moment, and a probe waits for that. The
fourth one has what the far one decided: when that is killed, it is fetched from there, which frees the crowd.
Must not know how a hold works. Proof: tests/alternatives/test_growth_curves.py.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from statistics import median
from typing import NamedTuple

from bankbook.bench.branches import Branches
from bankbook.bench.histogram import Histogram
from bankbook.bench.machine import usage_of
from bankbook.client import Bank, BankbookError, Session, SessionToken
from bankbook.core.types import BranchId
from bankbook.server.config import Delay
from benchmarks.cases import BenchmarkError
from benchmarks.growth.banks import HELD_AT_MOST_S, RunningBank, bank
from benchmarks.growth.figures import Point
from benchmarks.growth.lab import Lab
from benchmarks.machine import Stopwatch

NEAR, HERE, FAR, RELAY = (BranchId(number) for number in range(1, 5))

# Long enough that a probe's read is there before the entry it depends on.
_NEAR_US = 100_000

# Of a process of callers: each call is some 30 kB there.
_CALLS_MAX = 20_000

_PROBES, _PROBERS = 1_000, 8
_DEPOSITS = 200
_IDLE_S = 3.0
_LOOK_EVERY_S = 0.2

# Of fewer, what the branch itself took meanwhile would be most.
_MEMORY_FROM = 100

_NEVER = Delay(round(HELD_AT_MOST_S * 1e6), round(HELD_AT_MOST_S * 1e6))
_DELAYS = {HERE: {NEAR: Delay(_NEAR_US, _NEAR_US), FAR: _NEVER}, NEAR: {FAR: _NEVER}}


class _Freed(NamedTuple):
    """How a process's part of the crowd ended."""

    times_s: tuple[float, ...]
    failed: int


def measure(lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
    """Yield a point for each number of held requests. Raises BenchmarkError, LaunchError, BankbookError."""
    for size in sizes:
        lab.show(f"{size:,} held requests")
        with lab.room() as room, bank(room, 4, _DELAYS) as running:
            yield _point(running, size)


def _point(running: RunningBank, size: int) -> Point:
    watch = Stopwatch.start()
    memory_mb = _memory_mb(running)
    token = asyncio.run(_decided_far(running.addresses))
    with _crowd(running.addresses, token, size) as pipes:
        asyncio.run(_until_held(running.addresses, size, pipes))
        crowded_mb = _memory_mb(running)
        idle = _idle_cpu(running)
        late = asyncio.run(_probe(running.addresses))
        deposit_ms = asyncio.run(_deposits(running.addresses))
        running.launcher.kill(FAR)
        freed_s = _freed(pipes)
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


async def _until_held(addresses: dict[BranchId, str], size: int, pipes: Sequence[Connection]) -> None:
    until_s = time.monotonic() + HELD_AT_MOST_S / 2
    async with Branches(addresses) as branches:
        while (held := (await branches.statuses(HELD_AT_MOST_S))[HERE - 1].held) != size:
            if time.monotonic() > until_s:
                raise BenchmarkError(f"of {size:,} requests, {held:,} were held in time")
            if any(pipe.poll() for pipe in pipes):
                raise BenchmarkError(f"of {size:,} requests, {held:,} were held when some had ended")
            await asyncio.sleep(_LOOK_EVERY_S)


# The crowd.


@contextmanager
def _crowd(addresses: dict[BranchId, str], token: SessionToken, size: int) -> Iterator[list[Connection]]:
    """Have processes make so many reads that are held; yield a pipe from each."""
    context = multiprocessing.get_context("forkserver")
    with ExitStack() as stack:
        pipes = []
        for first in range(0, size, _CALLS_MAX):
            mine, theirs = context.Pipe(duplex=False)
            count = min(_CALLS_MAX, size - first)
            process = context.Process(
                target=run_crowd, args=(addresses, str(token), count, theirs), daemon=True
            )
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(process.kill)
            pipes.append(mine)
        yield pipes


def run_crowd(addresses: dict[BranchId, str], token: str, count: int, pipe: Connection) -> None:
    """Be a part of the crowd. Runs in a process of its own."""
    pipe.send(asyncio.run(_read_all(addresses, SessionToken.from_text(token), count)))


async def _read_all(addresses: dict[BranchId, str], token: SessionToken, count: int) -> _Freed:
    async with Bank(addresses, timeout=HELD_AT_MOST_S, retries=False) as customers:
        sessions = (customers.session("bench-1", token=token) for _ in range(count))
        ended = await asyncio.gather(*map(_read, sessions))
    times_s = tuple(sorted(at_s for at_s in ended if at_s is not None))
    return _Freed(times_s, count - len(times_s))


async def _read(session: Session) -> float | None:
    """Return when a read was answered; None where it failed."""
    try:
        receipt = await session.balance(branch=HERE)
    except BankbookError:
        return None
    return time.monotonic() if receipt.held_us else None


def _freed(pipes: list[Connection]) -> list[float]:
    """Return when each of the crowd was answered, in order. Raises BenchmarkError."""
    parts: list[_Freed] = []
    for pipe in pipes:
        if not pipe.poll(HELD_AT_MOST_S / 2):
            raise BenchmarkError("the held requests did not end")
        parts.append(pipe.recv())
    failed = sum(part.failed for part in parts)
    if failed:
        raise BenchmarkError(f"{failed:,} requests failed, or were not held")
    return sorted(at_s for part in parts for at_s in part.times_s)


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
