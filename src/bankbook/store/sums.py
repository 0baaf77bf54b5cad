"""What the logs add up to: the tables, and on top of them, in memory, what is newer than they.

Decides when the tables are due, and how what they say and what is newer make one answer. Must not know the
logs, transactions, or what a commit that fails leaves behind. Proof: tests/store/test_checkpoints.py.
"""

import heapq
from collections.abc import Mapping
from itertools import islice, takewhile
from typing import NamedTuple

from bankbook.core.clock import HybridTime
from bankbook.core.ports import Changes, Position, ReservationRecord, ReservationState, StatedPosting
from bankbook.core.types import AccountId, BranchId, Money, Origin, ReservationId, reserving_branch
from bankbook.store.fresh import FreshPostings, behind, moved_before, stated
from bankbook.store.rows import Row, Rows
from bankbook.store.sqlite_tables import Tables


class Bounds(NamedTuple):
    """How much is kept in memory. The figures: docs/decisions/0012-tables-are-a-checkpoint.md."""

    rows_max: int = 16_384
    """Of accounts and reservations that are newer than the tables; one commit may go beyond it."""
    postings_max: int = 65_536
    """That are newer than the tables; one commit may go beyond it."""
    clean_rows_max: int = 32_768
    """Of accounts, in each of two generations."""


class Sums:
    """The accounts, statements and reservations of one store, as of its last commit."""

    def __init__(self, tables: Tables, bounds: Bounds, settled: HybridTime) -> None:
        """`settled`: no posting that the tables have is later."""
        self._tables = tables
        self._bounds = bounds
        self._settled = settled
        self.rows = Rows(tables.rows, bounds.clean_rows_max)
        self._postings = FreshPostings()
        self._reservations: dict[ReservationId, ReservationRecord] = {}

    @property
    def is_due(self) -> bool:
        """Whether the next commit has to write the tables."""
        rows = len(self.rows.dirty) + len(self._reservations)
        return rows >= self._bounds.rows_max or self._postings.count >= self._bounds.postings_max

    @property
    def is_dirty(self) -> bool:
        """Whether anything is newer than the tables."""
        return bool(self.rows.dirty or self._reservations or self._postings.count)

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        return self._reservations.get(reservation) or self._tables.reservation(reservation)

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        newer = self._reservations
        found = [
            (record.terms.expires_ms, name)
            for name, record in newer.items()
            if record.state is ReservationState.OPEN and record.terms.expires_ms is not None
            if reserving_branch(name) == branch
        ]
        found += [each for each in self._tables.expiring(branch, limit + len(newer)) if each[1] not in newer]
        return sorted(found)[:limit]

    def moved_before(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings before `position`."""
        newer = moved_before(self._postings.legs(account), position)
        return Money(self._tables.moved_before(account, position) + newer)

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        newer = behind(self._postings.legs(account), after)
        found = heapq.merge(self._tables.postings(account, after), newer)
        return [stated(leg) for leg in islice(takewhile(lambda leg: leg[0] < until, found), limit)]

    def keep(self, changes: Changes, rows: Mapping[AccountId, Row]) -> None:
        """Take over what was committed; `rows` are what it makes of the accounts (see Rows.changed)."""
        self.rows.keep(rows)
        self._reservations.update(changes.reservations)
        for entry in changes.entries:
            self._postings.add(entry)

    def write(self, numbers: Mapping[Origin, int]) -> None:
        """Write what is newer into the tables, in the transaction that is open.

        In the order of the tables, which is several times as fast as in that of the commits.
        Raises sqlite3.Error or StoreError.
        """
        self._tables.write_accounts(self.rows.dirty, numbers)
        self._tables.write_reservations(self._reservations)
        self._tables.write_postings(self._postings, self._settled)

    def settle(self, clock: HybridTime) -> None:
        """Be told that what was written is durable; `clock`: no posting that was written is later."""
        self._settled = clock
        self.rows.settle()
        self._postings = FreshPostings()
        self._reservations = {}
