"""One simulation from its seed to its report: torment, heal, and see that all comes to rest.

    report = simulate(7)
    report.violation                # None, or what was broken

Decides the order, and how long a bank may take to come to rest. Proof: tests/simulation/test_run.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import structlog

from bankbook.client.calls import Manner
from bankbook.client.recorder import Recorder, stated
from bankbook.core.commands import LATEST, ReadBalance, ReadStatement, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis
from bankbook.core.types import AccountId, BranchId, CustomerId, Money
from bankbook.history.record import Stated
from bankbook.history.writer import Kept
from bankbook.scenario.branches import BankOptions
from bankbook.scenario.execute import TIMEOUT_EXTRA_S, Agreement, CustomerRun, Done, accounts_touched
from bankbook.scenario.faults import FaultKind
from bankbook.scenario.model import Customer, Scenario
from bankbook.scenario.perform import Stage
from bankbook.server.config import NO_DELAY, AccountMode, Delay
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.crowd import ACCOUNTS, ONE_IN, Crowd
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.faults import ALL_FAULTS, Faults
from bankbook.simulation.network import Place
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.plan import Plan
from bankbook.simulation.promises import Promise, Violation, ViolationError, crash, demand
from bankbook.simulation.recording import judge_history, recorder_of
from bankbook.simulation.workload import Books, Desk, DeskLine, openings
from bankbook.simulation.world import Terms, World
from bankbook.wire.replies import StatementPage

# Once everything is mended: streams connect again, questions come again, what is held ends by its deadline.
_REST_S = 120.0

# As `bankbook run` has it.
_HOLD_LIMIT_US = BankOptions().hold_limit_us

# What customers set aside for so long, or less, has ended by itself before anybody looks what is left.
_LIFETIME_US = 20_000_000

# Who is told by then neither yes nor no waits for something that never comes.
_SETTLE_TIMEOUT_S = 20.0
_SETTLE_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What is simulated."""

    branches: int | None = None
    """None: 1 to 5, drawn."""
    customers: int = 5
    accounts: int = 6
    duration_s: float = 40.0
    """How long customers ask while things go wrong, in virtual time."""
    faults: frozenset[FaultKind] = ALL_FAULTS
    """What may go wrong; each seed draws some of it."""
    keeps_trace: bool = False


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What came of one seed."""

    seed: int
    violation: Violation | None
    """What was broken, and by what; None where nothing was."""
    trace_digest: str
    """Stands for everything that happened, in order."""
    counts: Counter[str]
    """How often each kind of event happened: calls, messages, commits, faults."""
    judged: Counter[str]
    """How often each promise was put to the test."""
    outcomes: Counter[str]
    """How the customers' operations ended."""
    virtual_s: float
    """How much time was simulated."""
    propagations: int
    """Entries that reached another branch's disk."""
    trace: tuple[str, ...] = ()
    """Where wanted: one line for each event."""

    @property
    def faults(self) -> Counter[str]:
        """How often each kind of fault struck."""
        prefix = "fault "
        return Counter({k.removeprefix(prefix): n for k, n in self.counts.items() if k.startswith(prefix)})


@dataclass(frozen=True, slots=True)
class Performance:
    """What came of one scenario."""

    report: SimulationReport
    runs: tuple[CustomerRun, ...]
    """What customers did, and what they were told, up to the end or to the violation."""
    begun: dict[CustomerId, int]
    """How many of their events customers had begun by then."""
    agreement: Agreement
    elapsed_s: float
    """From the customers' first request to their last answer, in virtual time."""
    is_cut_off: bool
    """Whether a violation was found while customers were at work, and not only afterwards."""
    ended_s: float
    """How long after the first request it came to its end, or to the violation."""


def plan(seed: int, settings: SimulationSettings = SimulationSettings()) -> Scenario:
    """Draw what a seed has in store: a bank, its customers, and what goes wrong."""
    drawn = Plan(seed, settings.branches, settings.accounts)
    return drawn.scenario(settings.customers, settings.duration_s, settings.faults)


def simulate(seed: int, settings: SimulationSettings = SimulationSettings()) -> SimulationReport:
    """Simulate one random bank, all from one seed. Not from within an event loop that runs."""
    return perform(
        plan(seed, settings), seed, duration_s=settings.duration_s, keeps_trace=settings.keeps_trace
    ).report


def perform(
    scenario: Scenario,
    seed: int,
    *,
    duration_s: float | None = None,
    delay: Delay = NO_DELAY,
    hold_limit_us: int = _HOLD_LIMIT_US,
    on_done: Callable[[Done], None] = lambda _: None,
    keeps_trace: bool = False,
    is_customers_only: bool = False,
    record: Callable[[Callable[[], int]], Recorder | None] = lambda _now_ns: None,
) -> Performance:
    """Carry out a scenario in a simulated bank, faults and all; all chance in it comes from the seed.

    What customers have not begun after `duration_s` they do not begin; None: they do everything. If it
    `is_customers_only`, nothing is asked of the bank once they have gone home. `record` returns who writes
    down what is asked and told, by the clock it is given. Not from within an event loop that runs. Raises
    OSError where nothing can be written down.
    """
    genesis = Genesis("simulated", scenario.branches, scenario.genesis_balance)
    terms = Terms(genesis, delay, hold_limit_us, keeps_trace)
    loop = VirtualLoop()
    with quiet():
        recorder = record(lambda: 1000 * loop.now_us)
        stage = Stage[DeskLine](
            scenario, AccountMode.OWN, terms.hold_limit_us / 1e6 + TIMEOUT_EXTRA_S, on_done=on_done
        )
        return run_in_virtual_time(
            loop,
            _perform(loop, seed, stage, terms, recorder, duration_s, is_customers_only=is_customers_only),
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Let the branches log nothing."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _perform(
    loop: VirtualLoop,
    seed: int,
    stage: Stage[DeskLine],
    terms: Terms,
    recorder: Recorder | None,
    duration_s: float | None,
    *,
    is_customers_only: bool,
) -> Performance:
    simulation = Simulation(loop, seed, terms, stage, recorder)
    stage.make_wish = simulation.books.intent
    violation = None
    living = loop.create_task(simulation.live(duration_s, is_customers_only=is_customers_only))
    try:
        await asyncio.wait([living, simulation.world.failed], return_when=asyncio.FIRST_COMPLETED)
        if simulation.world.failed.done():
            simulation.world.failed.result()
        living.result()
    except ViolationError as error:
        violation = error.violation
    except Exception as error:  # noqa: BLE001  (whatever it is, this seed found it)
        violation = crash(error)
    finally:
        living.cancel()
        if recorder is not None:
            recorder.close()
    return simulation.performance(violation)


class Simulation:
    """One bank's life."""

    def __init__(
        self, loop: VirtualLoop, seed: int, terms: Terms, stage: Stage[DeskLine], recorder: Recorder | None
    ) -> None:
        self._loop = loop
        self.draw = Random(f"{seed}/simulation")  # noqa: S311  (a seed, not a secret)
        self.seed = seed
        self.scenario = stage.scenario
        self.kept = Kept()
        self.world = World(loop, seed, terms, recorder_of(loop, terms.genesis, self.kept, recorder))
        self.books = Books(accounts_touched(self.scenario, AccountMode.OWN))
        self._auditor = Desk(self.world, "auditor", self.books)
        self._desks = {"": self._auditor}
        self._customers: list[Desk] = []
        self._crowd: Crowd | None = None
        self.stage = stage
        self.agreement = Agreement({})
        """What all branches had of each account, before the auditor took it out."""
        self._horizon_us: dict[BranchId, int] = {}
        """Until when, by its clock, each branch is to have ended what it sets aside before all is at rest."""
        self.began_s = 0.0
        """When customers and faults began."""
        self.elapsed_s: float | None = None
        """From the customers' first request to their last answer; None until then."""

    async def live(self, duration_s: float | None, *, is_customers_only: bool) -> None:
        """Live through it. Raises ViolationError."""
        await self._begin()
        if duration_s is not None:
            await self._enter_crowd()
        places = [self._enter(customer) for customer in self.scenario.customers]
        await self._torment([each for pair in places for each in pair], duration_s)
        if is_customers_only:
            return
        self.world.heal()
        self._horizon_us = {
            number: branch.clocks.read().wall_us + _LIFETIME_US
            for number, branch in self.world.branches.items()
        }
        await self._settle()
        if self._crowd is not None:
            await self._crowd.settle()
        await self._come_to_rest()
        await self._look_once_more()
        self.agreement = self._agreed()
        await self._end_history()
        await self._take_everything()
        await self._come_to_rest()
        await self._read_everything()

    def _enter(self, customer: Customer) -> tuple[Place, Place]:
        first = Desk(self.world, customer.id, self.books)
        second = Desk(self.world, f"{customer.id}-phone", self.books, customer.id)
        self._desks[customer.id] = first
        self._customers += [first, second]
        self.stage.enter(customer, DeskLine(first), DeskLine(second))
        return first.place, second.place

    async def _begin(self) -> None:
        """Before anything goes wrong, every branch learns that the others are new, too."""
        for branch in self.world.branches.values():
            assert branch.life is not None, "it was started"
            try:
                async with asyncio.timeout(_REST_S):
                    await branch.life.driver.joined()
            except TimeoutError:
                words = (
                    f"after {_REST_S:g} s in which nothing went wrong branch {branch.number} has not joined"
                )
                raise ViolationError(Promise.REST, words) from None
        await self._open_accounts()

    async def _enter_crowd(self) -> None:
        """Let some banks have a crowd, too."""
        if self.world.chance("is there a crowd").randrange(ONE_IN):
            return
        self._crowd = Crowd(self.world)
        if self.world.terms.genesis.opening_balance is None:
            await self._crowd.open_accounts()
        self.books.accounts += ACCOUNTS

    async def _open_accounts(self) -> None:
        # Two open each account at the same time, at whichever branches; one of them does.
        rival, branches = Desk(self.world, "rival", self.books), list(self.world.branches)
        for intents in openings(self.scenario, self.books):
            both = (
                desk.ask(intent, Manner(self.draw.choice(branches), _SETTLE_TIMEOUT_S, key=intent.key))
                for desk, intent in zip((self._auditor, rival), intents, strict=True)
            )
            ended = await asyncio.gather(*both)
            is_once = sum(each.receipt is not None for each in ended) == 1
            words = f"{intents[0].name} ended with {[each.error for each in ended]}"
            demand(is_once, Promise.EXACTLY_ONCE, words)

    async def _torment(self, places: list[Place], duration_s: float | None) -> None:
        self.began_s = self._loop.time()
        self.stage.until_s = None if duration_s is None else self.began_s + duration_s
        faults = Faults(self.world, self.scenario.faults, places)
        torment = self._loop.create_task(faults.torment(), name="faults")
        acts = self._loop.create_task(self.stage.perform(), name="customers")
        calls = self._loop.create_task(self._crowd.call() if self._crowd else asyncio.sleep(0), name="crowd")
        try:
            await asyncio.wait([torment, acts], return_when=asyncio.FIRST_COMPLETED)
            if torment.done():
                torment.result()
            acts.result()
        finally:
            torment.cancel()
            acts.cancel()
            calls.cancel()
        self.elapsed_s = self._loop.time() - self.began_s
        self.world.trace.note("customers went home")

    def _agreed(self) -> Agreement:
        opening = self.world.terms.genesis.opening_balance or Money(0)
        disks = {number: branch.disk for number, branch in self.world.branches.items()}
        return Agreement(
            {
                account: {
                    number: opening if (state := disk.account(account)) is None else state.balance
                    for number, disk in disks.items()
                }
                for account in self._accounts()
            }
        )

    async def _settle(self) -> None:
        """Ask again for every key without an answer: there is one now."""
        for intent in list(self.books.intents):
            if intent.is_settled or intent.key is None or not intent.sent:
                continue
            await self._settle_one(intent)

    async def _settle_one(self, intent: Intent) -> None:
        for _ in range(_SETTLE_ATTEMPTS):
            branch = self.draw.choice(list(self.world.branches))
            operation = await self._desks[intent.customer].ask(
                intent, Manner(branch, _SETTLE_TIMEOUT_S, key=intent.key, durable=intent.durable)
            )
            self.world.judge.judged[Promise.KEYS_SETTLED] += 1
            if intent.is_settled:
                return
        words = f"{intent.name}, key {intent.key}, has no end: {operation.error}"
        raise ViolationError(Promise.KEYS_SETTLED, words)

    async def _look_once_more(self) -> None:
        """Every customer is served, whatever their session has seen, or told that it is lost."""
        for desk in self._customers:
            account, branch = (
                self.draw.choice(self.books.accounts),
                self.draw.choice(list(self.world.branches)),
            )
            intent = Intent("look", ReadBalance(account), None, desk.customer)
            operation = await desk.ask(intent, Manner(branch, _SETTLE_TIMEOUT_S))
            outcome = None if operation.error is None else operation.error.outcome
            ended = f"{operation}, once nothing went wrong any more, ended with {operation.error}"
            demand(outcome in (None, Outcome.WRITES_LOST, Outcome.UNKNOWN_ACCOUNT), Promise.REST, ended)
            self.world.judge.judged[Promise.REST] += 1

    async def _come_to_rest(self) -> None:
        """Wait until every branch has the same, and nobody waits for anything."""
        deadline = self._loop.time() + _REST_S
        while why := self._why_not_at_rest():
            if self._loop.time() >= deadline:
                # Not demanded: also those who look at no disk see that it never ends.
                raise ViolationError(Promise.REST, f"after {_REST_S:g} s without faults {why}")
            await asyncio.sleep(1.0)
        # What branches do of their own accord, such as passing on rights, goes on for a while.
        disks = [branch.disk for branch in self.world.branches.values()]
        while self._differ(disks):
            if self._loop.time() >= deadline:
                differ = f"after {_REST_S:g} s without faults the branches differ"
                raise ViolationError(Promise.CONVERGENCE, differ)
            await asyncio.sleep(0.5)
        called = self._crowd.intents if self._crowd else []
        self.world.judge.judge_end(disks, [*self.books.intents, *called])

    @staticmethod
    def _differ(disks: list[SimulatedDisk]) -> bool:
        return any(disk.applied() != disks[0].applied() for disk in disks)

    def _why_not_at_rest(self) -> str | None:
        for branch in self.world.branches.values():
            if branch.life is None:
                return f"branch {branch.number} is down"
            replica = branch.life.driver._replica  # noqa: SLF001  (the judge looks everywhere)
            status = replica.status()
            if status.catching_up_on is not None:
                return f"branch {branch.number} has not joined; it waits for {status.catching_up_on}"
            if status.inbox:
                return f"branch {branch.number} cannot apply {status.inbox} entries"
            if status.held or branch.life.serving:
                return f"branch {branch.number} holds {len(status.held)} requests"
            overdue = self.world.judge.overdue(
                branch.number, max(branch.clocks.read().wall_us, self._horizon_us[branch.number])
            )
            if overdue:
                return f"branch {branch.number} sets aside still what was to end by itself: {overdue}"
        return None

    def _accounts(self) -> list[AccountId]:
        """Return the accounts that are there; a lost disk may have taken the opening of one along."""
        if self.world.terms.genesis.opening_balance is not None:
            return self.books.accounts
        disk = next(iter(self.world.branches.values())).disk
        return [account for account in self.books.accounts if disk.account(account) is not None]

    async def _take_everything(self) -> None:
        """All that is there can be taken out, at any branch, and no more."""
        judge, number = self.world.judge, 0
        for account in self._accounts():
            await self._come_to_rest()
            expiries = judge.expiries[account]
            disk = next(iter(self.world.branches.values())).disk
            state = disk.account(account)
            available = state.available if state is not None else self.world.terms.genesis.opening_balance
            if available is None:
                continue
            steps = (
                (available + 1, Outcome.INSUFFICIENT_FUNDS),
                (available, None),
                (1, Outcome.INSUFFICIENT_FUNDS),
            )
            for amount, expected in steps:
                if not amount:
                    continue
                number += 1
                intent = Intent(
                    f"take-{number}", Withdraw(account, Money(amount), f"take-{number}"), f"take-{number}"
                )
                self.books.intents.append(intent)
                branch = self.draw.choice(list(self.world.branches))
                operation = await self._auditor.ask(intent, Manner(branch, _SETTLE_TIMEOUT_S, key=intent.key))
                if judge.expiries[account] != expiries:
                    break  # what a reservation set aside has come free meanwhile
                outcome = None if operation.error is None else operation.error.outcome
                ended = f"{operation} of {available} available ended with {operation.error}"
                demand(outcome is expected, Promise.ALL_CAN_BE_TAKEN, ended)
                judge.judged[Promise.ALL_CAN_BE_TAKEN] += 1

    async def _read_everything(self) -> None:
        for account in self._accounts():
            for branch in self.world.branches:
                await self._read(ReadBalance(account), branch)

    async def _read(self, command: ReadBalance | ReadStatement, branch: BranchId) -> Operation:
        intent = Intent("read", command, None)
        operation = await self._auditor.ask(intent, Manner(branch, _SETTLE_TIMEOUT_S, LATEST))
        ended = f"{operation} ended with {operation.error}"
        demand(operation.receipt is not None, Promise.REST, ended)
        return operation

    async def _end_history(self) -> None:
        """Tell what every branch holds, and let the checkers judge all that was asked and told so far.

        What is taken out afterwards is in amounts of which a balance does not tell which of them it counts.
        """
        ends = {branch: await self._statements_at(branch) for branch in self.world.branches}
        recorder, self.world.recorder = self.world.recorder, None
        assert recorder is not None, "it is not the end yet"
        for branch, statements in ends.items():
            # Not what a statement closes with: that is one page of it.
            balances = {account: told[branch] for account, told in self.agreement.balances.items()}
            recorder.final(branch, {str(each): balances[each] for each in balances}, statements)
        self.world.judge.judged.update(judge_history(self.kept.history()))
        self._auditor = Desk(self.world, "taker", self.books)

    async def _statements_at(self, branch: BranchId) -> dict[str, Stated]:
        told = dict[str, Stated]()
        for account in self._accounts():
            page = (await self._read(ReadStatement(account), branch)).receipt
            assert isinstance(page, StatementPage), "that was asked for"
            told[account] = stated(page, is_complete=page.next_page is None)
        return told

    def performance(self, violation: Violation | None) -> Performance:
        """Return what came of it."""
        actors = self.stage.actors.values()
        return Performance(
            self._report(violation),
            self.stage.runs(),
            {each.customer.id: each.begun for each in actors},
            self.agreement,
            self.elapsed_s or 0.0,
            violation is not None and self.elapsed_s is None,
            self._loop.time() - self.began_s,
        )

    def _report(self, violation: Violation | None) -> SimulationReport:
        trace, judge = self.world.trace, self.world.judge
        propagations = sum(
            sum(seq for origin, seq in books.applied if origin != disk) for disk, books in judge.books.items()
        )
        return SimulationReport(
            self.seed,
            violation,
            trace.digest(),
            trace.counts,
            judge.judged,
            Counter(_outcome(each) for each in self.books.operations),
            self._loop.now_us / 1e6,
            propagations,
            tuple(trace.lines),
        )


def _outcome(operation: Operation) -> str:
    if operation.error is not None:
        return operation.error.outcome.name
    return "OK" if operation.receipt is not None else "GAVE_UP"


__all__ = [
    "Performance",
    "SimulationReport",
    "SimulationSettings",
    "perform",
    "plan",
    "quiet",
    "simulate",
]
