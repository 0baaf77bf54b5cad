"""The Bank service of bankbook.v1: customers' requests.

Decides nothing: takes messages apart, and puts replies and statuses together.
Proof: tests/server/test_services.py.
"""

from functools import partial

import grpc

from bankbook.core.outcome import Outcome
from bankbook.server.calls import Context, Readable, abort, guarded, request_id_of
from bankbook.server.handler import Call, Handler
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.commands import METHODS, AnyRequest, Method, is_in_columns
from bankbook.wire.replies import AnyReceipt, encode_answer
from bankbook.wire.requests import decode_envelope
from bankbook.wire.status import Failure
from bankbook.wire.v1 import bank_pb2

_SERVICE = bank_pb2.DESCRIPTOR.services_by_name["Bank"].full_name


def add_bank_service(handler: Handler, server: Readable) -> None:
    """Add the Bank service; it serves every method the same way, and METHODS says what each carries."""
    server.add_registered_method_handlers(
        _SERVICE,
        {
            method.name: grpc.unary_unary_rpc_method_handler(
                partial(_serve, handler, method),
                request_deserializer=method.message.FromString,
                response_serializer=_to_bytes,
            )
            for method in METHODS
        },
    )


def _to_bytes(answer: AnyReceipt) -> bytes:
    return answer.SerializeToString()


@guarded
async def _serve(handler: Handler, method: Method, message: AnyRequest, context: Context) -> AnyReceipt:
    call = Call(method.name, context.time_remaining(), request_id_of(context))
    try:
        command, envelope = method.decode(message), decode_envelope(message)
    except MessageDamagedError as error:
        await abort(context, handler.refuse(Outcome.INVALID_REQUEST, str(error), call))
    answer = await handler.handle(command, envelope, call)
    if isinstance(answer, Failure):
        await abort(context, answer)
    return encode_answer(answer.reply, answer.info, in_columns=is_in_columns(message))
