"""One simulated bank: its branches, its network, its judge, all from one seed.

Decides what each seed begins with. Must not know what customers do or what goes wrong.
Proof: tests/simulation/test_determinism.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NoReturn

from bankbook.client.calls import Calls, Recording
from bankbook.client.recorder import Recorder
from bankbook.core.ports import Changes, Genesis
from bankbook.core.types import BranchId
from bankbook.history.record import FaultKind
from bankbook.server.config import NO_DELAY, BranchConfig, Delay
from bankbook.simulation.branch import SimulatedBranch
from bankbook.simulation.calls import SimulatedBank, SimulatedChannels
from bankbook.simulation.checks import Judge
from bankbook.simulation.clock import Clocks, VirtualLoop
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.network import Network, Place
from bankbook.simulation.trace import Trace

# In one of so many banks something happened long before the first customer comes, and is to be dropped.
PAST_ONE_IN = 5

# For how long it keeps entries, and what became of keys; and how long before that it was: both more than any
# clock ever jumps.
KEPT_US, AGO_US = 24 * 3_600_000_000, 30 * 24 * 3_600_000_000

# No two clocks are nearer than this, or further apart than an hour and a bit.
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What one bank is."""

    genesis: Genesis
    delay: Delay = NO_DELAY
    """How long entries are on their way, besides the network's own delay."""
    hold_limit_us: int = 30_000_000
    keeps_trace: bool = False
    has_past: bool = False
    """Whether something happened long before, to be dropped while customers come."""


def draws_past(seed: int) -> bool:
    """Return whether the random bank of this seed has a past."""
    return not Random(f"{seed}/old entries").randrange(PAST_ONE_IN)  # noqa: S311  (a seed, not a secret)


async def _has_a_header() -> NoReturn:
    raise AssertionError("whoever records a simulation says what the bank is")


class World:
    """A bank in virtual time. Make it inside of the loop."""

    def __init__(self, loop: VirtualLoop, seed: int, terms: Terms, recorder: Recorder | None = None) -> None:
        self.loop = loop
        self.seed = seed
        self.terms = terms
        self.recorder = recorder
        self.trace = Trace(loop, keeps_lines=terms.keeps_trace)
        self.network = Network(loop, self.trace, self.chance("network"))
        genesis = terms.genesis
        self.judge = Judge(loop, tuple(genesis.branches), genesis.opening_balance)
        self.failed = loop.create_future()
        """Fails with the first violation, or bug."""
        loop.on_circles = self.fail
        self.calls = 0
        self.branches = {number: self._make_branch(number) for number in genesis.branches}
        places = {branch.place: number for number, branch in self.branches.items()}
        self.network.on_cut = lambda source, target: self._on_cut(places.get(source), places.get(target))
        for branch in self.branches.values():
            branch.on_crash = self._on_crash
            self.judge.on_disk(branch.disk)
            branch.start()

    def chance(self, name: str) -> Random:
        """Return a source of chance of its own: what one part draws changes nothing for the others."""
        return Random(f"{self.seed}/{name}")  # noqa: S311  (a seed, not a secret)

    def client(self, name: str, timeout_s: float, channels: SimulatedChannels | None = None) -> SimulatedBank:
        """Return the real client, of a customer at a place of this name."""
        made = channels or self.channels(name, lambda _number, _branch: None)
        recording = None if self.recorder is None else Recording(self.recorder, _has_a_header)
        chance = self.chance(name)
        return SimulatedBank(
            Calls(self.branches, timeout_s, made, retries=True, chance=chance, recording=recording)
        )

    def channels(
        self,
        name: str,
        on_answer: Callable[[int, int], None],
        on_attempt: Callable[[int], None] = lambda _number: None,
    ) -> SimulatedChannels:
        """Return how customers at a place call branches; told is each call's number, and who answered it."""

        def next_call() -> int:
            self.calls += 1
            on_attempt(self.calls)
            return self.calls

        return SimulatedChannels(
            self.network,
            Place(name),
            lambda branch: self.branches[BranchId(branch)],
            next_call,
            on_answer,
        )

    def fail(self, bug: BaseException) -> None:
        """End the simulation with the first thing that went wrong."""
        if not self.failed.done():
            self.failed.set_exception(bug)

    def lose_disk(self, branch: SimulatedBranch) -> None:
        """Let a branch crash and begin anew with nothing."""
        branch.lose_disk()
        self.judge.on_disk(branch.disk)
        self.trace.note("disk lost", str(branch.number))
        if self.recorder is not None:
            self.recorder.fault(FaultKind.DISK_LOST, branch.number)

    def heal(self) -> None:
        """Mend everything."""
        self.trace.note("heal")
        self.network.mend_all()
        for branch in self.branches.values():
            branch.crash_at = None
            branch.commit_us = (200, 3_000)
            branch.disk.is_full, branch.disk.fault = False, None
            branch.go_on()
            branch.make_room()
            branch.start()

    def _make_branch(self, number: BranchId) -> SimulatedBranch:
        draw = self.chance(f"branch {number}")
        clocks = Clocks(
            self.loop, number * _HOUR_US + draw.randrange(_HOUR_US), draw.randint(-_HOUR_US, _HOUR_US)
        )
        config = BranchConfig(
            number, self.terms.genesis, hold_limit_us=self.terms.hold_limit_us, delay=self.terms.delay
        )
        settings = config.settings()
        if self.terms.has_past:
            settings = settings._replace(key_retention_us=KEPT_US, log_retention_us=KEPT_US)
        return SimulatedBranch(
            number,
            self.terms.genesis,
            settings,
            self.network,
            clocks,
            draw,
            self.terms.delay,
            lambda other: self.branches[other],
            self.fail,
            self._on_commit,
        )

    def _on_crash(self, branch: BranchId) -> None:
        if self.recorder is not None:
            self.recorder.fault(FaultKind.CRASH, branch)

    def _on_cut(self, source: BranchId | None, target: BranchId | None) -> None:
        """Write down that nothing passes from one branch to another; customers are no branches."""
        if self.recorder is not None and source is not None and target is not None:
            self.recorder.fault(FaultKind.PARTITION, source, other=target)

    def _on_commit(self, disk: SimulatedDisk, changes: Changes) -> None:
        entries = " ".join(str(entry.id) for entry in changes.entries)
        self.trace.note("commit", f"at {disk.identity.origin}: {entries}")
        self.judge.on_commit(disk, changes)
