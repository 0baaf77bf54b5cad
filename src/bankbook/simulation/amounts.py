"""The amounts that a seed's customers move: of no two sets of them is the sum the same.

Decides which amounts are left for an account. Must not know what they are for.
Proof: tests/simulation/test_plan.py.
"""

from collections import defaultdict
from random import Random

from bankbook.core.types import CustomerId, Money

# All sums stay below the largest amount that may be asked for, 2^53 - 1.
_EXPONENTS = range(34)


class Amounts:
    """Powers of three, each but once for each account: a sum tells its set, and what is counted twice."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._used: dict[CustomerId, set[int]] = defaultdict(set)

    def take(self, *accounts: CustomerId, below: Money | None = None, is_large: bool = False) -> Money | None:
        """Return an amount that is new to all these accounts; None where there is none left."""
        used = set().union(*(self._used[account] for account in accounts))
        left = [each for each in _EXPONENTS if each not in used and (below is None or 3**each < below)]
        if not left:
            return None
        # Mostly what is small against what is there; sometimes more than anybody has.
        places = self._draw.randrange(len(left)), self._draw.randrange(len(left))
        exponent = left[max(places) if is_large else min(places)]
        for account in accounts:
            self._used[account].add(exponent)
        return Money(3**exponent)
