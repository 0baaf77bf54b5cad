"""A branch that answers as the test says, for what no real one does on command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_status import rpc_status

from bankbook.wire.commands import AnyRequest
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.status import Failure, encode_failure
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[AnyRequest, Context], Awaitable[AnyReceipt]]


class FakeBranch(bank_pb2_grpc.BankServicer):
    """Answers every method in the same way, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
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
async def fake_branch(answer: Answer) -> AsyncIterator[FakeBranch]:
    branch = FakeBranch(answer)
    await branch.server.start()
    try:
        yield branch
    finally:
        await branch.server.stop(None)
