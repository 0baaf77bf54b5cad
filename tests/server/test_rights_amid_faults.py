"""No overdraft although every branch decides by itself: real branches, at the same moment, and cut off.

BANKBOOK_DUELS says over how many accounts two branches fight.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from server.processes import all_connected, all_joined, balances, bank_of, banks_with, rights_at, wired_bank

from bankbook.client import (
    LOCAL,
    Bank,
    InsufficientFundsError,
    RightsUnreachableError,
    Session,
)
from bankbook.core.types import BranchId

DUELS = int(os.environ.get("BANKBOOK_DUELS", "1000"))
# As many at once as keep both branches busy.
_DUELS_AT_ONCE = 20

THREE = BranchId(3)

# Where a branch is to give up: it does so by itself, whatever the machine is busy with.
HOLD_LIMIT_US = 1_000_000


async def withdraw(session: Session, amount: int, branch: int) -> str:
    try:
        await session.withdraw(amount, branch=branch)
    except InsufficientFundsError:
        return "refused"
    return "paid"


@pytest.mark.parametrize("branches", [2, 3])
async def test_of_two_withdrawals_of_80_from_100_at_two_branches_one_is_paid(
    tmp_path: Path, branches: int
) -> None:
    room = asyncio.Semaphore(_DUELS_AT_ONCE)
    slowest_s: list[float] = []

    async def duel(bank: Bank, number: int) -> None:
        async with room:
            began, account = time.monotonic(), f"account-{number}"
            pair = [bank.session(name, account=account) for name in ("ada", "bob")]
            sides = [1 + number % branches, 1 + (number + 1) % branches]
            told = await asyncio.gather(*map(withdraw, pair, (80, 80), sides))
            slowest_s.append(time.monotonic() - began)
            assert Counter(told) == {"paid": 1, "refused": 1}, account
            assert await balances(bank, account) == [20] * branches

    with bank_of(banks_with(100, branches, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            began = time.monotonic()
            await asyncio.gather(*(duel(bank, number) for number in range(DUELS // 2)))
    took_s = time.monotonic() - began
    print(f"\n{DUELS // 2} duels in {took_s:.1f} s, the slowest in {max(slowest_s):.2f} s")  # noqa: T201


async def test_what_ten_branches_have_together_is_paid_at_any_one_of_them(tmp_path: Path) -> None:
    with bank_of(banks_with(100, 10, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            for branch in bank.branches:
                session = bank.session("ada", account=f"account-{branch}")
                began = time.monotonic()
                assert (await session.withdraw(100, branch=branch)).balance == 0
                print(f"\nall of it at branch {branch} in {1000 * (time.monotonic() - began):.0f} ms")  # noqa: T201
                with pytest.raises(InsufficientFundsError):
                    await session.withdraw(1, branch=1 + branch % 10)


async def test_two_branches_gather_everything_at_once_and_one_of_them_wins(tmp_path: Path) -> None:
    with bank_of(banks_with(100, 10, tmp_path)) as launcher:
        async with Bank(launcher.addresses, timeout=10) as bank:
            slowest_s = 0.0
            for number in range(20):
                account = f"account-{number}"
                pair = [bank.session(name, account=account) for name in ("ada", "bob")]
                began = time.monotonic()
                sides = (1 + number % 10, 10 - number % 10)
                told = await asyncio.gather(*map(withdraw, pair, (100, 100), sides))
                slowest_s = max(slowest_s, time.monotonic() - began)
                assert Counter(told) == {"paid": 1, "refused": 1}, account
                assert await balances(bank, account) == [0] * 10
            print(f"\nthe slowest of 20 in {slowest_s:.2f} s")  # noqa: T201


async def test_a_branch_that_is_cut_off_pays_what_it_may_and_names_who_may_pay_the_rest(
    tmp_path: Path,
) -> None:
    links = [(1, 3), (2, 3), (3, 1), (3, 2)]
    async with (
        wired_bank(banks_with(90, 3, tmp_path, hold_limit_us=HOLD_LIMIT_US), links) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        await all_joined(launcher)
        for wire in wires.values():
            wire.cut()
        here, there = bank.session("ada"), bank.session("bob", account="ada")
        own = {
            each.branch: each.amount for each in (await rights_at(launcher.addresses[THREE], "ada")).rights
        }
        assert own == {1: 30, 2: 30, 3: 30}
        for _ in range(3):
            assert (await here.withdraw(10, branch=3)).held_us == 0
            assert (await there.withdraw(10, branch=1)).held_us == 0
        with pytest.raises(RightsUnreachableError) as refusal:
            await here.withdraw(25, branch=3, key="3/beyond")
        assert refusal.value.branch in {1, 2}
        # Not even what no branch can have is refused for good, while somebody may have received some.
        with pytest.raises(RightsUnreachableError):
            await here.withdraw(500, branch=3)
        # The other two do what they can together; what the third may take out, they do not know.
        assert (await there.withdraw(30, branch=1)).balance == 30
        with pytest.raises(RightsUnreachableError) as refusal:
            await there.withdraw(25, branch=1)
        assert refusal.value.branch == 3
        await there.deposit(40, branch=2)
        for wire in wires.values():
            wire.mend()
        await all_connected(launcher)
        paid = await here.withdraw(25, branch=3, key="3/beyond")
        assert (paid.balance, paid.is_replayed) == (15, False)
        with pytest.raises(InsufficientFundsError) as want:
            await here.withdraw(16, branch=3)
        assert (want.value.balance, want.value.available) == (15, 15)
        assert await balances(bank, "ada") == [15, 15, 15]


async def test_want_of_funds_is_told_only_where_every_branch_can_be_asked(tmp_path: Path) -> None:
    with bank_of(banks_with(90, 3, tmp_path, hold_limit_us=HOLD_LIMIT_US)) as launcher:
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            with pytest.raises(InsufficientFundsError):
                await session.withdraw(91, branch=1)
            await all_joined(launcher)
            launcher.kill(THREE)
            with pytest.raises(RightsUnreachableError) as refusal:
                await session.withdraw(91, branch=1)
            assert refusal.value.branch == 3
            assert (await session.withdraw(60, branch=1)).balance == 30
            assert (await session.balance(branch=2, freshness=LOCAL)).branch == 2
            await asyncio.to_thread(launcher.restart, THREE)
            await all_connected(launcher)
            assert (await session.withdraw(30, branch=1)).balance == 0
