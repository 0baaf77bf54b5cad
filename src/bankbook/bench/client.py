"""One process of callers.

Decides how a request travels: through the public client library, as any program's would. Must not know who
started it, but that it must not outlive them. Proof: tests/bench/test_run.py.
"""

import asyncio
import gc
import os
import selectors
import signal
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random
from typing import NamedTuple

from bankbook.bench.accounts import account_name
from bankbook.bench.callers import call
from bankbook.bench.schedule import ClosedLoop, FixedRate, Schedule, Window
from bankbook.bench.settings import Load
from bankbook.bench.tally import Answered, Tally
from bankbook.bench.workload import Customer, Operation, Request
from bankbook.client import LOCAL, Bank, BankbookError, Session
from bankbook.core.commands import Deposit, ReadBalance, Transfer
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId
from bankbook.wire.replies import ReplyInfo

# How often the progress is told: as smooth as a bar needs.
_TELL_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Assignment:
    """One client's part of a load."""

    load: Load
    addresses: dict[BranchId, str]
    number: int
    """The client's, from 0."""

    @property
    def callers(self) -> range:
        """The numbers of its callers."""
        return range(self.number, self.load.callers, self.load.clients)

    @property
    def requests_max(self) -> int | None:
        """How many requests it makes; None: as many as there is time for."""
        if self.load.operations is None:
            return None
        return len(range(self.number, -(-self.load.operations // self.load.bulk), self.load.clients))


class Ready(NamedTuple):
    """A client has a connection to every branch."""


class Go(NamedTuple):
    """Begin and end at these moments, by the clock that all processes of a machine share."""

    window: Window


class Progress(NamedTuple):
    """How many operations were carried out so far."""

    done: int


class Done(NamedTuple):
    """A client has ended; what it has measured."""

    tally: Tally


class Failed(NamedTuple):
    """A client could not do its part."""

    why: str


def run_client(assignment: Assignment, pipe: Connection) -> None:
    """Be one client, joined by `pipe` to whoever started it. Runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, and who then ends this one
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        try:
            runner.run(_run(assignment, pipe))
        except BankbookError as error:
            pipe.send(Failed(str(error)))


def precise_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose timers are right to some microseconds.

    The usual one, on epoll, rounds up to whole milliseconds: a request would be a millisecond late, at a bank
    that answers in less.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _run(assignment: Assignment, pipe: Connection) -> None:
    async with Bank(assignment.addresses) as bank:
        await _connect(bank)
        pipe.send(Ready())
        window = await _told_to_go(pipe)
        tally = Tally()
        asyncio.get_running_loop().add_reader(pipe.fileno(), _end_if_orphaned, pipe)
        telling = asyncio.create_task(_tell_progress(tally, pipe))
        using = asyncio.create_task(_note_cpu(window, tally))
        gc.freeze()  # what was imported is not looked through again and again
        await _call_all(assignment, window, tally, bank)
        telling.cancel()
        using.cancel()
        await asyncio.wait([telling, using])
        pipe.send(Done(tally))


async def _connect(bank: Bank) -> None:
    """Open every connection before anything is measured."""
    session = bank.session("bench")
    for branch in bank.branches:
        await session.balance(account=account_name(0), branch=branch, freshness=LOCAL)


async def until_readable(pipe: Connection) -> None:
    """Return once something was said at the pipe's other end, or that is closed."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())


async def _told_to_go(pipe: Connection) -> Window:
    await until_readable(pipe)
    try:
        told = pipe.recv()
    except EOFError:
        raise SystemExit(1) from None
    assert isinstance(told, Go), "a client is told nothing else"
    return told.window


def _end_if_orphaned(pipe: Connection) -> None:
    """End at once when whoever started this process is gone: nobody wants the figures any more."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


async def _tell_progress(tally: Tally, pipe: Connection) -> None:
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        pipe.send(Progress(tally.done))


async def _note_cpu(window: Window, tally: Tally) -> None:
    """Note what this process uses of a processor from when it is measured on until its end."""
    clock = asyncio.get_running_loop().time
    await asyncio.sleep(window.measured_s - clock())
    began_s = time.process_time()
    try:
        await asyncio.sleep(min(window.end_s, _FOR_EVER_S) - clock())
    finally:
        tally.cpu_s.append(time.process_time() - began_s)


# As late as a timer goes off whose bench ends by a count: not before it is cancelled.
_FOR_EVER_S = 1e9


async def _call_all(assignment: Assignment, window: Window, tally: Tally, bank: Bank) -> None:
    load = assignment.load
    schedule = schedule_of(assignment, window)
    sessions: dict[int, Session] = {}
    async with asyncio.TaskGroup() as callers:
        for number in assignment.callers:
            customer = Customer(load, bank.branches, number)
            session = load.session_of(number)
            if session not in sessions:
                sessions[session] = bank.session(f"bench-{session}")
            ask = Teller(sessions[session], load.durable).ask
            callers.create_task(call(window, schedule, tally, customer.next, ask, load.bulk))


def schedule_of(assignment: Assignment, window: Window) -> Schedule:
    """Return when a client's requests are due."""
    load = assignment.load
    if load.rate is None:
        return ClosedLoop(window, assignment.requests_max)
    chance = Random(f"{load.seed}/schedule/{assignment.number}")  # noqa: S311  (repeatable on purpose)
    requests_per_s = load.rate / load.bulk / load.clients
    return FixedRate(window, requests_per_s, chance, assignment.requests_max)


class Teller:
    """Makes one customer's requests."""

    def __init__(self, session: Session, durable: int) -> None:
        self._session = session
        self._durable = durable

    async def ask(self, request: Request) -> Answered:
        """Make a request; return how it ended, also where it was refused."""
        try:
            if len(request.operations) == 1:
                return await self._ask_one(request.operations[0], request.branch)
            return await self._ask_batch(request)
        except BankbookError as error:
            info = error.failure.info
            return Answered({error.outcome: len(request.operations)}, None if info is None else _held(info))

    async def _ask_one(self, operation: Operation, branch: int) -> Answered:
        session, durable = self._session, self._durable
        match operation:
            case ReadBalance(account):
                receipt = await session.balance(account=account, branch=branch)
            case Deposit(account, amount):
                receipt = await session.deposit(amount, account=account, branch=branch, durable=durable)
            case Transfer(source, destination, amount):
                receipt = await session.transfer(
                    destination, amount, account=source, branch=branch, durable=durable
                )
        return Answered({Outcome.OK: 1}, _held(receipt.info))

    async def _ask_batch(self, request: Request) -> Answered:
        writes = [each for each in request.operations if not isinstance(each, ReadBalance)]
        receipt = await self._session.batch(writes, branch=request.branch, durable=self._durable)
        outcomes = Counter(each.outcome for each in receipt.results)
        return Answered(dict(outcomes), _held(receipt.info))


def _held(info: ReplyInfo) -> int | None:
    """Return how long a request was held; None where it was not, but carried out at once."""
    return info.held_us if info.held_us or info.awaited else None
