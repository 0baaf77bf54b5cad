"""What customers ask and are answered, between protocol buffers and the core's types.

Decides which method carries which command. Must not know what a command does.
Proof: tests/wire/test_requests.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

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
    Transfer,
    Withdraw,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import (
    BRANCHES_MAX,
    INCARNATION_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Money,
    Origin,
    Seq,
)
from bankbook.core.vector import Gap
from bankbook.wire.v1 import bank_pb2

AnyRequest = (
    bank_pb2.OpenAccountRequest
    | bank_pb2.GetBalanceRequest
    | bank_pb2.DepositRequest
    | bank_pb2.WithdrawRequest
    | bank_pb2.TransferRequest
)


class MessageDamagedError(ValueError):
    """A message is well-formed protocol buffers and means nothing all the same; says why."""


class Envelope(NamedTuple):
    """What goes along with a command."""

    customer: CustomerId
    token: bytes = b""
    guarantees: Guarantee = Guarantee.ALL
    freshness: Freshness = SESSION


@dataclass(frozen=True, slots=True)
class ReplyInfo:
    """What a reply tells besides its outcome, on errors too."""

    token: bytes
    branch: int
    held_us: int = 0
    """How long the request was held, in microseconds."""
    asked: int = 0
    """How many other branches were asked."""
    awaited: tuple[Gap, ...] = field(default=())
    """What the request was held for; where it was given up, what is missing still."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a request that was carried out."""

    balance: Money
    """In minor units, after the request; of a transfer, the source's."""
    entry: EntryId | None
    """What was written; None where nothing was."""
    info: ReplyInfo

    @property
    def branch(self) -> int:
        """The branch that answered."""
        return self.info.branch

    @property
    def held_us(self) -> int:
        """How long the request was held, in microseconds."""
        return self.info.held_us


class Method(NamedTuple):
    """One method of the Bank service: its name, and the command it carries, in both directions."""

    name: str
    command: type
    encode: Callable[..., AnyRequest]
    decode: Callable[..., Command]


METHODS = (
    Method(
        "OpenAccount",
        OpenAccount,
        lambda c: bank_pb2.OpenAccountRequest(
            account=c.opening.account, floor=c.opening.floor, currency=c.opening.currency
        ),
        lambda m: OpenAccount(
            Opening(AccountId(m.account), Money(m.floor) if m.HasField("floor") else None, m.currency)
        ),
    ),
    Method(
        "GetBalance",
        ReadBalance,
        lambda c: bank_pb2.GetBalanceRequest(account=c.account),
        lambda m: ReadBalance(AccountId(m.account)),
    ),
    Method(
        "Deposit",
        Deposit,
        lambda c: bank_pb2.DepositRequest(account=c.account, amount=c.amount),
        lambda m: Deposit(AccountId(m.account), Money(m.amount)),
    ),
    Method(
        "Withdraw",
        Withdraw,
        lambda c: bank_pb2.WithdrawRequest(account=c.account, amount=c.amount),
        lambda m: Withdraw(AccountId(m.account), Money(m.amount)),
    ),
    Method(
        "Transfer",
        Transfer,
        lambda c: bank_pb2.TransferRequest(source=c.source, destination=c.destination, amount=c.amount),
        lambda m: Transfer(AccountId(m.source), AccountId(m.destination), Money(m.amount)),
    ),
)

_METHOD_OF = {method.command: method for method in METHODS}

_GUARANTEES = {
    bank_pb2.GUARANTEE_READ_YOUR_WRITES: Guarantee.READ_YOUR_WRITES,
    bank_pb2.GUARANTEE_MONOTONIC_READS: Guarantee.MONOTONIC_READS,
    bank_pb2.GUARANTEE_MONOTONIC_WRITES: Guarantee.MONOTONIC_WRITES,
    bank_pb2.GUARANTEE_WRITES_FOLLOW_READS: Guarantee.WRITES_FOLLOW_READS,
}


def encode_request(command: Command, envelope: Envelope) -> tuple[str, AnyRequest]:
    """Return the name of the method that carries `command`, and its message."""
    method = _METHOD_OF[type(command)]
    message = method.encode(command)
    message.session.customer = envelope.customer
    message.session.token = envelope.token
    wanted = [number for number, guarantee in _GUARANTEES.items() if guarantee & envelope.guarantees]
    if len(wanted) < len(_GUARANTEES):
        message.session.guarantees.SetInParent()
        message.session.guarantees.guarantees.extend(wanted)
    if not isinstance(message, bank_pb2.OpenAccountRequest):
        _encode_freshness(envelope.freshness, message.freshness)
    return method.name, message


def decode_envelope(message: AnyRequest) -> Envelope:
    """Return what goes along with the command; raises MessageDamagedError."""
    session = message.session
    guarantees = Guarantee.ALL
    if session.HasField("guarantees"):
        guarantees = Guarantee.NONE
        for number in session.guarantees.guarantees:
            if number not in _GUARANTEES:
                raise MessageDamagedError(f"there is no guarantee number {number}")
            guarantees |= _GUARANTEES[number]
    freshness = SESSION
    if not isinstance(message, bank_pb2.OpenAccountRequest):
        freshness = _decode_freshness(message.freshness)
    return Envelope(CustomerId(session.customer), session.token, guarantees, freshness)


def _encode_freshness(freshness: Freshness, message: bank_pb2.Freshness) -> None:
    match freshness.level:
        case Level.LOCAL:
            message.local.SetInParent()
        case Level.SESSION:
            message.session.SetInParent()
        case Level.BOUNDED:
            message.bounded.milliseconds = freshness.bound_us // 1000
        case Level.LATEST:
            message.latest.SetInParent()


def _decode_freshness(message: bank_pb2.Freshness) -> Freshness:
    match message.WhichOneof("level"):
        case "local":
            return LOCAL
        case "bounded":
            return Freshness(Level.BOUNDED, message.bounded.milliseconds * 1000)
        case "latest":
            return LATEST
        case _:
            return SESSION


def encode_receipt(reply: Reply, info: ReplyInfo) -> bank_pb2.Receipt:
    """Return the message for a request that was carried out."""
    assert reply.balance is not None, "whatever is carried out tells a balance"
    message = bank_pb2.Receipt(balance=reply.balance, info=encode_info(info))
    if reply.entry is not None:
        message.entry.origin.CopyFrom(encode_origin(reply.entry.origin))
        message.entry.seq = reply.entry.seq
    return message


def decode_receipt(message: bank_pb2.Receipt) -> Receipt:
    """Return what a branch answered; raises MessageDamagedError."""
    entry = None
    if message.HasField("entry"):
        entry = EntryId(decode_origin(message.entry.origin), decode_seq(message.entry.seq))
    return Receipt(Money(message.balance), entry, decode_info(message.info))


def encode_info(info: ReplyInfo) -> bank_pb2.ReplyInfo:
    """Return the message for what goes along with every reply."""
    return bank_pb2.ReplyInfo(
        token=info.token,
        branch=info.branch,
        held_us=info.held_us,
        asked=info.asked,
        awaited=[encode_gap(gap) for gap in info.awaited],
        request_id=info.request_id,
    )


def decode_info(message: bank_pb2.ReplyInfo) -> ReplyInfo:
    """Return what went along with a reply; raises MessageDamagedError."""
    return ReplyInfo(
        token=message.token,
        branch=message.branch,
        held_us=message.held_us,
        asked=message.asked,
        awaited=tuple(decode_gap(gap) for gap in message.awaited),
        request_id=message.request_id,
    )


def encode_gap(gap: Gap) -> bank_pb2.Gap:
    """Return the message for a gap."""
    return bank_pb2.Gap(origin=encode_origin(gap.origin), has=gap.has, needs=gap.needs)


def decode_gap(message: bank_pb2.Gap) -> Gap:
    """Return a gap; raises MessageDamagedError."""
    return Gap(decode_origin(message.origin), decode_seq(message.has), decode_seq(message.needs))


def encode_origin(origin: Origin) -> bank_pb2.Origin:
    """Return the message for an origin."""
    return bank_pb2.Origin(branch=origin.branch, incarnation=origin.incarnation)


def decode_origin(message: bank_pb2.Origin) -> Origin:
    """Return an origin; raises MessageDamagedError."""
    if not 1 <= message.branch <= BRANCHES_MAX or not 1 <= message.incarnation <= INCARNATION_MAX:
        raise MessageDamagedError(
            f"an origin is a branch from 1 to {BRANCHES_MAX} and an incarnation above 0, "
            f"not {message.branch} and {message.incarnation}"
        )
    return Origin(BranchId(message.branch), Incarnation(message.incarnation))


def decode_seq(number: int) -> Seq:
    """Return a seq; raises MessageDamagedError."""
    if number > SEQ_MAX:
        raise MessageDamagedError(f"a seq is at most {SEQ_MAX}, not {number}")
    return Seq(number)
