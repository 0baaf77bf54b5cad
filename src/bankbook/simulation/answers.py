"""What one branch tells others of what they sent on to it: that nothing happened, or which entry it is.

Decides what it must not take back: who was told that nothing happened may have asked anew, with another key.
Must not know what was sent on, nor what customers are told of it (checks.py).
Proof: tests/simulation/test_answers.py.
"""

from bankbook.core.messages import Answer, Forward, Message
from bankbook.core.types import BranchId
from bankbook.simulation.promises import Promise, demand


class Answers:
    """Of one branch, as long as it remembers: until its process dies, or its disk fails."""

    def __init__(self, branch: BranchId) -> None:
        self._branch = branch
        self._told: dict[tuple[BranchId, int], Answer | None] = {}
        """The first answer to what was sent on: by whom, and under which number."""

    def on_delivered(self, sender: BranchId, message: Message) -> None:
        """Take note of what is sent on to this branch."""
        if isinstance(message, Forward):
            self._told.setdefault((sender, message.question), None)

    def on_sent(self, receiver: BranchId, message: Message) -> None:
        """Judge what this branch answers. Raises ViolationError."""
        if not isinstance(message, Answer) or (receiver, message.question) not in self._told:
            return
        first = self._told[receiver, message.question]
        if first is None:
            self._told[receiver, message.question] = message
            return
        words = f"branch {self._branch} told branch {receiver} {first}, and now {message}"
        demand(first.entry == message.entry, Promise.REFUSED_MEANS_NEVER, words)

    def forget(self) -> None:
        """Forget everything: its streams are closed, and nobody hears the same question again."""
        self._told.clear()
