"""Which accounts customers use, and amounts by which a balance tells what it counts.

Decides accounts and amounts. Must not know who asks what. On each account every write has a power of three of its
own (docs/history.md says why); once these are used up, another account takes its place.
Proof: tests/faults/test_customers.py.
"""

from dataclasses import dataclass, field
from random import Random

# 3^0 to 3^32: all together stay below a third of what an account may hold.
_POWERS = 33

# As few accounts at a time as make customers meet on them.
_AT_A_TIME = 6

# An account that has fewer powers left is left to who reads it.
_LEFT_MIN = 3


@dataclass
class Account:
    """One account: what was used of it, and what is known of it."""

    name: str
    floor: int | None
    free: list[int] = field(default_factory=lambda: list(range(_POWERS)))
    """Exponents that nobody has used."""


class Accounts:
    """All accounts of one bank, those that are open already and those that are to come."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self.open: list[Account] = []
        self._drawn = 0

    def draw_new(self) -> Account:
        """Return the next account to be opened: without money, with a floor of 0, a credit line or none."""
        self._drawn += 1
        place = self._draw.randrange(6, 24)
        floors = [0, None, -(3**place), -(3**place + 3 ** (place - 2)), -(3**place + 3 ** (place // 2))]
        return Account(f"account-{self._drawn}", self._draw.choice(floors))

    def current(self) -> list[Account]:
        """Return those in use now."""
        left = [account for account in self.open if len(account.free) >= _LEFT_MIN]
        return left[:_AT_A_TIME]

    def some(self, count: int) -> list[Account]:
        """Return different accounts; fewer where fewer are in use."""
        current = self.current()
        return self._draw.sample(current, min(count, len(current)))

    def any_name(self) -> str:
        """Return the name of an account to look at: mostly of one in use."""
        current = self.current()
        return self._draw.choice(current if current and self._draw.random() < 0.9 else self.open).name

    def take(self, *accounts: Account, at_most: int | None = None) -> int | None:
        """Return a new amount for all these accounts; None where there is none left.

        With `at_most`, the largest that is no more, if there is one: several customers who know the same
        then try to take out together what each alone could.
        """
        free = [each for each in accounts[0].free if all(each in other.free for other in accounts[1:])]
        if not free:
            return None
        covered = [] if at_most is None else [each for each in free if 3**each <= at_most]
        exponent = covered[-1] if covered else min(self._draw.choice(free), self._draw.choice(free))
        for account in accounts:
            account.free.remove(exponent)
        return int(3**exponent)
