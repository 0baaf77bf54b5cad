"""What customers are answered, over the wire and back; and what a hostile branch can send."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import (
    accounts,
    amounts,
    anything,
    customers,
    entry_ids,
    gaps,
    memos,
    positions,
    reservations,
)

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Line, MoveResults, Reply, RequestId, Result, Statement
from bankbook.core.entry import RecordKind
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.token import EMPTY
from bankbook.core.types import EntryId, Money, ReservationId
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.replies import (
    AnyReceipt,
    BatchReceipt,
    Receipt,
    ReplyInfo,
    StatementPage,
    decode_answer,
    decode_info,
    decode_page,
    encode_answer,
    encode_info,
    encode_page,
)
from bankbook.wire.v1 import bank_pb2

numbers = st.integers(-(2**63), 2**63 - 1).map(Money)
infos = st.builds(
    ReplyInfo,
    token=st.binary(max_size=100),
    branch=st.integers(0, 2**32 - 1),
    held_us=st.integers(0, 2**64 - 1),
    asked=st.integers(0, 2**32 - 1),
    awaited=st.lists(gaps, max_size=4).map(tuple),
    request_id=st.text(st.characters(codec="utf-8"), max_size=64),
)
results = st.builds(
    Result,
    st.sampled_from(Outcome),
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.none() | numbers,
    st.none() | numbers,
    st.none() | reservations,
    st.sampled_from(["", "EUR"]),
)
lines = st.builds(
    Line,
    positions,
    st.sampled_from(RecordKind),
    numbers,
    numbers,
    st.none() | customers,
    memos,
    st.lists(accounts, max_size=8).map(tuple),
)


def over_the_wire(reply: Reply, info: ReplyInfo, *, in_columns: bool = False) -> object:
    message = encode_answer(reply, info, in_columns=in_columns)
    return decode_answer(type(message).FromString(message.SerializeToString()))


@given(infos)
def test_what_goes_along_with_a_reply_arrives_as_it_was_sent(info: ReplyInfo) -> None:
    assert decode_info(bank_pb2.ReplyInfo.FromString(encode_info(info).SerializeToString())) == info


@given(
    infos,
    numbers,
    st.none() | entry_ids,
    st.none() | numbers,
    st.none() | reservations,
    st.booleans(),
    st.sampled_from(["", "EUR"]),
)
def test_a_receipt_arrives_as_it_was_sent(
    info: ReplyInfo,
    balance: Money,
    entry: EntryId | None,
    available: Money | None,
    reservation: ReservationId | None,
    replayed: bool,
    currency: str,
) -> None:
    reply = Reply(
        RequestId(1),
        Outcome.OK,
        EMPTY,
        balance=balance,
        entry=entry,
        available=available,
        reservation=reservation,
        is_replayed=replayed,
        currency=currency,
    )
    expected = Receipt(balance, entry, info, available, reservation, replayed, currency)
    assert over_the_wire(reply, info) == expected


@given(infos, st.lists(results, min_size=1, max_size=4).map(tuple), st.none() | entry_ids, st.booleans())
def test_the_receipt_of_a_batch_arrives_as_it_was_sent(
    info: ReplyInfo, results: tuple[Result, ...], entry: EntryId | None, replayed: bool
) -> None:
    reply = Reply(RequestId(1), Outcome.OK, EMPTY, entry=entry, results=results, is_replayed=replayed)
    assert over_the_wire(reply, info) == BatchReceipt(results, entry, info, replayed)


refusals = results.filter(lambda result: result.outcome is not Outcome.OK)


@st.composite
def move_results(draw: st.DrawFn) -> MoveResults:
    told = draw(st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=5))
    refused = draw(st.dictionaries(st.integers(0, len(told) - 1), refusals))
    told = [(Money(0), Money(0)) if place in refused else each for place, each in enumerate(told)]
    balances, available = zip(*told, strict=True)
    return MoveResults(balances, available, refused, draw(st.sampled_from(["", "EUR"])))


@given(infos, move_results(), st.booleans())
def test_the_receipt_of_movements_arrives_in_columns_for_who_asked_so_and_one_by_one_for_others(
    info: ReplyInfo, moved: MoveResults, in_columns: bool
) -> None:
    reply = Reply(RequestId(1), Outcome.OK, EMPTY, results=moved)
    receipt = over_the_wire(reply, info, in_columns=in_columns)
    assert isinstance(receipt, BatchReceipt)
    assert list(receipt.results) == list(moved)
    assert isinstance(receipt.results, MoveResults) == in_columns
    assert receipt.refused == tuple(
        (place, each) for place, each in enumerate(moved) if each.outcome is not Outcome.OK
    )


def test_the_receipt_of_a_batch_points_to_what_was_refused() -> None:
    done, refused = Result(Outcome.OK, balance=Money(5)), Result(Outcome.INSUFFICIENT_FUNDS, "no")
    receipt = BatchReceipt((done, refused, done), None, ReplyInfo(b"", 1))
    assert receipt.refused == ((1, refused),)


@given(infos, numbers, st.lists(lines, max_size=4).map(tuple), numbers, st.booleans())
def test_a_page_of_a_statement_arrives_as_it_was_sent(
    info: ReplyInfo, opening: Money, lines: tuple[Line, ...], closing: Money, more: bool
) -> None:
    has_more = more and bool(lines)
    statement = Statement(opening, lines, closing, has_more)
    page = over_the_wire(Reply(RequestId(1), Outcome.OK, EMPTY, statement=statement, currency="EUR"), info)
    assert isinstance(page, StatementPage)
    assert (page.opening, page.closing, page.info) == (opening, closing, info)
    assert page.currency == "EUR"
    assert page.next_page == (lines[-1].position if has_more else None)
    for told, line in zip(page.lines, lines, strict=True):
        position = line.position
        assert (told.kind, told.amount, told.balance) == (line.kind, line.amount, line.balance)
        assert (told.customer, told.memo, told.others) == (line.customer, line.memo, line.others)
        assert (told.entry, told.leg) == (EntryId(position.origin, position.seq), position.leg)
        assert told.time_ms == position.clock // 2**16


def test_a_line_tells_when_it_was_decided_to_the_millisecond() -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
    clock = HybridTime(int(moment.timestamp() * 1000) << 16 | 7)
    position = entry_at(clock)
    line = Line(position, RecordKind.DEPOSIT, Money(1), Money(1), None, "", ())
    statement = Statement(Money(0), (line,), Money(1), has_more=False)
    page = over_the_wire(Reply(RequestId(1), Outcome.OK, EMPTY, statement=statement), ReplyInfo(b"", 1))
    assert isinstance(page, StatementPage)
    assert page.lines[0].time == moment


def entry_at(clock: HybridTime) -> Position:
    return decode_page(encode_page(Position(clock, *entry_id(), 0)))


def entry_id() -> EntryId:
    message = bank_pb2.Receipt(entry=bank_pb2.EntryId(origin=bank_pb2.Origin(branch=1, incarnation=7), seq=3))
    receipt = decode_answer(message)
    assert isinstance(receipt, Receipt)
    assert receipt.entry is not None
    return receipt.entry


@given(positions)
def test_where_a_page_begins_arrives_as_it_was_sent(position: Position) -> None:
    assert decode_page(encode_page(position)) == position


@given(st.binary(max_size=40) | st.binary(min_size=26, max_size=26).map(lambda rest: b"\x01" + rest))
def test_bytes_that_are_no_page_are_called_damaged(page: bytes) -> None:
    with suppress(MessageDamagedError):
        assert encode_page(decode_page(page)) == page


def test_a_receipt_without_a_balance_is_a_bug_of_ours_and_never_a_balance_of_zero() -> None:
    with pytest.raises(AssertionError):
        encode_answer(Reply(RequestId(1), Outcome.OK, EMPTY), ReplyInfo(b"", 1))


@given(anything(bank_pb2.Receipt) | anything(bank_pb2.BatchReceipt) | anything(bank_pb2.StatementPage))
def test_whatever_a_hostile_branch_answers_is_an_answer_or_is_called_damaged(message: AnyReceipt) -> None:
    with suppress(MessageDamagedError):
        assert decode_answer(message).info.token == message.info.token


@pytest.mark.parametrize("outcome", ["", "ok", "NEVER_HEARD_OF"])
def test_an_outcome_that_nobody_knows_is_called_damaged(outcome: str) -> None:
    with pytest.raises(MessageDamagedError, match="there is no outcome"):
        decode_answer(bank_pb2.BatchReceipt(results=[bank_pb2.Result(outcome=outcome)]))


def test_an_answer_that_waited_for_an_impossible_branch_is_called_damaged() -> None:
    whole = bank_pb2.Gap(origin=bank_pb2.Origin(branch=1, incarnation=1))
    with pytest.raises(MessageDamagedError):
        decode_info(bank_pb2.ReplyInfo(awaited=[whole, bank_pb2.Gap()]))


@given(amounts)
def test_a_line_of_a_kind_or_a_time_that_nobody_knows_is_called_damaged(amount: Money) -> None:
    for line in (
        bank_pb2.StatementLine(kind="gift", amount=amount),
        bank_pb2.StatementLine(kind="deposit", time_ms=-1),
        bank_pb2.StatementLine(kind="deposit", time_ms=2**62),
    ):
        with pytest.raises(MessageDamagedError):
            decode_answer(bank_pb2.StatementPage(lines=[line]))
