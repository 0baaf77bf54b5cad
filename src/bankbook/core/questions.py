"""The questions to other branches that are still open.

Decides what is asked again, and whether an answer is one. Must not know what is done with the answers.
Proof: tests/core/test_questions.py.

A branch notes on its own monotonic clock when it *asked*. The answer covers everything that was
acknowledged at the other branch before that moment, so no two clocks are ever compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bankbook.core.messages import Answer, Head, Message
from bankbook.core.types import BranchId

# A heartbeat that was not answered while this many later ones were asked is given up. Its answer, should
# it come after all, would be older news than theirs.
_OPEN_HEARTBEATS_MAX = 8


@dataclass(slots=True, eq=False)
class Question:
    """One question to other branches."""

    asked_us: int
    unanswered: set[BranchId]
    on_answer: Callable[[BranchId, Head | Answer], None] | None
    """Who is told; None for a heartbeat, which is not asked again."""
    make: Callable[[BranchId], Message]
    """Makes the message that asks a branch."""


class Questions:
    """The questions that some branch has not answered yet."""

    def __init__(self, first: int) -> None:
        # A number that no earlier life of this process used: the late answer to a question from before
        # a crash must not pass for the answer to one asked after it.
        self.next = first
        self._open: dict[int, Question] = {}
        self._heartbeats: list[int] = []

    def ask(self, number: int, question: Question) -> None:
        """Open a question under the next number."""
        assert number == self.next, "questions are numbered without gaps"
        self.next += 1
        if question.unanswered:
            self._open[number] = question
        if question.on_answer is None:
            self._heartbeats.append(number)
            if len(self._heartbeats) > _OPEN_HEARTBEATS_MAX:
                self._open.pop(self._heartbeats.pop(0), None)

    def take_number(self) -> int:
        """Return a number that no question has or will have."""
        self.next += 1
        return self.next - 1

    def answer(self, sender: BranchId, answer: Head | Answer) -> Question | None:
        """Note that `sender` answered; return the question, or None where it is not open."""
        question = self._open.get(answer.question)
        if question is None or sender not in question.unanswered:
            return None
        question.unanswered.discard(sender)
        if not question.unanswered:
            del self._open[answer.question]
        return question

    def forget(self, number: int | None) -> None:
        """Close a question that nobody needs answered any more; one that is closed stays closed."""
        if number is not None:
            self._open.pop(number, None)

    def unanswered_by(self, branch: BranchId, asked_until_us: int) -> Iterator[Message]:
        """Yield anew what this branch was asked, up to then, and has not answered."""
        for question in self._open.values():
            is_asked_again = question.on_answer is not None and question.asked_us <= asked_until_us
            if is_asked_again and branch in question.unanswered:
                yield question.make(branch)
