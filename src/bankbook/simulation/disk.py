"""A simulated disk with a branch's store on it: it outlives the branch, and fails as disks do.

Decides what a commit leaves behind. Must not know who commits, nor when. Like the real store it keeps a
commit whole or not at all; a write that was not synced is there or not after a crash, as the disk pleases.
Proof: tests/simulation/test_disk.py.
"""

from bankbook.core.ports import Changes
from bankbook.scenario.faults import CommitFault
from bankbook.store.base import CommitRefusedError, CommitUnknownError
from bankbook.store.memory import MemoryStore


class SimulatedDisk(MemoryStore):
    """See bankbook.store.base.Store. What is `write`n is there once it is `sync`ed."""

    unsynced: Changes | None = None
    """What was written and not yet synced."""
    fault: CommitFault | None = None
    """How the next commit fails."""
    is_full: bool = False
    decided_us: int = 0
    """What its branch's wall clock said when the last commit was decided."""
    dropped_min = 4
    """So little that dropping goes on for a while,"""
    copied_rows_max = 2
    """and so few that a copy takes a while."""
    is_quiet: bool = False
    """Whether that was just after a commit that failed: its branch wrote only what customers asked for."""

    def write(self, changes: Changes) -> None:
        """Hand over a commit, not yet durable. Raises CommitRefusedError where it certainly never will be."""
        if self.is_full:
            raise CommitRefusedError("the disk is full; make room")
        if self.fault is CommitFault.REFUSED:
            self.fault = None
            raise CommitRefusedError("the disk refused to write; see what is the matter with it")
        self.unsynced = changes

    def sync(self) -> None:
        """Make durable what was written. Raises CommitUnknownError where it may or may not be."""
        changes, self.unsynced = self.unsynced, None
        assert changes is not None, "something was written"
        fault, self.fault = self.fault, None
        if fault is not CommitFault.DOUBTFUL_LOST:
            super().commit(changes)
            self.committed(changes)
        if fault is not None:
            raise CommitUnknownError("the disk failed while it synced; see what is the matter with it")

    def commit(self, changes: Changes) -> None:
        """Write and sync at once."""
        self.write(changes)
        self.sync()

    def crash(self, *, keeps_unsynced: bool) -> None:
        """Cut the power: what was not synced is there, whole, or is not."""
        if self.unsynced is not None and keeps_unsynced:
            super().commit(self.unsynced)
            self.committed(self.unsynced)
        self.unsynced = None

    def committed(self, changes: Changes) -> None:
        """Be told of what is durable from now on; the judges listen here."""
