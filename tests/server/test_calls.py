"""What a caller is told of a bug of ours: that there is one, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import BankInOneLoop, open_bank
from structlog.testing import capture_logs

from bankbook.client import Bank, OutcomeUnknownError
from bankbook.core.commands import Reply, Request
from bankbook.wire.v1 import bank_pb2

INNERMOST = "what no caller should read"


@asynccontextmanager
async def bank_with_a_bug() -> AsyncIterator[BankInOneLoop]:
    async def fail(_: Request) -> Reply:
        raise ZeroDivisionError(INNERMOST)

    async with open_bank(1) as bank:
        bank.branches[1]._driver.ask = fail  # type: ignore[assignment, method-assign]
        yield bank


async def test_a_bug_is_told_to_the_log_with_its_traceback_and_to_the_caller_by_its_name_alone() -> None:
    request = bank_pb2.DepositRequest(session=bank_pb2.Session(customer="anna"), account="anna", amount=5)
    async with bank_with_a_bug() as bank:
        with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as error:
            await bank.stub(1).Deposit(request, metadata=(("x-request-id", "mine"),))
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert error.value.details() == "internal error; in the branch's log it is mine"
    assert INNERMOST not in str(error.value)
    (bug,) = [line for line in lines if line["event"] == "bug"]
    assert (bug["request"], bug["log_level"], bug["exc_info"]) == ("mine", "error", True)


async def test_a_write_that_met_a_bug_is_in_doubt() -> None:
    async with bank_with_a_bug() as bank, Bank(bank.addresses, retries=False) as client:
        with pytest.raises(OutcomeUnknownError, match="internal error") as error:
            await client.session("anna").deposit(5)
        assert INNERMOST not in str(error.value)
