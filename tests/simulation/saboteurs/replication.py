"""Saboteurs of replication: an entry is applied too early, twice, out of order, or never."""

from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import replication as replication_module
from bankbook.core.logs import Logs
from bankbook.core.messages import Acknowledge, Subscribe
from bankbook.core.questions import Questions
from bankbook.core.replica import Replica
from bankbook.core.replication import Inbox, Outbox, Progress
from bankbook.core.requests import Requests
from bankbook.core.types import Seq
from bankbook.core.vector import Gap, VersionVector

gang = Gang("replication")


@gang
def dependency_skipped(patch: pytest.MonkeyPatch) -> None:
    """An entry is applied as soon as its log allows it, whatever it depends on."""

    def advance(self: Any, origin: Any) -> None:
        while (entry := self._inbox.next(origin, self._context.applied)) is not None:
            self._inbox.remove(entry)
            for freed in self._apply(entry):
                self.advance(freed)

    patch.setattr(Logs, "advance", advance)


@gang
def any_instead_of_all(patch: pytest.MonkeyPatch) -> None:
    """Nothing is missing if any component of a vector is there."""

    def first_gap(self: Any, other: Any) -> Gap | None:
        gaps = list(self.behind(other))
        return gaps[0] if len(gaps) == len(other) and gaps else None

    patch.setattr(VersionVector, "first_gap", first_gap)


@gang
def only_the_first_component_is_compared(patch: pytest.MonkeyPatch) -> None:
    """The search for a gap ends at the first component, gap or not."""

    def first_gap(self: Any, other: Any) -> Gap | None:
        for origin, needs in other._seqs.items():
            return Gap(origin, self[origin], needs) if self[origin] < needs else None
        return None

    patch.setattr(VersionVector, "first_gap", first_gap)


@gang
def applied_again_after_reconnecting(patch: pytest.MonkeyPatch) -> None:
    """An entry that comes once more is applied once more."""

    def offer(self: Any, entry: Any, applied: Any) -> None:
        ahead = entry.seq - applied[entry.origin]
        if ahead >= 0:
            self._waiting.setdefault(entry.origin, {}).setdefault(entry.seq, entry)

    def following(self: Any, origin: Any, applied: Any) -> Any:
        waiting = self._waiting.get(origin, {})
        return waiting.get(applied[origin]) or waiting.get(applied[origin] + 1)

    def apply(self: Any, entry: Any) -> Any:
        if self._context.applied[entry.origin] == entry.seq:
            self._context.state.apply(entry)
            return []
        return once(self, entry)

    once = Logs._apply
    patch.setattr(Inbox, "offer", offer)
    patch.setattr(Inbox, "next", following)
    patch.setattr(Logs, "_apply", apply)


@gang
def gap_in_a_log_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """Whatever has arrived of a log is next, also where something before it was lost."""

    def following(self: Any, origin: Any, _applied: Any) -> Any:
        waiting = self._waiting.get(origin, {})
        return waiting[min(waiting)] if waiting else None

    patch.setattr(Inbox, "next", following)


@gang
def acknowledged_before_applied(patch: pytest.MonkeyPatch) -> None:
    """What has arrived is acknowledged, though it waits for what it depends on and is on no disk."""

    def acknowledge(self: Any) -> None:
        arrived = self._context.applied
        for origin, waiting in self._logs._inbox._waiting.items():
            arrived = arrived.raised(origin, max(waiting))
        if arrived.beyond(self._acknowledged):
            self._acknowledged = arrived
            for branch in sorted(set(self._subscriptions.sources().values())):
                self._context.send(branch, Acknowledge(self._context.origin, arrived))

    patch.setattr(Replica, "_acknowledge", acknowledge)


@gang
def subscribes_one_entry_too_far(patch: pytest.MonkeyPatch) -> None:
    """A log is asked for from one entry too far on, where there is any of it here."""

    def subscribe(origin: Any, after: Seq) -> Subscribe:
        return Subscribe(origin, Seq(after + 1) if after else after)

    patch.setattr(replication_module, "Subscribe", subscribe)


@gang
def second_subscription_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Who is subscribed to a log already is not sent again what was lost on the way."""

    def subscribe(self: Any, branch: Any, message: Any) -> None:
        progress = Progress(Seq(message.after + 1), message.after)
        self._subscribers.setdefault(branch, {}).setdefault(message.origin, progress)

    patch.setattr(Outbox, "subscribe", subscribe)


@gang
def nobody_relays_a_log(patch: pytest.MonkeyPatch) -> None:
    """A log is fetched from its own branch only, and not from whoever has it."""

    def plan(self: Any, reachable: Any, applied: Any, blocked: Any, over: Any, now_us: int) -> Any:
        origins = {peer.origin for peer in reachable}
        for branch, message in real(self, reachable, applied, blocked, over, now_us):
            if not isinstance(message, Subscribe) or message.origin in origins:
                yield branch, message

    real = replication_module.Subscriptions.plan
    patch.setattr(replication_module.Subscriptions, "plan", plan)


@gang
def doubled_answer_counts_for_another_branch(patch: pytest.MonkeyPatch) -> None:
    """Answers are counted, whoever they are from: one that comes twice stands for a branch that is silent."""

    def answer(self: Any, _sender: Any, answer: Any) -> Any:
        question = self._open.get(answer.question)
        if question is None:
            return None
        question.unanswered.pop()
        if not question.unanswered:
            del self._open[answer.question]
        return question

    def on_answer(self: Any, request: Any, sender: Any, answer: Any) -> None:
        held = self.holds.get(request)
        if held is not None and held.unanswered:
            held.unanswered.pop()
        real(self, request, sender, answer)

    real = Requests._on_answer
    patch.setattr(Questions, "answer", answer)
    patch.setattr(Requests, "_on_answer", on_answer)


@gang
def questions_are_asked_once(patch: pytest.MonkeyPatch) -> None:
    """What got no answer is not asked again, neither after a while nor on connecting."""
    patch.setattr(Questions, "unanswered_by", lambda _self, _branch, _until_us: iter(()))
