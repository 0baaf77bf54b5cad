"""The proxies do to connections what they say, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from faults.proxy import HOST, Condition, Proxy

CUT = Condition(is_cut=True)

# How long nothing has to arrive until we believe that nothing will: no test fails for being too slow.
_SILENCE_S = 0.2


class End(NamedTuple):
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, words: bytes) -> None:
        self.writer.write(words)

    async def hear(self, words: bytes) -> None:
        assert await self.reader.readexactly(len(words)) == words

    async def hears_nothing(self) -> None:
        """No word, and no end either."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(_SILENCE_S):
                await self.reader.read(1)


class Wired(NamedTuple):
    """A server behind a proxy."""

    proxy: Proxy
    arrivals: asyncio.Queue[End]
    ends: list[End]

    async def call(self) -> End:
        """Connect to the proxy."""
        host, _, port = self.proxy.address.rpartition(":")
        self.ends.append(End(*await asyncio.open_connection(host, int(port))))
        return self.ends[-1]

    async def pair(self) -> tuple[End, End]:
        """Return both ends of a new connection, the caller's first."""
        caller = await self.call()
        return caller, await self.arrivals.get()


@asynccontextmanager
async def wired() -> AsyncIterator[Wired]:
    before = asyncio.all_tasks()
    arrivals: asyncio.Queue[End] = asyncio.Queue()
    ends: list[End] = []

    def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(End(reader, writer))
        arrivals.put_nowait(ends[-1])

    proxy = Proxy()
    server = await asyncio.start_server(arrive, HOST, 0)
    async with server:
        await proxy.open()
        proxy.target = f"{HOST}:{server.sockets[0].getsockname()[1]}"
        try:
            yield Wired(proxy, arrivals, ends)
        finally:
            await proxy.close()
            for end in ends:
                end.writer.transport.abort()
            await asyncio.sleep(0)  # aborting is over in the next turn of the loop
    assert asyncio.all_tasks() <= before, "a task is left"


async def test_both_directions_pass_unchanged_and_so_does_the_end() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        words = bytes(range(256)) * 1000
        caller.say(words)
        server.say(words[::-1])
        await asyncio.gather(server.hear(words), caller.hear(words[::-1]))
        caller.writer.write_eof()
        assert await server.reader.read() == b""
        server.say(b"last words")
        await caller.hear(b"last words")
        server.writer.close()
        assert await caller.reader.read() == b""


async def test_a_cut_in_one_direction_leaves_the_other_one_open_and_loses_nothing() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        wire.proxy.there.add(CUT)
        caller.say(b"one ")
        server.say(b"answer")
        await caller.hear(b"answer")
        await server.hears_nothing()
        caller.say(b"two")
        wire.proxy.there.remove(CUT)
        await server.hear(b"one two")


async def test_a_cut_the_other_way_round_keeps_answers_back() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        wire.proxy.back.add(CUT)
        caller.say(b"question")
        await server.hear(b"question")
        server.say(b"answer")
        await caller.hears_nothing()
        wire.proxy.back.remove(CUT)
        await caller.hear(b"answer")


async def test_nobody_beyond_a_cut_hears_that_the_other_end_has_died() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        wire.proxy.there.add(CUT)
        caller.writer.transport.abort()
        await server.hears_nothing()
        wire.proxy.there.remove(CUT)
        assert await server.reader.read() == b""


async def test_a_connection_opened_into_a_cut_arrives_when_it_is_mended() -> None:
    async with wired() as wire:
        wire.proxy.there.add(CUT)
        caller = await wire.call()
        caller.say(b"anybody there?")
        await caller.hears_nothing()
        assert wire.arrivals.empty()
        wire.proxy.there.remove(CUT)
        await (await wire.arrivals.get()).hear(b"anybody there?")


async def test_of_two_cuts_each_has_to_be_mended() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        other = Condition(is_cut=True)
        wire.proxy.there.add(CUT)
        wire.proxy.there.add(other)
        wire.proxy.there.remove(CUT)
        caller.say(b"words")
        await server.hears_nothing()
        wire.proxy.there.remove(other)
        await server.hear(b"words")


async def test_a_delay_holds_up_everything_by_so_much_and_keeps_the_order() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        clock = asyncio.get_running_loop()
        wire.proxy.there.add(Condition(delay_s=_SILENCE_S))
        began_s = clock.time()
        caller.say(b"one ")
        server.say(b"at once")
        await caller.hear(b"at once")
        caller.say(b"two")
        await server.hear(b"one two")
        assert clock.time() - began_s >= _SILENCE_S


async def test_a_narrow_way_takes_its_time_for_each_byte() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        clock = asyncio.get_running_loop()
        narrow = Condition(s_per_byte=1e-5)
        wire.proxy.there.add(narrow)
        words, began_s = bytes(40_000), clock.time()
        caller.say(words)
        await server.hear(words)
        assert clock.time() - began_s >= 0.4
        wire.proxy.there.remove(narrow)


async def test_what_waits_on_a_way_so_narrow_that_it_takes_years_passes_once_that_is_over() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        narrow = Condition(s_per_byte=1e6)
        wire.proxy.there.add(narrow)
        caller.say(b"words")
        await server.hears_nothing()
        wire.proxy.there.remove(narrow)
        await server.hear(b"words")


async def test_refusing_resets_what_is_open_and_what_is_opened_until_it_is_over() -> None:
    async with wired() as wire:
        caller, server = await wire.pair()
        wire.proxy.refuse()
        for end in (caller, server):
            with pytest.raises(ConnectionResetError):
                await end.reader.read(1)
        again = await wire.call()
        with pytest.raises(ConnectionResetError):
            await again.reader.read(1)
        wire.proxy.admit()
        caller, server = await wire.pair()
        caller.say(b"words")
        await server.hear(b"words")


async def test_a_server_that_is_down_is_told_by_a_reset_and_found_again_at_another_port() -> None:
    async with wired() as wire:
        target, wire.proxy.target = wire.proxy.target, f"{HOST}:1"
        caller = await wire.call()
        with pytest.raises(ConnectionResetError):
            await caller.reader.read(1)
        wire.proxy.target = target
        caller, server = await wire.pair()
        caller.say(b"words")
        await server.hear(b"words")


async def test_closing_a_proxy_ends_what_waits_in_a_cut() -> None:
    async with wired() as wire:
        caller, _ = await wire.pair()
        wire.proxy.there.add(CUT)
        caller.say(bytes(1_000_000))
        await wire.proxy.close()
        with pytest.raises(ConnectionResetError):
            await caller.reader.read(1)
        await wire.proxy.open()
