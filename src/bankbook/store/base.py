"""What every store does: the core's reading port, and commit.

Decides the Protocol and the errors. Must not know any particular store.
Proof: tests/store/test_contract.py.
"""

from typing import Protocol

from bankbook.core.ports import Changes, Identity, Reader
from bankbook.core.vector import VersionVector

# What a balance can be: PostgreSQL's and SQLite's largest integer.
_INT64 = range(-(2**63), 2**63)


class StoreError(Exception):
    """A store could not be used; the message says why and what to do."""


class StoreMismatchError(StoreError):
    """This store belongs to another bank, another branch, or another version of the program."""


class CommitRefusedError(StoreError):
    """The commit failed, and certainly left nothing behind."""


class CommitUnknownError(StoreError):
    """The commit failed in a way that may have left all of it on the disk, or nothing."""


class Store(Reader, Protocol):
    """A branch's state. Not safe for two threads at once; the driver never does that."""

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        ...

    def commit(self, changes: Changes) -> None:
        """Persist `changes`, all or nothing; on return they are durable.

        Raises CommitRefusedError or CommitUnknownError; afterwards the store may be read, and shows
        what the disk has.
        """
        ...

    def close(self) -> None:
        """Let go of everything. Closing twice is harmless."""
        ...


def applied_after(applied: VersionVector, changes: Changes) -> VersionVector:
    """Return what is applied once `changes` are committed on top of `applied`.

    Asserts, before anything is written, that they follow it: a gap in a log could never be mended, and a
    write set beyond the log would hold its readers for ever.
    """
    for entry in changes.entries:
        after = applied[entry.origin]
        assert entry.seq == after + 1, f"{entry.origin}#{entry.seq} does not follow #{after}"
        applied = applied.raised(entry.origin, entry.seq)
    for account, state in changes.accounts.items():
        assert state.balance in _INT64, f"{account} at {state.balance}"
    for account, last_writes in changes.last_writes.items():
        assert applied.dominates(VersionVector(last_writes.items())), f"{account}: {last_writes}"
    return applied
