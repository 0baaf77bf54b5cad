"""Reservations that nobody captured or released in time.

Decides when this branch frees what it had set aside. Only the branch that made a reservation does, by its own
clock, in its own log. Must not know what a reservation is for. Proof: tests/core/test_reservations.py.
"""

from bankbook.core.context import Context
from bankbook.core.entry import Entry
from bankbook.core.ledger import expiry_of
from bankbook.core.logs import Logs

# Of one entry: about 100 kB. What is due beyond it comes in the next step.
_EXPIRED_MAX = 1000


class Expiry:
    """The clockwork of one branch's reservations."""

    def __init__(self, context: Context, logs: Logs) -> None:
        self._context = context
        self._logs = logs
        self._next_ms: int | None = 0
        """When the store is to be looked through next; None where nothing expires."""

    def on_applied(self, entry: Entry) -> None:
        """Take note of a reservation that this branch made."""
        if entry.origin != self._context.origin:
            return
        for record in entry.others:
            if record.reservation is not None and record.reservation.expires_ms is not None:
                due_ms = record.reservation.expires_ms
                self._next_ms = due_ms if self._next_ms is None else min(self._next_ms, due_ms)

    def begin_step(self) -> None:
        """Free what is due. To be called before anything else of a step: it reads the store."""
        context = self._context
        if self._next_ms is None or self._next_ms > context.now_ms or context.is_quiet:
            return
        expiring = context.reader.expiring(context.branch, _EXPIRED_MAX)
        due = [reservation for expires_ms, reservation in expiring if expires_ms <= context.now_ms]
        self._next_ms = next((when for when, _ in expiring if when > context.now_ms), None)
        if len(due) == _EXPIRED_MAX:
            self._next_ms = 0
        found = [(reservation, context.state.reservation(reservation)) for reservation in due]
        records = tuple(expiry_of(name, record) for name, record in found if record is not None)
        if records:
            self._logs.write(records)

    def next_wake_us(self) -> int | None:
        """Return when something may be due; None where nothing will be."""
        if self._next_ms is None or not self._context.has_joined or self._context.is_retired:
            return None
        return self._context.awake_us(self._context.now_us + 1000 * (self._next_ms - self._context.now_ms))
