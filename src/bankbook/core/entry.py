"""The entry: one immutable, committed decision in an origin's log.

Decides what an entry is made of. Must not know why the decision was made, nor its encoding
(bankbook.core.encoding). Proof: tests/core/test_entry.py.

One request makes at most one entry, with a record for each of its commands; so a batch is applied
everywhere in one step, and its idempotency key finds all its outcomes in one place. The records of a batch of
plain movements are columns, and are made only for who looks at one by itself (MoveRecords).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import chain, starmap
from typing import NamedTuple, cast, overload

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.columns import Columns, Flows
from bankbook.core.outcome import Outcome
from bankbook.core.types import (
    BALANCE_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import VersionVector

# A limit on what a peer may send as one entry. A transfer is about 400 bytes; a batch of 8,192 commands
# with the longest names is bounded to this (see bankbook.core.bounds). Below gRPC's own limit for a
# message, 4 MB, with some room for what goes around it.
ENTRY_BYTES_MAX = 3 * 1024 * 1024

# Of a refusal's sentence, as it is kept for the day when its key is sent again.
DETAIL_CHARACTERS_MAX = 240

# The same where thousands may be refused in one batch: enough for every sentence with names of usual length.
MOVE_DETAIL_CHARACTERS_MAX = 160

# A reservation's end, by the wall clock: as far as the hybrid clock counts.
EXPIRES_MS_MAX = HYBRID_TIME_MAX >> 16


class RecordKind(StrEnum):
    """What was decided."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    OPENING = "opening"
    RESERVATION = "reservation"
    CAPTURE = "capture"
    RELEASE = "release"
    EXPIRY = "expiry"
    """The branch that made a reservation found it expired."""
    REFUSAL = "refusal"
    """Nothing happened; kept so that the request's key tells the same whenever it is sent again."""
    GRANT = "grant"
    """One branch passed to another the right to take money out."""
    FENCE = "fence"
    """A key was sent elsewhere; from now on that branch decides its request, and this one never will."""
    REJOINING = "rejoining"
    """A branch whose store was lost is back; its earlier logs end where the others know them to end."""


class Posting(NamedTuple):
    """One leg of a record."""

    account: AccountId
    amount: Money
    """Signed: above 0 where the account receives."""


class Opening(NamedTuple):
    """The terms on which an account is opened."""

    account: AccountId
    floor: Money | None
    """The balance the account may not fall below; None where there is no floor."""
    currency: str
    """Empty where the account counts plain units."""


class Reservation(NamedTuple):
    """The terms on which money is set aside."""

    account: AccountId
    amount: Money
    destination: AccountId | None
    """Who receives what is captured; None where it leaves the bank."""
    expires_ms: int | None
    """Milliseconds since 1970, by the clock of the branch that made it; None where it never expires."""


class Settlement(NamedTuple):
    """What is no longer set aside."""

    reservation: ReservationId
    account: AccountId
    amount: Money
    left: Money
    """What stays set aside; 0 where the reservation has ended."""


class Grant(NamedTuple):
    """Rights that one branch passed to another."""

    account: AccountId
    to: Origin
    amount: Money


class Verdict(NamedTuple):
    """How a command ended, as its caller was told."""

    outcome: Outcome
    balance: Money | None = None
    available: Money | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One command's part of an entry."""

    kind: RecordKind
    postings: tuple[Posting, ...] = ()
    memo: str = ""
    opening: Opening | None = None
    reservation: Reservation | None = None
    settlement: Settlement | None = None
    grant: Grant | None = None
    fence: BranchId | None = None
    """The branch that decides the entry's key from now on."""
    ended: tuple[EntryId, ...] = ()
    """The last entries of earlier logs of this branch."""
    verdict: Verdict | None = None
    """None in what a branch decided by itself."""

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """Every account that this record touches."""
        found = [posting.account for posting in self.postings]
        parts = (self.opening, self.reservation, self.settlement, self.grant)
        found += [part.account for part in parts if part]
        return tuple(dict.fromkeys(found))


_KINDS = {
    (True, True): RecordKind.TRANSFER,
    (False, True): RecordKind.DEPOSIT,
    (True, False): RecordKind.WITHDRAWAL,
}
"""What a plain movement is, by whether it has a source and a destination."""


@dataclass(frozen=True)
class MoveRecords(Sequence[Record]):
    """The records of a batch of plain movements, in columns."""

    columns: Columns
    balances: Sequence[Money]
    """What each movement's first account had after it; 0 where it was refused."""
    kept: Sequence[Money | None]
    """Of each account in the columns: what of its balance was not available, its floor and what is set aside;
    None where it has no floor."""
    refused: Mapping[int, Verdict] = field(default_factory=dict)
    """The movements that did not happen, by their places, from 0."""

    def __len__(self) -> int:
        return self.columns.size

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, place: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        number = range(len(self))[place]
        if number in self.refused:
            return Record(RecordKind.REFUSAL, verdict=self.refused[number])
        source, destination, _, memo = self.columns.movement(number)
        kind = _KINDS[source is not None, destination is not None]
        return Record(kind, tuple(self._postings_at(number)), memo, verdict=self.verdict(number))

    def verdict(self, place: int) -> Verdict:
        """Return how the movement at `place` ended."""
        if place in self.refused:
            return self.refused[place]
        return Verdict(Outcome.OK, self.balances[place], self.available[place])

    @cached_property
    def available(self) -> Sequence[Money | None]:
        """What each movement left to be taken out of its first account; None where that has no floor."""
        kept_of = (None, *self.kept)
        left = [
            None if (kept := kept_of[source or destination]) is None else balance - kept
            for source, destination, balance in zip(
                self.columns.sources, self.columns.destinations, self.balances, strict=True
            )
        ]
        if max(filter(None, left), default=0) > BALANCE_MAX:
            left = [each and min(each, BALANCE_MAX) for each in left]
        return cast("tuple[Money | None, ...]", tuple(left))

    @cached_property
    def flows(self) -> Flows:
        """What they do together to each account that they touch."""
        return self.columns.flows(without=self.refused)

    @property
    def kinds(self) -> Mapping[RecordKind, int]:
        """How many there are of each kind."""
        ends = Counter(
            zip(map(bool, self.columns.sources), map(bool, self.columns.destinations), strict=True)
        )
        ends.subtract(
            (bool(self.columns.sources[place]), bool(self.columns.destinations[place]))
            for place in self.refused
        )
        told = {kind: ends[each] for each, kind in _KINDS.items()} | {RecordKind.REFUSAL: len(self.refused)}
        return {kind: count for kind, count in told.items() if count}

    def legs(self) -> list[tuple[AccountId, int]]:
        """Return every leg of every movement that happened, as the parts of a Posting."""
        accounts, legs = self.columns.accounts, list[tuple[AccountId, int]]()
        for source, destination, amount in self.columns.moved(without=self.refused):
            if source:
                legs.append((accounts[source - 1], -amount))
            if destination:
                legs.append((accounts[destination - 1], amount))
        return legs

    def _postings_at(self, place: int) -> Iterator[Posting]:
        source, destination, amount, _ = self.columns.movement(place)
        if source is not None:
            yield Posting(source, Money(-amount))
        if destination is not None:
            yield Posting(destination, amount)


class Keyed(NamedTuple):
    """An idempotency key, and what it stands for."""

    key: Key
    fingerprint: str
    """Of the request; empty in a fence, which knows only the key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, applied in one step everywhere."""

    origin: Origin
    seq: Seq
    clock: HybridTime
    dependencies: VersionVector
    """What the deciding branch had gained, of other origins, since its previous entry."""
    customer: CustomerId | None
    """None in what a branch decided by itself."""
    keyed: Keyed | None
    records: Sequence[Record]
    encoded: bytes
    """The entry as it is stored and sent."""

    @property
    def moves(self) -> MoveRecords | None:
        """Its records as columns; None where they are no plain movements."""
        # Not `isinstance`, which asks a table each time: a Sequence is an abstract class.
        return self.records if type(self.records) is MoveRecords else None

    @property
    def id(self) -> EntryId:
        """Its place in the bank."""
        return EntryId(self.origin, self.seq)

    @property
    def others(self) -> Sequence[Record]:
        """Its records where they are more than plain movements: one by one."""
        return () if type(self.records) is MoveRecords else self.records

    @property
    def kinds(self) -> Mapping[RecordKind, int]:
        """How many records it has of each kind."""
        if type(self.records) is MoveRecords:
            return self.records.kinds
        return Counter(record.kind for record in self.records)

    @property
    def postings(self) -> tuple[Posting, ...]:
        """Every leg of every record."""
        return tuple(starmap(Posting, self.legs()))

    def legs(self) -> Iterable[tuple[AccountId, int]]:
        """Return the same, as their parts alone: many times as cheap where there are thousands."""
        if type(self.records) is MoveRecords:
            return self.records.legs()
        return chain.from_iterable(record.postings for record in self.records)

    @property
    def moves_money(self) -> bool:
        """Whether it is more than the refusals that a key must find again."""
        return move_money(self.records)

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """Every account this entry touches."""
        moves = self.moves
        if moves is not None:
            return moves.flows.accounts
        return tuple(dict.fromkeys(chain.from_iterable(record.accounts for record in self.records)))

    @property
    def ended(self) -> tuple[EntryId, ...]:
        """The last entries of earlier logs of its branch, where it says so."""
        others = self.others
        return others[0].ended if len(others) == 1 else tuple(chain.from_iterable(r.ended for r in others))


def move_money(records: Sequence[Record]) -> bool:
    """Whether these are more than refusals."""
    if type(records) is MoveRecords:
        return len(records.refused) < len(records)
    return any(record.kind is not RecordKind.REFUSAL for record in records)
