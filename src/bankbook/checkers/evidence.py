"""What every result of a history reveals: V(op), the set of visible writes, for each account.

Decides which results are reads, of which account, and what each shows. Must not know what ought to be shown.
Proof: tests/checkers/test_unknown.py, test_twin.py.

V(op) is Terry et al.'s (1994, section 3) set of relevant writes, as a bitset for each account: bit i is the
account's i-th write in the order of calls. It comes from balances (decoding.py) and from statements
(lines.py), never from anything that the bank says of its own state. A result that no set of writes called
before it explains is kept apart: it says nothing of visibility, and everything of lost or invented money.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from bankbook.checkers.decoding import Budget, Decoder, Shown
from bankbook.checkers.effects import (
    NEVER,
    Reservations,
    Standing,
    Write,
    moved_by,
    repeated_keys,
    writes_of,
)
from bankbook.checkers.lines import Names, read_lines
from bankbook.core.commands import (
    Batch,
    Capture,
    Deposit,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
    accounts_of,
)
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.history.record import Fault, Final, Header, History, Operation, Stated, Terms

_ALL: Guarantee = Guarantee.ALL


def is_asked_for(guarantee: Guarantee, guarantees: Guarantee) -> bool:
    """Whether a guarantee is among these; nearly all ask for all, and looking into a flag takes longer."""
    return guarantees is _ALL or guarantee in guarantees


@dataclass(eq=False, slots=True)
class Read:
    """One result, for one account."""

    operation: Operation
    place: int
    account: "Account"
    balance: int | None
    return_us: int
    """When it was told."""
    stated: Stated | None = None
    must: int = 0
    may: int = 0
    count: int = 0
    """How many of the account's writes had been called when it was told."""

    news: int = 0
    """Bitset of what it showed to its session for the first time."""

    @property
    def missing(self) -> int:
        """Bitset of what was called before, and is certainly not shown."""
        return ((1 << self.count) - 1) & ~self.may

    @property
    def is_exact(self) -> bool:
        """Whether it is known exactly what it shows."""
        return self.must == self.may

    @property
    def is_partial(self) -> bool:
        """Whether it is a page of a statement, which says nothing of what stands on other pages."""
        return self.balance is None and self.stated is not None and not self.stated.is_complete

    @property
    def is_open(self) -> bool:
        """Whether it shows something that cannot be read from it exactly."""
        return self.must != self.may and not self.is_partial

    @property
    def call_us(self) -> int:
        """When it was asked for."""
        return self.operation.call_us

    def is_bound_by(self, guarantee: Guarantee) -> bool:
        """Whether its session asked for this guarantee; LOCAL asks for whatever there is."""
        is_local = self.operation.freshness.level is Level.LOCAL
        return not is_local and is_asked_for(guarantee, self.operation.guarantees)


@dataclass(eq=False, slots=True)
class Account:
    """One account: what was written, and what was read of it."""

    index: int
    id: str
    terms: Terms
    writes: list[Write] = field(default_factory=list)
    """Those that happened or may have, and move something, in the order of their calls."""
    amounts: list[int] = field(default_factory=list)
    refused: list[Write] = field(default_factory=list)
    """Those that must not have happened."""
    reads: list[Read] = field(default_factory=list)
    """In the order of their returns."""
    unexplained: list[Read] = field(default_factory=list)
    is_known: bool = True
    """Whether the history tells what each of its writes moves."""
    is_mortal: bool = False
    """Whether any of its writes may have gone with a disk."""
    decoder: Decoder = field(init=False)
    names: Names | None = None
    """How lines of statements are told apart; made when the first statement is read."""
    shared: int = 0
    """Bitset of the writes that move something on other accounts, too."""

    def show(self, balance: int | None, stated: Stated | None, count: int) -> Shown | None:
        """Say which of the first `count` writes a result shows; None where no set of them explains it."""
        if not self.is_known or balance is None:
            shown: Shown | None = Shown(0, (1 << count) - 1)
        else:
            shown = self.decoder.decode(balance - self.terms.balance, count)
        if shown is None or stated is None or not self.is_known:
            return shown
        self.names = self.names or Names(self.id, self.writes, self.amounts)
        listed = read_lines(self.names, stated, (1 << count) - 1)
        must, may = shown.must | listed.must, shown.may & listed.may
        return None if must & ~may else Shown(must, may)


class Snapshot(NamedTuple):
    """What one branch held at the end, account by account."""

    final: Final
    shown: dict[int, Shown]
    """Account (by its index) to what its balance and statement show."""
    unexplained: list[Account]
    """Accounts whose balance no set of writes explains."""


@dataclass(eq=False, slots=True)
class Evidence:
    """A history, put in order."""

    header: Header
    operations: list[Operation]
    """In the order of their calls, which is where a `place` counts."""
    writes: list[Write]
    """In the order of their calls."""
    faults: list[Fault]
    repeated: set[str]
    """Keys of more than one operation."""
    accounts: dict[str, Account] = field(default_factory=dict)
    results: list[tuple[Read, ...]] = field(default_factory=list)
    """For each place: what the answer revealed."""
    told: list[tuple[Write, ...]] = field(default_factory=list)
    """For each place: what its session then knew to be written."""
    asked: list[tuple[Write, ...]] = field(default_factory=list)
    """For each place: what was asked for there first, whether or not it was ever acknowledged."""

    snapshots: list[Snapshot] = field(default_factory=list)
    by_index: list[Account] = field(default_factory=list)
    by_return: list[int] = field(default_factory=list)
    """The places of what was answered, in the order of the answers."""

    def forget(self) -> None:
        """Let go of what refers to itself in a circle: accounts and what was read of them."""
        for account in self.by_index:
            account.reads.clear()
            account.unexplained.clear()

    def account(self, name: str) -> Account:
        """Return an account, known or not yet."""
        account = self.accounts.get(name)
        if account is None:
            account = Account(len(self.accounts), name, self.header.terms(name))
            self.accounts[name] = account
            self.by_index.append(account)
        return account


def gather(history: History) -> Evidence:
    """Put a history in order and decode everything in it; goes through its items once."""
    operations, faults, finals = _sort(history)
    reservations = Reservations()
    for operation in operations:
        reservations.add(operation)
    writes = sorted(writes_of(operations, faults, reservations), key=attrgetter("sort_key"))
    repeated = repeated_keys(operations)
    evidence = Evidence(history.header, operations, writes, faults, repeated)
    evidence.told = [()] * len(operations)
    evidence.asked = [()] * len(operations)
    answered = (place for place, each in enumerate(operations) if each.return_us is not None)
    evidence.by_return = sorted(answered, key=lambda place: operations[place].return_us or 0)
    _enter_terms(evidence, finals)
    for write in writes:
        _enter_write(evidence, write)
    _enter_reads(evidence, reservations)
    evidence.snapshots = [_snapshot(evidence, final) for final in finals]
    return evidence


def _sort(history: History) -> tuple[list[Operation], list[Fault], list[Final]]:
    operations: list[Operation] = []
    faults: list[Fault] = []
    finals: list[Final] = []
    for item in history.items:
        match item:
            case Operation():
                operations.append(item)
            case Fault():
                faults.append(item)
            case Final():
                finals.append(item)
    operations.sort(key=lambda operation: (operation.call_us, operation.number))
    return operations, faults, sorted(finals, key=lambda final: final.branch)


def _enter_terms(evidence: Evidence, finals: list[Final]) -> None:
    for operation in evidence.operations:
        if isinstance(operation.command, OpenAccount) and operation.outcome is Outcome.OK:
            opening = operation.command.opening
            if opening.account not in evidence.header.accounts:
                evidence.account(opening.account).terms = Terms(0, opening.floor)
    for name in chain(evidence.header.accounts, *(final.balances for final in finals)):
        evidence.account(name)


def _enter_write(evidence: Evidence, write: Write) -> None:
    if write.standing is Standing.ACKNOWLEDGED:
        evidence.told[write.told_at] += (write,)
    if write.standing is not Standing.REFUSED:
        evidence.asked[write.asked_at] += (write,)
    for name, amount in write.amounts:
        account = evidence.account(name)
        if write.standing is Standing.REFUSED:
            account.refused.append(write)
        elif amount is None:
            account.is_known = False
        elif amount:
            if len(write.amounts) > 1:
                account.shared |= 1 << len(account.writes)
            write.bits += ((account.index, len(account.writes)),)
            account.writes.append(write)
            account.amounts.append(amount)
            account.is_mortal |= write.until_us != NEVER


def _enter_reads(evidence: Evidence, reservations: Reservations) -> None:
    asked_before: set[str] = set()
    for place, operation in enumerate(evidence.operations):
        reads: tuple[Read, ...] = ()
        # What a key is told again is of the past; not every such answer says so.
        is_repeated = operation.key in evidence.repeated
        is_again = is_repeated and (operation.is_replayed or operation.key in asked_before)
        if is_repeated and operation.key is not None:
            asked_before.add(operation.key)
        if operation.return_us is not None and not is_again:
            reads = tuple(
                Read(operation, place, evidence.account(name), balance, operation.return_us, stated)
                for name, balance, stated in results_of(operation, reservations)
            )
        evidence.results.append(reads)
        for read in reads:
            read.account.reads.append(read)
    budget = Budget()
    for account in evidence.accounts.values():
        account.decoder = Decoder(account.amounts, budget)
        _decode(account)
    for account in evidence.accounts.values():
        for read in account.unexplained:
            evidence.results[read.place] = tuple(
                each for each in evidence.results[read.place] if each is not read
            )


def _snapshot(evidence: Evidence, final: Final) -> Snapshot:
    snapshot = Snapshot(final, {}, [])
    for name, balance in final.balances.items():
        account = evidence.accounts[name]
        shown = account.show(balance, final.statements.get(name), len(account.writes))
        if shown is None:
            snapshot.unexplained.append(account)
        else:
            snapshot.shown[account.index] = shown
    return snapshot


def _decode(account: Account) -> None:
    reads, account.reads = account.reads, []
    reads.sort(key=attrgetter("return_us", "place"))
    count, writes = 0, account.writes
    for read in reads:
        while count < len(writes) and writes[count].call_us <= read.return_us:
            count += 1
        read.count = _count_without_own_future(writes, read, count)
        shown = account.show(read.balance, read.stated, read.count)
        if shown is None:
            account.unexplained.append(read)
        else:
            read.must, read.may = shown
            account.reads.append(read)


def _count_without_own_future(writes: list[Write], read: Read, count: int) -> int:
    """Leave out what its session asked for only once it had been told, be it in the same microsecond."""
    session, number = read.operation.session, read.operation.number
    while count:
        write = writes[count - 1]
        is_own = write.is_of_one_session and write.operation.session == session
        if write.call_us != read.return_us or not is_own or write.operation.number < number:
            break
        count -= 1
    return count


def results_of(
    operation: Operation, reservations: Reservations
) -> Iterator[tuple[str, int | None, Stated | None]]:
    """Go through what one answer tells of accounts as they are now: account, balance, statement."""
    command, outcome = operation.command, operation.outcome
    if isinstance(command, Batch):
        yield from _batch_results(operation, command)
    elif outcome is Outcome.OK:
        account = _told_account(operation, reservations)
        if account is not None and (operation.balance is not None or operation.statement is not None):
            yield account, operation.balance, operation.statement
    elif outcome is Outcome.INSUFFICIENT_FUNDS and operation.balance is not None:
        match command:
            # Of postings, it is not told which account's balance this is.
            case Withdraw(account=name) | Transfer(source=name) | Reserve(account=name):
                yield name, operation.balance, None


def _told_account(operation: Operation, reservations: Reservations) -> str | None:
    match operation.command:
        case ReadBalance(account, at_ms):
            return account if at_ms is None else None
        case ReadStatement(account=name) | Deposit(account=name) | Withdraw(account=name):
            return name
        case Transfer(source=name) | Reserve(account=name):
            return name
        case Submit(postings):
            return postings[0].account
        case OpenAccount(opening):
            return opening.account
        case Capture(reservation) | Release(reservation):
            return reservations.account(reservation)
        case _:
            return None


def _batch_results(operation: Operation, command: Batch) -> Iterator[tuple[str, int | None, None]]:
    """Tell the balances after the whole batch: after the last command that told one, and what came later."""
    if operation.outcome is not Outcome.OK:
        return
    balances: dict[str, int] = {}
    for each, told in zip(command.commands, operation.results, strict=False):
        if told.outcome is not Outcome.OK:
            continue
        for account, amount in moved_by(each):
            if account in balances:
                balances[account] += amount
        if told.balance is not None:
            balances[accounts_of(each)[0]] = told.balance
    for account, balance in balances.items():
        yield account, balance, None


def bits_of(mask: int) -> list[int]:
    """Return the places of the ones in a bitset, lowest first."""
    bits = []
    while mask:
        lowest = mask & -mask
        bits.append(lowest.bit_length() - 1)
        mask ^= lowest
    return bits


def lasting(account: Account, mask: int, at_us: int) -> int:
    """Leave out of a bitset what may have gone with a lost disk before a moment."""
    if not account.is_mortal:
        return mask
    gone = sum(1 << bit for bit in bits_of(mask) if account.writes[bit].until_us <= at_us)
    return mask & ~gone
