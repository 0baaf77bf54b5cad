"""Which files a SQLite store takes for its own, what it tells a person, and what a person sees in one."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from store.history import (
    ALICE,
    BOB,
    FOR_EVER,
    GENESIS,
    HERE,
    IDENTITY,
    SILENT,
    START,
    THERE,
    THERE_REBORN,
    changes_by,
    entry_of,
    granted,
    moved,
    opening_entry,
    posting_entry,
    reserved,
)

from bankbook.core.clock import HybridTime
from bankbook.core.columns import Columns
from bankbook.core.encoding import make_entry
from bankbook.core.entry import MoveRecords, Record, RecordKind, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Holding, KeyRecord
from bankbook.core.types import BranchId, EntryId, Incarnation, Key, Money, Seq, reservation_id
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import sqlite_file, sqlite_frozen, sqlite_logs, sqlite_tables
from bankbook.store.base import CommitRefusedError, StoreError, StoreInUseError, StoreMismatchError
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sqlite_schema import APPLICATION_ID, SCHEMA

ORDER = Key("2/order-17")
ENTRIES = (
    posting_entry(HERE, 1, ("alice", -40), ("bob", 40)),
    posting_entry(THERE, 1, ("alice", 7)),
    opening_entry(HERE, 2, "till", None, "EUR"),
    entry_of(HERE, 3, granted("alice", SILENT, 25), reserved("alice", 5, "bob", 77), key=ORDER),
)
RESERVED = reservation_id(ENTRIES[3].id, 1)


def open_store(
    path: Path, genesis: Genesis = GENESIS, branch: int = HERE.branch, incarnation: int = HERE.incarnation
) -> SqliteStore:
    return SqliteStore.create_or_open(path, genesis, BranchId(branch), Incarnation(incarnation))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with a few entries in it."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        changes = changes_by(store, *ENTRIES)
        changes.has_joined = True
        store.commit(changes)
    return path


def edit(path: Path, *statements: str) -> None:
    """Change a store as a person with sqlite3 might."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def ask(path: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_a_branch_restarts_and_reads_what_it_had_committed(path: Path) -> None:
    with closing(open_store(path)) as store:
        assert store.applied() == VersionVector([(HERE, Seq(3)), (THERE, Seq(1))])
        assert store.clock() == 3 << 16
        assert store.account(ALICE) == Account(Money(67), reserved=Money(5))
        assert store.account(BOB) == Account(Money(140))
        assert store.holdings(ALICE) == {
            HERE: Holding(Seq(3), Money(-70)),
            THERE: Holding(Seq(1), Money(7)),
            SILENT: Holding(Seq(0), Money(25)),
        }
        assert store.key(ORDER) == KeyRecord("f", ENTRIES[3].id, ENTRIES[3].clock)
        assert store.expiring(HERE.branch, 9) == [(77, RESERVED)]
        assert [posting.amount for posting in store.postings(ALICE, START, FOR_EVER, 9)] == [-40, 7]
        assert store.has_joined()
        assert store.ended() == {}
        assert store.entries(HERE, Seq(0), 9) == [ENTRIES[0], ENTRIES[2], ENTRIES[3]]
        assert store.entries(THERE, Seq(0), 9) == [ENTRIES[1]]
        store.commit(changes_by(store, posting_entry(SILENT, 1, ("bob", 1))))
        assert store.holdings(BOB)[SILENT] == Holding(Seq(1), Money(1))


def test_a_branch_restarts_and_knows_which_logs_have_ended(path: Path) -> None:
    rejoining = Record(RecordKind.REJOINING, ended=(EntryId(THERE, Seq(1)),))
    with closing(open_store(path)) as store:
        store.commit(changes_by(store, entry_of(THERE_REBORN, 1, rejoining)))
    with closing(open_store(path)) as store:
        assert store.ended() == {THERE: 1}


def test_a_branch_restarts_and_knows_which_stores_were_replaced(path: Path) -> None:
    with closing(open_store(path)) as store:
        store.commit(Changes(lives={THERE: True, THERE_REBORN: False}))
    with closing(open_store(path)) as store:
        assert store.lives() == {THERE: True, THERE_REBORN: False}
        assert store.applied()[THERE_REBORN] == 0


def test_a_store_keeps_the_incarnation_it_was_created_with(path: Path) -> None:
    with closing(open_store(path, incarnation=999)) as store:
        assert store.identity == IDENTITY


def test_a_bank_without_an_opening_balance_has_the_same_identity_after_a_restart(tmp_path: Path) -> None:
    genesis = replace(GENESIS, opening_balance=None)
    for _ in range(2):
        with closing(open_store(tmp_path / "store.db", genesis)) as store:
            assert store.identity.genesis == genesis


def test_the_folders_on_the_way_to_a_new_store_are_made(tmp_path: Path) -> None:
    path = tmp_path / "bank" / "branch 1" / "store.db"
    open_store(path).close()
    assert path.is_file()


def test_a_store_that_was_closed_is_one_file(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


def test_an_acknowledged_commit_was_synced_and_not_only_written(path: Path) -> None:
    with closing(open_store(path)) as store:
        pragmas = {
            name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "fullfsync", "locking_mode", "foreign_keys")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "locking_mode": "exclusive",
        "foreign_keys": 1,
    }


@pytest.mark.parametrize(
    ("genesis", "branch", "sentence"),
    [
        (replace(GENESIS, cluster="other"), 1, "cluster bank-of-tests instead of other"),
        (GENESIS, 2, "branch 1 instead of 2"),
        (replace(GENESIS, branches=(BranchId(1), BranchId(2))), 1, "branches 1,2,3 instead of 1,2"),
        (replace(GENESIS, opening_balance=Money(0)), 1, "opening balance 100 instead of 0"),
        (replace(GENESIS, opening_balance=None), 1, "opening balance 100 instead of none"),
        (
            replace(GENESIS, cluster="other"),
            3,
            "cluster bank-of-tests instead of other, branch 1 instead of 3",
        ),
    ],
)
def test_a_branch_is_started_on_anothers_store(
    path: Path, genesis: Genesis, branch: int, sentence: str
) -> None:
    with pytest.raises(StoreMismatchError) as raised:
        open_store(path, genesis, branch)
    assert f"{path} has {sentence}: choose another --data directory" in str(raised.value)
    open_store(path).close()


@pytest.mark.parametrize(
    ("version", "statement"),
    [
        (3, "UPDATE meta SET value = 3 WHERE name = 'schema version'"),
        (7, "UPDATE meta SET value = 7 WHERE name = 'schema version'"),
    ],
)
def test_a_store_written_by_an_earlier_or_a_later_program_is_left_alone(
    path: Path, version: int, statement: str
) -> None:
    edit(path, statement)
    before = path.read_bytes()
    with pytest.raises(
        StoreMismatchError, match=f"schema version {version}, and this program knows version 6: use"
    ):
        open_store(path)
    assert path.read_bytes() == before


# How the table of statements ended before it had segments: as rows with an index, and before that as a tree.
FORMER_ENDS = {
    "rows": "UNIQUE (account, until, moved)) STRICT",
    "tree": "PRIMARY KEY (account, until)) STRICT, WITHOUT ROWID",
}


def as_version_5(path: Path, source: Path, form: str = "rows", version: int = 5) -> None:
    """Make a file as it was before statements had segments, with what `source` has."""
    schema = [each for each in SCHEMA if not re.search("TABLE segment|INDEX statement_by_account", each)]
    schema = [
        re.sub("(postings TEXT NOT NULL) (.*\n *)\\) STRICT", rf"\1,\2{FORMER_ENDS[form]}", each)
        for each in schema
    ]
    schema = [
        re.sub(r"\n +segment .*", "", each).replace(
            "segment CROSS JOIN statement ON segment = number", "statement"
        )
        for each in schema
    ]
    if version == 4:  # before entries were dropped
        schema = [re.sub(r"\n +dropped .*\n +CHECK \(dropped .*", "", each) for each in schema]
    assert ("dropped" in "".join(schema), "segment" in "".join(schema)) == (version == 5, False)
    with closing(sqlite3.connect(path)) as connection:
        for statement in (f"PRAGMA application_id = {APPLICATION_ID}", *schema):
            connection.execute(statement)
        connection.execute("ATTACH ? AS source", (str(source),))
        for table in ("meta", "origin", "log", "account", "statement", "key", "reservation"):
            found = connection.execute(f"PRAGMA main.table_info({table})")
            columns = ", ".join(name for _, name, *_ in found)
            copied = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}"  # noqa: S608  (ours)
            connection.execute(copied)
        connection.commit()
    edit(path, f"UPDATE meta SET value = {version} WHERE name = 'schema version'")  # noqa: S608  (ours)
    if version == 4:
        edit(path, "DELETE FROM meta WHERE name IN ('stated from', 'copying')")


def as_version_4(path: Path, source: Path) -> None:
    as_version_5(path, source, "tree", version=4)


FORMER = {
    "version 5": as_version_5,
    "version 5, a tree": partial(as_version_5, form="tree"),
    "version 4": as_version_4,
}


@pytest.mark.parametrize("as_former", FORMER.values(), ids=FORMER)
def test_a_store_of_a_former_version_is_brought_up_to_date(
    path: Path, tmp_path: Path, as_former: Callable[[Path, Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "older.sqlite"
    as_former(older, path)
    with pytest.raises(StoreMismatchError, match="start its branch once, which brings it up to date"):
        SqliteStore.open_stopped(older)
    with closing(open_store(older)) as upgraded, closing(open_store(path)) as store:
        assert upgraded.identity == store.identity
        assert upgraded.applied() == store.applied()
        assert (upgraded.dropped(), upgraded.stated_from()) == (NOTHING, 0)
    assert "store.upgrading" in capsys.readouterr().out
    # To add a column is to change a table's text.
    for question in (
        "SELECT name, value FROM meta ORDER BY name",
        "SELECT name, sql FROM sqlite_schema WHERE tbl_name <> 'origin' ORDER BY name",
        "SELECT * FROM readable_statement",
        "SELECT account, until, moved, postings FROM statement ORDER BY account, until",
        "SELECT size, since, until FROM segment",
    ):
        assert ask(older, question) == ask(path, question)
    SqliteStore.open_stopped(older).close()
    assert "store.upgrading" not in capsys.readouterr().out


@pytest.mark.parametrize("as_former", FORMER.values(), ids=FORMER)
def test_a_store_of_a_former_version_is_written_as_any_other(
    path: Path, tmp_path: Path, as_former: Callable[[Path, Path], None]
) -> None:
    older = tmp_path / "older.sqlite"
    as_former(older, path)
    late, next_one = posting_entry(THERE, 2, ("alice", 9)), posting_entry(HERE, 4, ("alice", 3))
    for each in (older, path):
        for entry in (next_one, late):
            with closing(open_store(each)) as store:
                store.commit(changes_by(store, entry))
    with closing(open_store(older)) as one, closing(open_store(path)) as other:
        for account in (ALICE, BOB):
            stated = one.postings(account, START, FOR_EVER, 9)
            assert stated == other.postings(account, START, FOR_EVER, 9)
            for posting in stated:
                assert one.moved_from(account, posting.position) == other.moved_from(
                    account, posting.position
                )
    statements = "SELECT account, until, moved, postings FROM statement ORDER BY account, until"
    assert ask(older, statements) == ask(path, statements)


def test_a_former_store_without_a_statement_is_brought_up_to_date(tmp_path: Path) -> None:
    empty, older = tmp_path / "empty.sqlite", tmp_path / "older.sqlite"
    open_store(empty).close()
    as_version_5(older, empty)
    open_store(older).close()
    assert ask(older, "SELECT * FROM segment") == []


def test_a_store_of_another_branch_is_not_brought_up_to_date(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "older.sqlite"
    as_version_4(older, path)
    edit(older, "UPDATE meta SET value = 2 WHERE name = 'branch'")
    before = older.read_bytes()
    with pytest.raises(StoreMismatchError, match="branch 2 instead of"):
        open_store(older)
    assert older.read_bytes() == before
    assert "store.upgrading" not in capsys.readouterr().out, "that might have taken a minute"


def test_another_programs_database_is_left_exactly_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    edit(path, "CREATE TABLE places (url)")
    before = path.read_bytes()
    with pytest.raises(StoreMismatchError, match="of another program: choose another --data directory"):
        open_store(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    with closing(open_store(path)) as store:
        assert store.identity == IDENTITY


@pytest.mark.parametrize("content", [b"xy", b"not a database " * 1000], ids=["tiny", "long"])
def test_a_file_that_is_not_a_database_is_left_exactly_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is not a Bankbook store: choose another --data directory"):
        open_store(path)
    assert path.read_bytes() == content


def test_a_folder_stands_where_the_store_should_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder, and a store is a file"):
        open_store(tmp_path)


def test_a_file_stands_where_the_folder_should_be(path: Path) -> None:
    with pytest.raises(StoreError, match="could not be created: choose another --data directory"):
        open_store(path / "branch-1" / "store.db")


def test_a_file_stands_where_the_stores_own_folder_should_be(path: Path) -> None:
    with pytest.raises(StoreError, match="--data directory"):
        open_store(path / "store.db")


def test_a_store_that_is_open_in_this_process_is_refused_too(path: Path) -> None:
    with (
        closing(open_store(path)),
        pytest.raises(StoreError, match="is in use by another process: stop that one"),
    ):
        open_store(path)


def test_a_python_with_an_old_sqlite_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "SQLITE_VERSION_MIN", (99, 0, 0))
    with pytest.raises(StoreError, match=r"and a store needs 99\.0\.0 or later: use a newer Python"):
        open_store(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8192])


def overwrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        overwrite,
        lambda path: edit(path, "DELETE FROM log WHERE seq = 3"),
        lambda path: edit(path, "DELETE FROM log WHERE seq = 1"),
        lambda path: edit(path, "UPDATE origin SET applied = 5 WHERE number = 1"),
        lambda path: edit(path, "UPDATE origin SET applied = 0, summed = 0 WHERE number = 2"),
        lambda path: edit(path, "UPDATE origin SET applied = 1 WHERE number = 3"),
        lambda path: edit(path, "DELETE FROM origin WHERE number = 1"),
        lambda path: edit(path, "DELETE FROM meta WHERE name = 'clock'"),
        lambda path: edit(path, "DELETE FROM meta WHERE name = 'has joined'"),
        lambda path: edit(path, "DELETE FROM meta WHERE name = 'copying'"),
        lambda path: edit(path, "DELETE FROM meta WHERE name = 'stated from'"),
        lambda path: edit(path, "UPDATE origin SET dropped = 1 WHERE number = 1"),
        lambda path: edit(path, "DELETE FROM meta WHERE name = 'branches'"),
        lambda path: edit(path, "UPDATE meta SET value = 5 WHERE name = 'branches'"),
        lambda path: edit(path, "UPDATE meta SET value = '[1' WHERE name = 'branches'"),
        lambda path: edit(path, "DROP TABLE origin"),
        lambda path: edit(path, "DROP TABLE meta"),
    ],
    ids=[
        "cut short",
        "overwritten",
        "last entry lost",
        "first entry lost",
        "applied beyond the log",
        "a log that nothing was applied of",
        "no log for what was applied",
        "origin lost",
        "clock lost",
        "joining lost",
        "copying lost",
        "beginning of statements lost",
        "not dropped, what should be",
        "branches lost",
        "branches a number",
        "branches cut short",
        "no origins",
        "no meta",
    ],
)
def test_a_damaged_store_is_not_opened(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    with pytest.raises(StoreError) as raised:
        open_store(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM log WHERE seq = 2", "the entries 1 to 3 of .* are not all in their places"),
        (
            "UPDATE log SET entry = (SELECT entry FROM log WHERE seq = 1) WHERE seq = 2",
            "are not all in their places",
        ),
        ("UPDATE log SET entry = '{' WHERE seq = 2", "not an entry"),
        ("UPDATE log SET entry = CAST(x'ff' AS TEXT) WHERE seq = 2", "not an entry"),
        ("UPDATE log SET entry = replace(entry, '-40', '-41.5') WHERE seq = 1", "expected an integer"),
    ],
)
def test_a_damaged_entry_is_noticed_when_it_is_read(tmp_path: Path, statement: str, sentence: str) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        for seq in (1, 2, 3):
            store.commit(changes_by(store, posting_entry(HERE, seq, ("alice", -40))))
    edit(path, statement)
    with closing(open_store(path)) as store:
        with pytest.raises(StoreError, match=f"is damaged.*{sentence}"):
            store.entries(HERE, Seq(0), 9)
        assert store.account(ALICE) == Account(Money(-20)), "the rest can still be read"


def test_a_row_that_names_an_unknown_log_is_noticed_when_it_is_read(path: Path) -> None:
    edit(path, "UPDATE account SET holdings = '[[9,3,-70]]' WHERE id = 'alice'")
    edit(path, "UPDATE key SET origin = 9")
    with closing(open_store(path)) as store:
        with pytest.raises(StoreError, match="there is no origin number 9"):
            store.holdings(ALICE)
        with pytest.raises(StoreError, match="there is no origin number 9"):
            store.key(ORDER)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account SET holdings = '[[1,3,-70.5]]' WHERE id = 'alice'",
        "UPDATE account SET holdings = '[[1,3,99999999999999999999]]' WHERE id = 'alice'",
        "UPDATE account SET holdings = '[[1,true,-70]]' WHERE id = 'alice'",
    ],
)
def test_rights_that_are_no_integers_are_noticed_when_they_are_read(path: Path, statement: str) -> None:
    edit(path, statement)
    with (
        closing(open_store(path)) as store,
        pytest.raises(StoreError, match="the holdings of alice cannot be understood"),
    ):
        store.holdings(ALICE)


def test_a_store_that_is_closed_does_not_answer(path: Path) -> None:
    store = open_store(path)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.account(ALICE)


def test_a_person_reads_the_log_with_sqlite3(path: Path) -> None:
    first, second, third = (f"1970-01-01T00:00:00.00{ms}Z" for ms in (1, 2, 3))
    assert ask(path, "SELECT * FROM readable_log ORDER BY branch, seq") == [
        (1, "000a11ce", 1, first, "transfer", "carol", None, "alice -40, bob +40"),
        (1, "000a11ce", 2, second, "opening", "carol", None, None),
        (1, "000a11ce", 3, third, "grant, reservation", "carol", "2/order-17", None),
        (2, "00000b0b", 1, first, "deposit", "carol", None, "alice +7"),
    ]


def test_a_person_reads_all_that_a_batch_did(path: Path) -> None:
    batch = entry_of(
        HERE, 4, moved(("alice", 1), ("bob", -1)), Record(RecordKind.REFUSAL), moved(("till", 5))
    )
    with closing(open_store(path)) as store:
        store.commit(changes_by(store, batch))
    assert ask(path, "SELECT kinds, postings FROM readable_log WHERE branch = 1 AND seq = 4") == [
        ("transfer, refusal, deposit", "alice +1, bob -1, till +5")
    ]


def test_a_person_reads_how_many_movements_a_batch_had_and_each_in_a_statement(path: Path) -> None:
    columns = Columns(("alice", "bob"), (1, 0, 2), (2, 1, 0), (5, 7, 1))  # type: ignore[arg-type]
    moves = MoveRecords(columns, (Money(0),) * 3, (None, None), {2: Verdict(Outcome.INSUFFICIENT_FUNDS)})
    entry = make_entry(
        origin=HERE, seq=Seq(4), clock=HybridTime(4 << 16), dependencies=NOTHING, records=moves
    )
    with closing(open_store(path)) as store:
        store.commit(changes_by(store, entry))
    assert ask(path, "SELECT kinds, postings FROM readable_log WHERE branch = 1 AND seq = 4") == [
        ("movements", "3 among 2 accounts")
    ]
    of_entry = "FROM readable_statement WHERE branch = 1 AND seq = 4 ORDER BY account, amount"
    assert ask(path, f"SELECT account, amount {of_entry}") == [("alice", -5), ("alice", 7), ("bob", 5)]


def test_a_person_reads_who_wrote_to_an_account_and_what_became_of_their_rights(path: Path) -> None:
    assert ask(path, "SELECT * FROM readable_rights WHERE account = 'alice' ORDER BY branch") == [
        ("alice", 1, "000a11ce", 3, -70),
        ("alice", 2, "00000b0b", 1, 7),
        ("alice", 3, "0000deaf", 0, 25),
    ]


def test_a_person_reads_an_accounts_statement(path: Path) -> None:
    time = "1970-01-01T00:00:00.001Z"
    assert ask(path, "SELECT * FROM readable_statement WHERE account = 'alice'") == [
        ("alice", time, 1, "000a11ce", 1, -40, 60),
        ("alice", time, 2, "00000b0b", 1, 7, 67),
    ]


def test_a_person_reads_what_is_set_aside(path: Path) -> None:
    question = "SELECT account, amount, destination, expires_ms, left, state, branch FROM reservation"
    assert ask(path, question) == [("alice", 5, "bob", 77, 5, "open", 1)]


def test_every_table_and_every_column_says_what_it_is(path: Path) -> None:
    """SQLite keeps the comments of a CREATE statement: `.schema` shows them."""
    for (statement,) in ask(path, "SELECT sql FROM sqlite_schema WHERE type = 'table'"):
        head, *lines = statement.splitlines()
        columns = [line for line in lines if re.match(r" +[a-z_]+ +(TEXT|INTEGER|ANY)", line)]
        assert columns
        assert [line for line in (head, *columns) if "--" not in line] == []


# But for the few rows that are read once, when a store is opened, and those of segments, which are few.
READS = {
    name: statement
    for module in (sqlite_logs, sqlite_tables, sqlite_frozen)
    for name, statement in vars(module).items()
    if re.match("_SELECT|_SUM_BLOCKS|_FORGET|_DELETE", name)
    and name not in ("_SELECT_ORIGINS", "_SELECT_LAST_SEGMENT", "_SELECT_OLD_SEGMENTS")
}


@pytest.mark.parametrize("statement", READS.values(), ids=READS)
def test_no_statement_goes_through_a_whole_table_or_sorts(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for temporary in sqlite_frozen._BEGIN:
            connection.execute(temporary)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?")).fetchall()
    plan = [step for *_, step in rows]
    assert any(step.startswith("SEARCH") for step in plan)
    assert not [step for step in plan if re.match("USE TEMP|SCAN (?!CONSTANT ROW|json_each|segment)", step)]


def test_a_person_who_reads_one_accounts_statement_does_not_wait_for_all(path: Path) -> None:
    plan = ask(path, "EXPLAIN QUERY PLAN SELECT * FROM readable_statement WHERE account = 'alice'")
    (found,) = [step for *_, step in plan if re.search(r"\bstatement\b", step)]
    assert found.startswith("SEARCH statement USING INDEX statement_by_account (segment=? AND account=?")


def test_a_person_reads_whose_store_it_is(path: Path) -> None:
    assert dict(ask(path, "SELECT name, value FROM meta")) == {
        "schema version": 6,
        "cluster": "bank-of-tests",
        "branch": 1,
        "incarnation": 0xA11CE,
        "branches": "[1,2,3]",
        "opening balance": 100,
        "clock": 3 << 16,
        "has joined": 1,
        "failed commits": 0,
        "summed account": None,
        "stated from": 0,
        "copying": 0,
    }


def test_an_entry_in_the_file_is_the_text_that_travels(path: Path) -> None:
    assert ask(path, "SELECT entry FROM log WHERE origin = 1 AND seq = 1") == [(ENTRIES[0].encoded.decode(),)]


def test_the_account_table_is_the_sum_of_the_log(path: Path) -> None:
    sums = ask(
        path,
        """
        SELECT json_extract(leg.value, '$[0]'), 100 + sum(json_extract(leg.value, '$[1]'))
        FROM log, json_each(entry, '$.records') AS record, json_each(record.value, '$.postings') AS leg
        GROUP BY 1
        """,
    )
    assert sums == ask(path, "SELECT id, balance FROM account WHERE id <> 'till'")
    assert sums == ask(path, "SELECT account, 100 + sum(amount) FROM readable_statement GROUP BY account")


# The store of a branch that is stopped, for whoever audits it.


def test_whoever_audits_reads_a_stopped_branch_without_knowing_its_bank(path: Path) -> None:
    with closing(SqliteStore.open_stopped(path)) as store:
        assert store.identity == IDENTITY
        assert store.applied() == VersionVector([(HERE, Seq(3)), (THERE, Seq(1))])
        assert store.account(BOB) == Account(Money(140))
    with closing(open_store(path)) as store:
        assert store.applied()[HERE] == 3, "its branch goes on afterwards"


def test_whoever_audits_cannot_write(path: Path) -> None:
    with closing(SqliteStore.open_stopped(path)) as store:
        with pytest.raises(CommitRefusedError, match="readonly"):
            store.commit(changes_by(store, posting_entry(HERE, 4, ("alice", 1))))
        assert store.applied()[HERE] == 3


def test_the_store_of_a_branch_that_runs_is_not_for_others_to_read(path: Path) -> None:
    with closing(open_store(path)), pytest.raises(StoreInUseError, match="in use by another process"):
        SqliteStore.open_stopped(path)
    with (
        closing(SqliteStore.open_stopped(path)),
        pytest.raises(StoreInUseError, match="in use by another process"),
    ):
        open_store(path)


def test_a_store_to_be_read_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*: name the folder of one branch"):
        SqliteStore.open_stopped(tmp_path / "none" / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_a_text_and_another_programs_database_are_no_stores_to_read(tmp_path: Path) -> None:
    empty, text, other = (tmp_path / name for name in ("empty", "text", "other"))
    empty.touch()
    text.write_text("Dear diary, " * 1000)
    edit(other, "CREATE TABLE diary (entry TEXT)")
    for path, complaint in (
        (empty, "is empty"),
        (text, "not a Bankbook store"),
        (other, "database of another program"),
    ):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=complaint):
            SqliteStore.open_stopped(path)
        assert path.read_bytes() == before


def test_a_damaged_log_is_noticed_when_it_is_opened_to_be_read(path: Path) -> None:
    edit(path, "DELETE FROM log WHERE seq = 3")
    with pytest.raises(StoreError, match="should have the entries 1 to 3 and has the entries 1 to 2"):
        SqliteStore.open_stopped(path)
