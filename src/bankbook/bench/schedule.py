"""When each request is due.

In a closed loop a caller's next request is due once the last one is answered: as fast as it goes. At a fixed
rate, requests are due whether or not earlier ones are answered, as customers come who know nothing of each
other: a Poisson process. A latency counts from the moment when the request was due, so a bank that stops for
a second is seen to have kept a second's customers waiting, and not only those few who were being served.

Decides when, and when it is over. Must not know what is asked. Proof: tests/bench/test_schedule.py.

Source: Schroeder, Wierman and Harchol-Balter, "Open versus closed: a cautionary tale" (NSDI 2006).
"""

import math
from random import Random
from typing import NamedTuple, Protocol

# At a fixed rate, how much longer than the bench requests are sent that were due in it: a backlog of
# milliseconds is worked off, one that only grows is not.
OVERTIME_S = 1.0


class Window(NamedTuple):
    """From when on requests are due, from when on they are measured, and until when. In seconds."""

    begin_s: float
    measured_s: float
    end_s: float = math.inf

    @property
    def overtime_s(self) -> float:
        """When the last request is sent."""
        return self.end_s + OVERTIME_S


class Schedule(Protocol):
    """Tells callers when to make their next request; all callers of a client share one."""

    def next_due(self, now_s: float) -> float | None:
        """Return when the next request is due, which may be over; None where there is none any more."""
        ...


class _Limit:
    """How many requests are measured at the most."""

    def __init__(self, window: Window, requests_max: int | None) -> None:
        self._window = window
        self._left = math.inf if requests_max is None else requests_max

    def is_over(self, due_s: float) -> bool:
        """Whether nothing is due at this moment any more; otherwise, something is."""
        if due_s >= self._window.end_s or self._left == 0:
            return True
        if due_s >= self._window.measured_s:
            self._left -= 1
        return False


class ClosedLoop:
    """A request is due as soon as a caller is free."""

    def __init__(self, window: Window, requests_max: int | None = None) -> None:
        self._begin_s = window.begin_s
        self._limit = _Limit(window, requests_max)

    def next_due(self, now_s: float) -> float | None:
        """Return now, unless it is over."""
        due_s = max(now_s, self._begin_s)
        return None if self._limit.is_over(due_s) else due_s


class FixedRate:
    """Requests are due at random moments, so many a second on average, whoever is free."""

    def __init__(
        self, window: Window, requests_per_s: float, chance: Random, requests_max: int | None = None
    ) -> None:
        self._due_s = window.begin_s
        self._requests_per_s = requests_per_s
        self._chance = chance
        self._limit = _Limit(window, requests_max)

    def next_due(self, now_s: float) -> float | None:  # noqa: ARG002  (that is the point)
        """Return the next moment, whatever the time is, unless it is over."""
        self._due_s += self._chance.expovariate(self._requests_per_s)
        return None if self._limit.is_over(self._due_s) else self._due_s
