"""The streams of one simulated branch: what server.streams does over gRPC, over the simulated network.

Decides when to connect, as server.streams does. Must not know what the messages say, nor how (parcels.py).
Proof: tests/simulation/test_network.py, tests/simulation/test_parcels.py.
"""

import asyncio
from collections.abc import Callable, Iterator
from random import Random

from bankbook.core.messages import (
    Connected,
    Disconnected,
    Entries,
    Message,
    Received,
    SubscriberGone,
    SubscriberHere,
)
from bankbook.core.ports import Identity
from bankbook.core.types import BranchId
from bankbook.server.config import Delay
from bankbook.server.driver import Driver
from bankbook.simulation.answers import Answers
from bankbook.simulation.network import Network, Stream, branch_place
from bankbook.simulation.parcels import pack_down, pack_up, sorted_out, unpack_down, unpack_up
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.peers import PROTOCOL_VERSION, Greeting

# As in server.streams.
_BACKOFF_FIRST_S, _BACKOFF_LAST_S = 0.05, 2.0
_GREETING_TIMEOUT_S = 5.0

Unpack = Callable[[bytes], Iterator[Message | Greeting]]


class SimulatedStreams:
    """All streams of one branch in one life of its process."""

    driver: Driver

    def __init__(
        self,
        network: Network,
        identity: Identity,
        delay: Delay,
        draw: Random,
        accepting: Callable[[BranchId], "SimulatedStreams | None"],
        on_bug: Callable[[BaseException], None],
    ) -> None:
        """`accepting` finds the streams of another branch, None where it is down."""
        self._network = network
        self._identity = identity
        self._delay = delay
        self._draw = draw
        self._accepting = accepting
        self._on_bug = on_bug
        self._answers = Answers(identity.origin.branch)
        self._place = branch_place(identity.origin.branch)
        self._links: dict[BranchId, Stream] = {}
        self._publishers: dict[BranchId, Stream] = {}
        self._reset_s: dict[BranchId, float] = {}
        self.is_over = False
        self.on_send: Callable[[], None] = lambda: None

    def send(self, branch: BranchId, messages: list[Message]) -> None:
        """Write messages to another branch; those for a stream that is down are lost."""
        for message in messages:
            self._answers.on_sent(branch, message)
        up, down = sorted_out(messages)
        self.on_send()
        link, publisher = self._links.get(branch), self._publishers.get(branch)
        if up and link is not None and not self.is_over:
            link.up.send(pack_up(up), ", ".join(map(name_of, up)))
        if down and publisher is not None and not self.is_over:
            publisher.down.send(pack_down(down), ", ".join(map(name_of, down)))

    def reset(self) -> None:
        """Close every stream, to be opened anew: the replica has forgotten what was said."""
        self._answers.forget()
        for branch, link in list(self._links.items()):
            before_s = self._reset_s.get(branch, 0.0)
            self._reset_s[branch] = min(max(2 * before_s, _BACKOFF_FIRST_S), _BACKOFF_LAST_S)
            link.end(self._place)
        for publisher in list(self._publishers.values()):
            publisher.end(self._place)

    def die(self) -> None:
        """End with the process: this branch takes note of nothing any more."""
        self.is_over = True
        for stream in [*self._links.values(), *self._publishers.values()]:
            stream.end(self._place)

    async def keep_connected(self, branch: BranchId) -> None:
        """Keep the stream to another branch up until cancelled."""
        backoff_s = _BACKOFF_FIRST_S
        while True:
            began_us = self._network.loop.now_us
            was_up = await self._connect_once(branch)
            backoff_s = _BACKOFF_FIRST_S if was_up else backoff_s
            if self._network.loop.now_us - began_us > 2e6 * _BACKOFF_LAST_S:
                self._reset_s.pop(branch, None)
            backoff_s = max(backoff_s, self._reset_s.get(branch, 0.0))
            await asyncio.sleep(backoff_s * self._draw.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, _BACKOFF_LAST_S)

    async def _connect_once(self, branch: BranchId) -> bool:
        """Open a stream, and return once it has ended: whether it ever was up."""
        stream = Stream(self._network, self._place, branch_place(branch))
        greeted: asyncio.Future[Greeting] = asyncio.get_running_loop().create_future()

        def deliver(parcel: object) -> None:
            for said in self._understood(unpack_down, parcel):
                if isinstance(said, Greeting):
                    greeted.set_result(said)
                elif greeted.done():
                    self._deliver(branch, said)

        stream.down.deliver = deliver
        stream.up.deliver = lambda greeting: self._arrive(branch, stream, greeting)
        stream.up.send(pack_up([self.greeting()]), "greeting", is_greeting=True)
        try:
            async with asyncio.timeout(_GREETING_TIMEOUT_S):
                await asyncio.wait([greeted, stream.ended_at_subscriber], return_when=asyncio.FIRST_COMPLETED)
            if not greeted.done() or stream.is_broken or greeted.result().origin in self.driver.over:
                return False
            await self._stay_connected(branch, stream, greeted.result())
        except TimeoutError:
            return False
        finally:
            stream.end(self._place)
        return True

    async def _stay_connected(self, branch: BranchId, stream: Stream, greeting: Greeting) -> None:
        self._links[branch] = stream
        self.driver.feed(Connected(branch, greeting.origin, greeting.applied, greeting.over))
        try:
            await stream.ended_at_subscriber
        finally:
            del self._links[branch]
            self.driver.feed(Disconnected(branch))

    def _arrive(self, branch: BranchId, stream: Stream, parcel: object) -> None:
        other = self._accepting(branch)
        greetings = self._understood(unpack_up, parcel)
        if other is None or not greetings or not isinstance(greetings[0], Greeting):
            stream.end(stream.publisher)
        else:
            other.accept(stream, greetings[0])

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

    def accept(self, stream: Stream, greeting: Greeting) -> None:
        """Serve a subscriber's stream until either end closes it; one whose store was replaced is told so."""
        branch = greeting.origin.branch
        mine = pack_down([self.greeting()])
        if greeting.origin in self.driver.over:
            stream.down.send(mine, "greeting", is_greeting=True)
            return
        replaced = self._publishers.pop(branch, None)
        if replaced is not None:
            replaced.end(self._place)
        self.driver.feed(SubscriberGone(branch))
        self._publishers[branch] = stream
        self.driver.feed(SubscriberHere(greeting.origin, greeting.over))
        stream.on_end_at_publisher = lambda: self._on_end(branch, stream)
        stream.up.deliver = lambda parcel: self._take(branch, parcel)
        stream.down.send(mine, "greeting", is_greeting=True)

    def _on_end(self, branch: BranchId, stream: Stream) -> None:
        if self._publishers.get(branch) is stream:
            del self._publishers[branch]
            self.driver.feed(SubscriberGone(branch))

    def _take(self, branch: BranchId, parcel: object) -> None:
        for message in self._understood(unpack_up, parcel):
            assert not isinstance(message, Greeting), "the greeting came first"
            self._feed(branch, message)

    def _deliver(self, branch: BranchId, message: Message) -> None:
        """Hand a message to the core; entries only once they have been on their way long enough."""
        if isinstance(message, Entries) and self._delay.high_us > 0:
            delay_us = self._draw.uniform(*self._delay)
            asyncio.get_running_loop().call_later(delay_us / 1e6, self._feed, branch, message)
        else:
            self._feed(branch, message)

    def _feed(self, branch: BranchId, message: Message) -> None:
        self._network.trace.note(
            "delivered", f"{branch} to {self._identity.origin.branch}: {name_of(message)}"
        )
        self._answers.on_delivered(branch, message)
        self.driver.feed(Received(branch, message))

    def _understood(self, unpack: Unpack, parcel: object) -> list[Message | Greeting]:
        """Return what a parcel says; one that nobody can understand is a bug."""
        assert isinstance(parcel, bytes), "nothing else is sent"
        try:
            return list(unpack(parcel))
        except MessageDamagedError as error:
            self._on_bug(error)
            return []


def name_of(message: Message) -> str:
    """Return what a message is called in the trace."""
    if isinstance(message, Entries):
        return f"Entries {message.entries[0].id}+{len(message.entries) - 1}"
    question = getattr(message, "question", None)
    return type(message).__name__ if question is None else f"{type(message).__name__} {question}"
