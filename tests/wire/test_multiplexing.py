"""Calls on a stream of them, over the wire and back."""

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import reads, writes

from bankbook.core.commands import Command
from bankbook.core.types import CustomerId
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.commands import METHODS
from bankbook.wire.multiplexing import decode_call, decode_told, encode_call, encode_told
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.requests import Envelope, encode_request
from bankbook.wire.v1 import bank_pb2


@given(reads | writes, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_call_on_a_stream_is_the_request_that_a_method_carries(
    command: Command, number: int, timeout_us: int
) -> None:
    name, request = encode_request(command, Envelope(CustomerId("anna")))
    encoded = encode_call(number, timeout_us, request).SerializeToString()
    call = bank_pb2.Calls.Call.FromString(encoded)
    method, decoded = decode_call(call)
    assert (call.number, call.timeout_us) == (number, timeout_us)
    assert (method.name, decoded) == (name, request)


def test_every_method_of_one_request_has_its_place_in_a_stream() -> None:
    fields = bank_pb2.Calls.Call.DESCRIPTOR.oneofs_by_name["request"].fields
    assert [field.message_type for field in fields] == [method.message.DESCRIPTOR for method in METHODS]


@pytest.mark.parametrize(
    "told",
    [
        bank_pb2.Receipt(balance=5),
        bank_pb2.BatchReceipt(is_replayed=True),
        bank_pb2.StatementPage(closing=7),
        Status(code=3, message="no"),
    ],
)
def test_an_answer_on_a_stream_is_that_of_a_call_by_itself(told: AnyReceipt | Status) -> None:
    answer = bank_pb2.Answers.Answer.FromString(encode_told(9, told).SerializeToString())
    assert answer.number == 9
    assert decode_told(answer) == told


def test_what_a_later_version_asks_or_answers_is_refused() -> None:
    with pytest.raises(MessageDamagedError, match="none that this version knows"):
        decode_call(bank_pb2.Calls.Call(number=1))
    with pytest.raises(MessageDamagedError, match="nothing that this version knows"):
        decode_told(bank_pb2.Answers.Answer(number=1))
