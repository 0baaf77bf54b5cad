"""The Bank service of bankbook.v1: customers' requests.

Decides nothing: takes messages apart, and puts replies and statuses together.
Proof: tests/server/test_services.py.
"""

from collections.abc import AsyncIterator
from functools import partial

import grpc
from google.rpc.status_pb2 import Status

from bankbook.core.outcome import Outcome
from bankbook.server.calls import Context, Readable, abort, guarded, log_bug, request_id_of
from bankbook.server.handler import Call, Handler
from bankbook.server.multiplexing import Multiplexer
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.commands import METHODS, AnyRequest, Method, is_in_columns
from bankbook.wire.multiplexing import decode_call
from bankbook.wire.replies import AnyReceipt, encode_answer
from bankbook.wire.requests import decode_envelope
from bankbook.wire.status import Failure, encode_failure
from bankbook.wire.v1 import bank_pb2

_SERVICE = bank_pb2.DESCRIPTOR.services_by_name["Bank"].full_name
_MULTIPLEX = "Multiplex"


def add_bank_service(handler: Handler, server: Readable) -> Multiplexer:
    """Add the Bank service; it serves every request the same way, and METHODS says what each carries.

    Return the streams of calls, to be closed before the server stops.
    """
    multiplexer = Multiplexer(partial(_answer, handler))
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            partial(_serve, handler, method),
            request_deserializer=method.message.FromString,
            response_serializer=_to_bytes,
        )
        for method in METHODS
    }
    handlers[_MULTIPLEX] = grpc.stream_stream_rpc_method_handler(
        partial(_multiplex, multiplexer),
        request_deserializer=bank_pb2.Calls.FromString,
        response_serializer=_to_bytes,
    )
    server.add_registered_method_handlers(_SERVICE, handlers)
    return multiplexer


def _to_bytes(answer: AnyReceipt | bank_pb2.Answers) -> bytes:
    return answer.SerializeToString()


@guarded
async def _serve(handler: Handler, method: Method, message: AnyRequest, context: Context) -> AnyReceipt:
    call = Call(method.name, context.time_remaining(), request_id_of(context))
    told = await _carry_out(handler, method, message, call)
    if isinstance(told, Failure):
        await abort(context, told)
    return told


@guarded
async def _multiplex(
    multiplexer: Multiplexer, calls: AsyncIterator[bank_pb2.Calls], context: Context
) -> None:
    try:
        await multiplexer.serve(calls, context.write)
    except MessageDamagedError as error:
        await abort(context, Failure(Outcome.INVALID_REQUEST, str(error)))


async def _answer(handler: Handler, call: bank_pb2.Calls.Call) -> AnyReceipt | Status:
    """Carry out a request that came on a stream; nobody but the log is told of a bug of ours."""
    try:
        told = await _carry_out_streamed(handler, call)
        return encode_failure(told) if isinstance(told, Failure) else told
    except Exception:  # noqa: BLE001  (whatever it is, it is ours to mend)
        return Status(code=grpc.StatusCode.INTERNAL.value[0], message=log_bug(None, _MULTIPLEX))


async def _carry_out_streamed(handler: Handler, call: bank_pb2.Calls.Call) -> AnyReceipt | Failure:
    remaining_s = call.timeout_us / 1e6 if call.HasField("timeout_us") else None
    try:
        method, message = decode_call(call)
    except MessageDamagedError as error:
        return handler.refuse(Outcome.INVALID_REQUEST, str(error), Call(_MULTIPLEX, remaining_s))
    return await _carry_out(handler, method, message, Call(method.name, remaining_s))


async def _carry_out(
    handler: Handler, method: Method, message: AnyRequest, call: Call
) -> AnyReceipt | Failure:
    try:
        command, envelope = method.decode(message), decode_envelope(message)
    except MessageDamagedError as error:
        return handler.refuse(Outcome.INVALID_REQUEST, str(error), call)
    answer = await handler.handle(command, envelope, call)
    if isinstance(answer, Failure):
        return answer
    return encode_answer(answer.reply, answer.info, in_columns=is_in_columns(message))
