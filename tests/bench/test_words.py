"""The figures, as a person is told them."""

from bench.measurements import histogram_of, measured

from bankbook.bench.histogram import Histogram
from bankbook.bench.settings import Load
from bankbook.bench.words import lines_of, percentiles_in_words
from bankbook.core.types import BranchId


def test_every_figure_has_its_line() -> None:
    assert [f"{subject}: {words}" for subject, words in lines_of([measured()])] == [
        "bank: bench, 2 branches, stores on ext4, where a sync takes 0.20 ms",
        "load: transfers over 10,000 accounts (uniform), 15% elsewhere than usual, 64 callers, seed 0",
        "durable: on the disk of the branch that answers",
        ": ",
        "rate: 100 operations are due each second",
        "speed: 99 operations/s over 10.0 s; 80/s until all 2 branches had them",
        "latency: p50 1.50 ms  p99 1.99 ms  p99.9 2.00 ms  max 2.00 ms, from when it was due",
        "service: p50 1.40 ms  p99 1.89 ms  p99.9 1.90 ms  max 1.90 ms, from when it was sent",
        "lag: p50 3.00 ms  max 5.00 ms, until the other branches have it",
        "holds: none of 1,000 requests",
        "branch 1: 40% of a processor, 50 MB",
        "branch 2: 30% of a processor, 40 MB",
        "clients: 1, 20% of a processor; other programs 2%",
    ]


def test_of_one_caller_at_one_branch_in_bulk_just_that_is_told() -> None:
    alone = measured(load=Load(callers=1, bulk=1000), branches=(BranchId(1),), disk=None, lag=Histogram())
    told = dict(lines_of([alone]))
    assert told["bank"] == "bench, 1 branch"
    assert told["load"] == "transfers over 10,000 accounts (uniform), 1,000 in a request, 1 caller, seed 0"
    assert told["rate"] == "as fast as it goes"
    assert told["speed"] == "99 operations/s over 10.0 s"
    assert not {"latency", "lag"} & told.keys()


def test_what_was_held_and_what_was_refused_have_lines_of_their_own() -> None:
    result = measured()
    result.tally.holds.add(histogram_of(*range(1000, 1010)))
    result.tally.outcomes["INSUFFICIENT_FUNDS"] = 1234
    told = dict(lines_of([result]))
    assert told["holds"] == "10 of 1,000 requests (1.0%), p50 1.00 ms  max 1.01 ms"
    assert told["failed"] == "1,234 INSUFFICIENT_FUNDS"


def test_a_percentile_is_told_only_where_a_value_is_beyond_it() -> None:
    few, some, many = Histogram(), Histogram(), Histogram()
    few.record(1000, 99)
    some.record(1000, 100)
    many.record(1000, 1000)
    assert percentiles_in_words(few) == "p50 1.00 ms  max 1.00 ms"
    assert percentiles_in_words(some) == "p50 1.00 ms  p99 1.00 ms  max 1.00 ms"
    assert percentiles_in_words(many) == "p50 1.00 ms  p99 1.00 ms  p99.9 1.00 ms  max 1.00 ms"
