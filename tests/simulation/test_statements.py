"""What a statement must say, against the core's own on a bank of two branches, and by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bank_in_one_thread import ANNA, BERT, BankInOneThread

from bankbook.core import statement as statement_module
from bankbook.core.commands import Deposit, ReadStatement, Statement, Transfer
from bankbook.core.types import Money, Seq
from bankbook.core.vector import NOTHING
from bankbook.simulation.promises import Promise
from bankbook.simulation.run import simulate
from bankbook.simulation.statements import Page, Sheets


def moved() -> tuple[Sheets, BankInOneThread]:
    """Return the books of a bank in which three entries move something, and the bank."""
    bank = BankInOneThread(2, opening_balance=100)
    bank.do(1, Deposit(ANNA, Money(1)))
    bank.do(1, Transfer(ANNA, BERT, Money(3)))
    bank.do(1, Deposit(ANNA, Money(9)))
    sheets = Sheets(100)
    origin = bank.stores[1].identity.origin
    for entry in bank.stores[1].entries(origin, Seq(0), 10):
        sheets.add(entry)
    return sheets, bank


def test_a_statement_has_what_was_applied_in_order_and_adds_up() -> None:
    sheets, bank = moved()
    page = sheets.page(ReadStatement(ANNA), bank.stores[1].applied())
    assert [(amount, balance) for _, _, amount, balance in page.lines] == [(1, 101), (-3, 98), (9, 107)]
    assert (page.opening, page.closing, page.has_more) == (100, 107, False)
    assert sheets.page(ReadStatement(ANNA), NOTHING) == Page(100, (), 100, False)


def test_pages_follow_one_another() -> None:
    sheets, bank = moved()
    applied = bank.stores[1].applied()
    command = ReadStatement(ANNA, lines_max=2)
    first = sheets.page(command, applied)
    assert (len(first.lines), first.closing, first.has_more) == (2, 98, True)
    last = bank.do(1, command).statement
    assert last is not None
    second = sheets.page(replace(command, after=last.lines[-1].position), applied)
    assert (second.opening, [line[2] for line in second.lines], second.has_more) == (98, [9], False)


def test_a_window_opens_with_what_was_before_it() -> None:
    sheets, bank = moved()
    told = bank.do(1, ReadStatement(ANNA)).statement
    assert told is not None
    at_ms = told.lines[0].position.clock >> 16
    applied = bank.stores[1].applied()
    assert sheets.page(ReadStatement(ANNA, to_ms=at_ms), applied).lines == ()
    assert sheets.page(ReadStatement(ANNA, from_ms=at_ms), applied).opening == 100
    assert sheets.page(ReadStatement(ANNA, from_ms=at_ms + 1), applied).opening == 107


def forget_a_line(real: Callable[..., Statement]) -> Callable[..., Statement]:
    def read(*arguments: Any) -> Statement:
        found = real(*arguments)
        return found._replace(lines=found.lines[:-1])

    return read


def test_a_bank_that_leaves_out_a_line_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_module, "_read", forget_a_line(statement_module._read))
    found = (simulate(seed).violation for seed in range(20))
    assert next(each for each in found if each is not None).promise == Promise.STATEMENTS
