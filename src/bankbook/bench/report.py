"""The figures, for programs; and what has to be said beside them.

Decides the names of the figures, and when they are not to be trusted. Must not know who reads them.
Proof: tests/bench/test_report.py.
"""

import os
from collections.abc import Sequence
from typing import Any

from bankbook.bench.histogram import Histogram
from bankbook.bench.machine import is_in_memory
from bankbook.bench.run import SETTLE_S, Measured
from bankbook.bench.settings import Load

# A client that has used as much of one processor was itself what could not go faster: its event loop is one
# thread.
_SATURATED = 0.9

# Where the whole machine has used as much of its processors, more load only makes everybody wait.
_MACHINE_FULL = 0.95

# Of a processor, by others than the bank and the bench.
_DISTURBED = 0.1

# A free caller that is so late, one time in a hundred, makes the latencies look worse than the bank's are.
_LATE_US = 2_000

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9}


def durability_in_words(measured: Measured) -> str:
    """Return where an operation is when it is acknowledged."""
    durable = measured.load.durable
    others = "" if not durable else " and of another one" if durable == 1 else f" and of {durable} others"
    return f"on the disk of the branch that answers{others}"


def notes_on(measured: Measured) -> list[str]:
    """Return what somebody who reads the figures must know."""
    return [*_about_the_bank(measured), *_about_the_bench(measured)]


def _about_the_bank(measured: Measured) -> list[str]:
    notes, disk = [], measured.disk
    if disk is not None and is_in_memory(disk.file_system):
        notes.append(
            f"the stores are on {disk.file_system}, in memory: nothing was durable. Name a folder on a disk "
            "with --data"
        )
    if measured.tally.unsent:
        notes.append(
            f"the bank did not keep up with the rate: {measured.tally.unsent} operations that were due were "
            "never sent; the latencies grow as long as the bench lasts"
        )
    if measured.settled_s is None:
        notes.append(f"after {SETTLE_S:.0f} s there was still a branch that did not have everything")
    if measured.lag_failed:
        notes.append(f"{measured.lag_failed} measurements of the replication lag came to nothing")
    return notes


def _about_the_bench(measured: Measured) -> list[str]:
    notes = []
    shares = client_shares(measured)
    if shares and max(shares) >= _SATURATED:
        notes.append(
            f"the load generator was at its limit (a client used {max(shares):.0%} of a processor): the bank "
            f"may do more; share the callers among --clients {2 * measured.load.clients}"
        )
    late_us = measured.tally.lateness.percentile(99)
    if late_us >= _LATE_US:
        notes.append(
            f"the load generator was late: one request in a hundred was sent {late_us / 1000:.1f} ms or more "
            "after it was due though its caller was free; the latencies contain that"
        )
    others = others_share(measured)
    if others is not None and others >= _DISTURBED:
        notes.append(
            f"other programs used {others:.1f} processors meanwhile: compare only what was measured together"
        )
    busy = measured.machine_busy_s
    cores = os.cpu_count() or 1
    if busy is not None and measured.elapsed_s and busy / measured.elapsed_s >= _MACHINE_FULL * cores:
        notes.append(f"all {cores} processors were busy: bank and bench took them from each other")
    return notes


def client_shares(measured: Measured) -> list[float]:
    """Return how much of a processor each client used."""
    return [processors_used(cpu_s, measured) for cpu_s in measured.tally.cpu_s]


def others_share(measured: Measured) -> float | None:
    """Return how many processors were used by others than the bank and the bench; None where nobody knows."""
    if measured.machine_busy_s is None or not measured.used:
        return None
    ours_s = (
        sum(used.cpu_s for used in measured.used.values()) + sum(measured.tally.cpu_s) + measured.own_cpu_s
    )
    return max(processors_used(measured.machine_busy_s - ours_s, measured), 0.0)


def processors_used(cpu_s: float, measured: Measured) -> float:
    """Return of how many processors a time of work was all the time that was measured."""
    return cpu_s / measured.elapsed_s if measured.elapsed_s else 0.0


def as_json(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return every figure for a program."""
    return {"bank": _bank_as_json(measured[0]), "measured": [_measured_as_json(each) for each in measured]}


def _measured_as_json(measured: Measured) -> dict[str, Any]:
    tally = measured.tally
    return {
        "load": _load_as_json(measured.load),
        "durability": durability_in_words(measured),
        "elapsed_s": round(measured.elapsed_s, 6),
        "operations": measured.operations,
        "operations_per_s": round(measured.per_s, 3),
        "everywhere_per_s": _rounded(measured.everywhere_per_s),
        "settled_s": _rounded(measured.settled_s),
        "requests": tally.service.count,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "unsent": tally.unsent,
        "latency_us": None if measured.load.rate is None else histogram_as_json(tally.latency),
        "service_us": histogram_as_json(tally.service),
        "lag_us": histogram_as_json(measured.lag) if measured.lag.count else None,
        "holds": {"requests": tally.holds.count, "held_us": histogram_as_json(tally.holds)},
        "usage": [
            {
                "branch": branch,
                "cpu": round(processors_used(used.cpu_s, measured), 3),
                "memory_bytes": used.memory_bytes,
                "memory_peak_bytes": used.memory_peak_bytes,
            }
            for branch, used in measured.used.items()
        ],
        "clients": [{"cpu": round(share, 3)} for share in client_shares(measured)],
        "processors": os.cpu_count(),
        "others_cpu": _rounded(others_share(measured)),
        "late_us": histogram_as_json(tally.lateness),
        "seconds": seconds_of(measured),
        "notes": notes_on(measured),
    }


def seconds_of(measured: Measured) -> list[int]:
    """Return how many operations were carried out in each whole second."""
    return [measured.tally.seconds[second] for second in range(int(measured.elapsed_s + 1e-6))]


def histogram_as_json(histogram: Histogram) -> dict[str, Any]:
    """Return the percentiles that are told, and how many values they are of."""
    told: dict[str, Any] = {name: histogram.percentile(percent) for name, percent in PERCENTILES.items()}
    return {"count": histogram.count, "mean": round(histogram.mean, 1), **told, "max": histogram.largest}


def _bank_as_json(measured: Measured) -> dict[str, Any]:
    disk = measured.disk
    return {
        "cluster": measured.cluster,
        "branches": len(measured.branches),
        "file_system": None if disk is None else disk.file_system,
        "sync_us": None if disk is None else disk.sync_us,
    }


def _load_as_json(load: Load) -> dict[str, Any]:
    return {
        "workload": load.workload.value,
        "skew": load.skew.value,
        "accounts": load.accounts,
        "bulk": load.bulk,
        "remote": load.remote,
        "callers": load.callers,
        "sessions": load.sessions,
        "clients": load.clients,
        "rate": _rounded(load.rate),
        "durable": load.durable,
        "seed": load.seed,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
