"""Customers' desks: real sessions, and what each has written and seen, so that every answer can be judged.

Decides what of an answer is put before the judge. Must not know what customers ask (scenario.perform), nor
what goes wrong meanwhile. Proof: tests/simulation/test_run.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError
from bankbook.core.commands import Command, OpenAccount
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId
from bankbook.scenario.model import Scenario
from bankbook.scenario.perform import Answer, Wish
from bankbook.simulation.network import Place
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.pasts import SessionPast
from bankbook.simulation.world import World
from bankbook.wire.replies import Receipt, StatementPage


@dataclass(slots=True)
class Books:
    """What all customers of one bank know together."""

    accounts: list[AccountId]
    intents: list[Intent] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def intent(self, name: str, command: Command, key: str | None, customer: str, durable: int) -> Intent:
        """Take down what a customer wants."""
        intent = Intent(name, command, key, customer, durable)
        self.intents.append(intent)
        return intent


class Desk:
    """A customer's line to the bank: the real session, and what it has written and seen."""

    def __init__(self, world: World, name: str, books: Books, customer: str | None = None) -> None:
        self.name = name
        self.customer = customer or name
        self.place = Place(name)
        self.past = SessionPast()
        self._world = world
        self._books = books
        self._channels = world.channels(name, self._on_answer, self._on_attempt)
        self._bank = world.client(name, 30.0, self._channels)
        self.session = self._bank.session(self.customer)
        self._asking: Operation | None = None
        self._attempts: dict[int, Operation] = {}
        """For what each call is: one that its customer gave up may be answered during the next."""

    def begin_anew(self, guarantees: Guarantee = Guarantee.ALL) -> None:
        """Forget everything, as who starts a new session, with these guarantees."""
        self.session = self._bank.session(self.customer, guarantees=guarantees)
        self.past = SessionPast(guarantees)

    def learn_from(self, other: "Desk") -> None:
        """Know what another session knows, too."""
        self.session.merge(other.session.token)
        self.past.wrote.update(other.past.wrote)
        self.past.saw.update(other.past.saw)

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
            operation.receipt = answer
        except BankbookError as error:
            self._on_error(operation, error)
        else:
            operation.branch = answer.info.branch
            world.judge.on_receipt(operation, self.past)
            intent.take_note(answer)
        operation.returned_us = world.loop.now_us
        outcome = "OK" if operation.error is None else operation.error.outcome.name
        world.trace.note("answer", f"{self.name} {intent.name} {outcome} {_told(operation)}")
        return operation

    def _on_error(self, operation: Operation, error: BankbookError) -> None:
        operation.error = error
        self._world.judge.on_error(operation, self.past, error)
        operation.intent.take_note(error)
        if error.outcome is Outcome.WRITES_LOST:
            self.begin_anew()

    def _on_attempt(self, number: int) -> None:
        assert self._asking is not None, "nobody else calls from here"
        self._attempts[number] = self._asking

    def _on_answer(self, number: int, branch: int) -> None:
        """Note what the branch had as it answered: its disk cannot change before this is over."""
        operation = self._attempts.pop(number)
        there = self._world.branches[next(each for each in self._world.branches if each == branch)]
        operation.branch = branch
        operation.shown = there.disk.applied()
        operation.known_lost = self._world.judge.known_lost(branch)
        has_just_written = there.released_us == self._world.loop.now_us
        states = self._world.judge.states(branch, operation.command)
        operation.possible = states if has_just_written else states[:1]


class DeskLine:
    """A desk, for who does the events of a scenario; see scenario.perform.Line."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def ask(self, wish: Wish, manner: Manner) -> Answer:
        """Send a request, and have what comes of it judged. Raises ViolationError."""
        assert isinstance(wish, Intent), "the books made it"
        operation = await self.desk.ask(wish, manner)
        answer = operation.receipt or operation.error
        assert answer is not None, "it has ended"
        return answer

    def learn_from(self, other: "DeskLine") -> None:
        """Know what another session knows, too."""
        self.desk.learn_from(other.desk)

    def begin_anew(self, guarantees: Guarantee = Guarantee.ALL) -> None:
        """Forget everything, as who starts a new session, with these guarantees."""
        self.desk.begin_anew(guarantees)


def _told(operation: Operation) -> str:
    receipt = operation.receipt
    if isinstance(receipt, Receipt):
        return f"{receipt.balance} {receipt.entry} held {receipt.held_us}"
    if isinstance(receipt, StatementPage):
        return f"{receipt.opening} {len(receipt.lines)} lines {receipt.closing}"
    return "" if receipt is None else f"{receipt.entry} {[each.outcome.name for each in receipt.results]}"


def openings(scenario: Scenario, books: Books) -> Iterator[list[Intent]]:
    """Yield the requests that open the accounts of a bank which begins without any, each asked for twice."""
    for account in scenario.accounts:
        command = OpenAccount(Opening(AccountId(account.id), account.floor, ""))
        name = f"open-{account.id}"
        intents = [
            Intent(name, command, f"key-{name}"),
            Intent(f"{name}-too", command, f"key-{name}-too", "rival"),
        ]
        books.intents.extend(intents)
        yield intents
