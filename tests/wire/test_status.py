"""How a failure is told: the status, its details, and that three tables know the same outcomes."""

from contextlib import suppress

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import anything, gaps

from bankbook.client.errors import ERRORS, BankbookError, OutcomeUnknownError, RefusedError, RetryableError
from bankbook.core.outcome import Certainty, Meaning, Outcome
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.status import CODES, DOMAIN, RETRY_AFTER_MS, Failure, decode_failure, encode_failure
from bankbook.wire.v1 import bank_pb2

FAMILIES: dict[Certainty, type[BankbookError]] = {
    Certainty.REFUSED: RefusedError,
    Certainty.RETRYABLE: RetryableError,
    Certainty.UNKNOWN: OutcomeUnknownError,
}
FAILURES = [outcome for outcome in Outcome if outcome is not Outcome.OK]

# What a proxy or a client library may send again by itself. A write whose outcome is unknown must not be.
RETRIED_BY_MACHINES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}

infos = st.builds(
    ReplyInfo,
    token=st.binary(max_size=60),
    branch=st.integers(1, 256),
    held_us=st.integers(0, 2**63),
    awaited=st.lists(gaps, max_size=3).map(tuple),
)
failures = st.builds(
    Failure,
    outcome=st.sampled_from(FAILURES),
    detail=st.text(st.characters(codec="utf-8"), max_size=60),
    info=st.none() | infos,
    branch=st.none() | st.integers(1, 256),
    balance=st.none() | st.integers(-(2**63), 2**63 - 1),
    available=st.none() | st.integers(-(2**63), 2**63 - 1),
    command=st.none() | st.integers(1, 8192),
)


def test_every_outcome_has_a_code_a_meaning_and_but_for_ok_an_exception_of_its_family() -> None:
    assert set(CODES) == set(Outcome)
    assert set(ERRORS) == set(FAILURES)
    for outcome in FAILURES:
        assert isinstance(outcome.value, Meaning)
        assert outcome.in_words.endswith(".")
        assert CODES[outcome] is not grpc.StatusCode.OK
        assert ERRORS[outcome].outcome is outcome
        assert issubclass(ERRORS[outcome], FAMILIES[outcome.certainty])
    assert CODES[Outcome.OK] is grpc.StatusCode.OK


def test_no_two_outcomes_share_an_exception_or_a_meaning() -> None:
    assert len(set(ERRORS.values())) == len(ERRORS)
    assert len({outcome.value for outcome in Outcome}) == len(list(Outcome))


def test_no_machine_on_the_way_sends_again_what_may_have_happened() -> None:
    for outcome, code in CODES.items():
        if code in RETRIED_BY_MACHINES:
            assert outcome.certainty is Certainty.RETRYABLE


@given(failures)
def test_a_failure_is_understood_as_it_was_told(failure: Failure) -> None:
    told = Status.FromString(encode_failure(failure).SerializeToString())
    assert decode_failure(told) == failure


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_tool_that_has_never_heard_of_bankbook_can_read_a_failure(outcome: Outcome) -> None:
    info = ReplyInfo(b"token", 2)
    status = encode_failure(Failure(outcome, "no", info, 7, -5, 9, 2))
    error, retry, along = ErrorInfo(), RetryInfo(), bank_pb2.ReplyInfo()
    assert status.details[0].Unpack(error)
    assert (error.reason, error.domain) == (outcome.name, "bankbook")
    assert dict(error.metadata) == {
        "certainty": outcome.certainty.value,
        "branch": "7",
        "balance": "-5",
        "available": "9",
        "command": "2",
    }
    assert status.details[-1].Unpack(along)
    assert along.token == b"token"
    has_retry = any(detail.Unpack(retry) for detail in status.details)
    assert has_retry == (outcome.certainty is Certainty.RETRYABLE)
    assert retry.retry_delay.ToMilliseconds() == (RETRY_AFTER_MS if has_retry else 0)


def test_a_status_of_somebody_else_tells_no_failure_of_ours() -> None:
    assert decode_failure(None) is None
    assert decode_failure(Status(code=5, message="not found")) is None
    for error in (
        ErrorInfo(reason="INSUFFICIENT_FUNDS", domain="other.example"),
        ErrorInfo(reason="NEVER_HEARD_OF", domain=DOMAIN),
        ErrorInfo(reason="OK", domain=DOMAIN),
    ):
        assert decode_failure(with_details(error)) is None


@pytest.mark.parametrize("number", ["", "seven", "1e3", "0x7", "9" * 5000])
def test_a_status_whose_numbers_are_none_tells_no_failure_and_raises_nothing(number: str) -> None:
    for name in ("branch", "balance", "available", "command"):
        error = ErrorInfo(reason="KEY_REUSED", domain=DOMAIN, metadata={name: number})
        assert decode_failure(with_details(error)) is None


def test_a_status_whose_details_are_damaged_tells_no_failure_and_raises_nothing() -> None:
    for kind in (ErrorInfo, bank_pb2.ReplyInfo):
        status = encode_failure(Failure(Outcome.KEY_REUSED, "no", ReplyInfo(b"", 2)))
        for detail in status.details:
            if detail.Is(kind.DESCRIPTOR):
                detail.value = b"\xff\xff\xff"
        assert decode_failure(status) is None


def test_a_failure_that_waited_for_an_impossible_branch_tells_nothing() -> None:
    status = encode_failure(Failure(Outcome.HOLD_TIMEOUT, "no"))
    impossible = bank_pb2.ReplyInfo(awaited=[bank_pb2.Gap(needs=1)])
    status.details.append(packed(impossible))
    assert decode_failure(status) is None


@given(
    st.sampled_from([*Outcome.__members__, "NEVER_HEARD_OF"]),
    st.dictionaries(st.sampled_from(["branch", "balance", "other"]), st.integers().map(str) | st.text()),
    anything(bank_pb2.ReplyInfo),
)
def test_whatever_details_a_hostile_server_sends_raise_nothing(
    reason: str, metadata: dict[str, str], info: bank_pb2.ReplyInfo
) -> None:
    status = with_details(ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    status.details.append(packed(info))
    decode_failure(status)


@given(st.binary(max_size=60))
def test_bytes_that_happen_to_parse_as_a_status_raise_nothing(noise: bytes) -> None:
    with suppress(DecodeError):
        decode_failure(Status.FromString(noise))


def packed(detail: ErrorInfo | bank_pb2.ReplyInfo) -> AnyMessage:
    result = AnyMessage()
    result.Pack(detail)
    return result


def with_details(error: ErrorInfo) -> Status:
    return Status(code=5, message="no", details=[packed(error)])
