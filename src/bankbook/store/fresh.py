"""Postings: those that the tables do not have yet, and the text that a row of the tables has of several.

Decides the form of `statement.postings`, and how an account's postings are divided into rows so that these
follow each other in time. Must not know SQL. Proof: tests/store/test_fresh.py, test_checkpoints.py.

A posting is five numbers, [clock, writer, seq, leg, amount]: as such they are kept, one posting behind the
other, and a checkpoint sorts those of an account and makes them text, all of a row at once.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Position, StatedPosting
from bankbook.core.types import AccountId, Money, Origin, Seq

BLOCK_POSTINGS_MAX = 256
"""About 12 kB: as much as a page of a statement takes. Of one moment there may be more."""

Leg = list[int]
"""One posting: clock, writer, seq, leg, amount. Lists are ordered as positions are."""

ENTRY_WEIGHT = 5
"""An entry takes so many times as long to be read and applied again as each plain movement in it."""

OTHER_WEIGHT = 3
"""Where they are no plain movements, so does a posting, or a record without one."""

_NUMBERS = 5  # in a posting

_LAST = math.inf  # above every amount, so above every posting in the same place


class Block(NamedTuple):
    """A row of the statement table."""

    account: AccountId
    until: HybridTime
    """The clock of the last of its postings. No row that follows has a posting of this moment or before."""
    moved: Money
    """Their sum."""
    postings: str


class FreshPostings:
    """What was posted since the last checkpoint."""

    def __init__(self) -> None:
        self.by_account: defaultdict[AccountId, list[int]] = defaultdict(list)
        """The five numbers of each posting, one posting behind the other, in the order of commits."""
        self.weight = 0
        """How long it takes to apply all of it again, in plain movements."""
        self._read: dict[AccountId, list[Leg]] = {}
        """Of accounts whose statement was asked for, in order."""

    def add(self, entry: Entry, beyond: AccountId | None = None) -> None:
        """Take note of an entry's postings; where `beyond` is given, only of accounts beyond it."""
        clock, writer, seq = entry.clock, entry.origin.code, entry.seq
        by_account, legs = self.by_account, list(entry.legs())
        for leg, (account, amount) in enumerate(legs):
            if beyond is None or account > beyond:
                by_account[account].extend((clock, writer, seq, leg, amount))
        works = len(entry.records) if entry.moves else OTHER_WEIGHT * max(len(legs), len(entry.records))
        self.weight += ENTRY_WEIGHT + works

    def legs(self, account: AccountId) -> list[Leg]:
        """Return what is fresh of an account, in order."""
        fresh = self.by_account.get(account)
        if fresh is None:
            return []
        known = self._read.setdefault(account, [])
        if len(known) * _NUMBERS < len(fresh):
            known += map(list, _postings_in(fresh[len(known) * _NUMBERS :]))
            known.sort()
        return known

    def blocks(self, account: AccountId, settled: HybridTime) -> list[Block]:
        """Return the rows that an account's postings make; none where one is of `settled` or before."""
        legs = sorted(_postings_in(self.by_account[account]))
        return blocks_of(account, legs) if legs[0][0] > settled else []

    def remove(self, accounts: Iterable[AccountId]) -> None:
        """Be told that the tables have what is fresh of these accounts."""
        for each in (self.by_account, self._read):
            if each:
                for account in accounts:
                    each.pop(account, None)


def _postings_in(numbers: list[int]) -> Iterable[tuple[int, ...]]:
    """Return postings whose numbers stand one behind the other."""
    each = iter(numbers)
    return zip(each, each, each, each, each, strict=True)


def blocks_of(account: AccountId, legs: Sequence[Sequence[int]]) -> list[Block]:
    """Return blocks of these postings, which are in order; those of one moment are in one block."""
    blocks, start = [], 0
    while start < len(legs):
        end = min(start + BLOCK_POSTINGS_MAX, len(legs))
        while end < len(legs) and legs[end][0] == legs[end - 1][0]:
            end += 1
        part = legs[start:end]
        moved = Money(sum([leg[-1] for leg in part]))
        blocks.append(Block(account, HybridTime(part[-1][0]), moved, orjson.dumps(part).decode()))
        start = end
    return blocks


def parsed(text: str) -> list[Leg]:
    """Return the postings of a block. Raises ValueError or TypeError where it is damaged."""
    legs: list[Leg] = orjson.loads(text)
    for clock, writer, seq, leg, amount in legs:
        if not type(clock) is type(writer) is type(seq) is type(leg) is type(amount) is int:
            raise TypeError("a posting has five integers")
    return legs


def behind(legs: list[Leg], position: Position) -> list[Leg]:
    """Return those of the postings, which are in order, that stand behind a position."""
    return legs[bisect_right(legs, [*place_of(position), _LAST]) :]


def moved_from(legs: list[Leg], position: Position) -> int:
    """Return the sum of those of the postings, which are in order, that stand at a position or behind it."""
    return sum(leg[-1] for leg in legs[bisect_left(legs, place_of(position)) :])


def stated(leg: Leg) -> StatedPosting:
    """Return a posting as a statement lists it."""
    clock, writer, seq, number, amount = leg
    position = Position(HybridTime(clock), Origin.of_code(writer), Seq(seq), number)
    return StatedPosting(position, Money(amount))


def place_of(position: Position) -> list[int]:
    """Return a position as postings have it."""
    return [position.clock, position.origin.code, position.seq, position.leg]
