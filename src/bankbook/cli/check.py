"""`bankbook check`: a verdict on an output, or on a recorded history.

Decides which of the two a file is, and exit statuses: 0 PASS, 1 FAIL, 2 UNKNOWN, 3 where the files cannot be
judged. Proof: tests/cli/test_check.py, tests/cli/test_check_history.py.
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from bankbook.checkers import check as check_history
from bankbook.cli import options
from bankbook.cli.ending import COULD_NOT_RUN, fail
from bankbook.cli.report import print_json, tell_report, tell_verdict, telling, verdict_as_json
from bankbook.core.types import Money
from bankbook.history.fields import HistoryError
from bankbook.history.file import read_history
from bankbook.scenario.checker import Kind, judge
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.output import read_output
from bankbook.scenario.parse import read_scenario
from bankbook.server.config import AccountMode

# A header may list many accounts; its first field is near its beginning all the same.
HEADER_BYTES_MAX = 1 << 20

EXIT_STATUS = {Kind.PASS: 0, Kind.FAIL: 1, Kind.UNKNOWN: 2}


_NOT_JUDGED = (
    "{0}: an output does not tell enough to judge keys, reservations, freshness or faults. Record a history, "
    "`bankbook run {0} --history FILE`, and check that."
)


class UnusableCommandError(click.UsageError):
    """A mistyped command line."""

    exit_code = COULD_NOT_RUN


class CheckCommand(click.Command):
    """A command of which status 2 is an answer, and so no sign of a mistyped option."""

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        """Parse the command line; let a mistake end with status 3."""
        try:
            return super().make_context(*arguments, **named)
        except click.UsageError as error:
            raise UnusableCommandError(error.format_message(), error.ctx) from error


@click.command(cls=CheckCommand)
@click.argument("output_path", metavar="OUTPUT|HISTORY", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    metavar="INPUT",
    help="The scenario that OUTPUT is of; a history needs none.",
)
@options.opening_balance_option
@options.accounts_option
@options.json_option
def check(
    output_path: Path,
    input_path: Path | None,
    opening_balance: Money | None,
    accounts: AccountMode,
    as_json: bool,
) -> None:
    """Judge whether OUTPUT can be right, from it and its scenario alone; or a recorded HISTORY, by itself.

    PASS (exit status 0): the results fit the four session guarantees, and prove something. FAIL (1): they
    cannot be right; the witness says which event misses what. UNKNOWN (2): nothing proves anything. Files
    that cannot be read end with status 3. A history (JSON lines, described in docs/history.md) is judged by
    every checker, each with a verdict of its own.
    """
    if input_path is None:
        if not is_history(output_path):
            raise UnusableCommandError(
                f"{output_path} is no history, so the scenario that it is of is needed: --input INPUT."
            )
        _check_history(output_path, as_json)
    try:
        scenario = read_scenario(input_path, opening_balance=opening_balance)
        if not scenario.is_plain:
            fail(_NOT_JUDGED.format(input_path), COULD_NOT_RUN, as_json)
        records = read_output(output_path)
    except BadFileError as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    verdict = judge(scenario, records, accounts)
    if as_json:
        print_json(verdict_as_json(verdict))
    else:
        with telling() as out:
            tell_verdict(verdict, out)
    sys.exit(EXIT_STATUS[verdict.kind])


def is_history(path: Path) -> bool:
    """Whether a file begins like a history; one that cannot be read does not."""
    try:
        with path.open("rb") as file:
            return b'"bankbook_history"' in file.readline(HEADER_BYTES_MAX)
    except OSError:
        return False


def _check_history(path: Path, as_json: bool) -> NoReturn:
    try:
        report = check_history(read_history(path, lambda words: click.echo(f"bankbook: {words}", err=True)))
    except HistoryError as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    if as_json:
        print_json(report.as_json())
    else:
        with telling() as out:
            tell_report(report, out)
    sys.exit(EXIT_STATUS[Kind(report.kind)])
