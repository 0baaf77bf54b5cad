"""What a store remembers of accounts: bounded, and never older than what was committed."""

from collections.abc import Collection

import pytest
from store.history import ACCOUNTS, ALICE, BOB, HERE

from bankbook.core.ports import Account, Holding, Row, row_of
from bankbook.core.types import AccountId, Money, Seq
from bankbook.store.rows import Rows


class Table:
    """A table that counts what it is asked for."""

    def __init__(self) -> None:
        self.rows: dict[AccountId, Row] = {}
        self.asked: list[list[AccountId]] = []

    def read(self, accounts: Collection[AccountId]) -> dict[AccountId, Row]:
        self.asked.append(list(accounts))
        return {account: self.rows[account] for account in accounts if account in self.rows}


@pytest.fixture
def table() -> Table:
    return Table()


def row(balance: int) -> Row:
    return row_of(Account(Money(balance)), {HERE: Holding(Seq(1), Money(balance))})


def test_a_row_is_read_once_and_so_is_that_there_is_none(table: Table) -> None:
    table.rows[ALICE] = row(1)
    rows = Rows(table.read, clean_max=9)
    for _ in range(2):
        assert rows.row(ALICE) == row(1)
        assert rows.row(BOB) is None
    assert table.asked == [[ALICE], [BOB]]


def test_what_a_step_needs_is_read_at_once_and_only_what_is_cold(table: Table) -> None:
    rows = Rows(table.read, clean_max=9)
    rows.keep({ALICE: row(1)})
    rows.row(BOB)
    rows.rows([ALICE, BOB, *ACCOUNTS[1:3]])
    assert table.asked == [[BOB], list(ACCOUNTS[1:3])]


def test_what_was_not_asked_for_is_forgotten_and_what_was_is_not(table: Table) -> None:
    rows = Rows(table.read, clean_max=2)
    often, *others = ACCOUNTS
    for account in (*others, *others):
        rows.row(account)
        rows.row(often)
    asked = [account for read in table.asked for account in read]
    assert asked.count(often) == 1
    assert all(asked.count(other) == 2 for other in others)


def test_what_the_table_does_not_have_yet_is_never_forgotten(table: Table) -> None:
    rows = Rows(table.read, clean_max=1)
    rows.keep({ALICE: row(2)})
    for account in ACCOUNTS[1:]:
        rows.row(account)
    assert rows.row(ALICE) == row(2)
    rows.freeze()
    for account in ACCOUNTS[1:]:
        rows.row(account)
    assert rows.row(ALICE) == row(2), "it is being written, and is not there yet"
    table.rows[ALICE] = row(2)
    rows.settle()
    assert rows.row(ALICE) == row(2)


def test_of_a_row_that_was_forgotten_once_and_changed_then_the_new_one_counts(table: Table) -> None:
    table.rows[ALICE] = row(1)
    rows = Rows(table.read, clean_max=0)
    rows.row(ALICE)
    rows.row(BOB)
    rows.keep({ALICE: row(2)})
    rows.freeze()
    for account in (BOB, ALICE, BOB, ALICE):
        rows.rows([account])
        assert rows.row(ALICE) == row(2)
