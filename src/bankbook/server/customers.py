"""The Bank service of bankbook.v1: customers' requests.

Decides nothing: takes messages apart, and puts replies and statuses together.
Proof: tests/server/test_services.py.
"""

from typing import Any, NoReturn

import grpc
import grpc.aio

from bankbook.core.outcome import Outcome
from bankbook.server.handler import Call, Handler
from bankbook.wire.requests import METHODS, MessageDamagedError, decode_envelope, encode_receipt
from bankbook.wire.status import CODES, DETAILS_KEY, Failure, encode_failure
from bankbook.wire.v1 import bank_pb2

REQUEST_ID_KEY = "x-request-id"

_DECODERS = {method.name: method.decode for method in METHODS}


class BankServicer:
    """Serves every method of the Bank service the same way; see bankbook.wire.requests.METHODS."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        """Return the handler for one method, as gRPC's generated code looks it up."""
        if name not in _DECODERS:
            raise AttributeError(name)
        return lambda message, context: self._serve(name, message, context)

    async def _serve(
        self, method: str, message: Any, context: grpc.aio.ServicerContext[Any, bank_pb2.Receipt]
    ) -> bank_pb2.Receipt:
        try:
            command, envelope = _DECODERS[method](message), decode_envelope(message)
        except MessageDamagedError as error:
            await abort(context, Failure(Outcome.INVALID_REQUEST, str(error)))
        call = Call(method, context.time_remaining(), request_id_of(context))
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
    encoded = encode_failure(failure).SerializeToString()
    await context.abort(CODES[failure.outcome], failure.detail, ((DETAILS_KEY, encoded),))
    raise AssertionError("abort does not return")
