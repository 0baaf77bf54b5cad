"""One branch as a process, from its start to its end.

Decides the order in which things start and stop. Proof: tests/server/test_processes.py.

Starting: the store, the core, the listening port, then the streams to the other branches. Stopping is
the same backwards: refuse new requests, end what is held, give the others a bounded time to take what
they lack, close the streams, the port and the store.
"""

import asyncio
import os
import secrets
from typing import cast

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bankbook.core.ports import Identity
from bankbook.core.replica import Settings
from bankbook.core.token import TokenCodec
from bankbook.core.types import INCARNATION_MAX, BranchId, Incarnation, Origin
from bankbook.server.admin import AdminServicer
from bankbook.server.calls import Readable
from bankbook.server.config import BranchConfig
from bankbook.server.customers import add_bank_service
from bankbook.server.driver import Driver
from bankbook.server.handler import Handler
from bankbook.server.multiplexing import Multiplexer
from bankbook.server.original import OriginalServicer
from bankbook.server.streams import ReplicationServicer, Streams
from bankbook.server.tasks import first_of
from bankbook.store.base import Store
from bankbook.store.memory import MemoryStore
from bankbook.store.sqlite import SqliteStore
from bankbook.wire.basics import MESSAGE_OPTIONS
from bankbook.wire.original import bank_pb2 as original_pb2
from bankbook.wire.original import bank_pb2_grpc as original_pb2_grpc
from bankbook.wire.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    bank_pb2,
    replication_pb2,
    replication_pb2_grpc,
)

# What is under way when the port closes: answers that are written, nothing that waits.
_CLOSE_GRACE_S = 0.5

STORE_FILE = "bank.sqlite"

# Where a branch listens that may listen anywhere: below the ports that systems, as they come, give to whoever
# connects to something, which may take the place of a branch that is down and wants its own again.
ANY_PORT = range(20_000, 32_768)
_PORTS_TRIED = 20

# Until a call is looked at: beyond what any burst takes, on a machine in distress.
_UNSEEN_MAX_S = 3600

_SERVER_OPTIONS = (
    *MESSAGE_OPTIONS,
    # A second branch on a taken port must fail loudly, and not share its requests.
    ("grpc.so_reuseport", 0),
    # As often as the streams of other branches ping; see streams.CHANNEL_OPTIONS.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    # Where either end stands still for some seconds, such as with 100,000 calls that are held, pings arrive
    # together; gRPC by itself would then end the connection and all its calls with it.
    ("grpc.http2.max_ping_strikes", 0),
    # gRPC by itself cancels some calls of a burst of 1,000, and all beyond 3,000: the caller of a write
    # that nobody looked at would be told that it is in doubt. What waits is bounded by the core.
    ("grpc.server.max_pending_requests", Settings().held_max),
    ("grpc.server.max_pending_requests_hard_limit", Settings().held_max),
    # gRPC by itself also cancels what nobody looked at within 30 s. 100,000 calls that come together take as
    # long on two busy processors. A caller's own deadline ends what is no longer wanted.
    ("grpc.server_max_unrequested_time_in_server", _UNSEEN_MAX_S),
)


_SERVICES = tuple(
    service.full_name
    for file in (bank_pb2, replication_pb2, admin_pb2, original_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)


class PortTakenError(Exception):
    """The branch cannot listen where it was told to; the message says what to do."""


class Branch:
    """One branch in this process."""

    def __init__(self, config: BranchConfig) -> None:
        """Open the store. Raises StoreError."""
        self._config = config
        self._store = open_store(config)
        self._log = structlog.get_logger()
        self.streams = Streams(self._store, config.delay_from)
        self._driver = Driver(self._store, config.settings(), self.streams.send, self.streams.reset)
        self.streams.driver = self._driver
        self._server = grpc.aio.server(options=_SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._multiplexer = self._add_services()
        self._stepping: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._has_ended = asyncio.Event()
        self._bug: BaseException | None = None

    async def start(self) -> int:
        """Begin to serve; return the port. Raises PortTakenError."""
        port = self._listen()
        self._stepping = asyncio.create_task(self._driver.run(), name="driver")
        self._stepping.add_done_callback(self._on_ended)
        await self._server.start()
        await self._tell_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._serving = asyncio.create_task(self._tell_when_serving(), name="health")
        self._log.info(
            "branch.listening", port=port, pid=os.getpid(), incarnation=f"{self._store.identity.origin}"
        )
        return port

    def _listen(self) -> int:
        host, _, named = self._config.listen.rpartition(":")
        ports = [named] if named != "0" else [str(secrets.choice(ANY_PORT)) for _ in range(_PORTS_TRIED)]
        why = None
        for port in ports:
            try:
                return self._server.add_insecure_port(f"{host}:{port}")
            except RuntimeError as error:
                why = error
        raise PortTakenError(
            f"branch {self._config.branch} cannot listen at {self._config.listen}: the port is taken, "
            "or the address is not this machine's. Is another bank running?"
        ) from why

    async def _tell_when_serving(self) -> None:
        await self._driver.joined()
        await self._tell_health(health_pb2.HealthCheckResponse.SERVING)
        self._log.info("branch.serving")

    async def _tell_health(self, status: int) -> None:
        for service in ("", *_SERVICES):
            await self._health.set(service, status)

    def connect(self, addresses: dict[BranchId, str]) -> None:
        """Open, and keep open, a stream to every other branch."""
        for task in self.streams.connect(addresses):
            task.add_done_callback(self._on_ended)

    async def serves(self) -> None:
        """Return once the branch carries out requests; one with a new store has to join first."""
        await self._driver.joined()

    async def ended(self) -> None:
        """Raise what ended the driver or a link, which end by themselves only for a bug of ours."""
        await self._has_ended.wait()
        if self._bug is not None:
            raise self._bug

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._bug = self._bug or task.exception()
            # At once: whoever asks why this branch stops may end it before it has stopped by itself.
            self._log.error("bug", task=task.get_name(), exc_info=self._bug)
            self._has_ended.set()

    async def stop(self, drain_us: int) -> None:
        """Stop serving; held requests and unpropagated entries get `drain_us` at the most."""
        self._log.info("branch.stopping")
        if self._serving is not None:
            self._serving.cancel()
        await self._health.enter_graceful_shutdown()
        if self._stepping is not None and not self._stepping.done():
            await first_of(self._driver.drain(drain_us), self._has_ended.wait())
        await self.streams.close()
        self._multiplexer.close()
        await self._server.stop(_CLOSE_GRACE_S)
        if self._stepping is not None:
            self._stepping.cancel()
            await asyncio.wait([self._stepping])
        await self._driver.close()
        self._log.info("branch.stopped")

    def _add_services(self) -> Multiplexer:
        config = self._config
        codec = TokenCodec(config.genesis.cluster, config.token_key)
        handler = Handler(config.branch, self._driver, codec, config.hold_limit_us)
        original = OriginalServicer(config.branch, handler, config.accounts)
        readable = Readable(self._server)
        as_server = cast("grpc.aio.Server", readable)  # for generated code, which asks no more of it
        multiplexer = add_bank_service(handler, readable)
        original_pb2_grpc.add_BankServicer_to_server(original, as_server)
        replication_pb2_grpc.add_ReplicationServicer_to_server(ReplicationServicer(self.streams), as_server)
        admin_pb2_grpc.add_AdminServicer_to_server(AdminServicer(config, self._driver), as_server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        described = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(described, self._server)
        return multiplexer


def open_store(config: BranchConfig) -> Store:
    """Open the branch's store, or create it. Raises StoreError."""
    incarnation = Incarnation(1 + secrets.randbelow(INCARNATION_MAX))
    if config.data is None:
        return MemoryStore(Identity(Origin(config.branch, incarnation), config.genesis))
    return SqliteStore.create_or_open(config.data / STORE_FILE, config.genesis, config.branch, incarnation)
