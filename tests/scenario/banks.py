"""What the checker's tests share: short ways to write histories, a dumb twin, a simulated bank."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, combinations, product

from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.checker import Verdict, judge
from bankbook.scenario.model import Customer, Event, Interface, Scenario
from bankbook.scenario.output import CustomerResults, EventResult, Record, parse_output, render
from bankbook.server.config import AccountMode, account_of

SUCCESS = None
POOR = "INSUFFICIENT_FUNDS"
UNSURE = "OUTCOME_UNKNOWN"
NO_BRANCH = "UNKNOWN_BRANCH"


@dataclass(frozen=True, slots=True)
class Told:
    """One event and its result, before it has a customer and a number."""

    interface: Interface
    money: int | None
    branch: int
    to: str | None
    balance: int | None
    reason: str | None


def query(balance: int, branch: int = 1) -> Told:
    return Told(Interface.QUERY, None, branch, None, balance, SUCCESS)


def failed_query(reason: str, branch: int = 1) -> Told:
    return Told(Interface.QUERY, None, branch, None, None, reason)


def deposit(money: int, branch: int = 1, *, reason: str | None = SUCCESS) -> Told:
    return Told(Interface.DEPOSIT, money, branch, None, None, reason)


def withdraw(money: int, branch: int = 1, *, reason: str | None = SUCCESS) -> Told:
    return Told(Interface.WITHDRAW, money, branch, None, None, reason)


def transfer(money: int, to: str, branch: int = 1, *, reason: str | None = SUCCESS) -> Told:
    return Told(Interface.TRANSFER, money, branch, to, None, reason)


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario and what came of it."""

    scenario: Scenario
    results: tuple[CustomerResults, ...]

    @property
    def text(self) -> str:
        return render(self.results)

    @property
    def records(self) -> tuple[Record, ...]:
        return parse_output(self.text, source="output.json")

    def judged(self, mode: AccountMode = AccountMode.OWN) -> Verdict:
        return judge(self.scenario, self.records, mode)


def story(*sessions: list[Told], opening: int = 0, branches: int = 3) -> Story:
    """Tell what customers 1, 2, ... did and were answered."""
    results = []
    for index, session in enumerate(sessions, start=1):
        each = tuple(_result(told, number) for number, told in enumerate(session, start=1))
        customer = Customer(CustomerId(str(index)), index, tuple(result.event for result in each))
        results.append(CustomerResults(customer, each))
    scenario = Scenario(
        branches=tuple(BranchId(number) for number in range(1, branches + 1)),
        opening_balance=Money(opening),
        customers=tuple(result.customer for result in results),
    )
    return Story(scenario, tuple(results))


def _result(told: Told, number: int) -> EventResult:
    money = None if told.money is None else Money(told.money)
    to = None if told.to is None else CustomerId(told.to)
    event = Event(told.interface, BranchId(told.branch), money, to, number)
    return EventResult(event, None if told.balance is None else Money(told.balance), told.reason)


# ---- the twin: every set for every read, and the definitions word for word


@dataclass(frozen=True, slots=True)
class _Op:
    session: int
    place: int
    told: EventResult
    account: str
    effects: tuple[tuple[str, int], ...]

    @property
    def moved(self) -> bool:
        return bool(self.effects) and self.told.reason in {SUCCESS, UNSURE}

    @property
    def certain(self) -> bool:
        return self.moved and self.told.reason is SUCCESS

    @property
    def reads(self) -> bool:
        if self.told.event.interface is Interface.QUERY:
            return self.told.reason is SUCCESS
        takes = self.told.event.interface is not Interface.DEPOSIT and bool(self.effects)
        return takes and self.told.reason in {SUCCESS, POOR}

    def fits(self, balance: int) -> bool:
        if balance < 0:
            return False
        if self.told.event.interface is Interface.QUERY:
            return balance == self.told.balance
        return (balance >= (self.told.event.money or 0)) == (self.told.reason is SUCCESS)


def twin_explains(story: Story, mode: AccountMode, session: int | None = None) -> bool:
    """Whether some choice of sets explains everything, or what one session read, had nobody else read.

    Only for tiny stories at existing branches.
    """
    ops = list(_ops(story, mode))
    writes = [op for op in ops if op.moved]
    reads = [op for op in ops if op.reads and session in {None, op.session}]
    opening = story.scenario.opening_balance

    def balance(account: str, visible: tuple[_Op, ...]) -> int:
        return opening + sum(money for op in visible for touched, money in op.effects if touched == account)

    def legal_alone(read: _Op) -> list[frozenset[_Op]]:
        subsets = chain.from_iterable(combinations(writes, size) for size in range(len(writes) + 1))
        return [
            frozenset(visible)
            for visible in subsets
            if read.fits(balance(read.account, visible))
            and all(
                (op in visible) >= (op.certain and op.place < read.place)
                and (op in visible) <= (op.place < read.place)
                for op in writes
                if op.session == read.session
            )
        ]

    def known_to(writer: _Op, sets: dict[_Op, frozenset[_Op]]) -> frozenset[_Op]:
        own = {op for op in writes if op.certain and _before(op, writer)}
        return frozenset(own).union(*(seen for read, seen in sets.items() if _not_after(read, writer)))

    def legal_together(sets: dict[_Op, frozenset[_Op]]) -> bool:
        known = {write: known_to(write, sets) for write in writes}
        return all(
            all(sets[earlier] <= visible for earlier in reads if _before(earlier, read))
            and all(known[write] <= visible for write in visible)
            for read, visible in sets.items()
        )

    final = tuple(op for op in writes if op.certain)
    hoped = tuple(op for op in writes if not op.certain)
    for account in {touched for op in ops for touched, _ in op.effects}:
        gains = sum(max(0, money) for op in hoped for touched, money in op.effects if touched == account)
        if balance(account, final) + gains < 0:
            return False
    choices = product(*(legal_alone(read) for read in reads))
    return any(legal_together(dict(zip(reads, sets, strict=True))) for sets in choices)


def _before(first: _Op, second: _Op) -> bool:
    return first.session == second.session and first.place < second.place


def _not_after(read: _Op, write: _Op) -> bool:
    return read.session == write.session and read.place <= write.place


def _ops(story: Story, mode: AccountMode) -> Iterator[_Op]:
    for session, each in enumerate(story.results):
        account = account_of(mode, each.customer.id)
        for place, result in enumerate(each.results):
            money = result.event.money or 0
            effects: tuple[tuple[str, int], ...] = ()
            match result.event.interface:
                case Interface.DEPOSIT:
                    effects = ((account, money),)
                case Interface.WITHDRAW:
                    effects = ((account, -money),)
                case Interface.TRANSFER if mode is AccountMode.OWN and result.event.to is not None:
                    effects = ((account, -money), (result.event.to, money))
                case _:
                    pass
            yield _Op(session, place, result, account, effects)


# ---- the simulated bank: branches that apply writes in causal order, some time later


@dataclass(eq=False, slots=True)
class _Entry:
    effects: tuple[tuple[str, int], ...]
    needs: frozenset["_Entry"]


@dataclass(slots=True)
class _Branch:
    applied: set[_Entry] = field(default_factory=set)
    rights: dict[str, int] = field(default_factory=dict)


class SimulatedBank:
    """A legal bank: causal delivery at random times, tokens honoured, rights for withdrawals."""

    def __init__(self, chance: random.Random, branches: int, opening: int, mode: AccountMode) -> None:
        self._chance, self._opening, self._mode = chance, opening, mode
        self._branches = [_Branch() for _ in range(branches)]
        self._log: list[_Entry] = []
        self._knows: dict[str, set[_Entry]] = {}

    def deliver(self) -> None:
        """One branch hears of one more entry, if its dependencies are there."""
        branch = self._chance.choice(self._branches)
        ready = [
            entry for entry in self._log if entry not in branch.applied and entry.needs <= branch.applied
        ]
        if ready:
            branch.applied.add(self._chance.choice(ready))

    def do(self, customer: str, told: Told) -> Told:
        branch = self._branches[told.branch - 1]
        knows = self._knows.setdefault(customer, set())
        for entry in self._log:  # in the order of the log, which is a causal order
            if entry in knows or any(entry in other.needs for other in knows):
                branch.applied.add(entry)
        account = str(account_of(self._mode, CustomerId(customer)))
        money = told.money or 0
        if told.interface is Interface.QUERY:
            self._see(knows, branch, account)
            return query(self._balance(branch, account), told.branch)
        if told.interface is Interface.TRANSFER and self._mode is AccountMode.SHARED:
            return transfer(money, told.to or "", told.branch, reason="NOT_IN_SHARED_MODE")
        unsure = self._chance.random() < 0.1
        if unsure and self._chance.random() < 0.5:
            return Told(told.interface, money, told.branch, told.to, None, UNSURE)
        if told.interface is not Interface.DEPOSIT:
            enough = self._take(branch, account, money)
            if not unsure:
                self._see(knows, branch, account)
            if not enough:
                return Told(told.interface, money, told.branch, told.to, None, UNSURE if unsure else POOR)
        entry = self._write(branch, account, told)
        if not unsure:
            knows.add(entry)
        return Told(told.interface, money, told.branch, told.to, None, UNSURE if unsure else SUCCESS)

    def _balance(self, branch: _Branch, account: str) -> int:
        effects = (effect for entry in branch.applied for effect in entry.effects)
        return self._opening + sum(money for touched, money in effects if touched == account)

    def _see(self, knows: set[_Entry], branch: _Branch, account: str) -> None:
        knows |= {
            entry for entry in branch.applied if any(touched == account for touched, _ in entry.effects)
        }

    def _right(self, branch: _Branch, account: str) -> int:
        first = branch is self._branches[0]
        return branch.rights.setdefault(account, self._opening if first else 0)

    def _take(self, branch: _Branch, account: str, money: int) -> bool:
        if self._right(branch, account) < money:  # ask all others for all they have
            branch.applied.update(self._log)
            total = sum(self._right(each, account) for each in self._branches)
            for each in self._branches:
                each.rights[account] = 0
            branch.rights[account] = total
        return branch.rights[account] >= money

    def _write(self, branch: _Branch, account: str, told: Told) -> _Entry:
        money = told.money or 0
        effects = [(account, money if told.interface is Interface.DEPOSIT else -money)]
        if told.to is not None:
            effects.append((told.to, money))
        for touched, amount in effects:
            branch.rights[touched] = self._right(branch, touched) + amount
        entry = _Entry(tuple(effects), frozenset(branch.applied))
        branch.applied.add(entry)
        self._log.append(entry)
        return entry


def legal_story(
    seed: int, plans: list[list[Told]], *, opening: int, branches: int, mode: AccountMode
) -> Story:
    """Run plans at a legal bank in a random order; their results do not matter, only their requests."""
    chance = random.Random(seed)  # noqa: S311 (a test's dice)
    bank = SimulatedBank(chance, branches, opening, mode)
    done: list[list[Told]] = [[] for _ in plans]
    left = [index for index, plan in enumerate(plans) for _ in plan]
    chance.shuffle(left)
    for index in left:
        for _ in range(chance.randrange(4)):
            bank.deliver()
        done[index].append(bank.do(str(index + 1), plans[index][len(done[index])]))
    return story(*done, opening=opening, branches=branches)
