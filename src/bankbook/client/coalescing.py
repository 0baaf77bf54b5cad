"""Concurrent calls of one session, gathered into batches without being asked for.

    await asyncio.gather(*(session.deposit(1) for _ in range(1000)))    # one request

A call that is alone in its turn of the event loop goes out at once, exactly as it is: one at a time, also
while a batch is under way. All others go in batches, each under one key: where no batch is under way, all
that are asked for in the same turn go at once; else they gather, and go as the next batch when that one is
answered, or has missed. No call ever waits for a clock, nor for another one that is held for rights: a batch
asks for what is at hand, and what the branch has no rights for goes again by itself.

Decides which calls travel together, and what each of their callers is told. Must not know how a request is
tried (sending, retries). Proof: tests/client/test_coalescing.py.
"""

import asyncio
from itertools import islice
from typing import TypeGuard, cast

from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError, error_for
from bankbook.client.flights import Call, Flight, Told
from bankbook.client.sending import Sender
from bankbook.core.bounds import BATCH_COMMANDS_MAX
from bankbook.core.commands import SESSION, Command, Deposit, Transfer, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.wire.replies import Receipt
from bankbook.wire.status import Failure

PlainMovement = Deposit | Withdraw | Transfer

# Batches of a lane that have neither been answered nor missed. A second one would take away from the size of
# the first: the branch carries out both in the same step, or one waits for the other's commit.
FLIGHTS_MAX = 1

# The next batch and the one after it; who comes then waits until there is room, in the order of coming.
GATHERED_MAX = 2 * BATCH_COMMANDS_MAX

# A lane is for one branch and one timeout, and a program has few of these. One that makes up a timeout for
# each call has a lane for each that is under way, and loses nothing by it.
LANES_KEPT = 16

# With less time than this a call is not sent once more; see bankbook.client.retries.
_AGAIN_S_MIN = 0.02


def may_go_with_others(command: Command, manner: Manner) -> TypeGuard[PlainMovement]:
    """Whether a request is a movement that asks for nothing of its own."""
    is_plain = isinstance(command, _PLAIN) and manner.key is None and manner.durable == 0
    return is_plain and manner.freshness == SESSION


_PLAIN = (Deposit, Withdraw, Transfer)


class Coalescer:
    """The plain movements of one session."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._lanes: dict[tuple[int | None, float | None], Lane] = {}

    async def carry_out(self, command: PlainMovement, manner: Manner) -> Receipt:
        """Carry out one caller's movement. Raises BankbookError, ClosedError, OSError."""
        lane = self._lanes.get((manner.branch, manner.timeout))
        if lane is None:
            lane = self._open(manner)
        return await lane.carry_out(command)

    def _open(self, manner: Manner) -> "Lane":
        if len(self._lanes) >= LANES_KEPT:
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_idle}
        lane = Lane(self._sender, manner)
        self._lanes[manner.branch, manner.timeout] = lane
        return lane


class Lane:
    """Those movements of a session that are asked for in the same manner."""

    def __init__(self, sender: Sender, manner: Manner) -> None:
        self._sender = sender
        self._manner = manner
        self._room = asyncio.Semaphore(GATHERED_MAX)
        self._gathered: dict[Call, None] = {}
        """In the order of coming, which is that of their deadlines, too."""
        self._is_one_alone = False
        """Whether a call is under way by itself."""
        self._launched: set[asyncio.Task[None]] = set()
        self._in_the_way = 0
        """Batches that keep the next one waiting."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing gathers."""
        return not (self._is_one_alone or self._launched or self._gathered or self._room.locked())

    async def carry_out(self, command: PlainMovement) -> Receipt:
        """Carry out one caller's movement, alone or with others.

        Raises BankbookError, ClosedError, OSError.
        """
        deadline = self._sender.calls.deadline(self._manner)
        if self._is_one_alone or self._gathered or self._room.locked():
            await self._find_room(deadline)
            return await self._go_with_others(command, deadline)
        await self._room.acquire()
        await self._look_around()
        if self._gathered:
            self._is_one_alone = False
            return await self._go_with_others(command, deadline, is_first=True)
        self._room.release()
        try:
            return cast("Receipt", await self._sender.send(command, self._manner))
        finally:
            self._is_one_alone = False

    async def _look_around(self) -> None:
        """Let all gather that are asked for in this turn of the loop: by one `gather`, or upon one answer."""
        self._is_one_alone = True
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._is_one_alone = False
            self._room.release()
            raise

    async def _go_with_others(
        self, command: PlainMovement, deadline: float, *, is_first: bool = False
    ) -> Receipt:
        """Go with the next batch, having found room; `is_first` of all who gather."""
        loop = asyncio.get_running_loop()
        call = Call(command, deadline, loop.create_future())
        self._gathered = {call: None, **self._gathered} if is_first else self._gathered
        self._gathered[call] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        if self._in_the_way < FLIGHTS_MAX:
            self._launch()
        told = await self._answer_to(call)
        if isinstance(told, Receipt):
            return told
        return await self._send_again(call, told)

    async def _find_room(self, deadline: float) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        except TimeoutError:
            raise self._unsent() from None

    async def _answer_to(self, call: Call) -> Told:
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call.flight is None:
                self._leave(call)
            else:
                call.flight.left()
            raise

    async def _send_again(self, call: Call, refused: BankbookError) -> Receipt:
        """Send by itself what the batch's branch lacks rights for: under a new key, it may wait for them."""
        under_way = self._sender.under_way
        try:
            async with asyncio.timeout_at(call.deadline):
                await under_way.acquire()
        except TimeoutError:
            raise refused from None
        try:
            remaining_s = call.deadline - asyncio.get_running_loop().time()
            if remaining_s < _AGAIN_S_MIN:
                raise refused
            return await self._ask_alone(call.command, self._manner._replace(timeout=remaining_s))
        finally:
            under_way.release()

    async def _ask_alone(self, command: PlainMovement, manner: Manner) -> Receipt:
        plan = self._sender.plan(command, manner)
        return cast("Receipt", await self._sender.ask(command, manner, plan))

    # Batches.

    def _launch(self) -> None:
        """Send what has gathered when it is this task's turn: with all that was asked for in this one."""
        self._in_the_way += 1
        task = asyncio.create_task(self._fly(), name="a batch of calls")
        self._launched.add(task)
        task.add_done_callback(self._launched.discard)

    async def _fly(self) -> None:
        is_in_the_way = True

        def make_way() -> None:
            nonlocal is_in_the_way
            if is_in_the_way:
                is_in_the_way = False
                self._in_the_way -= 1
                if self._gathered and self._in_the_way < FLIGHTS_MAX:
                    self._launch()

        try:
            async with self._sender.under_way:
                flight = self._board()
                if flight is not None:
                    await flight.fly(self._sender, self._manner, make_way)
        finally:
            make_way()

    def _board(self) -> Flight | None:
        """Return a batch of those who have waited longest; None where nobody waits any more."""
        for call in [each for each in self._gathered if each.answer.done()]:
            self._leave(call)  # cancelled just now
        if not self._gathered:
            return None
        flight = Flight.of(list(islice(self._gathered, BATCH_COMMANDS_MAX)), self._sender.customer)
        for call in flight.calls:
            self._leave(call)
        return flight

    def _leave(self, call: Call) -> None:
        """Let a call gather no longer."""
        if call in self._gathered:
            del self._gathered[call]
            self._room.release()

    # Time.

    def _expire(self) -> None:
        """Tell those whose time is over that they were not sent, and wait for the next one's deadline."""
        loop, self._timer = asyncio.get_running_loop(), None
        while self._gathered:
            first = next(iter(self._gathered))
            if first.deadline > loop.time():
                self._timer = loop.call_at(first.deadline, self._expire)
                return
            self._leave(first)
            if not first.answer.done():
                first.answer.set_exception(self._unsent())

    def _unsent(self) -> BankbookError:
        where = "no branch" if self._manner.branch is None else f"branch {self._manner.branch}"
        detail = f"{where} answered this session's earlier calls in time, so this one was not sent"
        return error_for(Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=self._manner.branch))
