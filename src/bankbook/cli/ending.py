"""How a command ends: its exit status, and what it says when it cannot do what it was asked.

Decides the statuses that all commands but `check` share. Proof: tests/cli/.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from bankbook.cli.report import print_json
from bankbook.client import BankbookError, InvalidRequestError, OutcomeUnknownError, RefusedError
from bankbook.core.outcome import Outcome

VIOLATION, BAD_INPUT, COULD_NOT_RUN = 1, 2, 3
# What a bank answered: nothing happened and never will; nothing happened yet; nobody knows.
REFUSED, RETRYABLE, UNKNOWN = 4, 5, 6
INTERRUPTED = 130

Result = TypeVar("Result")


def like_ctrl_c() -> list[signal.Signals]:
    """Return what `kill` and a closed terminal send; the latter not where `nohup` has it ignored."""
    both = (signal.SIGTERM, signal.SIGHUP)
    return [each for each in both if signal.getsignal(each) is not signal.SIG_IGN]


def end_like_ctrl_c() -> None:
    """Let what `kill` and a closed terminal send end this process like Ctrl-C: its folder is removed, too.

    From now on an event loop is for `run_interruptibly`.
    """
    for number in like_ctrl_c():
        signal.signal(number, signal.default_int_handler)


def run_interruptibly(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in an event loop; what is like Ctrl-C cancels it, and then raises KeyboardInterrupt.

    asyncio.run does so for Ctrl-C alone. Whatever else raised KeyboardInterrupt would raise it in whichever
    task runs at that moment. A second one does: whoever sends it waits no more.
    """
    is_told = False

    async def cancelled_when_told() -> Result:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "this is a task's"

        def tell(_number: int, _frame: FrameType | None) -> None:
            nonlocal is_told
            if is_told:
                raise KeyboardInterrupt
            is_told = True
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, tell) for number in like_ctrl_c()}
        try:
            return await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        return asyncio.run(cancelled_when_told())
    except asyncio.CancelledError:
        if is_told:
            raise KeyboardInterrupt from None
        raise


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
