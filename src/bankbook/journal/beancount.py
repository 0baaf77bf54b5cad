"""The journal in beancount's language: one transaction for each record that moved money.

Decides the chart of accounts, and on which side each leg stands. Must not know how many decimals a currency
has: who asks says how amounts are written. Does not judge the entries: what they say is written down, and
whether it adds up is for `bean-check` to find. Proof: tests/journal/test_beancount.py, which asks it.

The chart is the one that a bank's auditor expects (docs/journal.md):

    Liabilities:Customers:Anna    what the bank owes a customer: one account for each of the bank's
    Assets:Cash:Branch-1          what came in and went out over the counter of a branch
    Equity:Opening-Balances       what the accounts of a bank with an opening balance began with, or what was
                                  in them before the first entry that is kept

In beancount's sign a liability is negative: a deposit of 5 is +5 in cash and -5 at the customer's.

What is kept is a number for each account, however many entries there are. They have to come in the order of
statements, which is that of their clocks: an account is opened before anything moves on it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, Opening, Record, RecordKind
from bankbook.core.ports import Genesis
from bankbook.core.types import AccountId, BranchId, EntryId
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.journal.names import account_part, commodity, quoted

AmountText = Callable[[int, str], str]
"""How an amount in minor units of a currency is written: with its decimals, and without the currency."""

OPENING_BALANCES = "Equity:Opening-Balances"

# Beancount reads years that begin with 1 or 2, and the closing balances stand a day after the last entry.
_LAST_DAY = date(2999, 12, 30)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JournalError(Exception):
    """These entries cannot be written down as a journal; the message says why."""


@dataclass(slots=True)
class _Book:
    """What is in one customer's account."""

    currency: str
    balance: int = 0


@dataclass(slots=True)
class Journal:
    """One journal: `begin`, `add` for each entry, `end`; each returns the next piece of its text."""

    genesis: Genesis
    amount_text: AmountText
    brought_forward: Mapping[AccountId, tuple[int, str]] | None = None
    """Where the first entries are kept no longer: what each account had before those that are, and its
    currency; of all accounts that these name and do not open."""
    transactions: int = 0
    """How many there are so far."""
    _customers: dict[AccountId, _Book] = field(default_factory=dict)
    _cash: dict[tuple[BranchId, str], int] = field(default_factory=dict)
    _openings: dict[str, int] = field(default_factory=dict)
    """What accounts began with, in each currency."""
    _declared: set[str] = field(default_factory=set)
    """Commodities and accounts, but for those of customers."""
    _days: tuple[date, date] | None = None
    """The first and the last day of the entries so far."""

    @property
    def balances(self) -> Iterator[tuple[AccountId, int]]:
        """Every account and what is in it, in minor units."""
        return ((account, book.balance) for account, book in self._customers.items())

    def begin(self, until: VersionVector, after: VersionVector = NOTHING) -> str:
        """Return the head; `until` has the last entry of each log that is going to be added."""
        cluster = self.genesis.cluster
        begin = ""
        if self.brought_forward is not None:
            begin = f"; With balances brought forward, as entries are kept no longer up to: {_logs(after)}\n"
        return (
            f"; The books of the bank {cluster}, written by `bankbook export`.\n"
            f"; Up to these entries: {_logs(until)}\n"
            f"{begin}"
            f'option "title" {quoted(cluster)}\n'
        )

    def add(self, entry: Entry) -> str:
        """Return what an entry adds: nothing where it moves no money and opens no account.

        Raises JournalError where it names an account that nobody opened, or a time beyond those of journals.
        """
        time = _time(entry.clock)
        day = self._note(entry.id, time.date())
        pieces: list[str] = []
        for number, record in enumerate(entry.records, start=1):
            if record.opening is not None:
                pieces += self._opened(entry.id, record.opening, day)
            if record.postings:
                pieces += self._from_genesis(entry.id, record)
                pieces += self._transaction(entry, number, record, time)
        return "".join(pieces)

    def end(self) -> str:
        """Return what has to be in every account, for whoever checks the journal to compare."""
        lines = [f"\n; The end: {self.transactions} transactions; and what is in each account after them.\n"]
        if self._days is not None:
            day = self._days[1] + timedelta(days=1)
            # "~ 0": of its own accord beancount lets a difference of one smallest unit pass.
            lines += [
                f"{day} balance {account}  {self.amount_text(amount, currency)} ~ 0 {commodity(currency)}\n"
                for account, amount, currency in self._closing()
            ]
        return "".join(lines)

    def _closing(self) -> Iterator[tuple[str, int, str]]:
        """Yield every account, what is in it by beancount's sign, and its currency."""
        for account, book in self._customers.items():
            yield _customer(account), -book.balance, book.currency
        for (branch, currency), amount in self._cash.items():
            yield _cash(branch), amount, currency
        for currency, amount in self._openings.items():
            yield OPENING_BALANCES, amount, currency

    def _note(self, entry: EntryId, day: date) -> date:
        if day > _LAST_DAY:
            raise JournalError(f"entry {entry} is of {day}; a journal ends with {_LAST_DAY} at the latest")
        first, last = self._days or (day, day)
        self._days = first, max(last, day)
        return day

    def _opened(self, entry: EntryId, opening: Opening, day: date) -> Iterator[str]:
        account, floor, currency = opening
        yield from self._commodity(currency, day)
        # A second opening is written down too, and `bean-check` complains of it.
        self._customers.setdefault(account, _Book(currency))
        yield f"\n{day} open {_customer(account)}  {commodity(currency)}\n"
        yield _noted("id", account) + _noted("entry", str(entry))
        if floor is not None:
            yield f"  floor: {self._amount(floor, currency)}\n"

    def _from_genesis(self, entry: EntryId, record: Record) -> Iterator[str]:
        """Open, as of the first day, those accounts that are first heard of and that nobody had to open."""
        for account, _ in record.postings:
            if account in self._customers:
                continue
            begun = self._begun(account)
            if begun is None or self._days is None:
                raise JournalError(f"entry {entry} moves money on account {account}, which nobody opened")
            (balance, currency), first = begun, self._days[0]
            self._customers[account] = _Book(currency, balance)
            self._openings[currency] = self._openings.get(currency, 0) + balance
            yield from self._commodity(currency, first)
            yield from self._open(OPENING_BALANCES, first)
            yield f"\n{first} open {_customer(account)}  {commodity(currency)}\n{_noted('id', account)}"
            if balance:
                self.transactions += 1
                words = "Opening balance" if self.brought_forward is None else "Brought forward"
                yield f"\n{first} * {quoted(words)}\n"
                yield self._leg(OPENING_BALANCES, balance, currency)
                yield self._leg(_customer(account), -balance, currency)

    def _begun(self, account: AccountId) -> tuple[int, str] | None:
        if self.brought_forward is not None:
            return self.brought_forward.get(account)
        opening = self.genesis.opening_balance
        return None if opening is None else (opening, "")

    def _transaction(self, entry: Entry, number: int, record: Record, time: datetime) -> Iterator[str]:
        legs = list(self._legs(entry.origin.branch, record))
        for account, _, _ in legs:
            if account.startswith("Assets:"):
                yield from self._open(account, time.date())
        self.transactions += 1
        yield f"\n{time.date()} * {_headline(entry, record)}\n"
        yield _noted("entry", str(entry.id))
        if len(entry.records) > 1:
            yield f"  record: {number}\n"
        yield _noted("kind", record.kind.value)
        yield _noted("time", f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z")
        if entry.keyed is not None:
            yield _noted("key", entry.keyed.key)
        yield from (self._leg(*leg) for leg in legs)

    def _legs(self, branch: BranchId, record: Record) -> Iterator[tuple[str, int, str]]:
        """Yield the legs by beancount's sign, with a counterpart where money entered or left the bank."""
        for account, amount in record.postings:
            book = self._customers[account]
            book.balance += amount
            yield _customer(account), -amount, book.currency
            if _is_over_the_counter(record):
                place = branch, book.currency
                self._cash[place] = self._cash.get(place, 0) + amount
                yield _cash(branch), amount, book.currency

    def _commodity(self, currency: str, day: date) -> Iterator[str]:
        name = commodity(currency)
        if name not in self._declared:
            self._declared.add(name)
            yield f"\n{day} commodity {name}\n{_noted('name', currency or 'plain units')}"

    def _open(self, account: str, day: date) -> Iterator[str]:
        if account not in self._declared:
            self._declared.add(account)
            yield f"\n{day} open {account}\n"

    def _leg(self, account: str, amount: int, currency: str) -> str:
        return f"  {account}  {self._amount(amount, currency)}\n"

    def _amount(self, amount: int, currency: str) -> str:
        return f"{self.amount_text(amount, currency)} {commodity(currency)}"


def _logs(vector: VersionVector) -> str:
    return ", ".join(str(EntryId(*component)) for component in vector) or "none"


def _is_over_the_counter(record: Record) -> bool:
    """Whether money entered or left the bank: its legs are one side only."""
    if record.kind is RecordKind.CAPTURE:
        return len(record.postings) == 1
    return record.kind in {RecordKind.DEPOSIT, RecordKind.WITHDRAWAL}


def _headline(entry: Entry, record: Record) -> str:
    """Return payee and narration, and the links that hold a batch, and a reservation's captures, together."""
    links = [f"^{entry.origin}/{entry.seq}"]
    if record.settlement is not None:
        links.append(f"^{record.settlement.reservation}")
    return f"{quoted(entry.customer or '')} {quoted(record.memo)} {' '.join(links)}"


def _noted(name: str, text: str) -> str:
    return f"  {name}: {quoted(text)}\n"


def _time(clock: HybridTime) -> datetime:
    return _EPOCH + timedelta(milliseconds=clock >> 16)


def _customer(account: AccountId) -> str:
    return f"Liabilities:Customers:{account_part(account)}"


def _cash(branch: BranchId) -> str:
    return f"Assets:Cash:Branch-{branch}"
