"""What customers are answered, between protocol buffers and what a client is handed.

Decides the form of a statement's pages, which only we have to understand. Must not know what was asked.
Proof: tests/wire/test_replies.py.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.commands import Line, MoveResults, Reply, Result, Statement
from bankbook.core.entry import RecordKind
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, EntryId, Money, Origin, ReservationId, Seq
from bankbook.core.vector import Gap
from bankbook.wire.basics import (
    MessageDamagedError,
    decode_entry_id,
    decode_gap,
    decode_origin,
    encode_entry_id,
    encode_gap,
)
from bankbook.wire.v1 import bank_pb2

AnyReceipt = bank_pb2.Receipt | bank_pb2.BatchReceipt | bank_pb2.StatementPage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The hybrid clock counts milliseconds in all but these bits.
_LOGICAL_BITS = 16

# A page's form, its version first: clock, branch, incarnation, seq, leg.
_PAGE = struct.Struct(">BqHIqI")
_PAGE_VERSION = 1


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
    available: Money | None = None
    """What can be taken out, the credit line included; None where there is no floor."""
    reservation: ReservationId | None = None
    """The name of what was set aside."""
    is_replayed: bool = False
    """Whether this is what the same key was told before."""
    currency: str = ""
    """What the balance counts; empty for plain units."""

    @property
    def branch(self) -> int:
        """The branch that answered."""
        return self.info.branch

    @property
    def held_us(self) -> int:
        """How long the request was held, in microseconds."""
        return self.info.held_us


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """The answer to a batch: each command was carried out, or refused for itself."""

    results: Sequence[Result]
    """How each command ended, in their order."""
    entry: EntryId | None
    info: ReplyInfo
    is_replayed: bool = False
    """Whether this is what the same key was told before."""

    @property
    def branch(self) -> int:
        """The branch that answered."""
        return self.info.branch

    @property
    def refused(self) -> tuple[tuple[int, Result], ...]:
        """The commands that were refused, by their places in the batch, from 0."""
        if isinstance(self.results, MoveResults):
            return tuple(sorted(self.results.refused.items()))
        return tuple(
            (place, each) for place, each in enumerate(self.results) if each.outcome is not Outcome.OK
        )


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One posting on an account."""

    time_ms: int
    """Milliseconds since 1970, by the clock of the branch that decided it."""
    kind: RecordKind
    amount: Money
    """In minor units; above 0 where the account received."""
    balance: Money
    """After this line."""
    customer: str | None
    """None where a branch decided it by itself."""
    memo: str
    others: tuple[AccountId, ...]
    """The other accounts of the same transaction, at most 8 of them."""
    entry: EntryId
    leg: int
    """The posting's number, from 0, among all of its entry."""

    @property
    def time(self) -> datetime:
        """When it was decided, in UTC."""
        return EPOCH + timedelta(milliseconds=self.time_ms)


@dataclass(frozen=True, slots=True)
class StatementPage:
    """One page of a statement."""

    opening: Money
    """The balance before the first line of this page."""
    lines: tuple[StatementLine, ...]
    closing: Money
    """The balance after its last line."""
    next_page: Position | None
    """Where the next page begins; None where this is the last one."""
    info: ReplyInfo
    currency: str = ""
    """What the amounts count; empty for plain units."""
    begins_ms: int | None = None
    """Where lines from before then were asked for, and are kept no longer: `opening` is the balance at that
    moment, milliseconds since 1970."""

    @property
    def begins(self) -> datetime | None:
        """The same moment, in UTC."""
        return None if self.begins_ms is None else EPOCH + timedelta(milliseconds=self.begins_ms)

    @property
    def branch(self) -> int:
        """The branch that answered."""
        return self.info.branch


Answer = Receipt | BatchReceipt | StatementPage


def encode_answer(reply: Reply, info: ReplyInfo, *, in_columns: bool = False) -> AnyReceipt:
    """Return the message for a request that was carried out; who asked in columns is answered in columns."""
    if reply.statement is not None:
        return _encode_statement(reply.statement, info, reply.currency)
    entry = None if reply.entry is None else encode_entry_id(reply.entry)
    if in_columns and isinstance(reply.results, MoveResults):
        moves = _encode_moves(reply.results)
        return bank_pb2.BatchReceipt(
            moves=moves, entry=entry, info=encode_info(info), is_replayed=reply.is_replayed
        )
    if reply.results:
        results = [_encode_result(each) for each in reply.results]
        return bank_pb2.BatchReceipt(
            results=results, entry=entry, info=encode_info(info), is_replayed=reply.is_replayed
        )
    assert reply.balance is not None, "whatever else is carried out tells a balance"
    return bank_pb2.Receipt(
        balance=reply.balance,
        entry=entry,
        info=encode_info(info),
        available=reply.available,
        reservation=reply.reservation or "",
        is_replayed=reply.is_replayed,
        currency=reply.currency,
    )


def decode_answer(message: AnyReceipt) -> Answer:
    """Return what a branch answered; raises MessageDamagedError."""
    if isinstance(message, bank_pb2.StatementPage):
        return _decode_statement(message)
    entry = decode_entry_id(message.entry) if message.HasField("entry") else None
    info = decode_info(message.info)
    if isinstance(message, bank_pb2.BatchReceipt):
        results: Sequence[Result] = tuple(_decode_result(each) for each in message.results)
        if message.HasField("moves"):
            results = _decode_moves(message.moves)
        return BatchReceipt(results, entry, info, message.is_replayed)
    return Receipt(
        balance=Money(message.balance),
        entry=entry,
        info=info,
        available=Money(message.available) if message.HasField("available") else None,
        reservation=_decode_reservation(message.reservation),
        is_replayed=message.is_replayed,
        currency=message.currency,
    )


def _encode_moves(results: MoveResults) -> bank_pb2.MoveResults:
    unlimited = []
    if None in results.available:
        unlimited = [place for place, each in enumerate(results.available) if each is None]
    return bank_pb2.MoveResults(
        balances=results.balances,
        available=[each or 0 for each in results.available],
        unlimited=unlimited,
        refused=[
            bank_pb2.RefusedMove(place=place, result=_encode_result(result))
            for place, result in results.refused.items()
        ],
        currency=results.currency,
    )


def _decode_moves(message: bank_pb2.MoveResults) -> MoveResults:
    available: list[Money | None] = list(map(Money, message.available))
    refused = {each.place: _decode_result(each.result) for each in message.refused}
    places = range(len(message.balances))
    if len(available) != len(places) or not all(place in places for place in (*message.unlimited, *refused)):
        raise MessageDamagedError("the columns of results are not of one length")
    for place in message.unlimited:
        available[place] = None
    return MoveResults(tuple(map(Money, message.balances)), tuple(available), refused, message.currency)


def _encode_result(result: Result) -> bank_pb2.Result:
    return bank_pb2.Result(
        outcome=result.outcome.name,
        detail=result.detail,
        balance=result.balance,
        available=result.available,
        reservation=result.reservation or "",
        currency=result.currency,
    )


def _decode_result(message: bank_pb2.Result) -> Result:
    return Result(
        outcome=decode_outcome(message.outcome),
        detail=message.detail,
        balance=Money(message.balance) if message.HasField("balance") else None,
        available=Money(message.available) if message.HasField("available") else None,
        reservation=_decode_reservation(message.reservation),
        currency=message.currency,
    )


def decode_outcome(name: str) -> Outcome:
    """Return the outcome of this name; raises MessageDamagedError."""
    if name not in Outcome.__members__:
        raise MessageDamagedError(f"there is no outcome {name[:80]!r}")
    return Outcome[name]


def _decode_reservation(name: str) -> ReservationId | None:
    return ReservationId(name) if name else None


def _encode_statement(statement: Statement, info: ReplyInfo, currency: str) -> bank_pb2.StatementPage:
    assert statement.lines or not statement.has_more, "the next page begins behind a line of this one"
    return bank_pb2.StatementPage(
        opening=statement.opening,
        lines=[_encode_line(line) for line in statement.lines],
        closing=statement.closing,
        next_page=encode_page(statement.lines[-1].position) if statement.has_more else b"",
        info=encode_info(info),
        currency=currency,
        begins_ms=statement.begins_ms,
    )


def _decode_statement(message: bank_pb2.StatementPage) -> StatementPage:
    return StatementPage(
        opening=Money(message.opening),
        lines=tuple(_decode_line(line) for line in message.lines),
        closing=Money(message.closing),
        next_page=decode_page(message.next_page) if message.next_page else None,
        info=decode_info(message.info),
        currency=message.currency,
        begins_ms=_decode_ms(message.begins_ms) if message.HasField("begins_ms") else None,
    )


def _encode_line(line: Line) -> bank_pb2.StatementLine:
    position = line.position
    return bank_pb2.StatementLine(
        time_ms=position.clock >> _LOGICAL_BITS,
        kind=line.kind.value,
        amount=line.amount,
        balance=line.balance,
        customer=line.customer or "",
        memo=line.memo,
        others=line.others,
        entry=encode_entry_id(position.entry),
        leg=position.leg,
    )


def _decode_line(message: bank_pb2.StatementLine) -> StatementLine:
    if message.kind not in set(RecordKind):
        raise MessageDamagedError(f"there is no kind of record {message.kind[:80]!r}")
    return StatementLine(
        time_ms=_decode_ms(message.time_ms),
        kind=RecordKind(message.kind),
        amount=Money(message.amount),
        balance=Money(message.balance),
        customer=message.customer or None,
        memo=message.memo,
        others=tuple(AccountId(each) for each in message.others),
        entry=decode_entry_id(message.entry),
        leg=message.leg,
    )


def _decode_ms(time_ms: int) -> int:
    if not 0 <= time_ms <= HYBRID_TIME_MAX >> _LOGICAL_BITS:
        raise MessageDamagedError(f"{time_ms} is no time that a branch's clock can tell")
    return time_ms


def encode_page(after: Position) -> bytes:
    """Return the form in which a customer holds the place behind a line."""
    (branch, incarnation), seq, leg = after.origin, after.seq, after.leg
    return _PAGE.pack(_PAGE_VERSION, after.clock, branch, incarnation, seq, leg)


def decode_page(page: bytes) -> Position:
    """Return the place that `page` is the form of; raises MessageDamagedError."""
    if len(page) != _PAGE.size or page[0] != _PAGE_VERSION:
        raise MessageDamagedError(
            "this is no page of a statement; send `next_page` as the page before told it"
        )
    _, clock, branch, incarnation, seq, leg = _PAGE.unpack(page)
    if not 0 <= clock <= HYBRID_TIME_MAX or seq < 0:
        raise MessageDamagedError("the page of a statement is damaged; begin again with the first one")
    origin = decode_origin(bank_pb2.Origin(branch=branch, incarnation=incarnation))
    return Position(HybridTime(clock), Origin(*origin), Seq(seq), leg)


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
    """Return what goes along with a reply; raises MessageDamagedError."""
    return ReplyInfo(
        token=message.token,
        branch=message.branch,
        held_us=message.held_us,
        asked=message.asked,
        awaited=tuple(decode_gap(gap) for gap in message.awaited),
        request_id=message.request_id,
    )
