"""What a well-formed id is, and that the bounds fit together."""

import pytest

from bankbook.core.types import (
    BRANCHES_MAX,
    ID_CHARACTERS_MAX,
    MONEY_MAX,
    BranchId,
    EntryId,
    Incarnation,
    Key,
    Origin,
    ReservationId,
    Seq,
    birth_branch,
    chosen_branch,
    is_branch_number,
    is_id,
    is_key,
    new_key,
    reservation_id,
    reserving_branch,
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


BRANCHES = tuple(BranchId(branch) for branch in range(1, 11))


def test_keys_that_are_made_one_after_the_other_stand_one_after_the_other() -> None:
    """So a store that has millions of them writes the new ones side by side."""
    times_ms = [0, 1, 9, 10, 255, 256, 999_999_999, 2**48 - 1]
    keys = [new_key(2, made_ms, drawn) for made_ms in times_ms for drawn in (0, 2**80 - 1)]
    assert keys == sorted(set(keys))
    assert {len(key) for key in keys} == {len("2/") + 32}
    assert all(is_key(key) and birth_branch(key, (BranchId(1), BranchId(2))) == 2 for key in keys)


def test_a_key_can_be_made_when_the_clock_has_run_for_ever() -> None:
    assert is_key(new_key(2, 2**80, 0))


def test_a_key_is_born_where_it_says_or_where_its_checksum_falls() -> None:
    assert birth_branch(Key("7/pay"), BRANCHES) == 7
    assert birth_branch(Key("anna"), BRANCHES) == chosen_branch("anna", BRANCHES) == 4


def test_a_key_that_names_a_branch_this_bank_does_not_have_is_born_at_one_it_has() -> None:
    assert birth_branch(Key("99/pay"), BRANCHES) == chosen_branch("99/pay", BRANCHES)


def test_the_name_of_a_reservation_tells_the_branch_that_decides_it() -> None:
    entry = EntryId(Origin(BranchId(3), Incarnation(0xBEEF)), Seq(17))
    name = reservation_id(entry, 2)
    assert name == "3.0000beef-17-2"
    assert reserving_branch(name) == 3


@pytest.mark.parametrize(
    "name",
    ["", "3", "0.0000beef-17-2", "257.0000beef-17-2", "3.beef-17-2", "3.0000beef-17", "3.0000beef-17-2\n"],
)
def test_what_was_never_told_as_a_reservation_names_no_branch(name: str) -> None:
    assert reserving_branch(ReservationId(name)) is None
