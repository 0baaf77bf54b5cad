"""Rights on their way: a branch that lacks them asks the others, and gives to those that ask.

Decides when which branch is asked, who comes first where several lack the same rights, and when a want of
funds is a fact. How much is asked and given is the policy's (bankbook.core.rights). Must not know what the
waiting requests want the rights for. Proof: tests/core/test_gathering.py.

A round asks some branches, or all of them. Each grants what it will in its own log before it answers, and its
answer names its last entry for the account; the round is over once all of these are applied here. After a
round that asked all branches since a request came, everything that was acknowledged before it came is known:
if there is too little money now, that is a fact.

Where two branches gather the same rights, the one whose request came first is first: it answers the other
only once it has what it needs or has given up, while the other gives away even what it needs itself. Which
came first is told by the hybrid clocks, then by the branches' numbers. A clock that is wrong is only
unfair: whoever is asked has observed the asker's time, so whatever comes to it later comes after.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from bankbook.core.clock import HybridTime
from bankbook.core.commands import RequestId
from bankbook.core.context import Context
from bankbook.core.decision import Decision, Short
from bankbook.core.entry import Entry, Grant, MoveRecords, Record, RecordKind
from bankbook.core.holds import Held, Holds
from bankbook.core.logs import Logs
from bankbook.core.messages import Answer, AskHead, Head
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Row, available_in
from bankbook.core.rights import Holder, Usage
from bankbook.core.types import MONEY_MAX, AccountId, BranchId, Money, Seq
from bankbook.core.vector import NOTHING, VersionVector

# The first entry of a log.
_FIRST = Seq(1)

# Of the accounts used in a step or since a heartbeat, how many are looked at for rights to be passed on; the
# others have their turn when they are used again.
_PASSED_ON_MAX = 64

# Of the accounts of a batch, so many are noted to be used, each for as many as it stands for; others by the
# next one. What is shared out by use need not be exact, and to note all took a seventh of what a branch does.
_NOTED_MAX = 256

# After a round that brought no rights, such as from a branch whose disk is full, before the next one.
_PAUSE_US = 100_000


@dataclass(slots=True)
class Gathering:
    """The requests that lack rights to one account, and the round that is under way for them."""

    account: AccountId
    waiting: dict[RequestId, Short] = field(default_factory=dict)
    question: int | None = None
    """The round's question; None between two rounds."""
    unanswered: set[BranchId] = field(default_factory=set)
    needs: VersionVector = NOTHING
    """What must be applied before the round is over."""
    participants: frozenset[RequestId] = frozenset()
    """Who waited when the round began, if it asked all branches."""
    asks_all: bool = False
    began_us: int = 0
    deferred: dict[BranchId, AskHead] = field(default_factory=dict)
    """Who asked for these rights meanwhile and has to wait."""
    had: Money = Money(0)
    """The rights that were here when the round began."""
    pause_until_us: int = 0
    """No round begins earlier: the last one brought nothing."""


class Gatherings:
    """All gatherings of one branch, and what it gives to the others."""

    def __init__(self, context: Context, logs: Logs, holds: Holds, proceed: Callable[[Held], None]) -> None:
        """`proceed` goes on with a held request."""
        self._context = context
        self._logs = logs
        self._holds = holds
        self._proceed = proceed
        self._gatherings: dict[AccountId, Gathering] = {}
        self._enriched: set[AccountId] = set()
        """Accounts whose rights here have grown in this step."""
        self._left: set[AccountId] = set()
        """Accounts that somebody waits for no more: the others need not be gone through for that."""
        self._usage = Usage()
        self._used: dict[AccountId, None] = {}
        """Accounts that something was taken out of in this step."""
        self._used_lately: dict[AccountId, None] = {}
        """The same since the last heartbeat, a few of them."""

    def join(self, held: Held, short: Short) -> None:
        """Let a request wait for rights that it lacks."""
        gathering = self._gatherings.setdefault(short.account, Gathering(short.account))
        if held.short_since is None:
            held.short_since = self._context.clock.tick(self._context.now.wall_us)
        is_new = held.request.id not in gathering.waiting
        gathering.waiting[held.request.id] = short
        held.short_of.add(short.account)
        if is_new and gathering.question is None:
            # Only who is new: a request that waits for two accounts, both paused, would else have each of
            # them looked through because of the other, without end.
            self._enriched.add(short.account)  # the round begins when all of this step have joined

    def leave(self, held: Held) -> None:
        """Let a request wait no longer."""
        for account in held.short_of:
            gathering = self._gatherings[account]
            gathering.waiting.pop(held.request.id, None)
            self._left.add(account)
        held.short_of.clear()

    def settle(self) -> None:
        """Go on with whoever has what it needs now, begin the rounds that are due, and pass rights on.

        To be called at the end of each step.
        """
        while self._enriched or self._left:
            # In an order that is the same in every run; sorted once, as thousands may be due at once.
            for account in sorted(self._enriched):
                self._enriched.discard(account)
                if account in self._gatherings:
                    self._retry(self._gatherings[account])
            left, self._left = self._left, set()
            for account in sorted(left):
                if account in self._gatherings:
                    self._look_after(self._gatherings[account])
        self._pass_on()

    def end_pauses(self) -> None:
        """Go on where a pause is over."""
        for gathering in self._gatherings.values():
            if gathering.question is None and gathering.pause_until_us <= self._context.now_us:
                self._enriched.add(gathering.account)

    def next_wake_us(self) -> int | None:
        """Return when the first pause is over; None where there is none."""
        pauses = (each.pause_until_us for each in self._gatherings.values() if each.question is None)
        return min(pauses, default=None)

    def is_waiting(self, account: AccountId) -> bool:
        """Whether anybody here waits for rights to this account."""
        return account in self._gatherings

    def wake(self, account: AccountId) -> None:
        """Look whether the round of this account is over."""
        gathering = self._gatherings.get(account)
        if gathering is not None:
            self._end_round_if_over(gathering)

    def on_applied(self, entry: Entry) -> None:
        """Take note of an entry: of what was used, and of rights that came here."""
        if self._context.is_alone:
            return  # all rights are here
        if entry.moves is not None:
            self._note_uses(entry, entry.moves)
        for record in entry.others:
            if record.kind is RecordKind.CAPTURE:
                continue  # it was used when it was reserved
            taken = [(account, -amount) for account, amount in record.postings]
            if record.reservation is not None:
                taken.append((record.reservation.account, record.reservation.amount))
            for account, amount in taken:
                row = self._context.state.row(account)
                self._note_use(account, row, entry.origin.branch, Money(amount))
        if self._gatherings:
            self._enriched.update(self._gatherings.keys() & set(entry.accounts))

    def _note_uses(self, entry: Entry, moves: MoveRecords) -> None:
        accounts, uses = moves.columns.accounts, moves.columns.uses(without=moves.refused)
        rows = self._context.state.rows(accounts)
        each = -(-len(accounts) // _NOTED_MAX)
        columns = (column[entry.seq % each :: each] for column in (accounts, rows, *uses))
        for account, row, amount, times in zip(*columns, strict=True):
            self._note_use(account, row, entry.origin.branch, Money(amount * each), times)

    def _note_use(
        self, account: AccountId, row: Row | None, branch: BranchId, amount: Money, times: int = 1
    ) -> None:
        funds = None if row is None or amount <= 0 else available_in(row)
        if funds is not None:
            self._usage.note(account, branch, amount, funds, times)
            if len(self._used) < _PASSED_ON_MAX:
                self._used[account] = None

    def _retry(self, gathering: Gathering) -> None:
        """Go on with all that wait; those that still lack rights join again."""
        for request in list(gathering.waiting):
            held = self._holds.get(request)
            if gathering.waiting.pop(request, None) is not None and held is not None:
                held.short_of.discard(gathering.account)
                self._proceed(held)
        self._enriched.discard(gathering.account)
        self._look_after(gathering)

    def _look_after(self, gathering: Gathering) -> None:
        """End what nobody waits for, begin the round that is due, and answer who had to wait for either."""
        if not gathering.waiting:
            self._end(gathering)
        elif self._is_round_due(gathering):
            self._begin_round(gathering)
        self._answer_deferred(gathering)

    def _is_round_due(self, gathering: Gathering) -> bool:
        """Whether no round is under way, or one that waits for the unreachable while others have enough."""
        if gathering.question is None:
            return gathering.pause_until_us <= self._context.now_us
        holders = self._holders(gathering.account).values()
        at_hand = sum(holder.rights for holder in holders if holder.is_reachable)
        return self._is_stalled(gathering) and at_hand >= _missing(gathering)

    def _end(self, gathering: Gathering) -> None:
        self._context.questions.forget(gathering.question)
        self._gatherings.pop(gathering.account, None)

    def _begin_round(self, gathering: Gathering) -> None:
        context = self._context
        context.questions.forget(gathering.question)
        gathering.asks_all, gathering.participants = False, frozenset()
        holders = self._holders(gathering.account)
        missing = _missing(gathering)
        plan = context.settings.policy.to_ask(missing, holders)
        covered = sum(holders[branch].rights for branch in plan if holders[branch].is_reachable)
        if covered < missing or any(short.is_want_of_funds for short in gathering.waiting.values()):
            self._ask_all(gathering)
        else:
            self._ask(gathering, plan)

    def _ask_all(self, gathering: Gathering) -> None:
        missing = _missing(gathering)
        gathering.asks_all = True
        gathering.participants = frozenset(gathering.waiting)
        self._ask(gathering, dict.fromkeys(self._context.others(), missing))

    def _ask(self, gathering: Gathering, plan: dict[BranchId, Money]) -> None:
        """Ask each branch of the plan for its part.

        What many want together may be more than any amount can be: the rest is wanted in the next round.
        """
        context, account = self._context, gathering.account
        since = self._since(gathering)
        gathering.began_us = context.now_us
        gathering.had = context.state.rights(account)[context.branch]
        gathering.unanswered, gathering.needs = set(plan), NOTHING
        gathering.question = context.ask(
            plan,
            lambda number, branch: AskHead(number, account, min(plan[branch], MONEY_MAX), since),
            lambda sender, answer: self._on_answer(gathering, sender, answer),
        )
        if not plan:
            self._end_round_if_over(gathering)

    def _on_answer(self, gathering: Gathering, sender: BranchId, answer: Head | Answer) -> None:
        assert isinstance(answer, Head), "a question for a head is answered with one"
        gathering.unanswered.discard(sender)
        gathering.needs = gathering.needs.raised(answer.origin, answer.last_write)
        self._end_round_if_over(gathering)

    def _end_round_if_over(self, gathering: Gathering) -> None:
        if gathering.question is None or gathering.unanswered:
            return
        gap = self._context.applied.first_gap(gathering.needs)
        if gap is not None:
            self._logs.watch(gap, gathering.account)
            return
        for request in gathering.participants:
            held = self._holds.get(request)
            if held is not None:
                held.heard.add(gathering.account)
        asked_all = gathering.asks_all
        gathering.question, gathering.asks_all, gathering.participants = None, False, frozenset()
        if self._context.state.rights(gathering.account)[self._context.branch] <= gathering.had:
            if not asked_all:
                # Somebody else was given what this branch knew of. Whether that leaves enough, all know.
                self._ask_all(gathering)
                return
            gathering.pause_until_us = self._context.now_us + _PAUSE_US
        self._enriched.add(gathering.account)

    def look_for_stalls(self) -> None:
        """Where a round waits for branches that cannot be reached, ask the others too.

        To be called when a branch was lost, and from time to time.
        """
        for gathering in list(self._gatherings.values()):
            if self._is_stalled(gathering):
                if not gathering.asks_all:
                    self._context.questions.forget(gathering.question)
                    self._ask_all(gathering)
                self._answer_deferred(gathering)

    def ask_anew(self) -> None:
        """Ask anew where a round is under way: what a lost store answered may name entries lost with it."""
        for gathering in list(self._gatherings.values()):
            if gathering.question is not None:
                self._context.questions.forget(gathering.question)
                self._ask_all(gathering)

    def _is_stalled(self, gathering: Gathering) -> bool:
        """Whether nothing can be expected to come of this round soon."""
        if gathering.question is None:
            return False
        reachable = {peer.branch for peer in self._context.reachable()}
        is_slow = self._context.now_us - gathering.began_us >= self._context.settings.resend_us
        return is_slow or (bool(gathering.unanswered) and not gathering.unanswered & reachable)

    def _since(self, gathering: Gathering) -> HybridTime:
        """Return since when rights are lacking here; the latest there is where nobody waits."""
        times = [
            held.short_since
            for request in gathering.waiting
            if (held := self._holds.get(request)) is not None and held.short_since is not None
        ]
        return min(times, default=self._context.clock.last)

    # What this branch gives.

    def grant(self, sender: BranchId, ask: AskHead) -> bool:
        """Give rights to another branch that asks for them; return whether it may be answered now."""
        assert ask.account is not None, "rights are to an account"
        self._context.clock.observe(ask.since)
        gathering = self._gatherings.get(ask.account)
        if gathering is not None and self._comes_first(gathering, sender, ask):
            gathering.deferred[sender] = ask
            return False
        peer = self._context.peers[sender]
        rights = self._rights(ask.account)
        if peer.origin is not None and rights is not None and not self._context.is_quiet:
            used = self._usage.of(ask.account)
            amount = self._context.settings.policy.to_grant(
                self._context.branch, sender, ask.wanted, rights, used
            )
            self._write_grant(ask.account, sender, amount)
        return True

    def _comes_first(self, gathering: Gathering, sender: BranchId, ask: AskHead) -> bool:
        if not gathering.waiting or self._is_stalled(gathering):
            return False
        return (self._since(gathering), self._context.branch) < (ask.since, sender)

    def _answer_deferred(self, gathering: Gathering) -> None:
        for sender, ask in list(gathering.deferred.items()):
            del gathering.deferred[sender]
            self.answer_ask(sender, ask)

    def answer_ask(self, sender: BranchId, ask: AskHead) -> None:
        """Answer a question for a head, after a grant where one is wanted; or later."""
        context = self._context
        if ask.account is not None and ask.wanted > 0 and not self.grant(sender, ask):
            return
        head = context.applied[context.origin]
        last_write = head if ask.account is None else context.state.last_write(ask.account, context.origin)
        if len(self._logs.lives_of(context.branch)) > 1:
            # What an earlier life of this store wrote is in no other branch's answer. The first entry of this
            # life depends on all of it.
            last_write = max(last_write, min(head, _FIRST))
        over, dropped = (context.state.over(), context.state.dropped()) if ask.joining else ((), NOTHING)
        told = Head(ask.question, context.origin, head, last_write, context.applied, over, dropped)
        context.send(sender, told)

    def forget_subscriber(self, branch: BranchId) -> None:
        """Answer a branch no more whose stream is gone; it will ask again."""
        for gathering in self._gatherings.values():
            gathering.deferred.pop(branch, None)

    def _pass_on(self) -> None:
        """Give unasked to whoever will want it, of the accounts that were used in this step."""
        used, self._used = self._used, {}
        if len(self._used_lately) < _PASSED_ON_MAX:
            self._used_lately.update(used)
        self._pass_on_some(used, is_at_leisure=False)

    def pass_on_at_leisure(self) -> None:
        """The same, more exactly, of the accounts that were used since the last heartbeat."""
        used, self._used_lately = self._used_lately, {}
        self._pass_on_some(used, is_at_leisure=True)

    def _pass_on_some(self, used: Iterable[AccountId], *, is_at_leisure: bool) -> None:
        reachable = {peer.branch for peer in self._context.reachable()}
        if self._context.is_quiet or not reachable:
            return
        for account in islice(used, _PASSED_ON_MAX):
            rights = self._rights(account)
            if rights is None or account in self._gatherings:
                continue
            there = {b: r for b, r in rights.items() if b == self._context.branch or b in reachable}
            passed = self._context.settings.policy.to_pass_on(
                self._context.branch, there, self._usage.of(account), is_at_leisure=is_at_leisure
            )
            if passed is not None:
                self._write_grant(account, *passed)

    def _write_grant(self, account: AccountId, to: BranchId, amount: Money) -> None:
        """Pass rights on in the own log; never more than there are, or an entry can tell."""
        own = self._context.state.rights(account)[self._context.branch]
        origin = self._context.peers[to].origin
        amount = min(amount, own, MONEY_MAX)
        if amount > 0 and origin is not None:
            self._logs.write((Record(RecordKind.GRANT, grant=Grant(account, origin, amount)),))

    def _rights(self, account: AccountId) -> dict[BranchId, Money] | None:
        """Return who has what rights to an account; None where it has no floor or is not open."""
        state = self._context.state.account(account)
        if state is None or state.floor is None:
            return None
        return self._context.state.rights(account)

    def _holders(self, account: AccountId) -> dict[BranchId, Holder]:
        reachable = {peer.branch for peer in self._context.reachable()}
        rights = self._context.state.rights(account)
        return {branch: Holder(rights[branch], branch in reachable) for branch in self._context.others()}

    def why_overdue(self, held: Held) -> Decision:
        """Return why a request did not get its rights in time, naming who may have them."""
        account = min(held.short_of)
        gathering = self._gatherings[account]
        if not list(self._context.others()):
            # It came when its time was over: a bank of one branch waits for nobody.
            detail = f"branch {self._context.branch} was not done with this request before its time was over"
            return Decision(Outcome.HOLD_TIMEOUT, detail)
        rights = self._context.state.rights(account)
        silent = gathering.unanswered or set(self._context.others())
        named = max(silent, key=lambda branch: (rights[branch], -branch))
        others = ", ".join(f"{rights[branch]} at branch {branch}" for branch in sorted(silent))
        return Decision(
            Outcome.RIGHTS_UNREACHABLE,
            f"branch {self._context.branch} may take {rights[self._context.branch]} out of {account}, lacks "
            f"{gathering.waiting[held.request.id].missing}, and got no answer in time about the rights "
            f"elsewhere; as far as is known here, {others}",
            branch=named,
        )


def _missing(gathering: Gathering) -> Money:
    """Return the rights that all who wait lack together."""
    return Money(sum(short.missing for short in gathering.waiting.values()))
