"""Postings: those that the tables do not have yet, and the text that a row of the tables has of several.

Decides the form of `statement.postings`, and how an account's postings are divided into rows so that these
follow each other in time. Must not know SQL. Proof: tests/store/test_fresh.py, test_checkpoints.py.

A posting is text from the moment it is committed, [clock, writer, seq, leg, amount]: to put the texts of an
account together is all that a checkpoint has to do, where nothing arrived late.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Position, StatedPosting
from bankbook.core.types import AccountId, Money, Origin, Seq

BLOCK_POSTINGS_MAX = 256
"""About 12 kB: as much as a page of a statement takes. Of one moment there may be more."""

Leg = list[int]
"""One posting: clock, writer, seq, leg, amount. Lists are ordered as positions are."""

_LAST = math.inf  # above every amount, so above every posting in the same place


class Block(NamedTuple):
    """A row of the statement table."""

    account: AccountId
    until: HybridTime
    """The clock of the last of its postings. No row that follows has a posting of this moment or before."""
    moved: Money
    """Their sum."""
    postings: str


class Fresh(list[str]):
    """What was posted to one account since the last checkpoint, in the order of commits."""

    __slots__ = ("is_ordered", "moved")

    def __init__(self) -> None:
        self.is_ordered = True
        """Whether that is certainly the order of its statement."""
        self.moved = 0


class FreshPostings:
    """What was posted since the last checkpoint."""

    def __init__(self) -> None:
        self.by_account: defaultdict[AccountId, Fresh] = defaultdict(Fresh)
        self.count = 0
        """How much is to be replayed: postings, or records where an entry has more of these, or columns."""
        self.entries = 0
        """In how many entries."""
        self._first: int = HYBRID_TIME_MAX
        """The clock of the first entry, by that."""
        self._last = 0, 0
        """Clock and writer of the last entry, by these."""
        self._read: dict[AccountId, list[Leg]] = {}
        """Of accounts whose statement was asked for, in order."""

    def add(self, entry: Entry, beyond: AccountId | None = None) -> None:
        """Take note of an entry's postings; where `beyond` is given, only of accounts beyond it."""
        place, legs = (entry.clock, entry.origin.code), list(entry.legs())
        head = f"[{entry.clock},{entry.origin.code},{entry.seq},"
        is_late, by_account = place < self._last, self.by_account
        for leg, (account, amount) in enumerate(legs):
            if beyond is None or account > beyond:
                fresh = by_account[account]
                if is_late and fresh:
                    fresh.is_ordered = False
                fresh.append(f"{head}{leg},{amount}]")
                fresh.moved += amount
        self._first, self._last = min(entry.clock, self._first), max(place, self._last)
        self.count += len(entry.records) if entry.moves else max(len(legs), len(entry.records))
        self.entries += 1

    def legs(self, account: AccountId) -> list[Leg]:
        """Return what is fresh of an account, in order."""
        fresh = self.by_account.get(account)
        if fresh is None:
            return []
        known = self._read.setdefault(account, [])
        if len(known) < len(fresh):
            known += orjson.loads(whole(fresh[len(known) :]))
            known.sort()
        return known

    def blocks(self, account: AccountId, settled: HybridTime) -> list[Block]:
        """Return the rows that an account's postings make; none where one is of `settled` or before."""
        fresh = self.by_account[account]
        if not fresh.is_ordered or len(fresh) > BLOCK_POSTINGS_MAX:
            legs = self.legs(account)
            return list(blocks_of(account, legs)) if legs[0][0] > settled else []
        if self._first <= settled and _clock_in(fresh[0]) <= settled:
            return []
        return [Block(account, HybridTime(_clock_in(fresh[-1])), Money(fresh.moved), whole(fresh))]

    def remove(self, account: AccountId) -> None:
        """Be told that the tables have what is fresh of an account."""
        self.by_account.pop(account, None)
        self._read.pop(account, None)


def blocks_of(account: AccountId, legs: list[Leg]) -> Iterator[Block]:
    """Yield blocks of these postings, which are in order; those of one moment are in one block."""
    start = 0
    while start < len(legs):
        end = min(start + BLOCK_POSTINGS_MAX, len(legs))
        while end < len(legs) and legs[end][0] == legs[end - 1][0]:
            end += 1
        part = legs[start:end]
        text = orjson.dumps(part).decode()
        yield Block(account, HybridTime(part[-1][0]), Money(sum(leg[-1] for leg in part)), text)
        start = end


def whole(texts: Iterable[str]) -> str:
    """Return the text of a block of these postings."""
    return f"[{','.join(texts)}]"


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


def moved_before(legs: list[Leg], position: Position) -> int:
    """Return the sum of those of the postings, which are in order, that stand before a position."""
    return sum(leg[-1] for leg in legs[: bisect_left(legs, place_of(position))])


def stated(leg: Leg) -> StatedPosting:
    """Return a posting as a statement lists it."""
    clock, writer, seq, number, amount = leg
    position = Position(HybridTime(clock), Origin.of_code(writer), Seq(seq), number)
    return StatedPosting(position, Money(amount))


def place_of(position: Position) -> list[int]:
    """Return a position as postings have it."""
    return [position.clock, position.origin.code, position.seq, position.leg]


def _clock_in(text: str) -> int:
    """Return the clock of a posting."""
    return int(text[1 : text.index(",")])
