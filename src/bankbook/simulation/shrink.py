"""From a scenario that fails to one that is as small as can be found, and fails by the same promise.

Decides what is tried, in which order, and when it is enough. A smaller scenario draws its network's delays
anew, so each is tried under a few seeds: it counts as failing if it does under one of them. Must not know how
scenarios are carried out, nor what fails. Proof: tests/simulation/test_shrink.py.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE TSE 2002), figure 5,
of which only the reductions to complements are made: a subset that fails by itself is found by them, too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from bankbook.scenario.model import Scenario
from bankbook.simulation.promises import Violation
from bankbook.simulation.run import Performance
from bankbook.simulation.smaller import (
    Spot,
    spots_of,
    with_customers,
    with_events,
    with_faults,
    with_plainer_bank,
    with_plainer_event,
    with_plainer_fault,
    without_each_branch,
)

Item = TypeVar("Item")

# How many seeds each smaller scenario is tried under, in turn: the most first, so that what takes long is
# tried least often.
EFFORTS = (1, 4, 12)

# A few minutes at the most; most failures are small long before.
RUNS_MAX = 5_000


class Failure(NamedTuple):
    """A scenario, and what fails under a seed."""

    scenario: Scenario
    seed: int
    violation: Violation
    is_cut_off: bool
    """Whether it is found while customers are at work, and not only by what the bank is asked afterwards."""

    def is_like(self, other: "Failure") -> bool:
        """Whether it may stand for another one."""
        is_as_early = self.is_cut_off or not other.is_cut_off
        return self.violation.promise == other.violation.promise and is_as_early


class EnoughError(Exception):
    """The time, or the number of runs, is used up."""


@dataclass(slots=True)
class Shrinker:
    """Makes a failure smaller; `best` is the smallest so far, also when it is interrupted."""

    best: Failure
    perform: Callable[[Scenario, int, bool], Performance]
    """Under a seed; and whether to end once customers have gone home."""
    is_over: Callable[[], bool] = lambda: False
    on_smaller: Callable[[Failure], None] = lambda _: None
    runs_max: int = field(default_factory=lambda: RUNS_MAX)
    runs: int = 0
    effort: int = 1
    _done: Performance | None = None
    """What came of the best."""

    def shrink(self) -> Failure:
        """Return the smallest failure found in the time there is."""
        try:
            for effort in EFFORTS:
                self.effort = effort
                self._make_smaller()
        except EnoughError:
            pass
        return self.best

    def _make_smaller(self) -> None:
        before = None
        while before != self.best:
            before = self.best
            if self._done is not None:
                self._is_taken(cut_short(self._now, self._done))
            self._drop([each.id for each in self._now.customers], with_customers)
            self._drop(list(self._now.faults), with_faults)
            self._drop(spots_of(self._now), _with_spots)
            self._take(without_each_branch)
            self._take(with_plainer_bank)
            for place in range(len(spots_of(self._now))):
                self._take(lambda scenario, place=place: _plainer_at(scenario, place))  # type: ignore[misc]
            for place in range(len(self._now.faults)):
                self._take(lambda scenario, place=place: with_plainer_fault(scenario, place))  # type: ignore[misc]

    @property
    def _now(self) -> Scenario:
        return self.best.scenario

    def _drop(self, items: list[Item], keep: Callable[[Scenario, list[Item]], Scenario]) -> None:
        """Find a list of items of which none can be left out (ddmin)."""
        whole, parts = self._now, 1
        while items:
            size = -(-len(items) // parts)
            for start in range(0, len(items), size):
                left = items[:start] + items[start + size :]
                candidate = keep(whole, left)
                if candidate == self._now or self._is_taken(candidate):
                    items, parts = left, max(parts - 1, 1)
                    break
            else:
                if size == 1:
                    return
                parts = min(2 * parts, len(items))

    def _take(self, simpler: Callable[[Scenario], Iterable[Scenario]]) -> None:
        """Take what is simpler and still fails, as long as there is any."""
        while any(self._is_taken(candidate) for candidate in simpler(self._now)):
            pass

    def _is_taken(self, candidate: Scenario) -> bool:
        """Whether a candidate fails, too; then it is the best."""
        if candidate == self._now or candidate.is_plain:
            # A file that the original system could carry out is not held against the books: it would pass.
            return False
        others = [seed for seed in range(self.effort) if seed != self.best.seed]
        for seed in (self.best.seed, *others[: self.effort - 1]):
            if self.runs >= self.runs_max or self.is_over():
                raise EnoughError
            self.runs += 1
            done = self.perform(candidate, seed, self.best.is_cut_off)
            failure = _failure(candidate, seed, done)
            if failure is not None and failure.is_like(self.best):
                self.best, self._done = failure, done
                self.on_smaller(self.best)
                return True
        return False


def first_failure(
    scenario: Scenario, seed: int, done: Performance, perform: Callable[[Scenario, int, bool], Performance]
) -> Failure | None:
    """Return a failure without what was never begun; None if it fails in other ways then, or not at all."""
    whole = _failure(scenario, seed, done)
    assert whole is not None, "only what fails is made smaller"
    for candidate in (cut_short(scenario, done), scenario):
        failure = _failure(candidate, seed, perform(candidate, seed, whole.is_cut_off))
        if failure is not None and failure.is_like(whole):
            return failure
    return None


def _failure(scenario: Scenario, seed: int, done: Performance) -> Failure | None:
    violation = done.report.violation
    return None if violation is None else Failure(scenario, seed, violation, done.is_cut_off)


def cut_short(scenario: Scenario, done: Performance) -> Scenario:
    """Return a scenario without what had not begun when it came to its end."""
    begun = {
        Spot(each.id, event.number)
        for each in scenario.customers
        for event in each.events
        if event.number <= done.begun.get(each.id, 0)
    }
    faults = [each for each in scenario.faults if each.at_us <= done.ended_s * 1e6]
    return with_events(replace(scenario, faults=tuple(faults)), begun)


def _with_spots(scenario: Scenario, spots: list[Spot]) -> Scenario:
    return with_events(scenario, set(spots))


def _plainer_at(scenario: Scenario, place: int) -> Iterable[Scenario]:
    spots = spots_of(scenario)
    return with_plainer_event(scenario, spots[place]) if place < len(spots) else ()
