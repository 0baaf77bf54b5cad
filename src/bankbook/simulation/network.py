"""The simulated network: what is sent from one place to another, and when, and whether, it arrives.

Decides delay, loss, duplication, and who is cut off from whom, each direction for itself. Must not know what
the messages say. Within a stream order is kept, as gRPC keeps it; a stream that breaks loses what is under
way, and its two ends notice that at different times. What a process had sent before it ended a stream, or
died, may still arrive, as from a kernel's buffers. Proof: tests/simulation/test_network.py.

A place is a branch or where a customer is. What is sent into a cut waits, as TCP would send it again and
again, until the cut is mended or somebody loses patience.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NewType

from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.trace import Trace

Listener = Callable[[object], None]

Place = NewType("Place", str)

# How soon gRPC's keepalive finds out that the other end is silent; see server.streams.CHANNEL_OPTIONS.
_KEEPALIVE_S = (10.0, 15.0)

# How often what was under way from a process that ended a stream, or died, arrives all the same.
_ARRIVES_STILL = 0.5


def branch_place(branch: int) -> Place:
    """Return where a branch is."""
    return Place(f"branch {branch}")


@dataclass(slots=True)
class Weather:
    """How well the network does; times are in microseconds."""

    delay_us: tuple[int, int] = (100, 2_000)
    loses: float = 0.0
    """The share of batches between branches that vanish, against gRPC's word: the core bears it."""
    doubles: float = 0.0
    """The share that arrive once more, later, overtaken by others."""
    breaks_calls: float = 0.0
    """The share of customers' calls whose connection breaks under way, there or back."""


@dataclass(slots=True)
class Network:
    """Who can reach whom."""

    loop: VirtualLoop
    trace: Trace
    draw: Random
    weather: Weather = field(default_factory=Weather)
    cuts: dict[tuple[Place, Place], int] = field(default_factory=dict)
    """Directions in which nothing passes, and by how many cuts."""
    slow: dict[tuple[Place, Place], tuple[int, int]] = field(default_factory=dict)
    """Directions with a delay of their own."""
    streams: list["Stream"] = field(default_factory=list)
    """Those that are up, coming up, or not yet known by both ends to be broken."""
    on_cut: Callable[[Place, Place], None] = lambda _source, _target: None
    """Told of each direction in which nothing passes any more."""
    _mended: list[asyncio.Future[None]] = field(default_factory=list)

    def delay_us(self, source: Place, target: Place) -> int:
        """Return how long the next thing is under way."""
        return self.draw.randint(*self.slow.get((source, target), self.weather.delay_us))

    def is_cut(self, source: Place, target: Place) -> bool:
        """Whether nothing passes in this direction."""
        return (source, target) in self.cuts

    def cut(self, source: Place, target: Place) -> None:
        """Let nothing pass in one direction, until mended as often as cut."""
        self.cuts[source, target] = self.cuts.get((source, target), 0) + 1
        self.on_cut(source, target)
        for stream in self.streams:
            if {stream.subscriber, stream.publisher} == {source, target}:
                self.loop.call_later(self.draw.uniform(*_KEEPALIVE_S), stream.keep_alive)

    def mend(self, *directions: tuple[Place, Place]) -> None:
        """Take back one cut of each of these directions."""
        for direction in directions:
            left = self.cuts.pop(direction, 0) - 1
            if left > 0:
                self.cuts[direction] = left
        self._tell_of_mending()

    def mend_all(self) -> None:
        """Let everything pass again, soon and once."""
        self.cuts.clear()
        self.slow.clear()
        self.weather = Weather()
        for stream in self.streams:
            stream.spare()
        self._tell_of_mending()

    async def travel(self, source: Place, target: Place) -> None:
        """Return once something sent now has arrived; that may be never."""
        await asyncio.sleep(self.delay_us(source, target) / 1e6)
        await self.passable(source, target)

    async def passable(self, source: Place, target: Place) -> None:
        """Return once this direction is not cut."""
        while self.is_cut(source, target):
            mended = self.loop.create_future()
            self._mended.append(mended)
            await mended

    def patience_s(self, source: Place, target: Place) -> float:
        """Return how long `target` takes to notice that `source` is gone."""
        if self.is_cut(source, target):
            return self.draw.uniform(*_KEEPALIVE_S)
        return self.delay_us(source, target) / 1e6

    def _tell_of_mending(self) -> None:
        mended, self._mended = self._mended, []
        for each in mended:
            if not each.done():
                each.set_result(None)
        for stream in list(self.streams):
            stream.up.flush()
            stream.down.flush()
            stream.find_out()


class Pipe:
    """One direction of a stream: in order, or not at all."""

    def __init__(self, network: Network, source: Place, target: Place) -> None:
        self._network = network
        self._source, self._target = source, target
        self._under_way: list[tuple[int, object]] = []
        self._last_us = 0
        self._is_closed = self._is_finished = False
        self.deliver: Listener = lambda _: None
        self.on_sent: Callable[[], None] = lambda: None

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    def send(self, batch: object, name: str, *, is_greeting: bool = False) -> None:
        """Send something."""
        network = self._network
        if self._is_closed or self._is_finished:
            return
        network.trace.note("sent", f"{self._source} to {self._target}: {name}")
        weather = network.weather
        if not is_greeting and network.draw.random() < weather.loses:
            network.trace.note("message lost", name)
            return
        if not is_greeting and network.draw.random() < weather.doubles:
            later_us = 10 * network.delay_us(self._source, self._target)
            network.loop.call_later(later_us / 1e6, self._deliver_double, batch)
        arrives_us = network.loop.now_us + network.delay_us(self._source, self._target)
        self._last_us = max(self._last_us, arrives_us)
        self._under_way.append((self._last_us, batch))
        network.loop.call_at(self._last_us / 1e6, self.flush)
        self.on_sent()

    def finish(self) -> float:
        """Take nothing more; return within how many seconds what is under way arrives."""
        self._is_finished = True
        return max(self._last_us - self._network.loop.now_us, 0) / 1e6

    def close(self) -> None:
        """Lose what is under way."""
        if self._under_way:
            self._network.trace.note("lost with a stream", str(len(self._under_way)))
        self._is_closed = True
        self._under_way.clear()

    def flush(self) -> None:
        """Deliver what has arrived."""
        now_us = self._network.loop.now_us
        while self._under_way and self._under_way[0][0] <= now_us + 1:
            if self._network.is_cut(self._source, self._target):
                self._network.trace.note("stalled", f"{self._source} to {self._target}")
                return
            self.deliver(self._under_way.pop(0)[1])

    def _deliver_double(self, batch: object) -> None:
        if not self._is_closed and not self._network.is_cut(self._source, self._target):
            self._network.trace.note("message doubled", f"{self._source} to {self._target}")
            self.deliver(batch)


class Stream:
    """What one branch opened to another one, to fetch its logs."""

    def __init__(self, network: Network, subscriber: Place, publisher: Place) -> None:
        self._network = network
        self.subscriber, self.publisher = subscriber, publisher
        self.up = Pipe(network, subscriber, publisher)
        self.down = Pipe(network, publisher, subscriber)
        self.ended_at_subscriber = network.loop.create_future()
        self.on_end_at_publisher: Callable[[], None] = lambda: None
        self.is_broken = False
        self._unaware = {subscriber, publisher}
        network.streams.append(self)

    def end(self, place: Place | None = None) -> None:
        """Break; `place` notices at once, the other end later. None: both notice later."""
        if not self.is_broken:
            self._break(place)
        elif place is not None:
            self._notice(place)

    def _break(self, place: Place | None) -> None:
        network, self.is_broken = self._network, True
        network.trace.note("stream ended", f"{self.subscriber} at {self.publisher}")
        arrive_s = 0.0
        if place is not None and network.draw.random() < _ARRIVES_STILL:
            arrive_s = (self.up if place == self.subscriber else self.down).finish()
        else:
            self.up.close()
            self.down.close()
        for here, there in ((self.subscriber, self.publisher), (self.publisher, self.subscriber)):
            if here == place:
                self._notice(here)
            else:
                notices_s = max(network.patience_s(there, here), arrive_s + 2e-6)
                network.loop.call_later(notices_s, self._notice, here)

    def end_with_loss(self) -> None:
        """Break as soon as anything is under way: a stream that breaks while it is idle loses nothing."""
        if self.up.is_busy or self.down.is_busy:
            self.end()
        else:
            self.up.on_sent = self.down.on_sent = self._end_soon

    def _end_soon(self) -> None:
        self._network.loop.call_soon(self.end)

    def spare(self) -> None:
        """Do not break, where it was to."""
        self.up.on_sent = self.down.on_sent = lambda: None

    def keep_alive(self) -> None:
        """Break if nothing passes still."""
        network, (here, there) = self._network, (self.subscriber, self.publisher)
        if network.is_cut(here, there) or network.is_cut(there, here):
            self.end()

    def find_out(self) -> None:
        """Where an end was cut off when the other one broke this off, it notices once that is mended."""
        network = self._network
        for here, there in ((self.subscriber, self.publisher), (self.publisher, self.subscriber)):
            if self.is_broken and here in self._unaware and not network.is_cut(there, here):
                network.loop.call_later(network.patience_s(there, here), self._notice, here)

    def _notice(self, place: Place) -> None:
        """Let one end take note that this is over; nothing arrives there any more."""
        if place not in self._unaware:
            return
        self._unaware.remove(place)
        if not self._unaware:
            self._network.streams.remove(self)
        if place == self.publisher:
            self.up.close()
            self.on_end_at_publisher()
        else:
            self.down.close()
            if not self.ended_at_subscriber.done():
                self.ended_at_subscriber.set_result(None)
