"""What customers asked and were told: the record that the judges read.

Decides nothing. Proof: that of whatever uses it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from bankbook.client.errors import BankbookError
from bankbook.core.commands import Batch, Command, Freshness
from bankbook.core.types import EntryId, Origin
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.scenario.perform import Wish
from bankbook.wire.replies import Answer


class State(NamedTuple):
    """What a branch had, and an account's balance there."""

    applied: VersionVector
    balance: int


@dataclass(slots=True, eq=False)
class Intent(Wish):
    """What a simulated customer wants once, and what the judges know of it."""

    first_us: int = 0
    """When it was sent first."""
    entry: EntryId | None = None
    """What was told to be written."""

    @property
    def memos(self) -> tuple[str, ...]:
        """What tells its effects apart: a batch has one for each of its commands."""
        if isinstance(self.command, Batch):
            return tuple(each.memo for each in self.command.commands)
        return (self.name,)


@dataclass(slots=True, eq=False)
class Operation:
    """One sending of an intent, and its answer."""

    number: int
    session: str
    intent: Intent
    freshness: Freshness
    branch: int
    called_us: int
    returned_us: int | None = None
    receipt: Answer | None = None
    error: BankbookError | None = None
    shown: VersionVector = NOTHING
    """What the disk of the branch that answered had when it did."""
    known_lost: frozenset[Origin] = frozenset()
    """Which disks that branch knew to be replaced by empty ones."""
    possible: list[State] = field(default_factory=list)
    """What that branch may have told of the first account that is named, newest first."""

    @property
    def command(self) -> Command:
        """What was asked."""
        return self.intent.command

    def __str__(self) -> str:
        return f"operation {self.number} of {self.session} at branch {self.branch} ({self.command})"
