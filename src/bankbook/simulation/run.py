"""One simulation from its seed to its report: torment, heal, and see that all comes to rest.

    report = simulate(7)
    report.violation                # None, or what was broken

Decides the order. Must not know what is asked of a bank in the end (aftermath.py).
Proof: tests/simulation/test_run.py.
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
from bankbook.client.recorder import Recorder
from bankbook.core.commands import Deposit, Request
from bankbook.core.ports import Genesis
from bankbook.core.types import AccountId, CustomerId, Money
from bankbook.history.writer import Kept
from bankbook.scenario.branches import BankOptions
from bankbook.scenario.execute import TIMEOUT_EXTRA_S, Agreement, Done, accounts_touched
from bankbook.scenario.faults import FaultKind
from bankbook.scenario.model import Customer, Scenario
from bankbook.scenario.perform import Stage
from bankbook.server.config import NO_DELAY, AccountMode, Delay
from bankbook.simulation.aftermath import REST_S, SETTLE_TIMEOUT_S, Aftermath
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.crowd import ACCOUNTS, ONE_IN, Crowd
from bankbook.simulation.faults import ALL_FAULTS, Faults
from bankbook.simulation.network import Place
from bankbook.simulation.operations import Operation
from bankbook.simulation.plan import Plan
from bankbook.simulation.promises import Promise, Violation, ViolationError, crash, demand
from bankbook.simulation.recording import recorder_of
from bankbook.simulation.report import Performance, SimulationReport
from bankbook.simulation.workload import Books, Desk, DeskLine, openings
from bankbook.simulation.world import AGO_US, Terms, World, draws_past

# As `bankbook run` has it.
_HOLD_LIMIT_US = BankOptions().hold_limit_us


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


def plan(seed: int, settings: SimulationSettings = SimulationSettings()) -> Scenario:
    """Draw what a seed has in store: a bank, its customers, and what goes wrong."""
    drawn = Plan(seed, settings.branches, settings.accounts)
    return drawn.scenario(settings.customers, settings.duration_s, settings.faults)


def simulate(seed: int, settings: SimulationSettings = SimulationSettings()) -> SimulationReport:
    """Simulate one random bank, all from one seed. Not from within an event loop that runs."""
    return perform(
        plan(seed, settings),
        seed,
        duration_s=settings.duration_s,
        keeps_trace=settings.keeps_trace,
        has_past=draws_past(seed),
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
    has_past: bool = False,
    record: Callable[[Callable[[], int]], Recorder | None] = lambda _now_ns: None,
) -> Performance:
    """Carry out a scenario in a simulated bank, faults and all; all chance in it comes from the seed.

    What customers have not begun after `duration_s` they do not begin; None: they do everything. If it
    `is_customers_only`, nothing is asked of the bank once they have gone home. If it `has_past`, there are
    entries of long ago, which are dropped meanwhile. `record` returns who writes down what is asked and
    told, by the clock it is given. Not from within an event loop that runs. Raises OSError where nothing can
    be written down.
    """
    genesis = Genesis("simulated", scenario.branches, scenario.genesis_balance)
    terms = Terms(genesis, delay, hold_limit_us, keeps_trace, has_past)
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


# How many entries there are at most before the first customer comes: some dozen commits drop them.
_PAST_MAX = 40

# No clock gets there.
_NEVER_US = 2**60

# By so much a clock may run ahead of the others, and the hybrid clocks with it.
_SLACK_MS = 3_600_000


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
        self._aftermath: Aftermath | None = None
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
        self._aftermath = Aftermath(
            self.world, self.draw, self.kept, self.books, self._desks, self._customers, self._crowd
        )
        await self._aftermath.live()

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
                async with asyncio.timeout(REST_S):
                    await branch.life.driver.joined()
            except TimeoutError:
                words = (
                    f"after {REST_S:g} s in which nothing went wrong branch {branch.number} has not joined"
                )
                raise ViolationError(Promise.REST, words) from None
        await self._open_accounts()
        if self.world.terms.has_past:
            await self._let_it_be_long_ago()

    async def _let_it_be_long_ago(self) -> None:
        """Have something to drop: deposits that change no balance, and that nobody asks about."""
        draw = self.world.chance("what happened long ago")
        branches = list(self.world.branches.values())
        for _ in range(draw.randint(1, _PAST_MAX)):
            life = draw.choice(branches).life
            assert life is not None, "nothing has gone wrong yet"
            command = Deposit(AccountId(draw.choice(sorted(self.books.accounts))), Money(0))
            request = Request(life.driver.next_request(), command, _NEVER_US, CustomerId("long-ago"))
            await life.driver.ask(request)
        walls_us = [branch.clocks.read().wall_us for branch in branches]
        self.world.judge.droppable_ms = max(walls_us) // 1000 + _SLACK_MS
        for branch in branches:
            branch.clocks.wall_offset_us += AGO_US

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
                desk.ask(intent, Manner(self.draw.choice(branches), SETTLE_TIMEOUT_S, key=intent.key))
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

    def performance(self, violation: Violation | None) -> Performance:
        """Return what came of it."""
        actors = self.stage.actors.values()
        return Performance(
            self._report(violation),
            self.stage.runs(),
            {each.customer.id: each.begun for each in actors},
            Agreement({}) if self._aftermath is None else self._aftermath.agreement,
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
            trace.counts.copy(),  # what ends with the world is in no order
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
