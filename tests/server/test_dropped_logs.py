"""Branches over gRPC, with stores in files, that keep no entry which all have; and lost disks."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, open_bank

from bankbook.client import LOCAL, HistoryDroppedError
from bankbook.server.config import BranchConfig
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc


def keeping_nothing(folder: Path) -> Callable[[BranchConfig], BranchConfig]:
    """Have entries and keys dropped as soon as all have them, and the tables tell of them."""

    def configure(config: BranchConfig) -> BranchConfig:
        data = folder / f"branch-{config.branch}"
        return replace(config, data=data, log_retention_us=0, key_retention_us=0)

    return configure


async def restart_all(bank: BankInOneLoop) -> None:
    """Stop the branches, whose tables tell of everything then, and start them again."""
    for branch in list(bank.branches):
        await bank.stop(branch)
    for branch in bank.genesis.branches:
        await bank.start(branch)
    await bank.join_all()


async def rejoin(bank: BankInOneLoop, branch: int, folder: Path) -> None:
    """Lose a branch's disk, and have it back among the others."""
    await bank.stop(branch)
    shutil.rmtree(folder / f"branch-{branch}")
    await bank.start(branch)
    for other in bank.branches:
        if other != branch:
            await bank.join(branch, other)
            await bank.join(other, branch)
    await bank.until(branch, lambda status: not status.is_catching_up)


async def drop_something(bank: BankInOneLoop) -> None:
    """Have all that is there dropped at every branch, with what comes next."""
    await restart_all(bank)
    session = bank.client().session("somebody", account="somebody")
    for branch in bank.branches:
        while not (await bank.status(branch)).dropped.components:
            await session.deposit(1, branch=branch, durable=len(bank.branches) - 1)


async def test_a_branch_whose_disk_is_lost_is_given_what_no_log_has_any_more(tmp_path: Path) -> None:
    async with open_bank(3, opening_balance=None, configure=keeping_nothing(tmp_path)) as bank:
        anna = bank.client().session("anna")
        await anna.open_account("anna", currency="EUR", floor=-50, branch=1)
        await anna.open_account("somebody", branch=1)
        await anna.deposit(100, account="anna", branch=2, durable=2)
        reserved = await anna.reserve(30, account="anna", branch=3, durable=2)
        assert reserved.reservation is not None
        await drop_something(bank)
        await rejoin(bank, 3, tmp_path)
        told = await anna.balance(account="anna", branch=3, freshness=LOCAL)
        assert (told.balance, told.available, told.currency) == (100, 120, "EUR")
        await anna.capture(reserved.reservation)
        taken = await anna.withdraw(120, account="anna", branch=3)
        assert (taken.balance, taken.available) == (-50, 0)
        status = await bank.status(3)
        assert status.dropped.components, "its logs do not begin at 1 either"


async def test_every_branch_may_lose_its_disk_one_after_the_other(tmp_path: Path) -> None:
    async with open_bank(3, opening_balance=1000, configure=keeping_nothing(tmp_path)) as bank:
        sessions = [bank.client().session("anna", account=f"account-{number}") for number in range(30)]
        await asyncio.gather(*(each.deposit(5, durable=2) for each in sessions))
        await drop_something(bank)
        for branch in (1, 2, 3):
            await rejoin(bank, branch, tmp_path)
            await asyncio.gather(*(each.deposit(1, branch=branch, durable=2) for each in sessions))
        for branch in (1, 2, 3):
            told = await asyncio.gather(*(each.balance(branch=branch) for each in sessions))
            assert {each.balance for each in told} == {1008}


async def test_who_asks_for_what_was_dropped_is_told_so(tmp_path: Path) -> None:
    async with open_bank(2, opening_balance=0, configure=keeping_nothing(tmp_path)) as bank:
        session = bank.client().session("anna", account="anna")
        await session.deposit(5, branch=1, durable=1)
        await drop_something(bank)
        lines = session.statement(branch=1)
        assert [line.amount async for line in lines] == []
        assert (lines.opening, lines.closing) == (5, 5)
        assert lines.begins is not None
        with pytest.raises(HistoryDroppedError, match="ask for a later time"):
            await session.balance(at=lines.begins.replace(year=2020), branch=1)
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(bank.channel(1))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in stub.ReadEntries(admin_pb2.ReadEntriesRequest(), timeout=FOREVER_S):
                pass
        assert refused.value.code() is grpc.StatusCode.OUT_OF_RANGE
        assert "--data" in (refused.value.details() or "")
