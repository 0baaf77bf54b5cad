"""The synchronous twin: the same methods with the same parameters, for programs with threads."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from branches_in_one_loop import FOREVER_S, open_bank
from client.fake_branch import fake_branch, hang

from bankbook.client import (
    LATEST,
    InsufficientFundsError,
    InvalidRequestError,
    OutcomeUnknownError,
    SessionToken,
    bank,
    session,
    statement,
    sync,
)

Result = TypeVar("Result")

# How either twin does its work; no customer calls these.
MACHINERY = {"call", "wait_for"}


async def in_a_thread(work: Callable[[], Result]) -> Result:
    """Do what a program without an event loop does, while the branches go on in this one."""
    return await asyncio.wait_for(asyncio.to_thread(work), FOREVER_S)


def public(kind: type) -> dict[str, object]:
    return {
        name: member
        for name, member in vars(kind).items()
        if not name.startswith("_") and name not in MACHINERY
    }


@pytest.mark.parametrize(("one", "twin"), [(bank.Bank, sync.Bank), (session.Session, sync.Session)])
def test_the_twins_have_the_same_methods_with_the_same_parameters(one: type, twin: type) -> None:
    assert public(one)
    assert set(public(one)) == set(public(twin))
    for name, member in public(one).items():
        other = public(twin)[name]
        assert type(member) is type(other), name
        if inspect.isfunction(member):
            assert inspect.isfunction(other)
            ours, theirs = inspect.signature(member), inspect.signature(other)
            assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
            assert named(ours.return_annotation) == named(theirs.return_annotation), name
            assert not inspect.iscoroutinefunction(other), name


def named(annotation: object) -> str:
    """A twin returns the twin of what its own twin returns: of the same name."""
    return str(getattr(annotation, "__name__", annotation))


def test_the_twins_of_a_statement_tell_the_same() -> None:
    assert set(public(sync.Statement)) == {"opening", "closing", "page_after"}
    assert set(public(statement.Statement)) == {"page_after"}, "the others are attributes"


def test_the_twins_are_made_of_the_same_arguments() -> None:
    ours, theirs = (inspect.signature(kind.__init__).parameters for kind in (bank.Bank, sync.Bank))
    assert list(ours.values()) == list(theirs.values())


async def test_every_method_does_what_its_twin_does() -> None:
    async with open_bank(2) as running:

        def visit() -> list[int]:
            with sync.Bank(running.addresses) as client:
                assert client.branches == (1, 2)
                session = client.session("anna")
                balances = [
                    session.deposit(400, branch=1).balance,
                    session.balance(branch=2).balance,
                    session.withdraw(100, branch=2).balance,
                    session.transfer("bert", 50, branch=1).balance,
                    client.session("bert").balance(freshness=LATEST).balance,
                ]
                other = client.session("anna", token=SessionToken.from_text(str(session.token)))
                other.merge(session.token)
                with pytest.raises(InsufficientFundsError):
                    other.withdraw(10**6, branch=2)
                return [*balances, other.balance(branch=2).balance]

        assert await in_a_thread(visit) == [400, 400, 300, 250, 50, 250]


async def test_an_account_is_opened_at_its_home_here_too() -> None:
    async with open_bank(2, opening_balance=None) as running:

        def visit() -> int:
            with sync.Bank(running.addresses) as client:
                session = client.session("anna")
                session.open_account(floor=-7)
                return session.withdraw(7).balance

        assert await in_a_thread(visit) == -7


async def test_several_threads_share_one_bank_and_one_session_and_lose_nothing() -> None:
    async with open_bank(2) as running:

        def visit() -> int:
            with sync.Bank(running.addresses) as client, ThreadPoolExecutor(8) as threads:
                session = client.session("anna")
                list(threads.map(lambda n: session.deposit(1, branch=1 + n % 2), range(80)))
                return session.balance(branch=1).balance

        assert await in_a_thread(visit) == 80


async def test_closing_twice_or_in_two_threads_at_once_is_harmless_and_leaves_no_thread() -> None:
    async with open_bank(1) as running:

        def visit() -> None:
            client = sync.Bank(running.addresses)
            client.session("anna").deposit(5)
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda _: client.close(), range(8)))
            client.close()
            assert client._thread.is_alive() is False

        await in_a_thread(visit)


async def test_a_session_of_a_closed_bank_says_so() -> None:
    async with open_bank(1) as running:

        def visit() -> None:
            client = sync.Bank(running.addresses)
            session = client.session("anna")
            client.close()
            with pytest.raises(RuntimeError, match="closed"):
                session.deposit(5)

        await in_a_thread(visit)


async def test_closing_while_another_thread_waits_for_an_answer_lets_it_go() -> None:
    async with fake_branch(hang) as branch:
        client = sync.Bank([branch.address])
        asked = asyncio.ensure_future(in_a_thread(lambda: client.session("anna").deposit(5)))
        await asyncio.wait_for(branch.has_been_asked.wait(), FOREVER_S)
        await in_a_thread(client.close)
        with pytest.raises(OutcomeUnknownError):
            await asked


def test_a_bank_that_cannot_be_made_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="at least one branch"):
        sync.Bank({})
    assert threading.active_count() == before


def test_a_bank_that_nobody_can_reach_is_closed_without_having_connected() -> None:
    with sync.Bank(["127.0.0.1:1"]) as client, pytest.raises(InvalidRequestError):
        client.session("anna").deposit(-1)


async def test_what_threads_ask_one_session_for_at_the_same_time_travels_together() -> None:
    def work() -> None:
        with sync.Bank(running.addresses) as client, ThreadPoolExecutor(20) as threads:
            session = client.session("anna")
            receipts = list(threads.map(session.deposit, range(1, 101)))
            assert session.balance().balance == 5050
            assert max(receipt.balance for receipt in receipts) == 5050
            assert len({receipt.entry for receipt in receipts}) < 100

    async with open_bank(1) as running:
        await in_a_thread(work)
