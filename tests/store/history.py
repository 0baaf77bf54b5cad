"""Made-up history for stores to keep, and a dumb second store that only remembers the entries."""

from collections import Counter
from collections.abc import Iterator, Sequence

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import (
    Entry,
    Grant,
    Keyed,
    Opening,
    Posting,
    Record,
    RecordKind,
    Reservation,
    Settlement,
)
from bankbook.core.ports import (
    Account,
    Changes,
    Genesis,
    Holding,
    Identity,
    KeyRecord,
    Position,
    Reader,
    ReservationRecord,
    ReservationState,
    StatedPosting,
)
from bankbook.core.state import State
from bankbook.core.types import (
    ID_CHARACTERS_MAX,
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    reservation_id,
    reserving_branch,
)
from bankbook.core.vector import NOTHING, VersionVector

HERE = Origin(BranchId(1), Incarnation(0xA11CE))
THERE = Origin(BranchId(2), Incarnation(0xB0B))
THERE_REBORN = Origin(BranchId(2), Incarnation(2**32 - 1))
SILENT = Origin(BranchId(3), Incarnation(0xDEAF))
"""A branch that never decides anything, but is granted rights."""
ORIGINS = (HERE, THERE, THERE_REBORN)
"""Those that decide."""

GENESIS = Genesis("bank-of-tests", (BranchId(1), BranchId(2), BranchId(3)), Money(100))
IDENTITY = Identity(HERE, GENESIS)

ALICE, BOB = AccountId("alice"), AccountId("bob")
ACCOUNTS = tuple(
    AccountId(name) for name in ("alice", "ALICE", "a", "0", "a._:@+-9", "z" * ID_CHARACTERS_MAX)
)
"""Every character that an id may have, and ids that only differ in case or length."""

FOR_EVER = HybridTime(HYBRID_TIME_MAX)
START = Position(HybridTime(0), Origin(BranchId(0), Incarnation(0)), Seq(0), -1)
"""Before every posting."""


def entry_of(
    origin: Origin,
    seq: int,
    *records: Record,
    key: str = "",
    fingerprint: str = "f",
    clock: HybridTime | None = None,
) -> Entry:
    """Return an entry with these records."""
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(seq << 16) if clock is None else clock,
        dependencies=NOTHING,
        customer=CustomerId("carol"),
        keyed=Keyed(Key(key), fingerprint) if key else None,
        records=records,
    )


def posting_entry(origin: Origin, seq: int, *legs: tuple[str, int], key: str = "") -> Entry:
    """Return an entry that adds each amount to its account."""
    return entry_of(origin, seq, moved(*legs), key=key)


def opening_entry(origin: Origin, seq: int, account: str, floor: int | None, currency: str) -> Entry:
    """Return an entry that opens an account."""
    return entry_of(origin, seq, opened(account, floor, currency))


def fence_entry(origin: Origin, seq: int, key: str, to: int) -> Entry:
    """Return an entry that leaves a key to another branch."""
    return entry_of(origin, seq, Record(RecordKind.FENCE, fence=BranchId(to)), key=key, fingerprint="")


def moved(*legs: tuple[str, int]) -> Record:
    """Return a record that adds each amount to its account."""
    return Record(
        RecordKind.DEPOSIT if len(legs) == 1 else RecordKind.TRANSFER,
        tuple(Posting(AccountId(account), Money(amount)) for account, amount in legs),
    )


def opened(account: str, floor: int | None, currency: str) -> Record:
    """Return a record that opens an account."""
    terms = Opening(AccountId(account), None if floor is None else Money(floor), currency)
    return Record(RecordKind.OPENING, opening=terms)


def reserved(
    account: str, amount: int, destination: str | None = None, expires_ms: int | None = None
) -> Record:
    """Return a record that sets money aside."""
    to = None if destination is None else AccountId(destination)
    terms = Reservation(AccountId(account), Money(amount), to, expires_ms)
    return Record(RecordKind.RESERVATION, reservation=terms)


def settled(kind: RecordKind, reservation: ReservationId, before: ReservationRecord, amount: int) -> Record:
    """Return a record that no longer sets `amount` of a reservation aside, and moves it in a capture."""
    terms = before.terms
    legs = [Posting(terms.account, Money(-amount))]
    if terms.destination is not None:
        legs.append(Posting(terms.destination, Money(amount)))
    return Record(
        kind,
        tuple(legs) if kind is RecordKind.CAPTURE else (),
        settlement=Settlement(reservation, terms.account, Money(amount), Money(before.left - amount)),
    )


def granted(account: str, to: Origin, amount: int) -> Record:
    """Return a record that passes rights to another branch."""
    return Record(RecordKind.GRANT, grant=Grant(AccountId(account), to, Money(amount)))


def changes_by(reader: Reader, *entries: Entry) -> Changes:
    """Return what a replica would have its store commit for these entries."""
    state = State(reader, GENESIS)
    for entry in entries:
        state.apply(entry)
    return state.take_changes(HybridTime(max([reader.clock(), *(entry.clock for entry in entries)])))


class Twin:
    """Answers every read from the list of all entries."""

    def __init__(self) -> None:
        self.history: list[Entry] = []

    def applied(self) -> VersionVector:
        return VersionVector((entry.origin, entry.seq) for entry in self.history)

    def clock(self) -> HybridTime:
        return max((entry.clock for entry in self.history), default=HybridTime(0))

    def ended(self) -> dict[Origin, Seq]:
        return {last.origin: last.seq for record in self._records() for last in record.ended}

    def account(self, account: AccountId) -> Account | None:
        if not any(account in entry.accounts for entry in self.history):
            return None
        state = Account(Money(100))
        for record in self._records():
            if record.opening and record.opening.account == account:
                state = Account(Money(0), record.opening.floor, record.opening.currency)
        balance = state.balance + sum(posting.amount for posting in self._statement(account))
        aside = sum(r.left for r in self.reservations().values() if r.terms.account == account)
        return state._replace(balance=Money(balance), reserved=Money(aside))

    def holdings(self, account: AccountId) -> dict[Origin, Holding]:
        last = {e.origin: e.seq for e in self.history if account in e.accounts}
        rights = Counter[Origin]()
        for entry in self.history:
            for origin, amount in _rights_moved(entry, account):
                rights[origin] += amount
        return {
            origin: Holding(last.get(origin, Seq(0)), Money(rights[origin])) for origin in {*last, *rights}
        }

    def key(self, key: Key) -> KeyRecord | None:
        known = [
            KeyRecord(entry.keyed.fingerprint, entry.id, entry.clock, entry.records[0].fence)
            for entry in sorted(self.history, key=lambda entry: (entry.clock, entry.origin))
            if entry.keyed and entry.keyed.key == key
        ]
        # The first decision; while there is none, the last fence, at one moment that of the first branch.
        decisions = [record for record in known if record.moved_to is None]
        fences = [record for record in known if record.clock == known[-1].clock]
        return next(iter(decisions or fences), None)

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        return self.reservations().get(reservation)

    def reservations(self) -> dict[ReservationId, ReservationRecord]:
        found: dict[ReservationId, ReservationRecord] = {}
        for entry in self.history:
            for index, record in enumerate(entry.records):
                if record.reservation:
                    terms = record.reservation
                    state = ReservationState.OPEN if terms.amount else ReservationState.RELEASED
                    found[reservation_id(entry.id, index)] = ReservationRecord(terms, terms.amount, state)
                if record.settlement:
                    which, _, _, left = record.settlement
                    state = ReservationState.OPEN if left else _ENDS[record.kind]
                    found[which] = found[which]._replace(left=left, state=state)
        return found

    def expiring(self, branch: BranchId, limit: int) -> list[tuple[int, ReservationId]]:
        return sorted(
            (record.terms.expires_ms, which)
            for which, record in self.reservations().items()
            if record.state is ReservationState.OPEN and record.terms.expires_ms is not None
            if reserving_branch(which) == branch
        )[:limit]

    def entries(self, origin: Origin, after: Seq, limit: int) -> Sequence[Entry]:
        return [entry for entry in self.history if entry.origin == origin and entry.seq > after][:limit]

    def moved_from(self, account: AccountId, position: Position) -> int:
        return sum(posting.amount for posting in self._statement(account) if posting.position >= position)

    def postings(
        self, account: AccountId, after: Position, until: HybridTime, limit: int
    ) -> list[StatedPosting]:
        stated = self._statement(account)
        return [p for p in stated if p.position > after and p.position.clock < until][:limit]

    def _records(self) -> Iterator[Record]:
        for entry in self.history:
            yield from entry.records

    def _statement(self, account: AccountId) -> list[StatedPosting]:
        return sorted(
            StatedPosting(Position(entry.clock, entry.origin, entry.seq, leg), posting.amount)
            for entry in self.history
            for leg, posting in enumerate(entry.postings)
            if posting.account == account
        )


_ENDS = {
    RecordKind.CAPTURE: ReservationState.CAPTURED,
    RecordKind.RELEASE: ReservationState.RELEASED,
    RecordKind.EXPIRY: ReservationState.EXPIRED,
}


def _rights_moved(entry: Entry, account: AccountId) -> Iterator[tuple[Origin, int]]:
    """Yield whose rights to an account an entry changes, and by how much."""
    for record in entry.records:
        yield from ((entry.origin, leg.amount) for leg in record.postings if leg.account == account)
        if record.opening and record.opening.account == account:
            yield entry.origin, -(record.opening.floor or 0)
        if record.reservation and record.reservation.account == account:
            yield entry.origin, -record.reservation.amount
        if record.settlement and record.settlement.account == account:
            yield entry.origin, record.settlement.amount
        if record.grant and record.grant.account == account:
            yield entry.origin, -record.grant.amount
            yield record.grant.to, record.grant.amount
