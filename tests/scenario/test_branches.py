"""A scenario's branches that die, and are started again."""

import asyncio
from contextlib import suppress
from pathlib import Path

from bankbook.client import LATEST, Bank
from bankbook.core.types import BranchId, Money
from bankbook.scenario.branches import BankOptions, branch_configs, supervise
from bankbook.scenario.model import Scenario
from bankbook.server.launcher import Launcher

ONE, TWO, THREE = (BranchId(number) for number in (1, 2, 3))


async def test_two_branches_killed_at_the_same_moment_do_not_wait_for_each_other(tmp_path: Path) -> None:
    scenario = Scenario((ONE, TWO, THREE), Money(0), ())
    told: list[str] = []
    with Launcher(branch_configs(scenario, BankOptions(log_level="error"), tmp_path)) as launcher:
        await asyncio.to_thread(launcher.start)
        async with Bank(launcher.addresses) as bank:
            await bank.session("1").deposit(5, branch=ONE)
        launcher.kill(ONE)
        launcher.kill(TWO)
        supervising = asyncio.create_task(supervise(launcher, told.append))
        async with asyncio.timeout(30):
            while launcher.ended():  # noqa: ASYNC110  (a process has no event to wait for)
                await asyncio.sleep(0.01)
        async with Bank(launcher.addresses) as bank:
            for branch in scenario.branches:
                reply = await bank.session("1").balance(branch=branch, freshness=LATEST, timeout=30)
                assert reply.balance == 5
        supervising.cancel()
        with suppress(asyncio.CancelledError):
            await supervising
    assert len(told) == 2
