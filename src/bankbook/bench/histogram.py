"""Latencies, counted with a fixed relative error.

A histogram in the manner of Gil Tene's HdrHistogram: within each power of two, so many buckets of one width.
Every value is told with an error of less than a thousandth, however long the tail is, and two histograms add
up to that of all values. Only buckets that have something in them take memory.

Decides how values are rounded: up, so that no figure is better than what happened. Must not know what is
counted. Proof: tests/bench/test_histogram.py.

Of our own, and not the package hdrhistogram: what is needed of it are the forty lines below, without an upper
limit, without a compiled part, and small on its way between two processes.
"""

from collections import Counter
from collections.abc import Iterator

# Half of the buckets of a power of two, and their number as a power of two: a bucket is narrower than 1/1024
# of what is in it.
_HALF_BITS = 10
_HALF = 1 << _HALF_BITS


class Histogram:
    """How often which value came, of integers from 0 on."""

    __slots__ = ("_counts", "count", "largest", "total")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        """How many values there are."""
        self.largest = 0
        """Exact."""
        self.total = 0
        """Of all values; exact."""

    def record(self, value: int, count: int = 1) -> None:
        """Count a value, so many times. A negative one, of a clock that was set, counts as 0."""
        value = max(value, 0)
        self._counts[_bucket_of(value)] += count
        self.count += count
        self.total += value * count
        self.largest = max(self.largest, value)

    def add(self, other: "Histogram") -> None:
        """Count everything that another histogram has counted."""
        self._counts.update(other._counts)  # noqa: SLF001  (of its own kind)
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def percentile(self, percent: float) -> int:
        """Return a value that at least so many percent of all values do not exceed; 0 where there are none.

        It is the smallest such value, rounded up to the end of its bucket.
        """
        wanted = max(round(percent * self.count / 100, 6), 1)  # of 1,000, 99.9% are 999 and not a hair more
        seen = 0
        for value, count in self:
            seen += count
            if seen >= wanted:
                return value
        return self.largest

    @property
    def mean(self) -> float:
        """The mean of all values; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield values, each the end of its bucket and none above the largest, and how often they came."""
        for bucket in sorted(self._counts):
            yield min(_end_of(bucket), self.largest), self._counts[bucket]


def _bucket_of(value: int) -> int:
    shift = max(value.bit_length() - _HALF_BITS - 1, 0)
    return (shift << _HALF_BITS) + (value >> shift)


def _end_of(bucket: int) -> int:
    """Return the largest value of a bucket."""
    shift = max((bucket >> _HALF_BITS) - 1, 0)
    within = bucket - (shift << _HALF_BITS)
    return ((within + 1) << shift) - 1
