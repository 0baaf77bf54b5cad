"""What the branches say of themselves.

Decides when all branches have everything. Must not know what was asked of them.
Proof: tests/bench/test_run.py.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Self

import grpc.aio

from bankbook.bench.settings import BenchError
from bankbook.core.types import BranchId
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc
from bankbook.wire.vectors import decode_vector

# A branch under load answers late; one that does not answer within this is gone.
_TIMEOUT_S = 30.0

# A branch that is there says so at once.
_FIRST_TIMEOUT_S = 5.0

# A question costs a branch a millisecond or so: not more than a tenth of its time.
_POLL_S = 0.01


class Branches:
    """The Admin services of all branches. Use it with `async with`."""

    def __init__(self, addresses: dict[BranchId, str]) -> None:
        self._addresses = addresses
        self._stubs: dict[BranchId, admin_pb2_grpc.AdminAsyncStub] = {}
        self._channels = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for branch, address in self._addresses.items():
            channel = await self._channels.enter_async_context(grpc.aio.insecure_channel(address))
            self._stubs[branch] = admin_pb2_grpc.AdminStub(channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channels.aclose()

    async def statuses(self, timeout_s: float = _FIRST_TIMEOUT_S) -> list[admin_pb2.BranchStatus]:
        """Return what each says of itself, in the order of their numbers. Raises BenchError."""
        return list(await asyncio.gather(*(self._status(each, timeout_s) for each in self._stubs)))

    async def _status(self, branch: BranchId, timeout_s: float) -> admin_pb2.BranchStatus:
        try:
            return await self._stubs[branch].GetStatus(admin_pb2.GetStatusRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise BenchError(
                f"branch {branch} at {self._addresses[branch]} gave no answer ({error.code().name}); "
                "is it running?"
            ) from error

    async def settled(self, patience_s: float) -> bool:
        """Return once every branch has all that any has now; false where that takes longer than this.

        Raises BenchError.
        """
        heads = _merged(await self._applied())
        try:
            async with asyncio.timeout(patience_s):
                while not all(each.dominates(heads) for each in await self._applied()):  # noqa: ASYNC110  (the branches are other processes)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True

    async def _applied(self) -> list[VersionVector]:
        return [decode_vector(status.applied) for status in await self.statuses(_TIMEOUT_S)]


def _merged(vectors: Iterable[VersionVector]) -> VersionVector:
    merged = NOTHING
    for each in vectors:
        merged = merged.merge(each)
    return merged
