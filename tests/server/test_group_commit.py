"""When a step waits for company, and when it does not."""

import asyncio

from bankbook.server.group_commit import GroupCommit, Patience

# Nobody waits so long: what ends before is ended by who came.
FOREVER = Patience(between_s=3600.0, whole_s=3600.0, nobody_s=3600.0)
BRIEF = FOREVER._replace(between_s=0.001)


def step(group: GroupCommit, count: int) -> None:
    """Carry out a step for so many requests that came and committed something."""
    for _ in range(count):
        group.add()
    commit(group, count)


def commit(group: GroupCommit, count: int) -> None:
    """Carry out a step that commits something for so many of those who came."""
    group.begin_step()
    group.expect_back(count)


async def waits(group: GroupCommit) -> bool:
    """Whether a step that is to begin now waits."""
    gathering = asyncio.ensure_future(group.gather())
    await asyncio.sleep(0)
    is_waiting = not gathering.done()
    gathering.cancel()
    await asyncio.gather(gathering, return_exceptions=True)
    return is_waiting


async def test_who_is_alone_never_waits() -> None:
    group = GroupCommit(FOREVER)
    for _ in range(3):
        group.add()
        assert not await waits(group)
        commit(group, 1)


async def test_who_had_company_waits_for_twice_as_much() -> None:
    group = GroupCommit(FOREVER)
    step(group, 2)
    group.add()
    gathering = asyncio.create_task(group.gather())
    for _ in range(3):
        await asyncio.sleep(0)
        assert not gathering.done()
        group.add()
    await gathering


async def content() -> GroupCommit:
    """Return one that has waited for more than two in vain, and has them in a step."""
    group = GroupCommit(BRIEF)
    step(group, 2)
    group.add()
    group.add()
    await group.gather()
    commit(group, 2)
    return group


async def test_who_waited_in_vain_is_content_with_as_many_as_came() -> None:
    group = await content()
    group.add()
    assert await waits(group)
    group.add()
    assert not await waits(group)


async def test_after_some_steps_it_is_tried_again_whether_more_come() -> None:
    group, steps = await content(), 0
    while True:
        group.add()
        group.add()
        if await waits(group):
            break
        commit(group, 2)
        steps += 1
    assert 1 < steps < 100


async def test_the_whole_wait_is_bounded_however_they_trickle_in() -> None:
    group = GroupCommit(FOREVER._replace(whole_s=0.001))
    step(group, 50)
    group.add()
    group.add()
    await group.gather()


async def test_a_step_that_somebody_waits_for_begins_at_once() -> None:
    group = GroupCommit(FOREVER)
    step(group, 2)
    group.add()
    gathering = asyncio.create_task(group.gather())
    await asyncio.sleep(0)
    assert not gathering.done()
    group.hurry()
    await gathering
    group.hurry()  # where no step waits, nothing is left of it for the next one
    assert await waits(group)


async def test_a_step_that_committed_nothing_expects_nobody() -> None:
    group = GroupCommit(FOREVER)
    step(group, 2)
    for _ in range(4):
        group.add()
    commit(group, 0)
    group.add()
    assert not await waits(group)


async def test_what_nobody_waits_for_waits_for_the_first_who_comes() -> None:
    group = GroupCommit(FOREVER)
    gathering = asyncio.create_task(group.gather())
    await asyncio.sleep(0)
    assert not gathering.done()
    group.add()
    await gathering


async def test_and_where_nobody_comes_it_waits_no_longer_than_that() -> None:
    await GroupCommit(FOREVER._replace(nobody_s=0.001)).gather()


async def test_a_step_without_requests_forgets_none_who_are_expected() -> None:
    group = GroupCommit(FOREVER)
    step(group, 2)
    assert await waits(group)
    group.begin_step()
    group.add()
    assert await waits(group)
