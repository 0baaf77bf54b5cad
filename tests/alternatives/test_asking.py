"""A Python program that asks, and the books."""

from collections.abc import Sequence
from random import Random

import pytest

from benchmarks.asking import Window, require_books
from benchmarks.cases import BenchmarkError
from benchmarks.transfers import ACCOUNTS, INSUFFICIENT_FUNDS, OK, OPENING_BALANCE, Transfer, new_transfers

MONEY = ACCOUNTS * OPENING_BALANCE


async def test_what_was_acknowledged_is_counted_and_the_warm_up_is_no_speed() -> None:
    now_s = 100.0
    asked: list[Transfer] = []

    async def ask(transfers: Sequence[Transfer]) -> list[str]:
        nonlocal now_s
        now_s += 0.25
        asked.extend(transfers)
        return [OK] * len(transfers)

    window = Window(2.0, warmup_s=1.0, clock=lambda: now_s)
    await window.fill(ask, new_transfers(Random(0)), 10)
    assert window.acknowledged == len(asked) == 120
    assert window.per_s == 40.0
    assert window.p50_ms == pytest.approx(250, rel=0.001)
    assert len({each.key for each in asked}) == len(asked)


async def test_a_refusal_is_no_speed_but_an_error() -> None:
    async def refuse(transfers: Sequence[Transfer]) -> list[str]:
        return [INSUFFICIENT_FUNDS] * len(transfers)

    with pytest.raises(BenchmarkError, match=r"ended as .*INSUFFICIENT_FUNDS"):
        await Window(1.0).fill(refuse, new_transfers(Random(0)), 2)


@pytest.mark.parametrize(
    ("books", "why"),
    [
        ((MONEY - 1, 5, 10, 5), "the accounts have 9999999999, not 10000000000"),
        ((MONEY, 5, 9, 5), "5 transfers have 9 postings"),
        ((MONEY, 5, 10, 6), "6 transfers were acknowledged, and 5 are there"),
    ],
)
def test_books_that_are_wrong_are_no_figure(books: tuple[int, int, int, int], why: str) -> None:
    with pytest.raises(BenchmarkError, match=why):
        require_books("Abacus", *books)


def test_books_that_are_right_pass() -> None:
    require_books("Abacus", MONEY, 5, 10, 5)
    require_books("Abacus", MONEY, 6, 12, 5)  # one had no time to be acknowledged
