"""What branches say to each other.

Decides nothing. Every message may be lost, doubled or overtaken; the machine is right all the same.
A subscriber opens a stream to a publisher; `ToPublisher` travels up that stream, `ToSubscriber`
comes down it. Proof: tests/core/test_replication.py.
"""

from dataclasses import dataclass, field

from bankbook.core.clock import HybridTime
from bankbook.core.commands import SESSION, Command, Freshness
from bankbook.core.entry import Entry
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Portion
from bankbook.core.token import Token
from bankbook.core.types import AccountId, BranchId, CustomerId, EntryId, Key, Money, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector


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

    origin: Origin
    """Whose disk: a new life of a branch must not be credited with what an earlier one had."""
    applied: VersionVector


@dataclass(frozen=True, slots=True)
class AskHead:
    """Tell me your own log's last seq, and your own last entry for `account` if one is named.

    Answered with a Head, after a grant where rights are wanted and there are any to give.
    """

    question: int
    account: AccountId | None = None
    wanted: Money = Money(0)
    """The rights to take out of `account` that I would like to have from you."""
    since: HybridTime = HybridTime(0)
    """Since when I lack them: where we both do, the one who asked first comes first."""
    joining: Origin | None = None
    """Who I am, where I ask because my store is new: answered also by a branch whose own is new."""


@dataclass(frozen=True, slots=True)
class AskKey:
    """What became of this idempotency key? If nothing, never let it take effect at your branch: I will.

    Answered with an Answer that names the entry which decided or fenced it.
    """

    question: int
    key: Key


@dataclass(frozen=True, slots=True)
class Forward:
    """Carry this out for me: you alone decide it. It has a key, so it may be sent again.

    Answered with an Answer.
    """

    question: int
    customer: CustomerId
    command: Command
    key: Key
    token: Token
    wait_us: int
    """How long I wait for the answer."""
    freshness: Freshness = SESSION
    """How fresh its answer must be. It holds from when it arrives, which is later than it was asked."""


@dataclass(frozen=True, slots=True)
class AskCopy:
    """My store is new, and logs do not begin at 1: give me a part of a copy of yours."""

    copy: int
    """Which one: a number of mine; with a new one, and part 0, you begin anew."""
    part: int
    """From 0; the part that I had last is the one before it, or this one was lost."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A run of one origin's log, in order and without gaps."""

    origin: Origin
    entries: tuple[Entry, ...]
    is_awaited: bool = False
    """Whether a customer of the sender waits for other disks, so that they are acknowledged at once."""


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
    over: tuple[Origin, ...] = ()
    """To a branch whose store is new: the stores that were replaced by newer ones."""
    dropped: VersionVector = NOTHING
    """To a branch whose store is new, or that asked for them: the entries that are not kept any longer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an AskKey or a Forward."""

    question: int
    entry: EntryId | None
    """Once you have this entry, you know of the key what I know; None where nothing was decided."""
    outcome: Outcome = Outcome.OK
    """Where nothing was decided: why."""
    detail: str = ""
    branch: BranchId | None = None
    is_replayed: bool = False
    """Whether what was sent on had been decided before, for an earlier sending of the same."""


@dataclass(frozen=True, slots=True)
class CopyPart:
    """The answer to an AskCopy."""

    copy: int
    part: int
    portion: Portion | None
    """None where there is no such copy any more: ask for another one."""


ToPublisher = Subscribe | Unsubscribe | Acknowledge | AskHead | AskKey | Forward | AskCopy
"""What goes up a stream, from the subscriber to the publisher."""

ToSubscriber = Entries | Head | Answer | CopyPart
"""What comes down a stream."""

Message = ToPublisher | ToSubscriber


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
    over: tuple[Origin, ...] = ()
    """The stores, of whichever branch, that it knows to be replaced by newer ones."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Input: my stream to another branch is down."""

    branch: BranchId


@dataclass(frozen=True, slots=True)
class SubscriberHere:
    """Input: another branch's stream to me is up; what its greeting said."""

    origin: Origin
    over: tuple[Origin, ...] = ()
    """See Connected."""


@dataclass(frozen=True, slots=True)
class SubscriberGone:
    """Input: another branch's stream to me is down."""

    branch: BranchId
