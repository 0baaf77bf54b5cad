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
    accounts_of,
    bounded,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.guarantees import Guarantee
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

    def take(self, *accounts: AccountId, below: Money | None = None, is_large: bool = False) -> Money | None:
        """Return an amount that is new to all these accounts; None where there is none left."""
        used = set().union(*(self._used[account] for account in accounts))
        left = [each for each in _EXPONENTS if each not in used and (below is None or 1 << each < below)]
        if not left:
            return None
        # Mostly what is small against what is there; sometimes more than anybody has.
        places = self._draw.randrange(len(left)), self._draw.randrange(len(left))
        exponent = left[max(places) if is_large else min(places)]
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
    reservations: dict[ReservationId, Reserve] = field(default_factory=dict)
    """What was set aside, by the names that customers were told."""


class Desk:
    """A customer's line to the bank: the real session, and what it has written and seen."""

    def __init__(
        self,
        world: World,
        name: str,
        books: Books,
        customer: str | None = None,
        guarantees: Guarantee = Guarantee.ALL,
    ) -> None:
        self.name = name
        self.customer = customer or name
        self.place = Place(name)
        self.past = SessionPast(guarantees)
        self._world = world
        self._books = books
        self._channels = world.channels(name, self._on_answer)
        self._bank = world.client(name, 30.0, self._channels)
        self.session = self._bank.session(self.customer, guarantees=guarantees)
        self._asking: Operation | None = None

    def begin_anew(self) -> None:
        """Forget everything, as who starts a new session."""
        guarantees = self.past.guarantees
        self.session = self._bank.session(self.customer, guarantees=guarantees)
        self.past = SessionPast(guarantees)

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
            self._note_reservations(intent.command, operation.receipt)
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

    def _note_reservations(self, command: Command, receipt: Receipt | BatchReceipt) -> None:
        commands = command.commands if isinstance(command, Batch) else (command,)
        told = receipt.results if isinstance(receipt, BatchReceipt) else (receipt,)
        names = [each.reservation for each in told]
        for asked, name in zip(commands, names, strict=True):
            if isinstance(asked, Reserve) and name is not None:
                self._books.reservations[name] = asked

    def _on_answer(self, _number: int, branch: int) -> None:
        """Note what the branch had as it answered: its disk cannot change before this is over."""
        operation = self._asking
        if operation is None:
            return
        there = self._world.branches[next(each for each in self._world.branches if each == branch)]
        operation.branch = branch
        operation.shown = there.disk.applied()
        account = self._account_of(operation.command)
        if account is not None:
            has_just_written = there.released_us == self._world.loop.now_us
            states = self._world.judge.states(branch, account)
            operation.possible = states if has_just_written else states[:1]

    def _account_of(self, command: Command) -> AccountId | None:
        """Return whose balance is told."""
        if isinstance(command, Capture | Release):
            return self._books.reservations[command.reservation].account
        return accounts_of(command)[0]


def _told(operation: Operation) -> str:
    receipt = operation.receipt
    if isinstance(receipt, Receipt):
        return f"{receipt.balance} {receipt.entry} held {receipt.held_us}"
    return "" if receipt is None else f"{receipt.entry} {[each.outcome.name for each in receipt.results]}"


class Customer:
    """Somebody who walks from branch to branch."""

    def __init__(self, world: World, name: str, books: Books) -> None:
        self._world = world
        self._books = books
        self._draw = world.chance(f"{name} acts")
        # Each guarantee has to hold by itself, too.
        guarantees = self._draw.choice([Guarantee.ALL] * 4 + list(Guarantee.ALL))
        self.desk = Desk(world, name, books, guarantees=guarantees)
        self.phone = Desk(world, f"{name}-phone", books, name)
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
            elif kind < 0.46 and len(self._world.branches) > 1:  # noqa: PLR2004
                await self._look_elsewhere()
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

    async def _look_elsewhere(self) -> None:
        """Pay in at one branch, and have somebody who was told nothing look for it at another."""
        draw, account = self._draw, self._account()
        here, there = draw.sample(list(self._world.branches), 2)
        amount = self._books.amounts.take(account, is_large=True)
        less = None if amount is None else self._books.amounts.take(account, below=amount, is_large=True)
        if amount is None or less is None:
            return
        deposit = self._intent(Deposit(account, amount, self._next_name()))
        await self.desk.ask(deposit, Manner(here, 2.0))
        self.phone.begin_anew()
        bound_s = draw.choice([0.0, 0.2, 0.5])
        await asyncio.sleep(bound_s)
        if bound_s:
            look, freshness = self._intent(ReadBalance(account)), bounded(bound_s)
        elif draw.random() < 0.5:  # noqa: PLR2004
            look, freshness = self._intent(ReadBalance(account)), LATEST
        else:
            look, freshness = self._intent(Withdraw(account, less, self._next_name())), SESSION
        await self.phone.ask(look, Manner(there, 8.0, freshness))

    def _next_name(self) -> str:
        return f"w{len(self._books.intents) + 1}"

    def _intent(self, command: Command, key: str | None = None, durable: int = 0) -> Intent:
        intent = Intent(self._next_name(), command, key, self.desk.customer, durable)
        self._books.intents.append(intent)
        return intent

    def _manner(self, intent: Intent) -> Manner:
        draw, branches = self._draw, list(self._world.branches)
        branch = draw.choice([None, *branches])
        timeout_s = draw.choice([0.3, 2.0, 8.0, 20.0])
        freshness: Freshness = SESSION
        if isinstance(intent.command, ReadBalance):
            levels = [LOCAL, SESSION, SESSION, LATEST, LATEST, *map(bounded, (0, 0, 0.3, 3))]
            freshness = draw.choice(levels)
        elif draw.random() < 0.2 and not isinstance(intent.command, OpenAccount):  # noqa: PLR2004
            freshness = draw.choice([LATEST, LOCAL])
        return Manner(branch, timeout_s, freshness, intent.key, intent.durable)

    def _new_intent(self, *, is_keyed: bool = False) -> Intent:
        draw, name = self._draw, self._next_name()
        command = self._command(name)
        is_read = isinstance(command, ReadBalance)
        key = None
        if not is_read and (is_keyed or draw.random() < 0.5):  # noqa: PLR2004
            birth = draw.choice(["", *(f"{branch}/" for branch in self._world.branches)])
            key = f"{birth}key-{name}"
        durable = 0 if is_read else draw.choice([0, 0, 0, 0, 1, len(self._world.branches) - 1])
        return self._intent(command, key, min(durable, len(self._world.branches) - 1))

    def _command(self, name: str) -> Command:
        if self._draw.random() < self._reading:
            return ReadBalance(self._account())
        kind = self._draw.randrange(14)
        if kind in (0, 2) and self._books.reservations:
            return self._settling(name)
        if kind == 1:
            some = [self._single(f"{name}.{place}") for place in range(self._draw.randint(1, 4))]
            writes = tuple(each for each in some if not isinstance(each, ReadBalance))
            if writes:
                return Batch(writes, is_atomic=self._draw.random() < 0.5)  # noqa: PLR2004
        return self._single(name)

    def _settling(self, name: str) -> Command:
        """End what was set aside lately, all of it or a part."""
        draw = self._draw
        reservation = draw.choice(list(self._books.reservations)[-6:])
        reserve, is_part = self._books.reservations[reservation], draw.random() < 0.5  # noqa: PLR2004
        if draw.random() < 0.4:  # noqa: PLR2004
            return Release(reservation, Money(max(reserve.amount // 4, 1)) if is_part else None)
        part = None
        if is_part:
            assert reserve.destination is not None, "each is for somebody"
            below = Money(reserve.amount // 2)
            part = self._books.amounts.take(reserve.account, reserve.destination, below=below)
        return Capture(reservation, part, part is None or draw.random() < 0.5, name)  # noqa: PLR2004

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


def openings(books: Books) -> Iterator[list[Intent]]:
    """Yield the requests that open the accounts of a bank which begins without any, each asked for twice."""
    for place, account in enumerate(books.accounts):
        floor = (Money(0), Money(-(1 << 12)), None)[place % 3]
        command = OpenAccount(Opening(account, floor, ""))
        intents = [
            Intent(f"open-{account}", command, f"key-open-{account}"),
            Intent(f"open-{account}-too", command, f"key-open-{account}-too", "rival"),
        ]
        books.intents.extend(intents)
        yield intents
