"""The bare server, beside which a branch is measured, answers all that the load generator asks."""

from bankbook.client import AccountId, Bank, Deposit, Money
from tools.measure_time import bare_server


async def test_it_answers_one_request_and_a_batch_as_a_branch_would() -> None:
    with bare_server() as (address, _):
        async with Bank([address]) as bank:
            session = bank.session("bench-0")
            assert (await session.balance()).balance == 1
            assert (await session.deposit(1)).balance == 1
            receipt = await session.batch([Deposit(AccountId("bench-0"), Money(1))] * 3)
    assert [each.balance for each in receipt.results] == [1, 1, 1]
