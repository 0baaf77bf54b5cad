"""What the core asks of a store, and what it hands over to be kept.

Decides the shapes. Must not know how anything is stored. Proof: tests/store/test_contract.py, which
holds every store to this page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, Protocol

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.types import AccountId, BranchId, Money, Origin, Seq
from bankbook.core.vector import VersionVector


class Account(NamedTuple):
    """The state of one account."""

    balance: Money
    floor: Money | None = Money(0)
    """None where there is no floor."""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a bank begins with, the same at every branch and in no log."""

    cluster: str
    branches: tuple[BranchId, ...]
    """Every branch there is, in ascending order."""
    opening_balance: Money | None = None
    """Where given, every possible account exists from the start, with this balance and a floor of 0.
    Where None, accounts are opened one by one."""

    def fingerprint(self) -> str:
        """Return a short text that is the same exactly where the genesis is."""
        whole = repr((self.cluster, self.branches, self.opening_balance))
        return sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose store this is."""

    origin: Origin
    genesis: Genesis


@dataclass(slots=True)
class Changes:
    """What one step persists, all or nothing, in one transaction."""

    entries: list[Entry] = field(default_factory=list)
    """In the order in which they were applied; each at its origin's next seq."""
    accounts: dict[AccountId, Account] = field(default_factory=dict)
    """The new state of every account that an entry touched."""
    last_writes: dict[AccountId, dict[Origin, Seq]] = field(default_factory=dict)
    """The new components of the write set of every account that an entry touched."""
    clock: HybridTime = HybridTime(0)
    """The hybrid clock's last reading."""

    def __bool__(self) -> bool:
        return bool(self.entries)


class Reader(Protocol):
    """What the replica reads of its last committed state. Every call answers at once."""

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        ...

    def clock(self) -> HybridTime:
        """Return the hybrid clock's last reading; 0 in a new store."""
        ...

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        ...

    def write_set(self, account: AccountId) -> VersionVector:
        """Return the last entry of each origin that touched the account."""
        ...

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return the component of the write set for one origin; 0 where there is none."""
        ...

    def entries(self, origin: Origin, after: Seq, limit: int) -> Sequence[Entry]:
        """Return at most `limit` entries of one log, in order, from the one behind `after`."""
        ...
