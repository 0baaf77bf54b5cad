"""One simulation from its seed to its report: torment, heal, and see that all comes to rest.

    report = simulate(7)
    report.violation                # None, or what was broken

Decides the order, and how long a bank may take to come to rest. Proof: tests/simulation/test_run.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import structlog

from bankbook.client.calls import Manner
from bankbook.core.commands import LATEST, ReadBalance, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis
from bankbook.core.types import AccountId, BranchId, Money
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.faults import ALL_FAULTS, FaultKind, Faults
from bankbook.simulation.network import Place
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.promises import Promise, Violation, ViolationError, crash, demand
from bankbook.simulation.workload import Amounts, Books, Customer, Desk, openings
from bankbook.simulation.world import Terms, World

# Once everything is mended: streams connect again, questions come again, what is held ends by its deadline.
_REST_S = 120.0

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


def simulate(seed: int, settings: SimulationSettings = SimulationSettings()) -> SimulationReport:
    """Simulate one bank, all from one seed. Not from within an event loop that runs."""
    loop = VirtualLoop()
    with quiet():
        return run_in_virtual_time(loop, _simulate(loop, seed, settings))


@contextmanager
def quiet() -> Iterator[None]:
    """Let the branches log nothing."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _simulate(loop: VirtualLoop, seed: int, settings: SimulationSettings) -> SimulationReport:
    simulation = Simulation(loop, seed, settings)
    violation = None
    living = loop.create_task(simulation.live())
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
    return simulation.report(violation)


class Simulation:
    """One bank's life."""

    def __init__(self, loop: VirtualLoop, seed: int, settings: SimulationSettings) -> None:
        self._loop = loop
        self._settings = settings
        self.draw = Random(f"{seed}/simulation")  # noqa: S311  (a seed, not a secret)
        count = settings.branches or self.draw.choice([1, 2, 2, 3, 3, 3, 4, 5])
        opening_balance = self.draw.choice([None, 0, 1 << 16, 1 << 30])
        genesis = Genesis(
            "simulated",
            tuple(BranchId(number) for number in range(1, count + 1)),
            None if opening_balance is None else Money(opening_balance),
        )
        self.seed = seed
        self.world = World(loop, seed, Terms(genesis, keeps_trace=settings.keeps_trace))
        accounts = [AccountId(f"a{number}") for number in range(1, settings.accounts + 1)]
        self.books = Books(accounts, Amounts(self.world.chance("amounts")))
        self._auditor = Desk(self.world, "auditor", self.books)
        self._desks = {"": self._auditor}

    async def live(self) -> None:
        """Live through it. Raises ViolationError."""
        await self._begin()
        customers = [
            Customer(self.world, f"customer-{number}", self.books)
            for number in range(1, self._settings.customers + 1)
        ]
        self._desks.update({each.desk.customer: each.desk for each in customers})
        await self._torment(customers)
        self.world.heal()
        await self._settle()
        await self._come_to_rest()
        await self._take_everything()
        await self._come_to_rest()
        await self._read_everything()

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

    async def _open_accounts(self) -> None:
        if self.world.terms.genesis.opening_balance is not None:
            return
        # Two open each account at the same time, at whichever branches; one of them does.
        rival, branches = Desk(self.world, "rival", self.books), list(self.world.branches)
        for intents in openings(self.books):
            both = (
                desk.ask(intent, Manner(self.draw.choice(branches), _SETTLE_TIMEOUT_S, key=intent.key))
                for desk, intent in zip((self._auditor, rival), intents, strict=True)
            )
            ended = await asyncio.gather(*both)
            is_once = sum(each.receipt is not None for each in ended) == 1
            words = f"{intents[0].name} ended with {[each.error for each in ended]}"
            demand(is_once, Promise.EXACTLY_ONCE, words)

    async def _torment(self, customers: list[Customer]) -> None:
        until_us = self._loop.now_us + int(1e6 * self._settings.duration_s)
        places = [Place(customer.desk.name) for customer in customers]
        faults = Faults(self.world, self._settings.faults, places)
        torment = self._loop.create_task(faults.torment(), name="faults")
        lives = [
            self._loop.create_task(each.live(until_us, customers), name=each.desk.name) for each in customers
        ]
        try:
            left = {torment, *lives}
            while left != {torment}:
                ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for each in ended:
                    each.result()
        finally:
            for task in (torment, *lives):
                task.cancel()
        self.world.trace.note("customers went home")

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

    async def _come_to_rest(self) -> None:
        """Wait until every branch has the same, and nobody waits for anything."""
        deadline = self._loop.time() + _REST_S
        while why := self._why_not_at_rest():
            is_early = self._loop.time() < deadline
            demand(is_early, Promise.REST, f"after {_REST_S:g} s without faults {why}")
            await asyncio.sleep(1.0)
        # What branches do of their own accord, such as passing on rights, goes on for a while.
        disks = [branch.disk for branch in self.world.branches.values()]
        while self._differ(disks):
            differ = f"after {_REST_S:g} s without faults the branches differ"
            demand(self._loop.time() < deadline, Promise.CONVERGENCE, differ)
            await asyncio.sleep(0.5)
        self.world.judge.judge_end(disks, self.books.intents)

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
            overdue = self.world.judge.overdue(branch.number, branch.clocks.read().wall_us)
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
                intent = Intent("read", ReadBalance(account), None)
                operation = await self._auditor.ask(intent, Manner(branch, _SETTLE_TIMEOUT_S, LATEST))
                ended = f"{operation} ended with {operation.error}"
                demand(operation.receipt is not None, Promise.REST, ended)

    def report(self, violation: Violation | None) -> SimulationReport:
        """Return what came of it."""
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


__all__ = ["SimulationReport", "SimulationSettings", "quiet", "simulate"]
