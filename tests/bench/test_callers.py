"""The callers' loop, in virtual time: who has to wait how long, and who is counted."""

import asyncio
from random import Random

import pytest

from bankbook.bench.callers import call
from bankbook.bench.schedule import ClosedLoop, FixedRate, Schedule, Window
from bankbook.bench.tally import Answered, Tally
from bankbook.core.outcome import Outcome
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time

SERVICE_S = 0.001
WINDOW = Window(begin_s=1.0, measured_s=3.0, end_s=13.0)


class Server:
    """Answers each request after a millisecond; but while it stalls, nobody."""

    def __init__(self, stalls_s: float, at_s: float = 5.0) -> None:
        self._stall = (at_s, at_s + stalls_s)
        self.asked = 0

    async def answer(self, _request: object) -> Answered:
        self.asked += 1
        clock = asyncio.get_running_loop().time
        begin_s, end_s = self._stall
        if begin_s <= clock() < end_s:
            await asyncio.sleep(end_s - clock())
        await asyncio.sleep(SERVICE_S)
        return Answered({Outcome.OK: 1})


def measure(schedule: Schedule, server: Server, callers: int, window: Window = WINDOW) -> Tally:
    tally = Tally()

    async def call_all() -> None:
        each = (call(window, schedule, tally, object, server.answer, 1) for _ in range(callers))
        await asyncio.gather(*each)

    run_in_virtual_time(VirtualLoop(), call_all())
    return tally


def fixed_rate(per_s: float) -> FixedRate:
    return FixedRate(WINDOW, per_s, Random(1))


def test_at_a_fixed_rate_everybody_who_came_during_a_stall_is_seen_to_have_waited() -> None:
    tally = measure(fixed_rate(100), Server(stalls_s=1.0), callers=4)
    # A tenth of the ten seconds' customers waited for up to a second, half of them for half of it.
    assert tally.latency.percentile(99) == pytest.approx(900_000, rel=0.1)
    assert tally.latency.percentile(95) == pytest.approx(500_000, rel=0.2)
    assert tally.latency.percentile(50) == pytest.approx(1_000, rel=0.1)
    # Four requests were under way. Who counts from when they were sent takes the stall for four bad ones.
    assert tally.service.percentile(99) == pytest.approx(1_000, rel=0.1)


def test_without_a_stall_nobody_waits_however_few_callers_there_are() -> None:
    tally = measure(fixed_rate(100), Server(stalls_s=0.0), callers=8)
    assert tally.latency.largest == pytest.approx(1_000, rel=0.1)
    assert tally.latency.count == tally.in_time == pytest.approx(1000, rel=0.1)
    assert tally.lateness.largest <= 1


def test_what_a_bank_that_does_not_keep_up_was_never_asked_is_counted_and_has_waited() -> None:
    server = Server(stalls_s=0.0)
    tally = measure(fixed_rate(2000), server, callers=1)  # which can make half as many
    due = tally.latency.count
    assert due == pytest.approx(20_000, rel=0.05)
    assert tally.unsent == due - tally.service.count > 5_000
    assert tally.latency.largest > 5_000_000
    assert tally.service.largest == pytest.approx(1_000, rel=0.1)


def test_in_a_closed_loop_each_caller_asks_again_once_it_is_answered() -> None:
    server = Server(stalls_s=0.0)
    tally = measure(ClosedLoop(WINDOW), server, callers=5)
    assert tally.in_time == pytest.approx(5 * 10_000, rel=0.01)
    assert tally.done == server.asked == pytest.approx(5 * 12_000, rel=0.01)
    assert tally.latency.largest == tally.service.largest == pytest.approx(1_000, rel=0.1)


def test_a_warm_up_is_not_measured_and_what_was_due_in_time_is_to_its_end() -> None:
    stalls_over_the_end = Server(stalls_s=5.0, at_s=12.9)
    window = WINDOW._replace(measured_s=WINDOW.begin_s)
    tally = measure(ClosedLoop(window), stalls_over_the_end, callers=1, window=window)
    assert tally.latency.largest == pytest.approx(5_000_000, rel=0.01)
    assert tally.in_time == tally.latency.count - 1
    stalls_before = Server(stalls_s=1.9, at_s=1.0)
    assert measure(ClosedLoop(WINDOW), stalls_before, callers=1).latency.largest == pytest.approx(
        1_000, rel=0.1
    )


def test_operations_are_counted_by_the_second_in_which_they_were_carried_out() -> None:
    tally = measure(ClosedLoop(WINDOW), Server(stalls_s=3.0, at_s=5.5), callers=1)
    seconds = [tally.seconds[second] for second in range(10)]
    assert seconds[3:5] == [0, 0]
    assert sum(seconds) == tally.in_time
    assert all(count == pytest.approx(1000, rel=0.01) for count in seconds[:2] + seconds[6:])


def test_what_two_clients_have_measured_adds_up() -> None:
    one = measure(fixed_rate(100), Server(stalls_s=1.0), callers=2)
    whole = Tally()
    for _ in range(2):
        whole.add(one)
    assert whole.latency.count == 2 * one.latency.count
    assert whole.in_time == 2 * one.in_time
    assert whole.outcomes == {"OK": 2 * one.outcomes["OK"]}
    assert whole.latency.percentile(99) == one.latency.percentile(99)
