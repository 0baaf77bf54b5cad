"""The simulated network: order, delay, loss, doubles, cuts, and streams that break."""

import asyncio
from random import Random

from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.network import Network, Stream, Weather, branch_place
from bankbook.simulation.trace import Trace

ONE, TWO = branch_place(1), branch_place(2)


class Link:
    """A stream from branch 1 to branch 2, and what has arrived."""

    def __init__(self, weather: Weather) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        self.trace = Trace(self.loop, keeps_lines=True)
        self.network = Network(self.loop, self.trace, Random(1), weather)  # noqa: S311
        self.stream = Stream(self.network, ONE, TWO)
        self.arrived: list[object] = []
        self.stream.up.deliver = self.arrived.append
        self.stream.down.deliver = self.arrived.append

    def send(self, count: int) -> None:
        for number in range(count):
            self.stream.up.send(number, "up")


def run(scene: object) -> None:
    assert callable(scene)
    run_in_virtual_time(VirtualLoop(), scene())


def test_a_stream_keeps_its_order_however_long_each_message_takes() -> None:
    async def scene() -> None:
        link = Link(Weather(delay_us=(1, 5_000_000)))
        link.send(50)
        await asyncio.sleep(2.0)
        assert 0 < len(link.arrived) < 50
        await asyncio.sleep(10)
        assert link.arrived == list(range(50))

    run(scene)


def test_two_streams_overtake_each_other() -> None:
    async def scene() -> None:
        link = Link(Weather(delay_us=(1, 5_000_000)))
        other = Stream(link.network, ONE, TWO)
        other.up.deliver = link.arrived.append
        for number in range(20):
            (link.stream if number % 2 else other).up.send(number, "either")
        await asyncio.sleep(10)
        assert sorted(map(str, link.arrived)) == sorted(map(str, range(20)))
        assert link.arrived != list(range(20))

    run(scene)


def test_messages_are_lost_and_doubled() -> None:
    async def scene() -> None:
        link = Link(Weather(loses=0.3, doubles=0.3))
        link.send(100)
        await asyncio.sleep(1)
        counts = link.trace.counts
        assert counts["message lost"] > 10
        assert counts["message doubled"] > 10
        assert len(link.arrived) == 100 - counts["message lost"] + counts["message doubled"]

    run(scene)


def test_a_cut_in_one_direction_stops_that_one_until_it_is_mended() -> None:
    async def scene() -> None:
        link = Link(Weather())
        link.network.cut(ONE, TWO)
        link.send(3)
        link.stream.down.send("down", "down")
        await asyncio.sleep(1)
        assert link.arrived == ["down"]
        link.network.mend((ONE, TWO))
        await asyncio.sleep(1)
        assert link.arrived == ["down", 0, 1, 2]

    run(scene)


def test_a_cut_that_lasts_breaks_the_stream_and_what_was_under_way_is_lost() -> None:
    async def scene() -> None:
        link = Link(Weather())
        link.network.cut(TWO, ONE)
        link.network.cut(ONE, TWO)
        link.send(3)
        await asyncio.sleep(20)
        assert link.stream.is_broken
        link.network.mend((ONE, TWO), (TWO, ONE))
        await asyncio.sleep(20)
        assert link.arrived == []
        assert link.trace.counts["lost with a stream"] == 1

    run(scene)


def test_a_stream_that_is_to_lose_something_breaks_once_anything_is_under_way() -> None:
    async def scene() -> None:
        link = Link(Weather())
        link.stream.end_with_loss()
        await asyncio.sleep(20)
        assert link.trace.counts["stream ended"] == 0, "an idle stream would lose nothing"
        link.stream.down.send("down", "down")
        await asyncio.sleep(20)
        assert link.trace.counts["stream ended"] == 1
        assert link.arrived == []
        assert link.trace.counts["lost with a stream"] == 1

    run(scene)


def test_a_stream_that_is_idle_until_all_is_mended_does_not_break() -> None:
    async def scene() -> None:
        link = Link(Weather())
        link.stream.end_with_loss()
        link.network.mend_all()
        link.send(3)
        await asyncio.sleep(20)
        assert link.arrived == [0, 1, 2]
        assert not link.stream.is_broken

    run(scene)


def test_the_two_ends_notice_a_break_at_different_times() -> None:
    async def scene() -> None:
        link = Link(Weather(delay_us=(1_000, 900_000)))
        noticed = link.loop.create_future()
        link.stream.on_end_at_publisher = lambda: noticed.set_result(link.loop.time())
        link.stream.end(ONE)
        assert link.stream.ended_at_subscriber.done()
        assert not noticed.done()
        assert await noticed > 0

    run(scene)


def test_two_cuts_of_one_direction_need_two_mends() -> None:
    async def scene() -> None:
        link = Link(Weather())
        link.network.cut(ONE, TWO)
        link.network.cut(ONE, TWO)
        link.network.mend((ONE, TWO))
        assert link.network.is_cut(ONE, TWO)
        link.network.mend((ONE, TWO))
        assert not link.network.is_cut(ONE, TWO)
        await asyncio.sleep(0)

    run(scene)


def test_what_was_sent_before_an_end_may_still_arrive_before_the_other_end_notices() -> None:
    async def arrived(seed: int) -> int:
        link = Link(Weather(delay_us=(1_000, 900_000)))
        link.network.draw.seed(seed)
        link.send(3)
        noticed = link.loop.create_future()
        link.stream.on_end_at_publisher = lambda: noticed.set_result(len(link.arrived))
        link.stream.end(ONE)
        link.send(1)
        count: int = await noticed
        await asyncio.sleep(5)
        assert len(link.arrived) == count
        return count

    async def scene() -> None:
        assert {await arrived(seed) for seed in range(20)} == {0, 3}

    run(scene)


def test_an_end_that_was_cut_off_as_the_other_one_died_finds_out_once_that_is_mended() -> None:
    async def scene() -> None:
        link = Link(Weather())
        noticed = link.loop.create_future()
        link.stream.on_end_at_publisher = lambda: noticed.set_result(None)
        link.network.cut(ONE, TWO)
        link.stream.end(ONE)
        await asyncio.sleep(5)
        assert not noticed.done()
        link.network.mend((ONE, TWO))
        await asyncio.sleep(0.1)
        assert noticed.done()

    run(scene)
