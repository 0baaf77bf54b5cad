"""`python -m benchmarks.growth`, which `make growth` runs.

Decides the options, that only a whole run writes the page, and that a curve which fails leaves the others.
Must not know how anything is measured. Proof: tests/alternatives/test_growth_cli.py.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from bankbook.bench.machine import file_system_of, is_in_memory
from bankbook.bench.plot import require_matplotlib
from bankbook.bench.settings import BenchError, SettingsError
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, INTERRUPTED, end_like_ctrl_c
from bankbook.client import BankbookError
from bankbook.server.launcher import LaunchError
from bankbook.store.base import StoreError
from benchmarks import machine
from benchmarks.bankbook import version
from benchmarks.cases import BenchmarkError
from benchmarks.growth import figures
from benchmarks.growth.banks import bank
from benchmarks.growth.curves import CURVES, ENTRIES_MAX, Curve
from benchmarks.growth.figures import CurveRun, Point, Run
from benchmarks.growth.lab import Lab
from benchmarks.growth.page import page_of
from benchmarks.growth.plots import draw
from benchmarks.progress import shower

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "growth.md"

_FIGURES = "figures.json"

_SECONDS, _QUICK_SECONDS = 4.0, 1.0
_ENTRIES = 1_000_000

_file = click.Path(path_type=Path, dir_okay=False)

# What ends a curve, and leaves the others.
_FAILURES = (BenchmarkError, BenchError, BankbookError, LaunchError, StoreError, OSError)


class Plan(NamedTuple):
    """What is to be measured."""

    curves: tuple[tuple[Curve, tuple[int, ...]], ...]
    """Each with its sizes."""
    seconds: float
    command: str


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--quick", is_flag=True, help="A smoke run of two minutes: two small sizes of each; no page.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([curve.name for curve in CURVES]),
    help="Measure this curve only; may be given again; no page.",
)
@click.option(
    "--entries",
    type=click.IntRange(10_000, ENTRIES_MAX),
    metavar="N",
    help=f"How long the longest history is.  [default: {_ENTRIES}]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    metavar="S",
    help=f"For how long each load is measured each time.  [default: {_SECONDS:g}]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Make the temporary folder of all stores in DIR.  [default: the system's own, if it is on a disk]",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Leave the long histories in DIR, and find them there the next time, within some weeks.",
)
@click.option("--json", "json_path", type=_file, metavar="FILE", help="Keep the figures in FILE.")
@click.option(
    "--page",
    type=_file,
    metavar="FILE.md",
    help="Write the page here, its plots and figures beside it.  [default, of a whole run: docs/growth.md]",
)
@click.option(
    "--merge",
    is_flag=True,
    help="On the page, keep the curves that are not measured: with --only, of this machine.",
)
@click.option(
    "--from",
    "kept",
    type=_file,
    metavar="FILE",
    help="Measure nothing: write the page from figures that were kept.",
)
def main(
    quick: bool,
    only: tuple[str, ...],
    entries: int | None,
    seconds: float | None,
    data: Path | None,
    keep: Path | None,
    json_path: Path | None,
    page: Path | None,
    merge: bool,
    kept: Path | None,
) -> None:
    """Measure how Bankbook's costs grow with branches, accounts, history and held requests.

    Exit status: 0 measured, 2 bad input, 3 something could not be measured.
    """
    if page is None and (merge or kept is not None or not (quick or only)):
        page = PAGE
    end_like_ctrl_c()
    try:
        if page is not None:
            require_matplotlib()
        plan = plan_of(quick=quick, only=only, entries=entries, seconds=seconds)
        run = (
            figures.read(kept) if kept is not None else _measure(plan, data or machine.usual_data(ROOT), keep)
        )
        if merge and page is not None:
            run = figures.merged(figures.read(page.with_suffix("") / _FIGURES), run)
        _keep(run, json_path, page)
    except (SettingsError, ValueError) as error:
        _fail(str(error), BAD_INPUT)
    except _FAILURES as error:
        _fail(str(error), COULD_NOT_RUN)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written, and nothing is left", INTERRUPTED)
    failed = [each.name for each in run.curves if each.failure is not None]
    if failed:
        _fail(f"not all could be measured of: {', '.join(failed)}; see above", COULD_NOT_RUN)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"growth: {message}", err=True)
    sys.exit(status)


def plan_of(*, quick: bool, only: Sequence[str], entries: int | None, seconds: float | None) -> Plan:
    """Return what is asked for."""
    curves = tuple(
        (curve, _sizes_of(curve, quick=quick, entries=entries))
        for curve in CURVES
        if not only or curve.name in only
    )
    usual_s = _QUICK_SECONDS if quick else _SECONDS
    return Plan(
        curves, seconds or usual_s, command_of(quick=quick, only=only, entries=entries, seconds=seconds)
    )


def _sizes_of(curve: Curve, *, quick: bool, entries: int | None) -> tuple[int, ...]:
    usual = curve.quick if quick else curve.sizes
    if curve.name != "history" or entries is None:
        return usual
    return (*(size for size in usual if size < entries), entries)


def command_of(*, quick: bool, only: Sequence[str], entries: int | None, seconds: float | None) -> str:
    """Return the command that measures the same again."""
    words = ["--quick"] if quick else []
    words += [f"--only {name}" for name in only]
    words += [f"--entries {entries}"] if entries is not None else []
    words += [f"--seconds {seconds:g}"] if seconds is not None else []
    return f"make growth GROWTH='{' '.join(words)}'" if words else "make growth"


def _measure(plan: Plan, data: Path, kept: Path | None) -> Run:
    """Raises BenchmarkError where nothing would be durable."""
    kind = file_system_of(data)
    if is_in_memory(kind):
        raise BenchmarkError(
            f"{data} is on {kind}, in memory: nothing would be durable; name a folder with --data"
        )
    show = shower()
    with tempfile.TemporaryDirectory(prefix="bankbook-", dir=data) as name:
        lab = Lab(Path(name), plan.seconds, show, kept)
        _warm_up(lab)
        curves = tuple(carry_out(curve, sizes, lab) for curve, sizes in plan.curves)
    return Run(
        command=plan.command,
        machine=machine.describe(data),
        processors=os.cpu_count() or 1,
        curves=curves,
    )


def _warm_up(lab: Lab) -> None:
    """Have the helper of all branches start: no start that is measured waits for its imports."""
    with lab.room() as room, bank(room):
        return


def carry_out(curve: Curve, sizes: Sequence[int], lab: Lab) -> CurveRun:
    """Measure a curve, as far as that goes."""
    began, began_s = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), time.monotonic()
    points, failure = [], None
    try:
        for point in curve.measure(lab, sizes):
            points.append(_rounded(point))
            lab.show(f"{curve.name} {point.size:,}: {_in_words(curve, point)}")
    except _FAILURES as error:
        failure = (str(error) or repr(error)).replace(str(lab.folder), "FOLDER")  # no page tells of a path
        lab.show(f"{curve.name} failed: {error}")
    took_s = round(time.monotonic() - began_s, 1)
    return CurveRun(curve.name, version(), began, took_s, lab.seconds, tuple(points), failure)


def _rounded(point: Point) -> Point:
    others = None if point.others_cpu is None else round(point.others_cpu, 3)
    return Point(point.size, {name: round(v, 4) for name, v in point.values.items()}, others, point.notes)


def _in_words(curve: Curve, point: Point) -> str:
    told = (curve.figure(name) for name in curve.plotted if name in point.values)
    return ", ".join(f"{each.name} {point.values[each.name]:,.3g}" for each in told)


def _keep(run: Run, json_path: Path | None, page: Path | None) -> None:
    """Raises OSError, SettingsError."""
    if json_path is not None:
        figures.write(run, json_path)
    if page is None:
        return
    folder = page.with_suffix("")
    draw(run, folder)
    figures.write(run, folder / _FIGURES)
    page.write_text(page_of(run, folder.name), encoding="utf-8")
    click.echo(f"wrote {page}", err=True)
