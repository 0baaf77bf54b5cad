"""What customers ask and are answered, over the wire and back; and what a hostile caller can send."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import accounts, amounts, anything, customers, gaps, openings, origins, seqs

from bankbook.core.commands import (
    LATEST,
    LOCAL,
    SESSION,
    Command,
    Deposit,
    EntryId,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    Reply,
    RequestId,
    Transfer,
    Withdraw,
    complaint_about,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.token import EMPTY
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import Gap
from bankbook.wire.requests import (
    METHODS,
    AnyRequest,
    Envelope,
    MessageDamagedError,
    Receipt,
    ReplyInfo,
    decode_envelope,
    decode_gap,
    decode_info,
    decode_origin,
    decode_receipt,
    encode_gap,
    encode_info,
    encode_origin,
    encode_receipt,
    encode_request,
)
from bankbook.wire.v1 import bank_pb2

ANNA = AccountId("anna")
ORIGIN = Origin(BranchId(3), Incarnation(0xB0B))

REQUESTS: tuple[type[AnyRequest], ...] = (
    bank_pb2.OpenAccountRequest,
    bank_pb2.GetBalanceRequest,
    bank_pb2.DepositRequest,
    bank_pb2.WithdrawRequest,
    bank_pb2.TransferRequest,
)

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(ReadBalance, accounts),
    st.builds(Deposit, accounts, amounts),
    st.builds(Withdraw, accounts, amounts),
    st.builds(Transfer, accounts, accounts, amounts),
    st.builds(OpenAccount, openings),
)
whole_milliseconds = st.integers(0, 2**32 - 1).map(lambda ms: Freshness(Level.BOUNDED, ms * 1000))
guarantees = st.integers(0, Guarantee.ALL.value).map(Guarantee)
envelopes = st.builds(
    Envelope,
    customers,
    st.binary(max_size=100),
    guarantees,
    st.sampled_from([LOCAL, SESSION, LATEST]) | whole_milliseconds,
)
infos = st.builds(
    ReplyInfo,
    token=st.binary(max_size=100),
    branch=st.integers(0, 2**32 - 1),
    held_us=st.integers(0, 2**64 - 1),
    asked=st.integers(0, 2**32 - 1),
    awaited=st.lists(gaps, max_size=4).map(tuple),
    request_id=st.text(st.characters(codec="utf-8"), max_size=64),
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
    assert (arrived, along) == (command, envelope)
    assert complaint_about(arrived) is None


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


@pytest.mark.parametrize("number", [0, 5, -1, 2**31 - 1])
def test_a_guarantee_that_nobody_knows_is_refused_and_not_ignored(number: int) -> None:
    message = bank_pb2.DepositRequest()
    message.session.guarantees.guarantees.append(number)  # type: ignore[arg-type]
    arrived = bank_pb2.DepositRequest.FromString(message.SerializeToString())
    with pytest.raises(MessageDamagedError, match=f"no guarantee number {number}"):
        decode_envelope(arrived)


@given(infos)
def test_what_goes_along_with_a_reply_arrives_as_it_was_sent(info: ReplyInfo) -> None:
    assert decode_info(bank_pb2.ReplyInfo.FromString(encode_info(info).SerializeToString())) == info


@given(gaps)
def test_a_gap_arrives_as_it_was_sent(gap: Gap) -> None:
    assert decode_gap(encode_gap(gap)) == gap


@given(origins)
def test_an_origin_arrives_as_it_was_sent(origin: Origin) -> None:
    assert decode_origin(encode_origin(origin)) == origin


@given(infos, st.integers(-(2**63), 2**63 - 1), st.none() | st.builds(EntryId, origins, seqs))
def test_a_receipt_arrives_as_it_was_sent(info: ReplyInfo, balance: int, entry: EntryId | None) -> None:
    reply = Reply(RequestId(1), Outcome.OK, EMPTY, balance=Money(balance), entry=entry)
    message = bank_pb2.Receipt.FromString(encode_receipt(reply, info).SerializeToString())
    assert decode_receipt(message) == Receipt(Money(balance), entry, info)


def test_a_receipt_without_a_balance_is_a_bug_of_ours_and_never_a_balance_of_zero() -> None:
    with pytest.raises(AssertionError):
        encode_receipt(Reply(RequestId(1), Outcome.OK, EMPTY), ReplyInfo(b"", 1))


@pytest.mark.parametrize(("branch", "incarnation"), [(0, 1), (257, 1), (1, 0), (0, 0), (2**32 - 1, 7)])
def test_an_origin_that_no_bank_can_have_is_refused_wherever_it_stands(branch: int, incarnation: int) -> None:
    damaged = bank_pb2.Origin(branch=branch, incarnation=incarnation)
    whole = encode_origin(ORIGIN)
    with pytest.raises(MessageDamagedError):
        decode_origin(damaged)
    with pytest.raises(MessageDamagedError):
        decode_info(bank_pb2.ReplyInfo(awaited=[bank_pb2.Gap(origin=whole), bank_pb2.Gap(origin=damaged)]))
    with pytest.raises(MessageDamagedError):
        decode_receipt(bank_pb2.Receipt(entry=bank_pb2.EntryId(origin=damaged, seq=1)))


@given(st.sampled_from(REQUESTS).flatmap(anything))
def test_whatever_a_hostile_caller_sends_is_a_request_or_is_called_damaged(message: AnyRequest) -> None:
    method = next(each for each in METHODS if f"{each.name}Request" == message.DESCRIPTOR.name)
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


@given(anything(bank_pb2.Receipt))
def test_whatever_a_hostile_branch_answers_is_a_receipt_or_is_called_damaged(
    message: bank_pb2.Receipt,
) -> None:
    with suppress(MessageDamagedError):
        assert decode_receipt(message).info.token == message.info.token


def test_every_command_has_one_method_and_every_method_of_the_service_one_command() -> None:
    service = bank_pb2.DESCRIPTOR.services_by_name["Bank"]
    assert [method.name for method in METHODS] == [method.name for method in service.methods]
    assert {method.command for method in METHODS} == set(Command.__args__)


def test_a_seq_in_an_answer_that_no_log_can_reach_is_refused() -> None:
    origin = encode_origin(ORIGIN)
    with pytest.raises(MessageDamagedError):
        decode_gap(bank_pb2.Gap(origin=origin, has=Seq(2**64 - 1), needs=1))
    with pytest.raises(MessageDamagedError):
        decode_receipt(bank_pb2.Receipt(entry=bank_pb2.EntryId(origin=origin, seq=2**63)))
