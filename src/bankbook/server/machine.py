"""What a branch takes from the machine it runs on: its clocks, its chance, and a thread for its disk.

Decides nothing. The simulator puts a machine of its own in this one's place (bankbook.simulation.machine).
Proof: tests/server/test_driver.py.
"""

import asyncio
import gc
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from bankbook.core.clock import Instant
from bankbook.core.ports import Changes
from bankbook.store.base import Store

# A life's questions start at a random number of so many bits: two lives do not meet.
QUESTION_BITS = 48


def read_clocks() -> Instant:
    """Return this machine's clocks, now."""
    return Instant(time.monotonic_ns() // 1000, time.time_ns() // 1000)


class Machine(Protocol):
    """A machine, as one branch sees it."""

    def read_clocks(self) -> Instant:
        """Return the machine's clocks, now."""
        ...

    def first_question(self) -> int:
        """Return where the numbers of a new replica's questions start."""
        ...

    async def commit(self, store: Store, changes: Changes) -> None:
        """Commit, without keeping anybody but the caller waiting. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Return once no commit is under way."""
        ...


class ThisMachine:
    """The machine that this process runs on."""

    def __init__(self) -> None:
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def read_clocks(self) -> Instant:
        """Return the machine's clocks, now."""
        return read_clocks()

    def first_question(self) -> int:
        """Return where the numbers of a new replica's questions start."""
        return secrets.randbits(QUESTION_BITS)

    async def commit(self, store: Store, changes: Changes) -> None:
        """Commit in a thread of its own. Raises StoreError."""
        await asyncio.get_running_loop().run_in_executor(self._committer, store.commit, changes)

    async def close(self) -> None:
        """Return once no commit is under way."""
        await asyncio.to_thread(self._committer.shutdown)


def collect_rarely() -> None:
    """Look for garbage in cycles once in fifty thousand objects, and never among what was imported.

    Hardly anything here is in a cycle, and a batch of transfers makes thousands of objects: at the usual
    seven hundred, a third of a branch's time went into looking through them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
