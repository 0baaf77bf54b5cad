"""The original protocol, as the clients of that time speak it: no token, no package, one method."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, impatient, open_bank
from grpc_status import rpc_status

from bankbook.core.outcome import Outcome
from bankbook.server.config import AccountMode, BranchConfig, Delay
from bankbook.wire.original.bank_pb2 import BankRequest, BankResponse
from bankbook.wire.status import decode_failure

INT32_MAX = 2**31 - 1


async def deliver(
    bank: BankInOneLoop, branch: int, interface: str, money: int = 0, customer: int = 1
) -> BankResponse:
    """Call as a client compiled from its own copy of the protocol does: by the raw name of the method."""
    call = bank.channel(branch).unary_unary(
        "/Bank/MsgDelivery", BankRequest.SerializeToString, BankResponse.FromString
    )
    response = await call(BankRequest(interface=interface, money=money, id=customer), timeout=FOREVER_S)
    assert isinstance(response, BankResponse)
    return response


def told(response: BankResponse) -> tuple[str, int, int]:
    return response.result, response.balance, response.branch


async def outcome_of(call: object) -> tuple[Outcome, grpc.StatusCode]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call  # type: ignore[misc]
    failure = decode_failure(rpc_status.from_call(cast("Any", error.value)))
    assert failure is not None
    return failure.outcome, error.value.code()


async def test_query_deposit_and_withdraw_answer_as_they_always_did() -> None:
    async with open_bank(2) as bank:
        assert told(await deliver(bank, 1, "deposit", 400)) == ("success", 400, 1)
        assert told(await deliver(bank, 1, "query")) == ("success", 400, 1)
        assert told(await deliver(bank, 1, "withdraw", 150)) == ("success", 250, 1)


async def test_money_in_a_query_means_nothing() -> None:
    async with open_bank(1) as bank:
        assert told(await deliver(bank, 1, "query", 400)) == ("success", 0, 1)


async def test_a_withdrawal_of_more_than_there_is_fails_and_tells_the_balance() -> None:
    async with open_bank(1, opening_balance=100) as bank:
        assert told(await deliver(bank, 1, "withdraw", 101)) == ("fail", 100, 1)
        assert told(await deliver(bank, 1, "query")) == ("success", 100, 1)


@pytest.mark.parametrize(
    "interface",
    ["", "Query", "QUERY", "query ", "transfer", "propagate_deposit", "Propagate_Withdraw", "x" * 999],
)
async def test_an_interface_that_customers_do_not_have_is_refused_the_old_branches_own_ones_too(
    interface: str,
) -> None:
    async with open_bank(1) as bank:
        assert await outcome_of(deliver(bank, 1, interface, 5)) == (
            Outcome.INVALID_REQUEST,
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        assert (await deliver(bank, 1, "query")).balance == 0


@pytest.mark.parametrize("interface", ["deposit", "withdraw"])
@pytest.mark.parametrize("money", [-1, -(2**31)])
async def test_negative_money_is_refused_and_moves_nothing(interface: str, money: int) -> None:
    async with open_bank(1, opening_balance=100) as bank:
        outcome, _ = await outcome_of(deliver(bank, 1, interface, money))
        assert outcome is Outcome.INVALID_REQUEST
        assert (await deliver(bank, 1, "query")).balance == 100


async def test_a_customer_with_a_negative_number_is_refused_and_customer_zero_is_one() -> None:
    async with open_bank(1) as bank:
        assert (await outcome_of(deliver(bank, 1, "query", customer=-1)))[0] is Outcome.INVALID_REQUEST
        assert told(await deliver(bank, 1, "deposit", 5, customer=0)) == ("success", 5, 1)


async def test_a_balance_beyond_32_bits_is_refused_before_anything_moves_and_exact_elsewhere() -> None:
    async with open_bank(2) as bank:
        assert (await deliver(bank, 1, "deposit", INT32_MAX)).balance == INT32_MAX
        beyond = (Outcome.NOT_REPRESENTABLE, grpc.StatusCode.OUT_OF_RANGE)
        assert await outcome_of(deliver(bank, 1, "deposit", 1)) == beyond
        assert (await deliver(bank, 2, "query")).balance == INT32_MAX
        session = bank.client().session("1")
        assert (await session.deposit(1, branch=1)).balance == 2**31
        assert await outcome_of(deliver(bank, 1, "query")) == beyond
        assert await outcome_of(deliver(bank, 1, "withdraw", 0)) == beyond
        assert told(await deliver(bank, 1, "withdraw", 1)) == ("success", INT32_MAX, 1)


async def test_want_of_funds_where_the_balance_does_not_fit_is_no_fail_with_a_wrong_balance() -> None:
    """An account with credit beyond 32 bits: the answer could not tell how much is owed."""
    async with open_bank(1, opening_balance=None) as bank:
        session = bank.client().session("1")
        await session.open_account(floor=-(2**33))
        await session.withdraw(2**33)
        outcome, _ = await outcome_of(deliver(bank, 1, "withdraw", 1))
        assert outcome is Outcome.INSUFFICIENT_FUNDS


def slow_to_branch_2(config: BranchConfig) -> BranchConfig:
    return replace(config, delay=Delay(100_000, 100_000)) if config.branch == 2 else config


async def test_a_query_right_after_a_deposit_elsewhere_is_held_for_the_propagation_and_right() -> None:
    async with open_bank(3, configure=slow_to_branch_2) as bank:
        await deliver(bank, 1, "deposit", 400)
        query = asyncio.ensure_future(deliver(bank, 2, "query"))
        await bank.until_held(2, 1)
        assert told(await query) == ("success", 400, 2)
        await deliver(bank, 3, "withdraw", 150)
        assert told(await deliver(bank, 2, "withdraw", 250)) == ("success", 0, 2)


async def test_who_holds_up_one_customer_holds_up_no_other() -> None:
    def hour_to_branch_2(config: BranchConfig) -> BranchConfig:
        hour_us = 3_600_000_000
        return replace(config, delay=Delay(hour_us, hour_us)) if config.branch == 2 else config

    async with open_bank(2, configure=hour_to_branch_2) as bank:
        await deliver(bank, 1, "deposit", 400, customer=1)
        queries = [asyncio.ensure_future(deliver(bank, 2, "query", customer=1)) for _ in range(20)]
        await bank.until_held(2, 20)
        assert told(await deliver(bank, 2, "query", customer=2)) == ("success", 0, 2)
        for query in queries:
            query.cancel()
        await bank.until_held(2, 0)


async def test_a_query_is_not_answered_with_a_guess_where_a_branch_cannot_be_reached() -> None:
    async with open_bank(2, configure=impatient) as bank:
        await bank.stop(2)
        assert await outcome_of(deliver(bank, 1, "query")) == (
            Outcome.BRANCH_UNREACHABLE,
            grpc.StatusCode.UNAVAILABLE,
        )


@pytest.mark.parametrize(("mode", "seen"), [(AccountMode.OWN, 0), (AccountMode.SHARED, 400)])
async def test_customers_have_one_account_each_or_all_the_same_as_the_bank_was_told(
    mode: AccountMode, seen: int
) -> None:
    async with open_bank(2, configure=lambda config: replace(config, accounts=mode)) as bank:
        await deliver(bank, 1, "deposit", 400, customer=1)
        assert told(await deliver(bank, 2, "query", customer=2)) == ("success", seen, 2)
        assert (await bank.status(1)).accounts == mode.value


async def test_the_original_and_the_new_protocol_are_at_the_same_port_and_the_same_account() -> None:
    async with open_bank(2) as bank:
        await deliver(bank, 1, "deposit", 400, customer=7)
        session = bank.client().session("7")
        await session.deposit(1, branch=2)
        assert told(await deliver(bank, 1, "query", customer=7)) == ("success", 401, 1)


async def test_customers_at_all_branches_at_once_lose_nothing() -> None:
    async with open_bank(3) as bank:
        await asyncio.gather(*(deliver(bank, n % 3 + 1, "deposit", 1) for n in range(60)))
        assert [(await deliver(bank, branch, "query")).balance for branch in (1, 2, 3)] == [60, 60, 60]
