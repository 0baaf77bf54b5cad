"""What no server can be faster than: a gRPC server that does nothing, and the disk.

Decides nothing: the server, and whoever calls it, are those of tools/measure_time.py. Must not know of any
bank. Proof: tests/alternatives/test_run.py.
"""

from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bankbook.bench.machine import sync_us
from benchmarks.cases import NOT_DURABLE, Case, Result, System, Unit
from tools import measure_time

# The library's call of a server that does nothing costs the client as much again; the floor is without it.
_WARMUP_S = 1.0


def _echo(_: Path, callers: int, seconds: float) -> measure_time.Figures:
    load = replace(measure_time.DEPOSITS, callers=callers, warmup_s=_WARMUP_S, duration_s=seconds)
    return measure_time.measure(measure_time.Case("echo", load, 0, measure_time.BARE), is_profiled=False)


def _echoes(folder: Path, callers: int, seconds: float) -> Result:
    figures = _echo(folder, callers, seconds)
    return Result(figures.per_s, {"p50_ms": figures.p50_us / 1000})


def _one_echo(folder: Path, callers: int, seconds: float) -> Result:
    figures = _echo(folder, callers, seconds)
    return Result(figures.p50_us / 1000, {"per_s": figures.per_s})


def _sync(folder: Path, _callers: int, _seconds: float) -> Result:
    return Result(sync_us(folder) / 1000)


CASES = (
    Case("sync", "a page of a file written and synced (fdatasync)", Unit.MS, "on the disk", _sync),
    Case("echo", "calls of a bare gRPC server", Unit.PER_SECOND, NOT_DURABLE, _echoes, (64,)),
    Case("echo-one", "the same, one caller, median", Unit.MS, NOT_DURABLE, _one_echo),
)


def _version() -> str:
    return f"grpcio {version('grpcio')}"


SYSTEM = System(
    name="floor",
    title="The floor",
    set_up="A gRPC server for asyncio in a process of its own, which answers a deposit with a message made "
    "beforehand; called by gRPC's own stub, from one process.",
    cases=CASES,
    start=nullcontext,  # each figure is of a server of its own
    version=_version,
)
