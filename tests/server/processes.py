"""Banks of real processes for tests: started, wired, watched, and always ended."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
from ports import free_port_base

from bankbook.client import LATEST, Bank
from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId, Money
from bankbook.server.config import BranchConfig
from bankbook.server.launcher import Launcher, Meet, _Child
from bankbook.wire.original import bank_pb2 as original_pb2
from bankbook.wire.original import bank_pb2_grpc as original_pb2_grpc
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc

# For what takes milliseconds, on a machine in distress.
PATIENCE_S = 60.0
_POLL_S = 0.01

HOST = "127.0.0.1"


def configs_of(count: int, data: Path, *, cluster: str = "test", **more: Any) -> list[BranchConfig]:
    """Return the configurations of a bank in which every account exists, with nothing in it."""
    data.mkdir(exist_ok=True)
    branches = tuple(BranchId(number) for number in range(1, count + 1))
    genesis = Genesis(cluster, branches, Money(0))
    base = free_port_base(count)
    return [
        BranchConfig(
            branch=branch,
            genesis=genesis,
            data=data / f"branch-{branch}",
            log_file=data / f"{cluster}.log",
            **{"listen": f"127.0.0.1:{base + branch}", **more},
        )
        for branch in branches
    ]


def banks_with(opening: int, count: int, data: Path, **more: Any) -> list[BranchConfig]:
    """Return the configurations of a bank in which every account begins with so much, evenly spread."""
    return [
        replace(each, genesis=replace(each.genesis, opening_balance=Money(opening)))
        for each in configs_of(count, data, **more)
    ]


@contextmanager
def bank_of(configs: list[BranchConfig]) -> Iterator[Launcher]:
    """Start a bank; end it whatever happens."""
    launcher = Launcher(configs)
    try:
        launcher.start()
        yield launcher
    finally:
        launcher.kill_all()  # a test that is about stopping has called `stop`


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended yet (a zombie has)."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(told.stdout.strip()) and not told.stdout.startswith("Z")


def processes_of_session(session: int) -> list[int]:
    """Return the running processes that a command and its descendants consist of."""
    told = subprocess.run(["ps", "-e", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in told.stdout.splitlines()]
    return [int(pid) for pid, sess, stat in rows if int(sess) == session and not stat.startswith("Z")]


def wait_until(condition: Callable[[], bool], why: str) -> None:
    """Wait until something is so, and fail where it never is."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"never came to be: {why}"
        time.sleep(_POLL_S)


async def held_at(address: str, count: int) -> None:
    """Wait until the branch holds so many requests."""
    async with asyncio.timeout(PATIENCE_S):
        while (await status_of(address)).held != count:  # noqa: ASYNC110  (the branch is another process)
            await asyncio.sleep(_POLL_S)


async def all_joined(launcher: Launcher) -> None:
    """Wait until every branch of a new bank knows that there is nothing to know."""
    async with asyncio.timeout(PATIENCE_S):
        for address in launcher.addresses.values():
            while (await status_of(address)).is_catching_up:  # noqa: ASYNC110  (the branch is another process)
                await asyncio.sleep(_POLL_S)


async def all_connected(launcher: Launcher) -> None:
    """Wait until every branch has a stream to every other one."""
    async with asyncio.timeout(PATIENCE_S):
        for address in launcher.addresses.values():
            while not all(each.is_connected for each in (await status_of(address)).peers):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)


async def balances(bank: Bank, account: str) -> list[int]:
    """Return the account's balance at every branch, each with all that any branch has acknowledged."""
    auditor = bank.session("auditor", account=account)
    return [int((await auditor.balance(branch=each, freshness=LATEST)).balance) for each in bank.branches]


async def status_of(address: str) -> admin_pb2.BranchStatus:
    """Ask a branch what it knows."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
        return await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=PATIENCE_S)


async def rights_at(address: str, account: str) -> admin_pb2.AccountRights:
    """Ask a branch what it knows of an account and of who may take what out of it."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
        return await stub.GetRights(admin_pb2.GetRightsRequest(account=account), timeout=PATIENCE_S)


async def msg_delivery(
    address: str, interface: str, money: int = 0, customer: int = 1
) -> original_pb2.BankResponse:
    """Do what the original system's customer does: one call on a channel of its own."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: original_pb2_grpc.BankAsyncStub = original_pb2_grpc.BankStub(channel)
        request = original_pb2.BankRequest(interface=interface, money=money, id=customer)
        return await stub.MsgDelivery(request, timeout=PATIENCE_S)


class Wire:
    """A TCP connection to a branch that can be cut and mended."""

    def __init__(self) -> None:
        self.target = ""
        self._is_cut = False
        self._loses_answers = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """Where to connect to."""
        assert self._server is not None
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)

    def cut(self) -> None:
        """Break every connection, and every one to come."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def lose_answers(self) -> None:
        """Let through what goes to the branch, and nothing that comes from it."""
        self._loses_answers = True

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = self._loses_answers = False

    async def close(self) -> None:
        """End."""
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._pass_on(reader, writer)
        except OSError:
            pass  # either end is gone, which is what a wire does
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers.add(far_writer)
        try:
            ways = [
                asyncio.ensure_future(_copy(reader, far_writer)),
                asyncio.ensure_future(_copy(far_reader, writer, lambda: self._loses_answers)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
        finally:
            far_writer.transport.abort()
            self._writers.discard(far_writer)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: Callable[[], bool] = lambda: False
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if not is_lost():
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def wired_bank(
    configs: list[BranchConfig], wired: list[tuple[int, int]]
) -> AsyncIterator[tuple[Launcher, dict[tuple[int, int], Wire]]]:
    """Start a bank in which branch a reaches branch b through a Wire, for each (a, b) of `wired`."""
    wires = {link: Wire() for link in wired}
    launcher = _WiredLauncher(configs, wires)
    try:
        for wire in wires.values():
            await wire.open()
        await asyncio.to_thread(launcher.start)
        yield launcher, wires
    finally:
        launcher.kill_all()
        for wire in wires.values():
            await wire.close()


class _WiredLauncher(Launcher):
    """Tells a branch of the wires, and not of the branches behind them."""

    def __init__(self, configs: list[BranchConfig], wires: dict[tuple[int, int], Wire]) -> None:
        super().__init__(configs)
        self._wires = wires

    def _introduce(self, child: _Child) -> None:
        addresses = self.addresses
        for (here, there), wire in self._wires.items():
            if here == child.config.branch:
                wire.target = addresses[BranchId(there)]
                addresses[BranchId(there)] = wire.address
        child.pipe.send(Meet(addresses))
