"""A statement, read a page at a time; and what is told of moments."""

from datetime import UTC, datetime

import pytest
from client.fake_branch import Context, fake_branch

from bankbook.client import Bank, InvalidRequestError, StatementChangedError, sync
from bankbook.client.statement import Statement
from bankbook.core.clock import HybridTime
from bankbook.core.entry import RecordKind
from bankbook.core.ports import Position
from bankbook.core.types import BranchId, EntryId, Incarnation, Money, Origin, Seq
from bankbook.wire.commands import AnyRequest
from bankbook.wire.replies import ReplyInfo, StatementLine, StatementPage, encode_page
from bankbook.wire.v1 import bank_pb2

HERE = Origin(BranchId(1), Incarnation(1))
INFO = ReplyInfo(b"", 1)


def position(seq: int) -> Position:
    return Position(HybridTime(seq << 16), HERE, Seq(seq), 0)


def line(seq: int, balance: int) -> StatementLine:
    entry = EntryId(HERE, Seq(seq))
    return StatementLine(seq, RecordKind.DEPOSIT, Money(1), Money(balance), "anna", "", (), entry, 0)


def page(opening: int, *lines: StatementLine, last: bool = False) -> StatementPage:
    closing = lines[-1].balance if lines else Money(opening)
    following = None if last else position(lines[-1].entry.seq)
    return StatementPage(Money(opening), lines, closing, following, INFO)


class Pages:
    """Hands out pages, and remembers behind which place each was asked for."""

    def __init__(self, *pages: StatementPage) -> None:
        self.left = list(pages)
        self.asked: list[Position | None] = []

    async def read(self, after: Position | None) -> StatementPage:
        self.asked.append(after)
        return self.left.pop(0)


async def test_the_lines_of_all_pages_come_in_one_row_between_an_opening_and_a_closing_balance() -> None:
    pages = Pages(page(10, line(1, 11), line(2, 12)), page(12, line(3, 13)), page(13, last=True))
    statement = Statement(pages.read)
    assert (statement.opening, statement.closing) == (None, None)
    assert [each.entry.seq async for each in statement] == [1, 2, 3]
    assert (statement.opening, statement.closing) == (10, 13)
    assert pages.asked == [None, position(2), position(3)]


async def test_an_empty_statement_has_a_balance_all_the_same() -> None:
    statement = Statement(Pages(page(10, last=True)).read)
    assert [each async for each in statement] == []
    assert (statement.opening, statement.closing) == (10, 10)


async def test_pages_that_do_not_fit_are_no_statement() -> None:
    statement = Statement(Pages(page(10, line(1, 11)), page(14, line(3, 15), last=True)).read)
    with pytest.raises(StatementChangedError, match="ends with a balance of 11, the next begins with 14"):
        [each async for each in statement]
    assert statement.closing is None


async def answer(request: AnyRequest, _context: Context) -> bank_pb2.StatementPage:
    """Two pages of one line each."""
    assert isinstance(request, bank_pb2.GetStatementRequest)
    entry = bank_pb2.EntryId(origin=bank_pb2.Origin(branch=1, incarnation=1), seq=1)
    told = bank_pb2.StatementLine(time_ms=1, kind="deposit", amount=5, balance=5, entry=entry)
    if request.page:
        return bank_pb2.StatementPage(opening=5, closing=10, lines=[told])
    return bank_pb2.StatementPage(opening=0, closing=5, lines=[told], next_page=encode_page(position(1)))


async def test_a_session_reads_statements_and_single_pages() -> None:
    async with fake_branch(answer) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        statement = session.statement(start=start, end=end, page_lines=1)
        assert [each.amount async for each in statement] == [5, 5]
        assert (statement.opening, statement.closing) == (0, 10)
        for asked in branch.asked:
            assert isinstance(asked, bank_pb2.GetStatementRequest)
            assert (asked.account, asked.from_ms, asked.to_ms) == (
                "anna",
                1_767_225_600_000,
                1_769_904_000_000,
            )
            assert asked.lines_max == 1
        first = await session.statement_page()
        assert (await session.statement_page(first.next_page)).opening == first.closing


async def test_a_moment_without_a_time_zone_is_refused_before_it_is_sent() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    async with Bank(["127.0.0.1:1"]) as bank:
        session = bank.session("anna")
        for asked in (session.balance(at=naive), session.statement_page(start=naive)):
            with pytest.raises(InvalidRequestError, match="a moment needs a time zone"):
                await asked
        with pytest.raises(InvalidRequestError, match="a moment is 0 to"):
            await session.balance(at=datetime(1969, 12, 31, tzinfo=UTC))
        for lifetime in (-1.0, float("nan"), float("inf")):
            with pytest.raises(InvalidRequestError, match="a lifetime is"):
                await session.reserve(5, lifetime=lifetime)


def test_a_statement_of_a_bank_that_nobody_asked_has_told_nothing() -> None:
    with sync.Bank(["127.0.0.1:1"]) as bank:
        statement = bank.session("anna").statement()
        assert (statement.opening, statement.closing) == (None, None)
