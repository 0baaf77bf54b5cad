"""`bankbook bench`: how fast a bank is, on this machine.

Decides the options and the exit statuses. Must not know how anything is measured.
Proof: tests/cli/test_bench.py.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bankbook.bench import settings
from bankbook.bench.bank import BankUnderTest, bank_of_its_own, bank_that_runs
from bankbook.bench.plot import plot, require_matplotlib
from bankbook.bench.report import as_json
from bankbook.bench.run import Measured, OnProgress
from bankbook.bench.run import Progress as Reached
from bankbook.bench.run import run as run_bench
from bankbook.bench.settings import BenchError, Load, OwnBank, SettingsError, Skew, Workload
from bankbook.bench.words import lines_of
from bankbook.cli import options
from bankbook.cli.ending import (
    BAD_INPUT,
    COULD_NOT_RUN,
    INTERRUPTED,
    end_like_ctrl_c,
    fail,
    run_interruptibly,
)
from bankbook.cli.report import print_json, progress_console, telling
from bankbook.client import BankbookError
from bankbook.core.bounds import BATCH_COMMANDS_MAX
from bankbook.core.types import BRANCHES_MAX
from bankbook.server.bank_file import BankFileError, read_bank_file
from bankbook.server.launcher import LaunchError

_DEFAULTS = Load()

_AS_FAST_AS_IT_GOES = "max"

# Of a bank that is started for the bench; one that runs has its own. Parameter → option.
_OF_ITS_OWN = {"branches": "--branches", "delay": "--propagation-delay", "data": "--data"}


@dataclass(frozen=True, slots=True)
class _Order:
    """What one command line asks for."""

    load: Load
    then_at_half: bool
    own: OwnBank
    config: Path | None
    plot_path: Path | None
    as_json: bool


class RateType(click.ParamType[float]):
    """Operations a second; without bound for `max`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the rate; infinity for `max`."""
        if value == _AS_FAST_AS_IT_GOES:
            return math.inf
        try:
            rate = float(value)
        except ValueError:
            rate = math.nan
        if not 0 < rate <= settings.RATE_MAX:  # which nan is not
            most = f"{settings.RATE_MAX:,.0f}"
            self.fail(
                f"a rate is above 0 and up to {most} operations a second, or max; not {value!r}", param, ctx
            )
        return rate


_load_options = options.together(
    click.option(
        "--workload",
        type=click.Choice([each.value for each in Workload]),
        default=_DEFAULTS.workload.value,
        show_default=True,
        help="What the customers ask for; mixed reads four balances for each transfer.",
    ),
    click.option(
        "--skew",
        type=click.Choice([each.value for each in Skew]),
        default=_DEFAULTS.skew.value,
        show_default=True,
        help="How they choose accounts: each as often as any other, by Zipf's law, or one always.",
    ),
    click.option(
        "--accounts",
        type=click.IntRange(1, settings.ACCOUNTS_MAX),
        default=_DEFAULTS.accounts,
        show_default=True,
        metavar="N",
        help="How many accounts there are.",
    ),
    click.option(
        "--bulk",
        type=click.IntRange(1, BATCH_COMMANDS_MAX),
        default=_DEFAULTS.bulk,
        show_default=True,
        metavar="N",
        help=f"Operations in one request, up to {BATCH_COMMANDS_MAX}.",
    ),
    click.option(
        "--remote",
        type=click.IntRange(0, 100),
        default=round(100 * _DEFAULTS.remote),
        show_default=True,
        metavar="PERCENT",
        help="How many of its requests a customer makes elsewhere than at their usual branch.",
    ),
    click.option(
        "--callers",
        type=click.IntRange(1, settings.CALLERS_MAX),
        default=_DEFAULTS.callers,
        show_default=True,
        metavar="N",
        help="How many customers there are at a time; each has one request under way.",
    ),
    click.option(
        "--sessions",
        type=click.IntRange(1, settings.CALLERS_MAX),
        metavar="N",
        help="How many sessions the callers of a process share: what they ask for at the same time travels "
        "together. [default: one for each caller]",
    ),
    click.option(
        "--clients",
        type=click.IntRange(1, settings.CLIENTS_MAX),
        default=_DEFAULTS.clients,
        show_default=True,
        metavar="N",
        help="How many processes share the callers.",
    ),
    click.option(
        "--rate",
        type=RateType(),
        metavar="N|max",
        help="Operations that are due each second, at random moments; or as fast as it goes. "
        "[default: max, then half of what came of it]",
    ),
    click.option(
        "--durable",
        type=click.IntRange(0, BRANCHES_MAX - 1),
        default=_DEFAULTS.durable,
        show_default=True,
        metavar="N",
        help="On how many other branches' disks a write is before it is acknowledged.",
    ),
    options.duration_option("duration", f"{_DEFAULTS.duration_s:.0f}s", "How long it is measured."),
    click.option(
        "--operations",
        type=click.IntRange(1, settings.OPERATIONS_MAX),
        metavar="N",
        help="Measure so many operations, however long they take.",
    ),
    options.duration_option(
        "warmup", f"{_DEFAULTS.warmup_s:.0f}s", "How long the bank works before it is measured."
    ),
    click.option(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        show_default=True,
        metavar="SEED",
        help="All chance comes from it: who asks for what, where, and when it is due.",
    ),
)

_bank_options = options.together(
    click.option(
        "--branches",
        type=click.IntRange(1, BRANCHES_MAX),
        default=settings.BRANCHES_BY_DEFAULT,
        show_default=True,
        metavar="N",
        help="How many branches the bank has that is started for this.",
    ),
    options.delay_option,
    click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        metavar="DIR",
        help="Make the temporary folder of its stores in DIR. [default: where the system has them]",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Measure the bank of this file, which runs, and leave accounts called bench-... in it.",
    ),
)


@click.command()
@_load_options
@_bank_options
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw latency by percentile, and operations by second. Needs matplotlib.",
)
@options.json_option
@click.pass_context
def bench(context: click.Context, /, plot_path: Path | None, as_json: bool, **given: Any) -> None:
    """Measure how fast a bank is.

    Without options: a new bank of three branches on this machine, which is removed afterwards, and 64
    customers who transfer money as fast as it goes, and then at half of that rate, where a latency counts
    from when a transfer was due. Only what was acknowledged counts. Exit status: 0 measured, 2 bad input, 3
    it could not run.
    """
    end_like_ctrl_c()
    try:
        order = _order(context, plot_path, as_json, given)
        measured = _carry_out(order)
    except (BankFileError, SettingsError) as error:
        fail(str(error), BAD_INPUT, as_json)
    except (BenchError, LaunchError, BankbookError) as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    except KeyboardInterrupt:
        fail("interrupted; nothing was measured", INTERRUPTED, as_json)
    _finish(order, measured)


def _order(context: click.Context, plot_path: Path | None, as_json: bool, given: dict[str, Any]) -> _Order:
    """Return what the command line asks for. Raises SettingsError."""
    if given["config"] is not None:
        for name, option in _OF_ITS_OWN.items():
            if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
                raise SettingsError(
                    f"{option} is of a bank that is started for the bench; --config names one that runs"
                )
    if plot_path is not None:
        require_matplotlib()
        if not plot_path.absolute().parent.is_dir():
            raise SettingsError(f"--plot: there is no folder {plot_path.absolute().parent}; make it first")
    load = Load(
        workload=Workload(given["workload"]),
        skew=Skew(given["skew"]),
        remote=given["remote"] / 100,
        warmup_s=given["warmup_us"] / 1e6,
        duration_s=given["duration_us"] / 1e6,
        rate=None if given["rate"] in {None, math.inf} else given["rate"],
        **{
            name: given[name]
            for name in (
                "accounts",
                "bulk",
                "callers",
                "sessions",
                "clients",
                "durable",
                "operations",
                "seed",
            )
        },
    )
    if given["config"] is None:
        settings.check(load, given["branches"])
    own = OwnBank(given["branches"], given["delay"], given["data"])
    return _Order(load, given["rate"] is None, own, given["config"], plot_path, as_json)


def _carry_out(order: _Order) -> list[Measured]:
    """Raises SettingsError, BankFileError, BenchError, LaunchError, BankbookError."""
    with _showing_progress() as on_progress:
        if order.config is not None:
            bank = bank_that_runs(read_bank_file(order.config))
            settings.check(order.load, len(bank.addresses))
            return _run(bank, order, on_progress)
        on_progress(Reached("starting the bank", None))
        with bank_of_its_own(order.own) as bank:
            measured = _run(bank, order, on_progress)
            on_progress(Reached("stopping the bank", None))
        return measured


def _run(bank: BankUnderTest, order: _Order, on_progress: OnProgress) -> list[Measured]:
    return run_interruptibly(run_bench(bank, order.load, on_progress, then_at_half=order.then_at_half))


@contextmanager
def _showing_progress() -> Iterator[Callable[[Reached], None]]:
    """Show how far it is, on a terminal only."""
    console = progress_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=None, done="")

        def show(reached: Reached) -> None:
            done = f"{reached.operations:,} operations" if reached.operations else ""
            share = reached.share
            total = None if share is None else 1.0
            progress.update(bar, description=reached.subject, total=total, completed=share or 0.0, done=done)

        yield show


def _finish(order: _Order, measured: list[Measured]) -> None:
    """Tell of the figures; exit where there are none."""
    if order.plot_path is not None:
        try:
            plot(measured, order.plot_path)
        except (OSError, ValueError) as error:
            fail(f"--plot: {order.plot_path} cannot be written: {error}", COULD_NOT_RUN, order.as_json)
    if order.as_json:
        print_json(as_json(measured))
    else:
        _tell(measured)
    if not any(each.operations for each in measured):
        click.echo("bankbook: no operation was carried out", err=True)
        sys.exit(COULD_NOT_RUN)


def _tell(measured: list[Measured]) -> None:
    with telling() as out:
        for subject, words in lines_of(measured):
            out.print(f"{subject:11}{escape(words)}".rstrip(), soft_wrap=True)
