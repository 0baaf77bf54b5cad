"""Movements as columns: what they are, what no columns can be, and what they sum up to."""

import pytest

from bankbook.core.columns import Columns, Flows, Movement
from bankbook.core.types import MONEY_MAX, AccountId, Money, are_ids, is_id

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
MOVEMENTS = [
    Movement(A, B, Money(5), "rent"),
    Movement(None, A, Money(7)),
    Movement(B, None, Money(2)),
    Movement(A, A, Money(1)),
]
COLUMNS = Columns.of(MOVEMENTS)


def test_movements_come_out_of_columns_as_they_went_in() -> None:
    assert [COLUMNS.movement(place) for place in range(COLUMNS.size)] == MOVEMENTS
    assert COLUMNS.complaint() is None
    assert COLUMNS.are_plain()


def test_flows_sum_up_what_moves_but_for_what_did_not_happen() -> None:
    assert COLUMNS.flows() == Flows((A, B), [Money(2), Money(3)])
    assert COLUMNS.flows(without={0, 2}) == Flows((A,), [Money(7)])


def test_uses_sum_up_what_is_taken_out_but_for_what_did_not_happen() -> None:
    assert COLUMNS.uses() == ([6, 2], [2, 1])
    assert COLUMNS.uses(without={0, 2}) == ([1, 0], [1, 0])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (COLUMNS._replace(sources=(1,)), "not of one length"),
        (COLUMNS._replace(memos=("rent",)), "not of one length"),
        (COLUMNS._replace(accounts=(A, B, C)), "by their places"),
        (COLUMNS._replace(sources=(1, 0, 2, 3)), "by their places"),
        (COLUMNS._replace(sources=(1, 0, 2, -1)), "by their places"),
        (COLUMNS._replace(sources=(True, 0, 2, 1)), "by their places"),
        (COLUMNS._replace(accounts=(A, A)), "stands twice"),
        (COLUMNS._replace(destinations=(2, 0, 0, 1)), "neither"),
    ],
)
def test_what_no_columns_can_be_is_told(columns: Columns, words: str) -> None:
    assert words in (columns.complaint() or "")


@pytest.mark.parametrize(
    "columns",
    [
        COLUMNS._replace(accounts=(A, AccountId(""))),
        COLUMNS._replace(accounts=(A, AccountId("b\nc"))),
        COLUMNS._replace(accounts=(A, 5)),  # type: ignore[arg-type]
        COLUMNS._replace(amounts=(5, 7, 2, -1)),  # type: ignore[arg-type]
        COLUMNS._replace(amounts=(5, 7, 2, MONEY_MAX + 1)),  # type: ignore[arg-type]
        COLUMNS._replace(amounts=(5, 7, 2, True)),  # type: ignore[arg-type]
        COLUMNS._replace(amounts=(5, 7, 2, 1.0)),  # type: ignore[arg-type]
        COLUMNS._replace(memos=("two\nlines", "", "", "")),
    ],
)
def test_a_malformed_name_amount_or_memo_is_not_plain(columns: Columns) -> None:
    assert columns.complaint() is None
    assert not columns.are_plain()


@pytest.mark.parametrize("name", ["a", "", "b\n", "\n", "a\nb", "ä", "-a", "a" * 64, "a" * 65, "a b"])
def test_many_ids_are_told_apart_from_others_as_one_is(name: str) -> None:
    assert are_ids(["before", name, "behind"]) == is_id(name)


def test_no_names_at_all_are_ids() -> None:
    assert are_ids([])
