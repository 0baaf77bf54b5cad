"""Concurrent calls of one session: they travel together, and each caller is told as if alone."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from branches_in_one_loop import FOREVER_S, open_bank
from client.fake_branch import (
    Answer,
    Context,
    FakeBranch,
    abort_with,
    fake_branch,
    hang,
    one_after_the_other,
    refuse_with,
)

from bankbook.checkers import Kind, check
from bankbook.client import (
    AccountId,
    Bank,
    BankbookError,
    BranchUnreachableError,
    Deposit,
    InsufficientFundsError,
    InvalidRequestError,
    KeyReusedError,
    Money,
    OutcomeUnknownError,
    Receipt,
    RightsUnreachableError,
    SameAccountError,
    Session,
    SessionToken,
    UnknownAccountError,
    WritesLostError,
    coalescing,
    flights,
)
from bankbook.client.attempts import ClosedError
from bankbook.client.flights import SharedKey
from bankbook.core.bounds import BATCH_COMMANDS_MAX
from bankbook.core.commands import Batch
from bankbook.core.outcome import Outcome
from bankbook.history.file import read_history
from bankbook.history.record import Operation
from bankbook.wire.commands import AnyRequest
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.status import Failure
from bankbook.wire.v1 import bank_pb2

LOST = abort_with(grpc.StatusCode.UNAVAILABLE)


async def count_up(request: AnyRequest, _context: Context) -> Any:
    """Carry everything out; a movement's balance is its amount."""
    info = bank_pb2.ReplyInfo(branch=1, token=b"knows more")
    if not isinstance(request, bank_pb2.SubmitBatchRequest):
        return bank_pb2.Receipt(balance=getattr(request, "amount", 0), info=info)
    amounts = list(request.moves.amounts)
    moves = bank_pb2.MoveResults(balances=amounts, available=amounts)
    entry = bank_pb2.EntryId(origin=bank_pb2.Origin(branch=1, incarnation=1), seq=7)
    return bank_pb2.BatchReceipt(moves=moves, entry=entry, info=info)


class Gate:
    """Lets a fake branch answer when the test says so."""

    def __init__(self, answer: Answer = count_up) -> None:
        self.is_open = asyncio.Event()
        self._answer = answer

    async def answer(self, request: AnyRequest, context: Context) -> Any:
        await self.is_open.wait()
        return await self._answer(request, context)


async def until_asked(branch: FakeBranch, times: int) -> None:
    async with asyncio.timeout(FOREVER_S):
        while len(branch.asked) < times:
            branch.has_been_asked.clear()
            await branch.has_been_asked.wait()


def amounts(request: AnyRequest) -> list[int]:
    """Return what a request moves, in its order."""
    if isinstance(request, bank_pb2.SubmitBatchRequest):
        return list(request.moves.amounts)
    assert isinstance(request, bank_pb2.DepositRequest)
    return [request.amount]


def start(*calls: Coroutine[object, object, Receipt]) -> list["asyncio.Task[Receipt]"]:
    return [asyncio.ensure_future(call) for call in calls]


async def connected(bank: Bank, branch: FakeBranch) -> Session:
    """Return a session whose requests arrive in the order in which they are sent: there is a connection."""
    answer, branch.answer = branch.answer, count_up
    session = bank.session("anna")
    await session.balance()
    branch.answer = answer
    branch.asked.clear()
    session._sender.token = SessionToken()
    return session


async def failure_of(call: "asyncio.Task[Receipt]") -> BankbookError:
    with pytest.raises(BankbookError) as error:
        await call
    return error.value


def deposits(session: Session, *numbers: int, **manner: Any) -> list["asyncio.Task[Receipt]"]:
    return start(*(session.deposit(number, **manner) for number in numbers))


# Which calls go together.


async def test_a_call_by_itself_goes_out_as_it_always_did() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        for amount in (1, 2, 3):
            assert (await session.deposit(amount)).balance == amount
    assert [type(each) for each in branch.asked] == [bank_pb2.DepositRequest] * 3
    sent = branch.asked[0].SerializeToString()
    expected = bank_pb2.DepositRequest(
        session=bank_pb2.Session(customer="anna"), account="anna", amount=1, key=branch.keys[0]
    )
    expected.freshness.session.SetInParent()
    assert sent == expected.SerializeToString()


async def test_what_is_asked_for_while_one_is_under_way_goes_at_once_and_together() -> None:
    gate = Gate()
    async with fake_branch(gate.answer) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        first = deposits(session, 1)
        await until_asked(branch, 1)
        burst = deposits(session, 2, 3, 4)
        await until_asked(branch, 2)
        later = deposits(session, 5, 6)
        last = deposits(session, 7)
        gate.is_open.set()
        receipts = await asyncio.gather(*first, *burst, *later, *last)
    assert [amounts(each) for each in branch.asked] == [[1], [2, 3, 4], [5, 6, 7]]
    assert [receipt.balance for receipt in receipts] == [1, 2, 3, 4, 5, 6, 7]
    assert [receipt.entry is None for receipt in receipts] == [True, *[False] * 6]
    assert len(set(branch.keys)) == 3
    assert all(each.at_hand for each in branch.asked if isinstance(each, bank_pb2.SubmitBatchRequest))


async def test_a_burst_is_one_request_and_a_held_call_keeps_nobody_waiting() -> None:
    gate = Gate()
    held_then_quick = one_after_the_other(gate.answer, count_up)
    async with fake_branch(held_then_quick) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        calls = deposits(session, 0)
        await until_asked(branch, 1)
        await asyncio.gather(*deposits(session, *range(99)))
        await asyncio.gather(*deposits(session, *range(5)))
        assert not calls[0].done()
        gate.is_open.set()
        await calls[0]
    assert [len(amounts(each)) for each in branch.asked] == [1, 99, 5]


async def test_movements_of_every_kind_go_together_each_as_it_was_asked_for() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        await asyncio.gather(
            session.deposit(1),
            session.deposit(2, memo="rent"),
            session.withdraw(3, account="bert"),
            session.transfer("carl", 4),
        )
    (request,) = branch.asked
    assert isinstance(request, bank_pb2.SubmitBatchRequest)
    moves = request.moves
    assert list(moves.accounts) == ["anna", "bert", "carl"]
    assert (list(moves.sources), list(moves.destinations)) == ([0, 0, 2, 1], [1, 1, 0, 3])
    assert (list(moves.amounts), list(moves.memos)) == ([1, 2, 3, 4], ["", "rent", "", ""])


async def test_whoever_asks_for_anything_of_their_own_goes_by_themselves() -> None:
    async with (
        fake_branch(count_up) as branch,
        fake_branch(count_up) as other,
        Bank([branch.address, other.address]) as bank,
    ):
        session = bank.session("anna")
        await asyncio.gather(
            session.deposit(1, branch=1),
            session.deposit(2, branch=1, key="mine"),
            session.deposit(3, branch=1, durable=1),
            session.deposit(4, branch=2),
            session.deposit(5, branch=1, timeout=FOREVER_S),
            bank.session("anna").deposit(6, branch=1),
        )
    assert sorted(amount for each in branch.asked for amount in amounts(each)) == [1, 2, 3, 5, 6]
    assert {type(each) for each in (*branch.asked, *other.asked)} == {bank_pb2.DepositRequest}


async def test_more_than_a_batch_can_have_goes_as_several_in_order() -> None:
    many = BATCH_COMMANDS_MAX + 10
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        receipts = await asyncio.gather(*(session.deposit(number) for number in range(many)))
    assert [receipt.balance for receipt in receipts] == list(range(many))
    assert [len(amounts(each)) for each in branch.asked] == [BATCH_COMMANDS_MAX, 10]


async def test_a_batch_has_no_more_than_an_entry_can_have() -> None:
    memo = "\N{EURO SIGN}" * 140
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        await asyncio.gather(*(session.deposit(number, memo=memo) for number in range(6_000)))
    sent = [amount for each in branch.asked for amount in amounts(each)]
    assert sent == list(range(6_000))
    assert len(branch.asked) > 2


async def test_who_comes_when_enough_have_gathered_waits_and_is_served_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescing, "GATHERED_MAX", 3)
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        receipts = await asyncio.gather(*deposits(session, *range(20)))
    assert [receipt.balance for receipt in receipts] == list(range(20))
    assert [amount for each in branch.asked for amount in amounts(each)] == list(range(20))
    assert max(len(amounts(each)) for each in branch.asked) == 3


async def test_lanes_that_nobody_uses_are_not_kept() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        for number in range(5 * coalescing.LANES_KEPT):
            await session.deposit(1, timeout=FOREVER_S + number)
        assert len(session._coalescer._lanes) <= coalescing.LANES_KEPT


# What each is told.


async def test_each_is_told_their_own_refusal_in_the_words_of_a_call_by_itself() -> None:
    async with open_bank(1, opening_balance=None) as bank:
        session = bank.client().session("anna")
        await session.open_account(currency="EUR")
        calls: list[Callable[[], Coroutine[object, object, Receipt]]] = [
            lambda: session.deposit(10),
            lambda: session.deposit(1, account="nobody"),
            lambda: session.transfer("anna", 1),
            lambda: session.withdraw(1000),
            lambda: session.deposit(5),
        ]
        ended = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        by_themselves = [await asyncio.gather(call(), return_exceptions=True) for call in calls]
    kinds = [Receipt, UnknownAccountError, SameAccountError, InsufficientFundsError, Receipt]
    assert [type(each) for each in ended] == kinds
    for together, (alone,) in zip(ended, by_themselves, strict=True):
        assert type(together) is type(alone)
        if isinstance(together, Receipt):
            assert isinstance(alone, Receipt)
            assert together.currency == alone.currency == "EUR"
            assert together.branch == 1
    assert str(ended[1]) == str(by_themselves[1][0])
    assert str(ended[2]) == str(by_themselves[2][0])
    short = ended[3]
    assert isinstance(short, InsufficientFundsError)
    assert (short.balance, short.available) == (15, 15)


async def test_what_is_malformed_is_said_at_once_and_harms_no_other() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        first, wrong, last = await asyncio.gather(*deposits(session, 1, -1, 2), return_exceptions=True)
    assert isinstance(wrong, InvalidRequestError)
    assert isinstance(first, Receipt)
    assert isinstance(last, Receipt)
    assert [amounts(each) for each in branch.asked] == [[1, 2]]


async def test_a_withdrawal_that_lacks_rights_waits_for_them_by_itself() -> None:
    async with open_bank(2, opening_balance=100) as bank:
        session = bank.client().session("anna")
        receipts = await asyncio.gather(
            session.deposit(1, account="bert", branch=1),
            session.withdraw(80, branch=1),
            session.deposit(5, account="bert", branch=1),
        )
        assert receipts[1].balance == 20
        assert receipts[1].entry != receipts[2].entry
        assert [each.balance for each in (receipts[0], receipts[2])] == [101, 106]
        assert receipts[2].held_us == 0


async def test_a_withdrawal_whose_rights_cannot_be_had_holds_up_nobody() -> None:
    async with open_bank(2, opening_balance=100, joined=False) as bank:
        session = bank.client().session("anna")
        await session.deposit(1, account="carl", branch=1)
        calls = start(
            session.deposit(1, account="bert", branch=1),
            session.withdraw(80, branch=1),
            session.deposit(5, account="bert", branch=1),
        )
        assert (await calls[2]).balance == 106
        await bank.until_held(1, 1)
        assert (await asyncio.gather(*deposits(session, 1, 2, 3, account="bert", branch=1)))[2].balance == 112
        assert not calls[1].done()
        await bank.join(1, 2)
        await bank.join(2, 1)
        assert (await calls[1]).balance == 20


async def test_who_waits_for_room_to_be_sent_again_is_told_when_the_time_is_over() -> None:
    async def lack_rights(request: AnyRequest, context: Context) -> Any:
        if not isinstance(request, bank_pb2.SubmitBatchRequest):
            return await hang(request, context)
        short = bank_pb2.Result(outcome=Outcome.RIGHTS_UNREACHABLE.name)
        return bank_pb2.BatchReceipt(
            results=[short] * len(request.moves.amounts), info=bank_pb2.ReplyInfo(branch=1)
        )

    async with fake_branch(lack_rights) as branch, Bank([branch.address], timeout=0.3) as bank:
        session = await connected(bank, branch)
        session._sender.under_way = asyncio.Semaphore(1)
        ended = await asyncio.gather(*(session.withdraw(n) for n in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in ended] == [OutcomeUnknownError, *[RightsUnreachableError] * 2]
    assert [type(each) for each in branch.asked] == [bank_pb2.SubmitBatchRequest, bank_pb2.WithdrawRequest]


async def test_the_session_knows_what_its_caller_was_told() -> None:
    async with open_bank(2, joined=False) as bank:
        session = bank.client().session("anna")

        async def deposit() -> str:
            await session.deposit(1, branch=1)
            return str(session.token)

        tokens = await asyncio.gather(*(deposit() for _ in range(50)))
        assert all(tokens)
        query = asyncio.ensure_future(session.balance(branch=2))
        await bank.until_held(2, 1)
        await bank.join(2, 1)
        assert (await query).balance == 50


async def test_a_refusal_of_the_whole_is_told_to_each_of_them() -> None:
    refused = refuse_with(Failure(Outcome.WRITES_LOST, "gone", ReplyInfo(b"", 1)))
    async with fake_branch(refused) as branch, Bank([branch.address]) as bank:
        ended = await asyncio.gather(*deposits(bank.session("anna"), 1, 2, 3), return_exceptions=True)
    assert [type(each) for each in ended] == [WritesLostError] * 3
    assert ended[1] is not ended[2]
    assert str(ended[1]).startswith("gone.")


# Answers that get lost.


async def test_a_batch_whose_answer_was_lost_is_sent_again_with_the_same_key() -> None:
    answers = one_after_the_other(LOST, LOST, count_up)
    async with fake_branch(answers) as branch, Bank([branch.address]) as bank:
        receipts = await asyncio.gather(*deposits(bank.session("anna"), 1, 2, 3))
    assert [receipt.balance for receipt in receipts] == [1, 2, 3]
    assert [amounts(each) for each in branch.asked] == [[1, 2, 3]] * 3
    assert len(set(branch.keys)) == 1


async def test_while_a_batch_is_in_doubt_the_next_one_goes() -> None:
    gate = Gate()
    answers = one_after_the_other(LOST, gate.answer, count_up)
    async with fake_branch(answers) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        calls = deposits(session, 1, 2, 3)
        await until_asked(branch, 2)
        assert (await deposits(session, 4)[0]).balance == 4
        await asyncio.gather(*deposits(session, 5, 6, 7))
        assert not calls[1].done()
        gate.is_open.set()
        await asyncio.gather(*calls)
    assert [amounts(each) for each in branch.asked] == [[1, 2, 3], [1, 2, 3], [4], [5, 6, 7]]


async def test_a_branch_that_dies_in_between_loses_nothing_and_doubles_nothing() -> None:
    async with open_bank(2) as bank:
        session = bank.client().session("anna")
        calls = deposits(session, *([1] * 500))
        await asyncio.sleep(0)
        await bank.stop(1)
        await bank.start(1)
        await bank.join_all()
        await asyncio.gather(*calls)
        assert (await session.balance()).balance == 500


async def in_doubt(branch: FakeBranch, session: Session) -> list[BankbookError]:
    """Ask for 2 and 3 at once; the answer is lost."""
    branch.answer = LOST
    calls = deposits(session, 2, 3)
    return [await failure_of(call) for call in calls]


async def test_who_is_in_doubt_gets_a_key_that_tells_what_became_of_their_own_call() -> None:
    async with fake_branch(LOST) as branch, Bank([branch.address], retries=False) as bank:
        session = await connected(bank, branch)
        errors = await in_doubt(branch, session)
        assert {type(each) for each in errors} == {OutcomeUnknownError}
        assert errors[0].key != errors[1].key
        branch.answer = count_up
        for amount, error in zip((2, 3), errors, strict=True):
            assert (await session.deposit(amount, key=error.key)).balance == amount
            assert (await session.deposit(amount, key=error.key)).balance == amount
    # Whoever asks first asks for the whole batch, and nobody asks for it once more.
    assert [amounts(each) for each in branch.asked] == [[2, 3], [2, 3]]
    assert branch.keys[0] == branch.keys[1]


async def test_a_callers_own_key_is_never_taken_for_one_of_a_call_that_went_together() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        with pytest.raises(InvalidRequestError, match="order#17") as error:
            await bank.session("anna").deposit(2, key="order#17")
        assert "together" not in str(error.value)
        assert not branch.asked


async def test_who_is_told_again_what_is_known_learns_what_the_batch_taught() -> None:
    async with fake_branch(LOST) as branch, Bank([branch.address], retries=False) as bank:
        session = await connected(bank, branch)
        errors = await in_doubt(branch, session)
        branch.answer = count_up
        await session.deposit(2, key=errors[0].key)
        other = bank.session("anna")
        await other.deposit(3, key=errors[1].key)
        assert other.token == session.token != SessionToken()
    assert len(branch.asked) == 2


async def test_the_key_of_a_call_in_doubt_is_good_for_that_call_only() -> None:
    async with fake_branch(LOST) as branch, Bank([branch.address], retries=False) as bank:
        session = await connected(bank, branch)
        errors = await in_doubt(branch, session)
        asked = len(branch.asked)
        with pytest.raises(KeyReusedError):
            await session.deposit(3, key=errors[0].key)
        with pytest.raises(KeyReusedError):
            await session.submit({"anna": -2, "bert": 2}, key=errors[0].key)
        with pytest.raises(KeyReusedError):
            await bank.session("bert", account="anna").deposit(2, key=errors[0].key)
        with pytest.raises(InvalidRequestError, match="went together with others"):
            await session.deposit(2, key=str(errors[0].key)[:])
        assert len(branch.asked) == asked


async def test_what_certainly_did_not_happen_is_sent_by_itself_when_it_is_asked_for_again() -> None:
    async with fake_branch(count_up) as branch, Bank([branch.address], retries=False) as bank:
        session = await connected(bank, branch)
        refused = refuse_with(Failure(Outcome.STORE_UNAVAILABLE, "full", ReplyInfo(b"", 1)))
        branch.answer = refused
        calls = deposits(session, 2, 3)
        errors = [await failure_of(call) for call in calls]
        branch.answer = count_up
        for _ in range(2):
            await session.deposit(2, key=errors[0].key)
    assert [amounts(each) for each in branch.asked] == [[2, 3], [2], [2]]
    assert branch.keys[1] == branch.keys[2] != branch.keys[0]


async def test_who_asks_again_while_the_batch_is_under_way_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flights, "GRACE_S", 0.01)
    gate = Gate()
    answers = one_after_the_other(count_up, gate.answer)
    async with fake_branch(answers) as branch, Bank([branch.address]) as bank:
        session = bank.session("anna")
        loop = asyncio.get_running_loop()
        await session.deposit(1)
        lane = session._coalescer._lanes[None, None]
        # One whose time is over long before the other's: as if it had gathered for long.
        early = flights.Call(lane_command(2), loop.time() + 0.05, loop.create_future())
        late = flights.Call(lane_command(3), loop.time() + FOREVER_S, loop.create_future())
        lane._gathered = {early: None, late: None}
        lane._launch()
        with pytest.raises(OutcomeUnknownError, match="no answer in this call's time") as error:
            await early.answer
        again = asyncio.ensure_future(session.deposit(2, key=error.value.key, timeout=FOREVER_S))
        with pytest.raises(OutcomeUnknownError):
            await session.deposit(2, key=error.value.key, timeout=0.05)
        gate.is_open.set()
        told = await late.answer
        assert isinstance(told, Receipt)
        assert (await again).balance == 2
    assert [amounts(each) for each in branch.asked] == [[1], [2, 3]]


def lane_command(amount: int) -> Deposit:
    return Deposit(AccountId("anna"), Money(amount))


# The end of time, of interest, and of the bank.


async def test_a_batch_that_is_never_answered_is_in_doubt_for_each_of_its_callers() -> None:
    async with fake_branch(hang) as branch, Bank([branch.address], timeout=0.2) as bank:
        ended = await asyncio.gather(
            *deposits(await connected(bank, branch), 1, 2, 3), return_exceptions=True
        )
    assert [type(each) for each in ended] == [OutcomeUnknownError] * 3


async def test_a_call_whose_time_is_over_before_it_was_sent_has_certainly_changed_nothing() -> None:
    async with fake_branch(hang) as branch, Bank([branch.address], timeout=0.2) as bank:
        session = await connected(bank, branch)
        first = deposits(session, 1, 2)
        await until_asked(branch, 1)
        await asyncio.sleep(0)
        alone = deposits(session, 9)
        await until_asked(branch, 2)
        lane = session._coalescer._lanes[None, None]
        lane._manner = lane._manner._replace(timeout=0.05)
        (waiting,) = deposits(session, 3)
        with pytest.raises(BranchUnreachableError, match="so this one was not sent"):
            await waiting
        await asyncio.gather(*first, *alone, return_exceptions=True)
    assert [amounts(each) for each in branch.asked] == [[1, 2], [9]]


async def test_who_is_cancelled_while_gathering_is_not_sent() -> None:
    gate = Gate()
    async with fake_branch(gate.answer) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        first = deposits(session, 1, 2)
        await until_asked(branch, 1)
        first += deposits(session, 9)
        await until_asked(branch, 2)
        three, four, five = deposits(session, 3, 4, 5)
        await asyncio.sleep(0)
        four.cancel()
        gate.is_open.set()
        await asyncio.gather(*first, three, five)
        assert four.cancelled()
    assert [amounts(each) for each in branch.asked] == [[1, 2], [9], [3, 5]]


async def test_who_is_cancelled_on_the_way_takes_nobody_along() -> None:
    gate = Gate()
    async with fake_branch(gate.answer) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        one, two, three = deposits(session, 1, 2, 3)
        await until_asked(branch, 1)
        two.cancel()
        gate.is_open.set()
        assert (await three).balance == 3
        assert (await one).balance == 1
        assert two.cancelled()
    assert [amounts(each) for each in branch.asked] == [[1, 2, 3]]


async def test_a_batch_that_nobody_waits_for_any_more_is_given_up() -> None:
    gone = asyncio.Event()

    async def note_the_end(_request: AnyRequest, _context: Context) -> Any:
        try:
            await asyncio.Future()
        finally:
            gone.set()

    async with fake_branch(note_the_end) as branch, Bank([branch.address]) as bank:
        calls = deposits(bank.session("anna"), 1, 2, 3)
        await until_asked(branch, 1)
        for call in calls:
            call.cancel()
        await asyncio.wait_for(gone.wait(), FOREVER_S)


async def test_closing_the_bank_tells_all_callers() -> None:
    async with fake_branch(hang) as branch:
        bank = Bank([branch.address])
        session = await connected(bank, branch)
        under_way = deposits(session, 1, 2, 3)
        await until_asked(branch, 1)
        under_way += deposits(session, 9)
        await until_asked(branch, 2)
        gathering = deposits(session, 4, 5)
        await asyncio.sleep(0)
        await bank.close()
        ended = await asyncio.gather(*under_way, *gathering, return_exceptions=True)
    assert [type(each) for each in ended[:4]] == [OutcomeUnknownError] * 4
    assert all(isinstance(each, RuntimeError) and "closed" in str(each) for each in ended[4:])


@pytest.mark.parametrize("error", [ClosedError(), OSError(28, "no space left", "history.jsonl")])
async def test_each_caller_is_told_with_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whoever raises an error adds to its traceback, and may add notes: it must not be another one's, too."""

    async def fail(*_: object) -> Any:
        raise error

    async with fake_branch(count_up) as branch, Bank([branch.address]) as bank:
        session = await connected(bank, branch)
        monkeypatch.setattr(session._sender, "ask", fail)
        ended = await asyncio.gather(*deposits(session, 1, 2, 3), return_exceptions=True)
    assert [type(each) for each in ended] == [type(error)] * 3
    assert [str(each) for each in ended] == [str(error)] * 3
    assert len({id(each) for each in ended}) == 3
    assert all(isinstance(each, Exception) and each.__cause__ is error for each in ended)


# On record.


async def test_the_history_has_what_went_together_as_one_operation_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    opening = 1 << 40
    async with (
        open_bank(2, opening_balance=opening) as running,
        Bank(running.addresses, history=path) as bank,
    ):
        anna, bert = bank.session("anna"), bank.session("bert")
        # Of every sum it can be told which movements are in it.
        unique = (1 << bit for bit in count())
        for _ in range(4):
            ended = await asyncio.gather(
                *(anna.deposit(next(unique), branch=1) for _ in range(4)),
                *(bert.transfer("anna", next(unique), branch=2) for _ in range(3)),
                anna.withdraw(next(unique), branch=1),
                anna.withdraw(opening * 4, branch=1),
                anna.balance(branch=2),
                return_exceptions=True,
            )
            kinds = [type(each) for each in ended]
            assert kinds == [*[Receipt] * 8, InsufficientFundsError, Receipt]
        assert bank.recorder is not None
        balances = {each: (await anna.balance(account=each)).balance for each in ("anna", "bert")}
        for branch in bank.branches:
            bank.recorder.final(branch, balances)
    history = read_history(path)
    report = check(history)
    assert report.kind is Kind.PASS, report.in_words()
    operations = [each for each in read_history(path).items if isinstance(each, Operation)]
    assert any(isinstance(each.command, Batch) for each in operations)
    keys = [each.key for each in operations if each.key is not None]
    assert len(keys) == len(set(keys))
    assert not any(isinstance(each, SharedKey) for each in keys)
