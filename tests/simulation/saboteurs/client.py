"""Saboteurs of the client library: a retry does twice what was to be done once, or tells a lie about it."""

from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.client.retries import Plan
from bankbook.client.sending import Sender
from bankbook.client.token import SessionToken
from bankbook.core.outcome import Outcome
from bankbook.simulation import calls as calls_module
from bankbook.wire.status import Failure

gang = Gang("client's retries")


@gang
def doubtful_write_is_sent_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    """Each attempt at a write without a key has a key of its own, also after an answer was lost."""

    def pause_after(self: Any, missed: Any, now: float) -> Any:
        pause_s = real(self, missed, now)
        if pause_s is not None and self._makes_keys:
            self.key = self._new_key()
        return pause_s

    real = Plan.pause_after
    patch.setattr(Plan, "pause_after", pause_after)


@gang
def lost_answer_is_told_as_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """No answer is taken for nothing having happened."""

    def no_answer(_command: Any, branch: int, detail: str) -> Failure:
        return Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch)

    patch.setattr(calls_module, "no_answer", no_answer)


@gang
def doubt_is_forgotten_with_the_next_attempt(patch: pytest.MonkeyPatch) -> None:
    """What the last attempt was told is told, though the answer to an earlier one was lost."""
    patch.setattr(Plan, "verdict", lambda _self, failure: failure)


@gang
def session_learns_from_answers_only_at_its_own_branch(patch: pytest.MonkeyPatch) -> None:
    """A token that comes from another branch than the usual one is not kept."""

    async def attempt(self: Any, command: Any, manner: Any, plan: Any) -> Any:
        before = self.token
        answer = await real(self, command, manner, plan)
        if plan.branch != self.calls.branches[0]:
            self.token = before
        return answer

    real = Sender._attempt
    patch.setattr(Sender, "_attempt", attempt)


@gang
def token_is_sent_in_part(patch: pytest.MonkeyPatch) -> None:
    """Of a token of several parts, the first one is sent."""
    patch.setattr(SessionToken, "__bytes__", lambda self: min(self.parts, default=b""))
