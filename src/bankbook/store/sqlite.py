"""A store in one SQLite file: what was committed survives `kill -9` and power cuts.

Decides the statements, and what a failed commit may have left behind. Must not know the file's schema
version, lock or identity (sqlite_file does), or what the numbers mean. Proof: tests/store/.

The connection may be used from any thread, by one at a time: the driver commits from one worker thread
and reads only while no commit is under way.
"""

import sqlite3
from pathlib import Path
from typing import Any, Self

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, EntryDamagedError, decode_entry
from bankbook.core.ports import Account, Changes, Genesis, Identity
from bankbook.core.types import AccountId, BranchId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import VersionVector
from bankbook.store.base import CommitRefusedError, CommitUnknownError, StoreError, applied_after
from bankbook.store.sqlite_file import OpenFile, explain, open_file

_INSERT_ORIGIN = "INSERT INTO origin (number, branch, incarnation, applied) VALUES (?, ?, ?, ?)"
_UPDATE_ORIGIN = "UPDATE origin SET applied = ? WHERE number = ?"
_INSERT_ENTRY = "INSERT INTO log (origin, seq, entry) VALUES (?, ?, ?)"
_UPSERT_ACCOUNT = """
    INSERT INTO account (id, balance, floor, currency) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE
    SET balance = excluded.balance, floor = excluded.floor, currency = excluded.currency
"""
_UPSERT_HOLDING = """
    INSERT INTO holding (account, origin, last_seq) VALUES (?, ?, ?)
    ON CONFLICT (account, origin) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)
"""
_UPDATE_CLOCK = "UPDATE meta SET value = ? WHERE name = 'clock'"
_COUNT_FAILURE = "UPDATE meta SET value = value + 1 WHERE name = 'failed commits'"

_SELECT_ORIGINS = "SELECT number, branch, incarnation, applied FROM origin ORDER BY number"
_SELECT_CLOCK = "SELECT value FROM meta WHERE name = 'clock'"
_SELECT_ACCOUNT = "SELECT balance, floor, currency FROM account WHERE id = ?"
_SELECT_WRITE_SET = "SELECT origin, last_seq FROM holding WHERE account = ?"
_SELECT_LAST_WRITE = "SELECT last_seq FROM holding WHERE account = ? AND origin = ?"
# As bytes, the way an entry is compared and sent on.
_SELECT_ENTRIES = """
    SELECT CAST(entry AS BLOB) FROM log WHERE origin = ? AND seq > ? ORDER BY seq LIMIT ?
"""


class SqliteStore:
    """See bankbook.store.base.Store."""

    def __init__(self, path: Path, file: OpenFile) -> None:
        self._path = path
        self._connection = file.connection
        self._identity = file.identity
        self._load()

    @classmethod
    def create_or_open(cls, path: Path, genesis: Genesis, branch: BranchId, incarnation: Incarnation) -> Self:
        """Open the store in `path`, or create it; `incarnation` is used only then.

        Raises StoreError where the file cannot be used, StoreMismatchError where it is another's.
        """
        file = open_file(path, genesis, branch, incarnation)
        try:
            return cls(path, file)
        except BaseException:
            file.connection.close()
            raise

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

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        for balance, floor, currency in self._select(_SELECT_ACCOUNT, account):
            return Account(Money(balance), None if floor is None else Money(floor), currency)
        return None

    def write_set(self, account: AccountId) -> VersionVector:
        """Return the last entry of each origin that touched the account."""
        rows = self._select(_SELECT_WRITE_SET, account)
        return VersionVector((self._origin(number), Seq(last_seq)) for number, last_seq in rows)

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return one component of the write set."""
        for (last_seq,) in self._select(_SELECT_LAST_WRITE, account, self._numbers.get(origin)):
            return Seq(last_seq)
        return Seq(0)

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        rows = self._select(_SELECT_ENTRIES, self._numbers.get(origin), after, limit)
        entries = [self._decode(encoded) for (encoded,) in rows]
        found = [(entry.origin, entry.seq) for entry in entries]
        last = min(self._applied[origin], after + limit)
        expected = [(origin, seq) for seq in range(after + 1, last + 1)]
        if found != expected:
            raise self._damaged(f"the entries {after + 1} to {last} of {origin} are not all in their places")
        return entries

    def commit(self, changes: Changes) -> None:
        """Persist `changes` in one transaction; on return they are durable."""
        applied = applied_after(self._applied, changes)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            numbers = self._write(changes, applied)
        except sqlite3.Error as error:
            # Nothing of a transaction is ever read back without the mark that COMMIT writes.
            self._back_out(error)
            raise CommitRefusedError(explain(self._path, error)) from error
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._back_out(error)
            self._overwrite_remains(error)
            raise CommitRefusedError(explain(self._path, error)) from error
        self._remember(numbers, applied, changes.clock)

    def close(self) -> None:
        """Let go of the file. Closing twice is harmless."""
        self._connection.close()

    def _write(self, changes: Changes, applied: VersionVector) -> dict[Origin, int]:
        """Write everything inside the open transaction; return the numbers of all origins."""
        numbers = dict(self._numbers)
        fresh = [origin for origin, _ in applied if origin not in numbers]
        numbers.update(zip(fresh, range(len(numbers) + 1, len(numbers) + len(fresh) + 1), strict=True))
        written = {entry.origin for entry in changes.entries}
        execute_many = self._connection.executemany
        execute_many(_INSERT_ORIGIN, [(numbers[o], *o, applied[o]) for o in fresh])
        execute_many(_UPDATE_ORIGIN, [(applied[o], numbers[o]) for o in written.difference(fresh)])
        execute_many(_INSERT_ENTRY, [(numbers[e.origin], e.seq, e.encoded.decode()) for e in changes.entries])
        execute_many(_UPSERT_ACCOUNT, [(account, *state) for account, state in changes.accounts.items()])
        execute_many(
            _UPSERT_HOLDING,
            [
                (account, numbers[origin], seq)
                for account, last_writes in changes.last_writes.items()
                for origin, seq in last_writes.items()
            ],
        )
        self._connection.execute(_UPDATE_CLOCK, (changes.clock,))
        return numbers

    def _back_out(self, error: sqlite3.Error) -> None:
        """Give up the transaction, and read the disk's state again."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._load()
        except (sqlite3.Error, StoreError) as another:
            error.add_note(f"and then: {another}")
            raise CommitUnknownError(explain(self._path, error)) from error

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
            self._connection.execute(_COUNT_FAILURE)
        except sqlite3.Error as another:
            error.add_note(f"and then: {another}")
            raise CommitUnknownError(explain(self._path, error)) from error

    def _load(self) -> None:
        """Take what every read needs into memory: the origins and the clock."""
        rows = self._select(_SELECT_ORIGINS)
        clocks = [clock for (clock,) in self._select(_SELECT_CLOCK) if isinstance(clock, int)]
        if len(clocks) != 1 or [number for number, *_ in rows] != list(range(1, len(rows) + 1)):
            raise self._damaged("the clock or an origin is missing")
        numbers = {Origin(BranchId(branch), Incarnation(life)): number for number, branch, life, _ in rows}
        applied = zip(numbers, (Seq(seq) for *_, seq in rows), strict=True)
        self._remember(numbers, VersionVector(applied), HybridTime(clocks[0]))

    def _remember(self, numbers: dict[Origin, int], applied: VersionVector, clock: HybridTime) -> None:
        self._numbers, self._applied, self._clock = numbers, applied, clock
        self._origins = {number: origin for origin, number in numbers.items()}

    def _select(self, statement: str, *parameters: str | int | None) -> list[Any]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(explain(self._path, error)) from error

    def _origin(self, number: int) -> Origin:
        if number not in self._origins:
            raise self._damaged(f"there is no origin number {number}")
        return self._origins[number]

    def _decode(self, encoded: bytes) -> Entry:
        try:
            return decode_entry(encoded)
        except EntryDamagedError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"{self._path} is damaged, {what}: restore the file, or start again as a new incarnation"
        )
