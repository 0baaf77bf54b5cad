"""A branch whose store is new: it serves once it knows all that the others know.

Decides when that is, and where the logs of its earlier lives end. Must not know what is served.
Proof: tests/core/test_joining.py.

A new store may be that of a new bank, or follow one that was lost; nobody can tell without asking. So the
branch asks every other one what it has, and fetches that, its own earlier logs included. Whoever has
answered has noted this life, and takes nothing any more that an earlier one may still have had under way;
so what all have together is all there will ever be of the earlier logs. Where logs no longer begin at 1, it
takes a copy of another store first (copying). The first entry of the new log says where the earlier ones end.
From then on this life owns their rights, reservations and keys; a token that names more of
them names what is lost.
"""

from collections.abc import Callable

from bankbook.core.context import Context
from bankbook.core.copying import Taker
from bankbook.core.entry import Record, RecordKind
from bankbook.core.logs import Logs
from bankbook.core.messages import Answer, AskHead, Head
from bankbook.core.types import BranchId
from bankbook.core.vector import VersionVector  # noqa: TC001  (as every module imports it)


class Joining:
    """The way of one branch into its bank; over at once where its store is not new."""

    def __init__(self, context: Context, logs: Logs, on_joined: Callable[[], None]) -> None:
        self._context = context
        self._logs = logs
        self._on_joined = on_joined
        self._answers: dict[BranchId, VersionVector] = {}
        """What each of the others has."""
        self._is_doubtful = False
        """Whether some had answered before a life of another branch was heard of for the first time."""
        self.unanswered: set[BranchId] = set()
        """Who has not said yet what it has."""
        self.taker = Taker(context, lambda: self.wake(None))

    @property
    def may_read_logs(self) -> bool:
        """Whether entries of other branches may be taken."""
        return not self.unanswered and not self.taker.is_active

    @property
    def is_put_off(self) -> bool:
        """Whether to begin later.

        A branch that is alone has joined as soon as it has written so. Where the disk refused that a moment
        ago, it would be tried again in every step, as fast as steps go.
        """
        return self._context.was_refused and self._context.is_alone

    def begin(self) -> None:
        """Ask everybody, where that is needed."""
        if self._context.has_joined:
            return
        self.unanswered = set(self._context.others())
        if self.unanswered:
            self._ask(self.unanswered)
        self.wake(None)

    def on_new_life(self, branch: BranchId) -> None:
        """Ask a branch again whose own store is new: what it had before may be nowhere any more.

        Or at a third branch, which had answered before it got that: so in the end all are asked once more.
        """
        if self._context.has_joined:
            return
        self._is_doubtful |= bool(self._answers)
        if self._answers.pop(branch, None) is not None:
            self.unanswered.add(branch)
            self._ask({branch})
            self.taker.abandon()

    def disturb(self) -> None:
        """Begin anew with a copy that is not whole.

        What this branch tells one that joins does not count what a copy would bring, and what comes to light
        later would be spent twice. So none is taken that was asked for before.
        """
        if self.taker.is_active:
            self.taker.abandon()
            self.wake(None)

    def _ask(self, branches: set[BranchId]) -> None:
        own = self._context.origin
        self._context.ask(branches, lambda number, _: AskHead(number, joining=own), self._on_answer)

    def is_waiting(self, _: None) -> bool:
        """Whether this branch is still on its way."""
        return not self._context.has_joined

    def wake(self, _: None) -> None:
        """Look whether everything has arrived."""
        context = self._context
        if context.has_joined or not self.may_read_logs:
            return
        if not context.applied and any(peer.dropped for peer in context.peers):
            self.taker.begin()
            return
        gaps = (context.applied.first_gap(has) for has in self._answers.values())
        gap = next((gap for gap in gaps if gap is not None), None)
        if gap is not None:
            self._logs.watch(gap, None)
            return
        if self._is_doubtful:
            self._is_doubtful = False
            self._answers.clear()
            self.begin()
            return
        context.has_joined = True
        context.state.join()
        # What waits for what nobody has was not saved: applied later, it would be beyond the logs' end.
        self._logs.forget_lives_before(context.origin)
        ended = tuple(life for life in self._logs.lives_of(context.branch) if life.origin != context.origin)
        if ended:
            self._logs.write((Record(RecordKind.REJOINING, ended=ended),))
        self._on_joined()

    def _on_answer(self, sender: BranchId, answer: Head | Answer) -> None:
        assert isinstance(answer, Head), "a question for a head is answered with one"
        self.unanswered.discard(sender)
        self._answers[sender] = answer.applied.raised(answer.origin, answer.head)
        self.wake(None)
