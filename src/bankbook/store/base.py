"""What every store does: the core's reading port, and commit.

Decides the Protocol and the errors. Must not know any particular store.
Proof: tests/store/test_contract.py.
"""

from typing import Protocol

from bankbook.core.ports import Changes, Identity, Reader


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
