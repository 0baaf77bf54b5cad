"""The group of commands, and what their errors look like.

Decides exit statuses: 0 done and consistent, 1 a violation, 2 bad input, 3 the bank could not run.
Proof: tests/cli/.
"""

import sys
from typing import Any

import click

from bankbook.cli.branches import branches
from bankbook.cli.check import check
from bankbook.cli.customers import customers
from bankbook.cli.ending import INTERRUPTED
from bankbook.cli.run import run


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

    Each customer reads their own writes at whichever branch they walk into.
    """


for command in (run, branches, customers, check):
    app.add_command(command)
