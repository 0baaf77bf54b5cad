"""A branch that answers as the test says, for what no real one does on command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from bankbook.wire.commands import AnyRequest
from bankbook.wire.multiplexing import decode_call, encode_told
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.status import Failure, encode_failure
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[AnyRequest, Context], Awaitable[AnyReceipt]]


class Refused(Exception):  # noqa: N818  (it is no error of the test's)
    """How a call on a stream was aborted."""

    def __init__(self, status: Status) -> None:
        self.status = status


class OnStream:
    """The context of a call on a stream."""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """End the call, and not the stream."""
        for _, encoded in trailing:
            raise Refused(Status.FromString(encoded))
        raise Refused(Status(code=code.value[0], message=details))


class FakeBranch(bank_pb2_grpc.BankServicer):
    """Answers every method in the same way, and remembers what it was asked."""

    def __init__(self, answer: Answer, *, has_streams: bool = True) -> None:
        """`has_streams`: else it is a branch of an older version."""
        self.has_streams = has_streams
        self.streams: list[asyncio.Future[grpc.StatusCode]] = []
        self.together: list[int] = []
        """How many calls came in each message of a stream."""
        self.asked: list[AnyRequest] = []
        self.has_been_asked = asyncio.Event()
        self.server = grpc.aio.server()
        bank_pb2_grpc.add_BankServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.answer = answer

    async def _serve(self, request: AnyRequest, context: Context) -> AnyReceipt:
        self.asked.append(request)
        self.has_been_asked.set()
        return await self.answer(request, context)

    @property
    def keys(self) -> list[str]:
        """The keys of the writes it was asked for, in their order."""
        return [getattr(request, "key", "") for request in self.asked]

    async def Multiplex(  # type: ignore[override]  # noqa: N802  (the method's name)
        self, requests: AsyncIterator[bank_pb2.Calls], context: Context
    ) -> None:
        """Answer what comes on a stream in the same way."""
        if not self.has_streams:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        ended = asyncio.get_running_loop().create_future()
        self.streams.append(ended)
        serving = asyncio.create_task(self._serve_stream(requests, context))
        try:
            await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            await asyncio.wait([serving])
        if ended.done() and ended.result() is not grpc.StatusCode.OK:
            await context.abort(ended.result(), "so there")

    def end_streams(self, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """End every stream, and leave what is under way unanswered."""
        for ended in self.streams:
            if not ended.done():
                ended.set_result(code)

    async def _serve_stream(self, requests: AsyncIterator[bank_pb2.Calls], context: Context) -> None:
        under_way: dict[int, asyncio.Task[None]] = {}
        writing = asyncio.Lock()
        async with asyncio.TaskGroup() as group:
            async for batch in requests:
                self.together.append(len(batch.calls))
                for call in batch.calls:
                    answering = self._answer_on_stream(call, context, writing)
                    under_way[call.number] = group.create_task(answering)
                for number in batch.cancelled:
                    under_way[number].cancel()

    async def _answer_on_stream(
        self, call: bank_pb2.Calls.Call, context: Context, writing: asyncio.Lock
    ) -> None:
        _, request = decode_call(call)
        try:
            told: AnyReceipt | Status = await self._serve(request, cast("Context", OnStream()))
        except Refused as refused:
            told = refused.status
        async with writing:
            await context.write(bank_pb2.Answers(answers=[encode_told(call.number, told)]))

    OpenAccount = GetBalance = Deposit = Withdraw = Transfer = _serve  # type: ignore[assignment]
    Submit = Reserve = Capture = Release = SubmitBatch = GetStatement = _serve  # type: ignore[assignment]


async def hang(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
    """Never answer."""
    return await asyncio.Future()


async def accept(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
    """Say that it was carried out."""
    return bank_pb2.Receipt(balance=5, info=bank_pb2.ReplyInfo(branch=1))


def refuse_with(failure: Failure) -> Answer:
    """Answer with a rich status, as a branch does."""

    async def answer(_request: AnyRequest, context: Context) -> bank_pb2.Receipt:
        status = rpc_status.to_status(encode_failure(failure))
        await context.abort(status.code, status.details, status.trailing_metadata)
        raise AssertionError

    return answer


def one_after_the_other(*answers: Answer) -> Answer:
    """Answer the first request with the first of these, and so on; all others with the last."""
    left = list(answers)

    async def answer(request: AnyRequest, context: Context) -> AnyReceipt:
        return await (left.pop(0) if len(left) > 1 else left[0])(request, context)

    return answer


def abort_with(code: grpc.StatusCode) -> Answer:
    """Answer with a bare status, as a proxy does."""

    async def answer(_request: AnyRequest, context: Context) -> bank_pb2.Receipt:
        await context.abort(code, "so there")
        raise AssertionError

    return answer


@asynccontextmanager
async def fake_branch(answer: Answer, *, has_streams: bool = True) -> AsyncIterator[FakeBranch]:
    branch = FakeBranch(answer, has_streams=has_streams)
    await branch.server.start()
    try:
        yield branch
    finally:
        await branch.server.stop(None)
