"""The pictures of docs/performance.md.

Decides what is drawn: the medians, with the lowest and the highest. matplotlib draws it, as for `bankbook
bench --plot`. Must not know how anything was measured. Proof: tests/alternatives/test_page.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bankbook.bench.plot import require_matplotlib
from benchmarks.figures import CaseRun, Run
from benchmarks.targets import COMPARISONS, Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (5.0, 3.2)

# More would overlap.
_TICKS_MAX = 5

_PICTURES = {"bulk": COMPARISONS[:1], "single": COMPARISONS[1:]}


def draw(run: Run, folder: Path) -> None:
    """Write the pictures. Raises SettingsError where matplotlib is missing, OSError."""
    require_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415  (half a second)

    folder.mkdir(parents=True, exist_ok=True)
    width, height = _PANEL_INCHES
    for name, comparisons in _PICTURES.items():
        figure = Figure(figsize=(width * len(comparisons), height), layout="constrained")
        panels = figure.subplots(1, len(comparisons), squeeze=False)[0]
        for axes, comparison in zip(panels, comparisons, strict=True):
            _draw(axes, run, comparison)
        figure.savefig(folder / f"{name}.svg", format="svg", metadata={"Date": None})


def _draw(axes: "Axes", run: Run, comparison: Comparison) -> None:
    cases = _cases(run, comparison)
    spreads = [spread for case in cases if (spread := case.spread) is not None]
    medians = [spread.median for spread in spreads]
    below = [spread.median - spread.low for spread in spreads]
    above = [spread.high - spread.median for spread in spreads]
    titles = [run.system(case.system).title for case in cases]
    colours = ["C0" if case.system == "bankbook" else "C7" for case in cases]
    axes.barh(titles, medians, xerr=[below, above], color=colours, capsize=3)
    axes.invert_yaxis()
    axes.set_title(comparison.what, fontsize=9)
    axes.set_xlabel("transfers a second" if cases and cases[0].unit.is_better_when_more else "milliseconds")
    axes.locator_params(axis="x", nbins=_TICKS_MAX)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.grid(visible=True, axis="x", alpha=0.2)


def _cases(run: Run, comparison: Comparison) -> Sequence[CaseRun]:
    found = [run.best_of(names) for names in ((comparison.ours,), *comparison.theirs)]
    return [case for case in found if case is not None]
