"""`python -m benchmarks`, which `make bench` runs.

Decides the options, and that only a whole run writes the page. Must not know how anything is measured.
Proof: tests/alternatives/test_cli.py.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from bankbook.bench.plot import require_matplotlib
from bankbook.bench.settings import SettingsError
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, INTERRUPTED, end_like_ctrl_c
from benchmarks import figures, packages
from benchmarks.cases import BenchmarkError, System
from benchmarks.figures import Run
from benchmarks.machine import usual_data
from benchmarks.page import page_of
from benchmarks.plots import draw
from benchmarks.progress import shower
from benchmarks.run import Plan, carry_out
from benchmarks.systems import CASES, SYSTEMS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"

_FIGURES = "figures.json"

_ROUNDS, _SECONDS = 3, 5.0
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 1.5

_file = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--quick", is_flag=True, help="A smoke run of two minutes: one round, no trials; no page.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Measure this system or case only; may be given again; no page.",
)
@click.option("--rounds", type=click.IntRange(1, 100), metavar="N", help=f"[default: {_ROUNDS}]")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    metavar="S",
    help=f"For how long each case is measured in a round.  [default: {_SECONDS:g}]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Make the temporary folder of all stores in DIR.  [default: the system's own, if it is on a disk]",
)
@click.option("--json", "json_path", type=_file, metavar="FILE", help="Keep the figures in FILE.")
@click.option(
    "--page",
    type=_file,
    metavar="FILE.md",
    help="Write the page here, its plots and figures beside it.  [default, of a whole run: "
    "docs/performance.md]",
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
    rounds: int | None,
    seconds: float | None,
    data: Path | None,
    json_path: Path | None,
    page: Path | None,
    kept: Path | None,
) -> None:
    """Measure Bankbook beside PostgreSQL, etcd, Redis and a bare gRPC server.

    Exit status: 0 measured, 2 bad input, 3 something could not be measured.
    """
    if page is None and (kept is not None or not (quick or only)):
        page = PAGE
    end_like_ctrl_c()
    try:
        if page is not None:
            require_matplotlib()
        run = figures.read(kept) if kept is not None else _measure(_plan(quick, only, rounds, seconds), data)
        _keep(run, json_path, page)
    except (SettingsError, ValueError) as error:
        _fail(str(error), BAD_INPUT)
    except (BenchmarkError, OSError) as error:
        _fail(str(error), COULD_NOT_RUN)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written, and nothing is left", INTERRUPTED)
    if run.failures:
        _fail(f"{len(run.failures)} of the cases could not be measured, see above", COULD_NOT_RUN)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"benchmarks: {message}", err=True)
    sys.exit(status)


def _plan(quick: bool, only: Sequence[str], rounds: int | None, seconds: float | None) -> Plan:
    """Return what is asked for. Raises SettingsError."""
    usual = Plan(chosen(only), _ROUNDS, _SECONDS, command=command_of(quick, only, rounds, seconds))
    if quick:
        usual = replace(usual, rounds=_QUICK_ROUNDS, seconds=_QUICK_SECONDS, trial_s=None)
    return replace(usual, rounds=rounds or usual.rounds, seconds=seconds or usual.seconds)


def command_of(quick: bool, only: Sequence[str], rounds: int | None, seconds: float | None) -> str:
    """Return the command that measures the same again."""
    words = ["--quick"] if quick else []
    words += [f"--only {name}" for name in only]
    words += [f"--rounds {rounds}"] if rounds is not None else []
    words += [f"--seconds {seconds:g}"] if seconds is not None else []
    return f"make bench BENCH='{' '.join(words)}'" if words else "make bench"


def chosen(only: Sequence[str]) -> tuple[System, ...]:
    """Return the systems, each with the cases that are wanted. Raises SettingsError."""
    unknown = [name for name in only if name not in CASES and name not in {each.name for each in SYSTEMS}]
    if unknown:
        systems = ", ".join(each.name for each in SYSTEMS)
        raise SettingsError(
            f"--only: there is no {unknown[0]!r}; the systems are {systems}; the cases {', '.join(CASES)}"
        )
    if not only:
        return SYSTEMS
    wanted = (
        replace(each, cases=tuple(case for case in each.cases if {each.name, case.name} & set(only)))
        for each in SYSTEMS
    )
    return tuple(system for system in wanted if system.cases)


def _measure(plan: Plan, data: Path | None) -> Run:
    """Raises BenchmarkError, OSError."""
    show = shower()
    lacking = packages.missing(program for system in plan.systems for program in system.programs)
    if lacking:
        show(f"missing  {', '.join(lacking)}: unpacked from Debian's packages into build/alternatives")
        packages.unpack(lacking)
    return carry_out(plan, data or usual_data(ROOT), packages.unpacked(), show)


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
