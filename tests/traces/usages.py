"""The table of all commands, to which each adds itself.

Decides nothing. Must not know what a command does. Proof: tests/core/test_traces.py.
"""

from collections.abc import Callable

from traces.bank import TellingBank
from traces.language import TraceError, Usage

USAGES: dict[str, Usage] = {}


def usage(text: str, meaning: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a command to the table, as the usage `text` describes it."""

    def add(do: Callable[..., None]) -> Callable[..., None]:
        USAGES[text.split(maxsplit=1)[0]] = Usage(text, meaning, do)
        return do

    return add


def check_runs(bank: TellingBank, branch: int) -> None:
    """Raise TraceError where a branch is down."""
    if branch not in bank.replicas:
        raise TraceError(f"branch {branch} does not run; begin with: restart {branch}")
