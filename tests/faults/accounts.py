"""Which accounts customers use, and amounts by which a balance tells what it counts.

Decides accounts and amounts. Must not know who asks what. On each account every write has a power of three of
its own (docs/history.md says why); once these are used up, another account takes its place.
Proof: tests/faults/test_accounts.py.
"""

from dataclasses import dataclass, field
from random import Random

# 3^0 to 3^32: all together stay far below what an account may hold.
POWERS = 33

# As few accounts at a time as make customers meet on them.
AT_A_TIME = 6

# An account that has fewer powers left is left to who reads it.
_LEFT_MIN = 3

# Of looking at an account, in how many cases at one in use.
_IN_USE = 0.9


@dataclass(eq=False)
class Account:
    """One account, and what has not been used of it."""

    name: str
    floor: int | None
    free: list[int] = field(default_factory=lambda: list(range(POWERS)))
    """The exponents that nobody has used, in ascending order."""


class Accounts:
    """All accounts of one bank."""

    def __init__(self, draw: Random) -> None:
        self.open: list[Account] = []
        """Those that somebody was told to be open."""
        self._draw = draw
        self._drawn = 0

    def new(self) -> Account:
        """Return an account that is to be opened: with a floor of 0, a credit line, or no floor.

        Without money, and with a credit line of 3^n and a little, what several customers take out at once is
        soon too much: each n-th power fits, and no two of the large ones.
        """
        self._drawn += 1
        power = self._draw.randrange(6, 24)
        lines = [3**power, 3**power + 3 ** (power - 2), 3**power + 3 ** (power // 2)]
        floor = self._draw.choice([0, None, *(-line for line in lines)])
        return Account(f"account-{self._drawn}", floor)

    def in_use(self) -> list[Account]:
        """Return the first few that have powers left."""
        return [account for account in self.open if len(account.free) >= _LEFT_MIN][:AT_A_TIME]

    def some(self, count: int) -> list[Account]:
        """Return so many different accounts; none where there are fewer in use."""
        in_use = self.in_use()
        return self._draw.sample(in_use, count) if len(in_use) >= count else []

    def any_name(self) -> str:
        """Return the name of an account to look at."""
        in_use = self.in_use()
        return self._draw.choice(in_use if in_use and self._draw.random() < _IN_USE else self.open).name

    def take(self, accounts: list[Account], at_most: int | None = None) -> int | None:
        """Return an amount that is new to all these accounts; None where there is none left.

        With `at_most`, it is the largest that is no more, if there is one: several customers who know the
        same then try to take out together what each could alone.
        """
        free = [each for each in accounts[0].free if all(each in other.free for other in accounts[1:])]
        if not free:
            return None
        covered = [each for each in free if at_most is not None and 3**each <= at_most]
        power = covered[-1] if covered else min(self._draw.choices(free, k=2))
        for account in accounts:
            account.free.remove(power)
        return int(3**power)
