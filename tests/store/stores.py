"""Every store there is, new and empty."""

from collections.abc import Callable
from pathlib import Path

from store.history import GENESIS, HERE, IDENTITY

from bankbook.store.base import Store
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import Bounds

NewStore = Callable[[Path], Store]


def new_memory(_folder: Path) -> Store:
    return MemoryStore(IDENTITY)


def new_sqlite(folder: Path) -> Store:
    return open_sqlite(folder / "store.db", Bounds())


def new_sqlite_that_writes_its_tables_at_once(folder: Path) -> Store:
    return open_sqlite(
        folder / "store.db", Bounds(replay_max=1, slice_rows=1, clean_rows_max=1, segment_rows=2)
    )


def open_sqlite(path: Path, bounds: Bounds) -> SqliteStore:
    return SqliteStore.create_or_open(path, GENESIS, HERE.branch, HERE.incarnation, bounds)


STORES = (new_memory, new_sqlite, new_sqlite_that_writes_its_tables_at_once)
