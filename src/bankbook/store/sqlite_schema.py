"""The tables of a SQLite store, with a comment on each column for whoever opens the file.

Decides what a file looks like, and for people how to read it. Must not know what is written when.
Proof: tests/store/test_sqlite_file.py, which reads the file as a person would.

`log` and `key` have every commit. `account`, `statement` and `reservation` follow from the log and are
written from time to time, in the order of accounts, some of them with each commit; `origin` and `meta` say up
to where they tell. A branch that was stopped has written them; after a crash the last entries of the log are
not in them yet.

Where entries are not kept for ever, `origin` says what was dropped of each log, and meta's `stated from` from
which moment on all of them are there, and so all that was posted.

`origin` gives every log a small number, because `log`, `account` and `key` repeat it in each of their
rows. WITHOUT ROWID makes a table one tree, in the order of its key: a log is read as one range, and no second
index has to be kept. The rows of `statement` are an exception: they stand one behind the other as they were
written, those of many accounts on each page, where in a tree each account's last row has a page of its own to
be read and written. Their index has `moved` too, so that a sum needs no more. It begins with the segment, a
number that changes after so many rows: what is written goes into the small part of the index that is the last
segment's, but for what came late, and an account is looked up in one part after the other.

A hybrid clock reading is milliseconds since 1970 × 2^16, plus a counter.
"""

import re
from collections.abc import Mapping, Sequence

SCHEMA_VERSION = 6

# "bank" in ASCII. SQLite keeps this number in the file's header, where `file` shows it too, so another
# program's database is never mistaken for an empty or a damaged store.
APPLICATION_ID = 0x62616E6B

_TABLES = (
    """
    CREATE TABLE meta (  -- whose store this is, and the numbers that are kept beside its logs
        name  TEXT PRIMARY KEY,  -- of a fact
        value ANY                -- opening balance NULL: accounts are opened one by one
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE origin (  -- the writers of logs: a branch in one of its incarnations
        number      INTEGER PRIMARY KEY,  -- what other tables call it; means nothing outside this file
        branch      INTEGER NOT NULL,     -- its number in the bank
        incarnation INTEGER NOT NULL,     -- drawn at random when the branch's store was created
        applied     INTEGER NOT NULL CHECK (applied >= 0),        -- the last seq of its log; 0: none yet
        dropped     INTEGER NOT NULL DEFAULT 0              -- up to which seq it is not kept any longer, as
                    CHECK (dropped BETWEEN 0 AND summed),   -- every branch has it
        summed      INTEGER NOT NULL DEFAULT 0              -- up to which seq of it account, statement and
                    CHECK (summed BETWEEN 0 AND applied),   -- reservation tell; after a crash below applied,
        summing     INTEGER                                 -- and, of accounts up to meta 'summed account',
                    CHECK (summing BETWEEN summed AND applied),  -- up to this one; NULL: all up to summed
        ended       INTEGER CHECK (ended BETWEEN 1 AND applied),  -- where its log ends for ever; NULL: open
        is_over     INTEGER CHECK (is_over IN (0, 1)),            -- 1: the store was replaced; NULL: not met
        UNIQUE (branch, incarnation)
    ) STRICT
    """,
    """
    CREATE TABLE log (  -- every committed decision, as it travels between branches
        origin INTEGER NOT NULL REFERENCES origin (number),  -- who decided
        seq    INTEGER NOT NULL CHECK (seq >= 1),            -- its place in that log, without gaps
        entry  TEXT NOT NULL,                                -- JSON; readable_log shows what is in it
        PRIMARY KEY (origin, seq)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE account (  -- the sum of the log, of every account that an entry touched
        id       TEXT PRIMARY KEY,  -- its name; where meta has an opening balance, every name is an account
        balance  INTEGER NOT NULL,  -- minor units, as every amount in this file
        floor    INTEGER,           -- the balance it may not fall below; NULL: none
        currency TEXT NOT NULL,     -- empty: plain units
        reserved INTEGER NOT NULL CHECK (reserved >= 0),  -- what of its balance is set aside
        holdings TEXT NOT NULL      -- what each log did to it, as JSON; readable_rights shows what is in it
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE segment (  -- the parts of statement: so many rows as were written one behind the other
        number INTEGER PRIMARY KEY,  -- in the order in which they were begun
        size   INTEGER NOT NULL,     -- how many rows were written there
        since  INTEGER NOT NULL,     -- the earliest statement.until among them
        until  INTEGER NOT NULL      -- the latest
    ) STRICT
    """,
    """
    CREATE TABLE statement (  -- what was added to each account, in order, some postings in each row
        segment  INTEGER NOT NULL REFERENCES segment (number),  -- where the row was written
        account  TEXT NOT NULL REFERENCES account (id),  -- that received them
        until    INTEGER NOT NULL,  -- when the last of them was: milliseconds since 1970 × 65536 + a counter
        moved    INTEGER NOT NULL,  -- their sum
        postings TEXT NOT NULL      -- they, as JSON; readable_statement shows what is in it
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX statement_by_account  -- to find an account's rows in a segment, and to sum them up
    ON statement (segment, account, until, moved)
    """,
    """
    CREATE TABLE key (  -- idempotency keys, the callers' names for their requests; old ones are forgotten
        key         TEXT PRIMARY KEY,  -- as the caller sent it
        fingerprint TEXT NOT NULL,     -- of the request; empty where only a fence is known
        origin      INTEGER NOT NULL REFERENCES origin (number),  -- the log of the entry that says so
        seq         INTEGER NOT NULL,  -- that entry
        clock       INTEGER NOT NULL,  -- when: milliseconds since 1970 × 65536, plus a counter
        moved_to    INTEGER            -- the branch that decides it now; NULL: that entry decided it
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX key_by_clock ON key (clock)  -- to forget the oldest",
    """
    CREATE TABLE reservation (  -- money that was set aside
        id          TEXT PRIMARY KEY,  -- its branch.incarnation-seq-record, from the entry that made it
        account     TEXT NOT NULL REFERENCES account (id),  -- whose money it is
        amount      INTEGER NOT NULL,  -- what was set aside at first
        destination TEXT,              -- the account that receives what is captured; NULL: it leaves the bank
        expires_ms  INTEGER,           -- milliseconds since 1970, by its branch's clock; NULL: never
        left        INTEGER NOT NULL CHECK (left BETWEEN 0 AND amount),  -- what is set aside still
        state       TEXT NOT NULL  -- open while something is left, then how it ended
                    CHECK (state IN ('open', 'captured', 'released', 'expired')),
        branch      INTEGER NOT NULL   -- that made it, and alone decides on it
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE INDEX reservation_by_end ON reservation (branch, expires_ms)  -- to find what expires next
    WHERE state = 'open' AND expires_ms IS NOT NULL
    """,
)

_VIEWS = (
    """
    CREATE VIEW readable_log AS  -- one row for each entry; a batch has several records
    SELECT branch, printf('%08x', incarnation) AS incarnation, seq,
           strftime('%Y-%m-%dT%H:%M:%fZ', (json_extract(entry, '$.clock') >> 16) / 1000.0, 'unixepoch')
               AS time,
           iif(json_type(entry, '$.moves') IS NULL,
               (SELECT group_concat(json_extract(value, '$.kind'), ', ') FROM json_each(entry, '$.records')),
               'movements') AS kinds,
           json_extract(entry, '$.customer') AS customer,
           json_extract(entry, '$.key[0]') AS key,
           -- Of movements, which are columns, only how many there are: readable_statement has each.
           iif(json_type(entry, '$.moves') IS NULL,
               (SELECT group_concat(
                           printf('%s %+lld',
                                  json_extract(leg.value, '$[0]'), json_extract(leg.value, '$[1]')),
                           ', ')
                FROM json_each(entry, '$.records') AS record,
                     json_each(record.value, '$.postings') AS leg),
               printf('%d among %d accounts', json_array_length(entry, '$.moves.amounts'),
                      json_array_length(entry, '$.moves.accounts'))) AS postings
    FROM log JOIN origin ON number = origin
    """,
    """
    CREATE VIEW readable_rights AS  -- what each log did to each account
    -- Rights are what a branch may take out of an account without asking. Where meta has an opening
    -- balance, each branch began with an even share of it, which is not in here: only what came to
    -- that or went from it since, and so a number below 0 is no debt. last_seq: the log's last entry that
    -- touched the account; 0: it was only given rights.
    SELECT account.id AS account, branch, printf('%08x', incarnation) AS incarnation,
           json_extract(held.value, '$[1]') AS last_seq, json_extract(held.value, '$[2]') AS rights
    FROM account, json_each(holdings) AS held JOIN origin ON number = json_extract(held.value, '$[0]')
    """,
    """
    CREATE VIEW readable_statement AS  -- one row for each posting that is kept; balance: after it
    SELECT account, strftime('%Y-%m-%dT%H:%M:%fZ', (clock >> 16) / 1000.0, 'unixepoch') AS time,
           writer >> 32 AS branch, printf('%08x', writer & 0xffffffff) AS incarnation, seq, amount,
           (SELECT balance FROM account AS present WHERE id = stated.account)
               - coalesce(sum(amount) OVER (PARTITION BY account ORDER BY clock, writer, seq, leg
                                            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS balance
    FROM (SELECT account, json_extract(value, '$[0]') AS clock, json_extract(value, '$[1]') AS writer,
                 json_extract(value, '$[2]') AS seq, json_extract(value, '$[3]') AS leg,
                 json_extract(value, '$[4]') AS amount
          FROM segment CROSS JOIN statement ON segment = number, json_each(postings)) AS stated
    """,
)

SCHEMA = _TABLES + _VIEWS

_FROM_4_TO_5 = (
    """
    ALTER TABLE origin ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped BETWEEN 0 AND summed)
    """,
    "INSERT INTO meta (name, value) VALUES ('stated from', 0), ('copying', 0)",
    "DROP VIEW readable_log",
    "DROP VIEW readable_rights",
    "DROP VIEW readable_statement",
    *_VIEWS,
    "UPDATE meta SET value = 5 WHERE name = 'schema version'",
)
_FROM_5_TO_6 = (
    "DROP VIEW readable_statement",
    "ALTER TABLE statement RENAME TO statement_of_5",
    *(each for each in _TABLES if re.search("TABLE (segment|statement) ", each)),
    "INSERT INTO segment SELECT 0, count(*), min(until), max(until) FROM statement_of_5 GROUP BY NULL",
    """
    INSERT INTO statement (segment, account, until, moved, postings)
    SELECT 0, account, until, moved, postings FROM statement_of_5
    """,
    *(each for each in _TABLES if "INDEX statement_by_account" in each),
    "DROP TABLE statement_of_5",
    *(each for each in _VIEWS if "VIEW readable_statement" in each),
    "UPDATE meta SET value = 6 WHERE name = 'schema version'",
)

UPGRADES: Mapping[object, Sequence[str]] = {4: _FROM_4_TO_5, 5: _FROM_5_TO_6}
"""What makes of a file of a version one of the next. In version 4 everything was kept for ever; in version 5
one index had all statements."""

EMPTY = (
    "DELETE FROM statement",
    "DELETE FROM segment",
    "DELETE FROM reservation",
    "DELETE FROM account",
    "DELETE FROM key",
    "DELETE FROM log",
    "UPDATE meta SET value = 0 WHERE name = 'copying'",
)
"""What removes a copy of another branch's store that is not whole; whose store this is stays."""
