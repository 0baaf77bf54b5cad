"""From a balance to the writes it shows.

Decides which of an account's writes a balance must and may include. Must not know what follows from that.
Proof: tests/checkers/test_decoding.py, against all subsets.

A balance is the sum of the amounts that are visible. Where every amount is larger than all smaller ones
together (1, 2, 4, ... or 1, 3, 9, ...; withdrawals count by their size), it decodes to exactly one set: the
knapsack of Merkle and Hellman (1978, section III). Otherwise the sums of all sets are listed, as long as
they are few; a sum with several sets still says what they have in common.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

# Different sums of one account. Equal amounts, which scenarios like, have few; 1,000 of them fit.
SUMS_MAX = 2048

# For all accounts together: a few seconds' worth. An account beyond it is not decoded.
STEPS_PER_HISTORY_MAX = 10_000_000


class Shown(NamedTuple):
    """What a result reveals, as bitsets of an account's writes in the order they were called."""

    must: int
    """Visible, however the result came about."""
    may: int
    """Everything else was not visible."""


class Budget:
    """How many steps are left for listing sums."""

    def __init__(self, steps: int = STEPS_PER_HISTORY_MAX) -> None:
        self.steps = steps


class Decoder:
    """The amounts of one account's writes, in the order they were called."""

    def __init__(self, amounts: Sequence[int], budget: Budget) -> None:
        assert all(amounts), "a write that moves nothing is seen in no balance"
        self._amounts = amounts
        self._budget = budget
        self._negative = sum(1 << bit for bit, amount in enumerate(amounts) if amount < 0)
        ranked = sorted((abs(amount), 1 << bit) for bit, amount in enumerate(amounts))
        self._sizes = [size for size, _ in ranked]
        self._bits = [bit for _, bit in ranked]
        below = accumulate(self._sizes, initial=0)
        self.is_exact = all(size > total for size, total in zip(self._sizes, below, strict=False))
        self._least = list(accumulate((min(amount, 0) for amount in amounts), initial=0))
        self._most = list(accumulate((max(amount, 0) for amount in amounts), initial=0))
        self._known: dict[int, Shown | None] = {}
        self._sums: dict[int, Shown] | None = {0: Shown(0, 0)}
        self._listed = 0

    @property
    def has_given_up(self) -> bool:
        """Whether there are too many sums to list."""
        return self._sums is None

    def decode(self, total: int, count: int) -> Shown | None:
        """Say which of the first `count` writes sum to `total`; None if no set of them does."""
        if self.is_exact:
            return self._decode_exactly(total, count)
        return self._at_the_ends(total, count) or self._look_up(total, count)

    def _decode_exactly(self, total: int, count: int) -> Shown | None:
        if total not in self._known:
            self._known[total] = self._greedy(total - self._least[-1])
        found = self._known[total]
        return None if found is None or found.must >> count else found

    def _greedy(self, left: int) -> Shown | None:
        # Withdrawals are counted as visible when nothing is missing: what is missing adds its size.
        found, sizes, bits = 0, self._sizes, self._bits
        rank = len(sizes)
        while left > 0 and (rank := bisect_right(sizes, left, 0, rank) - 1) >= 0:
            left -= sizes[rank]
            found |= bits[rank]
        found ^= self._negative
        return None if left else Shown(found, found)

    def _at_the_ends(self, total: int, count: int) -> Shown | None:
        """Decode the least and the most there can be, which one set gives however many writes there are."""
        candidates = (1 << count) - 1
        negative = self._negative & candidates
        if total == self._least[count]:
            return Shown(negative, negative)
        if total == self._most[count]:
            return Shown(candidates ^ negative, candidates ^ negative)
        return None

    def _look_up(self, total: int, count: int) -> Shown | None:
        if count < self._listed:
            self._sums, self._listed = {0: Shown(0, 0)}, 0
        while self._sums is not None and self._listed < count:
            self._list_next(self._sums)
        if self._sums is not None:
            return self._sums.get(total)
        is_possible = self._least[count] <= total <= self._most[count]
        return Shown(0, (1 << count) - 1) if is_possible else None

    def _list_next(self, sums: dict[int, Shown]) -> None:
        amount, bit = self._amounts[self._listed], 1 << self._listed
        self._listed += 1
        self._budget.steps -= len(sums)
        more = dict(sums)
        for total, (must, may) in sums.items():
            other = sums.get(total + amount)
            both = Shown(must | bit, may | bit)
            more[total + amount] = (
                both if other is None else Shown(other.must & both.must, other.may | both.may)
            )
        fits = len(more) <= SUMS_MAX and self._budget.steps >= 0
        self._sums = more if fits else None
