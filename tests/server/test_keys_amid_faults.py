"""One key, sent again and again, to every branch, amid crashes and lost replies: one effect, one outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from server.processes import PATIENCE_S, Wire, all_joined, balances, bank_of, configs_of

from bankbook.client import (
    Bank,
    InsufficientFundsError,
    KeyReusedError,
    OutcomeUnknownError,
    Receipt,
    Session,
)
from bankbook.core.types import BranchId

ONE = BranchId(1)


@pytest.mark.parametrize("key", ["1/order-17", "2/order-17", "order-17"])
async def test_the_same_key_ten_times_with_a_crash_in_between_is_one_effect(tmp_path: Path, key: str) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            first = await bank.session("ada").deposit(5, key=key, branch=1)
            assert not first.is_replayed
            launcher.kill(ONE)
            await asyncio.to_thread(launcher.restart, ONE)
            again = [
                await bank.session("ada").deposit(5, key=key, branch=1 + number % 3) for number in range(9)
            ]
            assert [each.is_replayed for each in again] == [True] * 9
            assert {(each.balance, each.entry) for each in again} == {(first.balance, first.entry)}
            assert await balances(bank, "ada") == [5, 5, 5]


async def test_the_same_key_ten_times_at_once_at_all_branches_is_one_effect(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            for key in ("1/a", "2/b", "3/c", "d"):
                receipts = await asyncio.gather(
                    *(
                        bank.session("ada").deposit(5, account=key[-1], key=key, branch=1 + number % 3)
                        for number in range(10)
                    )
                )
                assert sum(not each.is_replayed for each in receipts) == 1
                assert len({(each.balance, each.entry) for each in receipts}) == 1
                assert await balances(bank, key[-1]) == [5, 5, 5]


async def test_a_refusal_is_replayed_too_although_the_money_has_come_meanwhile(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            with pytest.raises(InsufficientFundsError):
                await session.withdraw(5, key="1/early", branch=1)
            await session.deposit(100, branch=1)
            launcher.kill(ONE)
            await asyncio.to_thread(launcher.restart, ONE)
            for branch in bank.branches:
                with pytest.raises(InsufficientFundsError):
                    await session.withdraw(5, key="1/early", branch=branch)
            assert await balances(bank, "ada") == [100, 100, 100]


async def test_the_same_key_for_another_request_is_refused_at_every_branch(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            ada = bank.session("ada")
            await ada.deposit(5, key="2/order", branch=1)
            for branch in bank.branches:
                for ask in (
                    ada.deposit(6, key="2/order", branch=branch),
                    ada.deposit(5, account="bob", key="2/order", branch=branch),
                    ada.deposit(5, memo="other", key="2/order", branch=branch),
                    ada.withdraw(5, key="2/order", branch=branch),
                    bank.session("bob").deposit(5, account="ada", key="2/order", branch=branch),
                ):
                    with pytest.raises(KeyReusedError):
                        await ask
            assert await balances(bank, "ada") == [5, 5, 5]
            assert await balances(bank, "bob") == [0, 0, 0]


@asynccontextmanager
async def wire_to(address: str) -> AsyncIterator[Wire]:
    """Open a wire from a client to a branch."""
    wire = Wire()
    wire.target = address
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()


async def lose_the_answer(wire: Wire, deposit: asyncio.Task[Receipt], witness: Session) -> None:
    """Cut the wire once the branch has carried a first deposit out, and before its caller can know."""
    async with asyncio.timeout(PATIENCE_S):
        while (await witness.balance(branch=1)).balance == 0:
            assert not deposit.done()
    wire.cut()


@pytest.mark.parametrize("key", ["1/order-17", "2/order-17", "order-17"])
async def test_the_answer_is_lost_and_the_key_tells_what_became_of_it(tmp_path: Path, key: str) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        addresses = launcher.addresses
        async with (
            wire_to(addresses[ONE]) as wire,
            Bank(addresses) as bank,
            Bank({1: wire.address}, retries=False) as wired,
        ):
            session, witness = wired.session("ada"), bank.session("ada")
            await session.balance()
            wire.lose_answers()
            deposit = asyncio.create_task(session.deposit(5, key=key))
            await lose_the_answer(wire, deposit, witness)
            with pytest.raises(OutcomeUnknownError) as doubt:
                await deposit
            assert doubt.value.key == key
            again = [await bank.session("ada").deposit(5, key=key, branch=1 + n % 3) for n in range(10)]
            assert [each.is_replayed for each in again] == [True] * 10
            assert {each.balance for each in again} == {5}
            assert await balances(bank, "ada") == [5, 5, 5]


async def test_the_client_asks_elsewhere_by_itself_when_the_answer_is_lost(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        addresses = launcher.addresses
        async with (
            wire_to(addresses[ONE]) as wire,
            Bank(addresses) as bank,
            Bank({**addresses, ONE: wire.address}) as wired,
        ):
            session = wired.session("ada")
            await session.balance()
            wire.lose_answers()
            deposit = asyncio.create_task(session.deposit(5))
            await lose_the_answer(wire, deposit, bank.session("ada"))
            receipt = await deposit
            assert (receipt.balance, receipt.is_replayed, receipt.entry and receipt.entry.origin.branch) == (
                5,
                True,
                1,
            )
            assert receipt.branch != 1
            assert await balances(bank, "ada") == [5, 5, 5]


async def test_a_key_of_a_dead_branch_is_in_doubt_until_it_is_back_and_never_takes_effect_twice(
    tmp_path: Path,
) -> None:
    with bank_of(configs_of(3, tmp_path, hold_limit_us=1_000_000)) as launcher:
        async with Bank(launcher.addresses) as bank, Bank(launcher.addresses, retries=False) as once:
            await all_joined(launcher)
            launcher.kill(ONE)
            session = bank.session("ada")
            with pytest.raises(OutcomeUnknownError, match="branch 1") as doubt:
                await once.session("ada").deposit(5, key="1/order-17", branch=2)
            assert doubt.value.branch == 1
            await asyncio.to_thread(launcher.restart, ONE)
            # Branch 1 never had it: it gives the key away, once, to whoever asks first.
            receipts = await asyncio.gather(
                *(session.deposit(5, key="1/order-17", branch=1 + number % 3) for number in range(9))
            )
            assert sum(not each.is_replayed for each in receipts) == 1
            assert await balances(bank, "ada") == [5, 5, 5]
