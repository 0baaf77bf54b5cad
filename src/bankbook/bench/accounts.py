"""Which accounts are chosen, how often.

Decides the shape of the choice. Must not know what is done with an account.
Proof: tests/bench/test_accounts.py.
"""

import math
from random import Random
from typing import Protocol

from bankbook.bench.settings import Skew
from bankbook.core.types import AccountId

# As in the Yahoo! Cloud Serving Benchmark: just below 1, where the most popular of ten thousand gets a tenth.
ZIPF_EXPONENT = 0.99

# A prime above ACCOUNTS_MAX has no factor with any number of accounts in common, so that every rank falls on
# an account of its own.
_SCATTER = 2_147_483_647

_HOT = 0


class Chooser(Protocol):
    """Chooses accounts, by their numbers from 0."""

    def one(self, chance: Random) -> int:
        """Choose an account."""
        ...

    def two(self, chance: Random) -> tuple[int, int]:
        """Choose two different ones."""
        ...


def account_name(number: int) -> AccountId:
    """Return what the account of this number is called."""
    return AccountId(f"bench-{number}")


def chooser_for(skew: Skew, accounts: int) -> Chooser:
    """Return what chooses among so many accounts."""
    match skew:
        case Skew.UNIFORM:
            return Uniform(accounts)
        case Skew.ZIPF:
            return Zipf(accounts)
        case Skew.HOT:
            return Hot(accounts)


class Uniform:
    """Chooses each account as often as any other one."""

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    def one(self, chance: Random) -> int:
        """Choose an account."""
        return int(chance.random() * self._accounts)

    def two(self, chance: Random) -> tuple[int, int]:
        """Choose two different ones."""
        first = self.one(chance)
        return first, (first + 1 + int(chance.random() * (self._accounts - 1))) % self._accounts


class Zipf:
    """Chooses the account of rank k in proportion to 1/k^s; neighbours in rank are far apart in number.

    By rejection and inversion: the same few steps for any number of accounts, and no table (Hörmann and
    Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", 1996).
    """

    def __init__(self, accounts: int, exponent: float = ZIPF_EXPONENT) -> None:
        self._accounts = accounts
        self._exponent = exponent
        self._top = self._area(1.5) - 1
        self._bottom = self._area(accounts + 0.5)
        self._surely = 2 - self._inverse(self._area(2.5) - self._weight(2))

    def one(self, chance: Random) -> int:
        """Choose an account."""
        return self.rank(chance) * _SCATTER % self._accounts

    def two(self, chance: Random) -> tuple[int, int]:
        """Choose two different ones."""
        first = second = self.one(chance)
        while second == first:
            second = self.one(chance)
        return first, second

    def rank(self, chance: Random) -> int:
        """Choose a rank, from 1."""
        while True:
            area = self._bottom + chance.random() * (self._top - self._bottom)
            x = self._inverse(area)
            rank = min(max(int(x + 0.5), 1), self._accounts)
            if rank - x <= self._surely or area >= self._area(rank + 0.5) - self._weight(rank):
                return rank

    def _weight(self, x: float) -> float:
        return math.exp(-self._exponent * math.log(x))

    def _area(self, x: float) -> float:
        """Return the integral of the weight, from 1 to x."""
        if self._exponent == 1:
            return math.log(x)
        return math.expm1((1 - self._exponent) * math.log(x)) / (1 - self._exponent)

    def _inverse(self, area: float) -> float:
        if self._exponent == 1:
            return math.exp(area)
        return math.exp(math.log1p(area * (1 - self._exponent)) / (1 - self._exponent))


class Hot:
    """One account is a side of everything, the other side any other one; money goes either way."""

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    def one(self, chance: Random) -> int:  # noqa: ARG002  (always the same)
        """Choose the hot account."""
        return _HOT

    def two(self, chance: Random) -> tuple[int, int]:
        """Choose the hot account and another one."""
        other = 1 + int(chance.random() * (self._accounts - 1))
        return (_HOT, other) if chance.random() < 0.5 else (other, _HOT)  # noqa: PLR2004  (either way)
