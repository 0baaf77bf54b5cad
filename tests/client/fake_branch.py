"""A branch that answers as the test says, for what no real one does on command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from bankbook.wire.commands import AnyRequest
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

Context = grpc.aio.ServicerContext[Any, bank_pb2.Receipt]
Answer = Callable[[AnyRequest, Context], Awaitable[bank_pb2.Receipt]]


class FakeBranch(bank_pb2_grpc.BankServicer):
    """Answers every method in the same way, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[AnyRequest] = []
        self.has_been_asked = asyncio.Event()
        self.server = grpc.aio.server()
        bank_pb2_grpc.add_BankServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self._answer = answer

    async def _serve(self, request: AnyRequest, context: Context) -> bank_pb2.Receipt:
        self.asked.append(request)
        self.has_been_asked.set()
        return await self._answer(request, context)

    OpenAccount = GetBalance = Deposit = Withdraw = Transfer = _serve


async def hang(_request: AnyRequest, _context: Context) -> bank_pb2.Receipt:
    """Never answer."""
    return await asyncio.Future()


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
