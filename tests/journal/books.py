"""Made-up books: entries as a bank would have written them, and what beancount makes of their journal."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from beancount import loader
from beancount.core import data

from bankbook.cli.amounts import decimal_text, decimals_of
from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Keyed, Opening, Posting, Record, RecordKind, Settlement
from bankbook.core.ports import Genesis
from bankbook.core.types import (
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    Seq,
    reservation_id,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.journal.beancount import Journal

HERE = Origin(BranchId(1), Incarnation(0xA11CE))
THERE = Origin(BranchId(2), Incarnation(0xB0B))

BANK = Genesis("bank-of-tests", (BranchId(1), BranchId(2)))

RESERVATION = reservation_id(EntryId(HERE, Seq(1)), 0)


def opened(account: str, currency: str = "", floor: int | None = 0) -> Record:
    terms = Opening(AccountId(account), None if floor is None else Money(floor), currency)
    return Record(RecordKind.OPENING, opening=terms)


def moved(kind: RecordKind, *legs: tuple[str, int], memo: str = "") -> Record:
    return Record(kind, tuple(Posting(AccountId(account), Money(amount)) for account, amount in legs), memo)


def captured(*legs: tuple[str, int], left: int = 0) -> Record:
    record = moved(RecordKind.CAPTURE, *legs)
    account, amount = record.postings[0]
    settlement = Settlement(RESERVATION, account, Money(-amount), Money(left))
    return Record(record.kind, record.postings, settlement=settlement)


@dataclass
class Books:
    """Entries, each a second after the one before it."""

    genesis: Genesis = BANK
    entries: list[Entry] = field(default_factory=list)
    seconds: int = 1_750_000_000

    def write(
        self, origin: Origin, *records: Record, customer: str | None = "carol", key: str | None = None
    ) -> Entry:
        self.seconds += 1
        seq = sum(entry.origin == origin for entry in self.entries) + 1
        entry = make_entry(
            origin=origin,
            seq=Seq(seq),
            clock=HybridTime(self.seconds * 1000 << 16),
            dependencies=NOTHING,
            customer=None if customer is None else CustomerId(customer),
            keyed=None if key is None else Keyed(Key(key), "f"),
            records=records,
        )
        self.entries.append(entry)
        return entry

    def journal(self) -> str:
        journal = Journal(self.genesis, decimal_text)
        until = VersionVector((entry.origin, entry.seq) for entry in self.entries)
        return "".join([journal.begin(until), *map(journal.add, self.entries), journal.end()])


@dataclass
class Audit:
    """What beancount found in a journal."""

    directives: list[Any]
    complaints: list[str]

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.directives if isinstance(each, kind)]

    @property
    def balances(self) -> dict[str, int]:
        """Of each of the bank's accounts what is in it, in minor units, by adding up its postings."""
        sums = Counter[str]()
        for transaction in self.of(data.Transaction):
            for leg in transaction.postings:
                sums[leg.account] += leg.units.number
        currencies = {each.currency: each.meta["name"] for each in self.of(data.Commodity)}
        found = {}
        for each in self.of(data.Open):
            if each.account.startswith("Liabilities:"):
                (code,) = each.currencies
                currency = currencies[code]
                decimals = 0 if currency == "plain units" else decimals_of(currency)
                minor = Decimal(-sums[each.account]).scaleb(decimals)
                assert minor == int(minor)
                found[each.meta["id"]] = int(minor)
        return found


def audit(text: str) -> Audit:
    """Let beancount check a journal, as `bean-check` does."""
    directives, errors, _ = loader.load_string(text)
    return Audit(directives, [error.message for error in errors])


def sums_of(entries: Iterable[Entry], opening: int = 0) -> dict[str, int]:
    """Add up the entries themselves, in the dumbest way."""
    sums: dict[str, int] = {}
    for entry in entries:
        for record in entry.records:
            if record.opening is not None:
                sums[record.opening.account] = 0
            for account, amount in record.postings:
                sums[account] = sums.get(account, opening) + amount
    return sums
