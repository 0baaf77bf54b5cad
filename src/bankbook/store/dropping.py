"""Which entries a store drops next.

Decides their order, that of clocks, and how many go with one commit. Must not know how a store removes them,
nor why they are not needed any more: what may go is the core's to say (Drop), but for what the store itself
still needs. Proof: tests/store/test_dropping.py.

A hybrid clock's reading is above those of all that the entry depends on. So what is dropped never depends on
what is kept, and the vector of what was dropped is a state that a branch could have been in
(docs/decisions/0015-a-log-need-not-begin-at-1.md).
"""

from heapq import heapify, heappop, heappush

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Drop, Reader
from bankbook.core.types import Origin, Seq
from bankbook.core.vector import VersionVector

WEIGHT_MIN = 2_048
"""As many postings as are removed in some ten milliseconds; a commit that adds many removes more."""

# Of each log, read ahead, as long as its entries are no larger than the ones before. In memory they take five
# times as much as their text, and they stay there until they are dropped: so of large ones it is one.
_AHEAD_ENTRIES = 8
_AHEAD_BYTES = 64 * 1024


class Oldest:
    """The oldest entries that a store has, of each log."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._runs: dict[Origin, list[Entry]] = {}
        """Some that were read, of each log; entries never change, so they are right as long as they last."""

    def droppable(self, drop: Drop, summed: VersionVector, weight_max: int) -> list[Entry]:
        """Return the oldest of those that may go, in the order of their clocks.

        `summed`: what the store does not need its log for. About as many as have `weight_max` postings.
        """
        dropped, last = self._reader.dropped(), drop.everywhere.floor(summed)
        logs = [origin for origin, _ in last.beyond(dropped)]
        oldest = [self._entry(origin, Seq(dropped[origin] + 1)) for origin in logs]
        heads = [(entry.clock, entry.origin, entry) for entry in oldest]
        heapify(heads)
        found: list[Entry] = []
        weight = 0
        while heads and heads[0][0] < drop.before and weight < weight_max:
            _, origin, entry = heappop(heads)
            found.append(entry)
            weight += weight_of(entry)
            if entry.seq < last[origin]:
                following = self._entry(origin, Seq(entry.seq + 1))
                heappush(heads, (following.clock, origin, following))
        return found

    def _entry(self, origin: Origin, seq: Seq) -> Entry:
        run = self._runs.get(origin, [])
        if not run or not run[0].seq <= seq <= run[-1].seq:
            run = self._runs[origin] = list(self._reader.entries(origin, Seq(seq - 1), _ahead(run)))
        return run[seq - run[0].seq]


def _ahead(run: list[Entry]) -> int:
    """Return how many entries of a log are read at once behind these, or where none were read yet."""
    largest = max((len(entry.encoded) for entry in run), default=_AHEAD_BYTES)
    return min(max(_AHEAD_BYTES // largest, 1), _AHEAD_ENTRIES)


def weight_of(entry: Entry) -> int:
    """Return about how many postings an entry has, or records where there are more of these."""
    if entry.moves is not None:
        return 2 * len(entry.moves)
    return 1 + sum(max(len(record.postings), 1) for record in entry.others)


def weight_max(added: list[Entry], weight_min: int) -> int:
    """Return how much a commit that adds these entries may drop: so dropping keeps up with writing."""
    return max(weight_min, 2 * sum(map(weight_of, added)))


def dropped_after(dropped: VersionVector, entries: list[Entry]) -> VersionVector:
    """Return what is dropped once these are, too."""
    last = dict(dropped)
    for entry in entries:
        assert entry.seq == last.get(entry.origin, 0) + 1, f"{entry.id} is not the oldest of its log"
        last[entry.origin] = entry.seq
    return VersionVector(last.items())


def stated_after(stated_from: HybridTime, entries: list[Entry]) -> HybridTime:
    """Return from which moment on all entries are there, once these are dropped."""
    return HybridTime(max(stated_from, entries[-1].clock + 1)) if entries else stated_from
