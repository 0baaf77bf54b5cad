"""Measure where a branch's time goes: python tools/measure_time.py [ROUNDS] [--profile]

The figures in docs/decisions/0011-where-the-time-goes.md and 0020 come from here. Each round measures every
case once, one after the other, beside a bare gRPC server that answers the same messages and does nothing
else: on a machine that is busy, only what was measured in the same round compares. What a processor spends on
an operation, at the server and at the client, is told too, because it changes less than what a second brings.

With --profile, the first branch of each case is looked into by py-spy (pip install py-spy; it needs the right
to trace other processes), and the share of each room in what it was found doing is told.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc
import grpc.aio

from bankbook.bench.bank import BankUnderTest, bank_of_its_own
from bankbook.bench.callers import call
from bankbook.bench.client import Assignment, schedule_of
from bankbook.bench.clients import Clients
from bankbook.bench.machine import sync_us, usage_of
from bankbook.bench.run import Progress, run, window_of
from bankbook.bench.settings import Load, OwnBank, Workload
from bankbook.bench.tally import Answered, Tally
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

SECONDS, WARMUP_S = 5.0, 1.5
PROFILED_S = 4

USUAL = Load(warmup_s=WARMUP_S, duration_s=SECONDS, remote=0.0)
DEPOSITS = replace(USUAL, workload=Workload.DEPOSITS)

BARE, LIBRARY = "bare", "library"


class Case(NamedTuple):
    """What is measured, and at what."""

    name: str
    load: Load
    branches: int
    """0: the bare server."""
    client: str = LIBRARY


CASES = (
    Case("bare server, bare client, 64 callers", replace(DEPOSITS, callers=64), 0, BARE),
    Case("bare server, 64 callers", replace(DEPOSITS, callers=64), 0),
    Case("deposits, bare client, 64 callers", replace(DEPOSITS, callers=64), 1, BARE),
    Case("deposits, 64 callers", replace(DEPOSITS, callers=64), 1),
    Case("bare server, bare client, 1 caller", replace(DEPOSITS, callers=1), 0, BARE),
    Case("bare server, 1 caller", replace(DEPOSITS, callers=1), 0),
    Case("deposits, 1 caller", replace(DEPOSITS, callers=1), 1),
    # To a machine that rests in between.
    Case("bare server, bare client, ten a second", replace(DEPOSITS, callers=1, rate=10.0), 0, BARE),
    Case("deposits, ten a second", replace(DEPOSITS, callers=1, rate=10.0), 1),
    Case("bare server, bulk 50", replace(USUAL, callers=8, bulk=50), 0),
    Case("transfers, bulk 50", replace(USUAL, callers=8, bulk=50), 1),
    Case("bare server, bulk 1,000", replace(USUAL, callers=4, bulk=1000), 0),
    Case("transfers, bulk 1,000", replace(USUAL, callers=4, bulk=1000), 1),
    Case("transfers, bulk 1,000, three branches", replace(USUAL, callers=6, bulk=1000), 3),
)


class Figures(NamedTuple):
    """What came of a case."""

    per_s: float
    everywhere_per_s: float
    p50_us: int
    server_us: float
    """What the processor spent on an operation at the server; of three branches, at all of them together."""
    client_us: float


def main() -> None:
    """Measure; tell the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.gettempdir())
    print(f"a page is on the disk after {sync_us(folder)} µs")
    rounds: list[dict[str, Figures]] = []
    for number in range(arguments.rounds):
        found = {}
        for case in CASES:
            found[case.name] = measure(case, is_profiled=arguments.profile and number == 0)
            print(f"round {number + 1}: {case.name}: {found[case.name]}", flush=True)
        rounds.append(found)
    print(f"a page is on the disk after {sync_us(folder)} µs")
    tell(rounds)


def tell(rounds: list[dict[str, Figures]]) -> None:
    """Tell the median of each figure."""
    print("| case | operations/s | everywhere/s | p50, ms | server, µs | client, µs |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        of_case = [each[case.name] for each in rounds]
        middle = Figures(*(median(column) for column in zip(*of_case, strict=True)))
        print(
            f"| {case.name} | {middle.per_s:,.0f} | {middle.everywhere_per_s:,.0f} "
            f"| {middle.p50_us / 1000:.2f} | {middle.server_us:.1f} | {middle.client_us:.1f} |"
        )


def measure(case: Case, *, is_profiled: bool) -> Figures:
    """Measure one case."""
    if case.branches == 0:
        with bare_server() as (address, pid):
            return asyncio.run(measure_at(address, pid, case))
    with bank_of_its_own(OwnBank(case.branches)) as bank:
        profiling = profile(bank.pids[BranchId(1)]) if is_profiled else None
        one = BranchId(1)
        if case.client == BARE:
            figures = asyncio.run(measure_at(bank.addresses[one], bank.pids[one], case))
        else:
            figures = asyncio.run(_measure_bank(case, bank))
        if profiling is not None:
            print(f"profile of branch 1, {case.name}:\n{shares(profiling.wait_for())}", flush=True)
        return figures


async def _measure_bank(case: Case, bank: BankUnderTest) -> Figures:
    (measured,) = await run(bank, case.load, _show_nothing)
    cpu_s = sum(used.cpu_s for used in measured.used.values())
    operations = measured.tally.in_time
    return Figures(
        measured.per_s,
        measured.everywhere_per_s or 0.0,
        measured.tally.service.percentile(50),
        1e6 * cpu_s / operations,
        1e6 * sum(measured.tally.cpu_s) / operations,
    )


def _show_nothing(_: Progress) -> None:
    """Be shown how far it is."""


# The bare server.


@contextmanager
def bare_server() -> Iterator[tuple[str, int]]:
    """Run a gRPC server, in a process of its own, that answers every request at once."""
    context = multiprocessing.get_context("forkserver")
    mine, theirs = context.Pipe()
    process = context.Process(target=serve_bare, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that a server that ends before it listens is noticed
    try:
        assert process.pid is not None
        yield f"127.0.0.1:{mine.recv()}", process.pid
    finally:
        process.kill()
        process.join()


def serve_bare(pipe: Connection) -> None:
    """Be the bare server."""
    asyncio.run(_serve_bare(pipe))


async def _serve_bare(pipe: Connection) -> None:
    server = grpc.aio.server()
    # It is asked for three of the methods only.
    bank_pb2_grpc.add_BankServicer_to_server(Bare(), server)  # type: ignore[abstract]
    asyncio.get_running_loop().add_reader(pipe.fileno(), os._exit, 1)  # whoever started it is gone
    pipe.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


INFO = bank_pb2.ReplyInfo(token=bytes(27), branch=1, request_id="0badcafe")


class Bare(bank_pb2_grpc.BankServicer):
    """Answers what a branch would, and does nothing."""

    async def GetBalance(self, _request: Any, _context: Any) -> bank_pb2.Receipt:  # noqa: N802
        """Answer."""
        return bank_pb2.Receipt(balance=1, info=INFO)

    async def Deposit(self, _request: Any, _context: Any) -> bank_pb2.Receipt:  # noqa: N802
        """Answer."""
        entry = bank_pb2.EntryId(origin=bank_pb2.Origin(branch=1, incarnation=1), seq=1)
        return bank_pb2.Receipt(balance=1, entry=entry, info=INFO, available=1)

    async def SubmitBatch(self, request: Any, _context: Any) -> bank_pb2.BatchReceipt:  # noqa: N802
        """Answer in columns, since the load generator asks for plain movements."""
        ones = [1] * len(request.moves.amounts)
        moves = bank_pb2.MoveResults(balances=ones, available=ones)
        return bank_pb2.BatchReceipt(moves=moves, info=INFO)


async def measure_at(address: str, pid: int, case: Case) -> Figures:
    """Measure one server, bare or a branch."""
    window = window_of(case.load, time.monotonic() + 1.0)  # the clients take a moment to start
    reading = asyncio.create_task(_cpu_of(pid, window.measured_s, window.end_s))
    if case.client == BARE:
        tally, client_s = await _call_barely(case, address)
    else:
        with Clients(case.load, {BranchId(1): address}) as clients:
            await clients.ready()
            clients.go(window)
            tally = await clients.done(lambda _: None)
        client_s = sum(tally.cpu_s)
    server_s = await reading
    per_s = tally.in_time / case.load.duration_s
    p50_us = tally.service.percentile(50)
    return Figures(per_s, per_s, p50_us, 1e6 * server_s / tally.in_time, 1e6 * client_s / tally.in_time)


async def _cpu_of(pid: int, begin_s: float, end_s: float) -> float:
    used = []
    for moment_s in (begin_s, end_s):
        await asyncio.sleep(moment_s - time.monotonic())
        usage = usage_of(pid)
        assert usage is not None, "it runs"
        used.append(usage.cpu_s)
    return used[1] - used[0]


async def _call_barely(case: Case, address: str) -> tuple[Tally, float]:
    """Call without the client library: gRPC's own stub, and one message for all requests."""
    window = window_of(case.load, time.monotonic() + 1.0)
    tally, schedule = Tally(), schedule_of(Assignment(case.load, {BranchId(1): address}, 0), window)
    session = bank_pb2.Session(customer="bench-1")
    message = bank_pb2.DepositRequest(session=session, account="bench-1", amount=1)
    async with grpc.aio.insecure_channel(address) as channel:
        stub: bank_pb2_grpc.BankAsyncStub = bank_pb2_grpc.BankStub(channel)

        async def ask(_: object) -> Answered:
            await stub.Deposit(message, timeout=30.0)
            return Answered({Outcome.OK: 1})

        began_s = time.process_time()
        await asyncio.gather(
            *(call(window, schedule, tally, object, ask, 1) for _ in range(case.load.callers))
        )
        # The warm-up too, so of all that was done.
        return tally, (time.process_time() - began_s) * tally.in_time / tally.done


# The profile.

ROOMS = (
    ("store", re.compile(r"bankbook/store/")),
    ("core", re.compile(r"bankbook/core/")),
    ("wire", re.compile(r"bankbook/wire/")),
    ("streams", re.compile(r"bankbook/server/streams")),
    ("structlog", re.compile(r"structlog/")),
    ("server", re.compile(r"bankbook/server/")),
    ("gRPC", re.compile(r"grpc")),
    ("asyncio", re.compile(r"asyncio|selectors")),
)


class Profiling(NamedTuple):
    """A look into a process that runs."""

    process: "subprocess.Popen[bytes]"
    path: Path

    def wait_for(self) -> str:
        """Return stacks and how often each was found."""
        self.process.wait()
        return self.path.read_text()


def profile(pid: int) -> Profiling:
    """Begin to look into a process once it is warm."""
    path = Path(tempfile.mkdtemp(prefix="profile-")) / "stacks"
    spy = Path(sys.executable).with_name("py-spy")
    record = f"{spy} record --rate 200 --format raw -d {PROFILED_S} -o {path} -p {pid}"
    command = ["/bin/sh", "-c", f"sleep {WARMUP_S + 1}; exec {record}"]
    quiet = subprocess.DEVNULL
    return Profiling(subprocess.Popen(command, stdout=quiet, stderr=quiet), path)


def shares(stacks: str) -> str:
    """Return how often each room was the innermost one of ours, and the functions found most."""
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        rooms[_room_of(frames)] += int(count)
        functions.update(dict.fromkeys(_ours_in(frames), int(count)))
    total = rooms.total()
    told = [f"  {count / total:6.1%} {room}" for room, count in rooms.most_common()]
    told += [f"  {count / total:6.1%}   {name}" for name, count in functions.most_common(40)]
    return "\n".join(told)


def _room_of(frames: list[str]) -> str:
    for frame in reversed(frames):
        for room, pattern in ROOMS:
            if pattern.search(frame):
                return room
    return "other"


def _ours_in(frames: list[str]) -> list[str]:
    """Return our functions of a stack, without the lines."""
    ours = (frame for frame in frames if "bankbook/" in frame and "launcher" not in frame)
    return [re.sub(r":\d+\)$", ")", frame) for frame in ours]


if __name__ == "__main__":
    main()
