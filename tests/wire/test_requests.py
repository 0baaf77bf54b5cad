"""What customers ask and are answered, over the wire and back; and what a hostile caller can send."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import anything, customers, entry_ids, freshnesses, gaps, keys, origins, reads, writes

from bankbook.core.bounds import BATCH_COMMANDS_MAX, LEGS_MAX, complaint_about, complaint_about_key
from bankbook.core.commands import (
    SESSION,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Reserve,
    Submit,
    batch_of,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import (
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import Gap
from bankbook.wire.basics import (
    MessageDamagedError,
    decode_entry_id,
    decode_gap,
    decode_origin,
    encode_entry_id,
    encode_gap,
    encode_origin,
)
from bankbook.wire.commands import METHODS, AnyRequest
from bankbook.wire.requests import Envelope, complaint_about_durable, decode_envelope, encode_request
from bankbook.wire.v1 import bank_pb2

ANNA = AccountId("anna")
ORIGIN = Origin(BranchId(3), Incarnation(0xB0B))

REQUESTS = tuple(method.message for method in METHODS)

commands = reads | writes
guarantees = st.integers(0, Guarantee.ALL.value).map(Guarantee)
envelopes = st.builds(
    Envelope,
    customers,
    st.binary(max_size=100),
    guarantees,
    freshnesses,
    st.none() | keys,
    st.integers(0, 255),
    st.booleans(),
)


def over_the_wire(command: Command, envelope: Envelope) -> tuple[Command, Envelope]:
    name, message = encode_request(command, envelope)
    arrived = type(message).FromString(message.SerializeToString())
    method = next(each for each in METHODS if each.name == name)
    return method.decode(arrived), decode_envelope(arrived)


@given(commands, envelopes)
def test_every_request_arrives_as_it_was_sent(command: Command, envelope: Envelope) -> None:
    arrived, along = over_the_wire(command, envelope)
    if isinstance(command, OpenAccount):
        envelope = envelope._replace(freshness=SESSION)
    if isinstance(command, ReadBalance | ReadStatement):
        envelope = envelope._replace(key=None, durable=0)
    if not isinstance(command, Batch):
        envelope = envelope._replace(at_hand=False)
    assert (arrived, along) == (command, envelope)
    assert complaint_about(arrived) is None
    assert complaint_about_key(along.key) is None


@given(st.integers(0, (2**32 - 1) * 1000))
def test_a_bound_of_freshness_may_be_tightened_on_its_way_and_is_never_loosened(bound_us: int) -> None:
    asked = Envelope(CustomerId("anna"), freshness=Freshness(Level.BOUNDED, bound_us))
    _, along = over_the_wire(ReadBalance(ANNA), asked)
    assert along.freshness.level is Level.BOUNDED
    assert bound_us - 1000 < along.freshness.bound_us <= bound_us


def test_a_request_that_says_nothing_of_guarantees_or_freshness_gets_the_sessions_all_four() -> None:
    envelope = decode_envelope(bank_pb2.DepositRequest())
    assert (envelope.guarantees, envelope.freshness) == (Guarantee.ALL, SESSION)


def test_a_request_for_no_guarantee_at_all_is_not_taken_for_one_that_says_nothing() -> None:
    _, along = over_the_wire(ReadBalance(ANNA), Envelope(CustomerId("anna"), guarantees=Guarantee.NONE))
    assert along.guarantees is Guarantee.NONE


def test_an_account_without_a_floor_is_not_opened_with_a_floor_of_zero() -> None:
    for floor in (None, Money(0)):
        command = OpenAccount(Opening(ANNA, floor, ""))
        assert over_the_wire(command, Envelope(CustomerId("anna")))[0] == command


def test_what_was_not_said_is_not_taken_for_zero() -> None:
    reservation = ReservationId("2.0badcafe-17-0")
    for nothing, something in (
        (ReadBalance(ANNA), ReadBalance(ANNA, 0)),
        (Capture(reservation), Capture(reservation, Money(0))),
        (Reserve(ANNA, Money(5)), Reserve(ANNA, Money(5), lifetime_ms=0)),
    ):
        for command in (nothing, something):
            assert over_the_wire(command, Envelope(CustomerId("anna")))[0] == command


def test_a_reservation_for_nobody_in_particular_is_not_one_whose_receivers_name_got_lost() -> None:
    lost = bank_pb2.ReserveRequest(account="anna", amount=5, destination="")
    method = next(each for each in METHODS if each.name == "Reserve")
    assert "an account id has" in str(complaint_about(method.decode(lost)))


def test_whoever_uses_the_protocol_by_hand_may_leave_out_what_has_a_default() -> None:
    by_name = {method.name: method for method in METHODS}
    statement = by_name["GetStatement"].decode(bank_pb2.GetStatementRequest(account="anna"))
    assert statement == ReadStatement(ANNA)
    capture = by_name["Capture"].decode(bank_pb2.CaptureRequest(reservation="2.0badcafe-17-0"))
    assert capture == Capture(ReservationId("2.0badcafe-17-0"))


# What stands inside of a batch.


def batch_from(*commands: bank_pb2.BatchCommand) -> Command:
    method = next(each for each in METHODS if each.name == "SubmitBatch")
    return method.decode(bank_pb2.SubmitBatchRequest(commands=commands))


def test_a_command_in_a_batch_that_says_nothing_is_called_damaged() -> None:
    with pytest.raises(MessageDamagedError, match="a command is missing"):
        batch_from(bank_pb2.BatchCommand())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session", bank_pb2.Session(customer="bert")),
        ("freshness", bank_pb2.Freshness(latest=bank_pb2.Freshness.Latest())),
        ("key", "order-17"),
        ("durable", 1),
    ],
)
def test_what_a_command_in_a_batch_cannot_have_for_itself_is_refused_and_not_ignored(
    name: str, value: object
) -> None:
    deposit = bank_pb2.DepositRequest(account="anna", amount=5, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(MessageDamagedError, match=f"has no {name} of its own"):
        batch_from(bank_pb2.BatchCommand(deposit=deposit))


def test_a_batch_of_a_million_is_refused_before_it_is_taken_apart() -> None:
    damaged = bank_pb2.BatchCommand()
    with pytest.raises(MessageDamagedError, match=f"1 to {BATCH_COMMANDS_MAX} commands"):
        batch_from(*[damaged] * (BATCH_COMMANDS_MAX + 1))
    submit = next(each for each in METHODS if each.name == "Submit")
    postings = [bank_pb2.Posting(account="anna")] * (LEGS_MAX + 1)
    with pytest.raises(MessageDamagedError, match=f"2 to {LEGS_MAX} postings"):
        submit.decode(bank_pb2.SubmitRequest(postings=postings))


MOVES = bank_pb2.Moves(accounts=["a", "b"], sources=[1, 0], destinations=[2, 1], amounts=[5, 7])


def from_moves(moves: bank_pb2.Moves) -> Command:
    method = next(each for each in METHODS if each.name == "SubmitBatch")
    return method.decode(bank_pb2.SubmitBatchRequest(moves=moves))


def test_movements_in_columns_are_the_same_commands_as_one_by_one() -> None:
    one_by_one = [
        bank_pb2.BatchCommand(transfer=bank_pb2.TransferRequest(source="a", destination="b", amount=5)),
        bank_pb2.BatchCommand(deposit=bank_pb2.DepositRequest(account="a", amount=7)),
    ]
    assert batch_from(*one_by_one) == from_moves(MOVES)


@pytest.mark.parametrize(
    ("moves", "words"),
    [
        (bank_pb2.Moves(accounts=["a"], sources=[1], destinations=[0], amounts=[5, 5]), "not of one length"),
        (bank_pb2.Moves(accounts=["a"], sources=[2], destinations=[0], amounts=[5]), "by their places"),
        (bank_pb2.Moves(accounts=["a", "a"], sources=[1], destinations=[2], amounts=[5]), "stands twice"),
        (bank_pb2.Moves(accounts=[], sources=[0], destinations=[0], amounts=[5]), "neither"),
        (bank_pb2.Moves(amounts=[5] * (BATCH_COMMANDS_MAX + 1)), f"1 to {BATCH_COMMANDS_MAX}"),
        (bank_pb2.Moves(accounts=["a"] * (4 * BATCH_COMMANDS_MAX)), f"1 to {BATCH_COMMANDS_MAX}"),
    ],
)
def test_columns_that_do_not_fit_together_are_called_damaged(moves: bank_pb2.Moves, words: str) -> None:
    with pytest.raises(MessageDamagedError, match=words):
        from_moves(moves)


def test_a_batch_has_commands_or_moves_and_not_both() -> None:
    method = next(each for each in METHODS if each.name == "SubmitBatch")
    paid = bank_pb2.BatchCommand(deposit=bank_pb2.DepositRequest(account="a", amount=7))
    with pytest.raises(MessageDamagedError, match="this one has both"):
        method.decode(bank_pb2.SubmitBatchRequest(moves=MOVES, commands=[paid]))


def test_a_batch_of_the_largest_size_goes_over_the_wire() -> None:
    batch = batch_of(Deposit(ANNA, Money(n)) for n in range(BATCH_COMMANDS_MAX))
    assert over_the_wire(batch, Envelope(CustomerId("anna")))[0] == batch
    payroll = Submit(tuple(Posting(ANNA, Money(n)) for n in range(LEGS_MAX)))
    assert over_the_wire(payroll, Envelope(CustomerId("anna")))[0] == payroll


# What goes along.


def test_a_request_without_a_key_has_none_and_not_an_empty_one() -> None:
    assert decode_envelope(bank_pb2.DepositRequest()).key is None
    assert decode_envelope(bank_pb2.DepositRequest(key="2/a")).key == Key("2/a")


@pytest.mark.parametrize("durable", [256, 2**32 - 1])
def test_more_disks_than_any_bank_has_are_refused(durable: int) -> None:
    with pytest.raises(MessageDamagedError, match="durable is a number of other branches"):
        decode_envelope(bank_pb2.DepositRequest(durable=durable))


@pytest.mark.parametrize("durable", [-1, 256, True, 1.0, "1", None])
def test_a_number_of_disks_that_is_none_is_complained_about(durable: int) -> None:
    assert complaint_about_durable(durable) is not None


@pytest.mark.parametrize("number", [0, 5, -1, 2**31 - 1])
def test_a_guarantee_that_nobody_knows_is_refused_and_not_ignored(number: int) -> None:
    message = bank_pb2.DepositRequest()
    message.session.guarantees.guarantees.append(number)  # type: ignore[arg-type]
    arrived = bank_pb2.DepositRequest.FromString(message.SerializeToString())
    with pytest.raises(MessageDamagedError, match=f"no guarantee number {number}"):
        decode_envelope(arrived)


@given(gaps)
def test_a_gap_arrives_as_it_was_sent(gap: Gap) -> None:
    assert decode_gap(encode_gap(gap)) == gap


@given(origins)
def test_an_origin_arrives_as_it_was_sent(origin: Origin) -> None:
    assert decode_origin(encode_origin(origin)) == origin


@given(entry_ids)
def test_the_place_of_an_entry_arrives_as_it_was_sent(entry: EntryId) -> None:
    assert decode_entry_id(encode_entry_id(entry)) == entry


@pytest.mark.parametrize(("branch", "incarnation"), [(0, 1), (257, 1), (1, 0), (0, 0), (2**32 - 1, 7)])
def test_an_origin_that_no_bank_can_have_is_refused_wherever_it_stands(branch: int, incarnation: int) -> None:
    damaged = bank_pb2.Origin(branch=branch, incarnation=incarnation)
    with pytest.raises(MessageDamagedError):
        decode_origin(damaged)
    with pytest.raises(MessageDamagedError):
        decode_entry_id(bank_pb2.EntryId(origin=damaged, seq=1))
    with pytest.raises(MessageDamagedError):
        decode_gap(bank_pb2.Gap(origin=damaged))


@given(st.sampled_from(REQUESTS).flatmap(anything))
def test_whatever_a_hostile_caller_sends_is_a_request_or_is_called_damaged(message: AnyRequest) -> None:
    method = next(each for each in METHODS if f"{each.name}Request" == message.DESCRIPTOR.name)
    with suppress(MessageDamagedError):
        complaint_about(method.decode(message))
    with suppress(MessageDamagedError):
        decode_envelope(message)


@given(st.sampled_from(REQUESTS), st.binary(max_size=60))
def test_bytes_that_happen_to_parse_are_a_request_or_are_called_damaged(
    kind: type[AnyRequest], noise: bytes
) -> None:
    with suppress(DecodeError, MessageDamagedError):
        message = kind.FromString(noise)
        method = next(each for each in METHODS if f"{each.name}Request" == message.DESCRIPTOR.name)
        complaint_about(method.decode(message))
        decode_envelope(message)


def test_every_command_has_one_method_and_every_method_of_the_service_one_command() -> None:
    service = bank_pb2.DESCRIPTOR.services_by_name["Bank"]
    methods = [method for method in service.methods if method.name != "Multiplex"]  # which carries any
    assert [method.name for method in METHODS] == [method.name for method in methods]
    assert {method.command for method in METHODS} == set(Command.__args__)
    assert [method.message.DESCRIPTOR.full_name for method in METHODS] == [
        method.input_type.full_name for method in methods
    ]


def test_a_seq_in_an_answer_that_no_log_can_reach_is_refused() -> None:
    origin = encode_origin(ORIGIN)
    with pytest.raises(MessageDamagedError):
        decode_gap(bank_pb2.Gap(origin=origin, has=Seq(2**64 - 1), needs=1))
    with pytest.raises(MessageDamagedError):
        decode_entry_id(bank_pb2.EntryId(origin=origin, seq=2**63))
