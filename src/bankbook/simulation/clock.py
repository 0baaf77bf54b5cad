"""Time that passes only when everybody waits: an event loop whose clock jumps to the next timer.

Decides what time it is. Must not know who waits, nor for what. Whatever runs on it runs unchanged, in one
thread, in the same order each time. Proof: tests/simulation/test_clock.py.

Source: FoundationDB's simulation (Zhou et al., SIGMOD 2021, section 4), trio's MockClock with autojump.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from bankbook.core.clock import Instant

Result = TypeVar("Result")

# Where true time begins: some day in 2023, so that no clock that runs an hour behind is before 1970.
EPOCH_US = 1_700_000_000_000_000


# Within one second a bank under torment takes some 2,500 turns at the most; who goes round in circles takes
# them all, and no time passes.
_TURNS_PER_S_MAX = 50_000


class NothingHappensError(Exception):
    """Everybody waits for what nobody is going to do: a bug, of the simulator or of what it simulates."""


class NothingEndsError(Exception):
    """Somebody is busy for ever: a bug of what is simulated."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads or signals; it never sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        """True time, which nobody in the simulation sees but the clients' timers."""
        self._selector = self
        self._clock_resolution = 1e-6
        self.waits = 0
        """How often time went on."""
        self.on_circles: Callable[[NothingEndsError], None] = _raise
        """Who is told that somebody goes round in circles."""
        self._second = 0
        self._turns = 0

    def time(self) -> float:
        """Return true time, in seconds."""
        return self.now_us / 1e6

    def select(self, timeout: float | None) -> list[NoReturn]:
        """Let time pass instead of waiting: called by the base class where nothing can run now."""
        if timeout is None:
            raise NothingHappensError(f"at {self.time():.6f} s everybody waits, and no timer is set")
        if timeout > 0:
            self.now_us += max(math.ceil(timeout * 1e6 - 1e-3), 1)
            self.waits += 1
        self._count_turn()
        return []

    def _count_turn(self) -> None:
        """Count the turns of each second, so that a bug cannot keep the simulator busy for ever."""
        self._turns += 1
        if self.now_us >= self._second + 1_000_000:
            self._second, self._turns = self.now_us, 0
        elif self._turns == _TURNS_PER_S_MAX:
            words = f"at {self.time():.6f} s somebody goes round in circles: {self._turns} turns in a second"
            self.on_circles(NothingEndsError(words))

    def _process_events(self, event_list: list[NoReturn]) -> None:
        """Do nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: nobody else could wake this loop."""


def _raise(error: NothingEndsError) -> NoReturn:
    raise error


class Clocks:
    """One machine's clocks: far from those of the others, and of the truth."""

    def __init__(self, loop: VirtualLoop, monotonic_offset_us: int, wall_offset_us: int) -> None:
        self._loop = loop
        self._monotonic_offset_us = monotonic_offset_us
        self.wall_offset_us = wall_offset_us
        """May jump."""

    def read(self) -> Instant:
        """Return what they say now."""
        now_us = self._loop.now_us
        return Instant(now_us + self._monotonic_offset_us, EPOCH_US + now_us + self.wall_offset_us)


def run_in_virtual_time(loop: VirtualLoop, main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end, and end whatever is left then. The loop is of no use afterwards."""
    try:
        return loop.run_until_complete(main)
    except KeyboardInterrupt:
        # It struck in the midst of some task, which nobody is going to ask how it ended.
        loop.set_exception_handler(lambda _loop, _context: None)
        raise
    finally:
        try:
            loop.run_until_complete(_end_all())
        finally:
            loop.close()


async def _end_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
