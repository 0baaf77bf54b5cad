"""Random customers: what they ask, of which branch, how patiently, and what they do when nobody answers.

Decides what is asked. Must not know what goes wrong meanwhile. Whatever moves on an account moves by amounts
of which no two sets have the same sum, so that a balance alone tells which writes it counts.
Proof: tests/simulation/test_run.py.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError, OutcomeUnknownError
from bankbook.core.commands import (
    LATEST,
    LOCAL,
    SESSION,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    OpenAccount,
    ReadBalance,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    bounded,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import AccountId, Money, ReservationId
from bankbook.simulation.checks import SessionPast
from bankbook.simulation.network import Place
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.world import World
from bankbook.wire.replies import BatchReceipt, Receipt

# All sums stay far below the largest amount of money.
_EXPONENTS = range(45)


class Amounts:
    """Powers of two, each but once for each account: the sum of a set of them tells the set."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._used: dict[AccountId, set[int]] = defaultdict(set)

    def take(self, *accounts: AccountId) -> Money | None:
        """Return an amount that is new to all these accounts; None where there is none left."""
        used = set().union(*(self._used[account] for account in accounts))
        left = [each for each in _EXPONENTS if each not in used]
        if not left:
            return None
        # Mostly what is small against what is there; sometimes more than anybody has.
        exponent = left[min(self._draw.randrange(len(left)), self._draw.randrange(len(left)))]
        for account in accounts:
            self._used[account].add(exponent)
        return Money(1 << exponent)


@dataclass(slots=True)
class Books:
    """What all customers of one bank know together."""

    accounts: list[AccountId]
    amounts: Amounts
    intents: list[Intent] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    reservations: list[ReservationId] = field(default_factory=list)


class Desk:
    """A customer's line to the bank: the real session, and what it has written and seen."""

    def __init__(self, world: World, name: str, books: Books, customer: str | None = None) -> None:
        self.name = name
        self.customer = customer or name
        self.place = Place(name)
        self.past = SessionPast()
        self._world = world
        self._books = books
        self._channels = world.channels(name, self._on_answer)
        self._bank = world.client(name, 30.0, self._channels)
        self.session = self._bank.session(self.customer)
        self._asking: Operation | None = None

    def begin_anew(self) -> None:
        """Forget everything, as who starts a new session."""
        self.session = self._bank.session(self.customer)
        self.past = SessionPast()

    def learn_from(self, other: "Desk") -> None:
        """Know what another session knows, too."""
        self.session.merge(other.session.token)
        self.past.wrote |= other.past.wrote
        self.past.saw |= other.past.saw

    async def ask(self, intent: Intent, manner: Manner) -> Operation:
        """Send a request, and have what comes of it judged. Raises ViolationError."""
        world = self._world
        intent.first_us = intent.first_us or world.loop.now_us
        if intent.sent:
            world.judge.forgive(intent)
        intent.sent += 1
        operation = Operation(
            len(self._books.operations) + 1, self.name, intent, manner.freshness, 0, world.loop.now_us
        )
        self._books.operations.append(operation)
        self._asking = operation
        try:
            # What all of the session's methods do.
            answer = await self.session._carry_out(intent.command, manner)  # noqa: SLF001
            operation.receipt = self._received(answer)
        except BankbookError as error:
            self._on_error(operation, error)
        else:
            operation.branch = operation.receipt.branch
            world.judge.on_receipt(operation, self.past)
            intent.is_settled = True
            self._note_reservations(operation.receipt)
        operation.returned_us = world.loop.now_us
        outcome = "OK" if operation.error is None else operation.error.outcome.name
        world.trace.note("answer", f"{self.name} {intent.name} {outcome} {_told(operation)}")
        return operation

    def _received(self, answer: object) -> Receipt | BatchReceipt:
        assert isinstance(answer, Receipt | BatchReceipt), "nobody asked for a statement"
        return answer

    def _on_error(self, operation: Operation, error: BankbookError) -> None:
        operation.error = error
        intent = operation.intent
        if isinstance(error, OutcomeUnknownError) and intent.key is None:
            intent.key = error.key
        self._world.judge.on_error(operation, self.past, error)
        if error.outcome is Outcome.WRITES_LOST:
            self.begin_anew()
        intent.is_settled |= (
            error.outcome.certainty is Certainty.REFUSED and error.outcome is not Outcome.WRITES_LOST
        )

    def _note_reservations(self, receipt: Receipt | BatchReceipt) -> None:
        told = receipt.results if isinstance(receipt, BatchReceipt) else (receipt,)
        self._books.reservations += [each.reservation for each in told if each.reservation is not None]

    def _on_answer(self, _number: int, branch: int) -> None:
        """Note what the branch had as it answered: its disk cannot change before this is over."""
        operation = self._asking
        if operation is None:
            return
        there = self._world.branches[next(each for each in self._world.branches if each == branch)]
        operation.branch = branch
        operation.shown = there.disk.applied()
        if isinstance(operation.command, ReadBalance):
            has_just_written = there.released_us == self._world.loop.now_us
            states = self._world.judge.states(branch, operation.command.account)
            operation.possible = states if has_just_written else states[:1]


def _told(operation: Operation) -> str:
    receipt = operation.receipt
    if isinstance(receipt, Receipt):
        return f"{receipt.balance} {receipt.entry} held {receipt.held_us}"
    return "" if receipt is None else f"{receipt.entry} {[each.outcome.name for each in receipt.results]}"


class Customer:
    """Somebody who walks from branch to branch."""

    def __init__(self, world: World, name: str, books: Books) -> None:
        self.desk = Desk(world, name, books)
        self.phone = Desk(world, f"{name}-phone", books, name)
        self._world = world
        self._books = books
        self._draw = world.chance(f"{name} acts")
        self._pause_s = self._draw.choice([0.2, 0.6, 1.5])
        self._reading = self._draw.choice([0.1, 0.3, 0.8])
        """The share of reads in what they ask."""
        self._open: list[Intent] = []
        """What nobody has told the end of."""

    async def live(self, until_us: int, others: list["Customer"]) -> None:
        """Ask for this and that until it is time to go."""
        draw = self._draw
        while self._world.loop.now_us < until_us:
            await asyncio.sleep(draw.expovariate(1 / self._pause_s))
            kind = draw.random()
            if self._open and kind < 0.25:  # noqa: PLR2004  (shares of what they do)
                await self._ask_again()
            elif kind < 0.30:  # noqa: PLR2004
                self.desk.learn_from(draw.choice(others).desk)
            elif kind < 0.36:  # noqa: PLR2004
                await self._ask_twice_at_once()
            elif kind < 0.38:  # noqa: PLR2004
                self.desk.begin_anew()
            else:
                await self._ask(self._new_intent())

    async def _ask(self, intent: Intent) -> None:
        """Ask, and perhaps lose patience: then nobody knows, and it is asked again later."""
        manner = self._manner(intent)
        try:
            async with asyncio.timeout(self._draw.choice([None, None, None, 0.3, 2.0])):
                await self.desk.ask(intent, manner)
        except TimeoutError:
            self._world.trace.note("gave up", intent.name)
        if not intent.is_settled and intent.key is not None and intent not in self._open:
            self._open.append(intent)

    async def _ask_again(self) -> None:
        intent = self._open.pop(self._draw.randrange(len(self._open)))
        self._world.trace.note("asked again", intent.name)
        await self._ask(intent)

    async def _ask_twice_at_once(self) -> None:
        """Send one key to two branches at the same time."""
        intent = self._new_intent(is_keyed=True)
        if isinstance(intent.command, ReadBalance):
            return
        self.phone.learn_from(self.desk)
        both = (desk.ask(intent, self._manner(intent)) for desk in (self.desk, self.phone))
        intent.sent += 1  # before either has been answered, so that neither answer is the only one
        await asyncio.gather(*both)
        self._world.trace.note("asked twice", intent.name)
        if not intent.is_settled:
            self._open.append(intent)

    def _manner(self, intent: Intent) -> Manner:
        draw, branches = self._draw, list(self._world.branches)
        branch = draw.choice([None, *branches])
        timeout_s = draw.choice([0.3, 2.0, 8.0, 20.0])
        freshness: Freshness = SESSION
        if isinstance(intent.command, ReadBalance):
            levels = [LOCAL, SESSION, SESSION, LATEST, LATEST, *map(bounded, (0, 0, 0.3, 3))]
            freshness = draw.choice(levels)
        elif draw.random() < 0.1 and not isinstance(intent.command, OpenAccount):  # noqa: PLR2004
            freshness = LATEST
        return Manner(branch, timeout_s, freshness, intent.key, intent.durable)

    def _new_intent(self, *, is_keyed: bool = False) -> Intent:
        draw, name = self._draw, f"w{len(self._books.intents) + 1}"
        command = self._command(name)
        is_read = isinstance(command, ReadBalance)
        key = None
        if not is_read and (is_keyed or draw.random() < 0.5):  # noqa: PLR2004
            birth = draw.choice(["", *(f"{branch}/" for branch in self._world.branches)])
            key = f"{birth}key-{name}"
        durable = 0 if is_read else draw.choice([0, 0, 0, 0, 1, len(self._world.branches) - 1])
        intent = Intent(name, command, key, self.desk.customer, min(durable, len(self._world.branches) - 1))
        self._books.intents.append(intent)
        return intent

    def _command(self, name: str) -> Command:
        if self._draw.random() < self._reading:
            return ReadBalance(self._account())
        kind = self._draw.randrange(14)
        if kind == 0 and self._books.reservations:
            return self._settling(name)
        if kind == 1:
            some = [self._single(f"{name}.{place}") for place in range(self._draw.randint(1, 4))]
            writes = tuple(each for each in some if not isinstance(each, ReadBalance))
            if writes:
                return Batch(writes, is_atomic=self._draw.random() < 0.5)  # noqa: PLR2004
        return self._single(name)

    def _settling(self, name: str) -> Command:
        reservation = self._draw.choice(self._books.reservations)
        if self._draw.random() < 0.4:  # noqa: PLR2004
            return Release(reservation)
        return Capture(reservation, memo=name)

    def _single(self, name: str) -> SingleWrite | ReadBalance:
        one, other, third = self._draw.sample(self._books.accounts, 3)
        kind = self._draw.randrange(10)
        take = self._books.amounts.take
        accounts = (one,) if kind < 5 else (one, other) if kind < 9 else (one, other, third)  # noqa: PLR2004
        amount = take(*accounts)
        if amount is None:
            return ReadBalance(one)
        if kind < 3:  # noqa: PLR2004
            return Deposit(one, amount, name)
        if kind < 5:  # noqa: PLR2004
            return Withdraw(one, amount, name)
        if kind < 7:  # noqa: PLR2004
            return Transfer(one, other, amount, name)
        if kind < 9:  # noqa: PLR2004
            lifetime_ms = self._draw.choice([None, 700, 5_000, 60_000])
            return Reserve(one, amount, other, lifetime_ms, name)
        more = take(*accounts) or Money(0)
        legs = [Posting(one, Money(-amount - more)), Posting(other, amount), Posting(third, more)]
        return Submit(tuple(leg for leg in legs if leg.amount), name)

    def _account(self) -> AccountId:
        return self._draw.choice(self._books.accounts)


def openings(books: Books) -> Iterator[Intent]:
    """Yield the requests that open the accounts of a bank which begins without any."""
    for place, account in enumerate(books.accounts):
        floor = (Money(0), Money(-(1 << 12)), None)[place % 3]
        intent = Intent(f"open-{account}", OpenAccount(Opening(account, floor, "")), f"key-open-{account}")
        books.intents.append(intent)
        yield intent
