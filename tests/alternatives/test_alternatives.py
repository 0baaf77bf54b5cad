"""The alternatives do what their figures say: no money lost, none overdrawn, a key takes effect once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from benchmarks import etcd, packages, postgresql, redis_server
from benchmarks.cases import System
from benchmarks.transfers import (
    ACCOUNTS,
    INSUFFICIENT_FUNDS,
    OK,
    OPENING_BALANCE,
    Ledger,
    Transfer,
    new_transfers,
)

Connect = Callable[[Any], AbstractAsyncContextManager[Ledger]]


@asynccontextmanager
async def over_sql(server: postgresql.Postgres) -> AsyncIterator[Ledger]:
    async with server.connection() as connection:
        yield postgresql.SqlLedger(connection)


@asynccontextmanager
async def over_redis(server: redis_server.Redis) -> AsyncIterator[Ledger]:
    async with server.connection() as connection:
        yield redis_server.RedisLedger(connection, server.script)


def over_etcd(server: etcd.Etcd) -> AbstractAsyncContextManager[Ledger]:
    return server.ledger()


ALTERNATIVES: dict[str, tuple[System, Connect]] = {
    "postgresql": (postgresql.SYSTEM, over_sql),
    "etcd": (etcd.SYSTEM, over_etcd),
    "redis": (redis_server.SYSTEM, over_redis),
}


@contextmanager
def running(system: System, folder: Path) -> Iterator[Any]:
    if lacking := packages.missing(system.programs):
        pytest.skip(f"needs {', '.join(lacking)}, which make bench BENCH='--only {system.name}' fetches")
    with system.start(folder) as server:
        yield server


@pytest.fixture(scope="module", params=ALTERNATIVES)
def alternative(request: pytest.FixtureRequest, open_folder: Callable[[], Path]) -> Iterator[Any]:
    """A server that runs, and how to connect to it."""
    system, connect = ALTERNATIVES[request.param]
    with running(system, open_folder()) as server:
        yield server, connect


@pytest.fixture
async def ledger(alternative: Any) -> AsyncIterator[Ledger]:
    server, connect = alternative
    async with connect(server) as ledger:
        yield ledger


async def two_accounts(ledger: Ledger) -> tuple[int, int]:
    """Two accounts with as much money as at the beginning: tests share a server, in any order."""
    balances = await ledger.balances()
    first, second = [number for number, each in enumerate(balances) if each == OPENING_BALANCE][:2]
    return first, second


async def total(ledger: Ledger) -> int:
    balances = await ledger.balances()
    assert len(balances) == ACCOUNTS
    assert min(balances) >= 0
    return sum(balances)


async def test_a_transfer_moves_money_and_leaves_a_posting_at_both_accounts(ledger: Ledger) -> None:
    source, destination = await two_accounts(ledger)
    before = [len(await ledger.postings(account)) for account in (source, destination)]
    assert await ledger.transfer(Transfer(uuid4(), source, destination, 70)) == OK
    balances = await ledger.balances()
    assert (balances[source], balances[destination]) == (OPENING_BALANCE - 70, OPENING_BALANCE + 70)
    assert (await ledger.postings(source))[before[0] :] == [-70]
    assert (await ledger.postings(destination))[before[1] :] == [70]
    assert await total(ledger) == ACCOUNTS * OPENING_BALANCE


async def test_the_last_unit_can_be_moved_and_not_one_more(ledger: Ledger) -> None:
    source, destination = await two_accounts(ledger)
    before = len(await ledger.postings(source))  # money may have come and gone
    assert await ledger.transfer(Transfer(uuid4(), source, destination, OPENING_BALANCE)) == OK
    assert await ledger.transfer(Transfer(uuid4(), source, destination, 1)) == INSUFFICIENT_FUNDS
    assert (
        await ledger.transfer(Transfer(uuid4(), destination, source, OPENING_BALANCE * 3))
        == INSUFFICIENT_FUNDS
    )
    balances = await ledger.balances()
    assert (balances[source], balances[destination]) == (0, 2 * OPENING_BALANCE)
    assert (await ledger.postings(source))[before:] == [-OPENING_BALANCE]


async def test_a_key_takes_effect_once_and_tells_the_same_again(ledger: Ledger) -> None:
    source, destination = await two_accounts(ledger)
    paid, refused = (
        Transfer(uuid4(), source, destination, 5),
        Transfer(uuid4(), source, destination, 10 * OPENING_BALANCE),
    )
    for _ in range(3):
        assert await ledger.transfer(paid) == OK
        assert await ledger.transfer(refused) == INSUFFICIENT_FUNDS
        assert await ledger.transfer_all([paid]) == [OK]
    assert (await ledger.balances())[source] == OPENING_BALANCE - 5


async def test_in_bulk_money_is_kept_and_keys_that_are_known_take_effect_no_more(ledger: Ledger) -> None:
    made = new_transfers(Random(1))
    first, second = ([next(made) for _ in range(500)] for _ in range(2))
    assert await ledger.transfer_all(first) == [OK] * 500
    between = await ledger.balances()
    assert await ledger.transfer_all(first) == [OK] * 500
    assert await ledger.balances() == between
    assert await ledger.transfer_all([*first[:250], *second]) == [OK] * 750
    moved = [0] * ACCOUNTS
    for each in second:
        moved[each.source] -= each.amount
        moved[each.destination] += each.amount
    assert await ledger.balances() == [was + by for was, by in zip(between, moved, strict=True)]
    assert await total(ledger) == ACCOUNTS * OPENING_BALANCE


async def test_in_bulk_what_would_overdraw_is_refused_and_the_rest_carried_out(ledger: Ledger) -> None:
    source, destination = await two_accounts(ledger)
    asked = [
        Transfer(uuid4(), source, destination, 40),
        Transfer(uuid4(), source, destination, OPENING_BALANCE),
        Transfer(uuid4(), source, destination, 60),
    ]
    assert await ledger.transfer_all(asked) == [OK, INSUFFICIENT_FUNDS, OK]
    assert (await ledger.balances())[source] == OPENING_BALANCE - 100
    assert await total(ledger) == ACCOUNTS * OPENING_BALANCE


async def test_many_at_once_at_few_accounts_keep_the_money_and_overdraw_nothing(alternative: Any) -> None:
    server, connect = alternative

    async def pay(number: int, source: int, destination: int) -> list[str]:
        async with connect(server) as mine:
            chance = Random(number)
            pairs = [
                (source, destination) if chance.random() < 0.7 else (destination, source) for _ in range(20)
            ]
            return [await mine.transfer(Transfer(uuid4(), *pair, OPENING_BALANCE // 4)) for pair in pairs]

    async with connect(server) as ledger:
        source, destination = await two_accounts(ledger)
        told = await asyncio.gather(*(pay(number, source, destination) for number in range(4)))
        assert {outcome for each in told for outcome in each} == {OK, INSUFFICIENT_FUNDS}
        assert await total(ledger) == ACCOUNTS * OPENING_BALANCE
        balances = await ledger.balances()
        for account in (source, destination):
            assert balances[account] == OPENING_BALANCE + sum(await ledger.postings(account))


async def test_an_account_that_is_not_there_loses_no_money(ledger: Ledger) -> None:
    before = await ledger.balances()
    for asked in (
        [Transfer(uuid4(), 1, ACCOUNTS + 5)],
        [Transfer(uuid4(), 1, 2), Transfer(uuid4(), 1, ACCOUNTS + 5)],
    ):
        with pytest.raises(Exception, match="account"):
            await ledger.transfer_all(asked)
    assert await ledger.balances() == before


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_what_is_measured_passes_its_own_check_of_the_books(
    name: str, open_folder: Callable[[], Path]
) -> None:
    system, _ = ALTERNATIVES[name]
    with running(system, open_folder()) as server:
        for case in system.cases:
            if case.name != "postgresql-pgbench":  # it has tables of its own: a million rows
                assert case.measure(server, case.callers[0], 1.0).value > 0
