"""Balances decode to what all explaining sets have in common, compared with trying every set."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.checkers.decoding import SUMS_MAX, Budget, Decoder, Shown

AMOUNTS = st.lists(st.integers(-9, 9).filter(bool), max_size=7)


def tried(amounts: list[int], total: int, count: int) -> Shown | None:
    """What all sets among the first `count` amounts that sum to `total` have in common, and contain."""
    explaining = [
        sum(1 << bit for bit in chosen)
        for size in range(count + 1)
        for chosen in combinations(range(count), size)
        if sum(amounts[bit] for bit in chosen) == total
    ]
    if not explaining:
        return None
    must, may = explaining[0], 0
    for each in explaining:
        must, may = must & each, may | each
    return Shown(must, may)


@given(AMOUNTS, st.integers(-40, 40), st.data())
def test_any_amounts(amounts: list[int], total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(amounts)))
    assert Decoder(amounts, Budget()).decode(total, count) == tried(amounts, total, count)


@given(st.permutations([1, -3, 9, -27, 81]), st.integers(-40, 100), st.integers(0, 5))
def test_powers_in_any_order(amounts: list[int], total: int, count: int) -> None:
    decoder = Decoder(amounts, Budget())
    assert decoder.is_exact
    assert decoder.decode(total, count) == tried(amounts, total, count)


def test_equal_amounts_tell_nothing_in_between_and_everything_at_the_ends() -> None:
    decoder = Decoder([10] * 100, Budget())
    everything = (1 << 100) - 1
    assert decoder.decode(0, 100) == Shown(0, 0)
    assert decoder.decode(1000, 100) == Shown(everything, everything)
    assert decoder.decode(500, 100) == Shown(0, everything)
    assert decoder.decode(505, 100) is None


@pytest.mark.parametrize("budget", [Budget(), Budget(100)])
def test_too_many_sums_leave_everything_open_but_the_ends(budget: Budget) -> None:
    amounts = [1000 + 7 * number**2 for number in range(40)]
    decoder = Decoder(amounts, budget)
    found = decoder.decode(sum(amounts[:20]), 40)
    assert decoder.has_given_up
    assert found == Shown(0, (1 << 40) - 1)
    assert decoder.decode(0, 40) == Shown(0, 0)
    assert decoder.decode(-1, 40) is None
    assert decoder.decode(sum(amounts) + 1, 40) is None


def test_fifty_two_powers_of_two_fit_in_the_largest_amount() -> None:
    decoder = Decoder([1 << bit for bit in range(53)], Budget())
    assert decoder.decode(2**53 - 1, 53) == Shown(2**53 - 1, 2**53 - 1)
    assert SUMS_MAX < 2**53
