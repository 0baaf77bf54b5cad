"""The figures of a bench, and what is said beside them."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.measurements import histogram_of, measured

from bankbook.bench.bank import Disk
from bankbook.bench.report import as_json, client_shares, durability_in_words, notes_on, others_share
from bankbook.bench.run import Measured
from bankbook.bench.settings import Load


def with_tally(**more: Any) -> Measured:
    usual = measured()
    return replace(usual, tally=replace(usual.tally, **more))


def test_speed_counts_what_was_carried_out_in_time_and_then_until_it_was_everywhere() -> None:
    assert measured().per_s == 99.0
    assert measured().everywhere_per_s == 80.0
    assert measured(settled_s=None).everywhere_per_s is None


def test_shares_of_processors_are_those_of_the_measured_time() -> None:
    assert client_shares(measured()) == [0.2]
    assert others_share(measured()) == pytest.approx(0.025)  # 9.5 s less 4, 3, 2 and 0.25 s, of ten
    assert others_share(measured(used={})) is None
    assert others_share(measured(machine_busy_s=None)) is None


def test_a_quiet_bench_needs_no_notes() -> None:
    assert notes_on(measured()) == []


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (
            with_tally(cpu_s=[2.0, 9.5]),
            "the load generator was at its limit (a client used 95% of a processor)",
        ),
        (
            with_tally(lateness=histogram_of(*range(3000, 4000))),
            "the load generator was late: one request in a",
        ),
        (with_tally(unsent=7), "did not keep up with the rate: 7 operations"),
        (measured(machine_busy_s=19.0 * (os.cpu_count() or 1)), "processors were busy"),
        (measured(machine_busy_s=13.25), "other programs used 0.4 processors"),
        (measured(settled_s=None), "after 60 s there was still a branch that did not have everything"),
        (measured(lag_failed=2), "2 measurements of the replication lag came to nothing"),
        (measured(disk=Disk(Path("/x"), "tmpfs", 1)), "on tmpfs, in memory: nothing was durable"),
    ],
)
def test_what_makes_figures_doubtful_is_said_beside_them(result: Measured, told: str) -> None:
    assert any(told in note for note in notes_on(result)), notes_on(result)


def test_where_an_acknowledged_operation_is_stands_beside_every_figure() -> None:
    told = [durability_in_words(measured(load=Load(durable=durable))) for durable in range(3)]
    assert told == [
        "on the disk of the branch that answers",
        "on the disk of the branch that answers and of another one",
        "on the disk of the branch that answers and of 2 others",
    ]


def test_a_program_is_told_every_figure() -> None:
    document = json.loads(json.dumps(as_json([measured()])))
    (told,) = document["measured"]
    assert document["bank"] == {"cluster": "bench", "branches": 2, "file_system": "ext4", "sync_us": 200}
    assert told["latency_us"] == {
        "count": 1000,
        "mean": 1499.5,
        "p50": 1499,
        "p99": 1989,
        "p99.9": 1998,
        "max": 1999,
    }
    assert told["usage"][0] == {
        "branch": 1,
        "cpu": 0.4,
        "memory_bytes": 50_000_000,
        "memory_peak_bytes": 60_000_000,
    }
    assert told["seconds"] == [99] * 10
    assert (told["operations_per_s"], told["everywhere_per_s"]) == (99.0, 80.0)


def test_in_a_closed_loop_no_latency_is_told_since_nothing_was_due() -> None:
    (told,) = as_json([measured(load=Load())])["measured"]
    assert told["latency_us"] is None
    assert told["service_us"]["count"] == 1000
