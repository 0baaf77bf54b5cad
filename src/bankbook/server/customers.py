"""The Bank service of bankbook.v1: customers' requests.

Decides nothing: takes messages apart, and puts replies and statuses together.
Proof: tests/server/test_services.py.
"""

from typing import Any, NoReturn

import grpc
import grpc.aio
from grpc_status import rpc_status

from bankbook.core.outcome import Outcome
from bankbook.server.handler import Call, Handler
from bankbook.wire.requests import (
    METHODS,
    AnyRequest,
    MessageDamagedError,
    decode_envelope,
    encode_receipt,
)
from bankbook.wire.status import Failure, encode_failure
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

REQUEST_ID_KEY = "x-request-id"

_DECODERS = {method.name: method.decode for method in METHODS}

Context = grpc.aio.ServicerContext[Any, bank_pb2.Receipt]


class BankServicer(bank_pb2_grpc.BankServicer):
    """Serves every method the same way; bankbook.wire.requests.METHODS says what each carries."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def OpenAccount(self, request: bank_pb2.OpenAccountRequest, context: Context) -> bank_pb2.Receipt:
        """Open an account."""
        return await self._serve("OpenAccount", request, context)

    async def GetBalance(self, request: bank_pb2.GetBalanceRequest, context: Context) -> bank_pb2.Receipt:
        """Tell a balance."""
        return await self._serve("GetBalance", request, context)

    async def Deposit(self, request: bank_pb2.DepositRequest, context: Context) -> bank_pb2.Receipt:
        """Add to an account."""
        return await self._serve("Deposit", request, context)

    async def Withdraw(self, request: bank_pb2.WithdrawRequest, context: Context) -> bank_pb2.Receipt:
        """Take out of an account."""
        return await self._serve("Withdraw", request, context)

    async def Transfer(self, request: bank_pb2.TransferRequest, context: Context) -> bank_pb2.Receipt:
        """Move between two accounts."""
        return await self._serve("Transfer", request, context)

    async def _serve(self, method: str, message: AnyRequest, context: Context) -> bank_pb2.Receipt:
        call = Call(method, context.time_remaining(), request_id_of(context))
        try:
            command, envelope = _DECODERS[method](message), decode_envelope(message)
        except MessageDamagedError as error:
            refusal = self._handler.refuse(Outcome.INVALID_REQUEST, str(error), call)
            await abort(context, refusal)
        answer = await self._handler.handle(command, envelope, call)
        if isinstance(answer, Failure):
            await abort(context, answer)
        return encode_receipt(answer.reply, answer.info)


def request_id_of(context: grpc.aio.ServicerContext[Any, Any]) -> str | None:
    """Return the caller's own name for a request, where it gave one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            return value
    return None


async def abort(context: grpc.aio.ServicerContext[Any, Any], failure: Failure) -> NoReturn:
    """End a call with a rich status."""
    status = rpc_status.to_status(encode_failure(failure))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort does not return")
