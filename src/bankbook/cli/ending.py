"""How a command ends: its exit status, and what it says when it cannot do what it was asked.

Decides the statuses that all commands but `check` share. Proof: tests/cli/.
"""

import signal
import sys
from typing import NoReturn

import click

from bankbook.cli.report import print_json
from bankbook.client import BankbookError, InvalidRequestError, OutcomeUnknownError, RefusedError
from bankbook.core.outcome import Outcome

VIOLATION, BAD_INPUT, COULD_NOT_RUN = 1, 2, 3
# What a bank answered: nothing happened and never will; nothing happened yet; nobody knows.
REFUSED, RETRYABLE, UNKNOWN = 4, 5, 6
INTERRUPTED = 130


def end_like_ctrl_c() -> None:
    """Let what `kill` and a closed terminal send end this process like Ctrl-C: its folder is removed, too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def status_of(error: BankbookError) -> int:
    """Return the exit status that tells what happened to the money."""
    if isinstance(error, InvalidRequestError):
        return BAD_INPUT
    if isinstance(error, OutcomeUnknownError):
        return UNKNOWN
    return REFUSED if isinstance(error, RefusedError) else RETRYABLE


def fail(message: str, status: int, as_json: bool, outcome: Outcome | None = None) -> NoReturn:
    """Tell why a command cannot do what it was asked, and exit."""
    if as_json:
        told = {} if outcome is None else {"outcome": outcome.name}
        print_json({"error": message, **told, "exit_status": status})
    click.echo(f"bankbook: {message}", err=True)
    sys.exit(status)
