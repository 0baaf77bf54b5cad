"""TCP proxies: what a network between real processes does to them.

Decides how bytes travel: at once, late, slowly, or not at all until it is mended. A cut loses nothing by
itself, as TCP loses nothing: what was sent into it arrives when it is mended, if anybody still wants it. Both
ends of a cut hear nothing of each other, also where one of them dies meanwhile.
Proof: tests/faults/test_proxy.py.
"""

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

HOST = "127.0.0.1"

# What is on its way in one direction of one connection before the sender has to wait: 4 MB.
_CHUNK_BYTES = 16_384
_CHUNKS_MAX = 256

# Nobody can listen at port 0.
_NOWHERE = f"{HOST}:0"

_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, eq=False)
class Condition:
    """Something that is wrong with a way, until it is taken away again; there may be several at a time."""

    delay_s: float = 0.0
    s_per_byte: float = 0.0
    is_cut: bool = False


class Way:
    """One direction of everything that passes a proxy."""

    def __init__(self) -> None:
        self._conditions: list[Condition] = []
        self._changed = asyncio.Event()

    def add(self, condition: Condition) -> None:
        """Make it worse."""
        self._conditions.append(condition)
        self._tell()

    def remove(self, condition: Condition) -> None:
        """Take away what was added; other conditions stay."""
        self._conditions.remove(condition)
        self._tell()

    async def carry(self, sent_s: float, size: int) -> None:
        """Return once so many bytes, sent at that moment, may arrive at the other end."""
        await self._until(lambda: sent_s + sum(each.delay_s for each in self._conditions))
        began_s = _now_s()
        await self._until(lambda: began_s + size * sum(each.s_per_byte for each in self._conditions))

    async def _until(self, due_s: Callable[[], float]) -> None:
        while (left_s := self._left_s(due_s)) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left_s == math.inf else left_s):
                    await self._changed.wait()

    def _left_s(self, due_s: Callable[[], float]) -> float:
        return math.inf if any(each.is_cut for each in self._conditions) else due_s() - _now_s()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Proxy:
    """Listens in the place of a server, whose address may change, and passes connections on to it."""

    def __init__(self) -> None:
        self.target = _NOWHERE
        """Where the server is, host:port."""
        self.there = Way()
        """From whoever connects to the server."""
        self.back = Way()
        self._refusals = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def address(self) -> str:
        """Where to connect to."""
        assert self._server is not None, "it was opened"
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        """Begin to listen, at a free port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)

    def refuse(self) -> None:
        """Break all connections, and each that is opened, until `admit` was called as often."""
        self._refusals += 1
        for ends in self._connections.values():
            for end in ends:
                _break(end)

    def admit(self) -> None:
        """Take one `refuse` back."""
        assert self._refusals > 0, "it was refused before"
        self._refusals -= 1

    async def close(self) -> None:
        """End; no task and no port is left."""
        assert self._server is not None, "it was opened"
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this as a task"
        ends = self._connections[task] = [writer]
        try:
            if not self._refusals:
                await self._pass_on(reader, writer, ends)
        except asyncio.CancelledError:
            pass  # closed; until Python 3.12, who starts a server's tasks takes a cancelled one for a failure
        finally:
            for end in ends:
                _break(end)
            del self._connections[task]

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        await self.there.carry(_now_s(), 0)
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await self.back.carry(_now_s(), 0)
            return
        ends.append(far_writer)
        if self._refusals:
            return
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(reader, far_writer, self.there))
            pumps.create_task(_pump(far_reader, writer, self.back))


class Sent(NamedTuple):
    """What one end has sent, and when."""

    sent_s: float
    words: bytes | None
    """Nothing at the end; None where the connection was broken off."""


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Pass on what comes from one end, and in the end how it has ended."""
    under_way: asyncio.Queue[Sent] = asyncio.Queue(_CHUNKS_MAX)
    async with asyncio.TaskGroup() as both:
        both.create_task(_take(reader, under_way))
        both.create_task(_deliver(under_way, writer, way))


async def _take(reader: asyncio.StreamReader, under_way: asyncio.Queue[Sent]) -> None:
    words: bytes | None = b"-"
    while words:
        try:
            words = await reader.read(_CHUNK_BYTES)
        except OSError:
            words = None
        await under_way.put(Sent(_now_s(), words))


async def _deliver(under_way: asyncio.Queue[Sent], writer: asyncio.StreamWriter, way: Way) -> None:
    while True:
        sent_s, words = await under_way.get()
        await way.carry(sent_s, len(words or b""))
        if not words:
            _end(writer, is_broken=words is None)
            return
        # What nobody takes any more is taken from the sender all the same.
        with contextlib.suppress(OSError):
            if not writer.is_closing():
                writer.write(words)
                await writer.drain()


def _end(writer: asyncio.StreamWriter, *, is_broken: bool) -> None:
    if is_broken:
        _break(writer)
    else:
        with contextlib.suppress(OSError):
            writer.write_eof()


def _break(writer: asyncio.StreamWriter) -> None:
    """End a connection as if its other end had crashed: with a reset, and at once."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
