"""All that is asked and told is in the history, and `check` finds nothing wrong with it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from branches_in_one_loop import BankInOneLoop, open_bank
from client.fake_branch import abort_with, fake_branch, hang

from bankbook.checkers import Kind, check
from bankbook.client import (
    LATEST,
    Bank,
    BranchUnreachableError,
    Deposit,
    Guarantee,
    InsufficientFundsError,
    InvalidRequestError,
    Money,
    OutcomeUnknownError,
    Recorder,
    Reserve,
    Withdraw,
    bounded,
    sync,
)
from bankbook.core.commands import Batch, Freshness, Level, ReadBalance
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId
from bankbook.history.file import read_history
from bankbook.history.record import Fault, FaultKind, Final, Header, History, Item, Latest, Operation, Terms
from bankbook.history.writer import HistoryFile, Kept

X = AccountId("anna")


def operations(items: list[Item]) -> Iterator[Operation]:
    return (each for each in items if isinstance(each, Operation))


def kept_by(bank: Bank) -> list[Item]:
    assert bank.recorder is not None
    assert isinstance(bank.recorder.sink, Kept)
    return bank.recorder.sink.items


def recording(bank: BankInOneLoop, **named: object) -> Bank:
    """Return a client with a history in memory."""
    return Bank(bank.addresses, history=Recorder(Kept()), **named)  # type: ignore[arg-type]


async def a_day(bank: Bank) -> None:
    """Let anna and bert ask for everything there is, and tell the end."""
    assert bank.recorder is not None
    anna = bank.session("anna")
    await anna.deposit(1, branch=1, memo="rent", durable=1)
    await anna.balance(branch=2, freshness=LATEST)
    with pytest.raises(InsufficientFundsError):
        await anna.withdraw(1000, branch=2, key="2/much")
    await anna.batch([Deposit(X, Money(2)), Withdraw(X, Money(1000)), Reserve(X, Money(4))])
    held = await anna.reserve(8, to="bert", branch=1)
    assert held.reservation is not None
    await anna.capture(held.reservation, branch=2)
    await anna.transfer("bert", 16)
    await anna.submit({"anna": -32, "bert": 32})
    await anna.deposit(64, key="1/again", branch=2)
    await anna.deposit(64, key="1/again", branch=2)
    await anna.statement_page(branch=2)
    await anna.statement_page(branch=2, page_lines=2)
    await anna.statement_page(branch=2, start=datetime.fromtimestamp(1, UTC))
    bert = bank.session("bert", guarantees=Guarantee.READ_YOUR_WRITES)
    await bert.balance(freshness=bounded(0.5), branch=1)
    bank.recorder.fault(FaultKind.PARTITION, 1, other=2)
    balances = {each: (await anna.balance(account=each)).balance for each in ("anna", "bert")}
    for branch in bank.branches:
        bank.recorder.final(branch, balances)
    with pytest.raises(RuntimeError, match="the history has its end already"):
        await anna.balance()


async def recorded(path: Path) -> History:
    async with open_bank(2, opening_balance=100) as running, Bank(running.addresses, history=path) as bank:
        await a_day(bank)
    return read_history(path)


async def test_every_kind_of_operation_is_there_as_it_was_asked_and_told(tmp_path: Path) -> None:
    history = await recorded(tmp_path / "history.jsonl")
    assert history.header == Header("bank-of-tests", 2, Terms(100), latest=Latest.RECENT)
    items = list(history.items)
    found = list(operations(items))
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert all(each.return_us is not None and each.return_us >= each.call_us for each in found)
    first, second, third, fourth, *_ = found
    assert (first.command, first.durable, first.balance) == (Deposit(X, Money(1), "rent"), 1, 101)
    assert (first.session, first.customer, first.branch) == ("anna", "anna", 1)
    assert first.entry is not None
    assert first.key is not None
    assert (second.freshness, second.branch, second.balance) == (LATEST, 2, 101)
    assert (third.key, third.outcome, third.balance) == ("2/much", Outcome.INSUFFICIENT_FUNDS, 101)
    assert fourth.command == Batch((Deposit(X, Money(2)), Withdraw(X, Money(1000)), Reserve(X, Money(4))))
    assert [each.outcome.name for each in fourth.results] == ["OK", "INSUFFICIENT_FUNDS", "OK"]
    assert (fourth.results[2].balance, fourth.results[2].available) == (103, 99)
    assert fourth.results[2].reservation is not None
    assert [each.is_replayed for each in found if each.key == "1/again"] == [False, True]
    (looser,) = (each for each in found if each.session == "bert")
    assert looser.guarantees == Guarantee.READ_YOUR_WRITES
    assert looser.freshness == Freshness(Level.BOUNDED, 500_000)
    (fault,) = (each for each in items if isinstance(each, Fault))
    assert (fault.kind, fault.branch, fault.other) == (FaultKind.PARTITION, 1, 2)
    assert [each.branch for each in items if isinstance(each, Final)] == [1, 2]


async def test_statements_are_there_and_say_whether_they_are_complete(tmp_path: Path) -> None:
    history = await recorded(tmp_path / "history.jsonl")
    found = [each.statement for each in operations(list(history.items)) if each.statement is not None]
    assert [each.is_complete for each in found] == [True, False, False]
    assert [line.amount for line in found[0].lines] == [1, 2, -8, -16, -32, 64]
    assert (found[0].opening, found[0].closing) == (100, 111)
    assert found[0].lines[:2] == found[1].lines


async def test_the_history_of_a_bank_that_is_right_passes(tmp_path: Path) -> None:
    report = check(await recorded(tmp_path / "history.jsonl"))
    assert report.kind is Kind.PASS, report.in_words()
    for name in (
        "read your writes",
        "recency of LATEST",
        "exactly once",
        "convergence",
        "statement agreement",
    ):
        assert report.verdict(name).kind is Kind.PASS, name


async def test_sessions_of_one_customer_have_names_of_their_own() -> None:
    async with open_bank(1) as running, recording(running) as bank:
        for _ in range(2):
            await bank.session("anna").deposit(1)
        assert [each.session for each in operations(kept_by(bank))] == ["anna", "anna (2)"]
        assert [each.customer for each in operations(kept_by(bank))] == ["anna", "anna"]


async def test_retries_are_one_operation_from_the_first_request_to_the_last_answer() -> None:
    """The branch that is asked first is gone; the other one answers, under a key that it made its own."""
    async with open_bank(2, new=False) as running:
        await running.stop(1)
        async with Bank(running.addresses, history=Recorder(Kept(), Header("", 2, Terms()))) as bank:
            receipt = await bank.session("anna").deposit(1)
            (only,) = operations(kept_by(bank))
    assert (only.branch, receipt.branch) == (2, 2)
    assert only.key is not None
    assert only.key.startswith("2/")


async def test_a_lost_answer_is_told_with_the_key_to_ask_again_with() -> None:
    async with fake_branch(abort_with(grpc.StatusCode.UNAVAILABLE)) as branch:
        recorder = Recorder(Kept(), Header("", 1))
        async with Bank([branch.address], retries=False, history=recorder) as bank:
            with pytest.raises(OutcomeUnknownError) as raised:
                await bank.session("anna").deposit(1)
            (only,) = operations(kept_by(bank))
    assert (only.outcome, only.key) == (Outcome.OUTCOME_UNKNOWN, raised.value.key)
    assert only.return_us is not None


async def test_a_request_that_was_given_up_is_there_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(HistoryFile(path), Header("", 1))
    async with fake_branch(hang) as branch, Bank([branch.address], history=recorder) as bank:
        asking = asyncio.ensure_future(bank.session("anna").deposit(1))
        await branch.has_been_asked.wait()
        (before,) = read_history(path).items
        asking.cancel()
        await asyncio.wait([asking])
        (only,) = read_history(path).items
    assert before == only
    assert isinstance(only, Operation)
    assert (only.command, only.outcome, only.return_us) == (Deposit(X, Money(1)), None, None)
    assert only.key is not None


async def test_what_the_library_refuses_by_itself_was_asked_of_nobody() -> None:
    async with open_bank(1) as running, recording(running) as bank:
        with pytest.raises(InvalidRequestError):
            await bank.session("anna").deposit(-1)
        assert kept_by(bank) == []


async def test_a_history_of_which_nobody_tells_the_first_line_asks_nothing(tmp_path: Path) -> None:
    """A later request tries again."""
    async with open_bank(1, new=False) as running:
        addresses = dict(running.addresses)
        await running.stop(1)
        async with Bank(addresses, history=tmp_path / "h") as bank:
            session = bank.session("anna")
            with pytest.raises(BranchUnreachableError, match="a history begins with what a branch tells"):
                await session.deposit(1)
            await running.start(1)
            await session.balance()
        assert [type(each) for each in read_history(tmp_path / "h").items] == [Operation]


async def test_requests_at_once_do_not_know_each_others_answers() -> None:
    """By a clock that stands still, each would seem to have been told before the next one was asked."""
    recorder = Recorder(Kept(), Header("", 1, Terms()), lambda: 5_000)
    async with open_bank(1) as running, Bank(running.addresses, history=recorder) as bank:
        session = bank.session("anna")
        await asyncio.gather(session.deposit(1, key="by-itself-1"), session.deposit(2, key="by-itself-2"))
        await session.balance()
        told = {each.number: each for each in operations(kept_by(bank))}
    assert [told[number].call_us for number in (1, 2, 3)] == [5, 5, 5]
    assert told[1].return_us == 6
    assert told[2].return_us in {5, 6}
    assert isinstance(told[3].command, ReadBalance)


async def test_moments_are_never_rounded_towards_each_other() -> None:
    now = iter(range(1_500, 100_000, 250))
    recorder = Recorder(Kept(), Header("", 1, Terms()), lambda: next(now))
    async with open_bank(1) as running, Bank(running.addresses, history=recorder) as bank:
        await bank.session("anna").deposit(1)
        (only,) = operations(kept_by(bank))
    assert (only.call_us, only.return_us) == (1, 2)


async def test_the_synchronous_twin_records_too(tmp_path: Path) -> None:
    async with open_bank(1) as running:

        def visit() -> None:
            with sync.Bank(running.addresses, history=str(tmp_path / "h")) as bank:
                bank.session("anna").deposit(1)
                assert bank.recorder is not None
                bank.recorder.final(1, {"anna": 1})

        await asyncio.to_thread(visit)
    operation, final = read_history(tmp_path / "h").items
    assert isinstance(operation, Operation)
    assert final == Final(1, {"anna": 1})
