"""What is measured, of which system, and what is told of it.

Decides the words: a figure never travels without its unit and its durability. Must not know how anything is
measured. Proof: tests/alternatives/test_run.py.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class BenchmarkError(Exception):
    """It could not be measured; the message says why and what to do."""


class Unit(StrEnum):
    """What a figure counts."""

    PER_SECOND = "/s"
    MS = "ms"
    SECONDS = "s"
    MB = "MB"

    @property
    def is_better_when_more(self) -> bool:
        """Whether more of it is better."""
        return self is Unit.PER_SECOND


@dataclass(frozen=True, slots=True)
class Result:
    """What came of measuring a case once."""

    value: float
    also: Mapping[str, float] = field(default_factory=dict)
    """What else was seen, by name; the unit is the name's end."""
    notes: tuple[str, ...] = ()
    """What somebody who reads the figure must know."""
    others_cpu: float | None = None
    """Processors that other programs used meanwhile, where who measured knows that better."""


# A server that runs, how many callers it has, and for how many seconds.
Measure = Callable[[Any, int, float], Result]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured."""

    name: str
    what: str
    """For a person, without the system's name."""
    unit: Unit
    durability: str
    """Where an operation was when it counted."""
    measure: Measure
    callers: tuple[int, ...] = (1,)
    """Numbers of callers that are tried before the rounds; the best one is measured, or the first one where
    nothing is tried."""
    is_family: bool = True
    """Whether we outlive every process that it starts: else nobody knows what others used meanwhile."""


NOT_DURABLE = "nothing is kept"


@dataclass(frozen=True, slots=True)
class System:
    """A system that is measured."""

    name: str
    """As `--only` takes it."""
    title: str
    set_up: str
    """Its configuration, in words."""
    cases: tuple[Case, ...]
    start: Callable[[Path], AbstractContextManager[Any]]
    """Start it in an empty folder; what comes of it is given to `measure`. Raises BenchmarkError, OSError."""
    version: Callable[[], str]
    """Raises BenchmarkError."""
    programs: tuple[str, ...] = ()
    """What has to be installed besides the Python packages."""
