"""Outcomes as gRPC statuses with rich details, and back.

Decides which status code tells which outcome. Must not know when an outcome arises.
Proof: tests/wire/test_status.py.
"""

from dataclasses import dataclass, replace

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from bankbook.core.outcome import Certainty, Outcome
from bankbook.wire.replies import ReplyInfo, decode_info, encode_info
from bankbook.wire.v1 import bank_pb2

DOMAIN = "bankbook"

# How soon a retryable request may come again: long enough for a stream to reconnect.
RETRY_AFTER_MS = 100

# A status travels in the headers, of which gRPC takes 8 kB: a kilobyte of gaps leaves room for the token.
GAPS_TOLD_MAX = 50

CODES = {
    Outcome.OK: grpc.StatusCode.OK,
    Outcome.INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Outcome.INVALID_TOKEN: grpc.StatusCode.INVALID_ARGUMENT,
    Outcome.WRITES_LOST: grpc.StatusCode.DATA_LOSS,
    Outcome.SHUTTING_DOWN: grpc.StatusCode.UNAVAILABLE,
    Outcome.TOO_MANY_HELD: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # Not ALREADY_EXISTS, which a caller may take for "it was done": it was something else that was done.
    Outcome.KEY_REUSED: grpc.StatusCode.INVALID_ARGUMENT,
    Outcome.CATCHING_UP: grpc.StatusCode.UNAVAILABLE,
    Outcome.BRANCH_UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Outcome.HOLD_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Outcome.ACCOUNT_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Outcome.UNKNOWN_ACCOUNT: grpc.StatusCode.NOT_FOUND,
    Outcome.HISTORY_DROPPED: grpc.StatusCode.OUT_OF_RANGE,
    Outcome.SAME_ACCOUNT: grpc.StatusCode.INVALID_ARGUMENT,
    Outcome.CURRENCY_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    Outcome.UNBALANCED: grpc.StatusCode.INVALID_ARGUMENT,
    Outcome.UNKNOWN_RESERVATION: grpc.StatusCode.NOT_FOUND,
    Outcome.RESERVATION_EXPIRED: grpc.StatusCode.FAILED_PRECONDITION,
    Outcome.RESERVATION_ENDED: grpc.StatusCode.FAILED_PRECONDITION,
    Outcome.RESERVATION_EXCEEDED: grpc.StatusCode.FAILED_PRECONDITION,
    Outcome.INSUFFICIENT_FUNDS: grpc.StatusCode.FAILED_PRECONDITION,
    Outcome.RIGHTS_UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    Outcome.BALANCE_LIMIT: grpc.StatusCode.OUT_OF_RANGE,
    Outcome.NOT_REPRESENTABLE: grpc.StatusCode.OUT_OF_RANGE,
    Outcome.BATCH_ABORTED: grpc.StatusCode.ABORTED,
    Outcome.STORE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Outcome.OUTCOME_UNKNOWN: grpc.StatusCode.UNKNOWN,
    Outcome.DURABILITY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}

# A status that says "failed: OK" tells nothing.
_REASONS = {outcome.name for outcome in Outcome if outcome is not Outcome.OK}


_NUMBERS = ("branch", "balance", "available", "command")


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not carried out."""

    outcome: Outcome
    detail: str
    """One sentence for a person."""
    info: ReplyInfo | None = None
    """None where no branch answered."""
    branch: int | None = None
    """The branch to ask instead, or the one that could not be reached."""
    balance: int | None = None
    """For INSUFFICIENT_FUNDS: the balance that was not enough."""
    available: int | None = None
    """For INSUFFICIENT_FUNDS: what could have been taken out."""
    command: int | None = None
    """Of an all-or-nothing batch: which of its commands was refused first, from 1."""


def encode_failure(failure: Failure) -> Status:
    """Return the rich status that tells a failure."""
    metadata = {"certainty": failure.outcome.certainty.value}
    for name in _NUMBERS:
        number = getattr(failure, name)
        if number is not None:
            metadata[name] = str(number)
    status = Status(code=CODES[failure.outcome].value[0], message=failure.detail)
    _pack(status, ErrorInfo(reason=failure.outcome.name, domain=DOMAIN, metadata=metadata))
    if failure.outcome.certainty is Certainty.RETRYABLE:
        _pack(status, RetryInfo(retry_delay=Duration(nanos=RETRY_AFTER_MS * 1_000_000)))
    if failure.info is not None:
        _pack(status, encode_info(replace(failure.info, awaited=failure.info.awaited[:GAPS_TOLD_MAX])))
    return status


def decode_failure(status: Status | None) -> Failure | None:
    """Return the failure that a rich status tells; None where it is none of Bankbook's, or damaged."""
    if status is None:
        return None
    error, info = ErrorInfo(), bank_pb2.ReplyInfo()
    try:
        has_error = any(detail.Unpack(error) for detail in status.details)
        has_info = any(detail.Unpack(info) for detail in status.details)
        if not has_error or error.domain != DOMAIN or error.reason not in _REASONS:
            return None
        return Failure(
            outcome=Outcome[error.reason],
            detail=status.message,
            info=decode_info(info) if has_info else None,
            **{name: int(error.metadata[name]) for name in _NUMBERS if name in error.metadata},
        )
    except (DecodeError, ValueError):  # a MessageDamagedError is a ValueError, and so is what int() raises
        return None


def _pack(status: Status, detail: ErrorInfo | RetryInfo | bank_pb2.ReplyInfo) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)
