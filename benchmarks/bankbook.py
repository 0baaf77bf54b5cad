"""Bankbook, by its own load generator.

Decides which orders `bankbook bench` is given for each figure. Must not know the targets.
Proof: tests/alternatives/test_bankbook.py.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from statistics import mean, median
from typing import Any

from bankbook.bench.bank import bank_of_its_own
from bankbook.bench.machine import sync_us, usage_of
from bankbook.bench.settings import OwnBank
from bankbook.client import Bank
from bankbook.core.types import BranchId
from bankbook.server.config import Delay
from benchmarks.cases import BenchmarkError, Case, Measure, Result, System, Unit
from benchmarks.processes import tool
from tools import measure_time

ROOT = Path(__file__).parents[1]
SCENARIO = ROOT / "examples" / "input_big.json"

_WARMUP = "1s"

_ONE = ("--branches", "1")

# What says itself elsewhere, or of every case: the machine is small, and all of it is used.
_NOT_TOLD = ("processors were busy", "other programs used")

_FAR_US = 80_000
_FAR_DEPOSITS = 50

# The target's words: who goes elsewhere a second later is not held.
_THEN_ELSEWHERE_S = 1.0

# Until a branch that was just started has nothing left to do.
_IDLE_S = 2.0


def bench(folder: Path, seconds: float, *options: str) -> list[dict[str, Any]]:
    """Let `bankbook bench` measure; return what it says of each time. Raises BenchmarkError.

    Where an operation failed, so has the benchmark: nobody runs out of money here, and a refusal is no speed.
    """
    command = [sys.executable, "-m", "bankbook", "bench", "--json", "--data", str(folder)]
    command += ["--warmup", _WARMUP, "--duration", f"{round(seconds * 1000)}ms", *options]
    measured: list[dict[str, Any]] = json.loads(tool(command, folder))["measured"]
    for each in measured:
        failed = {name: count for name, count in each["outcomes"].items() if name != "OK"}
        if failed:
            raise BenchmarkError(f"bankbook bench {' '.join(options)}: operations failed: {failed}")
    return measured


def _notes(measured: dict[str, Any]) -> tuple[str, ...]:
    return tuple(note for note in measured["notes"] if not any(words in note for words in _NOT_TOLD))


def _told(figure: Callable[[dict[str, Any]], float | None], *options: str) -> Measure:
    """Return how to measure a figure of the first time that `bankbook bench` tells of."""

    def measure(folder: Path, callers: int, seconds: float) -> Result:
        first = bench(folder, seconds, "--rate", "max", "--callers", str(callers), *options)[0]
        value = figure(first)
        if value is None:
            raise BenchmarkError(f"bankbook bench {' '.join(options)} told no such figure: {_notes(first)}")
        return Result(value, _also(first), _notes(first), first["others_cpu"])

    return measure


def _also(measured: dict[str, Any]) -> dict[str, float]:
    return {
        "p50_ms": measured["service_us"]["p50"] / 1000,
        "client_cpu": sum(each["cpu"] for each in measured["clients"]),
        "branches_cpu": sum(each["cpu"] for each in measured["usage"]),
        "operations": measured["operations"],
    }


def _speed(measured: dict[str, Any]) -> float:
    return float(measured["operations_per_s"])


def _everywhere(measured: dict[str, Any]) -> float | None:
    told: float | None = measured["everywhere_per_s"]
    return told


def _p50_ms(measured: dict[str, Any]) -> float:
    return float(measured["service_us"]["p50"]) / 1000


def _peak_mb(measured: dict[str, Any]) -> float:
    return max(float(each["memory_peak_bytes"]) for each in measured["usage"]) / 1e6


def _one_deposit(folder: Path, callers: int, seconds: float) -> Result:
    """Measure one caller, and a sync just before and just after: a disk has its moods."""
    syncs_ms = [sync_us(folder) / 1000]
    result = _told(_p50_ms, *_ONE, "--workload", "deposits")(folder, callers, seconds)
    syncs_ms.append(sync_us(folder) / 1000)
    return replace(result, also={**result.also, "sync_ms": mean(syncs_ms)})


def _unary(folder: Path, callers: int, seconds: float) -> Result:
    """Measure deposits of whoever calls as the bare server is called, without the client library."""
    load = replace(measure_time.DEPOSITS, callers=callers, duration_s=seconds)
    case = measure_time.Case("unary", load, 1, measure_time.BARE)
    with bank_of_its_own(OwnBank(1, folder=folder)) as bank:
        one = BranchId(1)
        figures = asyncio.run(measure_time.measure_at(bank.addresses[one], bank.pids[one], case))
    return Result(figures.per_s, {"p50_ms": figures.p50_us / 1000})


def _lag(folder: Path, callers: int, seconds: float) -> Result:
    """Measure the lag at half of the speed that the bank has reached just before."""
    _, half = bench(folder, seconds, "--callers", str(callers))
    if half["lag_us"] is None:
        raise BenchmarkError(f"bankbook bench told no lag: {_notes(half)}")
    also = {"p50_ms": half["lag_us"]["p50"] / 1000, "samples": half["lag_us"]["count"]}
    return Result(half["lag_us"]["p99"] / 1000, also, _notes(half), half["others_cpu"])


def _scenario(folder: Path, _callers: int, _seconds: float) -> Result:
    began_s = time.perf_counter()
    tool([sys.executable, "-m", "bankbook", "run", str(SCENARIO)], folder)
    return Result(time.perf_counter() - began_s, {"branches": _branches_of(SCENARIO)})


def _branches_of(scenario: Path) -> int:
    return sum(each["type"] == "branch" for each in json.loads(scenario.read_text()))


def _idle(folder: Path, _callers: int, _seconds: float) -> Result:
    with bank_of_its_own(OwnBank(1, folder=folder)) as bank:
        time.sleep(_IDLE_S)
        usage = usage_of(bank.pids[BranchId(1)])
    if usage is None:
        raise BenchmarkError("this system does not tell how much memory a process has")
    return Result(usage.memory_bytes / 1e6)


def _far(folder: Path, _callers: int, _seconds: float) -> Result:
    """Measure deposits at a branch that is far from the others, against one that is near."""
    near_ms, _ = asyncio.run(_visit(folder, 0))
    far_ms, held_ms = asyncio.run(_visit(folder, _FAR_US))
    return Result(far_ms, {"near_ms": near_ms, "held_ms": held_ms})


async def _visit(folder: Path, delay_us: int) -> tuple[float, float]:
    """Return the median of some deposits, and how long a read elsewhere is held, a second after the last."""
    with bank_of_its_own(OwnBank(3, Delay(delay_us, delay_us), folder)) as bank:
        async with Bank(bank.addresses) as customers:
            session = customers.session("bench-1")
            taken_s = []
            for _ in range(_FAR_DEPOSITS):
                began_s = time.perf_counter()
                await session.deposit(1, branch=1)
                taken_s.append(time.perf_counter() - began_s)
            await asyncio.sleep(_THEN_ELSEWHERE_S)
            receipt = await session.balance(branch=2)
    return 1000 * median(taken_s), receipt.held_us / 1000


def version() -> str:
    """Return the version and, where this is known, what of the project's history it is."""
    told = f"Bankbook {metadata.version('bankbook')}"
    try:
        return f"{told}, commit {tool(['git', 'describe', '--always', '--dirty'], ROOT).strip()}"
    except (BenchmarkError, FileNotFoundError):
        return told


_DURABLE = "on the disk of the branch that answers"
_DURABLE_EVERYWHERE = "on the disks of all three branches"

_NO_DISK = "says nothing of a disk"
_PER_S, _MS, _MB = Unit.PER_SECOND, Unit.MS, Unit.MB

CASES = (
    Case(
        "bankbook-bulk",
        "transfers in bulk 1,000",
        _PER_S,
        _DURABLE,
        _told(_speed, *_ONE, "--bulk", "1000"),
        (8, 4, 32),
    ),
    Case(
        "bankbook-three",
        "transfers in bulk 1,000, three branches, until all have applied them",
        _PER_S,
        _DURABLE_EVERYWHERE,
        _told(_everywhere, "--branches", "3", "--remote", "0", "--bulk", "1000"),
        (6, 12),
    ),
    Case(
        "bankbook-bulk-50",
        "transfers in bulk 50",
        _PER_S,
        _DURABLE,
        _told(_speed, *_ONE, "--bulk", "50"),
        (32, 8, 64),
    ),
    Case(
        "bankbook-coalesced",
        "transfers, plain concurrent calls of one process, which share four sessions",
        _PER_S,
        _DURABLE,
        _told(_speed, *_ONE, "--sessions", "4"),
        (1000, 250, 4000),
    ),
    Case(
        "bankbook-transfers",
        "transfers, one in a request, many callers",
        _PER_S,
        _DURABLE,
        _told(_speed, *_ONE),
        (64, 256, 1024),
    ),
    Case(
        "bankbook-deposits",
        "deposits, 64 callers",
        _PER_S,
        _DURABLE,
        _told(_speed, *_ONE, "--workload", "deposits"),
        (64,),
    ),
    Case(
        "bankbook-unary",
        "the same, each a unary call of gRPC's own stub",
        _PER_S,
        _DURABLE,
        _unary,
        (64,),
    ),
    Case("bankbook-one", "a transfer, one caller, median", _MS, _DURABLE, _told(_p50_ms, *_ONE)),
    Case(
        "bankbook-one-deposit",
        "a deposit, one caller, median",
        _MS,
        _DURABLE,
        _one_deposit,
    ),
    Case(
        "bankbook-lag",
        "replication lag at half load, three branches, p99",
        _MS,
        _DURABLE_EVERYWHERE,
        _lag,
        (64,),
    ),
    Case("bankbook-far", "a deposit, one caller, 80 ms between three branches, median", _MS, _DURABLE, _far),
    Case("bankbook-idle", "memory of an idle branch", _MB, _NO_DISK, _idle),
    Case(
        "bankbook-million",
        "memory of a branch with 1,000,000 accounts under load, largest",
        _MB,
        _DURABLE,
        _told(_peak_mb, *_ONE, "--bulk", "1000", "--accounts", "1000000"),
        (4,),
    ),
    Case(
        "bankbook-run",
        "bankbook run examples/input_big.json, the whole command",
        Unit.SECONDS,
        _DURABLE,
        _scenario,
        is_family=False,
    ),
)

SYSTEM = System(
    name="bankbook",
    title="Bankbook",
    set_up="As it comes. Measured by bankbook bench, from one process that uses the client library; a new "
    "bank for each figure, with a store for each branch.",
    cases=CASES,
    start=nullcontext,  # each figure is of a bank of its own
    version=version,
)
