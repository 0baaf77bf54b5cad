"""A stream of calls to one branch: what all sessions of a client ask there at the same time travels together.

A call on a stream costs half of what a gRPC call by itself costs, and a fraction of it where others go with
it. Decides what becomes of the calls on a stream that ends: whatever it ends with says nothing of any of
them, so all are in doubt. Must not know what is asked. Proof: tests/client/test_multiplexing.py.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import count
from typing import cast

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from bankbook.wire.basics import BATCH_BYTES, MessageDamagedError
from bankbook.wire.commands import AnyRequest
from bankbook.wire.multiplexing import decode_told, encode_call
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.v1 import bank_pb2

Stream = grpc.aio.StreamStreamCall[bank_pb2.Calls, bank_pb2.Answers]

# Of the callers whose answers came together, so many are told at a time, and those of a batch by themselves:
# what they ask next is on its way while the others are told. Else branch and client would wait for each other
# in turns.
_TOLD_AT_ONCE = 16

_CODES = {code.value[0]: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK}
_DETAILS_KEY = "grpc-status-details-bin"


class StreamEndedError(Exception):
    """The stream ended before the call was answered; the message says why."""

    def __init__(self, why: str, *, is_unknown: bool) -> None:
        super().__init__(why)
        self.is_unknown = is_unknown
        """Whether the branch has no such method, so that it has not read the call."""


class CallStream:
    """One stream. Once it is over nothing can be asked any more."""

    def __init__(self, stream: Stream) -> None:
        """Take over a stream that was just opened; needs a running loop."""
        self.is_over = False
        self._stream = stream
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[bank_pb2.Answers.Answer | StreamEndedError]] = {}
        self._unsent: dict[int, tuple[AnyRequest, float]] = {}
        """Requests and their deadlines."""
        self._cancelled: list[int] = []
        self._asked = asyncio.Event()
        self._was_answered = False
        """Whether the branch has answered anything on it."""
        self._writing = asyncio.create_task(self._write(), name="calls")
        self._reading = asyncio.create_task(self._read(), name="answers")

    async def ask(self, request: AnyRequest, deadline: float) -> AnyReceipt:
        """Send a request, and return the answer.

        Raises grpc.aio.AioRpcError, as a call by itself would; StreamEndedError, MessageDamagedError.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._unsent[number] = request, deadline
        self._asked.set()
        try:
            async with asyncio.timeout_at(deadline):
                ending = await answer
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer came in time") from None
        finally:
            self._leave(number)
        if isinstance(ending, StreamEndedError):
            raise ending
        told = decode_told(ending)
        if isinstance(told, Status):
            raise _refused(told)
        return told

    def _leave(self, number: int) -> None:
        """Let nobody wait for a call; where it was sent and not answered, the branch is told so."""
        is_waiting = self._waiting.pop(number, None) is not None
        is_unsent = self._unsent.pop(number, None) is not None
        if is_waiting and not is_unsent:
            self._cancelled.append(number)
            self._asked.set()

    async def close(self) -> None:
        """Return once nobody waits any more."""
        self._stream.cancel()
        await asyncio.wait([self._reading, self._writing])

    async def _read(self) -> None:
        why, is_unknown = "the stream was closed", False
        try:
            # gRPC yields None for bytes that are no such message.
            async for answers in cast("AsyncIterator[bank_pb2.Answers | None]", self._stream):
                if answers is None:
                    why = "what the branch told is no message of this protocol"
                    break
                self._was_answered = True
                await self._tell(answers.answers)
            else:
                why = "the branch has ended the stream"
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name}: {error.details()}"
            is_unknown = error.code() is grpc.StatusCode.UNIMPLEMENTED and not self._was_answered
        finally:
            self.is_over = True
            self._writing.cancel()
            self._stream.cancel()
            waiting, self._waiting, self._unsent = self._waiting, {}, {}
            for each in waiting.values():
                if not each.done():
                    each.set_result(StreamEndedError(why, is_unknown=is_unknown))

    async def _tell(self, answers: Iterable[bank_pb2.Answers.Answer]) -> None:
        for place, answer in enumerate(answers, start=1):
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
            if place % _TOLD_AT_ONCE == 0 or answer.HasField("batch_receipt"):
                await asyncio.sleep(0)

    async def _write(self) -> None:
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                while self._unsent or self._cancelled:
                    await self._stream.write(self._next_calls())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the stream is over, of which the reader is told
        finally:
            self._stream.cancel()

    def _next_calls(self) -> bank_pb2.Calls:
        """Take what goes into one message; what nobody waits for any more is not among it."""
        now, calls, size = asyncio.get_running_loop().time(), [], 0
        while self._unsent and size < BATCH_BYTES:
            number = next(iter(self._unsent))
            request, deadline = self._unsent.pop(number)
            calls.append(encode_call(number, max(int(1e6 * (deadline - now)), 0), request))
            size += request.ByteSize()
        cancelled, self._cancelled = self._cancelled, []
        return bank_pb2.Calls(calls=calls, cancelled=cancelled)


def _refused(status: Status) -> grpc.aio.AioRpcError:
    """Return what a call by itself would raise. Raises MessageDamagedError."""
    if status.code not in _CODES:
        raise MessageDamagedError(f"the branch refused a call with the status {status.code}")
    return _error(_CODES[status.code], status.message, (_DETAILS_KEY, status.SerializeToString()))


def _error(code: grpc.StatusCode, details: str | None, *trailing: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details, None)
