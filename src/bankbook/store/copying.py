"""A store as it was at one moment, in portions.

Decides how it is divided, and in which order it goes. Must not know how a store keeps rows, nor who takes a
copy. Proof: tests/store/test_copying.py.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from bankbook.core.ports import CopyEnd, Portion, Reader, ReservationRecord, Row
from bankbook.core.types import AccountId, ReservationId
from bankbook.store.history import history, next_batch

# Some hundred kilobytes, read and written in some milliseconds.
ROWS_MAX = 512

_BEFORE_ALL = ""


class Frozen(Protocol):
    """Accounts and reservations that do not change."""

    def accounts_after(self, account: AccountId, limit: int) -> Mapping[AccountId, Row]:
        """Return at most `limit` accounts behind one, in order."""
        ...

    def reservations_after(
        self, reservation: ReservationId, limit: int
    ) -> Mapping[ReservationId, ReservationRecord]:
        """Return at most `limit` reservations behind one, in order."""
        ...


class StoreCopy:
    """See bankbook.core.ports.Copy."""

    def __init__(
        self,
        reader: Reader,
        frozen: Frozen,
        is_void: Callable[[], bool],
        release: Callable[[], None],
        rows_max: int | None = None,
    ) -> None:
        """`frozen` is as `reader` is at this moment, until `is_void`; `rows_max`: in one portion."""
        self._reader, self._end = reader, _end_of(reader)
        self._rows, self._rest = _rows(frozen, rows_max or ROWS_MAX), _rest(reader, self._end)
        self._has_rows = False
        """Whether all rows were read: entries do not change."""
        self._is_void = is_void
        self._release = release

    def next(self) -> Portion | None:
        """Return the next portion; None where the store can no longer say how it was."""
        if self._reader.dropped() != self._end.dropped:
            return None  # who was given it has it, or another one: its entries are no longer there
        if not self._has_rows:
            portion = None if self._is_void() else next(self._rows, Portion())
            if portion is None or portion != Portion():
                return portion
            self._has_rows = True
            self._release()
        return next(self._rest)

    def close(self) -> None:
        """Let the store go on as it likes."""
        self._release()


class VoidCopy:
    """A copy that a store could not begin. See bankbook.core.ports.Copy."""

    def next(self) -> None:
        """Say that the store cannot say how it was."""

    def close(self) -> None:
        """Do nothing."""


def _end_of(reader: Reader) -> CopyEnd:
    return CopyEnd(
        reader.applied(), reader.dropped(), dict(reader.ended()), reader.stated_from(), reader.clock()
    )


def _rows(frozen: Frozen, rows_max: int) -> Iterator[Portion]:
    """Yield these first: what is posted, or set aside, names accounts that are there."""
    account = AccountId(_BEFORE_ALL)
    while rows := frozen.accounts_after(account, rows_max):
        account = max(rows)
        yield Portion(rows=rows)
    reservation = ReservationId(_BEFORE_ALL)
    while records := frozen.reservations_after(reservation, rows_max):
        reservation = max(records)
        yield Portion(reservations=records)


def _rest(reader: Reader, end: CopyEnd) -> Iterator[Portion]:
    entries = history(reader, end.dropped, end.applied)
    while batch := next_batch(entries):
        yield Portion(entries=tuple(batch))
    yield Portion(end=end)
