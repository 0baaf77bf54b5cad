"""Several branches in one event loop, on free ports: all of a bank but its processes.

    async with open_bank(2) as bank:
        paid = await bank.stub(1).Deposit(...)

The test decides which branch fetches from which: a branch that is not joined to another one has nothing
of it, until it is. (At first all are, for a moment: a branch with a new store asks every other one what it
knows before it serves.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import grpc.aio

from bankbook.client import Bank
from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId, Money
from bankbook.server.branch import Branch
from bankbook.server.config import BranchConfig
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc, bank_pb2_grpc

FOREVER_S = 60.0
"""Longer than any test: what waits for it hangs."""

SECOND = 1_000_000


async def settle() -> None:
    """Let everything run that can without a network."""
    for _ in range(50):
        await asyncio.sleep(0)


def as_it_is(config: BranchConfig) -> BranchConfig:
    return config


def impatient(config: BranchConfig) -> BranchConfig:
    """Let a branch hold nobody for long: where a test waits for the end of a hold, not for a caller's."""
    return replace(config, hold_limit_us=SECOND // 10)


class BankInOneLoop:
    """Branches 1 to `count`, each configured by `configure`."""

    def __init__(
        self, count: int, opening_balance: int | None, configure: Callable[[BranchConfig], BranchConfig]
    ) -> None:
        balance = None if opening_balance is None else Money(opening_balance)
        self.genesis = Genesis("bank-of-tests", tuple(BranchId(n + 1) for n in range(count)), balance)
        self.branches: dict[int, Branch] = {}
        self.addresses: dict[int, str] = {}
        self._configure = configure
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._clients: list[Bank] = []

    async def start(self, branch: int) -> None:
        """Start a branch: at a free port, or where it was before."""
        config = self._configure(BranchConfig(BranchId(branch), self.genesis, drain_us=0))
        started = Branch(replace(config, listen=self.addresses.get(branch, config.listen)))
        self.addresses[branch] = f"127.0.0.1:{await started.start()}"
        self.branches[branch] = started

    async def stop(self, branch: int, drain_us: int = 0) -> None:
        await self.branches.pop(branch).stop(drain_us)

    async def join(self, subscriber: int, publisher: int) -> None:
        """Let one branch fetch from another one; return once it is connected."""
        streams = self.branches[subscriber].streams
        streams.connect({BranchId(publisher): self.addresses[publisher]})
        await asyncio.wait_for(streams.all_connected(), FOREVER_S)

    async def join_all(self) -> None:
        for subscriber in self.branches:
            for publisher in self.branches:
                if subscriber != publisher:
                    await self.join(subscriber, publisher)

    async def until_all_serve(self) -> None:
        """Wait until every branch knows that the others know nothing either."""
        for branch in self.branches:
            await self.until(branch, lambda status: not status.is_catching_up)

    async def part_all(self) -> None:
        """Close all streams between the branches."""
        for branch in self.branches.values():
            await branch.streams.close()

    def channel(self, branch: int) -> grpc.aio.Channel:
        if branch not in self._channels:
            self._channels[branch] = grpc.aio.insecure_channel(self.addresses[branch])
        return self._channels[branch]

    def stub(self, branch: int) -> "bank_pb2_grpc.BankAsyncStub":
        return bank_pb2_grpc.BankStub(self.channel(branch))

    async def status(self, branch: int) -> admin_pb2.BranchStatus:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(self.channel(branch))
        return await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=FOREVER_S)

    async def until(self, branch: int, is_so: Callable[[admin_pb2.BranchStatus], bool]) -> None:
        """Wait until a branch's status is as wanted; every look is one step of its driver."""
        while not is_so(await self.status(branch)):
            pass

    async def until_held(self, branch: int, count: int) -> None:
        await self.until(branch, lambda status: status.held == count)

    def client(self, timeout: float = FOREVER_S) -> Bank:
        """A customer's side of this bank, closed with it."""
        self._clients.append(Bank(self.addresses, timeout=timeout))
        return self._clients[-1]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for channel in self._channels.values():
            await channel.close(None)
        await asyncio.gather(*(self.stop(branch) for branch in list(self.branches)))


@asynccontextmanager
async def open_bank(
    count: int = 2,
    *,
    opening_balance: int | None = 0,
    joined: bool = True,
    new: bool = True,
    configure: Callable[[BranchConfig], BranchConfig] = as_it_is,
) -> AsyncIterator[BankInOneLoop]:
    """Start a bank; stop it, whatever happened, and see that no task is left.

    Stores that are not `new` have joined before, so that branches serve which were never joined here.
    """
    before = asyncio.all_tasks()
    bank = BankInOneLoop(count, opening_balance, configure)
    try:
        for branch in bank.genesis.branches:
            await bank.start(branch)
        if joined or new:
            await bank.join_all()
            await bank.until_all_serve()
        if new and not joined:
            await bank.part_all()
        yield bank
    finally:
        await bank.close()
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=5)
    assert asyncio.all_tasks() <= before, "a task is left"
