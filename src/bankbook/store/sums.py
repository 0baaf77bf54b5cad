"""What the logs add up to: the tables, and on top of them, in memory, what is newer than they.

Decides when the tables are due, what of them each commit writes, and how what they say and what is newer make
one answer. Must not know the logs, transactions, or what a commit that fails leaves behind.
Proof: tests/store/test_checkpoints.py.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from bankbook.core.clock import HybridTime
from bankbook.core.ports import Changes, Portion, Position, ReservationRecord, ReservationState, StatedPosting
from bankbook.core.types import AccountId, BranchId, Money, Origin, ReservationId, reserving_branch
from bankbook.store.dropping import WEIGHT_MIN
from bankbook.store.fresh import FreshPostings, Leg, behind, moved_from, stated
from bankbook.store.rows import Rows
from bankbook.store.sqlite_file import OpenFile
from bankbook.store.sqlite_frozen import FrozenTables
from bankbook.store.sqlite_tables import Tables

ROW_WEIGHT = 3
"""An account, or a reservation, takes so many times as long to be read as a plain movement to be applied."""


class Bounds(NamedTuple):
    """How much is kept in memory, and written at once. The figures: docs/decisions/0019 and 0021."""

    replay_max: int = 262_144
    """What is newer than the tables, until these are due, by how long it takes to apply it after a kill: in
    plain movements of large batches."""
    slice_rows: int = 16
    """Of accounts, that a commit writes at least while the tables are due: below a millisecond, also where
    each has dozens of postings."""
    clean_rows_max: int = 32_768
    """Of accounts, in each of two generations; and once more what was being written."""
    dropped_min: int = WEIGHT_MIN
    """How much at least a commit drops, of what is to be dropped."""
    segment_rows: int = 262_144
    """Of statements, in each part of the table, whose index is small enough to be written all over: 10 MB."""


class Slice(NamedTuple):
    """What one commit writes into the tables."""

    accounts: Sequence[AccountId]
    is_first: bool
    is_last: bool

    @property
    def up_to(self) -> AccountId | None:
        """Up to which account the tables are written then; None where all are."""
        return None if self.is_last else self.accounts[-1]


class Sums:
    """The accounts, statements and reservations of one store, as of its last commit."""

    def __init__(self, tables: Tables, bounds: Bounds, settled: HybridTime) -> None:
        """`settled`: no posting that the tables have is later."""
        self._tables = tables
        self._bounds = bounds
        self._settled = settled
        self._frozen_tables: FrozenTables | None = None
        """As they were when somebody began to read them."""
        self.rows = Rows(tables.rows, bounds.clean_rows_max)
        self._postings = FreshPostings()
        self._reservations: dict[ReservationId, ReservationRecord] = {}
        # What is being written, as of the moment at which that began.
        self._queue: list[AccountId] = []
        self._written = 0
        self._has_begun = False
        """Whether the tables tell of some accounts what is being written."""
        self._frozen_at: HybridTime | None = None
        self._frozen_postings = FreshPostings()
        self._frozen_reservations: dict[ReservationId, ReservationRecord] = {}

    @property
    def is_dirty(self) -> bool:
        """Whether anything is newer than the tables."""
        return self._frozen_at is not None or bool(self._nearness)

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        newer = self._reservations.get(reservation) or self._frozen_reservations.get(reservation)
        return newer or self._tables.reservation(reservation)

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        newer = self._frozen_reservations | self._reservations
        found = [
            (record.terms.expires_ms, name)
            for name, record in newer.items()
            if record.state is ReservationState.OPEN and record.terms.expires_ms is not None
            if reserving_branch(name) == branch
        ]
        found += [each for each in self._tables.expiring(branch, limit + len(newer)) if each[1] not in newer]
        return sorted(found)[:limit]

    def moved_from(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings at `position` and behind it."""
        newer = sum(moved_from(legs, position) for legs in self._newer_legs(account))
        return Money(self._tables.moved_from(account, position) + newer)

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        newer = [behind(legs, after) for legs in self._newer_legs(account)]
        found = heapq.merge(self._tables.postings(account, after), *newer)
        return [stated(leg) for leg in islice(takewhile(lambda leg: leg[0] < until, found), limit)]

    def _newer_legs(self, account: AccountId) -> tuple[list[Leg], list[Leg]]:
        return self._frozen_postings.legs(account), self._postings.legs(account)

    def keep(self, changes: Changes, beyond: AccountId | None = None) -> None:
        """Take over what was committed; up to the account `beyond`, where it is given, the tables have it."""
        self.rows.keep(changes.rows)
        self._reservations.update(changes.reservations)
        for entry in changes.entries:
            self._postings.add(entry, beyond)

    def resume(self) -> None:
        """Be told that what was kept so far is what was being written when the store was killed."""
        self._freeze(self._settled)
        self._has_begun = True

    def next_slice(self, clock: HybridTime) -> Slice | None:
        """Return what the next commit has to write; None where nothing. `clock`: that of the last commit.

        A slice is so large that all is written when half as much as is being written has come anew: under the
        same load the tables are due again when as much has; and at the latest by seven tenths of the bound.
        Where a commit goes beyond the bound at once, the rest is one slice.
        """
        nearness = self._nearness
        if self._frozen_at is None:
            if nearness < 1:
                return None
            self._freeze(clock)
            nearness = 0
        if nearness >= 1:
            return self._slice(len(self._queue))
        # Nearness has the rows in it, of which most are new at first: squared, it tells at the end only,
        # when a load has changed and comes to the bound with less weight than the one before.
        progress = max(self._postings.weight / max(self._frozen_postings.weight, 1), nearness**2)
        missing = int(2 * progress * len(self._queue)) - self._written
        return self._slice(max(self._bounds.slice_rows, missing))

    def frozen_tables(self, file: OpenFile) -> FrozenTables:
        """Return the tables as they are now, which is all there is; one before ends. Raises sqlite3.Error."""
        assert not self.is_dirty, "the tables tell of everything"
        self.thaw_tables()
        self._frozen_tables = FrozenTables(file, self._tables)
        return self._frozen_tables

    def thaw_tables(self) -> None:
        """Be told that nobody can go on to read the tables as they were."""
        if self._frozen_tables is not None:
            self._frozen_tables.end()
            self._frozen_tables = None

    def put_aside(self, part: Slice) -> None:
        """Keep what a slice is going to write over, for whoever reads the tables as they were."""
        if self._frozen_tables is not None:
            self._frozen_tables.put_aside(part.accounts, self._frozen_reservations if part.is_last else ())

    def whole_slice(self, clock: HybridTime) -> Slice:
        """Return all that is left of what is being written; where that is nothing, all that is newer."""
        if self._frozen_at is None:
            self._freeze(clock)
        return self._slice(len(self._queue))

    def write(self, part: Slice, numbers: Mapping[Origin, int], stated_from: HybridTime) -> None:
        """Write a slice, in the transaction that is open. Raises sqlite3.Error or StoreError.

        In the order of the tables, which is several times as fast as in that of the commits. No posting from
        before `stated_from` is needed, so rows that have no others go where new ones come.
        """
        frozen = self.rows.frozen
        self._tables.write_accounts({account: frozen[account] for account in part.accounts}, numbers)
        self._tables.write_postings(self._frozen_postings, part.accounts, self._settled)
        if stated_from:
            self._tables.forget_postings(part.accounts, stated_from)
        if part.is_last:
            self._tables.write_reservations(self._frozen_reservations)

    def take(self, portion: Portion, numbers: Mapping[Origin, int], settled: HybridTime) -> None:
        """Write a part of a copy of another store, in the transaction that is open.

        `settled`: the clock of the last entry of the parts before.
        """
        self._tables.write_accounts(portion.rows, numbers)
        self._tables.write_reservations(portion.reservations)
        postings = FreshPostings()
        for entry in portion.entries:
            postings.add(entry)
        self._tables.write_postings(postings, sorted(postings.by_account), settled)

    def forget(self, accounts: Iterable[AccountId], before: HybridTime) -> None:
        """Remove rows that have only what was posted before then, in the transaction that is open.

        But for accounts that are going to be written: there they go with the slice. Each of these removals
        costs as much as a transfer, and an account that is busy would be looked up with every entry.
        """
        self._tables.forget_postings(sorted(set(accounts).difference(self.rows.dirty)), before)

    def settle(self, part: Slice) -> None:
        """Be told that a slice is durable."""
        self._written += len(part.accounts)
        self._has_begun = True
        self._frozen_postings.remove(part.accounts)
        if part.is_last:
            assert self._frozen_at is not None, "what was written was frozen"
            assert not self._frozen_postings.by_account, "who was posted to was changed"
            self._settled, self._frozen_at = max(self._settled, self._frozen_at), None
            self._has_begun = False
            self.rows.settle()
            self._frozen_reservations = {}

    @property
    def _nearness(self) -> float:
        """How near the tables are to being due: 0 where nothing was committed since, 1 where they are."""
        rows = len(self.rows.dirty) + len(self._reservations)
        return (self._postings.weight + ROW_WEIGHT * rows) / self._bounds.replay_max

    def _freeze(self, clock: HybridTime) -> None:
        self.rows.freeze()
        self._frozen_at, self._queue, self._written = clock, sorted(self.rows.frozen), 0
        self._frozen_postings, self._postings = self._postings, FreshPostings()
        self._frozen_reservations, self._reservations = self._reservations, {}

    def _slice(self, count: int) -> Slice:
        end = self._written + count
        accounts = self._queue[self._written : end]
        return Slice(accounts, is_first=not self._has_begun, is_last=end >= len(self._queue))
