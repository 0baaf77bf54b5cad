"""How a command ends: its exit status, and what it says when it cannot do what it was asked.

Decides the statuses that all commands but `check` share. Proof: tests/cli/.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from bankbook.cli.report import print_json
from bankbook.client import BankbookError, InvalidRequestError, OutcomeUnknownError, RefusedError
from bankbook.core.outcome import Outcome
from bankbook.server.signals import like_ctrl_c

VIOLATION, BAD_INPUT, COULD_NOT_RUN = 1, 2, 3
# What a bank answered: nothing happened and never will; nothing happened yet; nobody knows.
REFUSED, RETRYABLE, UNKNOWN = 4, 5, 6
INTERRUPTED = 130

Result = TypeVar("Result")


def end_like_ctrl_c() -> None:
    """Let what `kill` and a closed terminal send end this process like Ctrl-C: its folder is removed, too.

    It is raised wherever this process is; work in an event loop is to be run by `run_interruptibly`.
    """
    for number in like_ctrl_c():
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _hear_once(number)
    raise KeyboardInterrupt


def _hear_once(number: int) -> None:
    """Ignore the second of two signals that are one: a shell whose terminal is closed sends its own, too."""
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)


def run_interruptibly(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in an event loop; Ctrl-C and what is like it cancel it, and raise KeyboardInterrupt then.

    asyncio.run does so for Ctrl-C alone. What a handler raises would be raised in whichever task runs at that
    moment. A second signal does that: whoever sends it waits no more.
    """
    interruption = _Interruption()
    try:
        with interruption.heard():
            result = asyncio.run(interruption.ends(work))
    except asyncio.CancelledError:
        if not interruption.was_told:
            raise
        raise KeyboardInterrupt from None
    if interruption.was_told:
        raise KeyboardInterrupt
    return result


class _Interruption:
    """What becomes of signals while an event loop runs."""

    def __init__(self) -> None:
        self.was_told = False
        self._main: asyncio.Task[Any] | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear the signals, but for Ctrl-C where a shell has that ignored by what is in the background."""
        numbers = like_ctrl_c()
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            numbers.append(signal.SIGINT)
        before = {number: signal.signal(number, self._tell) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is not signal.SIG_IGN:  # as it is once a terminal was closed
                    signal.signal(number, handler)

    async def ends(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work`, which ends once a signal is heard."""
        self._main = asyncio.current_task()
        assert self._main is not None, "this is a task's"
        if self.was_told:
            self._main.cancel()
        return await work

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        _hear_once(number)
        if self.was_told:
            raise KeyboardInterrupt
        self.was_told = True
        if self._main is not None and not self._main.done():
            self._main.get_loop().call_soon_threadsafe(self._main.cancel)


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
