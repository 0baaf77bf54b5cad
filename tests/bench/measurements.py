"""What a bench might have measured, made up for tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from bankbook.bench.bank import Disk
from bankbook.bench.histogram import Histogram
from bankbook.bench.run import Measured, Used
from bankbook.bench.settings import Load
from bankbook.bench.tally import Tally
from bankbook.core.types import BranchId


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def measured(**more: Any) -> Measured:
    """Ten quiet seconds of a bank of two branches, but for what is said otherwise."""
    tally = Tally(
        latency=histogram_of(*range(1000, 2000)),
        service=histogram_of(*range(900, 1900)),
        cpu_s=[2.0],
        in_time=990,
        done=1200,
    )
    tally.outcomes.update({"OK": 1000})
    tally.seconds.update(dict.fromkeys(range(10), 99))
    usual = Measured(
        load=Load(rate=100.0),
        cluster="bench",
        branches=(BranchId(1), BranchId(2)),
        disk=Disk(Path("/var/tmp"), "ext4", 200),  # noqa: S108  (nobody goes there)
        tally=tally,
        elapsed_s=10.0,
        settled_s=12.5,
        lag=histogram_of(3000, 5000),
        lag_failed=0,
        used={BranchId(1): Used(4.0, 50_000_000, 60_000_000), BranchId(2): Used(3.0, 40_000_000, 40_000_000)},
        machine_busy_s=9.5,
        own_cpu_s=0.25,
    )
    return replace(usual, **more)
