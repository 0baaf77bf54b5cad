"""What all sessions of a client ask at one branch travels on one stream, where the branch has streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self, cast

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, open_bank, settle
from client.fake_branch import Context, accept, fake_branch, hang
from google.rpc.status_pb2 import Status

from bankbook.client import Bank, OutcomeUnknownError
from bankbook.client.multiplexing import CallStream, Stream, StreamEndedError
from bankbook.core.commands import Deposit
from bankbook.core.types import AccountId, Money
from bankbook.wire.commands import AnyRequest
from bankbook.wire.multiplexing import encode_told
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.v1 import bank_pb2


async def until(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), FOREVER_S)


async def test_what_many_customers_ask_at_the_same_time_goes_together_on_one_stream() -> None:
    async with fake_branch(accept) as branch, Bank([branch.address]) as bank:
        await bank.session("first").deposit(1)
        sessions = [bank.session(f"customer-{number}") for number in range(10)]
        await asyncio.gather(*(session.deposit(1) for session in sessions))
        assert len(branch.streams) == 1
        assert branch.together == [1, 10]


async def test_what_comes_of_one_call_is_told_to_its_caller_only() -> None:
    async with open_bank(1) as bank, bank.client() as client:
        customers = [client.session(f"customer-{number}") for number in range(40)]
        await asyncio.gather(*(each.deposit(number) for number, each in enumerate(customers)))
        told = await asyncio.gather(*(each.balance() for each in customers))
        assert [receipt.balance for receipt in told] == list(range(40))


async def test_a_branch_of_an_older_version_is_asked_call_by_call() -> None:
    async with (
        fake_branch(accept, has_streams=False) as branch,
        Bank([branch.address]) as bank,
    ):
        for _ in range(2):
            assert (await bank.session("anna").deposit(5)).balance == 5
        assert [request.DESCRIPTOR.name for request in branch.asked] == ["DepositRequest"] * 2
        assert branch.together == []


async def test_large_requests_and_statements_go_by_themselves_and_keep_nobody_waiting() -> None:
    async def answer(request: AnyRequest, _context: Context) -> AnyReceipt:
        if isinstance(request, bank_pb2.GetStatementRequest):
            return bank_pb2.StatementPage(info=bank_pb2.ReplyInfo(branch=1))
        assert isinstance(request, bank_pb2.SubmitBatchRequest)
        results = [bank_pb2.Result(outcome="OK", balance=1)] * len(request.moves.amounts)
        return bank_pb2.BatchReceipt(results=results, info=bank_pb2.ReplyInfo(branch=1))

    async with fake_branch(answer) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        await session.statement_page()
        deposit = Deposit(AccountId("anna"), Money(1), memo="x" * 140)
        await session.batch([deposit] * 800)
        assert len(branch.asked) == 2
        assert branch.together == []
        await session.batch([deposit])
        assert branch.together == [1]


async def test_who_waits_no_longer_tells_the_branch_so() -> None:
    gone = asyncio.Event()

    async def note_the_end(_request: AnyRequest, _context: Context) -> Any:
        try:
            await asyncio.Future()
        finally:
            gone.set()

    async with fake_branch(note_the_end) as branch, Bank([branch.address], retries=False) as bank:
        asked = asyncio.create_task(bank.session("anna").deposit(5))
        await until(branch.has_been_asked)
        asked.cancel()
        await until(gone)
        gone.clear()
        with pytest.raises(OutcomeUnknownError, match="no answer came in time"):
            await bank.session("anna").deposit(5, timeout=0.2)
        await until(gone)


async def test_calls_on_a_stream_that_ends_are_in_doubt_and_asked_again_under_the_same_key() -> None:
    async with fake_branch(hang) as branch, Bank([branch.address]) as bank:
        asked = [asyncio.create_task(bank.session(f"customer-{n}").deposit(5)) for n in range(3)]
        while len(branch.asked) < 3:
            await until(branch.has_been_asked)
            branch.has_been_asked.clear()
        first = list(branch.keys)
        branch.answer = accept
        branch.end_streams()
        assert [receipt.balance for receipt in await asyncio.gather(*asked)] == [5, 5, 5]
        assert sorted(branch.keys[3:]) == sorted(first)
        assert len(branch.streams) == 2


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED],
)
async def test_what_a_stream_ends_with_says_nothing_of_its_calls(code: grpc.StatusCode) -> None:
    async with fake_branch(accept) as branch, Bank([branch.address], retries=False) as bank:
        await bank.session("anna").deposit(5)
        branch.answer = hang
        branch.has_been_asked.clear()
        asked = asyncio.create_task(bank.session("anna").deposit(5))
        await until(branch.has_been_asked)
        branch.end_streams(code)
        with pytest.raises(OutcomeUnknownError, match=code.name):
            await asked
        assert len(branch.asked) == 2


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (bank_pb2.StatementPage(info=bank_pb2.ReplyInfo(branch=1)), "answered with a StatementPage"),
        (Status(), "with the status 0"),
        (b"\xff\xff", "no message of this protocol"),
    ],
)
async def test_an_answer_that_none_can_be_leaves_a_write_in_doubt_and_nobody_waiting(
    answer: AnyReceipt | Status | bytes, complaint: str
) -> None:
    async def tell(calls: AsyncIterator[bank_pb2.Calls], _context: Context) -> AsyncIterator[bytes]:
        async for _ in calls:
            if isinstance(answer, bytes):
                yield answer
            else:
                yield bank_pb2.Answers(answers=[encode_told(1, answer)]).SerializeToString()

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(tell, bank_pb2.Calls.FromString)
    service = grpc.method_handlers_generic_handler("bankbook.v1.Bank", {"Multiplex": handler})
    server.add_generic_rpc_handlers((service,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with Bank([address], retries=False) as bank:
            with pytest.raises(OutcomeUnknownError, match=complaint):
                await bank.session("anna").deposit(5)
    finally:
        await server.stop(None)


class BusyStream:
    """A stream to a branch that does not read."""

    def __init__(self) -> None:
        self.sent: list[bank_pb2.Calls] = []
        self.is_reading = asyncio.Event()
        self._ended: asyncio.Future[bank_pb2.Answers] = asyncio.get_running_loop().create_future()

    async def write(self, calls: bank_pb2.Calls) -> None:
        self.sent.append(calls)
        await self.is_reading.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bank_pb2.Answers:
        return await self._ended

    def cancel(self) -> None:
        self._ended.cancel()


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    stream = BusyStream()
    calls = CallStream(cast("Stream", stream))
    deadline = asyncio.get_running_loop().time() + FOREVER_S
    asked = [asyncio.create_task(calls.ask(bank_pb2.DepositRequest(amount=n), deadline)) for n in (0,)]
    await settle()
    asked += [asyncio.create_task(calls.ask(bank_pb2.DepositRequest(amount=n), deadline)) for n in (1, 2)]
    await settle()
    for each in asked[:2]:
        each.cancel()
    await asyncio.wait(asked[:2])
    stream.is_reading.set()
    await settle()
    first, second = stream.sent
    assert [call.deposit.amount for call in first.calls] == [0]
    assert [call.deposit.amount for call in second.calls] == [2]
    assert list(second.cancelled) == [1]
    await calls.close()
    with pytest.raises(StreamEndedError, match="was closed"):
        await asked[2]
    assert calls.is_over


async def test_closing_the_bank_leaves_what_is_under_way_on_a_stream_in_doubt() -> None:
    async with fake_branch(hang) as branch:
        bank = Bank([branch.address])
        asked = [asyncio.create_task(bank.session(f"customer-{n}").deposit(5)) for n in range(3)]
        await until(branch.has_been_asked)
        await bank.close()
        for each in asked:
            with pytest.raises(OutcomeUnknownError, match="closed meanwhile"):
                await each
