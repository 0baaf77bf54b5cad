"""One simulated branch: the real driver, handler and core, on a machine that crashes where it is told to.

Decides what of a branch outlives a crash: its disk, and what it has sent. Must not know why it crashes.
Proof: tests/simulation/test_faults.py, tests/simulation/test_saboteurs.py.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random

from bankbook.core.clock import Instant
from bankbook.core.ports import Changes, Genesis, Identity
from bankbook.core.replica import Settings
from bankbook.core.token import TokenCodec
from bankbook.core.types import INCARNATION_MAX, BranchId, Incarnation, Origin
from bankbook.scenario.faults import CrashPoint
from bankbook.server.config import Delay
from bankbook.server.driver import QUIET_US, Driver
from bankbook.server.handler import Handler
from bankbook.server.machine import QUESTION_BITS
from bankbook.simulation.clock import Clocks
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.network import Network, branch_place
from bankbook.simulation.streams import SimulatedStreams
from bankbook.simulation.trace import Trace
from bankbook.store.base import Store, StoreError


class SimulatedMachine:
    """See bankbook.server.machine.Machine."""

    def __init__(
        self,
        clocks: Clocks,
        draw: Random,
        trace: Trace,
        commit_us: Callable[[], int],
        reach: Callable[[CrashPoint], None],
        awake: asyncio.Event,
        on_released: Callable[[], None],
    ) -> None:
        self._clocks = clocks
        self._now = clocks.read()
        """What they said last: as a commit begins, when it was decided."""
        self._quiet_until_us: int | None = None
        self._draw = draw
        self._trace = trace
        self._commit_us = commit_us
        self._reach = reach
        self._awake = awake
        self._on_released = on_released

    def read_clocks(self) -> Instant:
        """Return the machine's clocks, now."""
        self._now = self._clocks.read()
        return self._now

    def first_question(self) -> int:
        """Return where the numbers of a new replica's questions start."""
        return self._draw.getrandbits(QUESTION_BITS)

    async def commit(self, store: Store, changes: Changes) -> None:
        """Commit, which takes its time. Raises StoreError."""
        assert isinstance(store, SimulatedDisk), "a simulated branch has a simulated disk"
        try:
            await self._commit(store, changes)
            self._on_released()
        except StoreError as error:
            self._trace.note("commit failed", str(error))
            self._quiet_until_us = self._clocks.read().monotonic_us + QUIET_US
            raise

    async def _commit(self, store: SimulatedDisk, changes: Changes) -> None:
        store.decided_us = self._now.wall_us
        store.is_quiet = self._quiet_until_us is not None and self._now.monotonic_us < self._quiet_until_us
        half_s = self._commit_us() / 2e6
        await self._pass(CrashPoint.BEFORE_WRITE)
        store.write(changes)
        await asyncio.sleep(half_s)
        await self._pass(CrashPoint.BEFORE_SYNC)
        store.sync()
        await self._pass(CrashPoint.BEFORE_RELEASE)
        await asyncio.sleep(half_s)

    async def _pass(self, point: CrashPoint) -> None:
        """Go past a point, unless it is where this process dies: then nothing comes after it."""
        if not self._awake.is_set():
            await self._awake.wait()
        self._reach(point)
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Do nothing: nobody closes a simulated branch, it crashes."""


class SimulatedBranch:
    """A branch's machine and disk, and its process while it runs."""

    def __init__(
        self,
        number: BranchId,
        genesis: Genesis,
        settings: Settings,
        network: Network,
        clocks: Clocks,
        draw: Random,
        delay: Delay,
        find: Callable[[BranchId], "SimulatedBranch"],
        on_bug: Callable[[BaseException], None],
        on_commit: Callable[[SimulatedDisk, Changes], None],
    ) -> None:
        self.number = number
        self.place = branch_place(number)
        self.clocks = clocks
        self.commit_us = (200, 3_000)
        """How long a commit takes: the range it is drawn from."""
        self.crash_at: CrashPoint | None = None
        """Where it dies next."""
        self.down_us: int | None = None
        """How long it is down then; None: until everything is mended."""
        self.life: Life | None = None
        """Its process; None while it is down."""
        self.disk: SimulatedDisk
        self.lost_disks = 0
        self.awake = asyncio.Event()
        """Not set while its process is stopped, and no commit goes on."""
        self.awake.set()
        self.released_us = 0
        """When the last step that wrote something was released."""
        self.genesis = genesis
        self.settings = settings
        self.network = network
        self.draw = draw
        self.delay = delay
        self.find = find
        self.on_bug = on_bug
        self.on_commit = on_commit
        self.on_crash: Callable[[BranchId], None] = lambda _: None
        """Told each time its process dies."""
        self.create_disk()

    def on_released(self) -> None:
        """Note when the replies of a step that wrote something leave."""
        self.released_us = self.network.loop.now_us

    def create_disk(self) -> None:
        """Put in an empty disk."""
        origin = Origin(self.number, Incarnation(self.draw.randint(1, INCARNATION_MAX)))
        self.disk = disk = SimulatedDisk(Identity(origin, self.genesis))
        disk.committed = lambda changes: self.on_commit(disk, changes)  # type: ignore[method-assign]

    def lose_disk(self) -> None:
        """Crash, and put in an empty disk."""
        self.crash()
        self.lost_disks += 1
        self.create_disk()

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.life is None:
            self.network.trace.note("start", str(self.disk.identity.origin))
            self.life = Life(self)

    def crowd(self) -> None:
        """Have no room for a request that has to wait, as where a hundred thousand others do."""
        self._go_by(self.settings._replace(held_max=0))

    def make_room(self) -> None:
        """Have room again."""
        self._go_by(self.settings._replace(held_max=Settings().held_max))

    def _go_by(self, settings: Settings) -> None:
        self.settings = settings
        if self.life is not None:
            driver = self.life.driver
            driver._settings = driver._replica._context.settings = settings  # noqa: SLF001  (nobody else changes them)

    def pause(self) -> None:
        """Stop the process, as SIGSTOP does."""
        self.awake.clear()

    def go_on(self) -> None:
        """Let the process go on, as SIGCONT does."""
        self.awake.set()

    def crash(self) -> None:
        """Kill the process: only what is on the disk is left."""
        self.crash_at = None
        self.go_on()
        if self.life is not None:
            life, self.life = self.life, None
            self.network.trace.note("crash", str(self.number))
            self.on_crash(self.number)
            life.die()
            self.disk.crash(keeps_unsynced=self.draw.random() < 0.5)  # noqa: PLR2004  (a coin)

    def reach(self, point: CrashPoint) -> None:
        """Die here if so arranged."""
        if self.crash_at is point and self.life is not None:
            self.network.trace.note(f"crash {point}", str(self.number))
            self.crash()
            if self.down_us is not None:
                self.network.loop.call_later(self.down_us / 1e6, self.start)


class Life:
    """One life of a branch's process."""

    def __init__(self, branch: SimulatedBranch) -> None:
        self._branch = branch
        self._network = branch.network
        draw, disk = branch.draw, branch.disk
        self.streams = SimulatedStreams(
            self._network, disk.identity, branch.delay, draw, self._accepting, branch.on_bug
        )
        machine = SimulatedMachine(
            branch.clocks,
            draw,
            self._network.trace,
            lambda: draw.randint(*branch.commit_us),
            branch.reach,
            branch.awake,
            branch.on_released,
        )
        self.driver = Driver(disk, branch.settings, self.streams.send, self.streams.reset, machine)
        self.streams.driver = self.driver
        self.streams.on_send = self._on_send
        codec = TokenCodec(disk.identity.genesis.cluster)
        hold_limit_us = branch.settings.hold_limit_us
        self.handler = Handler(branch.number, self.driver, codec, hold_limit_us, branch.clocks.read)
        self.is_over = False
        self.ended = asyncio.get_running_loop().create_future()
        """Done once the process has died."""
        self._sends = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.serving: dict[asyncio.Task[object], None] = {}
        self._spawn(self.driver.run(), "driver")
        for other in disk.identity.genesis.branches:
            if other != branch.number:
                self._spawn(self.streams.keep_connected(other), f"link to branch {other}")

    def serve(self, work: Coroutine[object, object, object]) -> asyncio.Task[object]:
        """Carry out a customer's call; it dies with the process."""
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self.serving[task] = None
        task.add_done_callback(self._on_served)
        return task

    def die(self) -> None:
        """End everything at once; nothing is said or written any more."""
        self.is_over = True
        self.streams.die()
        for task in [*self._tasks, *self.serving]:
            task.cancel()
        self.ended.set_result(None)

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{name} of {self._branch.place}")
        task.add_done_callback(self._on_ended)
        self._tasks.append(task)

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._branch.on_bug(bug)

    def _on_served(self, task: asyncio.Task[object]) -> None:
        del self.serving[task]
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._branch.on_bug(bug)

    def _accepting(self, number: BranchId) -> SimulatedStreams | None:
        life = self._branch.find(number).life
        return None if life is None else life.streams

    def _on_send(self) -> None:
        """Before a step's messages to one branch leave."""
        self._sends += 1
        self._branch.reach(CrashPoint.BEFORE_SEND)
        if self._sends % 2 == 0:
            self._branch.reach(CrashPoint.AMID_SEND)
