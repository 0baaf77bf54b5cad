"""What branches say to each other.

Decides nothing. Every message may be lost, doubled or overtaken; the machine is right all the same.
A subscriber opens a stream to a publisher; the first four messages travel up that stream, the other two
come down it. Proof: tests/core/test_replication.py.
"""

from dataclasses import dataclass, field

from bankbook.core.entry import Entry
from bankbook.core.types import AccountId, BranchId, Origin, Seq
from bankbook.core.vector import VersionVector


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send me this origin's log, from the entry behind `after`."""

    origin: Origin
    after: Seq


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Send me no more of this origin's log."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """I have these on my disk: they survive my crash."""

    applied: VersionVector


@dataclass(frozen=True, slots=True)
class AskHead:
    """Tell me your own log's last seq, and your own last entry for `account` if one is named."""

    question: int
    account: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """A run of one origin's log, in order and without gaps."""

    origin: Origin
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """The answer to one AskHead. It covers all that was acknowledged here before the question was asked."""

    question: int
    origin: Origin
    """The answering branch, in its present incarnation."""
    head: Seq
    """The last seq of its own log."""
    last_write: Seq
    """The last seq there that touched the account asked about; `head` where none was named."""
    applied: VersionVector
    """All that the answering branch has on its disk."""


Message = Subscribe | Unsubscribe | Acknowledge | AskHead | Entries | Head


@dataclass(frozen=True, slots=True)
class Received:
    """Input: a message from another branch."""

    sender: BranchId
    message: Message


@dataclass(frozen=True, slots=True)
class Connected:
    """Input: my stream to another branch is up; what its greeting said."""

    branch: BranchId
    origin: Origin
    applied: VersionVector = field(default_factory=VersionVector)


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Input: my stream to another branch is down."""

    branch: BranchId


@dataclass(frozen=True, slots=True)
class SubscriberGone:
    """Input: another branch's stream to me is down."""

    branch: BranchId
