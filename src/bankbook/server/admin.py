"""The Admin service: what an operator asks a branch.

Decides nothing. Proof: tests/server/test_services.py.
"""

import grpc.aio

from bankbook.core.commands import account_of
from bankbook.core.holds import Held
from bankbook.core.peers import Peer
from bankbook.core.replica import Status
from bankbook.server.config import BranchConfig
from bankbook.server.driver import Driver, read_clocks
from bankbook.wire.peers import encode_vector
from bankbook.wire.requests import encode_gap, encode_origin
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc

# As many holds as a person may want to look through; a message of about 200 kB.
HOLDS_TOLD_MAX = 1000


class AdminServicer(admin_pb2_grpc.AdminServicer):
    """Tells what one branch knows."""

    def __init__(self, config: BranchConfig, driver: Driver) -> None:
        self._config = config
        self._driver = driver

    async def GetStatus(
        self,
        _request: admin_pb2.GetStatusRequest,
        _context: grpc.aio.ServicerContext[admin_pb2.GetStatusRequest, admin_pb2.BranchStatus],
    ) -> admin_pb2.BranchStatus:
        """Return vectors, lag and holds."""
        status = await self._driver.status()
        now_us = read_clocks().monotonic_us
        return admin_pb2.BranchStatus(
            cluster=self._config.genesis.cluster,
            origin=encode_origin(status.origin),
            applied=encode_vector(status.applied),
            stable=encode_vector(status.stable),
            peers=[_encode_peer(peer, status) for peer in status.peers],
            holds=[_encode_hold(held, status, now_us) for held in status.held[:HOLDS_TOLD_MAX]],
            held=len(status.held),
            inbox=status.inbox,
            opening_balance=self._config.genesis.opening_balance,
            accounts=self._config.accounts.value,
            hold_limit_us=self._config.hold_limit_us,
            delay_us=self._config.slowest_us(),
        )


def _encode_peer(peer: Peer, status: Status) -> admin_pb2.PeerStatus:
    source = status.sources.get(peer.origin, 0) if peer.origin is not None else 0
    return admin_pb2.PeerStatus(
        branch=peer.branch,
        is_connected=peer.is_connected,
        applied=encode_vector(peer.applied),
        lag=status.applied[status.origin] - peer.applied[status.origin],
        source=source,
    )


def _encode_hold(held: Held, status: Status, now_us: int) -> admin_pb2.Hold:
    return admin_pb2.Hold(
        customer=held.request.customer,
        account=account_of(held.request.command),
        held_us=max(now_us - held.since_us, 0),
        unanswered=sorted(held.unanswered),
        missing=[encode_gap(gap) for gap in status.applied.behind(held.needs)],
    )
