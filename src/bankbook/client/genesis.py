"""What a bank says of itself before the first line of a history is written.

Decides who is asked, and what is made of the answer. Must not know what is recorded then.
Proof: tests/client/test_recorder.py.
"""

from collections.abc import Mapping

import grpc.aio

from bankbook.client.errors import error_for
from bankbook.core.outcome import Outcome
from bankbook.history.record import Header, Latest, Terms
from bankbook.wire.status import Failure
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc

# For each branch: it is either there or not.
_TIMEOUT_S = 5.0


async def ask_header(addresses: Mapping[int, str]) -> Header:
    """Ask one branch after another what the bank is. Raises BranchUnreachableError where none says it."""
    complaints = []
    for branch, address in sorted(addresses.items()):
        try:
            return _header(await _ask(address), addresses)
        except grpc.aio.AioRpcError as error:
            complaints.append(f"branch {branch} at {address} gave no answer ({error.code().name})")
    detail = f"a history begins with what a branch tells of the bank, and {'; '.join(complaints)}"
    raise error_for(Failure(Outcome.BRANCH_UNREACHABLE, detail), None)


async def _ask(address: str) -> admin_pb2.BranchStatus:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        return await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)


def _header(status: admin_pb2.BranchStatus, addresses: Mapping[int, str]) -> Header:
    branches = max(*addresses, status.origin.branch, *(peer.branch for peer in status.peers))
    others = Terms(status.opening_balance) if status.HasField("opening_balance") else None
    return Header(status.cluster, branches, others, latest=Latest.RECENT)
