"""Saboteurs of idempotency keys: one request takes effect twice, or its end is never told."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import replica as replica_module
from bankbook.core import retention as retention_module
from bankbook.core.context import Settings
from bankbook.core.keys import answer_key as honest_answer
from bankbook.core.ledger import decider_of
from bankbook.core.messages import Answer
from bankbook.core.outcome import Outcome
from bankbook.core.requests import Requests
from bankbook.core.state import State
from bankbook.core.types import birth_branch

gang = Gang("keys")


@gang
def key_is_looked_up_on_arrival_only(patch: pytest.MonkeyPatch) -> None:
    """What happened to the key while the request was held is not seen."""

    def decided(self: Any, held: Any) -> bool:
        return not held.awaited and held.asked == 0 and was_decided(self, held)

    def waits(self: Any, held: Any) -> bool:
        if held.asked:
            held.had_key, held.owner = True, None
            return False
        return waits_for_key(self, held)

    was_decided, waits_for_key = Requests._was_decided, Requests._waits_for_key
    patch.setattr(Requests, "_was_decided", decided)
    patch.setattr(Requests, "_waits_for_key", waits)


@gang
def key_is_looked_up_after_the_hold_only(patch: pytest.MonkeyPatch) -> None:
    """Who asks what became of a request waits for the session's past first, perhaps in vain."""

    def decided(self: Any, held: Any) -> bool:
        return held.is_admitted and was_decided(self, held)

    def waits(self: Any, held: Any) -> bool:
        return real(self, held) or was_decided(self, held)

    def waits_for_key(self: Any, held: Any) -> bool:
        known = None if held.request.key is None else self._context.state.key(held.request.key)
        is_decided = known is not None and known.moved_to is None
        return False if is_decided else key(self, held)

    was_decided, real = Requests._was_decided, Requests._waits_for_freshness
    key = Requests._waits_for_key
    patch.setattr(Requests, "_was_decided", decided)
    patch.setattr(Requests, "_waits_for_freshness", waits)
    patch.setattr(Requests, "_waits_for_key", waits_for_key)


@gang
def key_that_was_given_away_is_decided_here(patch: pytest.MonkeyPatch) -> None:
    """The branch where a key was born decides it, also after it has given it to another."""

    def waits(self: Any, held: Any) -> bool:
        key = held.request.key
        if key is not None and birth_branch(key, self._context.branches) == self._context.branch:
            decider = decider_of(held.request.command, self._context.branches)
            if decider in (None, self._context.branch):
                held.had_key, held.owner = True, None
                return False
        return real(self, held)

    real = Requests._waits_for_key
    patch.setattr(Requests, "_waits_for_key", waits)


@gang
def fence_does_not_stop_what_is_under_way(patch: pytest.MonkeyPatch) -> None:
    """A key is given away while its request is held here, and the request goes on."""

    def waits(self: Any, held: Any) -> bool:
        return not held.had_key and real(self, held)

    real = Requests._waits_for_key
    patch.setattr(Requests, "_waits_for_key", waits)


@gang
def fence_is_not_logged(patch: pytest.MonkeyPatch) -> None:
    """That a key was given away is kept in memory: after a crash two branches have it."""

    def answer_key(context: Any, logs: Any, sender: Any, ask: Any) -> None:
        owner = birth_branch(ask.key, context.branches)
        if context.state.key(ask.key) is not None or owner != context.branch:
            real(context, logs, sender, ask)
            return
        given(context)[ask.key] = sender
        context.send(sender, Answer(ask.question, None))

    def given(context: Any) -> Any:
        return context.__dict__.setdefault("given", {})

    def on_answer(self: Any, request: Any, sender: Any, answer: Any) -> None:
        held = self.holds.get(request)
        if (
            held is not None
            and isinstance(answer, Answer)
            and answer.entry is None
            and answer.outcome is Outcome.OK
        ):
            given(self._context)[held.request.key] = self._context.branch
            held.unanswered.discard(sender)
            self.proceed(held)
            return
        told(self, request, sender, answer)

    def waits(self: Any, held: Any) -> bool:
        key = held.request.key
        owner = given(self._context).get(key)
        if key is None or owner is None or self._context.state.key(key) is not None:
            return waits_for_key(self, held)
        if owner == self._context.branch:
            held.had_key, held.owner = True, None
            return False
        self._ask_owner(held, owner, key)
        return True

    real, told, waits_for_key = honest_answer, Requests._on_answer, Requests._waits_for_key
    patch.setattr(replica_module, "answer_key", answer_key)
    patch.setattr(Requests, "_on_answer", on_answer)
    patch.setattr(Requests, "_waits_for_key", waits)


@gang
def any_answer_about_a_key_is_a_yes(patch: pytest.MonkeyPatch) -> None:
    """Who asked for a key decides as soon as it is answered, without waiting for the entry that is named."""

    def on_answer(self: Any, request: Any, sender: Any, answer: Any) -> None:
        held = self.holds.get(request)
        is_about_key = isinstance(answer, Answer) and held is not None and not held.is_forwarded
        if is_about_key and held is not None and answer.entry is not None:
            held.unanswered.discard(sender)
            held.had_key, held.owner = True, None
            if not self._waits_for_freshness(held):
                self._carry_out(held)
            return
        real(self, request, sender, answer)

    real = Requests._on_answer
    patch.setattr(Requests, "_on_answer", on_answer)


@gang
def key_stays_where_it_was_decided(patch: pytest.MonkeyPatch) -> None:
    """Only the branch that decided a request notes its key; the others apply the entry without it."""

    def apply(self: Any, entry: Any) -> None:
        is_foreign = entry.origin != self._reader.identity.origin
        if is_foreign and entry.keyed is not None and entry.records[0].fence is None:
            real(self, replace(entry, keyed=None))
            self._changes.entries[-1] = entry
        else:
            real(self, entry)

    real = State.apply
    patch.setattr(State, "apply", apply)


@gang
def keys_are_forgotten_too_early(patch: pytest.MonkeyPatch) -> None:
    """Keys are kept for three seconds instead of thirty days: somebody took the units for another."""
    patch.setattr(retention_module, "_IDLE_EVERY_US", 0)
    patch.setattr(replica_module, "Settings", Settings)
    begin = replica_module.Replica.__init__

    def init(self: Any, identity: Any, reader: Any, settings: Any, *args: Any, **named: Any) -> None:
        begin(self, identity, reader, settings._replace(key_retention_us=3_000_000), *args, **named)

    patch.setattr(replica_module.Replica, "__init__", init)


@gang
def forwarded_request_goes_without_its_key(patch: pytest.MonkeyPatch) -> None:
    """What is sent on to the branch that decides it is carried out each time it arrives."""

    def on_forward(self: Any, sender: Any, forward: Any) -> None:
        source = (sender, forward.question)
        if self._forwards.get(source) is None:
            self._forwards.pop(source, None)
        real(self, sender, replace(forward, key=None))

    real = Requests.on_forward
    patch.setattr(Requests, "on_forward", on_forward)


@gang
def what_was_sent_on_is_never_told_again(patch: pytest.MonkeyPatch) -> None:
    """What another branch decided is told as new, though it was decided for an earlier sending."""

    def forward(self: Any, held: Any, decider: Any) -> None:
        real(self, held, decider)
        held.is_decided_for_it = True

    real = Requests._forward
    patch.setattr(Requests, "_forward", forward)


@gang
def replayed_refusal_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    """A key that was refused is free again: who asks a second time may be told another end."""

    def key(self: Any, key: Any) -> Any:
        known = real(self, key)
        if known is not None and known.moved_to is None and not self.entry(known.entry).moves_money:
            return None
        return known

    real = State.key
    patch.setattr(State, "key", key)


@gang
def overdue_request_is_sent_on_with_less_than_no_time(patch: pytest.MonkeyPatch) -> None:
    """How long an answer is awaited is not bounded below, as once it was not: no message can say it."""

    def forward(self: Any, held: Any, decider: Any) -> None:
        real(self, held, decider)
        question = None if held.question is None else self._context.questions._open.get(held.question)
        wait_us = held.deadline_us - self._context.now_us
        if question is None or wait_us >= 0:
            return
        message = replace(question.make(decider), wait_us=wait_us)
        question.make = lambda _: message
        sent = self._context.effects.messages
        sent[-1] = (decider, message)

    real = Requests._forward
    patch.setattr(Requests, "_forward", forward)


@gang
def decider_forgets_what_was_sent_on_to_it(patch: pytest.MonkeyPatch) -> None:
    """A request that another branch sends on, and sends again, is carried out again after it was refused."""

    def on_forward(self: Any, sender: Any, forward: Any) -> None:
        if self._forwards.get((sender, forward.question)) is not None:
            del self._forwards[sender, forward.question]
        real(self, sender, forward)

    real = Requests.on_forward
    patch.setattr(Requests, "on_forward", on_forward)
