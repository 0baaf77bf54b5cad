"""What came of a run, its medians and ratios.

Decides that a ratio is one within each round, and the median of these: what one round's noise did to both
does not count. Must not know how anything was measured, nor how it is told.
Proof: tests/alternatives/test_figures.py.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

from benchmarks.cases import Unit


class Spread(NamedTuple):
    """The median of some rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """Return the spread of values; None where there are none."""
        known = sorted(values)
        return cls(median(known), known[0], known[-1]) if known else None


@dataclass(frozen=True, slots=True)
class Taken:
    """A case, measured once."""

    round: int
    """From 1."""
    value: float
    others_cpu: float | None
    """Processors that other programs used meanwhile; None where the system does not tell."""
    also: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseRun:
    """A case, in all rounds."""

    name: str
    system: str
    what: str
    unit: Unit
    durability: str
    callers: int
    trials: Mapping[int, float]
    """Callers that were tried → what came of it."""
    taken: tuple[Taken, ...]

    @property
    def spread(self) -> Spread | None:
        """What came of all rounds."""
        return Spread.of(each.value for each in self.taken)


@dataclass(frozen=True, slots=True)
class SystemRun:
    """A system that was measured."""

    name: str
    title: str
    version: str
    set_up: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that could not be measured."""

    case: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that came of a run."""

    began: str
    """The day and time, UTC."""
    took_s: float
    rounds: int
    seconds: float
    """For how long each case was measured in each round, those that are measured by time."""
    command: str
    machine: Mapping[str, str]
    processors: int
    packages: tuple[str, ...]
    """Debian's, which were unpacked for it."""
    systems: tuple[SystemRun, ...]
    cases: tuple[CaseRun, ...]
    failures: tuple[Failure, ...] = ()

    def case(self, name: str) -> CaseRun | None:
        """Return a case; None where it was not measured."""
        return next((each for each in self.cases if each.name == name and each.taken), None)

    def system(self, name: str) -> SystemRun:
        """Return a system that was measured."""
        return next(each for each in self.systems if each.name == name)

    def spread(self, name: str) -> Spread | None:
        """Return what came of a case; None where it was not measured."""
        case = self.case(name)
        return None if case is None else case.spread

    def by_round(self, name: str) -> dict[int, Taken]:
        """Return round → what was measured there of a case."""
        case = self.case(name)
        return {} if case is None else {each.round: each for each in case.taken}

    def ratio(self, above: str, below: str) -> Spread | None:
        """Return a case's figure over another's, round by round."""
        over, under = self.by_round(above), self.by_round(below)
        return Spread.of(over[number].value / under[number].value for number in over if number in under)

    def best_of(self, names: Sequence[str]) -> CaseRun | None:
        """Return the case with the best median; None where none was measured."""
        found = [case for name in names if (case := self.case(name)) is not None]
        return max(found, key=_goodness, default=None)

    def others(self) -> Spread | None:
        """Return how many processors other programs used, over all that was measured."""
        known = (each.others_cpu for case in self.cases for each in case.taken)
        return Spread.of(others for others in known if others is not None)


def _goodness(case: CaseRun) -> float:
    spread = case.spread
    assert spread is not None, "it was measured"
    return spread.median if case.unit.is_better_when_more else -spread.median


def advantage(run: Run, ours: str, theirs: str) -> Spread | None:
    """Return how many times as good our case is as theirs: above 1, ours is ahead."""
    case = run.case(ours)
    if case is None:
        return None
    return run.ratio(ours, theirs) if case.unit.is_better_when_more else run.ratio(theirs, ours)


def write(run: Run, path: Path) -> None:
    """Keep a run. Raises OSError."""
    path.write_text(json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Run:
    """Return a run that was kept. Raises OSError, ValueError where it is none."""
    try:
        return _run_of(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no figures of make bench: {error!r}") from error


def _run_of(told: dict[str, Any]) -> Run:
    return Run(
        **{
            **told,
            "packages": tuple(told["packages"]),
            "systems": tuple(SystemRun(**each) for each in told["systems"]),
            "cases": tuple(_case_of(each) for each in told["cases"]),
            "failures": tuple(Failure(**each) for each in told["failures"]),
        }
    )


def _case_of(told: dict[str, Any]) -> CaseRun:
    return CaseRun(
        **{
            **told,
            "unit": Unit(told["unit"]),
            "trials": {int(callers): value for callers, value in told["trials"].items()},
            "taken": tuple(Taken(**{**each, "notes": tuple(each["notes"])}) for each in told["taken"]),
        }
    )
