"""Where a curve is measured: a folder, so many seconds for each load, and somebody to tell of each step.

Decides how two banks are compared: in turns, so that what else the machine does falls on both. Must not know
any curve. Proof: tests/alternatives/test_growth_curves.py.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

from bankbook.bench.settings import Load
from benchmarks.growth.banks import Loaded, bank
from benchmarks.progress import Show

# So often each of two banks is measured. On a shared machine two turns may tell 0.7 and 1.1 of the same.
_TURNS = 4


@dataclass(frozen=True, slots=True)
class Lab:
    """A folder on the disk that is measured, and how long."""

    folder: Path
    seconds: float
    """For how long each load is measured each time."""
    show: Show
    kept: Path | None = None
    """Where long histories are found, and left for the next time; None: they are made each time."""

    @contextmanager
    def room(self) -> Iterator[Path]:
        """Yield an empty folder that is gone afterwards."""
        with TemporaryDirectory(dir=self.folder, prefix="growth-") as name:
            yield Path(name)

    @contextmanager
    def copy_of(self, stores: Path) -> Iterator[Path]:
        """Yield a copy of prepared stores, to be worn out, that is gone afterwards.

        It is on the disk by then, and not on its way there while something is measured.
        """
        with self.room() as room:
            copied = Path(shutil.copytree(stores, room / "bank"))
            os.sync()
            yield copied


@dataclass(frozen=True, slots=True)
class Compared:
    """A load on one bank, and on another one in turns with it."""

    loaded: Loaded
    """The medians of the first one."""
    ratio: float
    """Of the first one's operations a second over the other's, in the same turn."""


def in_turns(one: Path, other: Path, load: Load, load_of_other: Load) -> Compared:
    """Load two banks in turns, now the one first and now the other. Raises what `bank` and `load` do."""
    firsts, ratios = [], []
    for turn in range(_TURNS):
        if turn % 2:
            second, first = _load(other, load_of_other), _load(one, load)
        else:
            first, second = _load(one, load), _load(other, load_of_other)
        firsts.append(first)
        ratios.append(first.per_s / second.per_s)
    return Compared(middle_of(firsts), median(ratios))


def _load(stores: Path, load: Load) -> Loaded:
    with bank(stores) as running:
        return running.load(load)


def middle_of(loads: list[Loaded]) -> Loaded:
    """Return the median of each figure, and the mean of what others used."""
    others = [each.others_cpu for each in loads if each.others_cpu is not None]
    everywhere = [each.everywhere_per_s for each in loads if each.everywhere_per_s is not None]
    return Loaded(
        per_s=median(each.per_s for each in loads),
        everywhere_per_s=median(everywhere) if everywhere else None,
        p50_ms=median(each.p50_ms for each in loads),
        p99_ms=median(each.p99_ms for each in loads),
        server_us=median(each.server_us for each in loads),
        peak_mb=max(each.peak_mb for each in loads),
        others_cpu=mean(others) if others else None,
    )
