"""How fresh an answer is: the questions to other branches that are still open.

Decides which branches a BOUNDED or LATEST request has to hear from. Must not know what is done with the
answers. Proof: tests/core/test_freshness.py.

A branch notes on its own monotonic clock when it *asked*. The answer covers everything that was
acknowledged at the other branch before that moment, so no two clocks are ever compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bankbook.core.commands import Freshness, Level, RequestId
from bankbook.core.messages import AskHead, Head
from bankbook.core.peers import Peer
from bankbook.core.types import AccountId, BranchId
from bankbook.core.vector import NOTHING, VersionVector

# A heartbeat that was not answered while this many later ones were asked is given up. Its answer, should
# it come after all, would be older news than theirs.
_OPEN_HEARTBEATS_MAX = 8


@dataclass(slots=True, eq=False)
class Question:
    """One question to other branches."""

    account: AccountId | None
    asked_us: int
    request: RequestId | None
    """The request that needs the answer; None for a heartbeat."""
    unanswered: set[BranchId] = field(default_factory=set)


class Questions:
    """The questions that some branch has not answered yet."""

    def __init__(self, first: int) -> None:
        # A number that no earlier life of this process used: the late answer to a question from before
        # a crash must not pass for the answer to one asked after it.
        self.next = first
        self._open: dict[int, Question] = {}
        self._heartbeats: list[int] = []

    def ask(self, question: Question) -> AskHead:
        """Open a question; return the message that asks it, and whose number is the question's."""
        number = self.next
        self.next += 1
        self._open[number] = question
        if question.request is None:
            self._heartbeats.append(number)
            if len(self._heartbeats) > _OPEN_HEARTBEATS_MAX:
                self._open.pop(self._heartbeats.pop(0), None)
        return AskHead(number, question.account)

    def answer(self, sender: BranchId, head: Head) -> Question | None:
        """Note that `sender` answered; return the question, or None where it is not open."""
        question = self._open.get(head.question)
        if question is None or sender not in question.unanswered:
            return None
        question.unanswered.discard(sender)
        if not question.unanswered:
            del self._open[head.question]
        return question

    def forget(self, number: int) -> None:
        """Close the question of a request that has ended; one that is closed stays closed."""
        self._open.pop(number, None)

    def unanswered_by(self, branch: BranchId, asked_until_us: int) -> Iterator[AskHead]:
        """Yield anew what this branch was asked for a request, up to then, and has not answered."""
        for number, question in self._open.items():
            is_for_request = question.request is not None and question.asked_us <= asked_until_us
            if is_for_request and branch in question.unanswered:
                yield AskHead(number, question.account)


def branches_to_ask(freshness: Freshness, peers: Iterable[Peer], now_us: int) -> set[BranchId]:
    """Return the branches whose answer a request of this freshness needs, if it arrived now."""
    match freshness.level:
        case Level.LATEST:
            return {peer.branch for peer in peers}
        case Level.BOUNDED:
            return {peer.branch for peer in peers if not _is_fresh(peer, now_us - freshness.bound_us)}
        case _:
            return set()


def heads_known(freshness: Freshness, peers: Iterable[Peer], now_us: int) -> VersionVector:
    """Return the heads that a BOUNDED request must have, of the branches that need not be asked."""
    if freshness.level is not Level.BOUNDED:
        return NOTHING
    return VersionVector(
        (peer.origin, peer.head)
        for peer in peers
        if peer.origin is not None and _is_fresh(peer, now_us - freshness.bound_us)
    )


def _is_fresh(peer: Peer, since_us: int) -> bool:
    # Not at that moment itself: what was acknowledged in the same microsecond may have come after it.
    return peer.head_asked_us is not None and peer.head_asked_us > since_us
