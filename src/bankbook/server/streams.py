"""The streams to and from the other branches.

Decides when to connect, and how long entries are on their way where a propagation delay is configured.
Must not know what the messages say. Proof: tests/server/test_streams.py, tests/server/test_processes.py.

This branch opens one stream to each other branch, as a subscriber; each other branch opens one to this,
as a subscriber of it. A stream has no deadline, since it lasts as long as both branches do; its
greeting has one, gRPC's keepalive ends a stream whose other end is gone, and the core's heartbeats
notice one that is merely silent.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from typing import Generic, TypeVar

import grpc
import grpc.aio
import structlog

from bankbook.core.messages import (
    Acknowledge,
    AskCopy,
    AskHead,
    AskKey,
    Connected,
    Disconnected,
    Entries,
    Forward,
    Message,
    Received,
    Subscribe,
    SubscriberGone,
    SubscriberHere,
    Unsubscribe,
)
from bankbook.core.types import BranchId
from bankbook.server.calls import guarded
from bankbook.server.config import Delay
from bankbook.server.driver import Driver
from bankbook.server.tasks import first_of
from bankbook.store.base import Store
from bankbook.wire.basics import BATCH_BYTES, MESSAGE_OPTIONS, MessageDamagedError, batches
from bankbook.wire.peers import (
    PROTOCOL_VERSION,
    Greeting,
    decode_from_publisher,
    decode_from_subscriber,
    encode_for_publisher,
    encode_for_subscriber,
)
from bankbook.wire.v1 import replication_pb2, replication_pb2_grpc

# A branch on the same machine is back within the first of these, one that was restarted by hand within
# a few; the last is as long as anybody wants to wait for it after a night's outage.
_BACKOFF_FIRST_S, _BACKOFF_LAST_S = 0.05, 2.0

_GREETING_TIMEOUT_S = 5.0

# What may wait to be written to one stream. The core's windows keep it to a few dozen; a stream that
# collects so much is not being read, and is closed.
_QUEUE_MAX = 10_000

_SUBSCRIBER_SAYS = (Subscribe, Unsubscribe, Acknowledge, AskHead, AskKey, Forward, AskCopy)

CHANNEL_OPTIONS = (
    *MESSAGE_OPTIONS,
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

Outgoing = TypeVar("Outgoing", replication_pb2.SubscriberMessages, replication_pb2.PublisherMessages)


class GreetingRefusedError(Exception):
    """The other end is no branch of this bank; the message says why."""


class Streams:
    """All streams of one branch."""

    def __init__(self, store: Store, delay_from: Callable[[BranchId], Delay]) -> None:
        self._identity = store.identity
        self._others = set(store.identity.genesis.branches) - {store.identity.origin.branch}
        self._delay_from = delay_from
        self._links: dict[BranchId, Link] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._publishers: dict[BranchId, _Queue[replication_pb2.PublisherMessages]] = {}
        self._log = structlog.get_logger()
        self.driver: Driver

    def connect(self, addresses: dict[BranchId, str]) -> list[asyncio.Task[None]]:
        """Open, and keep open, a stream to every other branch.

        Return the tasks that do. One that ends without being cancelled has met a bug of ours.
        """
        for branch, address in addresses.items():
            if branch != self._identity.origin.branch:
                link = Link(branch, address, self.driver, self.greeting, self._delay_from(branch))
                self._links[branch] = link
                self._tasks.append(asyncio.create_task(link.run(), name=f"link to branch {branch}"))
        return list(self._tasks)

    async def all_connected(self) -> None:
        """Return once every stream from here has been up."""
        for link in self._links.values():
            await link.has_connected.wait()

    def send(self, branch: BranchId, messages: list[Message]) -> None:
        """Write messages to another branch; those for a stream that is down are lost."""
        link, publisher = self._links.get(branch), self._publishers.get(branch)
        if link is not None:
            up = [encode_for_publisher(m) for m in messages if isinstance(m, _SUBSCRIBER_SAYS)]
            for some_up in batches(up):
                link.send(replication_pb2.SubscriberMessages(messages=some_up))
        if publisher is not None:
            down = [
                encode_for_subscriber(part)
                for message in messages
                if not isinstance(message, _SUBSCRIBER_SAYS)
                for part in parts(message)
            ]
            for some_down in batches(down):
                publisher.put(replication_pb2.PublisherMessages(messages=some_down))

    def reset(self) -> None:
        """Close every stream, to be opened anew: the replica has forgotten what was said."""
        for link in self._links.values():
            link.reset()
        for publisher in self._publishers.values():
            publisher.close()

    async def close(self) -> None:
        """Close every stream; none is opened again by itself."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for publisher in self._publishers.values():
            publisher.close()

    def greeting(self) -> Greeting:
        """Return what this branch says first on a stream."""
        genesis = self._identity.genesis
        return Greeting(
            PROTOCOL_VERSION,
            genesis.cluster,
            genesis.fingerprint(),
            self._identity.origin,
            self.driver.committed,
            self.driver.over,
        )

    async def publish(
        self,
        requests: AsyncIterator[replication_pb2.SubscriberMessages],
        write: Callable[[replication_pb2.PublisherMessages], Awaitable[None]],
    ) -> None:
        """Serve one subscriber's stream until either end closes it.

        Raises GreetingRefusedError, MessageDamagedError.
        """
        async with asyncio.timeout(_GREETING_TIMEOUT_S):
            greeting = await _first_greeting(requests)
        check_greeting(self.greeting(), greeting, expected=self._others)
        await write(replication_pb2.PublisherMessages(messages=[encode_for_subscriber(self.greeting())]))
        check_store(self.greeting(), greeting)
        branch = greeting.origin.branch
        queue: _Queue[replication_pb2.PublisherMessages] = _Queue()
        replaced = self._publishers.pop(branch, None)
        if replaced is not None:
            replaced.close()
        self.driver.feed(SubscriberGone(branch))
        self._publishers[branch] = queue
        self.driver.feed(SubscriberHere(greeting.origin, greeting.over))
        self._log.info("subscriber.connected", peer=branch)
        try:
            await first_of(self._read_subscriber(branch, requests), queue.write_to(write))
        finally:
            if self._publishers.get(branch) is queue:
                del self._publishers[branch]
                self.driver.feed(SubscriberGone(branch))
                self._log.info("subscriber.gone", peer=branch)

    async def _read_subscriber(
        self, branch: BranchId, requests: AsyncIterator[replication_pb2.SubscriberMessages]
    ) -> None:
        async for batch in requests:
            for message in batch.messages:
                decoded = decode_from_subscriber(message)
                if not isinstance(decoded, Greeting):
                    self.driver.feed(Received(branch, decoded))


class Link:
    """The stream from this branch to one other, opened again whenever it breaks."""

    def __init__(
        self,
        branch: BranchId,
        address: str,
        driver: Driver,
        greeting: Callable[[], Greeting],
        delay: Delay,
    ) -> None:
        self.has_connected = asyncio.Event()
        self._branch = branch
        self._address = address
        self._driver = driver
        self._greeting = greeting
        self._delay = delay
        self._backoff_s = _BACKOFF_FIRST_S
        self._reset_s = 0.0
        """How long to leave the stream closed after the next reset at least: it grows while resets recur."""
        self._queue: _Queue[replication_pb2.SubscriberMessages] | None = None
        self._log = structlog.get_logger().bind(peer=branch, address=address)

    def send(self, message: replication_pb2.SubscriberMessages) -> None:
        """Write to the stream, if it is up."""
        if self._queue is not None:
            self._queue.put(message)

    def reset(self) -> None:
        """Close the stream; it is opened again, later and later where that does not help.

        What arrives over it has to be written to a disk that has just refused to: a full disk is not to be
        tried as fast as streams can be opened.
        """
        if self._queue is not None:
            self._queue.close()
            self._backoff_s = self._reset_s = min(max(2 * self._reset_s, _BACKOFF_FIRST_S), _BACKOFF_LAST_S)

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        while True:
            try:
                await self._connect_once()
                self._log.info("link.down", error="the other end has closed the stream")
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                self._log.info("link.down", error=_in_short(error))
            except asyncio.InvalidStateError:  # what gRPC raises for a write to a stream that just ended
                self._log.info("link.down", error="the other end has closed the stream")
            except (GreetingRefusedError, MessageDamagedError) as error:
                self._log.error("link.refused", error=str(error))
                self._backoff_s = _BACKOFF_LAST_S
            await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))  # noqa: S311  (jitter)
            self._backoff_s = min(2 * self._backoff_s, _BACKOFF_LAST_S)

    async def _connect_once(self) -> None:
        async with grpc.aio.insecure_channel(self._address, CHANNEL_OPTIONS) as channel:
            stub: replication_pb2_grpc.ReplicationAsyncStub = replication_pb2_grpc.ReplicationStub(channel)
            call = stub.Replicate(None)
            try:
                async with asyncio.timeout(_GREETING_TIMEOUT_S):
                    greeting = await self._greet(call)
                await self._stay_connected(call, greeting)
            finally:
                call.cancel()

    async def _greet(
        self,
        call: grpc.aio.StreamStreamCall[
            replication_pb2.SubscriberMessages, replication_pb2.PublisherMessages
        ],
    ) -> Greeting:
        mine = self._greeting()
        await call.write(replication_pb2.SubscriberMessages(messages=[encode_for_publisher(mine)]))
        greeting = await _first_greeting(aiter(call))
        check_greeting(mine, greeting, expected={self._branch})
        check_store(mine, greeting)
        return greeting

    async def _stay_connected(
        self,
        call: grpc.aio.StreamStreamCall[
            replication_pb2.SubscriberMessages, replication_pb2.PublisherMessages
        ],
        greeting: Greeting,
    ) -> None:
        self._queue = _Queue()
        self._driver.feed(Connected(self._branch, greeting.origin, greeting.applied, greeting.over))
        self._log.info("link.up")
        self.has_connected.set()
        self._backoff_s = _BACKOFF_FIRST_S
        up_s = asyncio.get_running_loop().time()
        try:
            await first_of(self._read_publisher(aiter(call)), self._queue.write_to(call.write))
        finally:
            self._queue = None
            if asyncio.get_running_loop().time() - up_s > 2 * _BACKOFF_LAST_S:
                self._reset_s = 0.0
            self._driver.feed(Disconnected(self._branch))

    async def _read_publisher(self, replies: AsyncIterator[replication_pb2.PublisherMessages]) -> None:
        async for batch in replies:
            for message in batch.messages:
                decoded = decode_from_publisher(message)
                if not isinstance(decoded, Greeting):
                    self._deliver(decoded)

    def _deliver(self, message: Message) -> None:
        """Hand a message to the core; entries only once they have been on their way long enough."""
        received = Received(self._branch, message)
        if isinstance(message, Entries) and self._delay.high_us > 0:
            delay_us = random.uniform(*self._delay)  # noqa: S311  (a simulated delay, no secret)
            asyncio.get_running_loop().call_later(delay_us / 1e6, self._driver.feed, received)
        else:
            self._driver.feed(received)


class _Queue(Generic[Outgoing]):
    """What waits to be written to one stream."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Outgoing | None] = asyncio.Queue()

    def put(self, message: Outgoing) -> None:
        """Have a message written, unless the other end has stopped reading."""
        if self._queue.qsize() < _QUEUE_MAX:
            self._queue.put_nowait(message)
        else:
            self.close()

    def close(self) -> None:
        """Let `write_to` return; what is not written by then is lost, like all on a broken stream."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def write_to(self, write: Callable[[Outgoing], Awaitable[None]]) -> None:
        """Write what is put, until closed."""
        while (message := await self._queue.get()) is not None:
            await write(message)


def parts(message: Message) -> Iterator[Message]:
    """Yield a message in parts, none of which is larger than a batch: a run of entries can be split.

    One entry cannot; the largest one is still a message that gRPC takes.
    """
    if not isinstance(message, Entries):
        yield message
        return
    start = size = 0
    for place, entry in enumerate(message.entries):
        size += len(entry.encoded)
        if place > start and size > BATCH_BYTES:
            yield replace(message, entries=message.entries[start:place])
            start, size = place, len(entry.encoded)
    yield replace(message, entries=message.entries[start:])


def check_greeting(mine: Greeting, other: Greeting, expected: Collection[BranchId]) -> None:
    """Raise GreetingRefusedError unless `other` is one of the `expected` branches of the same bank."""
    if other.version != mine.version:
        raise GreetingRefusedError(
            f"it speaks version {other.version} of the protocol between branches, this branch {mine.version}"
        )
    if other.cluster != mine.cluster:
        raise GreetingRefusedError(f"it is of bank {other.cluster!r}, this branch of {mine.cluster!r}")
    if other.genesis != mine.genesis:
        raise GreetingRefusedError(
            "it was started with other branches or another opening balance than this branch"
        )
    if other.origin.branch not in expected:
        raise GreetingRefusedError(f"it calls itself branch {other.origin.branch}")


def check_store(mine: Greeting, other: Greeting) -> None:
    """Raise GreetingRefusedError where the other's store was replaced by a newer one.

    Only once it has been greeted: that tells it so.
    """
    if other.origin in mine.over:
        raise GreetingRefusedError(
            "its store was replaced by a newer one: start the branch with that, or with none"
        )


async def _first_greeting(
    messages: AsyncIterator[replication_pb2.SubscriberMessages]
    | AsyncIterator[replication_pb2.PublisherMessages],
) -> Greeting:
    async for batch in messages:
        decoded: Message | Greeting | None = None
        if isinstance(batch, replication_pb2.SubscriberMessages) and batch.messages:
            decoded = decode_from_subscriber(batch.messages[0])
        elif isinstance(batch, replication_pb2.PublisherMessages) and batch.messages:
            decoded = decode_from_publisher(batch.messages[0])
        if isinstance(decoded, Greeting):
            return decoded
        break
    raise MessageDamagedError("a stream between branches begins with a greeting")


def _in_short(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__


class ReplicationServicer(replication_pb2_grpc.ReplicationServicer):
    """The Replication service: one subscriber's stream for each call."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    @guarded
    async def Replicate(  # type: ignore[override]
        self,
        request_iterator: AsyncIterator[replication_pb2.SubscriberMessages],
        context: grpc.aio.ServicerContext[
            replication_pb2.SubscriberMessages, replication_pb2.PublisherMessages
        ],
    ) -> None:
        """Serve one subscriber."""
        try:
            await self._streams.publish(request_iterator, context.write)
        except GreetingRefusedError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except (MessageDamagedError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error) or "no greeting came in time")
