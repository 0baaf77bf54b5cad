"""What every part of the replica works with: one branch, in the present step.

Decides nothing. Proof: that of whatever uses it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bankbook.core.clock import HybridClock, Instant
from bankbook.core.commands import Reply
from bankbook.core.messages import Answer, Head, Message
from bankbook.core.peers import Peer, Peers
from bankbook.core.ports import Changes, Identity, Reader
from bankbook.core.questions import Question, Questions
from bankbook.core.rights import ByUse, Policy
from bankbook.core.state import State
from bankbook.core.types import BranchId

_DAY_US = 24 * 3600 * 1_000_000


class Settings(NamedTuple):
    """The bounds of one replica. Times are in microseconds."""

    hold_limit_us: int = 30_000_000
    """No request is held longer, whatever its deadline."""
    held_max: int = 100_000
    """About 260 MB of requests, and 2.7 GB with what gRPC keeps of each call (docs/growth.md); beyond it a
    request that would have to wait is refused."""
    heartbeat_us: int = 1_000_000
    """How often the others are asked for their head. BOUNDED requests ask on their own if need be."""
    silence_us: int = 3_500_000
    """A branch that said nothing for so long counts as unreachable: three heartbeats and some slack."""
    resend_us: int = 5_000_000
    """A log that should have moved and has not for so long is asked for again. Above any link's delay."""
    acknowledge_us: int = 0
    """What this branch has on its disk, nobody waiting for it, may be told so much later, all at once."""
    key_retention_us: int = 30 * _DAY_US
    """An idempotency key is remembered for so long."""
    log_retention_us: int | None = None
    """An entry that every branch has is kept for so long; at least as long as keys are. None: for ever."""
    policy: Policy = ByUse()
    """Where the rights to take money out should be."""


@dataclass(slots=True)
class Effects:
    """What the caller has to do; the order matters (see bankbook.core.replica)."""

    changes: Changes
    """To be durable before anything else happens."""
    replies: list[Reply] = field(default_factory=list)
    """To be released once `changes` are durable."""
    messages: list[tuple[BranchId, Message]] = field(default_factory=list)
    """To be sent once `changes` are durable; each may be lost."""
    wake_at_us: int = 0
    """When to call `step` again if nothing comes in before."""


class Context:
    """One branch, in the present step."""

    def __init__(
        self,
        identity: Identity,
        reader: Reader,
        settings: Settings,
        now: Instant,
        first_question: int,
        quiet_until_us: int,
    ) -> None:
        self.reader = reader
        self.origin = identity.origin
        self.branch = identity.origin.branch
        self.genesis = identity.genesis
        self.branches = identity.genesis.branches
        self.settings = settings
        self.now = now
        self.applied = reader.applied()
        """Everything this branch has. Only `logs` raises it."""
        self.clock = HybridClock(reader.clock())
        self.state = State(reader, identity.genesis)
        self.peers = Peers(branch for branch in self.branches if branch != self.branch)
        self.questions = Questions(first_question)
        self.effects = Effects(Changes())
        self.has_joined = reader.has_joined()
        """Whether this branch knows all that the others knew when its store was new; it serves only then."""
        self.is_retired = self.state.is_over(self.origin)
        """Whether a newer store has taken this one's place."""
        self._quiet_until_us = quiet_until_us

    @property
    def now_us(self) -> int:
        """This step's time, by the monotonic clock."""
        return self.now.monotonic_us

    @property
    def now_ms(self) -> int:
        """This step's time, in milliseconds since 1970, by this branch's own clock.

        Not by the hybrid one: another branch whose clock runs an hour ahead must not end reservations here.
        """
        return max(self.now.wall_us // 1000, 0)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing may be written that no customer asked for.

        The disk refused a commit a moment ago, or the store is new and not caught up, or out of use.
        """
        return self.was_refused or not self.has_joined or self.is_retired

    @property
    def is_alone(self) -> bool:
        """Whether the bank has no other branch."""
        return len(self.branches) == 1

    @property
    def was_refused(self) -> bool:
        """Whether the disk refused a commit a moment ago."""
        return self.now_us < self._quiet_until_us

    def awake_us(self, due_us: int) -> int:
        """Return when something that is due then can be written, where nobody asked for it."""
        return max(due_us, self._quiet_until_us, self.now_us + 1)

    def send(self, branch: BranchId, message: Message) -> None:
        """Have a message sent once this step is durable."""
        self.effects.messages.append((branch, message))

    def ask(
        self,
        branches: Iterable[BranchId],
        make: Callable[[int, BranchId], Message],
        on_answer: Callable[[BranchId, Head | Answer], None] | None,
        *,
        is_patient: bool = False,
    ) -> int:
        """Ask other branches, and again until each has answered; return the question's number.

        `make` is given the number and the branch, and makes the message. A patient question is not asked
        at once, but at each heartbeat.
        """
        number, asked = self.questions.next, set(branches)
        asked_us = self.now_us - self.settings.resend_us if is_patient else self.now_us
        question = Question(asked_us, asked, on_answer, lambda branch: make(number, branch))
        self.questions.ask(number, question)
        if is_patient:
            return number
        for branch in sorted(asked):
            self.send(branch, make(number, branch))
        return number

    def reachable(self) -> list[Peer]:
        """Return the branches that can be counted on to answer."""
        return self.peers.reachable(self.now_us, self.settings.silence_us)

    def others(self) -> Iterator[BranchId]:
        """Yield the other branches."""
        return (peer.branch for peer in self.peers)
