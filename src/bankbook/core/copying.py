"""Copies of a store: given to a branch whose store is new where logs do not begin at 1.

Decides who is asked for one, for which part of it, and when it is begun anew. Must not know what is in it,
nor when one is needed (joining). Proof: tests/core/test_copying.py; why it is enough:
docs/decisions/0015-a-log-need-not-begin-at-1.md.

One part is under way at a time; any message may be lost, doubled or late. What was taken counts only once the
last part is on the disk: all of it at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bankbook.core.context import Context
from bankbook.core.messages import AskCopy, CopyPart
from bankbook.core.ports import Copy
from bankbook.core.types import BranchId

# Of the time after which a question is asked again: who did not ask for the next part for so long is gone.
_GIVEN_UP_AFTER = 4


@dataclass(slots=True)
class _Given:
    """The copy that is being given."""

    to: BranchId
    copy: Copy
    last: CopyPart
    """What was sent last."""
    asked_us: int


class Giver:
    """What this branch gives: to one branch at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._given: _Given | None = None

    def on_ask(self, sender: BranchId, ask: AskCopy) -> None:
        """Give the part that is asked for: the first of a new copy, the next, or the last one once more."""
        context, given = self._context, self._given
        if not context.has_joined or context.is_retired:
            return  # it asks another one in the end
        if given is not None and (given.to, given.last.copy) == (sender, ask.copy):
            self._go_on(given, ask)
        elif ask.part > 0:
            context.send(sender, CopyPart(ask.copy, ask.part, None))
        elif given is None or given.to == sender:
            self._begin(sender, ask)

    def _begin(self, sender: BranchId, ask: AskCopy) -> None:
        self._end()
        copy = self._context.reader.copy()
        self._given = _Given(sender, copy, CopyPart(ask.copy, 0, copy.next()), self._context.now_us)
        self._context.send(sender, self._given.last)

    def _go_on(self, given: _Given, ask: AskCopy) -> None:
        given.asked_us = self._context.now_us
        last = given.last
        if ask.part == last.part + 1 and last.portion is not None and last.portion.end is None:
            given.last = last = CopyPart(ask.copy, ask.part, given.copy.next())
        if ask.part == last.part:
            self._context.send(given.to, last)

    def at_heartbeat(self) -> None:
        """Keep nothing for whoever does not ask any more."""
        given, kept_us = self._given, _GIVEN_UP_AFTER * self._context.settings.resend_us
        if given is not None and self._context.now_us - given.asked_us > kept_us:
            self._end()

    def forget_subscriber(self, branch: BranchId) -> None:
        """Keep nothing for a branch whose stream is gone."""
        if self._given is not None and self._given.to == branch:
            self._end()

    def _end(self) -> None:
        if self._given is not None:
            self._given.copy.close()
            self._given = None


class Taker:
    """What a new store takes."""

    def __init__(self, context: Context, on_taken: Callable[[], None]) -> None:
        """`on_taken` is called in the step after that in which the store has got all of it."""
        self._context = context
        self._on_taken = on_taken
        self.is_active = False
        """Whether no log is to be read: a copy is being taken, or waits for somebody who gives one."""
        self.source: BranchId | None = None
        self._number = 0
        self._part = 0
        """The part that is awaited."""
        self._asked_us = 0
        self._is_void = False
        """Whether who was asked has no such copy."""
        self._is_whole = False
        """Whether the last step took the last part."""

    def begin(self) -> None:
        """Begin a copy, from whoever comes behind the branch that was asked last."""
        context = self._context
        self.is_active = True
        branches = sorted(peer.branch for peer in context.reachable())
        behind = [branch for branch in branches if self.source is not None and branch > self.source]
        self.source = next(iter(behind or branches), None)
        self._number, self._part, self._is_void = context.questions.take_number(), 0, False
        self._ask()

    def _ask(self) -> None:
        self._asked_us = self._context.now_us
        if self.source is not None:
            self._context.send(self.source, AskCopy(self._number, self._part))

    def abandon(self) -> None:
        """Take no more of the present copy, nor what this step has taken."""
        if self.is_active:
            self._context.state.leave_portion()
            self.is_active = self._is_whole = False

    def on_part(self, sender: BranchId, message: CopyPart) -> None:
        """Take the part that is awaited, and ask for the next one."""
        is_awaited = (sender, message.copy, message.part) == (self.source, self._number, self._part)
        if not self.is_active or not is_awaited or self._is_whole:
            return
        if message.portion is None:
            # Begun anew with the next heartbeat: whose disk is full says so each time, and at once.
            self._is_void = True
            return
        self._context.state.take_portion(message.portion, is_first=self._part == 0)
        self._part += 1
        self._is_whole = message.portion.end is not None
        if not self._is_whole:
            self._ask()

    def at_heartbeat(self) -> None:
        """Ask again; where that does not help, ask somebody else."""
        if not self.is_active or self._is_whole:
            return
        silent_us = self._context.now_us - self._asked_us
        is_there = self.source in {peer.branch for peer in self._context.reachable()}
        if not is_there or self._is_void or silent_us > _GIVEN_UP_AFTER * self._context.settings.resend_us:
            self.begin()
        elif self.source is not None and silent_us > self._context.settings.resend_us:
            self._context.send(self.source, AskCopy(self._number, self._part))

    def begin_step(self) -> bool:
        """Go on with what the store has got; return whether it got all of a copy."""
        if not self._is_whole:
            return False
        self.is_active = self._is_whole = False
        self._context.applied = self._context.reader.applied()
        self._context.clock.observe(self._context.reader.clock())
        self._on_taken()
        return True

    def next_wake_us(self) -> int | None:
        """Return when the next step is due; None where nothing is."""
        return self._context.now_us + 1 if self._is_whole else None
