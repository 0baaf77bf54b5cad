"""What the core asks of a store, and what it hands over to be kept.

Decides the shapes. Must not know how anything is stored. Proof: tests/store/test_contract.py, which
holds every store to this page.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from itertools import chain
from typing import NamedTuple, Protocol, cast

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, Reservation
from bankbook.core.types import (
    BALANCE_MAX,
    AccountId,
    BranchId,
    EntryId,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import VersionVector


class Account(NamedTuple):
    """The state of one account."""

    balance: Money
    floor: Money | None = Money(0)
    """None where there is no floor."""
    currency: str = ""
    reserved: Money = Money(0)
    """What is set aside for reservations that are open."""

    @property
    def available(self) -> Money | None:
        """What can still be taken out, the credit line included; None where there is no floor."""
        return available_in((*self, ()))


class Holding(NamedTuple):
    """What one log did to one account."""

    last_seq: Seq = Seq(0)
    """Its last entry that touched the account."""
    rights: Money = Money(0)
    """By how much it changed the rights of its branch: below 0 where it used up more than it brought."""


Holdings = tuple[int, ...]
"""What each log did to one account: of each, in the order of origins, its origin's code and its Holding."""

ONE_LOG = 3
"""So many numbers are the holdings of an account that a single log touched: by far the most usual."""

Row = tuple[Money, Money | None, str, Money, Holdings]
"""All that is known of one account: the parts of its Account, and its holdings.

Plain tuples of plain values: a batch changes thousands, and nothing is cheaper to make and to read, nor for
Python's garbage collector, which looks at each of them only once.
"""


def row_of(account: Account, holdings: Mapping[Origin, Holding]) -> Row:
    """Return an account's row."""
    held = sorted((origin.code, *holding) for origin, holding in holdings.items())
    return (*account, tuple(chain.from_iterable(held)))


def account_in(row: Row | None) -> Account | None:
    """Return the state of an account that has this row; None where there is none."""
    return row and Account(row[0], row[1], row[2], row[3])


def available_in(row: Row) -> Money | None:
    """Return what can still be taken out of an account that has this row; None where there is no floor."""
    balance, floor, _, reserved, _ = row
    return None if floor is None else Money(min(balance - floor - reserved, BALANCE_MAX))


def logs_in(holdings: Holdings) -> Iterable[tuple[int, int, int]]:
    """Return of each log: the code of its origin, its last entry, and by how much it changed the rights."""
    if len(holdings) == ONE_LOG:
        return (cast("tuple[int, int, int]", holdings),)
    numbers = iter(holdings)
    return zip(numbers, numbers, numbers, strict=True)


def holdings_in(row: Row | None) -> dict[Origin, Holding]:
    """Return what each log did to an account that has this row."""
    logs = logs_in(row[4] if row else ())
    return {Origin.of_code(code): Holding(Seq(seq), Money(rights)) for code, seq, rights in logs}


class KeyRecord(NamedTuple):
    """What is known of one idempotency key."""

    fingerprint: str
    """Of the request it stands for; empty where only a fence is known."""
    entry: EntryId
    """The entry that decided it, or fenced it."""
    clock: HybridTime
    """That entry's clock: old keys are forgotten by it."""
    moved_to: BranchId | None = None
    """The branch that decides it, where it is fenced; None where it is decided."""


class ReservationState(StrEnum):
    """How far a reservation is."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class ReservationRecord(NamedTuple):
    """One reservation."""

    terms: Reservation
    left: Money
    """What is set aside still; 0 unless it is open."""
    state: ReservationState


class Position(NamedTuple):
    """The place of one posting in an account's statement: the same order at every branch."""

    clock: HybridTime
    origin: Origin
    seq: Seq
    leg: int
    """Its number, from 0, among all postings of its entry."""

    @property
    def entry(self) -> EntryId:
        """The entry that it stands in."""
        return EntryId(self.origin, self.seq)


class StatedPosting(NamedTuple):
    """One posting, as a statement lists it."""

    position: Position
    amount: Money


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


class Drop(NamedTuple):
    """Which entries need not be kept any longer."""

    before: HybridTime
    """Those of an older clock,"""
    everywhere: VersionVector
    """up to what every branch has on its disk."""


class CopyEnd(NamedTuple):
    """What a copy of a store comes to: all that is not in rows."""

    applied: VersionVector
    """What its accounts and reservations tell of."""
    dropped: VersionVector
    """What its logs no longer have."""
    ended: Mapping[Origin, Seq]
    stated_from: HybridTime
    clock: HybridTime


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of a copy of a store. Its keys and statements follow from its entries."""

    rows: Mapping[AccountId, Row] = field(default_factory=dict)
    reservations: Mapping[ReservationId, ReservationRecord] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    """In the order of their clocks, over all portions."""
    end: CopyEnd | None = None
    """In the last portion only."""


class Copy(Protocol):
    """A store as it was at one moment, to be read portion by portion while it goes on."""

    def next(self) -> Portion | None:
        """Return the next portion; None where the store can no longer say how it was.

        Behind the last one there is none.
        """
        ...

    def close(self) -> None:
        """Let the store go on as it likes. Closing twice is harmless."""
        ...


@dataclass(slots=True)
class Changes:
    """What one step persists, all or nothing, in one transaction."""

    entries: list[Entry] = field(default_factory=list)
    """In the order in which they were applied; each at its origin's next seq. The store also keeps their
    postings, for statements."""
    rows: dict[AccountId, Row] = field(default_factory=dict)
    """The new row of every account that an entry touched, whole."""
    keys: dict[Key, KeyRecord] = field(default_factory=dict)
    """The keys that entries decided or fenced."""
    reservations: dict[ReservationId, ReservationRecord] = field(default_factory=dict)
    """The new state of every reservation that an entry touched."""
    ended: dict[Origin, Seq] = field(default_factory=dict)
    """Logs that end for ever, and where."""
    lives: dict[Origin, bool] = field(default_factory=dict)
    """The lives of branches' stores that were heard of for the first time, or are over from now on: whether
    they are over. Who is over never comes back to life."""
    has_joined: bool = False
    """Whether this branch knows from now on all that the others knew when its store was new."""
    forget_keys_before: HybridTime | None = None
    """Where given, keys of an older clock are forgotten."""
    drop: Drop | None = None
    """Where given, entries that need not be kept are dropped, and the postings in them."""
    portion: Portion | None = None
    """Of a copy of another store, which a new store takes instead of logs. Nothing of it is read but its keys
    before the last portion, which makes all of it true at once. If entries come instead, it is removed."""
    is_first_portion: bool = False
    """Whether all that was taken of a copy before is removed."""
    clock: HybridTime = HybridTime(0)
    """The hybrid clock's last reading."""

    def __bool__(self) -> bool:
        is_pruning = self.forget_keys_before is not None or self.drop is not None
        is_copying = self.portion is not None
        return bool(self.entries or self.lives or self.has_joined) or is_pruning or is_copying


def stores_over(lives: Mapping[Origin, bool]) -> tuple[Origin, ...]:
    """Return those of the stores that are over, in order."""
    return tuple(sorted(origin for origin, is_over in lives.items() if is_over))


class Reader(Protocol):
    """What the replica reads of its last committed state. Every call answers at once."""

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        ...

    def dropped(self) -> VersionVector:
        """Return the last seq of every origin's log that is not kept any longer; a causally closed set."""
        ...

    def stated_from(self) -> HybridTime:
        """Return from which moment on all entries are there; 0 where none was dropped."""
        ...

    def clock(self) -> HybridTime:
        """Return the hybrid clock's last reading; 0 in a new store."""
        ...

    def has_joined(self) -> bool:
        """Return whether this branch ever knew all that the others knew; False in a new store."""
        ...

    def ended(self) -> Mapping[Origin, Seq]:
        """Return the logs that end for ever, and where."""
        ...

    def lives(self) -> Mapping[Origin, bool]:
        """Return the lives of branches' stores that were noted, and whether each is over."""
        ...

    def rows(self, accounts: Collection[AccountId]) -> Sequence[Row | None]:
        """Return the row of each of these, in their order; None where no entry ever touched it.

        All at once is cheaper than one by one.
        """
        ...

    def row(self, account: AccountId) -> Row | None:
        """Return the account's row; None where no entry ever touched it."""
        ...

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        ...

    def holdings(self, account: AccountId) -> Mapping[Origin, Holding]:
        """Return what each log did to the account; of every log that touched it, and of no other."""
        ...

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        ...

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        ...

    def expiring(self, branch: BranchId, limit: int) -> Sequence[tuple[int, ReservationId]]:
        """Return the open reservations that `branch` made and that expire (when, which), soonest first."""
        ...

    def entries(self, origin: Origin, after: Seq, limit: int) -> Sequence[Entry]:
        """Return at most `limit` entries of one log, in order, from the one behind `after`.

        That is not below `dropped`.
        """
        ...

    def copy(self) -> Copy:
        """Return a copy of all that is there now. A store may give up another one for it."""
        ...

    def moved_from(self, account: AccountId, position: Position) -> Money:
        """Return the sum of the account's postings at `position` and behind it; not before `stated_from`."""
        ...

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> Sequence[StatedPosting]:
        """Return at most `limit` postings behind `after` and with a clock below `until`, in their order.

        Of those before `stated_from` some may be there still.
        """
        ...
