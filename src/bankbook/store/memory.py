"""A store in memory: gone with its process.

Decides nothing. Proof: tests/store/test_contract.py.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping
from itertools import islice

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import (
    Account,
    Changes,
    Holding,
    Identity,
    KeyRecord,
    Position,
    ReservationRecord,
    ReservationState,
    Row,
    StatedPosting,
    account_in,
    holdings_in,
)
from bankbook.core.types import (
    AccountId,
    BranchId,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    reserving_branch,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.base import KEYS_FORGOTTEN_MAX, applied_after


class MemoryStore:
    """See bankbook.store.base.Store."""

    def __init__(self, identity: Identity, *, has_joined: bool = False) -> None:
        self._identity = identity
        self._has_joined = has_joined
        self._logs: dict[Origin, list[Entry]] = {}
        self._rows: dict[AccountId, Row] = {}
        # Of each account in the order of its statement.
        self._postings: dict[AccountId, list[StatedPosting]] = {}
        self._keys: dict[Key, KeyRecord] = {}
        # A heap with the oldest on top, where a key stands once more for each time it was noted anew.
        self._keys_by_clock: list[tuple[HybridTime, Key]] = []
        self._reservations: dict[ReservationId, ReservationRecord] = {}
        # Of each branch the open ones that expire, soonest first.
        self._expiring: dict[BranchId | None, list[tuple[int, ReservationId]]] = {}
        self._ended: Mapping[Origin, Seq] = {}
        self._lives: Mapping[Origin, bool] = {}
        self._applied = NOTHING
        self._clock = HybridTime(0)

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        return self._identity

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        return self._applied

    def clock(self) -> HybridTime:
        """Return the hybrid clock's last reading."""
        return self._clock

    def has_joined(self) -> bool:
        """Return whether this branch ever knew all that the others knew."""
        return self._has_joined

    def ended(self) -> Mapping[Origin, Seq]:
        """Return the logs that end for ever, and where."""
        return self._ended

    def lives(self) -> Mapping[Origin, bool]:
        """Return the lives of branches' stores that were noted, and whether each is over."""
        return self._lives

    def rows(self, accounts: Collection[AccountId]) -> list[Row | None]:
        """Return the row of each of these accounts."""
        return list(map(self._rows.get, accounts))

    def row(self, account: AccountId) -> Row | None:
        """Return the account's row; None where no entry ever touched it."""
        return self._rows.get(account)

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        return account_in(self.row(account))

    def holdings(self, account: AccountId) -> Mapping[Origin, Holding]:
        """Return what each log did to the account."""
        return holdings_in(self.row(account))

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        return self._keys.get(key)

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        return self._reservations.get(reservation)

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        return self._expiring.get(branch, [])[:limit]

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        return self._logs.get(origin, [])[after : after + limit]

    def moved_before(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings before `position`."""
        stated = self._postings.get(account, [])
        end = bisect_left(stated, position, key=_position)
        return Money(sum(posting.amount for posting in islice(stated, end)))

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        stated = self._postings.get(account, [])
        start = bisect_right(stated, after, key=_position)
        end = bisect_left(stated, until, key=_clock)
        return stated[start : min(end, start + limit)]

    def commit(self, changes: Changes) -> None:
        """Keep the changes; this cannot fail."""
        self._applied = applied_after(self._applied, changes)
        for entry in changes.entries:
            self._keep_entry(entry)
        self._rows.update(changes.rows)
        self._ended = {**self._ended, **changes.ended}
        self._lives = {**self._lives, **changes.lives}
        for reservation, record in changes.reservations.items():
            self._keep_reservation(reservation, record)
        self._keep_keys(changes.keys)
        if changes.forget_keys_before is not None:
            self._forget_keys(changes.forget_keys_before)
        self._has_joined |= changes.has_joined
        self._clock = changes.clock

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _keep_entry(self, entry: Entry) -> None:
        self._logs.setdefault(entry.origin, []).append(entry)
        for leg, (account, amount) in enumerate(entry.postings):
            position = Position(entry.clock, entry.origin, entry.seq, leg)
            insort(self._postings.setdefault(account, []), StatedPosting(position, amount))

    def _keep_keys(self, keys: Mapping[Key, KeyRecord]) -> None:
        self._keys.update(keys)
        for key, record in keys.items():
            heapq.heappush(self._keys_by_clock, (record.clock, key))

    def _forget_keys(self, before: HybridTime) -> None:
        forgotten = 0
        by_clock = self._keys_by_clock
        while by_clock and by_clock[0][0] < before and forgotten < KEYS_FORGOTTEN_MAX:
            clock, key = heapq.heappop(by_clock)
            known = self._keys.get(key)
            if known is not None and known.clock == clock:
                del self._keys[key]
                forgotten += 1

    def _keep_reservation(self, reservation: ReservationId, record: ReservationRecord) -> None:
        before = self._reservations.get(reservation)
        self._reservations[reservation] = record
        if record.terms.expires_ms is None:
            return
        expiring = self._expiring.setdefault(reserving_branch(reservation), [])
        place = record.terms.expires_ms, reservation
        if before is not None and before.state is ReservationState.OPEN:
            del expiring[bisect_left(expiring, place)]
        if record.state is ReservationState.OPEN:
            insort(expiring, place)


def _position(posting: StatedPosting) -> Position:
    return posting.position


def _clock(posting: StatedPosting) -> HybridTime:
    return posting.position.clock
