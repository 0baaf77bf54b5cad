"""A branch whose disk is gone: it catches up, and serves only then."""

import asyncio
import shutil
from pathlib import Path

import pytest
from server.processes import (
    PATIENCE_S,
    all_joined,
    balances,
    banks_with,
    configs_of,
    held_at,
    rights_at,
    status_of,
    wired_bank,
)

from bankbook.client import (
    LATEST,
    LOCAL,
    Bank,
    BankbookError,
    CatchingUpError,
    InsufficientFundsError,
    ShuttingDownError,
    WritesLostError,
)
from bankbook.core.types import BranchId
from bankbook.server.launcher import Launcher

ONE, TWO, THREE = BranchId(1), BranchId(2), BranchId(3)

# From the other branches to branch 1, and the other way round.
_AROUND_ONE = [(1, 2), (1, 3), (2, 1), (3, 1)]


async def lose_disk(launcher: Launcher, branch: BranchId, tmp_path: Path) -> None:
    """Kill a branch, take its store away, and start it again."""
    if branch not in launcher.ended():
        launcher.kill(branch)
    shutil.rmtree(tmp_path / f"branch-{branch}")
    await asyncio.to_thread(launcher.restart, branch)


async def test_a_branch_without_its_disk_is_a_new_incarnation_that_knows_all_and_may_spend_its_rights(
    tmp_path: Path,
) -> None:
    async with (
        wired_bank(banks_with(90, 3, tmp_path), _AROUND_ONE) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        address = launcher.addresses[ONE]
        sessions = [bank.session("ada", account=f"account-{number}") for number in range(50)]
        await asyncio.gather(*(each.deposit(30, branch=1, durable=2) for each in sessions))
        held = await sessions[0].reserve(7, branch=1, durable=2)
        before = await status_of(address)
        await lose_disk(launcher, ONE, tmp_path)
        told = await asyncio.gather(*(each.balance(branch=1, freshness=LOCAL) for each in sessions))
        assert [each.balance for each in told] == [120] * 50
        after = await status_of(address)
        assert after.origin.incarnation != before.origin.incarnation
        assert not after.is_catching_up
        # What its first life could take out, it can take out by itself again.
        for wire in wires.values():
            wire.cut()
        rights = {each.branch: each.amount for each in (await rights_at(address, "account-1")).rights}
        assert sum(rights.values()) == 120
        assert rights[1] >= 30
        assert (await sessions[1].withdraw(rights[1], branch=1)).held_us == 0
        assert held.reservation is not None
        assert (await sessions[0].capture(held.reservation, branch=1)).balance == 113
        for wire in wires.values():
            wire.mend()
        assert await balances(bank, "account-0") == [113] * 3
        assert await balances(bank, "account-1") == [120 - rights[1]] * 3
        everything = bank.session("bob", account="account-1")
        assert (await everything.withdraw(120 - rights[1], branch=2)).balance == 0
        with pytest.raises(InsufficientFundsError):
            await everything.withdraw(1, branch=1)


async def test_a_branch_without_its_disk_serves_nobody_before_it_has_caught_up(tmp_path: Path) -> None:
    async with (
        wired_bank(configs_of(3, tmp_path, hold_limit_us=1_000_000), [(1, 2)]) as (launcher, wires),
        Bank(launcher.addresses) as bank,
        Bank(launcher.addresses, retries=False) as once,
    ):
        address, session = launcher.addresses[ONE], bank.session("ada")
        await session.deposit(5, branch=1, durable=2)
        wires[1, 2].cut()
        await lose_disk(launcher, ONE, tmp_path)
        hasty = once.session("ada")
        for freshness in (LOCAL, LATEST):
            with pytest.raises(CatchingUpError):
                await hasty.balance(branch=1, freshness=freshness)
        with pytest.raises(CatchingUpError):
            await hasty.deposit(6, branch=1)
        status = await status_of(address)
        assert status.is_catching_up
        assert list(status.catching_up_on) == [2]
        query = asyncio.create_task(session.balance(branch=1, freshness=LOCAL))
        deposit = asyncio.create_task(session.deposit(7, branch=1))
        await held_at(address, 2)
        wires[1, 2].mend()
        assert (await query).balance in {5, 12}
        assert (await deposit).balance == 12
        assert await balances(bank, "ada") == [12, 12, 12]


async def test_what_was_lost_with_the_disk_is_told_to_whoever_has_seen_it(tmp_path: Path) -> None:
    async with (
        wired_bank(configs_of(3, tmp_path), _AROUND_ONE) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        await all_joined(launcher)
        session, stranger = bank.session("ada"), bank.session("bob", account="ada")
        await session.deposit(5, branch=1, durable=2)
        for wire in wires.values():
            wire.cut()
        await session.deposit(6, key="1/lost", branch=1)
        launcher.kill(ONE)
        for wire in wires.values():
            wire.mend()
        await lose_disk(launcher, ONE, tmp_path)
        async with asyncio.timeout(PATIENCE_S):
            assert (await stranger.balance(branch=1, freshness=LATEST)).balance == 5
        for branch in bank.branches:
            with pytest.raises(WritesLostError):
                await session.balance(branch=branch)
            with pytest.raises(WritesLostError):
                await session.deposit(7, branch=branch)
        # The key of what was lost is free again: nobody alive has ever seen its effect.
        again = await stranger.deposit(8, key="1/lost", branch=2)
        assert (again.balance, again.is_replayed) == (13, False)
        assert await balances(bank, "ada") == [13, 13, 13]


async def test_what_was_asked_to_be_on_another_disk_survives_the_loss_of_its_branch(tmp_path: Path) -> None:
    async with wired_bank(configs_of(3, tmp_path), []) as (launcher, _), Bank(launcher.addresses) as bank:
        acknowledged: set[int] = set()
        is_over = asyncio.Event()

        async def deposit(place: int) -> None:
            try:
                await bank.session("ada").deposit(1 << place, branch=1, durable=1, timeout=5)
            except BankbookError:
                return
            acknowledged.add(place)
            if len(acknowledged) == 12:
                is_over.set()

        work = [asyncio.create_task(deposit(place)) for place in range(40)]
        await is_over.wait()
        await lose_disk(launcher, ONE, tmp_path)
        await asyncio.gather(*work)
        found = await balances(bank, "ada")
        assert len(set(found)) == 1
        assert all(found[0] >> place & 1 for place in acknowledged)


async def test_an_old_disk_that_comes_back_after_a_newer_one_joined_serves_nobody(tmp_path: Path) -> None:
    folder, kept = tmp_path / "branch-1", tmp_path / "kept"
    async with (
        wired_bank(banks_with(90, 3, tmp_path), []) as (launcher, _),
        Bank(launcher.addresses) as bank,
        Bank(launcher.addresses, retries=False) as once,
    ):
        session = bank.session("ada")
        await session.deposit(5, branch=1, durable=2)
        launcher.kill(ONE)
        shutil.copytree(folder, kept)
        await lose_disk(launcher, ONE, tmp_path)
        await session.deposit(6, branch=1, durable=2)
        launcher.kill(ONE)
        folder.rename(tmp_path / "new")
        kept.rename(folder)
        await asyncio.to_thread(launcher.restart, ONE)
        stranger = once.session("bob", account="ada")
        async with asyncio.timeout(PATIENCE_S):
            while True:  # until one of the others has told it
                try:
                    await stranger.balance(branch=1, freshness=LOCAL)
                except ShuttingDownError:
                    break
        assert [(await session.balance(branch=branch)).balance for branch in (2, 3)] == [101] * 2
        launcher.kill(ONE)
        shutil.rmtree(folder)
        (tmp_path / "new").rename(folder)
        await asyncio.to_thread(launcher.restart, ONE)
        assert await balances(bank, "ada") == [101] * 3
