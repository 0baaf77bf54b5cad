"""Accounts at a bank that has none, in one process."""

import asyncio
from itertools import count

import pytest
from branches_in_one_loop import BankInOneLoop, open_bank

from bankbook.bench.accounts import account_name
from bankbook.bench.lag import PROBE_ACCOUNT
from bankbook.bench.prepare import OPENING, prepare
from bankbook.client import LATEST, Bank, UnknownAccountError

ACCOUNTS = 130  # two full parts, and two accounts


async def balances(client: Bank, accounts: int) -> list[int]:
    session = client.session("auditor")
    asked = (session.balance(account=account_name(n), freshness=LATEST) for n in range(accounts))
    return [each.balance for each in await asyncio.gather(*asked)]


async def head(bank: BankInOneLoop) -> int:
    """How many entries all branches together have written."""
    return sum(component.seq for component in (await bank.status(1)).applied.components)


async def test_every_account_is_opened_and_has_its_money_once() -> None:
    async with open_bank(2, opening_balance=None) as bank:
        told: list[int] = []
        await prepare(bank.client(), ACCOUNTS, told.append)
        assert await balances(bank.client(), ACCOUNTS) == [OPENING] * ACCOUNTS
        assert told == [64, 128, 129, 130]
        session = bank.client().session("auditor")
        assert (await session.balance(account=PROBE_ACCOUNT, freshness=LATEST)).balance == 0
        with pytest.raises(UnknownAccountError):
            await session.balance(account=account_name(ACCOUNTS), freshness=LATEST)


async def test_each_branch_may_take_out_its_part() -> None:
    async with open_bank(2, opening_balance=None) as bank:
        await prepare(bank.client(), 3, lambda _: None)
        session = bank.client().session("customer")
        for branch in (1, 2):
            receipt = await session.withdraw(OPENING // 2, account=account_name(1), branch=branch)
            assert receipt.held_us == 0 or not receipt.info.asked


async def test_a_second_bench_finds_the_accounts_and_writes_nothing() -> None:
    async with open_bank(2, opening_balance=None) as bank:
        await prepare(bank.client(), ACCOUNTS, lambda _: None)
        before = await head(bank)
        await prepare(bank.client(), ACCOUNTS, lambda _: pytest.fail("it had nothing to do"))
        await prepare(bank.client(), 10, lambda _: pytest.fail("it had nothing to do"))
        assert await head(bank) == before


class _InterruptedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_a_preparation_that_was_interrupted_is_finished_and_pays_nothing_twice(after: int) -> None:
    calls = count(1)

    def interrupt(_: int) -> None:
        if next(calls) == after:
            raise _InterruptedError

    async with open_bank(2, opening_balance=None) as bank:
        with pytest.raises(_InterruptedError):
            await prepare(bank.client(), ACCOUNTS, interrupt)
        await prepare(bank.client(), ACCOUNTS, lambda _: None)
        assert await balances(bank.client(), ACCOUNTS) == [OPENING] * ACCOUNTS
