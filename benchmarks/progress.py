"""How far a run is, for a person who waits for it.

Decides the form of a line of progress. Must not know what is measured.
Proof: tests/alternatives/test_cli.py, tests/alternatives/test_growth_cli.py.
"""

import time
from collections.abc import Callable

import click

Show = Callable[[str], None]
"""Tells how far it is."""


def shower() -> Show:
    """Return what shows lines on standard error, each behind the minutes and seconds since now."""
    began_s = time.monotonic()

    def show(line: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - began_s), 60)
        click.echo(f"{minutes:2}:{seconds:02}  {line}", err=True)

    return show
