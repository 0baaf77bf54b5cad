"""Made-up history for stores to keep, and a dumb second store that only remembers the entries."""

from collections.abc import Sequence

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, EntryKind, Opening, Posting, make_entry
from bankbook.core.ledger import Ledger
from bankbook.core.ports import Account, Changes, Genesis, Identity, Reader
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import VersionVector

HERE = Origin(BranchId(1), Incarnation(0xA11CE))
THERE = Origin(BranchId(2), Incarnation(0xB0B))
THERE_REBORN = Origin(BranchId(2), Incarnation(2**32 - 1))
GENESIS = Genesis("bank-of-tests", (BranchId(1), BranchId(2), BranchId(3)), Money(100))
IDENTITY = Identity(HERE, GENESIS)

ALICE, BOB = AccountId("alice"), AccountId("bob")


def posting_entry(origin: Origin, seq: int, *legs: tuple[str, int]) -> Entry:
    """Return an entry that adds each amount to its account."""
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(seq << 16),
        dependencies=VersionVector(),
        kind=EntryKind.DEPOSIT if len(legs) == 1 else EntryKind.TRANSFER,
        customer=CustomerId("carol"),
        postings=tuple(Posting(AccountId(account), Money(amount)) for account, amount in legs),
    )


def opening_entry(origin: Origin, seq: int, account: str, floor: int | None, currency: str) -> Entry:
    """Return an entry that opens an account."""
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(seq << 16),
        dependencies=VersionVector([(THERE, Seq(9))] if origin == HERE else []),
        kind=EntryKind.OPENING,
        customer=CustomerId("carol"),
        opening=Opening(AccountId(account), None if floor is None else Money(floor), currency),
    )


def changes_by(reader: Reader, *entries: Entry) -> Changes:
    """Return what a replica would have its store commit for these entries."""
    ledger = Ledger(reader, GENESIS, HERE.branch)
    for entry in entries:
        ledger.apply(entry)
    return ledger.take_changes(HybridTime(max(reader.clock(), *(entry.clock for entry in entries))))


class Twin:
    """Answers every read from the list of all entries."""

    def __init__(self) -> None:
        self.history: list[Entry] = []

    def applied(self) -> VersionVector:
        return VersionVector((entry.origin, entry.seq) for entry in self.history)

    def clock(self) -> HybridTime:
        return max((entry.clock for entry in self.history), default=HybridTime(0))

    def account(self, account: AccountId) -> Account | None:
        state = None
        for entry in self.history:
            if entry.opening and entry.opening.account == account:
                state = Account(Money(0), entry.opening.floor, entry.opening.currency)
            for posting in entry.postings:
                if posting.account == account:
                    state = state or Account(Money(100))
                    state = state._replace(balance=Money(state.balance + posting.amount))
        return state

    def write_set(self, account: AccountId) -> VersionVector:
        return VersionVector((e.origin, e.seq) for e in self.history if account in e.accounts)

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        return self.write_set(account)[origin]

    def entries(self, origin: Origin, after: Seq, limit: int) -> Sequence[Entry]:
        return [entry for entry in self.history if entry.origin == origin and entry.seq > after][:limit]
