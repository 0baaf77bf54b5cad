"""How a command ends: its exit status, and what it says when it cannot do what it was asked.

Decides the statuses that run, branches and customers share. Proof: tests/cli/.
"""

import signal
import sys
from typing import NoReturn

import click

from bankbook.cli.report import print_json

VIOLATION, BAD_INPUT, COULD_NOT_RUN = 1, 2, 3
INTERRUPTED = 130


def end_like_ctrl_c() -> None:
    """Let what `kill` and a closed terminal send end this process like Ctrl-C: its folder is removed, too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def fail(message: str, status: int, as_json: bool) -> NoReturn:
    """Tell why a command cannot do what it was asked, and exit."""
    if as_json:
        print_json({"error": message, "exit_status": status})
    click.echo(f"bankbook: {message}", err=True)
    sys.exit(status)
