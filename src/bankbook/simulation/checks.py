"""What must be true at every moment: each commit and each answer is held against books that only add up.

Decides what is a violation. Looks at the disks, and trusts neither the core nor the client: it is a
deliberately dumb second account of what the entries on a disk come to. Proof that it finds anything:
tests/simulation/test_saboteurs.py.

The invariants of money stand in bankbook.core.state, those of sessions in docs/bank.md; the source of the
session guarantees as sets of visible writes: Terry et al., "Session Guarantees for Weakly Consistent
Replicated Data" (PDIS 1994).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bankbook.client.errors import BankbookError
from bankbook.core.commands import Freshness, Level, ReadBalance, Reserve, Submit, Transfer, Withdraw
from bankbook.core.entry import Entry, Record, RecordKind
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.ports import Changes
from bankbook.core.types import AccountId, EntryId, Key, Origin, ReservationId, reservation_id
from bankbook.core.vector import VersionVector
from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.operations import Intent, Operation, State
from bankbook.wire.replies import BatchReceipt, Receipt

_FROM_OUTSIDE = (RecordKind.DEPOSIT, RecordKind.WITHDRAWAL, RecordKind.CAPTURE)

# What no bank that is right ever answers to what the simulated customers ask.
_NEVER = frozenset(
    {
        Outcome.INVALID_REQUEST,
        Outcome.INVALID_TOKEN,
        Outcome.KEY_REUSED,
        Outcome.SAME_ACCOUNT,
        Outcome.UNBALANCED,
        Outcome.NOT_REPRESENTABLE,
        Outcome.SHUTTING_DOWN,
    }
)
_ONLY_WITH_LOST_DISKS = frozenset({Outcome.WRITES_LOST, Outcome.CATCHING_UP, Outcome.UNKNOWN_RESERVATION})


class ViolationError(Exception):
    """A promise was broken; the message says which, and by what."""


def demand(condition: object, broken: str) -> None:
    """Raise ViolationError unless `condition` holds."""
    if not condition:
        raise ViolationError(broken)


class Books:
    """What the entries on one disk add up to."""

    def __init__(self, opening_balance: int | None) -> None:
        self._opening_balance = opening_balance
        self.balances: dict[AccountId, int] = {}
        self.floors: dict[AccountId, int | None] = {}
        self.left: dict[ReservationId, tuple[AccountId, int]] = {}
        """Of each reservation: whose, and what is set aside still."""
        self.applied = VersionVector()
        self.lately: list[tuple[VersionVector, dict[AccountId, int]]] = []
        """Of each entry of the last commit: what was applied before it, and the balances that it changed."""
        self._decided: dict[Key, EntryId] = {}

    def apply(self, entry: Entry) -> None:
        """Add one entry."""
        demand(
            entry.seq == self.applied[entry.origin] + 1, f"{entry.id} is applied out of its order, or twice"
        )
        for origin, seq in entry.dependencies:
            demand(
                self.applied[origin] >= seq, f"{entry.id} is applied before {origin}#{seq}, on which it rests"
            )
        self.lately.append((self.applied, {each: self.balance(each) for each in entry.accounts}))
        self.applied = self.applied.raised(entry.origin, entry.seq)
        if entry.keyed is not None and entry.records[0].fence is None:
            key, known = entry.keyed.key, self._decided.get(entry.keyed.key)
            demand(known is None, f"key {key} took effect in {known} and in {entry.id}")
            self._decided[key] = entry.id
        for index, record in enumerate(entry.records):
            self._apply_record(entry, index, record)

    def _apply_record(self, entry: Entry, index: int, record: Record) -> None:
        if record.opening is not None:
            demand(record.opening.account not in self.floors, f"{record.opening.account} is opened twice")
            self.floors[record.opening.account] = record.opening.floor
            self.balances[record.opening.account] = 0
        for account, amount in record.postings:
            self.balances[account] = self.balance(account) + amount
        if record.kind not in _FROM_OUTSIDE:
            moved = sum(amount for _, amount in record.postings)
            demand(not moved, f"{entry.id} makes {moved} from nothing")
        if record.reservation is not None:
            name = reservation_id(entry.id, index)
            self.left[name] = (record.reservation.account, record.reservation.amount)
        if record.settlement is not None:
            self._settle(entry, record)

    def _settle(self, entry: Entry, record: Record) -> None:
        settled = record.settlement
        assert settled is not None, "the caller looked"
        account, left = self.left.get(settled.reservation, (settled.account, 0))
        left -= settled.amount
        demand(left == settled.left >= 0, f"{entry.id} settles {settled.amount} too much or too little")
        self.left[settled.reservation] = (account, left)

    def balance(self, account: AccountId) -> int:
        """Return what the postings add up to."""
        return self.balances.get(account, self._opening_balance or 0)

    def states(self, account: AccountId) -> list[State]:
        """Return the states that the last commit went through, newest first."""
        states = [State(self.applied, self.balance(account))]
        for applied, balances in reversed(self.lately):
            states.append(State(applied, balances.get(account, states[-1].balance)))
        return states

    def reserved(self, account: AccountId) -> int:
        """Return what is set aside."""
        return sum(left for owner, left in self.left.values() if owner == account)


@dataclass(slots=True)
class SessionPast:
    """What one session has written and seen: entries, not balances."""

    wrote: set[EntryId] = field(default_factory=set)
    saw: set[EntryId] = field(default_factory=set)


class Judge:
    """Watches every disk and every customer of one simulated bank."""

    def __init__(self, loop: VirtualLoop, branches: tuple[int, ...], opening_balance: int | None) -> None:
        self._loop = loop
        self._branches = branches
        self._opening_balance = opening_balance
        self.books: dict[Origin, Books] = {}
        self.written: dict[EntryId, tuple[Entry, int]] = {}
        """Every entry that its own branch committed, and when."""
        self.gone: set[EntryId] = set()
        """What may have been on no disk but one that was lost."""
        self.present: dict[int, Origin] = {}
        """Which disk each branch has."""
        self._by_account: dict[AccountId, list[EntryId]] = defaultdict(list)
        self._had: dict[EntryId, set[Origin]] = defaultdict(set)
        self._effects: dict[str, EntryId] = {}
        """The entry in which each memo took effect."""
        self._decided: dict[Key, EntryId] = {}
        self._never: set[str] = set()
        self._lost_disks = 0
        self.expiries: Counter[AccountId] = Counter()
        """How many reservations of each account have ended by themselves."""
        """Whose request was refused for good."""
        self.judged: Counter[str] = Counter()
        """How often each promise was put to the test."""

    @property
    def has_lost_disks(self) -> bool:
        """Whether any disk was ever lost."""
        return self._lost_disks > 0

    # Commits.

    def on_disk(self, disk: SimulatedDisk) -> None:
        """Take note of a branch's new, empty disk."""
        origin = disk.identity.origin
        before = self.present.get(origin.branch)
        if before is not None:
            self._lost_disks += 1
            kept = [self.books[each].applied for each in self.present.values() if each != before]
            lost = [each for each in self.written if self._is_on(before, each)]
            self.gone.update(each for each in lost if not any(has(applied, each) for applied in kept))
        self.present[origin.branch] = origin
        self.books[origin] = Books(self._opening_balance)

    def on_commit(self, disk: SimulatedDisk, changes: Changes) -> None:
        """Judge what has just become durable. Raises ViolationError."""
        origin = disk.identity.origin
        books = self.books[origin]
        books.lately.clear()
        for entry in changes.entries:
            books.apply(entry)
            self._had[entry.id].add(origin)
            if entry.origin == origin:
                self._judge_own(entry)
            else:
                demand(entry.id in self.written, f"{entry.id} reached {origin} before its own disk had it")
                demand(self.written[entry.id][0] == entry, f"{entry.id} is another entry at {origin}")
        for account in sorted({account for entry in changes.entries for account in entry.accounts}):
            self._judge_account(disk, books, account)

    def _judge_own(self, entry: Entry) -> None:
        self.written[entry.id] = (entry, self._loop.now_us)
        for account in entry.accounts:
            self._by_account[account].append(entry.id)
        if entry.keyed is not None and entry.records[0].fence is None:
            self._judge_once(self._decided, entry.keyed.key, entry)
        for record in entry.records:
            if record.kind is RecordKind.EXPIRY:
                self.expiries.update(record.accounts)
            if record.memo and record.kind is not RecordKind.REFUSAL and record.verdict is not None:
                demand(
                    record.memo not in self._never,
                    f"{record.memo} was refused, and took effect in {entry.id}",
                )
                if record.kind is not RecordKind.CAPTURE:
                    self._judge_once(self._effects, record.memo, entry)

    def _judge_once(self, effects: dict[Key, EntryId] | dict[str, EntryId], name: str, entry: Entry) -> None:
        known = effects.get(name)  # type: ignore[call-overload]  # a Key is a str
        self.judged["exactly once"] += 1
        demand(known is None or known in self.gone, f"{name} took effect twice: in {known} and in {entry.id}")
        effects[name] = entry.id  # type: ignore[index]

    def _judge_account(self, disk: SimulatedDisk, books: Books, account: AccountId) -> None:
        state, where = disk.account(account), f"{account} at {disk.identity.origin}"
        demand(state is not None, f"{where} was touched and is not there")
        assert state is not None, "demanded"
        demand(
            state.balance == books.balance(account),
            f"{where} has {state.balance}, not {books.balance(account)}",
        )
        reserved = books.reserved(account)
        demand(state.reserved == reserved >= 0, f"{where} sets aside {state.reserved}, not {reserved}")
        self.judged["books"] += 1
        if state.floor is None:
            return
        demand(
            state.balance >= state.floor, f"{where} is at {state.balance}, below its floor of {state.floor}"
        )
        rights = self._rights(disk, account)
        demand(min(rights.values()) >= 0, f"{where}: a branch took what it had no right to: {rights}")
        free = state.balance - state.floor - state.reserved
        demand(sum(rights.values()) == free, f"{where}: the rights {rights} are not the {free} that are free")

    def _rights(self, disk: SimulatedDisk, account: AccountId) -> dict[int, int]:
        share, rest = divmod(self._opening_balance or 0, len(self._branches))
        rights = {branch: share + (place < rest) for place, branch in enumerate(self._branches)}
        for origin, holding in disk.holdings(account).items():
            rights[origin.branch] += holding.rights
        return rights

    # Answers.

    def on_receipt(self, operation: Operation, past: SessionPast) -> None:
        """Judge an answer to a request that was carried out. Raises ViolationError."""
        receipt = operation.receipt
        assert receipt is not None, "it was carried out"
        command, intent = operation.command, operation.intent
        if isinstance(command, ReadBalance):
            self._judge_read(operation, past)
        elif not receipt.is_replayed and operation.freshness.level is not Level.LOCAL:
            self._judge_own_writes(operation, past)
        if receipt.entry is None or isinstance(command, ReadBalance):
            return
        if intent.entry is not None and intent.entry != receipt.entry:
            demand(intent.entry in self.gone, f"{intent.name} is told {intent.entry} and {receipt.entry}")
        demand(intent.name not in self._never, f"{intent.name} was refused and is done")
        demand(receipt.entry in self.written, f"{intent.name} is told {receipt.entry}, which nobody wrote")
        disks = len(self._had[receipt.entry])
        demand(
            disks > intent.durable,
            f"{receipt.entry} is on {disks} disks, {intent.durable} others were asked for",
        )
        self.judged["durable"] += bool(intent.durable)
        intent.entry = receipt.entry
        past.wrote.add(receipt.entry)

    def on_error(self, operation: Operation, past: SessionPast, error: BankbookError) -> None:
        """Judge an answer to a request that was not carried out, or may have been. Raises ViolationError."""
        outcome, intent = error.outcome, operation.intent
        told = f"{intent.name} is told {outcome.name}: {error}"
        demand(outcome not in _NEVER, told)
        demand(outcome not in _ONLY_WITH_LOST_DISKS or self.has_lost_disks, told)
        if outcome is Outcome.WRITES_LOST:
            past.wrote.clear()
            past.saw.clear()
        if outcome.certainty in (Certainty.REFUSED, Certainty.RETRYABLE) and intent.sent == 1:
            entry = self._effects.get(intent.name)
            self.judged["refused means never"] += 1
            demand(entry is None or entry in self.gone, f"{told}; and it took effect in {entry}")
            self._never.add(intent.name)
        if outcome is Outcome.INSUFFICIENT_FUNDS:
            self._judge_refusal(operation)

    def forgive(self, intent: Intent) -> None:
        """Note that a request which nothing had come of is sent again."""
        self._never.discard(intent.name)

    def _judge_own_writes(self, operation: Operation, past: SessionPast) -> None:
        self.judged["read your writes"] += bool(past.wrote)
        self._demand_shown(operation, past.wrote, "which this session had written")

    def _judge_read(self, operation: Operation, past: SessionPast) -> None:
        receipt, command, level = operation.receipt, operation.command, operation.freshness.level
        assert isinstance(receipt, Receipt), "a read is answered with it"
        assert isinstance(command, ReadBalance), "the caller looked"
        account = command.account
        told = [state.applied for state in operation.possible if state.balance == receipt.balance]
        demand(told, f"{operation} reads {receipt.balance}, and that branch had {operation.possible}")
        # A step may apply more behind a read: it shows at the most the newest state that fits, and surely
        # the oldest.
        operation.shown, least = told[0], told[-1]
        visible = {each for each in self._by_account[account] if has(least, each)}
        if level is not Level.LOCAL:
            self._judge_own_writes(operation, past)
            self.judged["monotonic reads"] += bool(past.saw)
            self._demand_shown(operation, past.saw, "which this session had seen")
        if level in (Level.LATEST, Level.BOUNDED):
            self._judge_fresh(operation, account, operation.freshness)
        self.judged["balances"] += 1
        past.saw |= visible

    def _judge_fresh(self, operation: Operation, account: AccountId, freshness: Freshness) -> None:
        since_us = operation.called_us - freshness.bound_us
        owed = [each for each in self._by_account[account] if self.written[each][1] < since_us]
        self.judged[freshness.level.name] += bool(owed)
        self._demand_shown(operation, owed, f"acknowledged before a {freshness.level.name} read")

    def _demand_shown(self, operation: Operation, owed: Iterable[EntryId], why: str) -> None:
        for entry in sorted(owed):
            is_shown = has(operation.shown, entry) or entry in self.gone
            demand(is_shown, f"{operation} does not show {entry}, {why}")

    def _judge_refusal(self, operation: Operation) -> None:
        """Whatever is not counted here, the branch need not have known; so it had this at the least."""
        wanted: Counter[AccountId] = Counter()
        match operation.command:
            case Withdraw(account, amount) | Reserve(account, amount):
                wanted[account] = amount
            case Transfer(source, _, amount):
                wanted[source] = amount
            case Submit(postings):
                wanted.update({account: -amount for account, amount in postings if amount < 0})
            case _:
                return
        self.judged["refusals"] += 1
        least = {each: self._least_funds(each, operation.intent.first_us) for each in wanted}
        demand(
            any(least[each] < amount for each, amount in wanted.items()),
            f"{operation} was refused for want of {dict(wanted)}, and there was at least {least}",
        )

    def _least_funds(self, account: AccountId, since_us: int) -> int:
        funds = self._opening_balance or 0
        for name in self._by_account[account]:
            entry, written_us = self.written[name]
            moved = funds_moved(entry)[account]
            if name not in self.gone and (moved < 0 or written_us < since_us):
                funds += moved
        return funds

    def states(self, branch: int, account: AccountId) -> list[State]:
        """Return what a branch's disk has, and the states that its last commit went through, newest first."""
        return self.books[self.present[branch]].states(account)

    def _is_on(self, origin: Origin, entry: EntryId) -> bool:
        return has(self.books[origin].applied, entry)

    # The end.

    def judge_end(self, disks: list[SimulatedDisk], intents: Iterable[Intent]) -> None:
        """Judge that all have come to rest in the same state. Raises ViolationError."""
        first = disks[0]
        for disk in disks[1:]:
            there = f"{disk.identity.origin} and {first.identity.origin}"
            demand(
                disk.applied() == first.applied(),
                f"{there} have not the same: {disk.applied()} {first.applied()}",
            )
            for name in ("_accounts", "_holdings", "_keys", "_reservations", "_postings", "_ended"):
                demand(getattr(disk, name) == getattr(first, name), f"{there} differ in {name}")
        for intent in intents:
            if intent.entry is not None and intent.entry not in self.gone:
                self.judged["what was acknowledged is there"] += 1
                demand(
                    has(first.applied(), intent.entry),
                    f"{intent.name} was acknowledged, and {intent.entry} is lost",
                )


def has(applied: VersionVector, entry: EntryId) -> bool:
    """Whether an entry is among what is applied."""
    return applied[entry.origin] >= entry.seq


def funds_moved(entry: Entry) -> Counter[AccountId]:
    """Return what an entry does to what can be taken out of each account."""
    moved: Counter[AccountId] = Counter()
    for record in entry.records:
        for account, amount in record.postings:
            moved[account] += amount
        if record.opening is not None:
            moved[record.opening.account] -= record.opening.floor or 0
        if record.reservation is not None:
            moved[record.reservation.account] -= record.reservation.amount
        if record.settlement is not None:
            moved[record.settlement.account] += record.settlement.amount
    return moved


__all__ = ["BatchReceipt", "Books", "Judge", "SessionPast", "ViolationError", "demand", "funds_moved", "has"]
