"""What was measured by one client, and by all of them.

Decides which moments count. Must not know who called. Proof: tests/bench/test_callers.py.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from bankbook.bench.histogram import Histogram
from bankbook.bench.schedule import Window
from bankbook.core.outcome import Outcome


class Answered(NamedTuple):
    """How a request ended."""

    outcomes: dict[Outcome, int]
    """Of its operations."""
    held_us: int | None = None
    """How long it was held; None where it was not."""


@dataclass(slots=True)
class Tally:
    """Everything about requests that were due while it was measured."""

    latency: Histogram = field(default_factory=Histogram)
    """From when a request was due until its answer, in microseconds."""
    service: Histogram = field(default_factory=Histogram)
    """From when it was sent until its answer, in microseconds."""
    holds: Histogram = field(default_factory=Histogram)
    """How long requests were held, of those that were, in microseconds."""
    lateness: Histogram = field(default_factory=Histogram)
    """How much too late a request was sent although its caller was free, in microseconds: our own fault."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How operations ended, by the names of the outcomes."""
    in_time: int = 0
    """Operations that were carried out within the window."""
    unsent: int = 0
    """Operations that were due, and never sent: the bank did not keep up."""
    seconds: Counter[int] = field(default_factory=Counter)
    """Of the window → operations that were carried out in it."""
    last_s: float = 0.0
    """When the last answer came."""
    cpu_s: list[float] = field(default_factory=list)
    """What each client has used of a processor meanwhile."""
    done: int = 0
    """Operations that were carried out, also before and after the window; for the progress bar."""

    def note(self, window: Window, due_s: float, sent_s: float, done_s: float, answered: Answered) -> None:
        """Count an answer."""
        carried_out = answered.outcomes.get(Outcome.OK, 0)
        self.done += carried_out
        if window.measured_s <= done_s < window.end_s:
            self.in_time += carried_out
            self.seconds[int(done_s - window.measured_s)] += carried_out
        if due_s < window.measured_s:
            return
        self.latency.record(_us(done_s - due_s))
        self.service.record(_us(done_s - sent_s))
        self.last_s = max(self.last_s, done_s)
        for outcome, count in answered.outcomes.items():
            self.outcomes[outcome.name] += count
        if answered.held_us is not None:
            self.holds.record(answered.held_us)

    def note_lateness(self, window: Window, due_s: float, sent_s: float) -> None:
        """Count by how much a free caller was late."""
        if due_s >= window.measured_s:
            self.lateness.record(_us(sent_s - due_s))

    def note_unsent(self, window: Window, due_s: float, now_s: float, operations: int) -> None:
        """Count a request that waited in vain: it has waited as long as this, and would wait longer."""
        if due_s >= window.measured_s:
            self.unsent += operations
            self.latency.record(_us(now_s - due_s))

    def add(self, other: "Tally") -> None:
        """Count what another client has measured."""
        for mine, theirs in (
            (self.latency, other.latency),
            (self.service, other.service),
            (self.holds, other.holds),
            (self.lateness, other.lateness),
        ):
            mine.add(theirs)
        self.outcomes.update(other.outcomes)
        self.seconds.update(other.seconds)
        self.in_time += other.in_time
        self.unsent += other.unsent
        self.done += other.done
        self.last_s = max(self.last_s, other.last_s)
        self.cpu_s += other.cpu_s


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
