"""The tables that sum up the logs: accounts, statements and reservations, as of the last checkpoint.

Decides their statements, and what a row of theirs says. Must not know what is newer than they, nor when they
are written. Proof: tests/store/test_sqlite_file.py, tests/store/test_checkpoints.py.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain
from sqlite3 import Error
from typing import Any

import orjson

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Reservation
from bankbook.core.ports import (
    Holdings,
    Position,
    ReservationRecord,
    ReservationState,
    Row,
    logs_in,
)
from bankbook.core.types import AccountId, BranchId, Money, Origin, ReservationId, reserving_branch
from bankbook.store.base import StoreError
from bankbook.store.fresh import Block, FreshPostings, Leg, behind, blocks_of, moved_from, parsed
from bankbook.store.sqlite_file import OpenFile, explain

_UPSERT_ACCOUNT = """
    INSERT INTO account (id, balance, floor, currency, reserved, holdings) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE
    SET balance = excluded.balance, floor = excluded.floor, currency = excluded.currency,
        reserved = excluded.reserved, holdings = excluded.holdings
"""
_UPSERT_SEGMENT = """
    INSERT INTO segment (number, size, since, until) VALUES (?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE
    SET size = size + excluded.size, since = min(since, excluded.since), until = max(until, excluded.until)
"""
_INSERT_BLOCK = "INSERT INTO statement (segment, account, until, moved, postings) VALUES (?, ?, ?, ?, ?)"
_FORGET_BLOCKS = "DELETE FROM statement WHERE segment = ? AND account = ? AND until < ?"
_FORGET_SEGMENTS = """
    DELETE FROM segment WHERE until < ? AND NOT EXISTS (SELECT * FROM statement WHERE segment = number)
"""
_DELETE_BLOCK = "DELETE FROM statement WHERE segment = ? AND account = ? AND until = ?"
_UPSERT_RESERVATION = """
    INSERT INTO reservation (id, account, amount, destination, expires_ms, left, state, branch)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET left = excluded.left, state = excluded.state
"""

_SELECT_ACCOUNT = "SELECT id, balance, floor, currency, reserved, holdings FROM account WHERE id = ?"
_SELECT_ACCOUNTS = """
    SELECT id, balance, floor, currency, reserved, holdings
    FROM account WHERE id IN (SELECT value FROM json_each(?))
"""
# The account's place in each segment is looked up, one segment after the other.
_SELECT_BLOCKS = """
    SELECT number, postings FROM segment CROSS JOIN statement ON segment = number
    WHERE segment.until >= ? AND account = ? AND statement.until >= ? ORDER BY number, statement.until
"""
_SUM_BLOCKS = """
    SELECT coalesce(sum(moved), 0) FROM segment CROSS JOIN statement ON segment = number
    WHERE segment.until > ? AND account = ? AND statement.until > ?
"""
_SELECT_LAST_SEGMENT = "SELECT number, size FROM segment ORDER BY number DESC LIMIT 1"
_SELECT_OLD_SEGMENTS = "SELECT number FROM segment WHERE since < ?"
_SELECT_RESERVATION = """
    SELECT account, amount, destination, expires_ms, left, state FROM reservation WHERE id = ?
"""
_SELECT_EXPIRING = """
    SELECT expires_ms, id FROM reservation
    WHERE branch = ? AND state = 'open' AND expires_ms IS NOT NULL ORDER BY expires_ms, id LIMIT ?
"""

_NO_BLOCK: tuple[int, list[Leg]] = (0, [])


class Tables:
    """The tables of one file. Every call raises StoreError where they cannot be read."""

    def __init__(self, file: OpenFile, origins: Mapping[int, Origin], segment_rows: int) -> None:
        """`origins`: what the file calls each log; may grow later. `segment_rows`: see Bounds."""
        self._file = file
        self._origins = origins
        self._segment_rows = segment_rows

    def rows(self, accounts: Collection[AccountId]) -> dict[AccountId, Row]:
        """Return the rows of those of the accounts that are there."""
        if len(accounts) == 1:
            found = self._file.select(_SELECT_ACCOUNT, *accounts)
        else:
            found = self._file.select(_SELECT_ACCOUNTS, orjson.dumps(list(accounts)).decode())
        return self.read_rows(found)

    def read_rows(self, found: Iterable[tuple[Any, ...]]) -> dict[AccountId, Row]:
        """Return the rows of accounts that a statement has found."""
        return {
            account: (balance, floor, currency, reserved, self._holdings(account, held))
            for account, balance, floor, currency, reserved, held in found
        }

    def read_reservations(self, found: Iterable[tuple[Any, ...]]) -> dict[ReservationId, ReservationRecord]:
        """Return the reservations that a statement has found."""
        return {
            name: ReservationRecord(Reservation(*terms), Money(left), ReservationState(state))
            for name, *terms, left, state in found
        }

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where none is there."""
        for *terms, left, state in self._file.select(_SELECT_RESERVATION, reservation):
            return ReservationRecord(Reservation(*terms), Money(left), ReservationState(state))
        return None

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire, soonest first."""
        return self._file.select(_SELECT_EXPIRING, branch, limit)

    def moved_from(self, account: AccountId, position: Position) -> int:
        """Return the sum of the account's postings at `position` and behind it."""
        _, block = next(self._blocks(account, position.clock), _NO_BLOCK)
        if not block:
            return 0
        until = block[-1][0]
        ((moved,),) = self._file.select(_SUM_BLOCKS, until, account, until)
        return moved_from(block, position) + int(moved)

    def postings(self, account: AccountId, after: Position) -> Iterator[Leg]:
        """Yield the account's postings behind a position, in order."""
        for _, block in self._blocks(account, after.clock):
            yield from behind(block, after)

    def write_accounts(self, rows: Mapping[AccountId, Row], numbers: Mapping[Origin, int]) -> None:
        """Write the rows of accounts, in the transaction that is open. Raises sqlite3.Error."""
        self._file.connection.executemany(_UPSERT_ACCOUNT, _account_rows(rows, numbers))

    def write_reservations(self, records: Mapping[ReservationId, ReservationRecord]) -> None:
        """Write reservations, in the transaction that is open. Raises sqlite3.Error."""
        self._file.connection.executemany(
            _UPSERT_RESERVATION,
            [
                (reservation, *record.terms, record.left, record.state.value, reserving_branch(reservation))
                for reservation, record in sorted(records.items())
            ],
        )

    def write_postings(
        self, postings: FreshPostings, accounts: Iterable[AccountId], settled: HybridTime
    ) -> None:
        """Write these accounts' postings, in the transaction that is open. Raises Error or StoreError.

        `settled`: no posting that is here already is later. So only what came later than its place in a
        statement has to be put in among them.
        """
        last: list[Block] = []
        for account in accounts:
            if account in postings.by_account:
                last += postings.blocks(account, settled) or self._insert_among(account, postings)
        number, size = next(self._file.connection.execute(_SELECT_LAST_SEGMENT), (0, 0))
        self._insert(number if size < self._segment_rows else number + 1, last)

    def forget_postings(self, accounts: Collection[AccountId], before: HybridTime) -> None:
        """Remove these accounts' rows that have only older postings. Raises sqlite3.Error."""
        connection = self._file.connection
        for (segment,) in connection.execute(_SELECT_OLD_SEGMENTS, (before,)).fetchall():
            connection.executemany(_FORGET_BLOCKS, [(segment, account, before) for account in accounts])
        connection.execute(_FORGET_SEGMENTS, (before,))

    def _insert_among(self, account: AccountId, postings: FreshPostings) -> list[Block]:
        """Write postings into the account's rows where they belong; return the rows that go behind these."""
        legs, start = postings.legs(account), 0
        while start < len(legs):
            segment, block = next(self._blocks(account, legs[start][0]), _NO_BLOCK)
            if not block:
                break
            until = block[-1][0]
            end = bisect_right(legs, until, lo=start, key=_clock_of)
            self._file.connection.execute(_DELETE_BLOCK, (segment, account, until))
            self._insert(segment, blocks_of(account, sorted(block + legs[start:end])))
            start = end
        return blocks_of(account, legs[start:])

    def _insert(self, segment: int, blocks: list[Block]) -> None:
        if blocks:
            ends = [block.until for block in blocks]
            connection = self._file.connection
            connection.execute(_UPSERT_SEGMENT, (segment, len(blocks), min(ends), max(ends)))
            connection.executemany(_INSERT_BLOCK, [(segment, *block) for block in blocks])

    def _blocks(self, account: AccountId, start: int) -> Iterator[tuple[int, list[Leg]]]:
        """Yield the segment and the postings of each row from the one that has what was at `start` on."""
        try:
            with closing(self._file.connection.execute(_SELECT_BLOCKS, (start, account, start))) as cursor:
                for segment, text in cursor:
                    yield segment, parsed(text)
        except (ValueError, TypeError) as error:
            raise self._file.damaged(f"the statement of {account} cannot be understood ({error})") from error
        except Error as error:
            raise StoreError(explain(self._file.path, error)) from error

    def _holdings(self, account: AccountId, text: str) -> Holdings:
        try:
            held: list[tuple[Any, ...]] = orjson.loads(text)
            logs = sorted((self._origins[number].code, seq, rights) for number, seq, rights in held)
            return _checked(tuple(chain.from_iterable(logs)))
        except KeyError as error:
            raise self._file.damaged(f"there is no origin number {error}") from error
        except (ValueError, TypeError) as error:
            raise self._file.damaged(f"the holdings of {account} cannot be understood ({error})") from error


def _checked(holdings: Holdings) -> Holdings:
    if not set(map(type, holdings)) <= {int}:
        raise TypeError("a log's holding has three integers")
    return holdings


def _clock_of(leg: Leg) -> int:
    return leg[0]


def _account_rows(
    rows: Mapping[AccountId, Row], numbers: Mapping[Origin, int]
) -> Iterator[tuple[str | int | None, ...]]:
    called = {origin.code: number for origin, number in numbers.items()}
    for account, (*state, holdings) in rows.items():
        held = ",".join([f"[{called[code]},{seq},{rights}]" for code, seq, rights in logs_in(holdings)])
        yield account, *state, f"[{held}]"
