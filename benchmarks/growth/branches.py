"""More branches: what each costs, with nothing to do and under load.

Decides the load: transfers in bulk, each caller at a branch of its own, counted once every branch has them.
Must not know why it grows. Proof: tests/alternatives/test_growth_curves.py.
"""

import time
from collections.abc import Iterator, Sequence

from benchmarks.growth.banks import RunningBank, bank, bulk, singles
from benchmarks.growth.figures import Point
from benchmarks.growth.lab import Lab

_ACCOUNTS = 10_000

# Callers, unless there are more branches.
_CALLERS = 4

# Until branches that were just started have nothing left to do; then so long.
_SETTLE_S, _IDLE_S = 1.5, 4.0


def measure(lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
    """Yield a point for each number of branches. Raises BenchmarkError, LaunchError, BankbookError."""
    for size in sizes:
        lab.show(f"{size} branches")
        with lab.room() as room, bank(room, size) as running:
            yield _point(running, size, lab.seconds)


def _point(running: RunningBank, size: int, seconds: float) -> Point:
    time.sleep(_SETTLE_S)
    before_s = running.cpu_s()
    time.sleep(_IDLE_S)
    idle_cpu = (running.cpu_s() - before_s) / _IDLE_S
    idle_mb = running.memory_mb()
    alone = running.load(singles(seconds, _ACCOUNTS, callers=1))
    loaded = running.load(bulk(seconds, _ACCOUNTS, max(size, _CALLERS)))
    values = {
        "started_s": running.started_s,
        "idle_cpu": idle_cpu,
        "idle_mb": idle_mb,
        "alone_ms": alone.p50_ms,
        "bulk_per_s": loaded.everywhere_per_s or 0.0,
        "bulk_us": loaded.server_us,
        "peak_mb": loaded.peak_mb,
    }
    return Point(size, values, loaded.others_cpu)
