"""The customers of a scenario, at branches in one event loop."""

import asyncio

from branches_in_one_loop import impatient, open_bank

from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.execute import Done, ask_everywhere, execute
from bankbook.scenario.model import Customer, Event, Interface, Scenario
from bankbook.server.config import AccountMode

TIMEOUT_S = 30.0


def customer(name: str, *events: tuple[str, int, int] | tuple[str, int, int, str]) -> Customer:
    """Each event is (interface, money, branch), and of a transfer, the receiver."""
    return Customer(
        CustomerId(name),
        name,
        tuple(
            Event(
                Interface(interface),
                BranchId(branch),
                None if interface == "query" else Money(money),
                CustomerId(to[0]) if to else None,
                number,
            )
            for number, (interface, money, branch, *to) in enumerate(events, start=1)
        ),
    )


def scenario(*customers: Customer, branches: int = 2) -> Scenario:
    return Scenario(tuple(BranchId(n + 1) for n in range(branches)), Money(0), customers)


def told(done: tuple[Done, ...]) -> list[int | str]:
    """Return what each event ended with: its balance, or its reason, or nothing but success."""
    return [
        each.result.reason or (each.result.balance if each.result.balance is not None else "success")
        for each in done
    ]


async def test_all_events_of_a_customer_are_one_session() -> None:
    asked = scenario(customer("1", ("deposit", 5, 1), ("query", 0, 2)))
    async with open_bank(2, joined=False, configure=impatient) as bank:
        (run,) = await execute(asked, bank.client(), AccountMode.OWN, TIMEOUT_S)
    # Branch 2 cannot have the deposit. A session of its own for each event would read 0 there.
    assert told(run.done) == ["success", "HOLD_TIMEOUT"]


async def test_what_a_query_was_held_for_is_told() -> None:
    asked = scenario(customer("1", ("deposit", 5, 1), ("query", 0, 2)))
    async with open_bank(2, joined=False) as bank:
        runs = asyncio.create_task(execute(asked, bank.client(), AccountMode.OWN, TIMEOUT_S))
        await bank.until(2, lambda status: status.held == 1)
        await bank.join(2, 1)
        (run,) = await runs
    assert told(run.done) == ["success", 5]
    assert run.done[1].held_us > 0
    assert [(gap.origin.branch, gap.has, gap.needs) for gap in run.done[1].awaited] == [(1, 0, 1)]


async def test_customers_act_at_the_same_time() -> None:
    asked = scenario(
        customer("1", ("deposit", 5, 1), ("query", 0, 2)), customer("2", ("deposit", 7, 1), ("query", 0, 1))
    )
    async with open_bank(2, joined=False) as bank:
        ended = asyncio.Queue[Done]()
        runs = asyncio.create_task(
            execute(asked, bank.client(), AccountMode.OWN, TIMEOUT_S, ended.put_nowait)
        )
        await bank.until(2, lambda status: status.held == 1)  # customer 1 waits at branch 2
        for _ in range(3):  # and customer 2, who stands behind in the file, is through meanwhile
            await asyncio.wait_for(ended.get(), TIMEOUT_S)
        await bank.join(2, 1)
        first, second = await runs
    assert told(first.done) == ["success", 5]
    assert told(second.done) == ["success", 7]


async def test_an_event_that_fails_does_not_end_those_after_it() -> None:
    asked = scenario(customer("1", ("withdraw", 1, 1), ("deposit", 5, 9), ("deposit", 5, 1), ("query", 0, 1)))
    async with open_bank(2) as bank:
        (run,) = await execute(asked, bank.client(), AccountMode.OWN, TIMEOUT_S)
    assert told(run.done) == ["INSUFFICIENT_FUNDS", "UNKNOWN_BRANCH", "success", 5]
    assert "9" in run.done[1].detail


async def test_money_is_transferred_to_the_account_of_the_customer_who_is_named() -> None:
    asked = scenario(customer("1", ("deposit", 5, 1), ("transfer", 2, 2, "2"), ("query", 0, 1)))
    async with open_bank(2) as bank:
        client = bank.client()
        (run,) = await execute(asked, client, AccountMode.OWN, TIMEOUT_S)
        agreed = await ask_everywhere(asked, client, AccountMode.OWN, TIMEOUT_S)
    assert told(run.done) == ["success", "success", 3]
    assert agreed.balances == {"1": {1: 3, 2: 3}, "2": {1: 2, 2: 2}}


async def test_customers_who_share_an_account_pay_into_one() -> None:
    asked = scenario(customer("1", ("deposit", 5, 1)), customer("2", ("deposit", 7, 2)))
    async with open_bank(2) as bank:
        client = bank.client()
        await execute(asked, client, AccountMode.SHARED, TIMEOUT_S)
        agreed = await ask_everywhere(asked, client, AccountMode.SHARED, TIMEOUT_S)
    assert agreed.balances == {"shared": {1: 12, 2: 12}}
    assert agreed.disagreeing() == []


async def test_whether_branches_agree_is_asked_only_once_they_have_all_there_is() -> None:
    asked = scenario(customer("1", ("deposit", 5, 1)))
    async with open_bank(2, joined=False) as bank:
        client = bank.client()
        await execute(asked, client, AccountMode.OWN, TIMEOUT_S)
        asking = asyncio.create_task(ask_everywhere(asked, client, AccountMode.OWN, TIMEOUT_S))
        await bank.until(2, lambda status: status.held == 1)
        assert not asking.done()
        await bank.join_all()
        assert (await asking).balances == {"1": {1: 5, 2: 5}}
