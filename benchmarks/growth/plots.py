"""The pictures of docs/growth.md.

Decides what is drawn: a panel for each of a curve's plotted figures, its sizes on a logarithmic axis, and
every figure from 0, so that a slope looks as steep as it is. Must not know how anything was measured.
Proof: tests/alternatives/test_growth_page.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from bankbook.bench.plot import require_matplotlib
from benchmarks.growth.curves import CURVE, Curve, Figure
from benchmarks.growth.figures import CurveRun, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (3.6, 2.8)


def draw(run: Run, folder: Path) -> None:
    """Write a picture for each curve. Raises SettingsError where matplotlib is missing, OSError."""
    require_matplotlib()
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415  (half a second)

    folder.mkdir(parents=True, exist_ok=True)
    width, height = _PANEL_INCHES
    for measured in run.curves:
        curve = CURVE[measured.name]
        canvas = Canvas(figsize=(width * len(curve.plotted), height), layout="constrained")
        panels = canvas.subplots(1, len(curve.plotted), squeeze=False)[0]
        for axes, name in zip(panels, curve.plotted, strict=True):
            _draw(axes, curve, curve.figure(name), measured)
        canvas.savefig(folder / f"{curve.name}.svg", format="svg", metadata={"Date": None})


def _draw(axes: "Axes", curve: Curve, figure: Figure, measured: CurveRun) -> None:
    scale = 100 if figure.unit == "%" else 1
    points = [(p.size, scale * p.values[figure.name]) for p in measured.points if figure.name in p.values]
    axes.plot([size for size, _ in points], [value for _, value in points], "C0o-")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_title(figure.what, fontsize=8)
    axes.set_xlabel(curve.axis)
    axes.set_ylabel(figure.unit)
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.grid(visible=True, alpha=0.2)
