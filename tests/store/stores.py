"""Every store there is, new and empty."""

from collections.abc import Callable
from pathlib import Path

from store.history import GENESIS, HERE, IDENTITY

from bankbook.store.base import Store
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore

NewStore = Callable[[Path], Store]


def new_memory(_folder: Path) -> Store:
    return MemoryStore(IDENTITY)


def new_sqlite(folder: Path) -> Store:
    return SqliteStore.create_or_open(folder / "store.db", GENESIS, HERE.branch, HERE.incarnation)


STORES = (new_memory, new_sqlite)
