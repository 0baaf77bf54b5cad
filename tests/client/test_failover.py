"""Lost answers, branches that are down, and where a session goes then; over gRPC, with made-up branches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from branches_in_one_loop import FOREVER_S
from client.fake_branch import (
    Answer,
    Context,
    FakeBranch,
    abort_with,
    accept,
    fake_branch,
    hang,
    one_after_the_other,
    refuse_with,
)

from bankbook.client import (
    AccountId,
    Bank,
    BankbookError,
    BranchUnreachableError,
    Deposit,
    HoldTimeoutError,
    InsufficientFundsError,
    Money,
    OutcomeUnknownError,
    Receipt,
    RightsUnreachableError,
    Session,
    ShuttingDownError,
    retries,
)
from bankbook.core.outcome import Outcome
from bankbook.wire.commands import AnyRequest
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.status import Failure
from bankbook.wire.v1 import bank_pb2

LOST = abort_with(grpc.StatusCode.UNAVAILABLE)
DOWN = "127.0.0.1:1"

WRITES: list[Callable[[Session], Coroutine[object, object, object]]] = [
    lambda session: session.deposit(5),
    lambda session: session.withdraw(5),
    lambda session: session.transfer("bert", 5),
    lambda session: session.open_account(),
    lambda session: session.submit({"anna": -5, "bert": 5}),
    lambda session: session.reserve(5),
    lambda session: session.capture("1.0badcafe-17-0"),
    lambda session: session.release("1.0badcafe-17-0"),
]


def refusing(outcome: Outcome, token: bytes = b"") -> Answer:
    return refuse_with(Failure(outcome, "no", ReplyInfo(token, 1)))


@asynccontextmanager
async def bank_of(
    *answers: Answer, timeout: float = FOREVER_S
) -> AsyncIterator[tuple[Bank, list[FakeBranch]]]:
    async with AsyncExitStack() as stack:
        branches = [await stack.enter_async_context(fake_branch(answer)) for answer in answers]
        bank = await stack.enter_async_context(Bank([branch.address for branch in branches], timeout=timeout))
        yield bank, branches


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_whose_answer_was_lost_is_sent_again_with_the_same_key(
    write: Callable[[Session], Coroutine[object, object, object]],
) -> None:
    async with bank_of(one_after_the_other(LOST, LOST, accept)) as (bank, (branch,)):
        await write(bank.session("anna"))
        first, second, third = branch.keys
        assert first == second == third
        assert first.startswith("1/")


async def test_a_lost_answer_is_asked_for_at_the_next_branch_with_the_key_of_the_first() -> None:
    async with bank_of(LOST, accept) as (bank, (first, second)):
        receipt = await bank.session("anna").deposit(5)
        assert isinstance(receipt, Receipt)
        assert first.keys == second.keys
        assert first.keys[0].startswith("1/")


async def test_where_the_next_branch_does_not_know_either_the_first_is_asked_again() -> None:
    unknown = refusing(Outcome.OUTCOME_UNKNOWN)
    async with bank_of(one_after_the_other(LOST, accept), unknown) as (bank, (first, second)):
        await bank.session("anna").deposit(5)
        assert len(first.asked) == 2
        assert len({*first.keys, *second.keys}) == 1


async def test_a_branch_that_is_down_is_passed_over_and_the_session_stays_where_it_was_answered() -> None:
    async with fake_branch(accept) as branch, Bank([DOWN, branch.address]) as bank:
        session = bank.session("anna")
        for _ in range(3):
            await session.deposit(5)
        assert len(set(branch.keys)) == 3
        assert all(key.startswith("2/") for key in branch.keys), "nobody asks branch 1 about them"


@pytest.mark.parametrize(
    "outcome",
    [Outcome.SHUTTING_DOWN, Outcome.CATCHING_UP, Outcome.TOO_MANY_HELD, Outcome.STORE_UNAVAILABLE],
)
async def test_a_branch_that_cannot_serve_sends_a_session_to_the_next(outcome: Outcome) -> None:
    async with bank_of(refusing(outcome), accept) as (bank, (first, second)):
        session = bank.session("anna")
        await session.deposit(5)
        await session.balance()
        assert (len(first.asked), len(second.asked)) == (1, 2)


async def test_a_read_is_asked_elsewhere_too() -> None:
    async with bank_of(LOST, accept) as (bank, (first, second)):
        assert (await bank.session("anna").balance()).balance == 5
        assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_a_branch_that_is_named_is_the_only_one_that_is_asked() -> None:
    async with bank_of(one_after_the_other(LOST, LOST, accept), accept) as (bank, (first, second)):
        await bank.session("anna").deposit(5, branch=1)
        assert (len(first.asked), len(second.asked)) == (3, 0)
        assert len(set(first.keys)) == 1


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.INSUFFICIENT_FUNDS,
        Outcome.KEY_REUSED,
        Outcome.INVALID_TOKEN,
        Outcome.HOLD_TIMEOUT,
        Outcome.RIGHTS_UNREACHABLE,
        Outcome.BRANCH_UNREACHABLE,
        Outcome.DURABILITY_TIMEOUT,
    ],
)
async def test_what_is_refused_or_was_waited_for_in_vain_is_told_at_once(outcome: Outcome) -> None:
    async with bank_of(refusing(outcome), accept) as (bank, (first, second)):
        with pytest.raises(BankbookError) as error:
            await bank.session("anna").deposit(5)
        assert error.value.outcome is outcome
        assert (len(first.asked), len(second.asked)) == (1, 0)
        assert [error.value.key] == first.keys


async def test_a_refusal_under_the_same_key_ends_the_doubt() -> None:
    async with bank_of(LOST, refusing(Outcome.INSUFFICIENT_FUNDS)) as (bank, _):
        with pytest.raises(InsufficientFundsError):
            await bank.session("anna").withdraw(5)


async def test_whoever_is_still_in_doubt_when_the_time_is_over_gets_the_key_to_go_on_with() -> None:
    async with bank_of(one_after_the_other(LOST, refusing(Outcome.SHUTTING_DOWN)), timeout=0.3) as (
        bank,
        (branch,),
    ):
        session = bank.session("anna")
        with pytest.raises(OutcomeUnknownError) as error:
            await session.deposit(5)
        key = error.value.key
        assert len(branch.asked) > 1
        assert set(branch.keys) == {key}
        branch.answer = accept
        await session.deposit(5, key=key)
        assert set(branch.keys) == {key}


async def test_a_key_of_the_callers_own_goes_along_as_it_is() -> None:
    async with bank_of(refusing(Outcome.SHUTTING_DOWN), accept) as (bank, (first, second)):
        await bank.session("anna").deposit(5, key="2/order-17")
        assert first.keys == second.keys == ["2/order-17"]


async def test_the_last_error_is_raised_where_nothing_is_in_doubt() -> None:
    async with bank_of(refusing(Outcome.SHUTTING_DOWN), timeout=0.2) as (bank, (branch,)):
        with pytest.raises(ShuttingDownError):
            await bank.session("anna").deposit(5)
        assert len(branch.asked) > 1


async def test_without_retries_there_is_one_attempt() -> None:
    async with fake_branch(LOST) as first, fake_branch(accept) as second:
        async with Bank([first.address, second.address], retries=False) as bank:
            with pytest.raises(OutcomeUnknownError):
                await bank.session("anna").deposit(5)
            with pytest.raises(BranchUnreachableError):
                await bank.session("anna").balance()
        assert (len(first.asked), len(second.asked)) == (2, 0)


async def test_a_bank_of_which_no_branch_can_be_reached_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "CONNECT_TIMEOUT_S", 0.1)
    async with Bank([DOWN, "127.0.0.1:2"], timeout=FOREVER_S) as bank:
        with pytest.raises(BranchUnreachableError, match="could not be reached; is it running"):
            await bank.session("anna").deposit(5)


async def test_what_a_failed_attempt_taught_goes_along_with_the_next() -> None:
    async with bank_of(refusing(Outcome.SHUTTING_DOWN, b"learned"), accept) as (bank, (_, second)):
        await bank.session("anna").deposit(5)
        assert second.asked[0].session.token == b"learned"


async def test_a_refused_token_stays_the_sessions() -> None:
    bare = refuse_with(Failure(Outcome.INVALID_TOKEN, "no"))
    async with bank_of(one_after_the_other(refusing(Outcome.SHUTTING_DOWN, b"learned"), bare)) as (bank, _):
        session = bank.session("anna")
        with pytest.raises(BankbookError):
            await session.deposit(5)
        assert bytes(session.token) == b"learned"


@pytest.mark.parametrize("error", [HoldTimeoutError, RightsUnreachableError])
async def test_who_waited_in_vain_after_an_answer_was_lost_is_in_doubt(error: type[BankbookError]) -> None:
    async with bank_of(LOST, refusing(error.outcome)) as (bank, _):
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5)


async def test_closing_between_two_attempts_leaves_a_write_in_doubt() -> None:
    async with fake_branch(LOST) as branch:
        bank = Bank([branch.address], timeout=FOREVER_S)
        asked = asyncio.ensure_future(bank.session("anna").deposit(5))
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        await bank.close()
        with pytest.raises(OutcomeUnknownError):
            await asked


async def test_a_batch_that_is_answered_with_too_few_results_is_in_doubt() -> None:
    async def answer(_request: AnyRequest, _context: Context) -> bank_pb2.BatchReceipt:
        return bank_pb2.BatchReceipt(results=[bank_pb2.Result(outcome="OK")])

    async with fake_branch(answer) as branch, Bank([branch.address], retries=False) as bank:
        two = [Deposit(AccountId("anna"), Money(1))] * 2
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").batch(two)
        receipt = await bank.session("anna").batch(two[:1])
        assert [result.outcome for result in receipt.results] == [Outcome.OK]


async def test_a_branch_that_hangs_is_given_up_at_the_end_of_the_callers_time() -> None:
    async with bank_of(hang, timeout=0.1) as (bank, _):
        with pytest.raises(OutcomeUnknownError):
            await bank.session("anna").deposit(5)
