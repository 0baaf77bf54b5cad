"""A scenario's customers, who do their events one after the other, and all of them at the same time.

Decides what an event comes to: which request, of which session, and when nothing is asked. Must not know
whether the bank is a real one: a Line asks, of real branches (execute.py) or of simulated ones.
Proof: tests/scenario/test_perform.py, tests/scenario/test_execute.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from bankbook.client import BankbookError
from bankbook.client.calls import Manner
from bankbook.client.errors import OutcomeUnknownError
from bankbook.core.commands import Command, ReadBalance, ReadStatement
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import AccountId, CustomerId, ReservationId
from bankbook.core.vector import Gap
from bankbook.scenario.model import (
    GAVE_UP,
    NOT_ASKED,
    SETTLING,
    UNKNOWN_BRANCH,
    Customer,
    Event,
    Interface,
    Scenario,
)
from bankbook.scenario.output import CustomerResults, EventResult
from bankbook.scenario.requests import command_of
from bankbook.server.config import AccountMode, account_of
from bankbook.wire.replies import BatchReceipt, Receipt, ReplyInfo, StatementPage

Answer: TypeAlias = Receipt | BatchReceipt | StatementPage | BankbookError


@dataclass(slots=True, eq=False)
class Wish:
    """What a customer wants once, however often it is sent."""

    name: str
    """Its memo; unique where it is not empty."""
    command: Command
    key: str | None
    customer: str = ""
    """Whose it is: a key belongs to one customer's request."""
    durable: int = 0
    sent: int = 0
    """How often the customer has sent it; the library's own attempts are not counted."""
    is_settled: bool = False
    """Whether its customer was told for certain."""
    reservations: list[ReservationId] = field(default_factory=list)
    """What it was told to have set aside."""
    page: StatementPage | None = None
    """What it was told of a statement."""

    def take_note(self, answer: Answer) -> None:
        """Know what an answer says of it."""
        if not isinstance(answer, BankbookError):
            self.is_settled = True
            if isinstance(answer, StatementPage):
                self.page = answer
                return
            told = answer.results if isinstance(answer, BatchReceipt) else (answer,)
            self.reservations = [each.reservation for each in told if each.reservation is not None]
            return
        if isinstance(answer, OutcomeUnknownError) and self.key is None:
            self.key = answer.key
        is_refused = answer.outcome.certainty is Certainty.REFUSED
        self.is_settled |= is_refused and answer.outcome is not Outcome.WRITES_LOST


class Line(Protocol):
    """One session of a customer with a bank."""

    async def ask(self, wish: Wish, manner: Manner, /) -> Answer:
        """Send a request, and return what came of it; the wish has taken note of it."""
        ...

    def learn_from(self, other: Self, /) -> None:
        """Know what another session knows, too."""
        ...

    def begin_anew(self, guarantees: Guarantee = Guarantee.ALL, /) -> None:
        """Forget everything, as who starts a new session, with these guarantees."""
        ...


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True, slots=True)
class Done:
    """One event, carried out or not."""

    result: EventResult
    detail: str = ""
    """Why it did not succeed, in words."""
    held_us: int = 0
    asked: int = 0
    """How many other branches were asked."""
    awaited: tuple[Gap, ...] = field(default=())
    """What it was held for."""

    @property
    def was_held(self) -> bool:
        """Whether it had to wait, if only for what arrived in the very same moment."""
        return bool(self.awaited) or self.held_us > 0


@dataclass(frozen=True, slots=True)
class CustomerRun:
    """One customer's events, in their order."""

    customer: Customer
    account: AccountId
    done: tuple[Done, ...]

    def results(self) -> CustomerResults:
        """Return what belongs into the output."""
        return CustomerResults(self.customer, tuple(each.result for each in self.done))


@dataclass(slots=True)
class Stage(Generic[AnyLine]):
    """What all customers of one scenario have in common."""

    scenario: Scenario
    accounts: AccountMode
    timeout_s: float
    """For each request that has none of its own."""
    make_wish: Callable[[str, Command, str | None, str, int], Wish] = Wish
    until_s: float | None = None
    """When customers go home, whatever they have not begun; None: when they have done everything."""
    on_done: Callable[[Done], None] = lambda _: None
    actors: dict[CustomerId, "Actor[AnyLine]"] = field(default_factory=dict)
    is_plain: bool = field(init=False)
    """Whether the original system could carry it out; looked up once, and not at each of many events."""

    def __post_init__(self) -> None:
        self.is_plain = self.scenario.is_plain

    def enter(self, customer: Customer, line: AnyLine, second_line: AnyLine) -> None:
        """Let a customer take part, who has two sessions."""
        self.actors[customer.id] = Actor(self, customer, line, second_line)

    async def perform(self) -> tuple[CustomerRun, ...]:
        """Let all customers act."""
        acts = [asyncio.create_task(each.act(), name=each.customer.id) for each in self.actors.values()]
        try:
            await asyncio.gather(*acts)
        finally:
            for act in acts:
                act.cancel()
        return self.runs()

    def runs(self) -> tuple[CustomerRun, ...]:
        """Return what has been done so far."""
        return tuple(
            CustomerRun(each.customer, account_of(self.accounts, each.customer.id), tuple(each.done))
            for each in self.actors.values()
        )


class Actor(Generic[AnyLine]):
    """One customer, who walks from branch to branch."""

    def __init__(
        self, stage: Stage[AnyLine], customer: Customer, line: AnyLine, second_line: AnyLine
    ) -> None:
        self.customer = customer
        self.line = line
        self.done: list[Done] = []
        self.begun = 0
        """How many events."""
        self.wishes: dict[int, Wish] = {}
        """What each event asked for, by its number."""
        self._second_line = second_line
        self._stage = stage

    async def act(self) -> None:
        """Do everything, one after the other, until it is time to go home."""
        stage = self._stage
        for event in self.customer.events:
            if stage.until_s is not None and asyncio.get_running_loop().time() >= stage.until_s:
                return
            self.begun += 1
            if event.manner.pause_us:
                await asyncio.sleep(event.manner.pause_us / 1e6)
            done = await self._do(event)
            stage.on_done(done)
            self.done.append(done)

    async def _do(self, event: Event) -> Done:
        if event.interface is Interface.BEGIN:
            self.line.begin_anew(event.guarantees)
            return Done(EventResult(event, None, None))
        if event.interface is Interface.LEARN:
            self.line.learn_from(self._other(event).line)
            return Done(EventResult(event, None, None))
        branches = self._stage.scenario.branches
        if event.branch is not None and event.branch not in branches:
            detail = f"there is no branch {event.branch}; there are {', '.join(map(str, branches))}"
            return Done(EventResult(event, None, UNKNOWN_BRANCH), detail)
        wish = self._wish(event)
        if isinstance(wish, str):
            return Done(EventResult(event, None, NOT_ASKED), wish)
        self.wishes.setdefault(event.number, wish)
        return await self._ask(event, wish)

    def _other(self, event: Event) -> "Actor[AnyLine]":
        return self if event.customer is None else self._stage.actors[event.customer]

    def _wish(self, event: Event) -> Wish | str:
        """Return what an event asks for, or in words why that is nothing."""
        if event.interface is Interface.AGAIN:
            return self._earlier_wish(event)
        reservation = ReservationId("")
        if event.interface in SETTLING:
            assert event.event is not None, "the parser gives every one an event"
            reserving = self._other(event).wishes.get(event.event)
            if reserving is None or not reserving.reservations:
                return f"event {event.event} of customer {self._other(event).customer.id} set nothing aside"
            reservation = reserving.reservations[0]
        stage, customer = self._stage, self.customer.id
        if event.interface is Interface.STATEMENT and event.event is not None:
            statement = self._statement(event, event.event)
            if isinstance(statement, str):
                return statement
            return stage.make_wish("", statement, None, customer, 0)
        memo = "" if stage.is_plain else f"{customer}.{event.number}"
        command = command_of(event, customer, reservation, stage.accounts, memo)
        return stage.make_wish(memo, command, event.manner.key, customer, event.manner.durable)

    def _statement(self, event: Event, number: int) -> ReadStatement | str:
        """Return what goes on behind a statement, or the statement of its time; or why there is none."""
        name = f"event {number} of customer {self._other(event).customer.id}"
        read = self._other(event).wishes.get(number)
        if read is None or read.page is None:
            return f"{name} was told no statement"
        assert isinstance(read.command, ReadStatement), "the parser looked at what event is named"
        lines_max = event.lines_max or read.command.lines_max
        if not event.is_within:
            if read.page.next_page is None:
                return f"{name} was told the end of the statement"
            return replace(read.command, after=read.page.next_page, lines_max=lines_max)
        times_ms = [line.time_ms for line in read.page.lines]
        if not times_ms:
            return f"{name} was told a statement without lines"
        return ReadStatement(read.command.account, times_ms[0], times_ms[-1], lines_max=lines_max)

    def _earlier_wish(self, event: Event) -> Wish | str:
        assert event.event is not None, "the parser gives every one an event"
        wish = self.wishes.get(event.event)
        if wish is None:
            return f"event {event.event} asked nothing"
        return wish if wish.key is not None else f"event {event.event} has no key, and needs none"

    async def _ask(self, event: Event, wish: Wish) -> Done:
        how = event.manner
        timeout_s = self._stage.timeout_s if how.timeout_us is None else how.timeout_us / 1e6
        manner = Manner(event.branch, timeout_s, how.freshness, wish.key, wish.durable)
        try:
            async with asyncio.timeout(None if how.patience_us is None else how.patience_us / 1e6):
                answer = await self._answer(event, wish, manner)
        except TimeoutError:
            return Done(EventResult(event, None, GAVE_UP), "the customer waited no longer")
        if not isinstance(answer, BankbookError):
            balance = answer.balance if isinstance(answer, Receipt) else None
            is_read = isinstance(wish.command, ReadBalance)
            return _done(EventResult(event, balance if is_read else None, None), answer.info)
        if answer.outcome is Outcome.WRITES_LOST and not self._stage.is_plain:
            self.line.begin_anew()
        result = EventResult(event, None, answer.outcome.name)
        return _done(result, answer.failure.info, answer.failure.detail)

    async def _answer(self, event: Event, wish: Wish, manner: Manner) -> Answer:
        if event.manner.also_at is None:
            return await self.line.ask(wish, manner)
        self._second_line.learn_from(self.line)
        wish.sent += 1  # before either has been answered, so that neither answer is the only one
        answer, _ = await asyncio.gather(
            self.line.ask(wish, manner),
            self._second_line.ask(wish, manner._replace(branch=event.manner.also_at)),
        )
        return answer


def _done(result: EventResult, info: ReplyInfo | None, detail: str = "") -> Done:
    if info is None:
        return Done(result, detail)
    return Done(result, detail, info.held_us, info.asked, info.awaited)
