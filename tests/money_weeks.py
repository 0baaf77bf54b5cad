"""Random weeks for money, and the twin that judges them.

`Books` is a deliberately dumb second implementation: it adds up the entries that one disk has. `MoneyBank`
holds every commit and every reply of a bank against it; `Week` plays the customers, who send the same key
again when an answer was lost, and the world, which loses messages, links, processes, clocks and disks.
Proof that the weeks find anything: test_money_properties.py counts what happens in them.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from bank_in_one_thread import SECOND, BankInOneThread, CommitFailure, Letter, Stream

from bankbook.core.clock import Instant
from bankbook.core.commands import (
    LATEST,
    LOCAL,
    SESSION,
    Batch,
    Cancel,
    Capture,
    Command,
    Deposit,
    Freshness,
    OpenAccount,
    ReadBalance,
    Release,
    Reply,
    RequestId,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import Entry, Opening, Posting, Record, RecordKind, Reservation
from bankbook.core.messages import Connected, Entries, Forward, SubscriberHere
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.ports import Changes, ReservationState
from bankbook.core.replica import Effects, Input, Settings
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import (
    AccountId,
    BranchId,
    EntryId,
    Key,
    Money,
    Origin,
    ReservationId,
    chosen_branch,
    reservation_id,
    reserving_branch,
)

HELD_MAX = 40

# What says of a keyed request that nothing happened yet, after the key was looked up.
_NOTHING_YET = (Outcome.HOLD_TIMEOUT, Outcome.BRANCH_UNREACHABLE, Outcome.RIGHTS_UNREACHABLE)

_NEVER = (
    Outcome.INVALID_REQUEST,
    Outcome.INVALID_TOKEN,
    Outcome.SHUTTING_DOWN,
    Outcome.KEY_REUSED,
    Outcome.SAME_ACCOUNT,
    Outcome.UNBALANCED,
    Outcome.BALANCE_LIMIT,
    Outcome.NOT_REPRESENTABLE,
    Outcome.STORE_UNAVAILABLE,
)
_ONLY_WITH_LOST_DISKS = (Outcome.WRITES_LOST, Outcome.CATCHING_UP, Outcome.UNKNOWN_RESERVATION)


class Terms(NamedTuple):
    """How a bank of a week begins."""

    branches: int
    opening_balance: int | None
    """None: the accounts are opened, with floors of their own."""
    loses_disks: bool = False


GENESIS_ACCOUNTS = {AccountId(name): Opening(AccountId(name), Money(0), "") for name in ("anna", "bert")}
OPENED_ACCOUNTS = {
    opening.account: opening
    for opening in (
        Opening(AccountId("anna"), Money(0), ""),
        Opening(AccountId("cleo"), Money(-50), ""),
        Opening(AccountId("open"), None, ""),
    )
}


@dataclass
class Open:
    """A reservation that has something set aside."""

    terms: Reservation
    left: int


class Books:
    """What the entries on one disk add up to."""

    def __init__(self, opening_balance: int | None) -> None:
        self.opening_balance = opening_balance
        self.balances: dict[AccountId, int] = {}
        self.floors: dict[AccountId, int | None] = {}
        self.open: dict[ReservationId, Open] = {}
        self.from_outside = 0
        """Deposits less withdrawals."""
        self.lately: dict[AccountId, set[int]] = defaultdict(set)
        """The balances of each account in the course of the last step, where it changed."""
        self.seen: set[EntryId] = set()
        self.decided: dict[Key, EntryId] = {}
        self.owners: dict[Key, BranchId] = {}

    def apply(self, entry: Entry) -> None:
        assert entry.id not in self.seen, "nothing is applied twice"
        self.seen.add(entry.id)
        if entry.keyed is not None and entry.records[0].fence is None:
            key = entry.keyed.key
            assert key not in self.decided, f"{key} took effect in {self.decided[key]} and in {entry.id}"
            self.decided[key] = entry.id
        for index, record in enumerate(entry.records):
            self._apply_record(entry, index, record)

    def _apply_record(self, entry: Entry, index: int, record: Record) -> None:
        if record.opening is not None:
            assert record.opening.account not in self.floors, "an account is opened once"
            self.floors[record.opening.account] = record.opening.floor
            self.balances[record.opening.account] = 0
        for account, amount in record.postings:
            self.lately[account].add(self.balance(account))
            self.balances[account] = self.balance(account) + amount
        moved = sum(amount for _, amount in record.postings)
        if record.kind in (RecordKind.DEPOSIT, RecordKind.WITHDRAWAL, RecordKind.CAPTURE):
            self.from_outside += moved
        else:
            assert moved == 0, "what moves within the bank sums to zero"
        if record.reservation is not None and record.reservation.amount:
            name = reservation_id(entry.id, index)
            self.open[name] = Open(record.reservation, record.reservation.amount)
        if record.settlement is not None:
            self._settle(entry, record)

    def _settle(self, entry: Entry, record: Record) -> None:
        settled = record.settlement
        assert settled is not None
        assert entry.origin.branch == reserving_branch(settled.reservation), "its branch alone decides"
        if settled.reservation not in self.open:
            assert settled.amount == settled.left == 0, "a reservation ends once"
            return
        reserved = self.open[settled.reservation]
        if record.kind is RecordKind.EXPIRY:
            assert settled.left == 0, "all of it expires"
        reserved.left -= settled.amount
        assert reserved.left == settled.left >= 0
        if record.kind is RecordKind.CAPTURE:
            assert 0 <= -record.postings[0].amount <= settled.amount, "no more than was set aside"
        if not reserved.left:
            del self.open[settled.reservation]

    def balance(self, account: AccountId) -> int:
        return self.balances.get(account, self.opening_balance or 0)

    def reserved(self, account: AccountId) -> int:
        return sum(each.left for each in self.open.values() if each.terms.account == account)

    def floor(self, account: AccountId) -> int | None:
        return 0 if self.opening_balance is not None else self.floors[account]

    def funds(self, account: AccountId) -> int | None:
        floor = self.floor(account)
        return None if floor is None else self.balance(account) - floor - self.reserved(account)

    def is_conserved(self) -> bool:
        """Whether all there is came from outside."""
        genesis = (self.opening_balance or 0) * len(self.balances)
        return sum(self.balances.values()) == genesis + self.from_outside


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


def does(record: Record, command: Command) -> bool:
    """Whether a record is what this command asks for."""
    if record.kind is RecordKind.REFUSAL:
        return not record.postings
    match command:
        case Deposit(account, amount):
            return record.kind is RecordKind.DEPOSIT and record.postings == ((account, amount),)
        case Withdraw(account, amount):
            return record.kind is RecordKind.WITHDRAWAL and record.postings == ((account, -amount),)
        case Transfer(source, destination, amount):
            return record.postings == ((source, -amount), (destination, amount))
        case Submit(postings):
            return record.postings == postings
        case Reserve(account, amount):
            terms = record.reservation
            return terms is not None and terms.account == account and terms.amount == amount
        case Capture(reservation) | Release(reservation):
            settled = record.settlement
            return settled is not None and settled.reservation == reservation
        case OpenAccount(opening):
            return record.opening == opening
        case _:
            return False


@dataclass
class Session:
    """A customer's line of work: the token, and the writes that it stands for."""

    token: Token = EMPTY
    wrote: set[EntryId] = field(default_factory=set)


@dataclass
class Intent:
    """What a customer wants once, however often it is sent."""

    customer: str
    command: Command
    session: Session
    key: str | None
    durable: int = 0
    sent: list[RequestId] = field(default_factory=list)
    first_moment: int = 0
    told: list[Reply] = field(default_factory=list)
    entries: set[EntryId] = field(default_factory=set)
    """What was written for it; more than one only where a disk took the first one along."""

    @property
    def is_settled(self) -> bool:
        return any(is_definite(reply) for reply in self.told)


def is_definite(reply: Reply) -> bool:
    return reply.outcome.certainty in (Certainty.DONE, Certainty.REFUSED) and reply.entry is not None


@dataclass(frozen=True)
class Sent:
    """One sending of an intent."""

    intent: Intent
    branch: int
    token: Token
    wrote: frozenset[EntryId]
    moment: int
    deadline_us: int
    freshness: Freshness


class Written(NamedTuple):
    """An entry that some disk kept, and when."""

    entry: Entry
    moment: int


class MoneyBank(BankInOneThread):
    """A bank whose every commit and reply is held against the books."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.moment = 0
        self.events: Counter[str] = Counter()
        self.books: dict[int, Books] = {}
        self.intents: dict[str, Intent] = {}
        self.sent: dict[RequestId, Sent] = {}
        self.written: dict[EntryId, Written] = {}
        self.gone: set[EntryId] = set()
        """What was on no disk but one that was lost."""
        self.never: set[str] = set()
        """Whose request was refused for good, and must not be found in any log."""
        self.had: dict[EntryId, set[Origin]] = defaultdict(set)
        """On whose disks each entry ever was."""
        self.greeted: dict[int, dict[int, Origin]] = defaultdict(dict)
        """Which life of each other branch a branch knows of."""
        self.wall_us: dict[int, int] = defaultdict(int)
        self.lost_disks = 0
        super().__init__(
            terms.branches, opening_balance=terms.opening_balance, settings=Settings(held_max=HELD_MAX)
        )
        self.openings = dict(GENESIS_ACCOUNTS if terms.opening_balance is not None else OPENED_ACCOUNTS)
        if terms.opening_balance is None:
            everybody = tuple(BranchId(branch) for branch in self.branches)
            for opening in self.openings.values():
                home = chosen_branch(opening.account, everybody)
                self.send(self.intend(OpenAccount(opening), Session()), home)
            self.deliver_all()

    @property
    def accounts(self) -> list[AccountId]:
        return sorted(self.openings)

    # What customers do.

    def intend(
        self, command: Command, session: Session, *, key: str | None = None, durable: int = 0
    ) -> Intent:
        intent = Intent(f"c{len(self.intents)}", command, session, key, durable)
        self.intents[intent.customer] = intent
        return intent

    def send(
        self,
        intent: Intent,
        branch: int,
        *,
        freshness: Freshness = SESSION,
        within_us: int = 10 * SECOND,
    ) -> RequestId:
        self.moment += 1
        number = RequestId(self._requests + 1)
        session = intent.session
        intent.first_moment = intent.first_moment or self.moment
        intent.sent.append(number)
        deadline_us = self.clock(branch).monotonic_us + within_us
        self.sent[number] = Sent(
            intent, branch, session.token, frozenset(session.wrote), self.moment, deadline_us, freshness
        )
        return self.ask(
            branch,
            intent.command,
            session.token,
            freshness=freshness,
            within_us=within_us,
            customer=intent.customer,
            key=intent.key,
            durable=intent.durable,
        )

    # What the world does.

    def clock(self, branch: int) -> Instant:
        now = super().clock(branch)
        return now._replace(wall_us=now.wall_us + self.wall_us[branch])

    def create_store(self, branch: int, *, has_joined: bool = False) -> None:
        if branch in self.books:
            self.lost_disks += 1
            before = self.books[branch].seen
            others = (books.seen for other, books in self.books.items() if other != branch)
            self.gone |= before.difference(*others)
        self.books[branch] = Books(self.terms.opening_balance)
        super().create_store(branch, has_joined=has_joined)

    def break_stream(self, subscriber: int, publisher: int) -> None:
        self._break(Stream(subscriber, publisher))

    def mend_all(self) -> None:
        self.cut.clear()
        for one in self.branches:
            for other in self.branches:
                if one < other and {one, other} <= set(self.replicas):
                    self._connect(one, other)

    def step(self, branch: int, *inputs: Input) -> None:
        for each in inputs:
            if isinstance(each, Connected | SubscriberHere):
                self.greeted[branch][each.origin.branch] = each.origin
        super().step(branch, *inputs)

    def crash(self, branch: int, unnoticed_by: int | None = None) -> None:
        super().crash(branch, unnoticed_by)
        self.greeted[branch].clear()
        self.events["crash"] += 1

    def exists(self, entry: EntryId) -> bool:
        return any(entry in books.seen for books in self.books.values())

    # What is judged.

    def commit(self, branch: int, changes: Changes) -> None:
        self.moment += 1
        super().commit(branch, changes)
        books, own = self.books[branch], self.stores[branch].identity.origin
        books.lately.clear()
        for entry in changes.entries:
            if entry.origin == own:
                self._judge_times(books, entry)
            books.apply(entry)
            self.had[entry.id].add(own)
            if entry.origin == own:
                self._judge_own(entry)
        touched = {account for entry in changes.entries for account in entry.accounts}
        for account in touched:
            self._judge_account(branch, account)
        assert books.is_conserved(), "no money from nowhere"
        if changes.has_joined:
            self.events["joined with a new store"] += 1
            self._judge_joined(branch)

    def _judge_times(self, books: Books, entry: Entry) -> None:
        """A reservation ends at its time, by the clock of its branch."""
        now_ms = self.clock(entry.origin.branch).wall_us // 1000
        for settled, kind in ((each.settlement, each.kind) for each in entry.records):
            if settled is None or settled.reservation not in books.open:
                continue
            expires_ms = books.open[settled.reservation].terms.expires_ms
            is_due = expires_ms is not None and expires_ms <= now_ms
            assert is_due == (kind is RecordKind.EXPIRY), f"{settled} at {now_ms}, due {expires_ms}"

    def _judge_joined(self, branch: int) -> None:
        """A new store serves once it has all that others have of its earlier lives."""
        for other in self.branches:
            for entry in self.books[other].seen:
                if entry.origin.branch == branch:
                    assert entry in self.books[branch].seen, f"{branch} joined without {entry}"

    def _judge_own(self, entry: Entry) -> None:
        self.written[entry.id] = Written(entry, self.moment)
        self._count_entry(entry)
        if entry.keyed is not None and entry.records[0].fence is None:
            for books in self.books.values():
                known = books.decided.get(entry.keyed.key)
                assert known in (None, entry.id), f"{entry.keyed.key} was decided in {known} already"
        if entry.customer is None:
            return
        intent = self.intents[entry.customer]
        assert intent.entries <= self.gone, f"{intent} took effect twice"
        assert intent.customer not in self.never, "what was refused never happens"
        intent.entries.add(entry.id)
        command = intent.command
        commands = command.commands if isinstance(command, Batch) else (command,)
        assert len(entry.records) == len(commands), "a record for each command"
        assert all(map(does, entry.records, commands)), f"{entry} is not what {intent} asked for"
        refusals = [record.kind is RecordKind.REFUSAL for record in entry.records]
        if isinstance(command, Batch) and command.is_atomic:
            assert all(refusals) or not any(refusals), "all or nothing"
        verdict = entry.records[0].verdict
        assert verdict is not None, "what a customer asked for has a verdict"
        if verdict.outcome is Outcome.INSUFFICIENT_FUNDS:
            self._judge_refusal(command, intent.first_moment)

    def _count_entry(self, entry: Entry) -> None:
        for record in entry.records:
            self.events[f"record {record.kind}"] += 1
        if entry.records[0].fence is not None and entry.keyed is not None:
            key = entry.keyed.key
            earlier = [
                each.entry
                for each in self.written.values()
                if each.entry.id != entry.id and each.entry.keyed is not None and each.entry.keyed.key == key
            ]
            self.events["fence chain"] += bool(earlier)

    def _judge_account(self, branch: int, account: AccountId) -> None:
        store, books = self.stores[branch], self.books[branch]
        state = store.account(account)
        assert state is not None
        assert state.floor == books.floor(account)
        assert state.balance == books.balance(account), "the balance is the sum of the postings"
        assert state.reserved == books.reserved(account) >= 0, "reserved is the sum of what is open"
        if state.floor is None:
            return
        rights = dict.fromkeys(self.branches, 0)
        funds = self.terms.opening_balance or 0
        for number, each in enumerate(self.branches):
            rights[each] = funds // len(self.branches) + (number < funds % len(self.branches))
        for origin, holding in store.holdings(account).items():
            rights[origin.branch] += holding.rights
        assert state.balance >= state.floor, "no overdraft"
        assert min(rights.values()) >= 0, f"a branch took what it had no right to: {rights}"
        assert sum(rights.values()) == state.balance - state.floor - state.reserved, f"{rights} {state}"

    def release(self, branch: int, effects: Effects) -> None:
        super().release(branch, effects)
        for _, message in effects.messages:
            self.events["forward"] += isinstance(message, Forward)
        for reply in effects.replies:
            self._judge(self.sent[reply.request], reply)

    def _judge(self, sent: Sent, reply: Reply) -> None:
        intent, outcome = sent.intent, reply.outcome
        self.events[f"outcome {outcome.name}"] += 1
        self.events["replayed"] += reply.is_replayed
        self.events["replayed after a lost answer"] += reply.is_replayed and not intent.is_settled
        assert outcome not in _NEVER, reply
        assert outcome not in _ONLY_WITH_LOST_DISKS or self.lost_disks, reply
        self._judge_certainty(sent, reply)
        self._judge_session(sent, reply)
        self._judge_latest(sent, reply)
        self._judge_durability(sent, reply)
        if outcome is Outcome.INSUFFICIENT_FUNDS and not reply.is_replayed:
            self._judge_refusal(intent.command, sent.moment)
        intent.told.append(reply)

    def _judge_certainty(self, sent: Sent, reply: Reply) -> None:
        intent, outcome = sent.intent, reply.outcome
        is_read = isinstance(intent.command, ReadBalance)
        happened = not reply.results or any(each.outcome is Outcome.OK for each in reply.results)
        if outcome is Outcome.OK and not is_read and (happened or intent.key is not None):
            assert reply.entry is not None, f"what happened has an entry: {reply}"
        if intent.key is None:
            assert outcome is not Outcome.OUTCOME_UNKNOWN, "without a key nobody else is asked"
            if outcome.certainty in (Certainty.REFUSED, Certainty.RETRYABLE):
                assert not intent.entries, f"{reply} and yet it happened"
                self.never.add(intent.customer)
        elif outcome in _NOTHING_YET:
            # What the same step wrote may have come after the answer.
            earlier = [entry for entry in intent.entries if self.written[entry].moment < self.moment]
            written = [entry for entry in earlier if self.exists(entry)]
            assert not written, f"{reply}, and {written} had happened"
        if reply.entry is not None and not is_read:
            assert reply.entry in intent.entries, f"{reply} tells of another's entry"
            for told in intent.told:
                if told.entry is not None and not intent.entries & self.gone:
                    _agree(told, reply)

    def _judge_session(self, sent: Sent, reply: Reply) -> None:
        session = sent.intent.session
        session.token = session.token.merge(reply.token)
        if reply.outcome is Outcome.WRITES_LOST:
            session.token = EMPTY
            session.wrote = set()
            return
        is_admitted = reply.outcome in (Outcome.OK, Outcome.INSUFFICIENT_FUNDS)
        # What was sent on elsewhere may have been decided there for an earlier sending.
        is_from_here = reply.entry is None or reply.entry.origin.branch == sent.branch
        if is_admitted and is_from_here and not reply.is_replayed and sent.freshness is not LOCAL:
            missed = sent.wrote - self.books[sent.branch].seen
            assert not missed, f"{reply} of branch {sent.branch} knows nothing of {missed}"
        if reply.entry is not None and reply.outcome is not Outcome.DURABILITY_TIMEOUT:
            session.wrote = session.wrote | {reply.entry}

    def _judge_latest(self, sent: Sent, reply: Reply) -> None:
        command = sent.intent.command
        if not isinstance(command, ReadBalance) or reply.outcome is not Outcome.OK:
            return
        books = self.books[sent.branch]
        told_now = {books.balance(command.account)} | books.lately[command.account]
        assert reply.balance in told_now, "a read tells what is on the disk"
        if sent.freshness is LATEST:
            for name, (entry, moment) in self.written.items():
                if moment < sent.moment and command.account in entry.accounts and self.exists(name):
                    assert name in books.seen, f"LATEST without {name}"

    def _judge_durability(self, sent: Sent, reply: Reply) -> None:
        if reply.entry is None or reply.outcome is Outcome.DURABILITY_TIMEOUT:
            return
        if not self.written[reply.entry][0].moves_money:
            return  # a refusal stays one, also where the other disks did not answer in time
        lives = {*self.greeted[sent.branch].values(), self.stores[sent.branch].identity.origin}
        having = len(lives & self.had[reply.entry])
        assert having > sent.intent.durable, f"{reply} is on {having} disks"

    def _judge_refusal(self, command: Command, since: int) -> None:
        """Whatever is not counted here, the branch need not have known; so it had this at the least."""
        if isinstance(command, Batch):
            return
        taken: Counter[AccountId] = Counter()
        match command:
            case Withdraw(account, amount) | Reserve(account, amount):
                taken[account] = amount
            case Transfer(source, _, amount):
                taken[source] = amount
            case Submit(postings):
                taken.update({account: -amount for account, amount in postings if amount < 0})
        least = {account: self.funds_left(account, since) for account in taken}
        assert any(least[account] < amount for account, amount in taken.items()), (
            f"{command} was refused, and there was at least {least}"
        )

    def funds_left(self, account: AccountId, since: int) -> int:
        """Return what an account has, counting all that was ever taken, and only what came before `since`."""
        funds = self.terms.opening_balance or 0
        for name, (entry, moment) in self.written.items():
            moved = funds_moved(entry)[account]
            if (moved < 0 or moment < since) and self.exists(name):
                funds += moved
        return funds

    def judge_deadlines(self) -> None:
        for request, branch in self.waiting.items():
            late = self.clock(branch).monotonic_us - self.sent[request].deadline_us
            assert late < 0, f"request {request} is held {late} us beyond its deadline"


def _agree(told: Reply, again: Reply) -> None:
    """One key has one outcome, whoever tells it."""
    assert told.entry == again.entry, f"{told} and {again}"
    if Outcome.DURABILITY_TIMEOUT in (told.outcome, again.outcome):
        return
    for name in ("outcome", "balance", "available", "reservation"):
        assert getattr(told, name) == getattr(again, name), f"{name}: {told} and {again}"
    assert [each.outcome for each in told.results] == [each.outcome for each in again.results]
    assert [each.reservation for each in told.results] == [each.reservation for each in again.results]


class Act(Enum):
    """What can happen next; what exactly is drawn from the number beside it."""

    ASK = 1
    ASK_EVERYWHERE = 2
    ASK_AGAIN = 3
    SETTLE = 4
    DELIVER = 5
    DELIVER_LINK = 6
    DELIVER_ALL = 7
    DROP = 8
    DUPLICATE = 9
    CRASH = 10
    RESTART = 11
    CUT = 12
    BREAK_STREAM = 13
    MEND = 14
    FAIL_COMMIT = 15
    PASS_TIME = 16
    CANCEL = 17
    SHARE_TOKEN = 18
    JUMP = 19
    LOSE_DISK = 20
    ASK_FOR_ALL = 21
    DELIVER_ALL_BUT_ENTRIES = 22


# The quiet acts are listed several times, so that most weeks get something done.
ACTS = [*Act, *[Act.ASK] * 6, *[Act.ASK_AGAIN] * 3, *[Act.SETTLE] * 2, *[Act.DELIVER] * 4]
ACTS += [*[Act.DELIVER_LINK] * 4, *[Act.DELIVER_ALL] * 2, *[Act.MEND] * 2, *[Act.RESTART] * 2]
ACTS += [*[Act.PASS_TIME] * 2, Act.ASK_FOR_ALL, Act.DELIVER_ALL_BUT_ENTRIES]

Schedule = list[tuple[Act, int]]


class Week:
    """Carries out a schedule."""

    def __init__(self, terms: Terms) -> None:
        self.bank = MoneyBank(terms)
        self.sessions = [Session() for _ in range(3)]
        self.opened = 0

    def act(self, act: Act, number: int) -> None:  # noqa: C901, PLR0912, PLR0915  (one case for each act)
        draw, bank = Random(number), self.bank  # noqa: S311  (the schedule decides, not chance)
        running = sorted(bank.replicas)
        match act:
            case Act.ASK if running:
                self._send(draw, self._new_intent(draw), draw.choice(running))
            case Act.ASK_EVERYWHERE if running:
                intent = self._new_intent(draw, is_keyed=True)
                for branch in running:
                    self._send(draw, intent, branch)
            case Act.ASK_AGAIN if running:
                self._ask_again(draw, running)
            case Act.ASK_FOR_ALL if running:
                self._ask_for_all(draw, draw.choice(running), draw.choice(running))
            case Act.SETTLE if running:
                self._settle(draw, draw.choice(running))
            case Act.DELIVER if bank.under_way:
                bank.deliver(draw.choice(bank.under_way))
            case Act.DELIVER_LINK:
                sender, receiver = draw.sample(bank.branches, 2)
                for letter in bank.letters(sender, receiver):
                    self._deliver_if_under_way(letter)
            case Act.DELIVER_ALL:
                bank.deliver_all()
            case Act.DELIVER_ALL_BUT_ENTRIES:
                bank.hold_back(kind=Entries)
                bank.deliver_all()
                bank.let_go()
            case Act.DROP if bank.under_way:
                bank.drop(draw.choice(bank.under_way))
            case Act.DUPLICATE if bank.under_way:
                bank.duplicate(draw.choice(bank.under_way))
            case Act.CRASH if running:
                bank.crash(draw.choice(running))
            case Act.RESTART:
                self._restart_all()
            case Act.CUT:
                bank.cut_link(*draw.sample(bank.branches, 2))
            case Act.BREAK_STREAM:
                bank.break_stream(*draw.sample(bank.branches, 2))
            case Act.MEND:
                bank.mend_all()
            case Act.FAIL_COMMIT:
                bank.failing[draw.choice(bank.branches)] = draw.choice(list(CommitFailure))
            case Act.PASS_TIME:
                bank.pass_time(draw.choice([1, 1000, SECOND // 2, 2 * SECOND, 6 * SECOND]), deliver=False)
                bank.judge_deadlines()
            case Act.CANCEL if bank.waiting:
                request = draw.choice(list(bank.waiting))
                bank.step(bank.waiting.pop(request), Cancel(request))
            case Act.SHARE_TOKEN:
                receiving, giving = draw.sample(self.sessions, 2)
                receiving.token = receiving.token.merge(giving.token)
                receiving.wrote |= giving.wrote
            case Act.JUMP:
                bank.wall_us[draw.choice(bank.branches)] += draw.choice([-3600, -2, 2, 10]) * SECOND
            case Act.LOSE_DISK if bank.terms.loses_disks and bank.lost_disks < bank.terms.branches:
                branch = draw.choice(bank.branches)
                if branch in bank.replicas:
                    bank.crash(branch)
                bank.create_store(branch)

    # What is asked.

    def _send(self, draw: Random, intent: Intent, branch: int) -> None:
        freshness = SESSION
        if isinstance(intent.command, ReadBalance):
            freshness = draw.choice([LOCAL, SESSION, LATEST])
        elif draw.random() < 0.1:
            freshness = LATEST
        within_us = draw.choice([SECOND // 10, SECOND, 4 * SECOND, 10 * SECOND])
        self.bank.send(intent, branch, freshness=freshness, within_us=within_us)

    def _new_intent(self, draw: Random, *, is_keyed: bool = False) -> Intent:
        session = draw.choice([*self.sessions, Session()])
        if not is_keyed and draw.random() < 0.15:
            return self.bank.intend(ReadBalance(draw.choice(self.bank.accounts)), session)
        command = self._command(draw)
        is_keyed = is_keyed or draw.random() < 0.7 or isinstance(command, OpenAccount)
        return self._intend(draw, command, session, is_keyed)

    def _intend(self, draw: Random, command: Command, session: Session, is_keyed: bool) -> Intent:
        key = None
        if is_keyed:
            birth = draw.choice(["", *(f"{branch}/" for branch in self.bank.branches)])
            key = f"{birth}k{len(self.bank.intents)}"
        durable = draw.choice([0, 0, 0, 1, self.bank.terms.branches - 1])
        return self.bank.intend(command, session, key=key, durable=durable)

    def _command(self, draw: Random) -> Command:
        kind = draw.randrange(10)
        if kind == 0:
            some = tuple(self._single(draw) for _ in range(draw.randint(1, 4)))
            return Batch(some, is_atomic=draw.random() < 0.5)
        if kind == 1 and self.bank.terms.opening_balance is None and self.opened < 3:
            self.opened += 1
            opening = Opening(AccountId(f"late{self.opened}"), draw.choice([Money(0), Money(-20)]), "")
            return OpenAccount(opening)
        return self._single(draw)

    def _single(self, draw: Random) -> SingleWrite:
        accounts = self.bank.accounts
        draw.shuffle(accounts)
        one, other, amount = accounts[0], accounts[1], Money(draw.randint(1, 60))
        kind = draw.randrange(8)
        if kind < 2:
            return Deposit(one, amount)
        if kind < 5:
            return Withdraw(one, amount)
        if kind == 5:
            return Transfer(one, other, amount)
        if kind == 6:
            return Submit(_legs(draw, accounts, amount))
        lifetime_ms = draw.choice([None, 0, 700, 5000, 60_000])
        return Reserve(one, amount, draw.choice([None, other]), lifetime_ms)

    def _ask_for_all(self, draw: Random, there: int, here: int) -> None:
        """Take out here all there is, or read it, right after something was paid in there."""
        bank, account = self.bank, draw.choice(self.bank.accounts)
        bank.send(bank.intend(Deposit(account, Money(draw.randint(1, 9))), Session()), there)
        if here not in bank.replicas:
            return  # it was to fail its next commit
        if draw.random() < 0.3:
            bank.send(bank.intend(ReadBalance(account), Session()), here, freshness=LATEST)
            return
        funds = bank.funds_left(account, bank.moment)
        if funds > 0:
            bank.send(bank.intend(Withdraw(account, Money(funds)), Session()), here)

    def _settle(self, draw: Random, branch: int) -> None:
        """Capture or release something; of what is known to be reserved, mostly what is still open."""
        known = sorted({name for books in self.bank.books.values() for name in books.open})
        if not known:
            return
        name = draw.choice(known)
        amount = draw.choice([None, None, Money(5), Money(70)])
        command: Command = Release(name, amount)
        if draw.random() < 0.6:
            command = Capture(name, amount, is_final=draw.random() < 0.5)
        intent = self._intend(draw, command, draw.choice(self.sessions), is_keyed=True)
        self._send(draw, intent, branch)

    def _ask_again(self, draw: Random, running: list[int]) -> None:
        keyed = [intent for intent in self.bank.intents.values() if intent.key is not None]
        pending = [intent for intent in keyed if not intent.is_settled]
        if draw.random() < 0.8 and pending:
            keyed = pending
        if keyed:
            self._send(draw, draw.choice(keyed), draw.choice(running))

    def _deliver_if_under_way(self, letter: Letter) -> None:
        if letter in self.bank.under_way:
            self.bank.deliver(letter)

    def _restart_all(self) -> None:
        for branch in self.bank.branches:
            if branch not in self.bank.replicas:
                self.bank.restart(branch)

    # How it ends.

    def finish(self, seed: int) -> None:
        """Mend everything, and see that all of it comes to rest in the same state."""
        draw, bank = Random(seed), self.bank  # noqa: S311
        bank.failing.clear()
        self._restart_all()
        bank.mend_all()
        bank.pass_time(16 * SECOND)
        assert not bank.waiting, "every held request ends"
        self._judge_rest()
        self._settle_all(draw)
        self._read_all()
        self._take_everything(draw)
        bank.pass_time(15 * SECOND)
        self._judge_rest()

    def _judge_rest(self) -> None:
        bank = self.bank
        first = bank.stores[1]
        for branch in bank.branches:
            store, status = bank.stores[branch], bank.replicas[branch].status()
            assert status.catching_up_on is None, f"branch {branch} never joins"
            assert status.inbox == 0, "nothing waits for what never comes"
            assert store.applied() == first.applied()
            for name in ("_rows", "_keys", "_reservations", "_postings", "_ended"):
                assert getattr(store, name) == getattr(first, name), f"{name} at {branch} and 1"
            for reservation, record in store._reservations.items():
                self._judge_expired(reservation, record.state, record.terms.expires_ms)
        for intent in bank.intents.values():
            for reply in intent.told:
                assert reply.entry is None or reply.entry in bank.gone | bank.books[1].seen, "it was told"

    def _judge_expired(self, name: ReservationId, state: ReservationState, expires_ms: int | None) -> None:
        branch = reserving_branch(name)
        assert branch is not None
        now_ms = self.bank.clock(branch).wall_us // 1000
        if expires_ms is not None and expires_ms + 1000 < now_ms:
            assert state is not ReservationState.OPEN, f"{name} should have expired"

    def _settle_all(self, draw: Random) -> None:
        """Ask again for every key without an answer: there is one now."""
        bank = self.bank
        for intent in list(bank.intents.values()):
            if intent.key is None or (intent.is_settled and draw.random() < 0.7):
                continue
            reply = self._ask_until_answered(intent, draw.choice(bank.branches))
            assert is_definite(reply), f"{intent.command} with {intent.key} ends with {reply}"

    def _ask_until_answered(self, intent: Intent, branch: int) -> Reply:
        bank = self.bank
        reply = self._answer(bank.send(intent, branch))
        if reply.outcome is Outcome.WRITES_LOST:  # the session began anew
            reply = self._answer(bank.send(intent, branch))
        return reply

    def _answer(self, request: RequestId) -> Reply:
        self.bank.deliver_all()
        if request not in self.bank.replies:
            self.bank.pass_time(10 * SECOND)
        return self.bank.reply(request)

    def _read_all(self) -> None:
        bank = self.bank
        for session in self.sessions:
            if bank.terms.opening_balance is None and bank.accounts[0] not in bank.books[1].floors:
                return  # a lost disk took its opening along
            for branch in bank.branches:
                read = bank.intend(ReadBalance(bank.accounts[0]), session)
                reply = bank.reply(bank.send(read, branch))
                assert reply.outcome in (Outcome.OK, Outcome.WRITES_LOST), reply

    def _contest(self, account: AccountId) -> None:
        """Ask every branch at once for more than half: one gets it, and nobody waits long."""
        bank = self.bank
        funds = bank.books[1].funds(account)
        assert funds is not None
        wanted = Withdraw(account, Money(funds // 2 + 1))
        asked = [bank.send(bank.intend(wanted, Session()), branch) for branch in bank.branches]
        bank.deliver_all()
        # A subscription that was lost while its log was empty is asked for again once an entry does not come.
        bank.pass_time(bank.replicas[1]._context.settings.resend_us + 2 * SECOND)
        outcomes = Counter(bank.reply(request).outcome for request in asked)
        refused = len(asked) - (funds > 0)
        assert outcomes[Outcome.INSUFFICIENT_FUNDS] == refused, f"{wanted} of {funds}: {outcomes}"
        assert outcomes[Outcome.OK] == len(asked) - refused, f"{wanted} of {funds}: {outcomes}"

    def _take_everything(self, draw: Random) -> None:
        bank = self.bank
        for account in bank.accounts:
            if account not in bank.books[1].floors and bank.terms.opening_balance is None:
                continue  # a lost disk may have taken its opening along
            if bank.books[1].funds(account) is None:
                continue
            self._contest(account)
            funds = bank.books[1].funds(account)
            for amount, expected in (
                ((funds or 0) + 1, Outcome.INSUFFICIENT_FUNDS),
                (funds or 0, Outcome.OK),
                (1, Outcome.INSUFFICIENT_FUNDS),
            ):
                command = Withdraw(account, Money(amount))
                reply = self._answer(bank.send(bank.intend(command, Session()), draw.choice(bank.branches)))
                assert reply.outcome is expected, f"{command} of {funds}: {reply}"


def _legs(draw: Random, accounts: list[AccountId], amount: Money) -> tuple[Posting, ...]:
    several = accounts[: draw.randint(2, len(accounts))]
    amounts = [draw.randint(-amount, amount) for _ in several[1:]]
    return tuple(map(Posting, several, map(Money, [-sum(amounts), *amounts])))


def live(schedule: Schedule, terms: Terms, seed: int = 0) -> MoneyBank:
    week = Week(terms)
    for act, number in schedule:
        week.act(act, number)
    week.finish(seed)
    return week.bank


def long_schedule(seed: int, length: int) -> Schedule:
    draw = Random(seed)  # noqa: S311
    return [(draw.choice(ACTS), draw.getrandbits(32)) for _ in range(length)]


def terms_of(seed: int, *, loses_disks: bool = False) -> Terms:
    return Terms(2 + seed % 3, [None, 100, 37][seed // 3 % 3], loses_disks)


def live_seed(seed: int, length: int = 300, *, loses_disks: bool = False) -> MoneyBank:
    return live(long_schedule(seed, length), terms_of(seed, loses_disks=loses_disks), seed)
