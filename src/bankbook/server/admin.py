"""The Admin service: what an operator asks a branch.

Decides nothing. Proof: tests/server/test_services.py.
"""

from collections.abc import Iterator  # noqa: TC003  (as every module imports it)

from bankbook.core.commands import accounts_of
from bankbook.core.entry import Entry
from bankbook.core.holds import Held
from bankbook.core.outcome import Outcome
from bankbook.core.peers import Peer
from bankbook.core.ports import Reader
from bankbook.core.replica import Status
from bankbook.core.types import ID_RULE, AccountId, EntryId, is_id
from bankbook.core.vector import VersionVector
from bankbook.server.calls import Context, abort, guarded
from bankbook.server.config import BranchConfig
from bankbook.server.driver import Driver
from bankbook.server.machine import read_clocks
from bankbook.store.history import history, next_batch
from bankbook.wire.basics import MessageDamagedError, encode_gap, encode_origin
from bankbook.wire.status import Failure
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc
from bankbook.wire.vectors import decode_vector, encode_vector

# As many holds as a person may want to look through; a message of about 200 kB.
HOLDS_TOLD_MAX = 1000


class AdminServicer(admin_pb2_grpc.AdminServicer):
    """Tells what one branch knows."""

    def __init__(self, config: BranchConfig, driver: Driver) -> None:
        self._config = config
        self._driver = driver

    @guarded
    async def GetStatus(
        self, _request: admin_pb2.GetStatusRequest, _context: Context
    ) -> admin_pb2.BranchStatus:
        """Return vectors, lag and holds."""
        status = await self._driver.status()
        now_us = read_clocks().monotonic_us
        return admin_pb2.BranchStatus(
            cluster=self._config.genesis.cluster,
            origin=encode_origin(status.origin),
            applied=encode_vector(status.applied),
            stable=encode_vector(status.stable),
            dropped=encode_vector(status.dropped),
            peers=[_encode_peer(peer, status) for peer in status.peers],
            holds=[_encode_hold(held, status, now_us) for held in status.held[:HOLDS_TOLD_MAX]],
            held=len(status.held),
            inbox=status.inbox,
            opening_balance=self._config.genesis.opening_balance,
            accounts=self._config.accounts.value,
            hold_limit_us=self._config.hold_limit_us,
            delay_us=self._config.slowest_us(),
            is_catching_up=status.catching_up_on is not None,
            catching_up_on=status.catching_up_on,
        )

    @guarded
    async def GetRights(
        self, request: admin_pb2.GetRightsRequest, context: Context
    ) -> admin_pb2.AccountRights:
        """Return an account's state, and what each branch may take out of it."""
        if not is_id(request.account):
            detail = f"an account id has {ID_RULE}; this one is {request.account[:80]!r}"
            await abort(context, Failure(Outcome.INVALID_REQUEST, detail))
        state, rights = await self._driver.rights(AccountId(request.account))
        if state is None:
            await abort(context, Failure(Outcome.UNKNOWN_ACCOUNT, f"there is no account {request.account}"))
        return admin_pb2.AccountRights(
            balance=state.balance,
            available=state.available,
            reserved=state.reserved,
            rights=[
                admin_pb2.Rights(branch=branch, amount=amount) for branch, amount in sorted(rights.items())
            ],
        )

    @guarded
    async def ReadEntries(  # type: ignore[override]
        self, request: admin_pb2.ReadEntriesRequest, context: Context
    ) -> None:
        """Send the store's entries, a batch at a time: in between, the branch goes on with its work."""
        try:
            after = decode_vector(request.after)
        except MessageDamagedError as error:
            await abort(context, Failure(Outcome.INVALID_REQUEST, str(error)))
        until = await self._driver.read(lambda store: store.applied())
        await context.write(admin_pb2.EntryBatch(until=encode_vector(until)))
        entries: Iterator[Entry] | None = None

        def look(store: Reader) -> list[Entry] | VersionVector:
            """Return the next entries; or what was dropped, where some of them were."""
            nonlocal entries
            if not after.dominates(store.dropped()):
                return store.dropped()
            entries = entries or history(store, after, until)
            return next_batch(entries)

        while found := await self._driver.read(look):
            if isinstance(found, VersionVector):
                await abort(context, Failure(Outcome.HISTORY_DROPPED, _why_dropped(found)))
            await context.write(admin_pb2.EntryBatch(entries=[entry.encoded for entry in found]))
            after = after.merge(VersionVector((entry.origin, entry.seq) for entry in found))


def _why_dropped(dropped: VersionVector) -> str:
    told = ", ".join(str(EntryId(*last)) for last in dropped)
    return (
        f"this branch keeps entries for a time only, and the first that it has follow {told}: stop it and "
        "export from its store, with --data, which begins with balances brought forward"
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
        account=next(iter(accounts_of(held.request.command)), ""),
        held_us=max(now_us - held.since_us, 0),
        unanswered=sorted(held.unanswered),
        missing=[encode_gap(gap) for gap in status.applied.behind(held.needs)],
    )
