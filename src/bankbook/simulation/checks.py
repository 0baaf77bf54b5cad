"""What must be true at every moment: each commit and each answer is held against books that only add up.

Decides what is a violation. Looks at the disks, and trusts neither the core nor the client. Must not know
what an entry comes to (books.py), nor what a history of the answers tells (bankbook.checkers). Proof that it
finds anything: tests/simulation/test_saboteurs.py.

The invariants of sessions stand in docs/bank.md; the source of the session guarantees as sets of visible
writes: Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (PDIS 1994).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bankbook.client.errors import BankbookError
from bankbook.core.commands import (
    Batch,
    Capture,
    Command,
    Freshness,
    Level,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
    access_of,
    accounts_of,
)
from bankbook.core.entry import Entry, RecordKind
from bankbook.core.guarantees import RULES, Access, Guarantee, Side
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.ports import Account, Changes
from bankbook.core.types import AccountId, EntryId, Key, Origin, ReservationId
from bankbook.core.vector import VersionVector
from bankbook.simulation.books import Books, funds_moved, has
from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.decisions import Decisions
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.operations import Intent, Operation, State
from bankbook.simulation.promises import Promise, ViolationError, demand
from bankbook.simulation.statements import Sheets, page_told
from bankbook.wire.replies import BatchReceipt, Receipt, StatementPage

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

# What a branch that knows how a key ended tells all the same: it waits for other disks, or serves nobody.
_SAID_BY_WHO_KNOWS = frozenset({Outcome.DURABILITY_TIMEOUT, Outcome.CATCHING_UP, Outcome.SHUTTING_DOWN})

# A branch may be busy with a commit while the time of a request runs out, but no longer.
_NOT_DONE_US = 2_000_000

_PROMISES = {
    Guarantee.READ_YOUR_WRITES: Promise.READ_YOUR_WRITES,
    Guarantee.MONOTONIC_READS: Promise.MONOTONIC_READS,
    Guarantee.MONOTONIC_WRITES: Promise.MONOTONIC_WRITES,
    Guarantee.WRITES_FOLLOW_READS: Promise.WRITES_FOLLOW_READS,
}


class Entries(set[EntryId]):
    """A set of entries that only grows, or is cleared; it knows the newest of each log.

    Sessions come to thousands of entries, each of which every answer has to show, and nearly always does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[Origin, int] = {}

    def add(self, entry: EntryId) -> None:
        """Add one."""
        super().add(entry)
        self._newest[entry.origin] = max(self._newest.get(entry.origin, 0), entry.seq)

    def update(self, *entries: Iterable[EntryId]) -> None:
        """Add many."""
        for each in entries:
            for entry in set(each) - self:
                self.add(entry)

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self._newest.clear()

    def are_in(self, applied: VersionVector) -> bool:
        """Whether all are among what is applied."""
        return all(applied[origin] >= seq for origin, seq in self._newest.items())


@dataclass(slots=True)
class SessionPast:
    """What one session has written and seen: entries, not balances."""

    guarantees: Guarantee = Guarantee.ALL
    wrote: Entries = field(default_factory=Entries)
    saw: Entries = field(default_factory=Entries)


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
        self._decisions = Decisions(self.gone)
        self._knew: dict[tuple[Origin, Key], int] = {}
        """Since when a disk has had the end of a key."""
        self.present: dict[int, Origin] = {}
        """Which disk each branch has."""
        self._sheets = Sheets(opening_balance or 0)
        self._by_account: dict[AccountId, list[EntryId]] = defaultdict(list)
        self._had: dict[EntryId, set[Origin]] = defaultdict(set)
        self._effects: dict[str, EntryId] = {}
        """The entry in which each memo took effect."""
        self._decided: dict[Key, EntryId] = {}
        self._never: set[str] = set()
        """Whose request was refused for good."""
        self._over: dict[Origin, tuple[frozenset[Origin], frozenset[Origin]]] = {}
        """Which disks each disk had noted to be replaced, before its last commit and with it."""
        self._lost_disks = 0
        self.expiries: Counter[AccountId] = Counter()
        """How many reservations of each account have ended by themselves."""
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
        self._over[origin] = frozenset(), frozenset()

    def on_commit(self, disk: SimulatedDisk, changes: Changes) -> None:
        """Judge what has just become durable. Raises ViolationError."""
        origin = disk.identity.origin
        books = self.books[origin]
        books.lately.clear()
        # A new store has just learned what its former one had set aside.
        is_busy = disk.is_quiet or not books.applied[origin]
        _, before = self._over[origin]
        self._over[origin] = before, before | {life for life, is_over in changes.lives.items() if is_over}
        for entry in changes.entries:
            if entry.origin == origin:
                self._decisions.on_own(entry, books, disk.decided_us, is_busy=is_busy)
                self._judge_own(entry)
            else:
                self._judge_foreign(entry, origin)
                self._decisions.on_foreign(entry, books)
            books.apply(entry)
            self._had[entry.id].add(origin)
            if entry.keyed is not None and entry.records[0].fence is None:
                self._knew.setdefault((origin, entry.keyed.key), self._loop.now_us)
        for account in sorted({account for entry in changes.entries for account in entry.accounts}):
            self._judge_account(disk, books, account)

    def _judge_foreign(self, entry: Entry, origin: Origin) -> None:
        promise = Promise.RELEASED_ONCE_DURABLE
        demand(entry.id in self.written, promise, f"{entry.id} reached {origin} before its own disk had it")
        demand(self.written[entry.id][0] == entry, promise, f"{entry.id} is another entry at {origin}")
        self.gone.discard(entry.id)

    def _judge_own(self, entry: Entry) -> None:
        self.written[entry.id] = (entry, self._loop.now_us)
        self._sheets.add(entry)
        for account in entry.accounts:
            self._by_account[account].append(entry.id)
        if entry.keyed is not None and entry.records[0].fence is None:
            self._judge_once(self._decided, entry.keyed.key, entry)
        for record in entry.records:
            self.judged[Promise.RESERVATIONS] += record.settlement is not None
            if record.kind is RecordKind.EXPIRY:
                self.expiries.update(record.accounts)
            if record.memo and record.kind is not RecordKind.REFUSAL and record.verdict is not None:
                demand(
                    record.memo not in self._never,
                    Promise.REFUSED_MEANS_NEVER,
                    f"{record.memo} was refused, and took effect in {entry.id}",
                )
                if record.kind is not RecordKind.CAPTURE:
                    self._judge_once(self._effects, record.memo, entry)

    def _judge_once(self, effects: dict[Key, EntryId] | dict[str, EntryId], name: str, entry: Entry) -> None:
        known = effects.get(name)  # type: ignore[call-overload]  # a Key is a str
        self.judged[Promise.EXACTLY_ONCE] += 1
        demand(
            known is None or known in self.gone,
            Promise.EXACTLY_ONCE,
            f"{name} took effect twice: in {known} and in {entry.id}",
        )
        effects[name] = entry.id  # type: ignore[index]

    def _judge_account(self, disk: SimulatedDisk, books: Books, account: AccountId) -> None:
        state, where = disk.account(account), f"{account} at {disk.identity.origin}"
        demand(state is not None, Promise.BOOKS, f"{where} was touched and is not there")
        assert state is not None, "demanded"
        balance, reserved = books.balance(account), books.reserved(account)
        demand(state.balance == balance, Promise.BOOKS, f"{where} has {state.balance}, not {balance}")
        demand(
            state.reserved == reserved >= 0,
            Promise.BOOKS,
            f"{where} sets aside {state.reserved}, not {reserved}",
        )
        self.judged[Promise.BOOKS] += 1
        if state.floor is not None:
            self._judge_floor(disk, account, state, where)

    def _judge_floor(self, disk: SimulatedDisk, account: AccountId, state: Account, where: str) -> None:
        assert state.floor is not None, "the caller looked"
        demand(
            state.balance >= state.floor,
            Promise.FLOORS,
            f"{where} is at {state.balance}, below its floor of {state.floor}",
        )
        self.judged[Promise.FLOORS] += 1
        rights = self._rights(disk, account)
        demand(
            min(rights.values()) >= 0,
            Promise.RIGHTS,
            f"{where}: a branch took what it had no right to: {rights}",
        )
        free = state.balance - state.floor - state.reserved
        demand(
            sum(rights.values()) == free,
            Promise.RIGHTS,
            f"{where}: the rights {rights} are not the {free} that are free",
        )
        self.judged[Promise.RIGHTS] += 1

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
        if isinstance(command, ReadBalance | ReadStatement):
            self._judge_read(operation, past)
            return
        assert not isinstance(receipt, StatementPage), "nobody asked for one"
        if not receipt.is_replayed:
            self._judge_session(operation, past)
        if receipt.entry is None:
            return
        self._judge_entry(intent, receipt.entry)
        # Of a batch of which all was refused nothing has to be anywhere.
        if intent.durable and self.written[receipt.entry][0].moves_money:
            self._judge_durable(operation, receipt.entry)
        self._judge_basis(operation, past, receipt.entry)
        if isinstance(receipt, BatchReceipt):
            self._judge_batch(intent, receipt)
        elif not receipt.is_replayed:
            self._judge_told(operation, receipt)
        intent.entry = receipt.entry
        past.wrote.add(receipt.entry)

    def _judge_entry(self, intent: Intent, entry: EntryId) -> None:
        if intent.entry is not None and intent.entry != entry:
            told = f"{intent.name} is told {intent.entry} and {entry}"
            demand(intent.entry in self.gone, Promise.EXACTLY_ONCE, told)
        demand(
            intent.name not in self._never,
            Promise.REFUSED_MEANS_NEVER,
            f"{intent.name} was refused and is done",
        )
        demand(
            entry in self.written,
            Promise.RELEASED_ONCE_DURABLE,
            f"{intent.name} is told {entry}, which nobody wrote",
        )

    def _judge_durable(self, operation: Operation, entry: EntryId) -> None:
        durable, counted = operation.intent.durable, self._had[entry] - operation.known_lost
        words = f"{entry} is on {len(counted)} disks not known to be lost, {durable} others were asked for"
        demand(len(counted) > durable, Promise.DURABLE, words)
        self.judged[Promise.DURABLE] += 1

    def known_lost(self, branch: int) -> frozenset[Origin]:
        """Return which disks a branch knew to be replaced, before its last commit."""
        return self._over[self.present[branch]][0]

    def on_error(self, operation: Operation, past: SessionPast, error: BankbookError) -> None:
        """Judge an answer to a request that was not carried out, or may have been. Raises ViolationError."""
        outcome, intent = error.outcome, operation.intent
        told = f"{intent.name} is told {outcome.name}: {error}"
        demand(outcome not in _NEVER, Promise.OUTCOMES, told)
        is_fit = outcome not in _ONLY_WITH_LOST_DISKS or self.has_lost_disks
        demand(is_fit, Promise.OUTCOMES, told)
        if outcome is Outcome.WRITES_LOST:
            past.wrote.clear()
            past.saw.clear()
        if outcome.certainty in (Certainty.REFUSED, Certainty.RETRYABLE) and intent.sent == 1:
            for memo in intent.memos:
                self._judge_never(memo, told)
        if outcome.certainty in (Certainty.RETRYABLE, Certainty.UNKNOWN):
            self._judge_ignorance(operation, error, told)
        if outcome is Outcome.HOLD_TIMEOUT and not error.awaited:
            words = f"{told}; and was held for {error.held_us} us for nothing that was missing in the end"
            demand(error.held_us < _NOT_DONE_US, Promise.REST, words)
        if outcome is Outcome.INSUFFICIENT_FUNDS:
            self._judge_refusal(operation)
            past.saw.update(self._seen(operation, error.balance))

    def on_call(self, intent: Intent, ended: Receipt | BankbookError, *, is_first: bool) -> None:
        """Judge what the caller of a plain movement was told, who may not have been the only one to call.

        Raises ViolationError.
        """
        if isinstance(ended, Receipt):
            assert ended.entry is not None, "it was written"
            self._judge_entry(intent, ended.entry)
            effect = self._effects.get(intent.name)
            words = f"{intent.name} is told {ended.entry}, and took effect in {effect}"
            demand(effect == ended.entry or ended.entry in self.gone, Promise.EXACTLY_ONCE, words)
            self.judged[Promise.EXACTLY_ONCE] += 1
            intent.entry = ended.entry
            return
        told = f"{intent.name} is told {ended.outcome.name}: {ended}"
        is_fit = ended.outcome not in _ONLY_WITH_LOST_DISKS or self.has_lost_disks
        demand(ended.outcome not in _NEVER and is_fit, Promise.OUTCOMES, told)
        if is_first and ended.outcome.certainty is not Certainty.UNKNOWN:
            self._judge_never(intent.name, told)

    def _judge_never(self, memo: str, told: str) -> None:
        """Judge that what was refused has not taken effect, and never will."""
        entry, promise = self._effects.get(memo), Promise.REFUSED_MEANS_NEVER
        self.judged[promise] += 1
        demand(entry is None or entry in self.gone, promise, f"{told}; and it took effect in {entry}")
        self._never.add(memo)

    def _judge_ignorance(self, operation: Operation, error: BankbookError, told: str) -> None:
        """Judge that a branch which knew how a key ended said so, whatever else it lacked."""
        info, key = error.failure.info, operation.intent.key
        if info is None or key is None or error.outcome in _SAID_BY_WHO_KNOWS:
            return
        since_us = self._knew.get((self.present[info.branch], Key(key)))
        is_excused = since_us is None or since_us >= operation.called_us
        words = f"{told}; and branch {info.branch} knew since {since_us} how that key had ended"
        demand(is_excused, Promise.KEYS_SETTLED, words)

    def _judge_batch(self, intent: Intent, receipt: BatchReceipt) -> None:
        assert isinstance(intent.command, Batch), "only a batch has one"
        refused = [place for place, _ in receipt.refused]
        if intent.command.is_atomic:
            self.judged[Promise.ALL_OR_NOTHING] += 1
            words = f"{intent.name} was done, all but its commands {refused}"
            demand(not refused, Promise.ALL_OR_NOTHING, words)
        for place in refused:
            memo = intent.memos[place]
            self._judge_never(memo, f"{memo} was refused in its batch")

    def _judge_told(self, operation: Operation, receipt: Receipt) -> None:
        """Judge the balance that a write is answered with, and what a final capture leaves."""
        entry, command = receipt.entry, operation.command
        assert entry is not None, "the caller looked"
        settled = self.written[entry][0].records[0].settlement
        if isinstance(command, Capture) and command.is_final:
            words = f"{operation} was final, and left {settled}"
            demand(settled is not None and not settled.left, Promise.RESERVATIONS, words)
        if isinstance(command, Release) and command.amount is not None:
            is_so_much = settled is not None and settled.amount == command.amount
            demand(is_so_much, Promise.RESERVATIONS, f"{operation} freed another amount: {settled}")
        is_from_here = entry.origin == self.present[operation.branch]
        if is_from_here and not operation.intent.durable:
            told = [each.balance for each in operation.possible if has(each.applied, entry)]
            words = f"{operation} is told {receipt.balance} after {entry}, and that branch had {told}"
            demand(receipt.balance in told, Promise.BALANCES, words)

    def _seen(self, operation: Operation, balance: int | None) -> set[EntryId]:
        """Return what a balance surely shows: what makes it up, and nothing that leaves it as it is.

        Nothing where it may be one of long ago: an answer that waits for other disks was decided before.
        """
        if operation.intent.durable:
            return set()
        told = [state.applied for state in operation.possible if state.balance == balance]
        account = next(iter(accounts_of(operation.command)), None)
        if not told or account is None:
            return set()
        return {
            each
            for each in self._by_account[account]
            if has(told[-1], each) and account in dict(self.written[each][0].postings)
        }

    def forgive(self, intent: Intent) -> None:
        """Note that a request which nothing had come of is sent again."""
        self._never.difference_update(intent.memos)

    def _judge_session(self, operation: Operation, past: SessionPast) -> None:
        """Judge the guarantees that the session asked for; every write is answered as a read is, too."""
        is_local = operation.freshness.level is Level.LOCAL
        access = access_of(operation.command) & (Access.WRITE if is_local else ~Access(0))
        for rule in RULES:
            if rule.guarantee not in past.guarantees or rule.access not in access:
                continue
            owed = past.saw if rule.awaits is Side.READ_VECTOR else past.wrote
            promise = _PROMISES[rule.guarantee]
            self.judged[promise] += bool(owed)
            self._demand_shown(operation, owed, promise, f"and {rule.in_words}")

    def _judge_basis(self, operation: Operation, past: SessionPast, entry: EntryId) -> None:
        """Judge a write by what its branch had when it decided, and not only by what it had afterwards."""
        if self.written[entry][1] < operation.called_us:
            return  # it was decided before, for who asked first
        operation.shown = self._decisions.basis(entry)
        self._judge_session(operation, past)

    def _judge_read(self, operation: Operation, past: SessionPast) -> None:
        command, level = operation.command, operation.freshness.level
        assert isinstance(command, ReadBalance | ReadStatement), "the caller looked"
        account, told = command.account, self._states_told(operation)
        # A step may apply more behind a read: it shows at the most the newest state that fits, and surely
        # the oldest.
        operation.shown, least = told[0], told[-1]
        visible = {each for each in self._by_account[account] if has(least, each)}
        self._judge_session(operation, past)
        if level in (Level.LATEST, Level.BOUNDED):
            self._judge_fresh(operation, account, operation.freshness)
        past.saw.update(visible)

    def _states_told(self, operation: Operation) -> list[VersionVector]:
        """Return which of the states that the branch may have told of give this answer, newest first."""
        receipt, command = operation.receipt, operation.command
        if isinstance(command, ReadStatement):
            assert isinstance(receipt, StatementPage), "a statement is answered with it"
            page, promise = page_told(receipt), Promise.STATEMENTS
            pages = {state.applied: self._sheets.page(command, state.applied) for state in operation.possible}
            told = [applied for applied, each in pages.items() if each == page]
            words = f"{operation} reads {page}, and that branch had to tell {list(pages.values())}"
        else:
            assert isinstance(receipt, Receipt), "a read is answered with it"
            promise = Promise.BALANCES
            told = [state.applied for state in operation.possible if state.balance == receipt.balance]
            words = f"{operation} reads {receipt.balance}, and that branch had {operation.possible}"
        demand(told, promise, words)
        self.judged[promise] += 1
        return told

    def _judge_fresh(self, operation: Operation, account: AccountId, freshness: Freshness) -> None:
        since_us = operation.called_us - freshness.bound_us
        owed = [each for each in self._by_account[account] if self.written[each][1] < since_us]
        promise = Promise(freshness.level.name)
        self.judged[promise] += bool(owed)
        self._demand_shown(operation, owed, promise, f"acknowledged before a {promise} read")

    def _demand_shown(
        self, operation: Operation, owed: Iterable[EntryId], promise: Promise, why: str
    ) -> None:
        if isinstance(owed, Entries) and owed.are_in(operation.shown):
            return
        missing = [each for each in owed if not has(operation.shown, each) and each not in self.gone]
        if missing:
            raise ViolationError(promise, f"{operation} does not show {min(missing)}, {why}")

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
        self.judged[Promise.REFUSALS] += 1
        least = {each: self._least_funds(each, operation.intent.first_us) for each in wanted}
        demand(
            any(least[each] < amount for each, amount in wanted.items()),
            Promise.REFUSALS,
            f"{operation} was refused for want of {dict(wanted)}, and there was at least {least}",
        )

    def _least_funds(self, account: AccountId, since_us: int) -> int:
        funds = self._opening_balance or 0
        for name in self._by_account[account]:
            entry, written_us = self.written[name]
            moved = funds_moved(entry)[account]
            # What may be gone with a disk may as well have been under way to another one, and be there.
            if moved < 0 or (name not in self.gone and written_us < since_us):
                funds += moved
        return funds

    def states(self, branch: int, command: Command) -> list[State]:
        """Return what a branch's disk has of whatever account is told of, newest first.

        That is what it has now, and what it had between the entries of its last commit.
        """
        books = self.books[self.present[branch]]
        if isinstance(command, Capture | Release):
            known = books.left.get(command.reservation)
            return [] if known is None else books.states(known[0].account)
        return books.states(accounts_of(command)[0])

    def overdue(self, branch: int, now_us: int) -> list[ReservationId]:
        """Return what a branch has set aside, and should have freed by itself before then."""
        return self.books[self.present[branch]].overdue(branch, now_us // 1000)

    def _is_on(self, origin: Origin, entry: EntryId) -> bool:
        return has(self.books[origin].applied, entry)

    # The end.

    def judge_end(self, disks: list[SimulatedDisk], intents: Iterable[Intent]) -> None:
        """Judge that all have come to rest in the same state. Raises ViolationError."""
        first = disks[0]
        for disk in disks[1:]:
            there = f"{disk.identity.origin} and {first.identity.origin}"
            same = f"{there} have not the same: {disk.applied()} {first.applied()}"
            demand(disk.applied() == first.applied(), Promise.CONVERGENCE, same)
            for name in ("_rows", "_keys", "_reservations", "_postings", "_ended"):
                is_same = getattr(disk, name) == getattr(first, name)
                demand(is_same, Promise.CONVERGENCE, f"{there} differ in {name}")
        for intent in intents:
            if intent.entry is not None and intent.entry not in self.gone:
                self.judged[Promise.ACKNOWLEDGED_IS_THERE] += 1
                lost = f"{intent.name} was acknowledged, and {intent.entry} is lost"
                demand(has(first.applied(), intent.entry), Promise.ACKNOWLEDGED_IS_THERE, lost)


__all__ = ["Judge", "SessionPast", "ViolationError", "demand"]
