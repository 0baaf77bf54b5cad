"""What customers ask, between protocol buffers and the core's commands.

Decides which method carries which command. Must not know what a command does, nor who asks.
Proof: tests/wire/test_requests.py.
"""

from collections.abc import Callable, Sized
from typing import NamedTuple, cast

from bankbook.core.bounds import BATCH_COMMANDS_MAX, LEGS_MAX
from bankbook.core.columns import Columns
from bankbook.core.commands import (
    LINES_MAX,
    Batch,
    Capture,
    Command,
    Deposit,
    Moves,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    batch_of,
)
from bankbook.core.entry import EXPIRES_MS_MAX, Opening, Posting
from bankbook.core.types import AccountId, Money, ReservationId
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.replies import decode_page, encode_page
from bankbook.wire.v1 import bank_pb2, replication_pb2

AnyWrite = (
    bank_pb2.OpenAccountRequest
    | bank_pb2.DepositRequest
    | bank_pb2.WithdrawRequest
    | bank_pb2.TransferRequest
    | bank_pb2.SubmitRequest
    | bank_pb2.ReserveRequest
    | bank_pb2.CaptureRequest
    | bank_pb2.ReleaseRequest
    | bank_pb2.SubmitBatchRequest
)
AnyRequest = bank_pb2.GetBalanceRequest | bank_pb2.GetStatementRequest | AnyWrite


class Method(NamedTuple):
    """One method of the Bank service: its name, and the command it carries, in both directions."""

    name: str
    command: type
    message: type[AnyRequest]
    encode: Callable[..., AnyRequest]
    decode: Callable[..., Command]
    field: str = ""
    """The name of a write in a message that carries any of several."""


def _encode_opening(command: OpenAccount) -> bank_pb2.OpenAccountRequest:
    account, floor, currency = command.opening
    return bank_pb2.OpenAccountRequest(account=account, floor=floor, currency=currency)


def _decode_opening(message: bank_pb2.OpenAccountRequest) -> OpenAccount:
    floor = Money(message.floor) if message.HasField("floor") else None
    return OpenAccount(Opening(AccountId(message.account), floor, message.currency))


def _encode_read(command: ReadBalance) -> bank_pb2.GetBalanceRequest:
    return bank_pb2.GetBalanceRequest(account=command.account, at_ms=command.at_ms)


def _decode_read(message: bank_pb2.GetBalanceRequest) -> ReadBalance:
    return ReadBalance(AccountId(message.account), message.at_ms if message.HasField("at_ms") else None)


def _encode_submit(command: Submit) -> bank_pb2.SubmitRequest:
    postings = [bank_pb2.Posting(account=account, amount=amount) for account, amount in command.postings]
    return bank_pb2.SubmitRequest(postings=postings, memo=command.memo)


def _decode_submit(message: bank_pb2.SubmitRequest) -> Submit:
    if len(message.postings) > LEGS_MAX:
        raise MessageDamagedError(
            f"a transaction has 2 to {LEGS_MAX} postings; this one has {len(message.postings)}"
        )
    postings = tuple(Posting(AccountId(each.account), Money(each.amount)) for each in message.postings)
    return Submit(postings, message.memo)


def _encode_reserve(command: Reserve) -> bank_pb2.ReserveRequest:
    return bank_pb2.ReserveRequest(
        account=command.account,
        amount=command.amount,
        destination=command.destination,
        lifetime_ms=command.lifetime_ms,
        memo=command.memo,
    )


def _decode_reserve(message: bank_pb2.ReserveRequest) -> Reserve:
    return Reserve(
        AccountId(message.account),
        Money(message.amount),
        AccountId(message.destination) if message.HasField("destination") else None,
        message.lifetime_ms if message.HasField("lifetime_ms") else None,
        message.memo,
    )


def _encode_capture(command: Capture) -> bank_pb2.CaptureRequest:
    return bank_pb2.CaptureRequest(
        reservation=command.reservation,
        amount=command.amount,
        keep_rest=not command.is_final,
        memo=command.memo,
    )


def _decode_capture(message: bank_pb2.CaptureRequest) -> Capture:
    amount = Money(message.amount) if message.HasField("amount") else None
    return Capture(ReservationId(message.reservation), amount, not message.keep_rest, message.memo)


def _encode_release(command: Release) -> bank_pb2.ReleaseRequest:
    return bank_pb2.ReleaseRequest(reservation=command.reservation, amount=command.amount)


def _decode_release(message: bank_pb2.ReleaseRequest) -> Release:
    amount = Money(message.amount) if message.HasField("amount") else None
    return Release(ReservationId(message.reservation), amount)


def _encode_statement(command: ReadStatement) -> bank_pb2.GetStatementRequest:
    return bank_pb2.GetStatementRequest(
        account=command.account,
        from_ms=command.from_ms,
        to_ms=command.to_ms,
        page=b"" if command.after is None else encode_page(command.after),
        lines_max=command.lines_max,
    )


def _decode_statement(message: bank_pb2.GetStatementRequest) -> ReadStatement:
    return ReadStatement(
        AccountId(message.account),
        message.from_ms,
        message.to_ms if message.HasField("to_ms") else EXPIRES_MS_MAX,
        decode_page(message.page) if message.page else None,
        message.lines_max if message.HasField("lines_max") else LINES_MAX,
    )


def _encode_batch(command: Batch) -> bank_pb2.SubmitBatchRequest:
    if isinstance(command.commands, Moves):
        moves = _encode_moves(command.commands.columns)
        return bank_pb2.SubmitBatchRequest(moves=moves, is_atomic=command.is_atomic)
    commands = [bank_pb2.BatchCommand(**encode_write(each)) for each in command.commands]  # type: ignore[arg-type]
    return bank_pb2.SubmitBatchRequest(commands=commands, is_atomic=command.is_atomic)


def _encode_moves(columns: Columns) -> bank_pb2.Moves:
    accounts, sources, destinations, amounts, memos = columns
    return bank_pb2.Moves(
        accounts=accounts, sources=sources, destinations=destinations, amounts=amounts, memos=memos
    )


def _decode_moves(message: bank_pb2.Moves) -> Moves:
    columns = Columns(
        cast("tuple[AccountId, ...]", tuple(message.accounts)),
        tuple(message.sources),
        tuple(message.destinations),
        cast("tuple[Money, ...]", tuple(message.amounts)),
        tuple(message.memos),
    )
    complaint = columns.complaint()
    if complaint is not None:
        raise MessageDamagedError(complaint)
    return Moves(columns)


def _decode_batch(message: bank_pb2.SubmitBatchRequest) -> Batch:
    # Before the commands are taken apart, which takes a second for a million of them.
    moves = message.moves
    columns: tuple[Sized, ...] = (moves.sources, moves.destinations, moves.amounts, moves.memos)
    size = max(len(message.commands), len(moves.accounts) // 2, *map(len, columns))
    if size > BATCH_COMMANDS_MAX:
        raise MessageDamagedError(f"a batch has 1 to {BATCH_COMMANDS_MAX} commands; this one has {size}")
    if not message.HasField("moves"):
        return batch_of(map(_decode_in_batch, message.commands), is_atomic=message.is_atomic)
    if message.commands:
        raise MessageDamagedError("a batch has either commands or moves; this one has both")
    return Batch(_decode_moves(moves), message.is_atomic)


def _decode_in_batch(message: bank_pb2.BatchCommand) -> SingleWrite:
    command = decode_write(message)
    assert isinstance(command, SingleWrite), "the message has no field for any other"
    return command


def is_in_columns(message: AnyRequest) -> bool:
    """Whether a request asks for plain movements in columns."""
    return isinstance(message, bank_pb2.SubmitBatchRequest) and message.HasField("moves")


METHODS = (
    Method(
        "OpenAccount",
        OpenAccount,
        bank_pb2.OpenAccountRequest,
        _encode_opening,
        _decode_opening,
        "open_account",
    ),
    Method("GetBalance", ReadBalance, bank_pb2.GetBalanceRequest, _encode_read, _decode_read),
    Method(
        "Deposit",
        Deposit,
        bank_pb2.DepositRequest,
        lambda c: bank_pb2.DepositRequest(account=c.account, amount=c.amount, memo=c.memo),
        lambda m: Deposit(AccountId(m.account), Money(m.amount), m.memo),
        "deposit",
    ),
    Method(
        "Withdraw",
        Withdraw,
        bank_pb2.WithdrawRequest,
        lambda c: bank_pb2.WithdrawRequest(account=c.account, amount=c.amount, memo=c.memo),
        lambda m: Withdraw(AccountId(m.account), Money(m.amount), m.memo),
        "withdraw",
    ),
    Method(
        "Transfer",
        Transfer,
        bank_pb2.TransferRequest,
        lambda c: bank_pb2.TransferRequest(
            source=c.source, destination=c.destination, amount=c.amount, memo=c.memo
        ),
        lambda m: Transfer(AccountId(m.source), AccountId(m.destination), Money(m.amount), m.memo),
        "transfer",
    ),
    Method("Submit", Submit, bank_pb2.SubmitRequest, _encode_submit, _decode_submit, "submit"),
    Method("Reserve", Reserve, bank_pb2.ReserveRequest, _encode_reserve, _decode_reserve, "reserve"),
    Method("Capture", Capture, bank_pb2.CaptureRequest, _encode_capture, _decode_capture, "capture"),
    Method("Release", Release, bank_pb2.ReleaseRequest, _encode_release, _decode_release, "release"),
    Method("SubmitBatch", Batch, bank_pb2.SubmitBatchRequest, _encode_batch, _decode_batch, "submit_batch"),
    Method("GetStatement", ReadStatement, bank_pb2.GetStatementRequest, _encode_statement, _decode_statement),
)

_METHOD_OF = {method.command: method for method in METHODS}
_METHOD_IN = {method.field: method for method in METHODS if method.field}

# What a request says of itself, and a command inside of another message cannot.
_ENVELOPE_FIELDS = {"session", "freshness", "key", "durable", "at_hand"}


def method_for(command: Command) -> Method:
    """Return the method that carries `command`."""
    return _METHOD_OF[type(command)]


def encode_write(command: Command) -> dict[str, AnyRequest]:
    """Return a write's message, by its name in messages that carry any of several."""
    method = _METHOD_OF[type(command)]
    assert method.field, f"a {type(command).__name__} goes by itself only"
    return {method.field: method.encode(command)}


def decode_write(message: bank_pb2.BatchCommand | replication_pb2.Forward) -> Command:
    """Return the write that stands in a message's `command`; raises MessageDamagedError."""
    field = message.WhichOneof("command")
    if field is None:
        raise MessageDamagedError("a command is missing, or none that this version knows")
    inner = getattr(message, field)
    too_many = _ENVELOPE_FIELDS.intersection(each.name for each, _ in inner.ListFields())
    if too_many:
        raise MessageDamagedError(
            f"a command inside of another message has no {min(too_many)} of its own; "
            "set it on the message around it"
        )
    return _METHOD_IN[field].decode(inner)
