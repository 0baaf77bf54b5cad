"""Several things at once: the first to end ends the others, and nothing is left running."""

import asyncio

import pytest

from bankbook.server.tasks import first_of


class Work:
    """Something that goes on until it is told how to end, and notes how it did."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ended_as: str | None = None

    async def run(self) -> str:
        self.has_begun.set()
        try:
            self.ended_as = await self.verdict
        except asyncio.CancelledError:
            self.ended_as = "cancelled"
            raise
        return self.ended_as


async def test_the_first_to_end_is_answered_and_the_others_have_ended_by_then() -> None:
    quick, slow = Work(), Work()
    quick.verdict.set_result("done")
    assert await first_of(slow.run(), quick.run()) == "done"
    assert slow.ended_as == "cancelled"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_first_to_end_is_raised_once_the_others_have_ended() -> None:
    failing, slow = Work(), Work()
    failing.verdict.set_exception(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await first_of(failing.run(), slow.run())
    assert slow.ended_as == "cancelled"


async def test_an_error_while_being_cancelled_is_not_swallowed() -> None:
    async def fails_when_cancelled() -> str:
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            raise ValueError("broken on the way out") from None

    async def ends() -> str:
        await asyncio.sleep(0)
        return "done"

    with pytest.raises(ValueError, match="on the way out"):
        await first_of(fails_when_cancelled(), ends())


async def test_who_is_cancelled_ends_all_the_work_and_stays_cancelled() -> None:
    one, other = Work(), Work()
    waiting = asyncio.create_task(first_of(one.run(), other.run()))
    await one.has_begun.wait()
    await other.has_begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (one.ended_as, other.ended_as) == ("cancelled", "cancelled")
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("place", [0, 1])
async def test_of_two_that_end_at_once_an_error_is_told_whichever_came_first(place: int) -> None:
    async def fails() -> str:
        raise ValueError("broken")

    async def ends() -> str:
        return "done"

    work = (fails(), ends()) if place == 0 else (ends(), fails())
    with pytest.raises(ValueError, match="broken"):
        await first_of(*work)
