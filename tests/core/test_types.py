"""What a well-formed id is, and that the bounds fit together."""

import pytest

from bankbook.core.types import (
    BRANCHES_MAX,
    ID_CHARACTERS_MAX,
    MONEY_MAX,
    BranchId,
    Incarnation,
    Origin,
    is_branch_number,
    is_id,
)


@pytest.mark.parametrize(
    "text", ["a", "7", "345", "anna@example.org", "a.b_c:d+e-f", "x" * ID_CHARACTERS_MAX]
)
def test_names_that_people_use_are_ids(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", " ", "-a", ".a", "a b", "a\n", "\na", "a/b", "é", "a\x00", "x" * (ID_CHARACTERS_MAX + 1)]
)
def test_what_could_break_a_log_a_key_or_a_line_is_no_id(text: str) -> None:
    assert not is_id(text)


def test_branches_are_numbered_from_1() -> None:
    numbers = [number for number in range(-2, BRANCHES_MAX + 9) if is_branch_number(number)]
    assert numbers == list(range(1, BRANCHES_MAX + 1))


def test_all_branches_together_cannot_take_a_balance_out_of_int64() -> None:
    assert BRANCHES_MAX * MONEY_MAX < 2**63


def test_an_origin_is_told_as_branch_and_life() -> None:
    assert str(Origin(BranchId(3), Incarnation(0xBEEF))) == "3.0000beef"
