"""A stream of calls to one branch: what all sessions of a client ask there at the same time travels together.

A call that goes on a stream costs half of what a gRPC call by itself costs, and a fraction of it where others
go with it. Decides what becomes of the calls on a stream that ends. Must not know what is asked.
Proof: tests/client/test_multiplexing.py.
"""

import asyncio
from collections.abc import Sequence
from itertools import count

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from bankbook.wire.basics import batches
from bankbook.wire.commands import AnyRequest
from bankbook.wire.multiplexing import decode_told, encode_call
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.v1 import bank_pb2

Stream = grpc.aio.StreamStreamCall[bank_pb2.Calls, bank_pb2.Answers]

# Of the callers whose answers came together, so many are told at a time: what they ask next is on its way
# while the others are told. Else branch and client would wait for each other in turns.
_TOLD_AT_ONCE = 16

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS_KEY = "grpc-status-details-bin"


class CallStream:
    """One stream; it is over once it has ended, and is never opened again."""

    def __init__(self, stream: Stream) -> None:
        """Take over a stream that was just opened; needs a running loop."""
        self._stream = stream
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[bank_pb2.Answers.Answer]] = {}
        self._calls: list[bank_pb2.Calls.Call] = []
        self._cancelled: list[int] = []
        self._asked = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._read(), name="answers"),
            asyncio.create_task(self._write(), name="calls"),
        ]

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._tasks[0].done()

    async def ask(self, request: AnyRequest, deadline: float) -> AnyReceipt:
        """Send a request, and return the answer, as a call by itself would.

        Raises grpc.aio.AioRpcError, MessageDamagedError.
        """
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        answer = self._waiting[number] = loop.create_future()
        timeout_us = max(int(1e6 * (deadline - loop.time())), 0)
        self._calls.append(encode_call(number, timeout_us, request))
        self._asked.set()
        try:
            async with asyncio.timeout_at(deadline):
                told = decode_told(await answer)
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer came in time") from None
        finally:
            if self._waiting.pop(number, None) is not None:
                self._cancelled.append(number)
                self._asked.set()
        if isinstance(told, Status):
            code = _CODES.get(told.code, grpc.StatusCode.UNKNOWN)
            raise _error(code, told.message, (_DETAILS_KEY, told.SerializeToString()))
        return told

    async def close(self) -> None:
        """Return once nobody waits any more; the channel is closed, or the stream is over."""
        self._stream.cancel()
        await asyncio.wait(self._tasks)

    async def _read(self) -> None:
        ended = _error(grpc.StatusCode.UNAVAILABLE, "the branch has ended the stream")
        try:
            async for answers in self._stream:
                await self._tell(answers.answers)
        except grpc.aio.AioRpcError as error:
            ended = error
        except asyncio.CancelledError:  # the channel was closed, and what is under way with it
            for waiting in self._end():
                waiting.cancel()
        for waiting in self._end():
            waiting.set_exception(_error(ended.code(), ended.details()))

    async def _tell(self, answers: Sequence[bank_pb2.Answers.Answer]) -> None:
        for place, answer in enumerate(answers, start=1):
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
            if place % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _end(self) -> list[asyncio.Future[bank_pb2.Answers.Answer]]:
        """Stop writing; return those who wait for an answer."""
        self._tasks[1].cancel()
        waiting, self._waiting = self._waiting, {}
        return [each for each in waiting.values() if not each.done()]

    async def _write(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            calls, self._calls = self._calls, []
            cancelled, self._cancelled = self._cancelled, []
            try:
                for batch in batches(calls):
                    await self._stream.write(bank_pb2.Calls(calls=batch))
                if cancelled:
                    await self._stream.write(bank_pb2.Calls(cancelled=cancelled))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the stream is over, of which the reader is told


def _error(code: grpc.StatusCode, details: str | None, *trailing: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details, None)
