"""A bank of real processes, with a proxy on every way to each of them, that is always cleared away.

    async with open_bank(3, ["harbour", "market"], folder) as bank:
        async with Bank(bank.addresses_from("harbour")) as client:
            ...

Decides nothing about faults or customers. Proof: tests/faults/test_process.py, tests/faults/test_faults.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from faults.janitor import Janitor
from faults.network import Network
from faults.process import BranchProcess
from faults.small_disk import mount_small_disk, why_no_small_disk
from server.processes import PATIENCE_S, status_of

from bankbook.wire.v1 import admin_pb2

_POLL_S = 0.05

# About a customer's patience: a branch that waits for one that is cut off says so while somebody listens.
HOLD_LIMIT_S = 5.0


class BankOfProcesses:
    """The branches and the network between them and their customers."""

    def __init__(self, branches: dict[int, BranchProcess], network: Network, disks: dict[int, Path]) -> None:
        self.branches = branches
        self.network = network
        self.small_disks = disks
        """Of each branch the disk that is its own, where one could be mounted."""

    def addresses_from(self, place: str) -> dict[int, str]:
        """Return where customers at a place find the branches: behind proxies of their own."""
        return self.network.addresses(place)

    @property
    def addresses(self) -> dict[int, str]:
        """Where the branches really are."""
        return {number: branch.address for number, branch in self.branches.items()}

    async def start(self, branch: int) -> None:
        """Start a branch, and let the network find it. Raises DiedError."""
        started = self.branches[branch]
        await started.start()
        self.network.place(branch, started.address)

    async def statuses(self) -> list[admin_pb2.BranchStatus]:
        """Ask every branch how it is, on no way that can be cut; nothing where one gives no answer."""
        self.check_alive()
        try:
            return [await status_of(address) for address in self.addresses.values()]
        except grpc.aio.AioRpcError:
            return []

    async def until_joined(self) -> None:
        """Wait until every branch of a new bank serves."""
        async with asyncio.timeout(PATIENCE_S):
            while not _have_joined(await self.statuses()):  # noqa: ASYNC110  (other processes)
                await asyncio.sleep(_POLL_S)

    async def until_all_hear_all(self) -> None:
        """Wait until every branch is sent every other one's log."""
        async with asyncio.timeout(PATIENCE_S):
            while not _all_hear_all(await self.statuses()):  # noqa: ASYNC110  (other processes)
                await asyncio.sleep(_POLL_S)

    async def until_converged(self) -> None:
        """Wait until all branches have the same, and none holds anything or waits for anybody."""
        async with asyncio.timeout(PATIENCE_S):
            while not _is_at_rest(await self.statuses()):  # noqa: ASYNC110  (other processes)
                await asyncio.sleep(_POLL_S)

    def check_alive(self) -> None:
        """Raise DiedError if a branch ended by itself."""
        for branch in self.branches.values():
            branch.check_alive()

    def bugs(self) -> list[str]:
        """Return what the branches themselves logged as bugs of ours."""
        return [
            f"branch {number}: {event}"
            for number, branch in self.branches.items()
            for event in _events(branch.log)
            if event["event"] == "bug"
        ]


def _have_joined(statuses: list[admin_pb2.BranchStatus]) -> bool:
    return bool(statuses) and not any(each.is_catching_up for each in statuses)


def _all_hear_all(statuses: list[admin_pb2.BranchStatus]) -> bool:
    return bool(statuses) and all(peer.source for each in statuses for peer in each.peers)


def _is_at_rest(statuses: list[admin_pb2.BranchStatus]) -> bool:
    applied = {each.applied.SerializeToString(deterministic=True) for each in statuses}
    is_busy = any(each.held or each.inbox for each in statuses)
    return len(applied) == 1 and _have_joined(statuses) and not is_busy


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """Go through a log; a disk that was full may have cut a line short."""
    if log.exists():
        for line in log.read_text(errors="replace").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


@asynccontextmanager
async def open_bank(count: int, places: Iterable[str], folder: Path) -> AsyncIterator[BankOfProcesses]:
    """Start a bank; whatever happens, no process, disk or port of it is left."""
    network = Network(range(1, count + 1), places)
    branches: dict[int, BranchProcess] = {}
    with Janitor() as janitor:
        try:
            await network.open()
            bank = _new_bank(network, folder, janitor)
            branches = bank.branches
            await asyncio.gather(*map(bank.start, bank.branches))
            await bank.until_joined()
            yield bank
        finally:
            janitor.clear_away()
            await asyncio.gather(*(branch.ended() for branch in branches.values()))
            await network.close()


def _new_bank(network: Network, folder: Path, janitor: Janitor) -> BankOfProcesses:
    branches, disks = {}, {}
    for number in network.branches:
        place = folder / f"branch-{number}"
        branches[number] = BranchProcess(number, place, janitor, network.addresses(number), HOLD_LIMIT_S)
        if not why_no_small_disk():
            mount_small_disk(branches[number].data, janitor)
            disks[number] = branches[number].data
    return BankOfProcesses(branches, network, disks)
