"""A store in one SQLite file: what was committed survives `kill -9` and power cuts.

Decides the statements, and what a failed commit may have left behind. Must not know the file's schema
version, lock or identity (sqlite_file does), or what the numbers mean. Proof: tests/store/.

The connection may be used from any thread, by one at a time: the driver commits from one worker thread
and reads only while no commit is under way.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import Entry, Reservation
from bankbook.core.ports import (
    Account,
    Changes,
    Genesis,
    Holding,
    Identity,
    KeyRecord,
    Position,
    ReservationRecord,
    ReservationState,
    StatedPosting,
)
from bankbook.core.types import (
    AccountId,
    BranchId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    reserving_branch,
)
from bankbook.core.vector import VersionVector
from bankbook.store.base import (
    KEYS_FORGOTTEN_MAX,
    CommitRefusedError,
    CommitUnknownError,
    StoreError,
    applied_after,
)
from bankbook.store.sqlite_file import OpenFile, explain, open_file, open_stopped_file

_INSERT_ORIGIN = "INSERT INTO origin (number, branch, incarnation, applied) VALUES (?, ?, ?, ?)"
_UPDATE_ORIGIN = "UPDATE origin SET applied = ? WHERE number = ?"
_END_ORIGIN = "UPDATE origin SET ended = ? WHERE number = ?"
_UPDATE_LIFE = "UPDATE origin SET is_over = ? WHERE number = ?"
_INSERT_ENTRY = "INSERT INTO log (origin, seq, entry) VALUES (?, ?, ?)"
_UPSERT_ACCOUNT = """
    INSERT INTO account (id, balance, floor, currency, reserved) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE
    SET balance = excluded.balance, floor = excluded.floor, currency = excluded.currency,
        reserved = excluded.reserved
"""
_UPSERT_HOLDING = """
    INSERT INTO holding (account, origin, last_seq, rights) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, origin) DO UPDATE SET last_seq = excluded.last_seq, rights = excluded.rights
"""
_INSERT_POSTING = """
    INSERT INTO posting (account, clock, writer, seq, leg, amount) VALUES (?, ?, ?, ?, ?, ?)
"""
_REPLACE_KEY = """
    REPLACE INTO key (key, fingerprint, origin, seq, clock, moved_to) VALUES (?, ?, ?, ?, ?, ?)
"""
_FORGET_KEYS = """
    DELETE FROM key WHERE key IN (SELECT key FROM key WHERE clock < ? ORDER BY clock LIMIT ?)
"""
_UPSERT_RESERVATION = """
    INSERT INTO reservation (id, account, amount, destination, expires_ms, left, state, branch)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET left = excluded.left, state = excluded.state
"""
_UPDATE_CLOCK = "UPDATE meta SET value = ? WHERE name = 'clock'"
_JOIN = "UPDATE meta SET value = 1 WHERE name = 'has joined'"
_COUNT_FAILURE = "UPDATE meta SET value = value + 1 WHERE name = 'failed commits'"

_SELECT_ORIGINS = "SELECT number, branch, incarnation, applied, ended, is_over FROM origin ORDER BY number"
_SELECT_META = """
    SELECT (SELECT value FROM meta WHERE name = 'clock'),
           (SELECT value FROM meta WHERE name = 'has joined')
"""
_SELECT_ACCOUNT = "SELECT balance, floor, currency, reserved FROM account WHERE id = ?"
_SELECT_HOLDINGS = "SELECT origin, last_seq, rights FROM holding WHERE account = ?"
_SELECT_KEY = "SELECT fingerprint, origin, seq, clock, moved_to FROM key WHERE key = ?"
_SELECT_RESERVATION = """
    SELECT account, amount, destination, expires_ms, left, state FROM reservation WHERE id = ?
"""
_SELECT_EXPIRING = """
    SELECT expires_ms, id FROM reservation
    WHERE branch = ? AND state = 'open' AND expires_ms IS NOT NULL ORDER BY expires_ms, id LIMIT ?
"""
# As bytes, the way an entry is compared and sent on.
_SELECT_ENTRIES = """
    SELECT CAST(entry AS BLOB) FROM log WHERE origin = ? AND seq > ? ORDER BY seq LIMIT ?
"""
_SUM_POSTINGS = """
    SELECT coalesce(sum(amount), 0) FROM posting
    WHERE account = ? AND (clock, writer, seq, leg) < (?, ?, ?, ?)
"""
_SELECT_POSTINGS = """
    SELECT clock, writer, seq, leg, amount FROM posting
    WHERE account = ? AND (clock, writer, seq, leg) > (?, ?, ?, ?) AND clock < ?
    ORDER BY clock, writer, seq, leg LIMIT ?
"""


class _Kept(NamedTuple):
    """What is held in memory besides the file, because every step reads it."""

    numbers: dict[Origin, int]
    """What the file calls each origin."""
    applied: VersionVector
    ended: Mapping[Origin, Seq]
    lives: Mapping[Origin, bool]
    clock: HybridTime
    has_joined: bool


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
        return cls._of(path, open_file(path, genesis, branch, incarnation))

    @classmethod
    def open_stopped(cls, path: Path) -> Self:
        """Open the store of a branch that does not run, to read it.

        Raises StoreError where the file cannot be used, StoreInUseError while its branch runs.
        """
        return cls._of(path, open_stopped_file(path))

    @classmethod
    def _of(cls, path: Path, file: OpenFile) -> Self:
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
        return self._kept.applied

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

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        for balance, floor, currency, reserved in self._select(_SELECT_ACCOUNT, account):
            lowest = None if floor is None else Money(floor)
            return Account(Money(balance), lowest, currency, Money(reserved))
        return None

    def holdings(self, account: AccountId) -> dict[Origin, Holding]:
        """Return what each log did to the account."""
        rows = self._select(_SELECT_HOLDINGS, account)
        return {self._origin(number): Holding(Seq(seq), Money(rights)) for number, seq, rights in rows}

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        for fingerprint, number, seq, clock, moved_to in self._select(_SELECT_KEY, key):
            entry = EntryId(self._origin(number), Seq(seq))
            branch = None if moved_to is None else BranchId(moved_to)
            return KeyRecord(fingerprint, entry, HybridTime(clock), branch)
        return None

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        for *terms, left, state in self._select(_SELECT_RESERVATION, reservation):
            return ReservationRecord(Reservation(*terms), Money(left), ReservationState(state))
        return None

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        return self._select(_SELECT_EXPIRING, branch, limit)

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        rows = self._select(_SELECT_ENTRIES, self._kept.numbers.get(origin), after, limit)
        entries = [self._decode(encoded) for (encoded,) in rows]
        found = [(entry.origin, entry.seq) for entry in entries]
        last = min(self._kept.applied[origin], after + limit)
        expected = [(origin, seq) for seq in range(after + 1, last + 1)]
        if found != expected:
            raise self._damaged(f"the entries {after + 1} to {last} of {origin} are not all in their places")
        return entries

    def moved_before(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings before `position`."""
        ((moved,),) = self._select(_SUM_POSTINGS, account, *_place(position))
        return Money(moved)

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`."""
        rows = self._select(_SELECT_POSTINGS, account, *_place(after), until, limit)
        return [
            StatedPosting(Position(HybridTime(clock), _origin_of(writer), Seq(seq), leg), Money(amount))
            for clock, writer, seq, leg, amount in rows
        ]

    def commit(self, changes: Changes) -> None:
        """Persist `changes` in one transaction; on return they are durable."""
        applied = applied_after(self._kept.applied, changes)
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
        ended = {**self._kept.ended, **changes.ended}
        has_joined = self._kept.has_joined or changes.has_joined
        lives = {**self._kept.lives, **changes.lives}
        self._keep(_Kept(numbers, applied, ended, lives, changes.clock, has_joined))

    def close(self) -> None:
        """Let go of the file. Closing twice is harmless."""
        self._connection.close()

    def _write(self, changes: Changes, applied: VersionVector) -> dict[Origin, int]:
        """Write everything inside the open transaction; return the numbers of all origins."""
        numbers = self._write_origins(changes, applied)
        self._write_accounts(changes, numbers)
        self._write_entries(changes, numbers)
        self._write_keys(changes, numbers)
        if changes.has_joined:
            self._connection.execute(_JOIN)
        self._connection.execute(_UPDATE_CLOCK, (changes.clock,))
        return numbers

    def _write_origins(self, changes: Changes, applied: VersionVector) -> dict[Origin, int]:
        numbers = dict(self._kept.numbers)
        written = {entry.origin for entry in changes.entries}
        # Who is granted rights may not have written anything yet.
        named = written.union(*changes.holdings.values(), changes.lives)
        fresh = sorted(named.difference(numbers))
        numbers.update(zip(fresh, range(len(numbers) + 1, len(numbers) + len(fresh) + 1), strict=True))
        execute_many = self._connection.executemany
        execute_many(_INSERT_ORIGIN, [(numbers[o], *o, applied[o]) for o in fresh])
        execute_many(_UPDATE_ORIGIN, [(applied[o], numbers[o]) for o in written.difference(fresh)])
        execute_many(_END_ORIGIN, [(seq, numbers[o]) for o, seq in changes.ended.items()])
        execute_many(_UPDATE_LIFE, [(is_over, numbers[o]) for o, is_over in changes.lives.items()])
        return numbers

    def _write_accounts(self, changes: Changes, numbers: dict[Origin, int]) -> None:
        execute_many = self._connection.executemany
        execute_many(_UPSERT_ACCOUNT, [(account, *state) for account, state in changes.accounts.items()])
        execute_many(
            _UPSERT_HOLDING,
            [
                (account, numbers[origin], *held)
                for account, holdings in changes.holdings.items()
                for origin, held in holdings.items()
            ],
        )
        execute_many(
            _UPSERT_RESERVATION,
            [
                (reservation, *record.terms, record.left, record.state.value, reserving_branch(reservation))
                for reservation, record in changes.reservations.items()
            ],
        )

    def _write_entries(self, changes: Changes, numbers: dict[Origin, int]) -> None:
        execute_many = self._connection.executemany
        execute_many(_INSERT_ENTRY, [(numbers[e.origin], e.seq, e.encoded.decode()) for e in changes.entries])
        execute_many(
            _INSERT_POSTING,
            [
                (account, entry.clock, _writer(entry.origin), entry.seq, leg, amount)
                for entry in changes.entries
                for leg, (account, amount) in enumerate(entry.postings)
            ],
        )

    def _write_keys(self, changes: Changes, numbers: dict[Origin, int]) -> None:
        self._connection.executemany(
            _REPLACE_KEY,
            [
                (key, known.fingerprint, numbers[known.entry.origin], known.entry.seq, *known[2:])
                for key, known in changes.keys.items()
            ],
        )
        if changes.forget_keys_before is not None:
            self._connection.execute(_FORGET_KEYS, (changes.forget_keys_before, KEYS_FORGOTTEN_MAX))

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
        """Take what every step reads into memory."""
        rows = self._select(_SELECT_ORIGINS)
        ((clock, has_joined),) = self._select(_SELECT_META)
        is_whole = isinstance(clock, int) and isinstance(has_joined, int)
        if not is_whole or [number for number, *_ in rows] != list(range(1, len(rows) + 1)):
            raise self._damaged("its clock, whether it has joined, or an origin is missing")
        numbers = {Origin(BranchId(branch), Incarnation(life)): number for number, branch, life, *_ in rows}
        logs = [(origin, *row[3:]) for origin, row in zip(numbers, rows, strict=True)]
        applied = VersionVector((origin, Seq(seq)) for origin, seq, *_ in logs)
        ended = {origin: Seq(end) for origin, _, end, _ in logs if end is not None}
        lives = {origin: bool(is_over) for origin, *_, is_over in logs if is_over is not None}
        self._keep(_Kept(numbers, applied, ended, lives, HybridTime(clock), bool(has_joined)))

    def _keep(self, kept: _Kept) -> None:
        self._kept = kept
        self._origins = {number: origin for origin, number in kept.numbers.items()}

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


def _writer(origin: Origin) -> int:
    """Return an origin as one int64 that is ordered as it is."""
    return origin.branch << 32 | origin.incarnation


def _origin_of(writer: int) -> Origin:
    return Origin(BranchId(writer >> 32), Incarnation(writer & 0xFFFFFFFF))


def _place(position: Position) -> tuple[int, int, int, int]:
    return position.clock, _writer(position.origin), position.seq, position.leg
