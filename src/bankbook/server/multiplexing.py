"""Streams of calls: many requests of one client under way at the same time, for the price of a few calls.

Decides how many of them there are at most, and that nothing is read from a client who does not read either.
What is answered at the same time goes back together. Must not know what is asked.
Proof: tests/server/test_multiplexing.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
from google.rpc.status_pb2 import Status

from bankbook.core.context import Settings
from bankbook.core.outcome import Outcome
from bankbook.wire.basics import MessageDamagedError, batches
from bankbook.wire.multiplexing import encode_told
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.status import Failure, encode_failure
from bankbook.wire.v1 import bank_pb2

# As many as a branch holds. Who asks for more at the same time is refused.
CALLS_MAX = Settings().held_max

# While so many answers wait to be written, nothing is read.
_UNWRITTEN_MAX = 1_000

CarryOut = Callable[[bank_pb2.Calls.Call], Awaitable[AnyReceipt | Status]]
Write = Callable[[bank_pb2.Answers], Awaitable[None]]


class Multiplexer:
    """All streams of calls to one branch."""

    def __init__(self, carry_out: CarryOut, calls_max: int = CALLS_MAX) -> None:
        self._carry_out = carry_out
        self._calls_max = calls_max
        self._streams: set[_Stream] = set()
        self._is_closed = False

    async def serve(self, calls: AsyncIterator[bank_pb2.Calls], write: Write) -> None:
        """Serve one stream until its client or `close` ends it, and all that was read is answered.

        Raises MessageDamagedError.
        """
        if self._is_closed:
            return
        stream = _Stream(self._carry_out, write, self._calls_max)
        self._streams.add(stream)
        try:
            await stream.serve(calls)
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """Read no further from any stream."""
        self._is_closed = True
        for stream in self._streams:
            stream.close()


class _Stream:
    """One of them."""

    def __init__(self, carry_out: CarryOut, write: Write, calls_max: int) -> None:
        self._carry_out = carry_out
        self._write = write
        self._calls_max = calls_max
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._answers: list[bank_pb2.Answers.Answer] = []
        """Not written yet."""
        self._answered = asyncio.Event()
        self._written = asyncio.Event()
        self._is_last = False
        """Whether no answers come but those that are there."""
        self._reading: asyncio.Task[None] | None = None
        self._complaint: MessageDamagedError | None = None

    async def serve(self, calls: AsyncIterator[bank_pb2.Calls]) -> None:
        async with asyncio.TaskGroup() as writing:
            writing.create_task(self._write_answers())
            async with asyncio.TaskGroup() as carrying_out:
                self._reading = carrying_out.create_task(self._read(calls, carrying_out))
            self._is_last = True
            self._answered.set()
        if self._complaint is not None:
            try:
                raise self._complaint
            finally:
                self._complaint = None  # it has this frame

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, calls: AsyncIterator[bank_pb2.Calls], group: asyncio.TaskGroup) -> None:
        try:
            async for batch in calls:
                for call in batch.calls:
                    self._begin(call, group)
                for number in batch.cancelled:
                    self._cancel(number)
                while len(self._answers) >= _UNWRITTEN_MAX:
                    self._written.clear()
                    await self._written.wait()
        except MessageDamagedError as error:
            self._complaint = error.with_traceback(None)  # which has what was read

    def _begin(self, call: bank_pb2.Calls.Call, group: asyncio.TaskGroup) -> None:
        if call.number in self._under_way:
            raise MessageDamagedError(f"the call number {call.number} is under way already")
        if len(self._under_way) >= self._calls_max:
            detail = f"this stream has {self._calls_max} calls under way already; ask again later"
            self._tell(call.number, encode_failure(Failure(Outcome.TOO_MANY_HELD, detail)))
        else:
            self._under_way[call.number] = group.create_task(self._carry_out_one(call))

    def _cancel(self, number: int) -> None:
        task = self._under_way.pop(number, None)
        if task is not None:
            task.cancel()

    async def _carry_out_one(self, call: bank_pb2.Calls.Call) -> None:
        try:
            told = await self._carry_out(call)
        finally:
            is_awaited = self._under_way.get(call.number) is asyncio.current_task()
            if is_awaited:
                del self._under_way[call.number]
        if is_awaited:
            self._tell(call.number, told)

    def _tell(self, number: int, told: AnyReceipt | Status) -> None:
        self._answers.append(encode_told(number, told))
        self._answered.set()

    async def _write_answers(self) -> None:
        while not self._is_last or self._answers:
            await self._answered.wait()
            self._answered.clear()
            answers, self._answers = self._answers, []
            try:
                for batch in batches(answers):
                    await self._write(bank_pb2.Answers(answers=batch))
            except grpc.aio.BaseError:  # the client is gone
                self._give_up()
                return
            self._written.set()

    def _give_up(self) -> None:
        """Read no further, and carry out nothing for a client who is gone."""
        self.close()
        for number in list(self._under_way):
            self._cancel(number)
