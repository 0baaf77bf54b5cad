"""Callers whose time is over before a branch comes to their request: it is told, and the branch goes on."""

import asyncio
import contextlib
from pathlib import Path

from server.processes import bank_of, configs_of

from bankbook.client import Bank, RetryableError, Session

ROUNDS = 60


async def test_statements_without_time_amid_writes_are_refused_and_end_no_branch(tmp_path: Path) -> None:
    with bank_of(configs_of(1, tmp_path)) as launcher:
        async with Bank(launcher.addresses, retries=False) as bank:
            session = bank.session("ada")
            await session.deposit(1)
            for number in range(ROUNDS):
                least = 0.001 + 0.0005 * (number % 20)
                hurried = [hurry(session, least + 0.0001 * each) for each in range(8)]
                await asyncio.gather(*(session.deposit(1) for _ in range(8)), *hurried)
            assert (await session.balance()).balance == 1 + 8 * ROUNDS
        assert launcher.ended() == {}


async def hurry(session: Session, timeout: float) -> None:
    with contextlib.suppress(RetryableError):
        await session.statement_page(timeout=timeout)
