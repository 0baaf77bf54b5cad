"""What must be true of every answer: each is held against what the branch had, and what its session knew.

Decides what is a violation there. Trusts neither the core nor the client. Must not know what an entry comes
to (books.py), nor what a history of the answers tells (bankbook.checkers). Proof that it finds anything:
tests/simulation/test_saboteurs.py.

The invariants of sessions stand in docs/bank.md; the source of the session guarantees as sets of visible
writes: Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (PDIS 1994).
"""

from collections import Counter
from collections.abc import Iterable

from bankbook.client.errors import BankbookError
from bankbook.core.commands import (
    Batch,
    Capture,
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
from bankbook.core.guarantees import RULES, Access, Guarantee, Side
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import AccountId, EntryId, Key
from bankbook.core.vector import VersionVector
from bankbook.simulation.books import funds_moved, has
from bankbook.simulation.commits import DiskJudge
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.pasts import Entries, SessionPast
from bankbook.simulation.promises import Promise, ViolationError, demand
from bankbook.simulation.statements import page_told
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


class Judge(DiskJudge):
    """Watches every disk and every customer of one simulated bank."""

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
        self._judge_basis(operation, past, receipt)
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
        origin = self.present[info.branch]
        since_us = self._knew.get((origin, Key(key)))
        is_excused = since_us is None or since_us >= operation.called_us or origin not in self._joined
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

    def _judge_basis(self, operation: Operation, past: SessionPast, receipt: Receipt | BatchReceipt) -> None:
        """Judge a write by what its branch had when it decided, and not only by what it had afterwards."""
        assert receipt.entry is not None, "a write was decided"
        written_us = self.written[receipt.entry][1]
        if written_us < operation.called_us:
            # It was decided before, for who asked first.
            words = f"{operation} is told {receipt.entry} as if it was decided now, and it was decided before"
            demand(receipt.is_replayed, Promise.EXACTLY_ONCE, words)
            return
        is_told_on = receipt.is_replayed or receipt.entry.origin.branch != operation.branch
        if is_told_on and operation.intent.sent > 1:
            return  # for an earlier sending of the same, by this session or the customer's other one
        operation.shown = self._decisions.basis(receipt.entry)
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
            self._judge_beginning(operation, receipt, command)
            pages = {
                state.applied: self._sheets.page(command, state.applied, receipt.begins_ms)
                for state in operation.possible
            }
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

    def _judge_beginning(self, operation: Operation, page: StatementPage, command: ReadStatement) -> None:
        """Judge that a statement leaves out only what may have been dropped, and says where it begins."""
        begins_ms = page.begins_ms
        if begins_ms is None:
            return
        self.judged[Promise.STATEMENTS] += 1
        asked_ms = command.from_ms if command.after is None else command.after.clock >> 16
        is_owed = begins_ms <= asked_ms or begins_ms > self.droppable_ms
        demand(not is_owed, Promise.STATEMENTS, f"{operation} begins at {begins_ms}, later than it has to")

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
