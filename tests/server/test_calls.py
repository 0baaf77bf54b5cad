"""What a caller is told of a bug of ours: that there is one, and no more."""

import traceback

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import BankInOneLoop, open_bank
from structlog.testing import capture_logs

from bankbook.client import Bank, OutcomeUnknownError
from bankbook.wire.v1 import bank_pb2

SECRET = "what no caller should read"


@pytest.fixture
async def bank_with_a_bug(monkeypatch: pytest.MonkeyPatch) -> object:
    async with open_bank(1) as bank:

        async def fail(*_: object) -> None:
            raise ZeroDivisionError(SECRET)

        monkeypatch.setattr(bank.branches[1]._driver, "ask", fail)
        yield bank


async def test_a_bug_is_told_to_the_log_with_its_traceback_and_to_the_caller_by_its_name_alone(
    bank_with_a_bug: BankInOneLoop,
) -> None:
    request = bank_pb2.DepositRequest(session=bank_pb2.Session(customer="anna"), account="anna", amount=5)
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as error:
        await bank_with_a_bug.stub(1).Deposit(request, metadata=(("x-request-id", "mine"),))
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert error.value.details() == "internal error; in the branch's log it is mine"
    assert SECRET not in str(error.value)
    (bug,) = [line for line in lines if line["event"] == "bug"]
    assert (bug["request"], bug["log_level"], bug["exc_info"]) == ("mine", "error", True)


async def test_a_write_that_met_a_bug_is_in_doubt(bank_with_a_bug: BankInOneLoop) -> None:
    async with Bank(bank_with_a_bug.addresses, retries=False) as client:
        with pytest.raises(OutcomeUnknownError, match="internal error"):
            await client.session("anna").deposit(5)
        text = "".join(traceback.format_exc())
        assert SECRET not in text
