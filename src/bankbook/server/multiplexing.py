"""Streams of calls: many requests of one client under way at the same time, for the price of a few calls.

Decides how many of them there are at most: beyond that nothing is read from the stream, until some are
answered. What is answered at the same time goes back together. Must not know what is asked.
Proof: tests/server/test_multiplexing.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
from google.rpc.status_pb2 import Status

from bankbook.core.context import Settings
from bankbook.wire.basics import MessageDamagedError, batches
from bankbook.wire.multiplexing import encode_told
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.v1 import bank_pb2

# As many as a branch holds.
CALLS_MAX = Settings().held_max

CarryOut = Callable[[bank_pb2.Calls.Call], Awaitable[AnyReceipt | Status]]
Write = Callable[[bank_pb2.Answers], Awaitable[None]]


class Multiplexer:
    """All streams of calls to one branch."""

    def __init__(self, carry_out: CarryOut, calls_max: int = CALLS_MAX) -> None:
        self._carry_out = carry_out
        self._calls_max = calls_max
        self._streams: set[_Stream] = set()

    async def serve(self, calls: AsyncIterator[bank_pb2.Calls], write: Write) -> None:
        """Serve one stream until its client or `close` ends it, and all that was read is answered.

        Raises MessageDamagedError.
        """
        stream = _Stream(self._carry_out, write, self._calls_max)
        self._streams.add(stream)
        try:
            await stream.serve(calls)
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """Read no further from any stream."""
        for stream in self._streams:
            stream.close()


class _Stream:
    """One of them."""

    def __init__(self, carry_out: CarryOut, write: Write, calls_max: int) -> None:
        self._carry_out = carry_out
        self._write = write
        self._room = asyncio.Semaphore(calls_max)
        """Who has one of these is carried out, or is answered and waits to be written."""
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._answers: list[bank_pb2.Answers.Answer] = []
        self._answered = asyncio.Event()
        self._is_over = False
        """Whether no more answers come."""
        self._reading: asyncio.Task[None] | None = None
        self._complaint: MessageDamagedError | None = None

    async def serve(self, calls: AsyncIterator[bank_pb2.Calls]) -> None:
        async with asyncio.TaskGroup() as writing:
            writing.create_task(self._write_answers())
            async with asyncio.TaskGroup() as carrying_out:
                self._reading = carrying_out.create_task(self._read(calls, carrying_out))
            self._is_over = True
            self._answered.set()
        if self._complaint is not None:
            raise self._complaint

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, calls: AsyncIterator[bank_pb2.Calls], group: asyncio.TaskGroup) -> None:
        try:
            async for batch in calls:
                for call in batch.calls:
                    await self._room.acquire()
                    self._begin(call, group)
                for number in batch.cancelled:
                    self._cancel(number)
        except MessageDamagedError as error:
            self._complaint = error

    def _begin(self, call: bank_pb2.Calls.Call, group: asyncio.TaskGroup) -> None:
        if call.number in self._under_way:
            raise MessageDamagedError(f"the call number {call.number} is under way already")
        self._under_way[call.number] = group.create_task(self._carry_out_one(call))

    def _cancel(self, number: int) -> None:
        task = self._under_way.pop(number, None)
        if task is not None:
            task.cancel()
            self._room.release()

    async def _carry_out_one(self, call: bank_pb2.Calls.Call) -> None:
        told = await self._carry_out(call)
        if self._under_way.pop(call.number, None) is not None:
            self._answers.append(encode_told(call.number, told))
            self._answered.set()

    async def _write_answers(self) -> None:
        while not self._is_over or self._answers:
            await self._answered.wait()
            self._answered.clear()
            answers, self._answers = self._answers, []
            for batch in batches(answers):
                try:
                    await self._write(bank_pb2.Answers(answers=batch))
                except grpc.aio.BaseError:
                    return  # the client is gone, for which gRPC cancels all of this
                for _ in batch:
                    self._room.release()
