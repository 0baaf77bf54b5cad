"""The logs of a SQLite store, its keys, and what is kept beside them: all that each commit writes.

Decides their statements. Must not know transactions, or what the logs add up to. Proof: tests/store/.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import Entry
from bankbook.core.ports import Changes, CopyEnd, KeyRecord, Portion, Row
from bankbook.core.types import AccountId, BranchId, EntryId, Incarnation, Key, Origin, Seq
from bankbook.core.vector import VersionVector
from bankbook.store.base import KEYS_FORGOTTEN_MAX
from bankbook.store.sqlite_file import OpenFile
from bankbook.store.sqlite_schema import EMPTY

_INSERT_ORIGIN = "INSERT INTO origin (number, branch, incarnation, applied) VALUES (?, ?, ?, ?)"
_UPDATE_ORIGIN = "UPDATE origin SET applied = ? WHERE number = ?"
_BEGIN_SUMS = "UPDATE origin SET summing = applied"
_CONTINUE_SUMS = "UPDATE meta SET value = ? WHERE name = 'summed account'"
_END_SUMS = "UPDATE origin SET summed = coalesce(summing, summed), summing = NULL"
_END_ORIGIN = "UPDATE origin SET ended = ? WHERE number = ?"
_UPDATE_LIFE = "UPDATE origin SET is_over = ? WHERE number = ?"
_INSERT_ENTRY = "INSERT INTO log (origin, seq, entry) VALUES (?, ?, ?)"
_REPLACE_KEY = """
    REPLACE INTO key (key, fingerprint, origin, seq, clock, moved_to) VALUES (?, ?, ?, ?, ?, ?)
"""
_FORGET_KEYS = """
    DELETE FROM key WHERE key IN (SELECT key FROM key WHERE clock < ? ORDER BY clock LIMIT ?)
"""
_UPDATE_CLOCK = "UPDATE meta SET value = ? WHERE name = 'clock'"
_JOIN = "UPDATE meta SET value = 1 WHERE name = 'has joined'"
_DROP_ENTRIES = "DELETE FROM log WHERE origin = ? AND seq <= ?"
_NOTE_DROPPED = "UPDATE origin SET dropped = ? WHERE number = ?"
_NOTE_STATED = "UPDATE meta SET value = ? WHERE name = 'stated from'"
_BEGIN_COPY = "UPDATE meta SET value = 1 WHERE name = 'copying'"
_END_COPY = "UPDATE meta SET value = 0 WHERE name = 'copying'"
_TAKE_OVER = "UPDATE origin SET applied = ?, summed = ?, dropped = ?, ended = ? WHERE number = ?"
_COUNT_FAILURE = "UPDATE meta SET value = value + 1 WHERE name = 'failed commits'"

_SELECT_ORIGINS = """
    SELECT number, branch, incarnation, applied, dropped, summed, coalesce(summing, 0), ended, is_over
    FROM origin ORDER BY number
"""
_SELECT_META = """
    SELECT (SELECT value FROM meta WHERE name = 'clock'),
           (SELECT value FROM meta WHERE name = 'has joined'),
           (SELECT value FROM meta WHERE name = 'summed account'),
           (SELECT value FROM meta WHERE name = 'stated from'),
           (SELECT value FROM meta WHERE name = 'copying')
"""
_SELECT_OLDEST_KEY = "SELECT min(clock) FROM key"
_SELECT_KEY = "SELECT fingerprint, origin, seq, clock, moved_to FROM key WHERE key = ?"
# As bytes, the way an entry is compared and sent on.
_SELECT_ENTRIES = """
    SELECT CAST(entry AS BLOB) FROM log WHERE origin = ? AND seq > ? ORDER BY seq LIMIT ?
"""


class Kept(NamedTuple):
    """What is held in memory besides the file, because every step reads it."""

    numbers: dict[Origin, int]
    """What the file calls each origin."""
    origins: dict[int, Origin]
    """The same, the other way round; whoever reads tables shares it."""
    applied: VersionVector
    dropped: VersionVector
    """Up to where the logs are not kept any longer."""
    summed: VersionVector
    """Up to where the tables tell."""
    summing: VersionVector
    """Up to where they tell of the accounts up to `summed_account`."""
    summed_account: AccountId | None
    """None where they tell the same of all accounts."""
    ended: Mapping[Origin, Seq]
    lives: Mapping[Origin, bool]
    clock: HybridTime
    has_joined: bool
    stated_from: HybridTime
    is_copying: bool
    """Whether the tables have a part of a copy."""


class Logs:
    """The logs of one file. What is written is part of the open transaction.

    Reads raise StoreError, writes sqlite3.Error.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file

    def read_kept(self) -> Kept:
        """Return what the file has of that."""
        rows = self._file.select(_SELECT_ORIGINS)
        ((clock, has_joined, account, stated_from, copying),) = self._file.select(_SELECT_META)
        is_whole = all(isinstance(each, int) for each in (clock, has_joined, stated_from, copying))
        if not is_whole or [number for number, *_ in rows] != list(range(1, len(rows) + 1)):
            raise self._file.damaged("its clock, whether it has joined, or an origin is missing")
        numbers = {Origin(BranchId(branch), Incarnation(life)): number for number, branch, life, *_ in rows}
        logs = [(origin, *row[3:]) for origin, row in zip(numbers, rows, strict=True)]
        return Kept(
            numbers,
            {number: origin for origin, number in numbers.items()},
            VersionVector((origin, Seq(applied)) for origin, applied, *_ in logs),
            VersionVector((origin, Seq(dropped)) for origin, _, dropped, *_ in logs),
            VersionVector((origin, Seq(summed)) for origin, _, _, summed, *_ in logs),
            VersionVector((origin, Seq(summing)) for origin, _, _, _, summing, *_ in logs),
            None if account is None else AccountId(account),
            {origin: Seq(end) for origin, *_, end, _ in logs if end is not None},
            {origin: bool(is_over) for origin, *_, is_over in logs if is_over is not None},
            HybridTime(clock),
            bool(has_joined),
            HybridTime(stated_from),
            bool(copying),
        )

    def key(self, key: Key, kept: Kept) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        for fingerprint, number, seq, clock, moved_to in self._file.select(_SELECT_KEY, key):
            entry = EntryId(self._origin(number, kept), Seq(seq))
            branch = None if moved_to is None else BranchId(moved_to)
            return KeyRecord(fingerprint, entry, HybridTime(clock), branch)
        return None

    def entries(self, origin: Origin, after: Seq, limit: int, kept: Kept) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        assert after >= kept.dropped[origin], f"the entries of {origin} up to #{after + 1} were dropped"
        rows = self._file.select(_SELECT_ENTRIES, kept.numbers.get(origin), after, limit)
        entries = [self._decode(encoded) for (encoded,) in rows]
        found = [(entry.origin, entry.seq) for entry in entries]
        last = min(kept.applied[origin], after + limit)
        expected = [(origin, seq) for seq in range(after + 1, last + 1)]
        if found != expected:
            raise self._file.damaged(
                f"the entries {after + 1} to {last} of {origin} are not all in their places"
            )
        return entries

    def write(
        self, changes: Changes, applied: VersionVector, before: Mapping[Origin, int]
    ) -> dict[Origin, int]:
        """Write the logs, and what is kept beside them; return the numbers of all origins."""
        execute_many = self._file.connection.executemany
        numbers = self._write_origins(changes, applied, before)
        portion = changes.portion or Portion()
        execute_many(
            _INSERT_ENTRY,
            [(numbers[e.origin], e.seq, e.encoded.decode()) for e in (*changes.entries, *portion.entries)],
        )
        self._write_keys(changes, numbers)
        if changes.has_joined:
            self._file.connection.execute(_JOIN)
        self._file.connection.execute(_UPDATE_CLOCK, (changes.clock,))
        if portion.end is not None:
            self._take_over(portion.end, changes.clock, numbers)
        return numbers

    def _write_origins(
        self, changes: Changes, applied: VersionVector, before: Mapping[Origin, int]
    ) -> dict[Origin, int]:
        numbers = dict(before)
        written = {entry.origin for entry in changes.entries}
        # Who is granted rights may not have written anything yet.
        named = written.union(_origins_in(changes.rows), changes.lives)
        if changes.portion is not None:
            named |= _origins_of(changes.portion)
        fresh = sorted(named.difference(numbers))
        numbers.update(zip(fresh, range(len(numbers) + 1, len(numbers) + len(fresh) + 1), strict=True))
        execute_many = self._file.connection.executemany
        execute_many(_INSERT_ORIGIN, [(numbers[o], *o, applied[o]) for o in fresh])
        execute_many(_UPDATE_ORIGIN, [(applied[o], numbers[o]) for o in written.difference(fresh)])
        execute_many(_END_ORIGIN, [(seq, numbers[o]) for o, seq in changes.ended.items()])
        execute_many(_UPDATE_LIFE, [(is_over, numbers[o]) for o, is_over in changes.lives.items()])
        return numbers

    def _write_keys(self, changes: Changes, numbers: dict[Origin, int]) -> None:
        self._file.connection.executemany(
            _REPLACE_KEY,
            [
                (key, known.fingerprint, numbers[known.entry.origin], known.entry.seq, *known[2:])
                for key, known in changes.keys.items()
            ],
        )
        if changes.forget_keys_before is not None:
            self._file.connection.execute(_FORGET_KEYS, (changes.forget_keys_before, KEYS_FORGOTTEN_MAX))

    def begin_copy(self, *, is_first: bool) -> None:
        """Note that what follows is no more than a part; remove what was there of another one."""
        if is_first:
            self.leave_copy()
        self._file.connection.execute(_BEGIN_COPY)

    def leave_copy(self) -> None:
        """Remove a copy that is not whole."""
        for statement in EMPTY:
            self._file.connection.execute(statement)

    def _take_over(self, end: CopyEnd, clock: HybridTime, numbers: Mapping[Origin, int]) -> None:
        """Have all that was copied from now on."""
        rows = [(seq, seq, end.dropped[o], end.ended.get(o), numbers[o]) for o, seq in end.applied]
        self._file.connection.executemany(_TAKE_OVER, rows)
        self._file.connection.execute(_NOTE_STATED, (end.stated_from,))
        self._file.connection.execute(_UPDATE_CLOCK, (max(clock, end.clock),))
        self._file.connection.execute(_END_COPY)

    def oldest_key(self) -> HybridTime | None:
        """Return the clock of the oldest key; None where there is no key."""
        ((clock,),) = self._file.select(_SELECT_OLDEST_KEY)
        return None if clock is None else HybridTime(clock)

    def drop(self, upto: VersionVector, stated_from: HybridTime, numbers: Mapping[Origin, int]) -> None:
        """Remove the entries up to there, and note from which moment on all are there."""
        ends = [(numbers[origin], seq) for origin, seq in upto]
        self._file.connection.executemany(_DROP_ENTRIES, ends)
        self._file.connection.executemany(_NOTE_DROPPED, [(seq, number) for number, seq in ends])
        self._file.connection.execute(_NOTE_STATED, (stated_from,))

    def sum_up(self, account: AccountId | None, *, is_first: bool) -> None:
        """Note that the tables tell, up to this account, of all that was in the logs before the first slice.

        None: of all accounts.
        """
        connection = self._file.connection
        if is_first:
            connection.execute(_BEGIN_SUMS)
        if account is None:
            connection.execute(_END_SUMS)
        connection.execute(_CONTINUE_SUMS, (account,))

    def count_failure(self) -> None:
        """Write something small that changes the file."""
        self._file.connection.execute(_COUNT_FAILURE)

    def _origin(self, number: int, kept: Kept) -> Origin:
        if number not in kept.origins:
            raise self._file.damaged(f"there is no origin number {number}")
        return kept.origins[number]

    def _decode(self, encoded: bytes) -> Entry:
        try:
            return decode_entry(encoded)
        except EntryDamagedError as error:
            raise self._file.damaged(str(error)) from error


def _origins_in(rows: Mapping[AccountId, Row]) -> Iterable[Origin]:
    """Return the logs that touched these accounts."""
    return map(Origin.of_code, set(chain.from_iterable({row[4][::3] for row in rows.values()})))


def _origins_of(portion: Portion) -> set[Origin]:
    named = {entry.origin for entry in portion.entries}
    ends = portion.end.applied if portion.end is not None else ()
    return named.union(_origins_in(portion.rows), (origin for origin, _ in ends))
