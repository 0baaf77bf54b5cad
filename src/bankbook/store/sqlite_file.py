"""The file behind a SQLite store: created or opened, locked, and known to be the right one.

Decides the settings and the sentences that a person reads when a file cannot be used. Must not know the
tables (sqlite_schema does), or what is committed or read later. Proof: tests/store/test_sqlite_file.py.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import structlog

from bankbook.core.ports import Genesis, Identity
from bankbook.core.types import BranchId, Incarnation, Money, Origin
from bankbook.store.base import StoreError, StoreInUseError, StoreMismatchError
from bankbook.store.sqlite_schema import APPLICATION_ID, EMPTY, SCHEMA, SCHEMA_VERSION, UPGRADES

# The first with STRICT tables and with the JSON functions built in; every Python 3.11 we know of has it.
SQLITE_VERSION_MIN = (3, 38, 0)

# Enough for the inner pages and the busy leaves of some million accounts; ten branches on one laptop
# together stay below half a gigabyte.
CACHE_KIB_MAX = 32 * 1024

# What the write-ahead log keeps of the disk after one commit that was much larger than the usual ones.
WAL_BYTES_KEPT_MAX = 16 * 1024 * 1024


class OpenFile(NamedTuple):
    """A file that is ours alone until it is closed."""

    path: Path
    connection: sqlite3.Connection
    identity: Identity
    is_read_only: bool

    def select(self, statement: str, *parameters: str | int | None) -> list[Any]:
        """Return all rows that a statement finds. Raises StoreError."""
        try:
            return self.connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(explain(self.path, error)) from error

    def damaged(self, what: str) -> StoreError:
        """Return the error for a file that cannot be right."""
        return StoreError(
            f"{self.path} is damaged, {what}: restore the file, or start again as a new incarnation"
        )


def open_file(path: Path, genesis: Genesis, branch: BranchId, incarnation: Incarnation) -> OpenFile:
    """Open the store in `path`; where there is none, create it with this identity.

    Raises StoreError where the file cannot be used, StoreMismatchError where it belongs to another bank
    or branch.
    """
    assert branch in genesis.branches, f"branch {branch} is none of {genesis.branches}"
    _check_version()
    _prepare_folder(path)
    origin = Origin(branch, incarnation)
    return _open(path, lambda connection: _claim(connection, path, genesis, origin), is_read_only=False)


def open_stopped_file(path: Path) -> OpenFile:
    """Open the store in `path`, whosever it is, to read it; nothing can be written.

    Raises StoreError where there is none or the file cannot be used, StoreInUseError while its branch runs.
    """
    _check_version()
    if not path.is_file():
        raise StoreError(f"there is no store {path}: name the folder of one branch, such as data/branch-1")
    return _open(path, lambda connection: _claim_to_read(connection, path), is_read_only=True)


def _open(path: Path, claim: Callable[[sqlite3.Connection], Identity], *, is_read_only: bool) -> OpenFile:
    try:
        connection = sqlite3.connect(
            path.absolute(),  # a bare ":memory:" would not be a file
            timeout=0,  # whoever holds the lock holds it for life, so there is nothing to wait for
            isolation_level=None,  # BEGIN and COMMIT stand in our code, where one can see them
            check_same_thread=False,  # a slow disk has a thread of its own; never two at once
        )
        try:
            return OpenFile(path, connection, claim(connection), is_read_only)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        is_busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        raise (StoreInUseError if is_busy else StoreError)(explain(path, error)) from error


def explain(path: Path, error: sqlite3.Error) -> str:
    """Return what SQLite's error means for the store in `path`, and what to do, in one sentence."""
    code = (
        getattr(error, "sqlite_errorcode", 0) & 0xFF
    )  # an extended code keeps the plain one in its low byte
    meaning = _MEANINGS.get(code, "could not be used: restore the file, or choose another --data directory")
    return f"{path} {meaning} ({error})"


_MEANINGS = {
    sqlite3.SQLITE_BUSY: "is in use by another process: stop that one, or choose another --data directory",
    sqlite3.SQLITE_NOTADB: "is not a Bankbook store: choose another --data directory",
    sqlite3.SQLITE_CORRUPT: "is damaged: move it away and start again as a new incarnation",
    sqlite3.SQLITE_FULL: "could not be written, the disk is full: make room",
    sqlite3.SQLITE_READONLY: "could not be written: give this user write permission",
    sqlite3.SQLITE_IOERR: "could not be read or written: check the disk",
    sqlite3.SQLITE_CANTOPEN: (
        "could not be opened: give this user permission to read and write it and its folder, "
        "or choose another --data directory"
    ),
}


def _check_version() -> None:
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise StoreError(
            f"this Python comes with SQLite {sqlite3.sqlite_version}, and a store needs "
            f"{'.'.join(map(str, SQLITE_VERSION_MIN))} or later: use a newer Python"
        )


def _prepare_folder(path: Path) -> None:
    """Make sure that `path` can be a file in a folder that survives a power cut."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder, and a store is a file: move the folder, or choose another --data directory"
        )
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            # A new folder is durable once the folder that lists it is. SQLite sees to the file itself.
            _sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(
            f"{path.parent} could not be created: choose another --data directory ({error})"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claim(connection: sqlite3.Connection, path: Path, genesis: Genesis, origin: Origin) -> Identity:
    """Take the file for this process, until it is closed or the process dies, and make sure it is ours.

    EXCLUSIVE keeps the file lock between transactions. The kernel holds it, so it ends with the process,
    `kill -9` included; a lock file would have to be removed by hand. Nothing is written before the file
    is known to be ours: switching to WAL would change another program's database.
    """
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    if _is_new(connection, path):
        _create(connection, Identity(origin, genesis))
    identity = _check_identity(connection, path, Identity(origin, genesis))
    _upgrade(connection, path)
    if _is_copying(connection):
        for statement in EMPTY:
            connection.execute(statement)
    _check_logs(connection, path)
    connection.execute("COMMIT")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    assert mode == "wal", f"SQLite chose journal mode {mode}"
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the disk's own cache
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB_MAX}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT_MAX}")
    return identity


def _claim_to_read(connection: sqlite3.Connection, path: Path) -> Identity:
    """Take the file as `_claim` does, and write nothing."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    if _is_new(connection, path):
        raise StoreError(f"{path} is empty: name the folder of a branch that has run")
    identity = _read_identity(connection, path)
    if (version := _schema_version(connection)) in UPGRADES:
        raise StoreMismatchError(
            f"{path} has schema version {version}: start its branch once, which brings it up to date"
        )
    if _is_copying(connection):
        raise StoreError(f"{path} has a part only of what another branch's store has: start its branch")
    _check_logs(connection, path)
    connection.execute("COMMIT")
    connection.execute("PRAGMA query_only = ON")
    return identity


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Make of a file of an earlier version one of this version; that may take a minute, and is done once."""
    while (version := _schema_version(connection)) in UPGRADES:
        structlog.get_logger().warning("store.upgrading", path=str(path), version=version)
        for statement in UPGRADES[version]:
            connection.execute(statement)


def _schema_version(connection: sqlite3.Connection) -> object:
    return connection.execute("SELECT max(value) FROM meta WHERE name = 'schema version'").fetchone()[0]


def _is_copying(connection: sqlite3.Connection) -> bool:
    """Whether the file has a copy of another branch's store that is not whole."""
    return bool(connection.execute("SELECT max(value) FROM meta WHERE name = 'copying'").fetchone()[0])


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing was ever written to the file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        return False
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application or objects:
        raise StoreMismatchError(
            f"{path} is an SQLite database of another program: choose another --data directory"
        )
    return True


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in SCHEMA:
        connection.execute(statement)
    genesis = identity.genesis
    connection.executemany(
        "INSERT INTO meta (name, value) VALUES (?, ?)",
        [
            ("schema version", SCHEMA_VERSION),
            ("cluster", genesis.cluster),
            ("branch", identity.origin.branch),
            ("incarnation", identity.origin.incarnation),
            ("branches", orjson.dumps(genesis.branches).decode()),
            ("opening balance", genesis.opening_balance),
            ("clock", 0),
            ("has joined", 0),
            ("failed commits", 0),
            ("summed account", None),
            ("stated from", 0),
            ("copying", 0),
        ],
    )


def _check_identity(connection: sqlite3.Connection, path: Path, expected: Identity) -> Identity:
    """Return the file's own identity: the expected one but for the incarnation."""
    found = _read_identity(connection, path)
    differences = [
        f"{name} {there} instead of {here}"
        for name, there, here in zip(_IDENTITY, _facts(found), _facts(expected), strict=True)
        if there != here
    ]
    if differences:
        raise StoreMismatchError(
            f"{path} has {', '.join(differences)}: choose another --data directory, "
            "or start the branch that this store belongs to"
        )
    return found


def _read_identity(connection: sqlite3.Connection, path: Path) -> Identity:
    rows = dict(connection.execute("SELECT name, value FROM meta"))
    if rows.get("schema version") not in {SCHEMA_VERSION, *UPGRADES}:
        raise StoreMismatchError(
            f"{path} has schema version {rows.get('schema version')}, and this program knows version "
            f"{SCHEMA_VERSION}: use the program that wrote it, or choose another --data directory"
        )
    try:
        return Identity(
            Origin(BranchId(rows["branch"]), Incarnation(rows["incarnation"])),
            Genesis(
                rows["cluster"],
                tuple(BranchId(branch) for branch in orjson.loads(rows["branches"])),
                None if rows["opening balance"] is None else Money(rows["opening balance"]),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged, its table meta cannot be understood: restore the file ({error!r})"
        ) from error


_IDENTITY = ("cluster", "branch", "branches", "opening balance")


def _facts(identity: Identity) -> tuple[str, ...]:
    """Return what must be the same whenever a store is opened, in the order of _IDENTITY."""
    genesis = identity.genesis
    return (
        genesis.cluster,
        str(identity.origin.branch),
        ",".join(map(str, genesis.branches)),
        "none" if genesis.opening_balance is None else str(genesis.opening_balance),
    )


def _check_logs(connection: sqlite3.Connection, path: Path) -> None:
    """Compare what is said of each log with its two ends: two lookups each, however long it is."""
    for branch, applied, dropped, *found in connection.execute(
        """
        SELECT branch, applied, dropped, (SELECT coalesce(min(seq), 0) FROM log WHERE origin = number),
               (SELECT coalesce(max(seq), 0) FROM log WHERE origin = number)
        FROM origin
        """
    ):
        # An origin that was only granted rights so far has an empty log.
        expected = [dropped + 1, applied] if applied > dropped else [0, 0]
        if found != expected:
            raise StoreError(
                f"{path} is damaged, a log of branch {branch} should have {_entries(*expected)} "
                f"and has {_entries(*found)}: restore the file, or start again as a new incarnation"
            )


def _entries(first: int, last: int) -> str:
    return f"the entries {first} to {last}" if last else "no entry"
