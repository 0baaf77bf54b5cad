"""A request as it travels: a command, and what goes along with it.

Decides nothing. Must not know what a command does. Proof: tests/wire/test_requests.py.
"""

from typing import NamedTuple

from bankbook.core.commands import LATEST, LOCAL, SESSION, Command, Freshness, Level
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BRANCHES_MAX, CustomerId, Key
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.commands import AnyRequest, method_for
from bankbook.wire.v1 import bank_pb2

_GUARANTEES = {
    bank_pb2.GUARANTEE_READ_YOUR_WRITES: Guarantee.READ_YOUR_WRITES,
    bank_pb2.GUARANTEE_MONOTONIC_READS: Guarantee.MONOTONIC_READS,
    bank_pb2.GUARANTEE_MONOTONIC_WRITES: Guarantee.MONOTONIC_WRITES,
    bank_pb2.GUARANTEE_WRITES_FOLLOW_READS: Guarantee.WRITES_FOLLOW_READS,
}


class Envelope(NamedTuple):
    """What goes along with a command."""

    customer: CustomerId
    token: bytes = b""
    guarantees: Guarantee = Guarantee.ALL
    freshness: Freshness = SESSION
    key: Key | None = None
    """A write's idempotency key."""
    durable: int = 0
    """On how many other branches' disks a write must be before it is answered."""
    at_hand: bool = False
    """Of a batch: whether what lacks rights at the branch is refused at once."""


def encode_request(command: Command, envelope: Envelope) -> tuple[str, AnyRequest]:
    """Return the name of the method that carries `command`, and its message."""
    method = method_for(command)
    message = method.encode(command)
    message.session.customer = envelope.customer
    message.session.token = envelope.token
    wanted = [number for number, guarantee in _GUARANTEES.items() if guarantee & envelope.guarantees]
    if len(wanted) < len(_GUARANTEES):
        message.session.guarantees.SetInParent()
        message.session.guarantees.guarantees.extend(wanted)
    if not isinstance(message, bank_pb2.OpenAccountRequest):
        encode_freshness(envelope.freshness, message.freshness)
    if not isinstance(message, bank_pb2.GetBalanceRequest | bank_pb2.GetStatementRequest):
        message.key = envelope.key or ""
        message.durable = envelope.durable
    if isinstance(message, bank_pb2.SubmitBatchRequest):
        message.at_hand = envelope.at_hand
    return method.name, message


def decode_envelope(message: AnyRequest) -> Envelope:
    """Return what goes along with the command; raises MessageDamagedError."""
    session = message.session
    freshness, key, durable = SESSION, None, 0
    if not isinstance(message, bank_pb2.OpenAccountRequest):
        freshness = decode_freshness(message.freshness)
    if not isinstance(message, bank_pb2.GetBalanceRequest | bank_pb2.GetStatementRequest):
        key, durable = Key(message.key) if message.key else None, _decode_durable(message.durable)
    at_hand = isinstance(message, bank_pb2.SubmitBatchRequest) and message.at_hand
    customer, guarantees = CustomerId(session.customer), _decode_guarantees(session)
    return Envelope(customer, session.token, guarantees, freshness, key, durable, at_hand)


def _decode_guarantees(session: bank_pb2.Session) -> Guarantee:
    if not session.HasField("guarantees"):
        return Guarantee.ALL
    guarantees = Guarantee.NONE
    for number in session.guarantees.guarantees:
        if number not in _GUARANTEES:
            raise MessageDamagedError(f"there is no guarantee number {number}")
        guarantees |= _GUARANTEES[number]
    return guarantees


def complaint_about_durable(durable: int) -> str | None:
    """Return what is malformed in a number of other branches, in words; None where nothing is."""
    if type(durable) is int and 0 <= durable < BRANCHES_MAX:
        return None
    return f"durable is a number of other branches, 0 to {BRANCHES_MAX - 1}; this one is {durable!r}"


def _decode_durable(durable: int) -> int:
    complaint = complaint_about_durable(durable)
    if complaint is not None:
        raise MessageDamagedError(complaint)
    return durable


def encode_freshness(freshness: Freshness, message: bank_pb2.Freshness) -> None:
    """Say in `message` how fresh an answer must be."""
    match freshness.level:
        case Level.LOCAL:
            message.local.SetInParent()
        case Level.SESSION:
            message.session.SetInParent()
        case Level.BOUNDED:
            message.bounded.milliseconds = freshness.bound_us // 1000
        case Level.LATEST:
            message.latest.SetInParent()


def decode_freshness(message: bank_pb2.Freshness) -> Freshness:
    """Return how fresh an answer must be; SESSION where nothing is said."""
    match message.WhichOneof("level"):
        case "local":
            return LOCAL
        case "bounded":
            return Freshness(Level.BOUNDED, message.bounded.milliseconds * 1000)
        case "latest":
            return LATEST
        case _:
            return SESSION
