"""Saboteurs of reservations: what was set aside is paid twice, freed too early, or never."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import requests as requests_module
from bankbook.core.commands import Capture, OpenAccount, Release
from bankbook.core.context import Context
from bankbook.core.expiry import Expiry
from bankbook.core.ledger import Teller, decider_of
from bankbook.core.ports import ReservationState
from bankbook.store.memory import MemoryStore

gang = Gang("reservations and expiry")


@gang
def captured_twice(patch: pytest.MonkeyPatch) -> None:
    """Whether a reservation has ended is not looked at."""

    def reservation(self: Any, name: Any) -> Any:
        record = real(self, name)
        if record is None or record.left:
            return record
        return record._replace(left=record.terms.amount, state=ReservationState.OPEN)

    real = MemoryStore.reservation
    patch.setattr(MemoryStore, "reservation", reservation)


@gang
def more_is_captured_than_is_left(patch: pytest.MonkeyPatch) -> None:
    """What a capture asks for is compared with what was set aside at first."""

    def why_not(self: Any, command: Any, record: Any) -> Any:
        if record is not None and record.state is ReservationState.OPEN:
            record = record._replace(left=record.terms.amount)
        return real(self, command, record)

    real = Teller._why_not_settled
    patch.setattr(Teller, "_why_not_settled", why_not)


@gang
def release_of_a_part_gives_back_everything(patch: pytest.MonkeyPatch) -> None:
    """How much is to be released is not looked at."""

    def decide(self: Any, command: Any) -> Any:
        return real(self, replace(command, amount=None))

    real = Teller._decide_release
    patch.setattr(Teller, "_decide_release", decide)


@gang
def rest_of_a_final_capture_stays_set_aside(patch: pytest.MonkeyPatch) -> None:
    """A final capture of a part frees nothing of the rest."""

    def decide(self: Any, command: Any) -> Any:
        return real(self, replace(command, is_final=command.is_final and command.amount is None))

    real = Teller._decide_capture
    patch.setattr(Teller, "_decide_capture", decide)


@gang
def capture_pays_nobody(patch: pytest.MonkeyPatch) -> None:
    """What was set aside for another account leaves the bank when it is captured."""

    def decide(self: Any, command: Any) -> Any:
        decision = real(self, command)
        records = tuple(replace(each, postings=each.postings[:1]) for each in decision.records)
        return decision._replace(records=records)

    real = Teller._decide_capture
    patch.setattr(Teller, "_decide_capture", decide)


@gang
def any_branch_captures(patch: pytest.MonkeyPatch) -> None:
    """A reservation is settled at whichever branch is asked."""

    def here(command: Any, branches: Any) -> Any:
        return None if isinstance(command, Capture | Release) else decider_of(command, branches)

    patch.setattr(requests_module, "decider_of", here)


@gang
def expires_at_every_branch(patch: pytest.MonkeyPatch) -> None:
    """Each branch ends what is overdue, whoever has set it aside."""

    def expiring(self: Any, _branch: Any, limit: int) -> Any:
        return sorted(each for some in self._expiring.values() for each in some)[:limit]

    def on_applied(self: Any, entry: Any) -> None:
        for record in entry.records:
            if record.reservation is not None and record.reservation.expires_ms is not None:
                due_ms = record.reservation.expires_ms
                self._next_ms = due_ms if self._next_ms is None else min(self._next_ms, due_ms)

    patch.setattr(MemoryStore, "expiring", expiring)
    patch.setattr(Expiry, "on_applied", on_applied)


@gang
def expires_a_second_early(patch: pytest.MonkeyPatch) -> None:
    """A reservation's end is rounded to whole seconds, downwards."""

    def expiring(self: Any, branch: Any, limit: int) -> Any:
        return [(expires_ms - 1000, name) for expires_ms, name in real(self, branch, limit)]

    real = MemoryStore.expiring
    patch.setattr(MemoryStore, "expiring", expiring)


@gang
def expires_by_the_hybrid_clock(patch: pytest.MonkeyPatch) -> None:
    """What ends a reservation is a clock that runs ahead with the fastest of all branches."""
    patch.setattr(Context, "now_ms", property(lambda self: self.clock.last >> 16))


@gang
def never_expires_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    """When the next reservation ends is kept in memory, and not found out after a crash."""

    def init(self: Any, context: Any, logs: Any) -> None:
        real(self, context, logs)
        self._next_ms = None

    real = Expiry.__init__
    patch.setattr(Expiry, "__init__", init)


@gang
def captured_after_its_end(patch: pytest.MonkeyPatch) -> None:
    """A reservation that is overdue can be captured as long as nobody has ended it."""
    patch.setattr(Teller, "_is_due", lambda _self, _record: False)


@gang
def account_is_opened_where_it_is_asked_for(patch: pytest.MonkeyPatch) -> None:
    """Two branches may open the same account."""

    def here(command: Any, branches: Any) -> Any:
        return None if isinstance(command, OpenAccount) else decider_of(command, branches)

    patch.setattr(requests_module, "decider_of", here)
