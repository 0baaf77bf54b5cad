"""What of a scenario's faults can be done to real processes, done to those that the launcher started.

Decides which faults these are, and what each does: SIGKILL and a later start, SIGSTOP and SIGCONT, a store
that is removed. Must not know what customers do meanwhile. Proof: tests/cli/test_run_faults.py.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from bankbook.core.types import BranchId
from bankbook.scenario.branches import KeptDown
from bankbook.scenario.faults import Fault, FaultKind
from bankbook.server.launcher import Launcher

_OF_THE_NETWORK = "between processes of one machine the network is what it is"
_OF_THE_MACHINE = "the branches share this machine's clocks and disks"
_OF_CUSTOMERS = "it takes a hundred thousand requests that wait"
_ONCE_IN_ORDER = "gRPC delivers once and in order"

LEFT_OUT: dict[FaultKind, str] = {
    FaultKind.DELAY: f"{_OF_THE_NETWORK}; --propagation-delay delays entries",
    FaultKind.LOSS: _ONCE_IN_ORDER,
    FaultKind.DUPLICATION: _ONCE_IN_ORDER,
    FaultKind.SLOW_LINK: _OF_THE_NETWORK,
    FaultKind.BROKEN_STREAM: _OF_THE_NETWORK,
    FaultKind.BROKEN_CALL: _OF_THE_NETWORK,
    FaultKind.PARTITION: _OF_THE_NETWORK,
    FaultKind.ONE_WAY_PARTITION: _OF_THE_NETWORK,
    FaultKind.CUSTOMER_CUT_OFF: _OF_THE_NETWORK,
    FaultKind.COMMIT_FAILURE: _OF_THE_MACHINE,
    FaultKind.CROWD: _OF_CUSTOMERS,
    FaultKind.FULL_DISK: _OF_THE_MACHINE,
    FaultKind.CLOCK_JUMP: _OF_THE_MACHINE,
}
"""What is not done to real processes, and why."""

# A slow branch stands still for so long, goes on for so long, and so on: as much as a commit that takes 0.8 s
# at the most in the simulator.
_STILL_S, _GOING_S = 0.4, 0.1


def what_is_left_out(faults: Iterable[Fault]) -> list[str]:
    """Return a sentence for each kind of fault that real processes are spared, or suffer otherwise."""
    kinds = Counter(fault.kind for fault in faults)
    told = [
        f"{number} {kind} left out: {LEFT_OUT[kind]}" for kind, number in kinds.items() if kind in LEFT_OUT
    ]
    if FaultKind.CRASH_POINT in kinds:
        told.append(
            f"{kinds[FaultKind.CRASH_POINT]} {FaultKind.CRASH_POINT} done as {FaultKind.CRASH}: where a real "
            "process is as it dies, nobody chooses"
        )
    return told


class Ordeal:
    """Does a scenario's faults to a launcher's branches. Nothing is stopped or down any more after `mend`."""

    def __init__(self, launcher: Launcher, kept: KeptDown, data: Path) -> None:
        """`data` has the branches' stores, each in a folder of its own."""
        self._launcher = launcher
        self._kept = kept
        self._data = data
        self.on_lost_disk: Callable[[BranchId], None] = lambda _branch: None
        self._stopped: dict[BranchId, int] = {}
        """The process ids of those that stand still."""
        self._has_lost_disk = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def suffer(self, faults: Iterable[Fault]) -> NoReturn:
        """Do each fault at its time, from now on, and then mend it; ends when cancelled."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for fault in sorted(faults, key=lambda each: each.at_us):
            await asyncio.sleep(max(began_s + fault.at_us / 1e6 - loop.time(), 0))
            for branch in fault.branches if fault.kind not in LEFT_OUT else ():
                task = asyncio.create_task(self._do(fault, branch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        await loop.create_future()
        raise AssertionError("nobody tells it anything")

    def mend(self) -> None:
        """Let everything that stands still go on, and what is down start again."""
        for task in self._tasks:
            task.cancel()
        for branch in list(self._stopped):
            self._go_on(branch)
        for branch in list(self._kept.down):
            self._kept.let_start(branch)

    async def _do(self, fault: Fault, branch: BranchId) -> None:
        match fault.kind:
            case FaultKind.PAUSE:
                self._stand_still(branch)
                await _last(fault)
                self._go_on(branch)
            case FaultKind.SLOW_BRANCH:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if fault.for_us is None else fault.for_us / 1e6):
                        await self._hobble(branch)
                self._go_on(branch)
            case FaultKind.LOST_DISK if self._has_lost_disk or self._kept.down:
                pass  # somebody has to remember everything, and who has joined is not looked at here
            case _:
                await self._die(fault, branch)

    async def _die(self, fault: Fault, branch: BranchId) -> None:
        if branch in self._kept.down:
            return
        self._kept.keep_down(branch)
        self._stopped.pop(branch, None)
        self._launcher.kill(branch)
        if fault.kind is FaultKind.LOST_DISK:
            self._has_lost_disk = True
            shutil.rmtree(self._data / f"branch-{branch}")
            self.on_lost_disk(branch)
        await _last(fault)
        self._kept.let_start(branch)

    async def _hobble(self, branch: BranchId) -> None:
        while True:
            self._stand_still(branch)
            await asyncio.sleep(_STILL_S)
            self._go_on(branch)
            await asyncio.sleep(_GOING_S)

    def _stand_still(self, branch: BranchId) -> None:
        if branch not in self._kept.down:
            self._stopped[branch] = pid = self._launcher.pid(branch)
            _signal(pid, signal.SIGSTOP)

    def _go_on(self, branch: BranchId) -> None:
        pid = self._stopped.pop(branch, None)
        # A branch that died meanwhile has another process now.
        if pid is not None and pid == self._launcher.pid(branch):
            _signal(pid, signal.SIGCONT)


async def _last(fault: Fault) -> None:
    """Return when it is over; without an end, when everything is mended."""
    await asyncio.sleep(fault.for_us / 1e6) if fault.for_us is not None else await asyncio.Event().wait()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
