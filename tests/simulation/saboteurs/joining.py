"""Saboteurs of lost disks: a branch with a new store serves too early, or an earlier life lives on."""

from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core.joining import Joining
from bankbook.core.keys import answer_key
from bankbook.core.logs import Logs
from bankbook.core.messages import AskHead
from bankbook.core.replica import Replica
from bankbook.core.requests import Requests
from bankbook.core.vector import NOTHING
from bankbook.simulation.branch import SimulatedBranch

gang = Gang("joining")


@gang
def incarnation_is_reused(patch: pytest.MonkeyPatch) -> None:
    """A lost disk begins with its old log's name."""

    def again(self: Any) -> None:
        before = getattr(self, "disk", None)
        create(self)
        if before is not None:
            self.disk._identity = before.identity

    create = SimulatedBranch.create_disk
    patch.setattr(SimulatedBranch, "create_disk", again)


@gang
def joins_without_asking_everybody(patch: pytest.MonkeyPatch) -> None:
    """The first answer is enough to serve."""

    def on_answer(self: Any, sender: Any, answer: Any) -> None:
        self.unanswered.clear()
        real(self, sender, answer)

    real = Joining._on_answer
    patch.setattr(Joining, "_on_answer", on_answer)


@gang
def joins_before_it_has_fetched_anything(patch: pytest.MonkeyPatch) -> None:
    """What the others have is asked for, and not waited for."""

    def on_answer(self: Any, sender: Any, _answer: Any) -> None:
        self.unanswered.discard(sender)
        self._answers[sender] = NOTHING
        self.wake(None)

    patch.setattr(Joining, "_on_answer", on_answer)


@gang
def serves_before_it_has_joined(patch: pytest.MonkeyPatch) -> None:
    """Customers' requests do not wait for what the others know."""
    patch.setattr(Requests, "_waits_for_joining", lambda _self, _held: False)


@gang
def heads_are_told_before_it_has_joined(patch: pytest.MonkeyPatch) -> None:
    """A new store says for all to hear that it has written nothing, while its former log is not here yet."""

    def on_ask_head(self: Any, sender: Any, message: AskHead) -> None:
        if message.joining is None:
            self._gatherings.answer_ask(sender, message)
        else:
            real(self, sender, message)

    real = Replica._on_ask_head
    patch.setattr(Replica, "_on_ask_head", on_ask_head)


@gang
def keys_are_given_away_before_it_has_joined(patch: pytest.MonkeyPatch) -> None:
    """A new store knows no key, and gives away those that its former life has decided."""

    def on_ask_key(self: Any, sender: Any, message: Any) -> None:
        answer_key(self._context, self._logs, sender, message)

    patch.setattr(Replica, "_on_ask_key", on_ask_key)


@gang
def end_of_a_former_life_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """Nobody learns that what a token names is lost."""

    def write(self: Any, records: Any, customer: Any = None, keyed: Any = None) -> Any:
        if any(record.ended for record in records):
            return None
        return real(self, records, customer, keyed)

    real = Logs.write
    patch.setattr(Logs, "write", write)


@gang
def inbox_is_kept_over_a_rejoin(patch: pytest.MonkeyPatch) -> None:
    """What a former life had under way is applied after the new one has asked what there is of it."""
    patch.setattr(Logs, "forget_lives_before", lambda _self, _present: None)
