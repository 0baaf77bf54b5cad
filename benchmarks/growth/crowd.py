"""A crowd: so many reads that go on waiting at one branch, made by processes of their own.

Decides how many callers a process has, and how fast they come: no faster than the branch is seen to hold
them, so that it is told how far that is, and that whoever is in its way is found out at once. Must not know
for what they wait, nor what is measured meanwhile. Proof: tests/alternatives/test_growth_crowd.py.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from bankbook.bench.branches import Branches
from bankbook.client import LOCAL, Bank, BankbookError, Session, SessionToken
from bankbook.core.types import BranchId
from bankbook.server.machine import collect_rarely
from benchmarks.cases import BenchmarkError
from benchmarks.growth.banks import HELD_AT_MOST_S
from benchmarks.progress import Show

# Of a process: each call is some 40 kB there.
_CALLS_MAX = 20_000

# So many calls begin at once, and no more while so many are not held yet: the branch is never without work,
# and what it has not looked at is a second's worth.
_WAVE = 2_000
_UNSEEN_MAX = 2 * _WAVE

# Two processors take half a minute to have 100,000 held, a minute if they are busy, and 10 s to free them.
_HELD_WITHIN_S = 180.0
_FREED_WITHIN_S = 180.0

_ANSWER_WITHIN_S = 30.0
# A look costs a branch that holds 100,000 some 20 ms.
_LOOK_EVERY_S = 0.25
_TELL_EVERY_S = 5.0


class Freed(NamedTuple):
    """When each call of one process was answered, by the clock that all processes of a machine share."""

    times_s: tuple[float, ...]


class Broken(NamedTuple):
    """A call of one process was not held, or not answered."""

    why: str


class Part(NamedTuple):
    """A process of callers."""

    pipe: Connection
    calls: int


class Waiting(NamedTuple):
    """Whom to ask for what."""

    addresses: dict[BranchId, str]
    branch: BranchId
    """Where they wait."""
    token: str
    """Of what they wait for."""


# In the process that measures.


class Crowd:
    """So many callers; none of them calls before `gather`."""

    def __init__(self, waiting: Waiting, parts: Sequence[Part]) -> None:
        self.size = sum(part.calls for part in parts)
        self._waiting = waiting
        self._pipes = [part.pipe for part in parts]
        self._waves = _waves(parts)

    async def gather(self, show: Show) -> None:
        """Return once all are held. Raises BenchmarkError, BenchError."""
        called = held = 0
        until_s, tell_at_s = time.monotonic() + _HELD_WITHIN_S, time.monotonic() + _TELL_EVERY_S
        async with Branches(self._waiting.addresses) as branches:
            while held != self.size:
                if called - held <= _UNSEEN_MAX - _WAVE:
                    called += self._begin_wave()
                await asyncio.sleep(_LOOK_EVERY_S)
                held = (await branches.statuses(_ANSWER_WITHIN_S))[self._waiting.branch - 1].held
                self._look_for_broken(held)
                now_s = time.monotonic()
                if now_s > until_s:
                    raise BenchmarkError(f"{self._of_all(held)} were held within {_HELD_WITHIN_S:g} s")
                if now_s > tell_at_s:
                    show(f"{held:,} of {self.size:,} requests are held")
                    tell_at_s = now_s + _TELL_EVERY_S

    def _begin_wave(self) -> int:
        pipe, count = next(self._waves, (None, 0))
        if pipe is not None:
            with suppress(OSError):  # a process that is gone is found out with the next look
                pipe.send(count)
        return count

    def _look_for_broken(self, held: int) -> None:
        for pipe in self._pipes:
            if pipe.poll():
                raise BenchmarkError(f"{self._of_all(held)} were held when one ended: {_why(pipe)}")

    def freed(self) -> list[float]:
        """Return when each was answered, in order, once all are. Raises BenchmarkError."""
        times_s: list[float] = []
        pipes = list(self._pipes)
        until_s = time.monotonic() + _FREED_WITHIN_S
        while pipes:
            ready = wait(pipes, max(until_s - time.monotonic(), 0))
            if not ready:
                raise BenchmarkError(
                    f"{self._of_all(len(times_s))} were answered within {_FREED_WITHIN_S:g} s"
                )
            for pipe in pipes[:]:
                if pipe in ready:
                    times_s += _times(pipe)
                    pipes.remove(pipe)
        return sorted(times_s)

    def _of_all(self, count: int) -> str:
        return f"of {self.size:,} requests, {count:,}"


def _waves(parts: Sequence[Part]) -> Iterator[tuple[Connection, int]]:
    for pipe, calls in parts:
        for first in range(0, calls, _WAVE):
            yield pipe, min(_WAVE, calls - first)


def _ending(pipe: Connection) -> Freed | Broken:
    try:
        ending = pipe.recv()
    except (EOFError, ConnectionResetError):  # this, where it was told something that it had not read
        return Broken("its process ended")
    assert isinstance(ending, Freed | Broken), "a process tells nothing else"
    return ending


def _why(pipe: Connection) -> str:
    ending = _ending(pipe)
    return ending.why if isinstance(ending, Broken) else "it was answered, although nothing had come"


def _times(pipe: Connection) -> tuple[float, ...]:
    ending = _ending(pipe)
    if isinstance(ending, Broken):
        raise BenchmarkError(f"a held request came to nothing: {ending.why}")
    return ending.times_s


@contextmanager
def crowd(waiting: Waiting, size: int) -> Iterator[Crowd]:
    """Start the processes of a crowd; end them, whatever happened."""
    context = multiprocessing.get_context("forkserver")
    with ExitStack() as stack:
        parts = []
        for first in range(0, size, _CALLS_MAX):
            mine, theirs = context.Pipe()
            count = min(_CALLS_MAX, size - first)
            process = context.Process(target=run_part, args=(waiting, count, theirs), daemon=True)
            process.start()
            theirs.close()
            stack.callback(mine.close)
            stack.callback(process.join)
            stack.callback(process.kill)
            parts.append(Part(mine, count))
        yield Crowd(waiting, parts)


# In a process of callers.


def run_part(waiting: Waiting, count: int, pipe: Connection) -> None:
    """Be so many callers. Runs in a process of its own."""
    collect_rarely()
    try:
        pipe.send(asyncio.run(_call_all(waiting, count, pipe)))
    except* (BankbookError, BenchmarkError) as errors:
        pipe.send(Broken(str(_first(errors))))


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _call_all(waiting: Waiting, count: int, pipe: Connection) -> Freed:
    """Return when each was answered; they call in waves, as they are told to."""
    token = SessionToken.from_text(waiting.token)
    async with Bank(waiting.addresses, timeout=HELD_AT_MOST_S, retries=False) as customers:
        # Whoever calls first would wait for the connection, and a wave is long.
        await customers.session("bench-1").balance(branch=waiting.branch, freshness=LOCAL)
        calls: list[asyncio.Task[float]] = []
        async with asyncio.TaskGroup() as group:
            while len(calls) < count:
                sessions = [customers.session("bench-1", token=token) for _ in range(await _next_wave(pipe))]
                calls += [group.create_task(_call(each, waiting.branch)) for each in sessions]
    return Freed(tuple(call.result() for call in calls))


async def _next_wave(pipe: Connection) -> int:
    has_come, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), has_come.set)
    try:
        await has_come.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    count = pipe.recv()
    assert isinstance(count, int), "nothing else is told"
    return count


async def _call(session: Session, branch: BranchId) -> float:
    """Return when it was answered. Raises BankbookError, BenchmarkError where it was not held."""
    receipt = await session.balance(branch=branch)
    if not receipt.held_us:
        raise BenchmarkError(f"branch {branch} answered at once")
    return time.monotonic()
