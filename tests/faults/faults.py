"""Everything that can go wrong with real processes, each with its beginning and its end.

Decides what each fault does. Must not know when it strikes (nemesis.py). Proof: tests/faults/test_faults.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from faults.bank import BankOfProcesses
from faults.network import Direction, Link
from faults.proxy import Condition
from faults.small_disk import allow_writes, fill, make_room, refuse_writes


class Kind(StrEnum):
    """Every kind, as schedules and reports name it."""

    PARTITION = "partition"
    ONE_WAY_PARTITION = "one-way partition"
    CUSTOMERS_CUT_OFF = "customers cut off"
    RESET = "reset"
    SLOW_LINK = "slow link"
    NARROW_LINK = "narrow link"
    PAUSE = "pause"
    CRASH = "crash"
    LOST_DISK = "lost disk"
    FULL_DISK = "full disk"
    FAILING_DISK = "failing disk"


class Fault(Protocol):
    """Something that goes wrong for a while."""

    @property
    def kind(self) -> Kind:
        """What it is."""
        ...

    @property
    def branch(self) -> int | None:
        """Whose process or disk it is; None for the network. A branch has one such fault at a time."""
        ...

    async def begin(self, bank: BankOfProcesses) -> None:
        """Let it go wrong."""
        ...

    async def end(self, bank: BankOfProcesses) -> None:
        """Mend it. Whoever was harmed may need a while."""
        ...


@dataclass(frozen=True)
class Hindrance:
    """Something is wrong with all that goes in some directions."""

    kind: Kind
    directions: tuple[Direction, ...]
    condition: Condition

    @property
    def branch(self) -> None:
        """None: it is the network's."""
        return

    async def begin(self, bank: BankOfProcesses) -> None:
        """Worsen the ways."""
        bank.network.worsen(self.directions, self.condition)

    async def end(self, bank: BankOfProcesses) -> None:
        """Mend them."""
        bank.network.mend(self.directions, self.condition)

    def __str__(self) -> str:
        what = {
            Kind.SLOW_LINK: f" by {self.condition.delay_s:.2f} s",
            Kind.NARROW_LINK: f", {1000 * self.condition.s_per_byte:.2f} ms for each byte",
        }
        return f"{self.kind} {' '.join(map(str, self.directions))}{what.get(self.kind, '')}"


@dataclass(frozen=True)
class Reset:
    """Connections break with a reset, and so does each that is opened."""

    links: tuple[Link, ...]
    kind: Kind = Kind.RESET

    @property
    def branch(self) -> None:
        """None: it is the network's."""
        return

    async def begin(self, bank: BankOfProcesses) -> None:
        """Break them."""
        bank.network.refuse(self.links)

    async def end(self, bank: BankOfProcesses) -> None:
        """Let them be opened again."""
        bank.network.admit(self.links)

    def __str__(self) -> str:
        return f"{self.kind} {' '.join(f'{here}->{there}' for here, there in self.links)}"


@dataclass(frozen=True)
class _OfOneBranch:
    """Something that goes wrong with one branch's process or disk."""

    branch: int
    kind: ClassVar[Kind]

    def __str__(self) -> str:
        return f"{self.kind} of branch {self.branch}"


@dataclass(frozen=True)
class Pause(_OfOneBranch):
    """A process stands still: its ports are open, its connections are up, and it does nothing."""

    kind: ClassVar[Kind] = Kind.PAUSE

    async def begin(self, bank: BankOfProcesses) -> None:
        """Send SIGSTOP."""
        bank.branches[self.branch].stop()

    async def end(self, bank: BankOfProcesses) -> None:
        """Send SIGCONT."""
        bank.branches[self.branch].go_on()


@dataclass(frozen=True)
class Crash(_OfOneBranch):
    """A process is killed, and is not there for a while."""

    kind: ClassVar[Kind] = Kind.CRASH

    async def begin(self, bank: BankOfProcesses) -> None:
        """Send SIGKILL."""
        await bank.branches[self.branch].kill()

    async def end(self, bank: BankOfProcesses) -> None:
        """Start it again from its store, if it has one."""
        await bank.start(self.branch)


@dataclass(frozen=True)
class LostDisk(Crash):
    """A process is killed, and its store is gone."""

    kind: ClassVar[Kind] = Kind.LOST_DISK
    tell: Callable[[int], None]
    """Whom to tell which branch has lost its disk: what was on no other one is excused from then on."""

    async def begin(self, bank: BankOfProcesses) -> None:
        """Send SIGKILL, and delete the store."""
        await super().begin(bank)
        bank.branches[self.branch].lose_disk()
        self.tell(self.branch)


@dataclass(frozen=True)
class FullDisk(_OfOneBranch):
    """A disk has no room left; needs a small disk."""

    kind: ClassVar[Kind] = Kind.FULL_DISK

    async def begin(self, bank: BankOfProcesses) -> None:
        """Fill it."""
        fill(bank.small_disks[self.branch])

    async def end(self, bank: BankOfProcesses) -> None:
        """Make room."""
        make_room(bank.small_disks[self.branch])


@dataclass(frozen=True)
class FailingDisk(_OfOneBranch):
    """Every write of a process to any file fails; it is refused by the operating system (RLIMIT_FSIZE)."""

    kind: ClassVar[Kind] = Kind.FAILING_DISK

    async def begin(self, bank: BankOfProcesses) -> None:
        """Let writes fail."""
        refuse_writes(bank.branches[self.branch].pid)

    async def end(self, bank: BankOfProcesses) -> None:
        """Let them succeed."""
        allow_writes(bank.branches[self.branch].pid)
