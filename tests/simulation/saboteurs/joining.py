"""Saboteurs of lost disks: a branch with a new store serves too early, or an earlier life lives on."""

from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core.joining import Joining
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
