"""A store in memory: gone with its process.

Decides nothing. Proof: tests/store/test_contract.py.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import islice

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import (
    Account,
    Changes,
    Drop,
    Holding,
    Identity,
    KeyRecord,
    Portion,
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
from bankbook.store.copying import StoreCopy
from bankbook.store.dropping import WEIGHT_MIN, Oldest, dropped_after, stated_after, weight_max


class MemoryStore:
    """See bankbook.store.base.Store."""

    dropped_min = WEIGHT_MIN
    """How much at least a commit drops, of what is to be dropped."""
    copied_rows_max: int | None = None
    """How many accounts or reservations are one portion of a copy; None: as many as in any store."""

    def __init__(self, identity: Identity, *, has_joined: bool = False) -> None:
        self._identity = identity
        self._has_joined = has_joined
        self._logs: dict[Origin, list[Entry]] = {}
        # Of each log the last that is not in it any longer.
        self._dropped = NOTHING
        self._stated_from = HybridTime(0)
        self._oldest = Oldest(self)
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
        self._is_copying = False

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        return self._identity

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        return self._applied

    def dropped(self) -> VersionVector:
        """Return the last seq of every origin's log that is not kept any longer."""
        return self._dropped

    def stated_from(self) -> HybridTime:
        """Return from which moment on all entries are there."""
        return self._stated_from

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
        start = after - self._dropped[origin]
        assert start >= 0, f"the entries of {origin} up to #{self._dropped[origin]} were dropped"
        return self._logs.get(origin, [])[start : start + limit]

    def moved_from(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings at `position` and behind it."""
        stated = self._postings.get(account, [])
        start = bisect_left(stated, position, key=_position)
        return Money(sum(posting.amount for posting in islice(stated, start, None)))

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        stated = self._postings.get(account, [])
        start = bisect_right(stated, after, key=_position)
        end = bisect_left(stated, until, key=_clock)
        return stated[start : min(end, start + limit)]

    def copy(self) -> StoreCopy:
        """Return a copy of all that is there now."""
        return StoreCopy(
            self,
            _FrozenRows(dict(self._rows), dict(self._reservations)),
            is_void=lambda: False,
            release=lambda: None,
            rows_max=self.copied_rows_max,
        )

    def commit(self, changes: Changes) -> None:
        """Keep the changes; this cannot fail."""
        before, self._applied = self._applied, applied_after(self._applied, changes)
        if changes.portion is not None:
            self._take(changes.portion, is_first=changes.is_first_portion)
        elif self._is_copying and (changes.entries or changes.has_joined):
            self._empty()
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
        if changes.drop is not None:
            self._drop(changes.drop, before, weight_max(changes.entries, self.dropped_min))
        self._has_joined |= changes.has_joined
        taken = changes.portion.end if changes.portion is not None else None
        self._clock = changes.clock if taken is None else max(changes.clock, taken.clock)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _keep_entry(self, entry: Entry) -> None:
        self._logs.setdefault(entry.origin, []).append(entry)
        for leg, (account, amount) in enumerate(entry.postings):
            position = Position(entry.clock, entry.origin, entry.seq, leg)
            insort(self._postings.setdefault(account, []), StatedPosting(position, amount))

    def _take(self, portion: Portion, *, is_first: bool) -> None:
        if is_first:
            self._empty()
        self._is_copying = True
        self._rows.update(portion.rows)
        for reservation, record in portion.reservations.items():
            self._keep_reservation(reservation, record)
        for entry in portion.entries:
            self._keep_entry(entry)
        if portion.end is not None:
            self._is_copying = False
            self._dropped, self._stated_from = portion.end.dropped, portion.end.stated_from
            self._ended = {**self._ended, **portion.end.ended}

    def _empty(self) -> None:
        """Remove what was taken of a copy that is not whole."""
        self._logs, self._rows, self._postings = {}, {}, {}
        self._keys, self._keys_by_clock = {}, []
        self._reservations, self._expiring = {}, {}
        self._is_copying = False

    def _drop(self, drop: Drop, summed: VersionVector, weight: int) -> None:
        if self._keys_by_clock:
            drop = drop._replace(before=min(drop.before, self._keys_by_clock[0][0]))
        entries = self._oldest.droppable(drop, summed, weight)
        self._dropped = dropped_after(self._dropped, entries)
        self._stated_from = stated_after(self._stated_from, entries)
        for origin, count in Counter(entry.origin for entry in entries).items():
            del self._logs[origin][:count]
        for account in {account for entry in entries for account in entry.accounts}:
            stated = self._postings.get(account, [])
            del stated[: bisect_left(stated, self._stated_from, key=_clock)]

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


class _FrozenRows:
    """See bankbook.store.copying.Frozen."""

    def __init__(
        self, rows: dict[AccountId, Row], reservations: dict[ReservationId, ReservationRecord]
    ) -> None:
        self._rows, self._accounts = rows, sorted(rows)
        self._reservations, self._reserved = reservations, sorted(reservations)

    def accounts_after(self, account: AccountId, limit: int) -> dict[AccountId, Row]:
        """Return at most `limit` accounts behind one, in order."""
        start = bisect_right(self._accounts, account)
        return {name: self._rows[name] for name in self._accounts[start : start + limit]}

    def reservations_after(
        self, reservation: ReservationId, limit: int
    ) -> dict[ReservationId, ReservationRecord]:
        """Return at most `limit` reservations behind one, in order."""
        start = bisect_right(self._reserved, reservation)
        return {name: self._reservations[name] for name in self._reserved[start : start + limit]}


def _position(posting: StatedPosting) -> Position:
    return posting.position


def _clock(posting: StatedPosting) -> HybridTime:
    return posting.position.clock
