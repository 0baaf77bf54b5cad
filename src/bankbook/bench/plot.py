"""The figures, as a picture: latency by percentile, and operations by second.

Decides what is drawn. matplotlib draws it, an optional part of the installation: it has axes, logarithmic
scales and fonts that would be ours to write otherwise, and nobody who runs a branch needs it. Must not know
how anything was measured. Proof: tests/bench/test_plot.py.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bankbook.bench.histogram import Histogram
from bankbook.bench.report import durability_in_words, seconds_of
from bankbook.bench.run import Measured
from bankbook.bench.settings import SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MISSING = "--plot needs matplotlib, which is not installed; install it with: pip install 'bankbook[plot]'"

_ROW_INCHES = (9.0, 4.0)

# The curve ends where a single value is left; between two of these points it is a straight line.
_NINES = (0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 0.999999)


def require_matplotlib() -> None:
    """Raise SettingsError where a picture cannot be drawn: before anything is measured."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  (half a second, and only where a picture is wanted)
    except ImportError as error:
        raise SettingsError(MISSING) from error
    mpl.rcParams.update(
        {"svg.hashsalt": "bankbook", "svg.fonttype": "none"}
    )  # the same figures, the same bytes


def plot(measured: Sequence[Measured], path: Path) -> None:
    """Write a picture, a row of it for each time that was measured. Raises SettingsError, OSError."""
    require_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415  (as above)

    width, height = _ROW_INCHES
    figure = Figure(figsize=(width, height * len(measured)), layout="constrained")
    for (left, right), each in zip(figure.subplots(len(measured), 2, squeeze=False), measured, strict=True):
        _draw_latency(left, each)
        _draw_throughput(right, each)
    load = measured[0].load
    figure.suptitle(
        f"{load.workload}, {load.bulk} in a request, {len(measured[0].branches)} branches, "
        f"{durability_in_words(measured[0])}",
        fontsize=10,
    )
    figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_latency(axes: "Axes", measured: Measured) -> None:
    for name, histogram, style in _curves(measured):
        if histogram.count:
            points = curve(histogram)
            axes.plot([1 / (1 - share) for share, _ in points], [ms for _, ms in points], style, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 10, 100, 1000, 10_000], ["0", "90", "99", "99.9", "99.99"])
    axes.set_xlabel("percentile")
    axes.set_ylabel("milliseconds")
    axes.grid(visible=True, which="both", alpha=0.2)
    if axes.lines:
        axes.legend(fontsize=8)


def _curves(measured: Measured) -> Iterator[tuple[str, Histogram, str]]:
    if measured.load.rate is not None:
        yield "from when it was due", measured.tally.latency, "C0-"
    yield "from when it was sent", measured.tally.service, "C1--"
    yield "until other branches have it", measured.lag, "C2:"


def curve(histogram: Histogram) -> list[tuple[float, float]]:
    """Return points of share and milliseconds, as far as there are values to tell."""
    shares = [share for share in _NINES if 1 / (1 - share) <= histogram.count]
    return [(share, max(histogram.percentile(100 * share), 1) / 1000) for share in shares]


def _draw_throughput(axes: "Axes", measured: Measured) -> None:
    seconds = seconds_of(measured)
    axes.plot(range(1, len(seconds) + 1), seconds, "-", drawstyle="steps-mid")
    axes.set_title("as fast as it goes" if measured.load.rate is None else "at a fixed rate", fontsize=9)
    axes.axhline(measured.per_s, linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("second")
    axes.set_ylabel("operations a second")
    axes.grid(visible=True, alpha=0.2)
