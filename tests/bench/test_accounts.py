"""How often which account is chosen."""

from collections import Counter
from random import Random

import pytest

from bankbook.bench.accounts import Hot, Uniform, Zipf, chooser_for
from bankbook.bench.settings import ACCOUNTS_MAX, Skew

DRAWS = 100_000


@pytest.mark.parametrize("exponent", [0.5, 0.99, 1.0, 1.5])
def test_the_popularity_of_a_rank_follows_zipfs_law(exponent: float) -> None:
    chance, zipf = Random(1), Zipf(1000, exponent)
    drawn = Counter(zipf.rank(chance) for _ in range(DRAWS))
    whole = sum(rank**-exponent for rank in range(1, 1001))
    for rank in (1, 2, 3, 10, 100):
        expected = DRAWS * rank**-exponent / whole
        assert drawn[rank] == pytest.approx(expected, abs=5 * expected**0.5)  # five standard deviations
    assert set(drawn) <= set(range(1, 1001))


@pytest.mark.parametrize("accounts", [1, 2, 10, 7919, 10_000])
def test_each_rank_is_an_account_of_its_own(accounts: int) -> None:
    chance, zipf = Random(1), Zipf(accounts)
    ranks = iter(range(1, accounts + 1))
    zipf.rank = lambda chance: next(ranks)  # type: ignore[method-assign]  # noqa: ARG005
    assert sorted(zipf.one(chance) for _ in range(accounts)) == list(range(accounts))


def test_the_most_popular_of_many_accounts_are_not_neighbours() -> None:
    zipf = Zipf(ACCOUNTS_MAX)
    ranks = iter([1, 2])
    zipf.rank = lambda chance: next(ranks)  # type: ignore[method-assign]  # noqa: ARG005
    first, second = zipf.one(Random(1)), zipf.one(Random(1))
    assert abs(first - second) > 1000


def test_uniform_choice_favours_nobody_on_either_side() -> None:
    chance, uniform = Random(1), Uniform(10)
    pairs = [uniform.two(chance) for _ in range(DRAWS)]
    for side in (0, 1):
        drawn = Counter(pair[side] for pair in pairs)
        assert set(drawn) == set(range(10))
        assert all(count == pytest.approx(DRAWS / 10, rel=0.05) for count in drawn.values())
    assert Counter(pairs).keys() == {(i, j) for i in range(10) for j in range(10) if i != j}


def test_the_hot_account_is_a_side_of_everything_and_money_goes_either_way() -> None:
    chance, hot = Random(1), Hot(10)
    pairs = [hot.two(chance) for _ in range(DRAWS)]
    assert all((first == 0) != (second == 0) for first, second in pairs)
    assert sum(first == 0 for first, _ in pairs) == pytest.approx(DRAWS / 2, rel=0.05)
    assert {hot.one(chance) for _ in range(100)} == {0}


@pytest.mark.parametrize("skew", Skew)
def test_two_accounts_are_always_different_and_there(skew: Skew) -> None:
    chance = Random(1)
    for accounts in (2, 3, 100):
        for first, second in (chooser_for(skew, accounts).two(chance) for _ in range(1000)):
            assert first != second
            assert {first, second} <= set(range(accounts))
