"""All entries of a store in one order, in which each follows what it depends on.

Decides the order: that of statements (clock, origin, seq). A hybrid clock's reading is above those of all
that the entry depends on (Kulkarni et al., OPODIS 2014, theorem 1), so this order is a causal one too, at
every branch the same. Must not know who reads it, or where it goes. Proof: tests/store/test_history.py.

Each log rises by its clock, so a merge of the logs needs only the next few entries of each, however long
they are.
"""

import heapq
from collections.abc import Iterator, Sequence

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Reader
from bankbook.core.types import Origin, Seq
from bankbook.core.vector import VersionVector

# Read ahead, of all logs together: some hundred kilobytes, and few enough that the first entry, before which
# one of each log has to be read, comes after some ten milliseconds.
_AHEAD_MAX = 512
_AHEAD_BYTES = 512 * 1024

BATCH_ENTRIES_MAX = 128
"""As many as are read in some milliseconds: for so long a branch that is asked for its history pauses."""

BATCH_BYTES = 1024 * 1024
"""A batch ends with the entry that reaches it; it has at most this and one entry more."""


def history(reader: Reader, after: VersionVector, until: VersionVector) -> Iterator[Entry]:
    """Yield the entries behind `after`, up to `until`, which the store has to have.

    It reads as it is asked for more, so nothing else may be using the store at that moment; what is committed
    between two of its steps does not disturb it.
    """
    logs = until.beyond(after)
    bounds = [each // max(len(logs), 1) for each in (_AHEAD_MAX, _AHEAD_BYTES)]
    return heapq.merge(
        *(_log(reader, origin, after[origin], seq, *bounds) for origin, seq in logs), key=_place
    )


def next_batch(entries: Iterator[Entry]) -> list[Entry]:
    """Return the next few entries, within the bounds of a batch; none at the end."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.encoded)
        if len(batch) == BATCH_ENTRIES_MAX or size >= BATCH_BYTES:
            break
    return batch


def read_ahead(run: Sequence[Entry], entries_max: int, bytes_max: int) -> int:
    """Return how many entries of a log are read at once behind those that were read last; where none were, 1.

    At most twice as many as then, and as if all were as large as the largest of them: in memory one takes
    several times as much as its text, and a batch may have half a megabyte of that.
    """
    largest = max((len(entry.encoded) for entry in run), default=bytes_max)
    return max(min(2 * len(run), entries_max, bytes_max // max(largest, 1)), 1)


def _log(
    reader: Reader, origin: Origin, after: Seq, last: Seq, entries_max: int, bytes_max: int
) -> Iterator[Entry]:
    run: Sequence[Entry] = ()
    while after < last:
        run = reader.entries(origin, after, min(read_ahead(run, entries_max, bytes_max), last - after))
        assert run, f"the store has {origin} up to #{last}"
        yield from run
        after = run[-1].seq


def _place(entry: Entry) -> tuple[HybridTime, Origin, Seq]:
    return entry.clock, entry.origin, entry.seq
