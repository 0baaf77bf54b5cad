"""A store in one SQLite file: what was committed survives `kill -9` and power cuts.

The logs are what a commit makes durable. What they add up to is kept in memory and is written into tables
from time to time, in the transaction of some commit; on opening, what the tables lack is applied once more
(docs/decisions/0012-tables-are-a-checkpoint.md).

Decides what is one transaction, what a failed one may have left behind, and what is replayed. Must not know
statements (sqlite_logs and sqlite_tables do), when the tables are due (sums does), the file's schema version,
lock or identity (sqlite_file does), or what the numbers mean. Proof: tests/store/.

The connection may be used from any thread, by one at a time: the driver commits from its own thread or, where
the disk is slow, from another one, and reads only while no commit is under way.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import (
    Account,
    Changes,
    Copy,
    Genesis,
    Holding,
    Identity,
    KeyRecord,
    Portion,
    Position,
    ReservationRecord,
    Row,
    StatedPosting,
    account_in,
    holdings_in,
)
from bankbook.core.state import State
from bankbook.core.types import (
    AccountId,
    BranchId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.base import (
    CommitRefusedError,
    CommitUnknownError,
    StoreError,
    applied_after,
)
from bankbook.store.copying import StoreCopy, VoidCopy
from bankbook.store.dropping import Oldest, dropped_after, stated_after, weight_max
from bankbook.store.history import history, next_batch
from bankbook.store.sqlite_file import OpenFile, explain, open_file, open_stopped_file
from bankbook.store.sqlite_logs import Kept, Logs
from bankbook.store.sqlite_tables import Tables
from bankbook.store.sums import Bounds, Slice, Sums


class SqliteStore:
    """See bankbook.store.base.Store."""

    def __init__(self, file: OpenFile, bounds: Bounds) -> None:
        self._file = file
        self._connection = file.connection
        self._bounds = bounds
        self._logs = Logs(file)
        self._oldest = Oldest(self)
        self._kept: Kept
        self._sums: Sums
        self._is_stale = False
        """Whether the disk may have what memory has not, after a commit that failed."""
        self._copied_until = HybridTime(0)
        """The clock of the last entry that was taken of a copy."""
        self._load()

    @classmethod
    def create_or_open(
        cls,
        path: Path,
        genesis: Genesis,
        branch: BranchId,
        incarnation: Incarnation,
        bounds: Bounds = Bounds(),  # noqa: B008  (it cannot be changed)
    ) -> Self:
        """Open the store in `path`, or create it; `incarnation` is used only then.

        Raises StoreError where the file cannot be used, StoreMismatchError where it is another's.
        """
        return cls._of(open_file(path, genesis, branch, incarnation), bounds)

    @classmethod
    def open_stopped(cls, path: Path) -> Self:
        """Open the store of a branch that does not run, to read it.

        Raises StoreError where the file cannot be used, StoreInUseError while its branch runs.
        """
        return cls._of(open_stopped_file(path), Bounds())

    @classmethod
    def _of(cls, file: OpenFile, bounds: Bounds) -> Self:
        try:
            return cls(file, bounds)
        except BaseException:
            file.connection.close()
            raise

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        return self._file.identity

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        return self._kept.applied

    def dropped(self) -> VersionVector:
        """Return the last seq of every origin's log that is not kept any longer."""
        return self._kept.dropped

    def stated_from(self) -> HybridTime:
        """Return from which moment on all entries are there."""
        return self._kept.stated_from

    def clock(self) -> HybridTime:
        """Return the hybrid clock's last reading."""
        return self._kept.clock

    def has_joined(self) -> bool:
        """Return whether this branch ever knew all that the others knew."""
        return self._kept.has_joined

    def ended(self) -> Mapping[Origin, Seq]:
        """Return the logs that end for ever, and where."""
        return self._kept.ended

    def lives(self) -> Mapping[Origin, bool]:
        """Return the lives of branches' stores that were noted, and whether each is over."""
        return self._kept.lives

    def rows(self, accounts: Collection[AccountId]) -> Sequence[Row | None]:
        """Return the row of each of these accounts; those not in memory are read in one statement."""
        return self._rows.rows(accounts)

    def row(self, account: AccountId) -> Row | None:
        """Return the account's row; None where no entry ever touched it."""
        return self._rows.row(account)

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        return account_in(self.row(account))

    def holdings(self, account: AccountId) -> Mapping[Origin, Holding]:
        """Return what each log did to the account."""
        return holdings_in(self.row(account))

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        return self._logs.key(key, self._kept)

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        return self._sums.reservation(reservation)

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        return self._sums.expiring(branch, limit)

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        return self._logs.entries(origin, after, limit, self._kept)

    def moved_from(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings at `position` and behind it."""
        return self._sums.moved_from(account, position)

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        return self._sums.postings(account, after, until, limit)

    def copy(self) -> Copy:
        """Return a copy of all that is there now: the tables, of which what is written over is put aside.

        Where they cannot be written it is void at once.
        """
        try:
            self._write_tables()
        except (sqlite3.Error, StoreError):
            # As after a commit that failed: what is on the disk is read anew before anything else is written.
            # Until then who reads must not find half of what was to be written, and all of it in memory.
            self._is_stale = True
            self._roll_back()
        frozen = None
        with suppress(sqlite3.Error):
            frozen = None if self._is_stale else self._sums.frozen_tables(self._file)
        return VoidCopy() if frozen is None else StoreCopy(self, frozen, lambda: frozen.is_over, frozen.end)

    def commit(self, changes: Changes) -> None:
        """Persist `changes` in one transaction; on return they are durable.

        Where much is newer than the tables, the same transaction writes some of what was committed before
        into them.
        """
        if self._is_stale:
            self._read_anew()
        applied = applied_after(self._kept.applied, changes)
        part = self._sums.next_slice(self._kept.clock)
        if part is not None:
            self._sums.put_aside(part)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if part is not None:
                self._write_slice(part)
            dropped, stated_from = self._drop(changes)
            self._make_room_for(changes)
            numbers = self._logs.write(changes, applied, self._kept.numbers)
            if changes.portion is not None:
                self._sums.take(changes.portion, numbers, self._copied_until)
        except (sqlite3.Error, StoreError) as error:
            # Nothing of a transaction is ever read back without the mark that COMMIT writes.
            self._back_out(error)
            raise CommitRefusedError(self._explain(error)) from error
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._back_out(error)
            self._overwrite_remains(error)
            raise CommitRefusedError(self._explain(error)) from error
        if part is not None:
            self._settle(part)
        if self._kept.is_copying or changes.portion is not None:
            self._after_portion(changes.portion)
            return
        self._sums.keep(changes)
        self._kept.origins.update((number, origin) for origin, number in numbers.items())
        self._kept = self._kept._replace(
            numbers=numbers,
            applied=applied,
            ended={**self._kept.ended, **changes.ended},
            lives={**self._kept.lives, **changes.lives},
            clock=changes.clock,
            dropped=dropped,
            stated_from=stated_from,
            has_joined=self._kept.has_joined or changes.has_joined,
        )

    def close(self) -> None:
        """Write the tables, for whoever opens the file, and let go of it. Closing twice is harmless."""
        self._sums.thaw_tables()
        # Where the disk is full, or fails: the log has everything, and the next start replays it.
        with suppress(sqlite3.Error, StoreError):
            self._write_tables()
        self._connection.close()
        self._begin_sums()

    def _roll_back(self) -> None:
        """Give up a transaction that is open; where even that fails, the next commit tries again."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _write_tables(self) -> None:
        """Have the tables tell of everything. Raises sqlite3.Error or StoreError."""
        while self._sums.is_dirty and not self._file.is_read_only and not self._is_stale:
            part = self._sums.whole_slice(self._kept.clock)
            self._sums.put_aside(part)
            self._connection.execute("BEGIN IMMEDIATE")
            self._write_slice(part)
            self._connection.execute("COMMIT")
            self._settle(part)

    def _write_slice(self, part: Slice) -> None:
        """Write a slice of the tables inside the open transaction, before anything else of it."""
        self._sums.write(part, self._kept.numbers, self._kept.stated_from)
        self._logs.sum_up(part.up_to, is_first=part.is_first)

    def _make_room_for(self, changes: Changes) -> None:
        """Begin a copy in the open transaction, or remove a part of one where logs come instead."""
        if changes.portion is not None:
            if changes.is_first_portion:
                self._copied_until = HybridTime(0)
            self._logs.begin_copy(is_first=changes.is_first_portion)
        elif self._kept.is_copying and (changes.entries or changes.has_joined):
            self._logs.leave_copy()

    def _after_portion(self, portion: Portion | None) -> None:
        """Take the disk's state into memory: what has come or gone with a copy stands in no change."""
        if portion is not None and portion.entries:
            self._copied_until = portion.entries[-1].clock
        try:
            self._load()
        except StoreError:
            self._is_stale = True  # it is committed all the same

    def _drop(self, changes: Changes) -> tuple[VersionVector, HybridTime]:
        """Drop old entries inside the open transaction; return what is dropped then, and what is stated.

        To be called while the transaction has nothing else of the logs: what is dropped is read here.
        """
        kept, drop = self._kept, changes.drop
        if drop is None:
            return kept.dropped, kept.stated_from
        oldest_key = self._logs.oldest_key()
        if oldest_key is not None:
            drop = drop._replace(before=min(drop.before, oldest_key))
        entries = self._oldest.droppable(
            drop, kept.summed, weight_max(changes.entries, self._bounds.dropped_min)
        )
        dropped = dropped_after(kept.dropped, entries)
        stated_from = stated_after(kept.stated_from, entries)
        if entries:
            self._logs.drop(dropped.beyond(kept.dropped), stated_from, kept.numbers)
            self._sums.forget({account for entry in entries for account in entry.accounts}, stated_from)
        return dropped, stated_from

    def _settle(self, part: Slice) -> None:
        """Take note that a slice is durable."""
        self._sums.settle(part)
        kept = self._kept
        summing = kept.applied if part.is_first else kept.summing
        if part.is_last:
            self._kept = kept._replace(summed=summing, summing=NOTHING, summed_account=None)
        else:
            self._kept = kept._replace(summing=summing, summed_account=part.up_to)

    def _back_out(self, error: Exception) -> None:
        """Give up the transaction; where the disk has anything else than memory, read all of it again."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._sums.thaw_tables()  # who read them is built anew from the disk, and has left them
            if self._logs.read_kept() != self._kept:
                self._load()
        except (sqlite3.Error, StoreError) as another:
            self._is_stale = True
            error.add_note(f"and then: {another}")
            raise CommitUnknownError(self._explain(error)) from error

    def _read_anew(self) -> None:
        """Read what a failed commit has left on the disk; whoever builds on the state before is refused."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._load()
        except (sqlite3.Error, StoreError) as error:
            raise CommitRefusedError(self._explain(error)) from error
        raise CommitRefusedError(f"{self._file.path} was read anew after a commit had failed: try again")

    def _overwrite_remains(self, error: sqlite3.Error) -> None:
        """Make certain that a COMMIT which failed left nothing, or raise CommitUnknownError.

        SQLite has rolled back, but the disk may have the whole transaction all the same: suppose every
        page of it reached the write-ahead log and only the fsync failed. After a crash it would come
        back. The next commit is written over it, so a small one makes certain. It has to change
        something: SQLite does not write a page that stays as it is.

        A full disk needs no proof. The mark of a commit is written last, and there was no room for it.
        """
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return
        try:
            self._logs.count_failure()
        except sqlite3.Error as another:
            error.add_note(f"and then: {another}")
            raise CommitUnknownError(self._explain(error)) from error

    def _load(self) -> None:
        """Take the disk's state into memory. Raises StoreError, and then leaves what is there."""
        before = vars(self).copy()
        try:
            self._kept = self._logs.read_kept()
            self._begin_sums()
            self._replay()
        except StoreError:
            vars(self).update(before)
            raise
        self._is_stale = False

    def _begin_sums(self) -> None:
        """Begin with the tables alone."""
        if hasattr(self, "_sums"):
            self._sums.thaw_tables()
        tables = Tables(self._file, self._kept.origins, self._bounds.segment_rows)
        self._sums = Sums(tables, self._bounds, self._kept.clock)
        self._rows = self._sums.rows

    def _replay(self) -> None:
        """Apply what the tables lack on top of them: it is in memory then, as it was before.

        What was being written into them goes first: all of that had been applied before anything else was.
        """
        kept, told = self._kept, self._kept.summed
        if kept.summed_account is not None:
            told = kept.summing
            self._replay_between(kept.summed, told, kept.summed_account)
            self._sums.resume()
        self._replay_between(told, kept.applied)

    def _replay_between(
        self, after: VersionVector, until: VersionVector, beyond: AccountId | None = None
    ) -> None:
        """Apply a part of the history, in an order in which each entry follows what it depends on."""
        entries = history(self, after, until)
        while batch := next_batch(entries):
            try:
                after = self._apply(batch, after, beyond)
            except (AssertionError, KeyError) as error:
                raise self._file.damaged(f"its log cannot be applied ({error})") from error

    def _apply(self, entries: list[Entry], applied: VersionVector, beyond: AccountId | None) -> VersionVector:
        """Apply entries to the accounts beyond one, whose rows do not tell of them; return what is applied.

        What they would do to the rows that do tell of them is worked out too, and dropped: so reservations,
        which are written with the last slice, see every entry once.
        """
        self._rows.rows({account for entry in entries for account in entry.accounts})
        state = State(self, self.identity.genesis)
        for entry in entries:
            state.replay(entry)
        changes = state.take_changes(self._kept.clock)
        if beyond is not None:
            changes.rows = {name: row for name, row in changes.rows.items() if name > beyond}
        applied = applied_after(applied, changes)
        self._sums.keep(changes, beyond)
        return applied

    def _explain(self, error: Exception) -> str:
        return explain(self._file.path, error) if isinstance(error, sqlite3.Error) else str(error)
