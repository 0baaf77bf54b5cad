"""What a histogram of latencies tells, against the values themselves."""

import math
import pickle
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bankbook.bench.histogram import Histogram

VALUES = st.lists(st.integers(0, 2**40), min_size=1, max_size=200)
PERCENTS = st.sampled_from([0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0])


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def exact_percentile(values: list[int], percent: float) -> int:
    """The smallest value that so many percent of all do not exceed."""
    return sorted(values)[max(math.ceil(Fraction(str(percent)) * len(values) / 100), 1) - 1]


@given(VALUES, PERCENTS)
def test_a_percentile_is_never_better_than_the_exact_one_and_worse_by_less_than_a_thousandth(
    values: list[int], percent: float
) -> None:
    exact = exact_percentile(values, percent)
    told = histogram_of(values).percentile(percent)
    assert exact <= told <= exact + exact / 1000


@given(VALUES, VALUES)
def test_two_histograms_add_up_to_that_of_all_values(some: list[int], others: list[int]) -> None:
    together, whole = histogram_of(some), histogram_of(some + others)
    together.add(pickle.loads(pickle.dumps(histogram_of(others))))  # noqa: S301  (our own)
    assert list(together) == list(whole)
    assert (together.count, together.largest, together.total) == (whole.count, whole.largest, whole.total)


@given(VALUES)
def test_how_many_there_are_the_largest_and_the_mean_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == sum(count for _, count in histogram) == len(values)
    assert histogram.largest == max(values)
    assert histogram.mean == sum(values) / len(values)


def test_small_values_are_exact() -> None:
    assert list(histogram_of(list(range(2048)))) == [(value, 1) for value in range(2048)]


def test_an_empty_histogram_tells_zeros() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99.9), histogram.mean, histogram.count) == (0, 0.0, 0)


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    assert histogram_of([-5]).percentile(50) == 0


def test_a_million_values_take_the_memory_of_their_buckets() -> None:
    histogram = Histogram()
    histogram.record(1_000_000, 1_000_000)
    assert list(histogram) == [(1_000_000, 1_000_000)]
