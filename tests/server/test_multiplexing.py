"""Streams of calls: by themselves, and as any gRPC client sees them."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, open_bank, settle
from google.rpc.status_pb2 import Status

from bankbook.core.outcome import Outcome
from bankbook.server import handler, multiplexing
from bankbook.server.multiplexing import Multiplexer
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.multiplexing import encode_call
from bankbook.wire.replies import AnyReceipt
from bankbook.wire.status import decode_failure
from bankbook.wire.v1 import bank_pb2

Call = bank_pb2.Calls.Call
Calls = bank_pb2.Calls


class Client:
    """One end of a stream, of which the multiplexer has the other; calls are carried out when it says so."""

    def __init__(self, calls_max: int = 100) -> None:
        self.began: list[int] = []
        self.gone: list[int] = []
        self.told: list[list[int]] = []
        self.refusals: dict[int, Status] = {}
        self.is_gone = False
        self.multiplexer = Multiplexer(self._carry_out, calls_max)
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self._free = asyncio.Event()
        self._until = 0
        self._said: asyncio.Queue[Calls | None] = asyncio.Queue()
        self.serving = asyncio.create_task(self.multiplexer.serve(self.calls(), self.write))

    async def calls(self) -> AsyncIterator[Calls]:
        while (calls := await self._said.get()) is not None:
            yield calls

    async def write(self, answers: bank_pb2.Answers) -> None:
        await self.is_reading.wait()
        if self.is_gone:
            raise grpc.aio.UsageError("RPC already finished")
        self.refusals |= {answer.number: answer.refusal for answer in answers.answers}
        self.told.append([answer.number for answer in answers.answers])

    async def _carry_out(self, call: Call) -> AnyReceipt | Status:
        self.began.append(call.number)
        try:
            await self._free.wait()
            if call.number > self._until:
                await asyncio.Future()
        except asyncio.CancelledError:
            self.gone.append(call.number)
            raise
        return bank_pb2.Receipt(balance=call.number)

    def say(self, numbers: Iterable[int], cancelled: Iterable[int] = ()) -> None:
        self._said.put_nowait(Calls(calls=[Call(number=number) for number in numbers], cancelled=cancelled))

    def hang_up(self) -> None:
        self._said.put_nowait(None)

    def carry_out(self, until: int = 1_000) -> None:
        """Let all be carried out that is asked, and will be, up to a number."""
        self._until = until
        self._free.set()

    @property
    def answered(self) -> list[int]:
        return [number for numbers in self.told for number in numbers]


async def test_what_is_answered_at_the_same_time_goes_back_together() -> None:
    client = Client()
    client.say([1, 2])
    client.say([3])
    await settle()
    assert client.began == [1, 2, 3]
    client.carry_out()
    client.hang_up()
    await client.serving
    assert client.told == [[1, 2, 3]]


async def test_who_hangs_up_is_answered_all_that_was_asked() -> None:
    client = Client()
    client.say([1, 2])
    client.hang_up()
    await settle()
    assert not client.serving.done()
    client.carry_out()
    await client.serving
    assert client.answered == [1, 2]


async def test_a_call_that_is_cancelled_is_given_up_and_not_answered() -> None:
    client = Client()
    client.say([1, 2])
    await settle()
    client.say([3], cancelled=[2, 3, 77])  # 3 has not begun yet; there is no 77
    await settle()
    assert (client.began, client.gone) == ([1, 2], [2])
    client.say([4, 5])
    client.carry_out()
    client.hang_up()
    await client.serving
    assert sorted(client.answered) == [1, 4, 5]


async def test_who_asks_for_more_than_so_many_at_a_time_is_refused_at_once() -> None:
    client = Client(calls_max=2)
    client.say([1, 2, 3])
    await settle()
    assert (client.began, client.answered) == ([1, 2], [3])
    failure = decode_failure(client.refusals[3])
    assert failure is not None
    assert failure.outcome is Outcome.TOO_MANY_HELD
    client.say([], cancelled=[1])  # which is heard
    client.say([4])
    client.carry_out()
    client.hang_up()
    await client.serving
    assert sorted(client.answered) == [2, 3, 4]


async def test_from_a_client_who_does_not_read_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplexing, "_UNWRITTEN_MAX", 2)
    client = Client()
    client.is_reading.clear()
    client.carry_out()
    for number in range(1, 8):
        client.say([number])
        await settle()
    assert client.began == [1, 2, 3, 4]  # 1 is being written, and 4 was read when there was one more
    client.is_reading.set()
    client.hang_up()
    await client.serving
    assert client.answered == [1, 2, 3, 4, 5, 6, 7]


async def test_a_client_who_is_gone_keeps_nothing_going() -> None:
    client = Client()
    client.say([1, 2])
    await settle()
    client.is_gone = True
    client.carry_out(until=1)
    await asyncio.wait_for(client.serving, FOREVER_S)
    assert (client.began, client.gone, client.answered) == ([1, 2], [2], [])


async def test_two_calls_of_one_name_end_the_stream_once_the_others_are_answered() -> None:
    client = Client()
    client.say([1, 2, 1])
    client.carry_out()
    with pytest.raises(MessageDamagedError, match="number 1 is under way already"):
        await client.serving
    assert client.answered == [1, 2]


async def test_a_branch_that_stops_answers_what_it_has_read_and_reads_no_further() -> None:
    client = Client()
    client.say([1])
    await settle()
    client.multiplexer.close()
    client.say([2])
    await settle()
    client.carry_out()
    await client.serving
    assert (client.began, client.answered) == ([1], [1])
    await client.multiplexer.serve(client.calls(), client.write)  # a stream that comes late
    assert client.began == [1]


async def test_with_the_stream_all_its_calls_are_given_up() -> None:
    client = Client()
    client.say([1, 2])
    await settle()
    client.serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.serving
    assert sorted(client.gone) == [1, 2]


# Over gRPC.


def deposit(number: int, amount: int, account: str = "anna") -> Call:
    session = bank_pb2.Session(customer=account)
    request = bank_pb2.DepositRequest(session=session, account=account, amount=amount)
    return encode_call(number, int(1e6 * FOREVER_S), request)


Stream = grpc.aio.StreamStreamCall[Calls, bank_pb2.Answers]


async def answers_of(stream: Stream, count: int) -> dict[int, bank_pb2.Answers.Answer]:
    """Return as many answers, by their numbers."""
    found: dict[int, bank_pb2.Answers.Answer] = {}
    while len(found) < count:
        answers = await asyncio.wait_for(stream.read(), FOREVER_S)
        assert isinstance(answers, bank_pb2.Answers), "the stream goes on"
        found |= {answer.number: answer for answer in answers.answers}
    return found


async def test_customers_of_one_stream_are_answered_each_for_itself() -> None:
    async with open_bank(1) as bank:
        stream = bank.stub(1).Multiplex(None)
        unknown = Call(number=4)
        await stream.write(Calls(calls=[deposit(1, 5), deposit(2, 7, "bert"), deposit(3, -1), unknown]))
        answers = await answers_of(stream, 4)
        assert (answers[1].receipt.balance, answers[2].receipt.balance) == (5, 7)
        assert {answer.receipt.entry.seq for answer in answers.values()} == {0, 1, 2}
        for number in (3, 4):
            failure = decode_failure(answers[number].refusal)
            assert failure is not None
            assert failure.outcome is Outcome.INVALID_REQUEST
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK


async def test_who_asks_two_at_once_under_one_number_is_told_so() -> None:
    async with open_bank(1) as bank:
        stream = bank.stub(1).Multiplex(None)
        await stream.write(Calls(calls=[deposit(1, 5), deposit(1, 5)]))
        assert (await answers_of(stream, 1))[1].receipt.balance == 5
        assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "number 1 is under way already" in await stream.details()


async def test_of_a_bug_only_its_name_in_the_log_leaves_the_branch_and_the_stream_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stumble(*_: object) -> None:
        raise ValueError("secret")

    async with open_bank(1) as bank:
        stream = bank.stub(1).Multiplex(None)
        with monkeypatch.context() as patched:
            patched.setattr(handler.Handler, "handle", stumble)
            await stream.write(Calls(calls=[deposit(1, 5)]))
            refusal = (await answers_of(stream, 1))[1].refusal
        assert refusal.code == grpc.StatusCode.INTERNAL.value[0]
        assert refusal.message.startswith("internal error; in the branch's log it is ")
        await stream.write(Calls(calls=[deposit(1, 5)]))
        assert (await answers_of(stream, 1))[1].receipt.balance == 5


async def test_a_branch_that_stops_ends_a_stream_that_rests_in_good_order() -> None:
    async with open_bank(1) as bank:
        stream = bank.stub(1).Multiplex(None)
        await stream.write(Calls(calls=[deposit(1, 5)]))
        await answers_of(stream, 1)
        await bank.stop(1)
        assert await stream.read() is grpc.aio.EOF  # type: ignore[attr-defined]
        assert await stream.code() is grpc.StatusCode.OK
