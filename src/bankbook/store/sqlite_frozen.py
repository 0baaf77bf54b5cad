"""The tables of a SQLite store as they were at one moment, while the commits that follow write them.

Decides what is put aside before it is written over: rows that were not read yet, in temporary tables, which
are a file in SQLite's temporary folder where there are many, and gone with the process. So a copy of a store
comes to its end, however long it takes and however much is decided meanwhile. Must not know when the tables
are written, nor who reads them. Proof: tests/store/test_copying.py.
"""

from collections.abc import Collection
from contextlib import suppress
from sqlite3 import Error

import orjson

from bankbook.core.ports import ReservationRecord, Row
from bankbook.core.types import AccountId, ReservationId
from bankbook.store.base import StoreError
from bankbook.store.sqlite_file import OpenFile
from bankbook.store.sqlite_tables import Tables

# A row without holdings, or a state, was not there at that moment.
_BEGIN = (
    """
    CREATE TABLE temp.account_then (
        id TEXT PRIMARY KEY, balance INTEGER, floor INTEGER, currency TEXT, reserved INTEGER, holdings TEXT
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE temp.reservation_then (
        id TEXT PRIMARY KEY, account TEXT, amount INTEGER, destination TEXT, expires_ms INTEGER,
        left INTEGER, state TEXT
    ) WITHOUT ROWID
    """,
)
_END = ("DROP TABLE IF EXISTS temp.account_then", "DROP TABLE IF EXISTS temp.reservation_then")

# What stands there already is older: from the moment itself.
_PUT_ACCOUNTS_ASIDE = """
    INSERT OR IGNORE INTO temp.account_then
    SELECT value, balance, floor, currency, reserved, holdings
    FROM json_each(?) LEFT JOIN main.account AS now ON now.id = value WHERE value > ?
"""
_PUT_RESERVATIONS_ASIDE = """
    INSERT OR IGNORE INTO temp.reservation_then
    SELECT value, account, amount, destination, expires_ms, left, state
    FROM json_each(?) LEFT JOIN main.reservation AS now ON now.id = value WHERE value > ?
"""
# No row is ever removed from these tables, so every row of that moment is there now.
_SELECT_ACCOUNTS = """
    SELECT now.id, iif(aside.id IS NULL, now.balance, aside.balance),
           iif(aside.id IS NULL, now.floor, aside.floor),
           iif(aside.id IS NULL, now.currency, aside.currency),
           iif(aside.id IS NULL, now.reserved, aside.reserved),
           iif(aside.id IS NULL, now.holdings, aside.holdings)
    FROM main.account AS now LEFT JOIN temp.account_then AS aside ON aside.id = now.id
    WHERE now.id > ? AND (aside.id IS NULL OR aside.holdings IS NOT NULL) ORDER BY now.id LIMIT ?
"""
_SELECT_RESERVATIONS = """
    SELECT now.id, iif(aside.id IS NULL, now.account, aside.account),
           iif(aside.id IS NULL, now.amount, aside.amount),
           iif(aside.id IS NULL, now.destination, aside.destination),
           iif(aside.id IS NULL, now.expires_ms, aside.expires_ms),
           iif(aside.id IS NULL, now.left, aside.left), iif(aside.id IS NULL, now.state, aside.state)
    FROM main.reservation AS now LEFT JOIN temp.reservation_then AS aside ON aside.id = now.id
    WHERE now.id > ? AND (aside.id IS NULL OR aside.state IS NOT NULL) ORDER BY now.id LIMIT ?
"""


class FrozenTables:
    """See bankbook.store.copying.Frozen. One of them at a time, in one file."""

    def __init__(self, file: OpenFile, tables: Tables) -> None:
        """From this moment on. Raises sqlite3.Error."""
        self._file = file
        self._tables = tables
        self._account: AccountId | None = AccountId("")
        """Up to where accounts were read; None: all."""
        self._reservation: ReservationId | None = ReservationId("")
        self.is_over = False
        """Whether nobody can say any more how the tables were."""
        for statement in (*_END, *_BEGIN):
            file.connection.execute(statement)

    def accounts_after(self, account: AccountId, limit: int) -> dict[AccountId, Row]:
        """Return at most `limit` accounts behind one, in order; those before are not asked for again."""
        rows = self._tables.read_rows(self._file.select(_SELECT_ACCOUNTS, account, limit))
        self._account = max(rows, default=None)
        return rows

    def reservations_after(
        self, reservation: ReservationId, limit: int
    ) -> dict[ReservationId, ReservationRecord]:
        """Return at most `limit` reservations behind one, in order; those before are not asked for again."""
        records = self._tables.read_reservations(self._file.select(_SELECT_RESERVATIONS, reservation, limit))
        self._reservation = max(records, default=None)
        return records

    def put_aside(self, accounts: Collection[AccountId], reservations: Collection[ReservationId]) -> None:
        """Be told what is going to be written; to be called before the transaction, in none.

        Where there is no room for it, this is over, and the commit is not harmed.
        """
        if self.is_over:
            return
        try:
            if accounts and self._account is not None:
                self._put(_PUT_ACCOUNTS_ASIDE, accounts, self._account)
            if reservations and self._reservation is not None:
                self._put(_PUT_RESERVATIONS_ASIDE, reservations, self._reservation)
        except (Error, StoreError):
            self.end()

    def _put(self, statement: str, names: Collection[str], read: str) -> None:
        self._file.connection.execute(statement, (orjson.dumps(list(names)).decode(), read))

    def end(self) -> None:
        """Put nothing aside any more. Ending twice is harmless."""
        if self.is_over:
            return
        self.is_over = True
        with suppress(Error):  # the next one, or the end of the process, removes what is left
            for statement in _END:
                self._file.connection.execute(statement)
