"""Virtual time: it passes only when everybody waits, and in no time."""

import asyncio
import gc

import pytest

from bankbook.simulation.clock import (
    Clocks,
    NothingEndsError,
    NothingHappensError,
    VirtualLoop,
    run_in_virtual_time,
)


def test_a_year_passes_at_once_and_timers_end_in_their_order() -> None:
    loop, ended = VirtualLoop(), list[tuple[float, str]]()

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended.append((round(loop.time(), 6), name))

    async def main() -> None:
        await asyncio.gather(wait("year", 365 * 86_400.0), wait("blink", 1e-6), wait("day", 86_400.0))

    run_in_virtual_time(loop, main())
    assert ended == [(1e-6, "blink"), (86_400.0, "day"), (365 * 86_400.0, "year")]


def test_who_waits_for_what_nobody_does_is_found_out() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        await loop.create_future()

    with pytest.raises(NothingHappensError, match="everybody waits"):
        run_in_virtual_time(loop, main())


def test_who_goes_round_in_circles_is_found_out() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        while True:  # noqa: ASYNC110  (it is the bug)
            await asyncio.sleep(0)

    with pytest.raises(NothingEndsError, match="round in circles"):
        run_in_virtual_time(loop, main())


def test_the_clocks_of_two_machines_are_apart_and_one_jumps() -> None:
    loop = VirtualLoop()
    one, other = Clocks(loop, 5, 0), Clocks(loop, 7, 3_600_000_000)
    assert other.read().wall_us - one.read().wall_us == 3_600_000_000
    before = one.read()
    one.wall_offset_us -= 60_000_000
    assert one.read().wall_us == before.wall_us - 60_000_000
    assert one.read().monotonic_us == before.monotonic_us
    loop.close()


def test_who_is_interrupted_hears_nothing_of_what_was_under_way(caplog: pytest.LogCaptureFixture) -> None:
    """Ctrl-C strikes in the midst of some task, which asyncio told of at length once it was forgotten."""

    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        task = asyncio.create_task(interrupted())
        await asyncio.Event().wait()
        await task

    with pytest.raises(KeyboardInterrupt):
        run_in_virtual_time(VirtualLoop(), main())
    gc.collect()
    assert caplog.records == []
