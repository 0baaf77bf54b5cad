"""What a session knew when it asked: its own writes, and what it had been shown.

Decides the order within a session: an operation is after those of its session that had returned when it was
called. Must not know which guarantee follows from that.
Proof: tests/checkers/test_unknown.py, test_twin.py.
"""

from collections import defaultdict
from collections.abc import Iterator
from heapq import heappop, heappush

from bankbook.checkers.evidence import Evidence, Read, bits_of


class Past:
    """One session's knowledge, account by account (by index), as bitsets; it grows with each operation."""

    def __init__(self) -> None:
        self.own: dict[int, int] = {}
        """Acknowledged to this session."""
        self.seen: dict[int, int] = {}
        """Shown to this session, by results about the same account."""
        self.perhaps_seen: dict[int, int] = {}
        """Among what results that can be read in several ways may have shown."""
        self.seen_elsewhere: dict[int, int] = {}
        """Shown to this session by another account's result: the other legs of what it saw."""

    def take_in(self, evidence: Evidence, place: int) -> None:
        """Learn from one answer."""
        for write in evidence.told[place]:
            for account, bit in write.bits:
                self.own[account] = self.own.get(account, 0) | 1 << bit
        for read in evidence.results[place]:
            index = read.account.index
            known = self.seen.get(index, 0)
            news = read.must & ~known
            if read.is_open:
                self.perhaps_seen[index] = self.perhaps_seen.get(index, 0) | read.may
            if news:
                self.seen[index] = known | news
                if news & read.account.shared:
                    self._take_in_legs(read, news & read.account.shared)

    def _take_in_legs(self, read: Read, news: int) -> None:
        for bit in bits_of(news):
            for account, other in read.account.writes[bit].bits:
                if account != read.account.index:
                    self.seen_elsewhere[account] = self.seen_elsewhere.get(account, 0) | 1 << other


def walk(evidence: Evidence) -> Iterator[tuple[int, Past]]:
    """Go through all operations, session by session: each one's place, and what its session knew then."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, operation in enumerate(evidence.operations):
        places[operation.session].append(place)
    for own in places.values():
        past, under_way = Past(), list[tuple[int, int]]()
        # In the order of calls; of those called at the same moment, the lower number is the earlier one.
        for place in own:
            operation = evidence.operations[place]
            while under_way and under_way[0][0] <= operation.call_us:
                past.take_in(evidence, heappop(under_way)[1])
            yield place, past
            if operation.return_us is not None:
                heappush(under_way, (operation.return_us, place))


def is_earlier(evidence: Evidence, first: int, second: int) -> bool:
    """Whether an operation of a session is before another one of the same."""
    return_us = evidence.operations[first].return_us
    return first < second and return_us is not None and return_us <= evidence.operations[second].call_us
