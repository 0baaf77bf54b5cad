"""`bankbook check`: a verdict on an output.

Decides exit statuses: 0 PASS, 1 FAIL, 2 UNKNOWN, 3 where the files cannot be judged.
Proof: tests/cli/test_check.py.
"""

import sys
from pathlib import Path
from typing import Any

import click

from bankbook.cli import options
from bankbook.cli.ending import COULD_NOT_RUN, fail
from bankbook.cli.report import print_json, tell_verdict, telling, verdict_as_json
from bankbook.core.types import Money
from bankbook.scenario.checker import Kind, judge
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.output import read_output
from bankbook.scenario.parse import read_scenario
from bankbook.server.config import AccountMode

EXIT_STATUS = {Kind.PASS: 0, Kind.FAIL: 1, Kind.UNKNOWN: 2}


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
@click.argument("output_path", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="INPUT",
    help="The scenario that OUTPUT is of.",
)
@options.opening_balance_option
@options.accounts_option
@options.json_option
def check(
    output_path: Path,
    input_path: Path,
    opening_balance: Money | None,
    accounts: AccountMode,
    as_json: bool,
) -> None:
    """Judge whether OUTPUT can be right, from the two files alone.

    PASS (exit status 0): the results fit the four session guarantees, and prove something. FAIL (1): they
    cannot be right; the witness says which event misses what. UNKNOWN (2): nothing proves anything.
    Files that cannot be read end with status 3.
    """
    try:
        scenario = read_scenario(input_path, opening_balance=opening_balance)
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
