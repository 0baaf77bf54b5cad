"""What a branch takes from the machine it runs on: its clocks, its chance, and a thread for its disk.

Decides nothing. The simulator puts a machine of its own in this one's place (bankbook.simulation.branch).
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

# A disk is quick as long as no commit waits longer for it. One that hangs makes the whole branch stand still
# for that one commit; the next ones are made in a thread, and everybody else goes on meanwhile.
_QUICK_S = 0.005

# So many are made in a thread before the loop is tried again. In a thread there is no telling how long a
# commit waited for the disk: it waits for the loop, too.
_THREADED = 8


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
        """Commit. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Return once no commit is under way."""
        ...


class ThisMachine:
    """The machine that this process runs on."""

    def __init__(self, quick_s: float = _QUICK_S, threaded: float = _THREADED) -> None:
        """Make the first `threaded` commits in a thread, and as many after one that waited for `quick_s`."""
        self._quick_s, self._threaded = quick_s, threaded
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._left = threaded
        """How many more commits are made in a thread."""

    def read_clocks(self) -> Instant:
        """Return the machine's clocks, now."""
        return read_clocks()

    def first_question(self) -> int:
        """Return where the numbers of a new replica's questions start."""
        return secrets.randbits(QUESTION_BITS)

    async def commit(self, store: Store, changes: Changes) -> None:
        """Commit in a thread of its own, so that the next requests come in meanwhile. Raises StoreError.

        Where the disk is quick, the way to the thread and back would cost more than that brings: a tenth of
        what many callers are served, and of what a lone one waits.
        """
        if self._left > 0:
            self._left -= 1
            await asyncio.get_running_loop().run_in_executor(self._committer, store.commit, changes)
            return
        began_s, began_to_work_s = time.perf_counter(), time.thread_time()
        try:
            store.commit(changes)
        finally:
            worked_s = time.thread_time() - began_to_work_s
            if time.perf_counter() - began_s - worked_s >= self._quick_s:
                self._left = self._threaded

    async def close(self) -> None:
        """Return once no commit is under way."""
        await asyncio.to_thread(self._committer.shutdown)


def collect_rarely() -> None:
    """Look for garbage in cycles once in fifty thousand objects, and never among what was imported.

    Hardly anything here is in a cycle, and a batch of transfers makes thousands of objects: at the usual
    seven hundred, a third of a branch's time went into looking through them.

    What has been looked at twice is left alone until there are ten million more. A request that is held is
    some 60 objects, and a branch does nothing else while it looks: 100,000 requests took it two seconds.
    """
    gc.freeze()
    gc.set_threshold(50_000, 1, 100)
