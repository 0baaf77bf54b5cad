"""Calls on a stream of them: any request, and its answer, under a number.

Decides how a request and an answer stand in the stream's messages. Must not know what is asked.
Proof: tests/wire/test_multiplexing.py.
"""

from google.rpc.status_pb2 import Status

from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.commands import METHODS, AnyRequest, Method
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.v1 import bank_pb2


def _fields(message: type[bank_pb2.Calls.Call | bank_pb2.Answers.Answer], oneof: str) -> dict[object, str]:
    """Return the name of each field that a message has one of, by what stands in it."""
    return {field.message_type: field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields}


_REQUEST_FIELDS = _fields(bank_pb2.Calls.Call, "request")
_TOLD_FIELDS = _fields(bank_pb2.Answers.Answer, "told")
_METHOD_IN = {_REQUEST_FIELDS[method.message.DESCRIPTOR]: method for method in METHODS}


def encode_call(number: int, timeout_us: int, request: AnyRequest) -> bank_pb2.Calls.Call:
    """Return a request as it stands in a stream; its caller waits for so many microseconds."""
    field = {_REQUEST_FIELDS[request.DESCRIPTOR]: request}
    return bank_pb2.Calls.Call(number=number, timeout_us=timeout_us, **field)  # type: ignore[arg-type]


def decode_call(call: bank_pb2.Calls.Call) -> tuple[Method, AnyRequest]:
    """Return the request, and the method that would carry it by itself; raises MessageDamagedError."""
    field = call.WhichOneof("request")
    if field is None:
        raise MessageDamagedError("a call has no request, or none that this version knows")
    return _METHOD_IN[field], getattr(call, field)


def encode_told(number: int, told: AnyReceipt | Status) -> bank_pb2.Answers.Answer:
    """Return an answer as it stands in a stream."""
    field = {_TOLD_FIELDS[told.DESCRIPTOR]: told}
    return bank_pb2.Answers.Answer(number=number, **field)  # type: ignore[arg-type]


def decode_told(answer: bank_pb2.Answers.Answer) -> AnyReceipt | Status:
    """Return the answer; raises MessageDamagedError."""
    field = answer.WhichOneof("told")
    if field is None:
        raise MessageDamagedError("an answer tells nothing, or nothing that this version knows")
    told: AnyReceipt | Status = getattr(answer, field)
    return told
