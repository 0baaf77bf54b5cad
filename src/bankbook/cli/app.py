"""The group of commands, and what their errors look like.

Decides in which order people are told of them. Proof: tests/cli/.
"""

import sys
from typing import Any

import click

from bankbook.cli.accounts import (
    balance,
    capture,
    deposit,
    open_account,
    release,
    reserve,
    transfer,
    withdraw,
)
from bankbook.cli.bank import branch, init, up
from bankbook.cli.bench import bench
from bankbook.cli.branches import branches
from bankbook.cli.check import check
from bankbook.cli.completion import completion
from bankbook.cli.customers import customers
from bankbook.cli.ending import INTERRUPTED
from bankbook.cli.export import export
from bankbook.cli.run import run
from bankbook.cli.simulate import simulate
from bankbook.cli.statement import statement
from bankbook.cli.status import status
from bankbook.cli.teller import forget


class Commands(click.Group):
    """The commands; one that is interrupted does not end with the status of a violation, as click has it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("bankbook: interrupted", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="bankbook", message="%(prog)s %(version)s")
def app() -> None:
    """A bank whose every branch takes every customer's money at local speed.

    Each customer reads their own writes at whichever branch they walk into. A bank of your own begins with
    `bankbook init` and `bankbook up`.

    Exit status: 0 done, 1 a violation of a guarantee, 2 bad input, 3 it could not run; of what the bank
    answered: 4 refused, nothing happened; 5 nothing happened yet, ask again; 6 the outcome is not known.
    """


SCENARIOS = (run, branches, customers, check, simulate)
BANK = (init, up, branch, status, export, bench)
CUSTOMER = (
    open_account,
    deposit,
    withdraw,
    transfer,
    balance,
    statement,
    reserve,
    capture,
    release,
    forget,
)

for command in (*SCENARIOS, *BANK, *CUSTOMER, completion):
    app.add_command(command)
