"""Options that several commands share, and the values people write.

Decides which options there are. Proof: tests/cli/test_options.py.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bankbook.core.commands import LATEST, LOCAL, SESSION
from bankbook.core.types import MONEY_MAX
from bankbook.scenario.branches import BankOptions
from bankbook.scenario.durations import DURATION_MAX_US, parse_duration_us
from bankbook.server.bank_file import FILE_NAME
from bankbook.server.config import DEFAULT_HOST, NO_DELAY, ORIGINAL_PORT_BASE, AccountMode, Delay
from bankbook.server.logs import LEVELS

Command = TypeVar("Command", bound=Callable[..., Any])


class DurationType(click.ParamType[int]):
    """A duration, in microseconds."""

    name = "duration"

    def __init__(self, max_us: int = DURATION_MAX_US) -> None:
        self._max_us = max_us

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return microseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration_us(value, self._max_us)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DelayType(click.ParamType[Delay]):
    """A delay, or the range it is drawn from."""

    name = "delay"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Delay:
        """Return the delay."""
        if isinstance(value, Delay):
            return value
        low, dots, high = value.partition("..")
        try:
            delay = Delay(parse_duration_us(low), parse_duration_us(high if dots else low))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if delay.low_us > delay.high_us:
            self.fail(f"{value!r} ends before it begins; write the shorter one first", param, ctx)
        return delay


def _above_zero(duration_us: int) -> int:
    if duration_us == 0:
        raise click.BadParameter("a branch that holds nothing can wait for no other one; write 1ms or more")
    return duration_us


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return what adds all of these to a command, in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


input_argument = click.argument("input_path", metavar="INPUT", type=click.Path(path_type=Path))

accounts_option = click.option(
    "--accounts",
    type=click.Choice([mode.value for mode in AccountMode]),
    default=AccountMode.OWN.value,
    show_default=True,
    callback=lambda _ctx, _param, value: AccountMode(value),
    help="An account for each customer, or one that all customers share, as in the original program.",
)

opening_balance_option = click.option(
    "--opening-balance",
    type=click.IntRange(0, MONEY_MAX),
    metavar="N",
    help="What every account starts with, whatever the branches in INPUT say.",
)

delay_option = click.option(
    "--propagation-delay",
    "delay",
    type=DelayType(),
    default=NO_DELAY,
    metavar="2s|0.5s..2s",
    help="How long updates are on their way between branches; with a range, each draws its own.  "
    "[default: 0s]",
)


def duration_option(name: str, default: str, what: str, **more: Any) -> Callable[[Command], Command]:
    """Return the option --NAME, a duration; the command gets it as NAME_us."""
    return click.option(
        f"--{name}",
        f"{name.replace('-', '_')}_us",
        type=DurationType(),
        default=default,
        show_default=True,
        metavar=default,
        help=what,
        **more,
    )


hold_limit_option = duration_option(
    "hold-limit",
    "30s",
    "How long a branch holds a request for updates that have not arrived.",
    callback=lambda _ctx, _param, value: _above_zero(value),
)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=FILE_NAME,
    show_default=True,
    envvar="BANKBOOK_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="The bank's file.",
)

log_file_option = click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append the branches' log to FILE, as JSON lines, and not to standard error.",
)


def bank_options(*, log_level: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a bank's branches; the command gets them as `bank`, a BankOptions."""
    log_level_option = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=log_level,
        show_default=True,
        help="How much the branches log; every request and every entry at info.",
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def collect(**given: Any) -> None:
            names = ("accounts", "delay", "hold_limit_us", "log_level", "log_file")
            bank = BankOptions(**{name: given.pop(name) for name in names})
            command(bank=bank, **given)

        options = (accounts_option, delay_option, hold_limit_option, log_level_option, log_file_option)
        return together(*options)(collect)

    return add


place_options = together(
    click.option("--host", default=DEFAULT_HOST, show_default=True, help="The branches' address."),
    click.option(
        "--port-base",
        type=click.IntRange(1, 65_000),
        default=ORIGINAL_PORT_BASE,
        show_default=True,
        help="Branch n is at this port plus n.",
    ),
)


def freshness_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add how fresh a read is; the command gets it as `freshness`."""

    @functools.wraps(command)
    def collect(**given: Any) -> None:
        is_latest, is_local = given.pop("latest"), given.pop("local")
        if is_latest and is_local:
            raise click.UsageError("an answer is --latest or --local, not both")
        freshness = LATEST if is_latest else LOCAL if is_local else SESSION
        command(freshness=freshness, **given)

    return together(
        click.option(
            "--latest", is_flag=True, help="Count all that was acknowledged anywhere: asks every branch."
        ),
        click.option(
            "--local",
            is_flag=True,
            help="Count what the branch has, and wait for nothing, not even your own.",
        ),
    )(collect)


output_option = click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(path_type=Path),
    default="output/output.json",
    show_default=True,
    metavar="FILE",
    help="Where the results go; written whole or not at all.",
)

history_option = click.option(
    "--history",
    "history_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write down all that is asked and told, for `bankbook check FILE`.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Tell it to programs: one JSON object on standard output."
)
