"""What came of a run: curves, points, figures.

Decides their form, in memory and in figures.json. Must not know how anything was measured, nor how it is
told.
Proof: tests/alternatives/test_growth_page.py.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Spread


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one size."""

    size: int
    values: Mapping[str, float]
    """By the names of the curve's figures; what could not be measured is missing."""
    others_cpu: float | None = None
    """Processors that other programs used meanwhile; None where the system does not tell."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CurveRun:
    """A curve, as far as it was measured."""

    name: str
    version: str
    """Of Bankbook, with what of the project's history it is."""
    began: str
    """The day and time, UTC."""
    took_s: float
    seconds: float
    """For how long each load was measured each time."""
    points: tuple[Point, ...]
    failure: str | None = None
    """Why it ends before its last size; None where it does not."""

    def at(self, size: int) -> Point | None:
        """Return the point of a size; None where it was not measured."""
        return next((point for point in self.points if point.size == size), None)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that came of a run."""

    command: str
    machine: Mapping[str, str]
    processors: int
    curves: tuple[CurveRun, ...] = field(default=())

    def curve(self, name: str) -> CurveRun | None:
        """Return a curve; None where nothing of it was measured."""
        return next((each for each in self.curves if each.name == name and each.points), None)

    def value(self, curve: str, size: int, figure: str) -> float | None:
        """Return one figure; None where it was not measured."""
        found = self.curve(curve)
        point = None if found is None else found.at(size)
        return None if point is None else point.values.get(figure)

    def others(self) -> Spread | None:
        """Return how many processors other programs used, over all points."""
        known = (point.others_cpu for curve in self.curves for point in curve.points)
        return Spread.of(others for others in known if others is not None)


def merged(kept: Run, run: Run) -> Run:
    """Return a run with the curves of one that was kept where it has none itself. Raises ValueError.

    Nothing is ever compared between two curves; but both have to be of the same machine.
    """
    if kept.machine != run.machine:
        raise ValueError("the curves that were kept are of another machine: measure them all")
    fresh = {curve.name: curve for curve in run.curves}
    curves = [fresh.pop(curve.name, curve) for curve in kept.curves]
    return replace(run, curves=(*curves, *fresh.values()))


def write(run: Run, path: Path) -> None:
    """Keep a run. Raises OSError."""
    path.write_text(json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Run:
    """Return a run that was kept. Raises OSError, ValueError where it is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Run(**{**told, "curves": tuple(_curve_of(each) for each in told["curves"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no figures of make growth: {error!r}") from error


def _curve_of(told: dict[str, Any]) -> CurveRun:
    points = tuple(Point(**{**each, "notes": tuple(each["notes"])}) for each in told["points"])
    return CurveRun(**{**told, "points": points})
