"""The original protocol, byte for byte: what a client compiled ten years ago from its own file sends."""

from google.protobuf.descriptor import FieldDescriptor

from bankbook.wire.original import bank_pb2

FILE = bank_pb2.DESCRIPTOR


def fields_of(name: str) -> list[tuple[str, int, int, bool]]:
    fields = FILE.message_types_by_name[name].fields
    return [(field.name, field.number, field.type, field.is_repeated) for field in fields]


def test_the_service_has_no_package_and_one_method_that_streams_nothing() -> None:
    assert FILE.package == ""
    assert list(FILE.services_by_name) == ["Bank"]
    service = FILE.services_by_name["Bank"]
    assert service.full_name == "Bank"
    (method,) = service.methods
    assert (method.name, method.input_type.full_name, method.output_type.full_name) == (
        "MsgDelivery",
        "BankRequest",
        "BankResponse",
    )
    assert (method.client_streaming, method.server_streaming) == (False, False)


def test_the_messages_have_the_names_numbers_and_types_they_always_had() -> None:
    text, number = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_INT32
    assert set(FILE.message_types_by_name) == {"BankRequest", "BankResponse"}
    assert fields_of("BankRequest") == [
        ("interface", 1, text, False),
        ("money", 2, number, False),
        ("id", 3, number, False),
    ]
    assert fields_of("BankResponse") == [
        ("result", 1, text, False),
        ("balance", 2, number, False),
        ("branch", 3, number, False),
    ]


def test_the_bytes_of_a_deposit_and_of_its_answer_are_what_they_always_were() -> None:
    request = bank_pb2.BankRequest(interface="deposit", money=400, id=1)
    assert request.SerializeToString(deterministic=True) == b"\x0a\x07deposit\x10\x90\x03\x18\x01"
    response = bank_pb2.BankResponse(result="success", balance=400, branch=1)
    assert response.SerializeToString(deterministic=True) == b"\x0a\x07success\x10\x90\x03\x18\x01"


def test_zeros_are_not_written_and_negative_numbers_take_ten_bytes() -> None:
    assert bank_pb2.BankRequest(interface="query", money=0, id=0).SerializeToString() == b"\x0a\x05query"
    negative = bank_pb2.BankRequest(money=-1).SerializeToString()
    assert negative == b"\x10" + b"\xff" * 9 + b"\x01"
    assert bank_pb2.BankRequest.FromString(negative).money == -1
