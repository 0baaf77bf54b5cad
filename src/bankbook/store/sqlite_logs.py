"""The logs of a SQLite store, its keys, and what is kept beside them: all that each commit writes.

Decides their statements. Must not know transactions, or what the logs add up to. Proof: tests/store/.
"""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import Entry
from bankbook.core.ports import Changes, KeyRecord
from bankbook.core.types import AccountId, BranchId, EntryId, Incarnation, Key, Origin, Seq
from bankbook.core.vector import VersionVector
from bankbook.store.base import KEYS_FORGOTTEN_MAX
from bankbook.store.sqlite_file import OpenFile

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
_COUNT_FAILURE = "UPDATE meta SET value = value + 1 WHERE name = 'failed commits'"

_SELECT_ORIGINS = """
    SELECT number, branch, incarnation, applied, summed, coalesce(summing, 0), ended, is_over
    FROM origin ORDER BY number
"""
_SELECT_META = """
    SELECT (SELECT value FROM meta WHERE name = 'clock'),
           (SELECT value FROM meta WHERE name = 'has joined'),
           (SELECT value FROM meta WHERE name = 'summed account')
"""
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


class Logs:
    """The logs of one file. What is written is part of the open transaction.

    Reads raise StoreError, writes sqlite3.Error.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file

    def read_kept(self) -> Kept:
        """Return what the file has of that."""
        rows = self._file.select(_SELECT_ORIGINS)
        ((clock, has_joined, account),) = self._file.select(_SELECT_META)
        is_whole = isinstance(clock, int) and isinstance(has_joined, int)
        if not is_whole or [number for number, *_ in rows] != list(range(1, len(rows) + 1)):
            raise self._file.damaged("its clock, whether it has joined, or an origin is missing")
        numbers = {Origin(BranchId(branch), Incarnation(life)): number for number, branch, life, *_ in rows}
        logs = [(origin, *row[3:]) for origin, row in zip(numbers, rows, strict=True)]
        return Kept(
            numbers,
            {number: origin for origin, number in numbers.items()},
            VersionVector((origin, Seq(applied)) for origin, applied, *_ in logs),
            VersionVector((origin, Seq(summed)) for origin, _, summed, *_ in logs),
            VersionVector((origin, Seq(summing)) for origin, _, _, summing, *_ in logs),
            None if account is None else AccountId(account),
            {origin: Seq(end) for origin, *_, end, _ in logs if end is not None},
            {origin: bool(is_over) for origin, *_, is_over in logs if is_over is not None},
            HybridTime(clock),
            bool(has_joined),
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
        execute_many(_INSERT_ENTRY, [(numbers[e.origin], e.seq, e.encoded.decode()) for e in changes.entries])
        self._write_keys(changes, numbers)
        if changes.has_joined:
            self._file.connection.execute(_JOIN)
        self._file.connection.execute(_UPDATE_CLOCK, (changes.clock,))
        return numbers

    def _write_origins(
        self, changes: Changes, applied: VersionVector, before: Mapping[Origin, int]
    ) -> dict[Origin, int]:
        numbers = dict(before)
        written = {entry.origin for entry in changes.entries}
        # Who is granted rights may not have written anything yet.
        codes = set(chain.from_iterable({row[4][::3] for row in changes.rows.values()}))
        named = written.union(map(Origin.of_code, codes), changes.lives)
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
