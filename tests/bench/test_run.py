"""Whole benches at a real bank, each as short as can be."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest
from server.processes import is_running

from bankbook.bench.bank import BankUnderTest, bank_of_its_own
from bankbook.bench.branches import Branches
from bankbook.bench.client import Assignment
from bankbook.bench.clients import Clients
from bankbook.bench.lag import LagProbe
from bankbook.bench.run import Measured, Progress, run, window_of
from bankbook.bench.settings import BenchError, Load, OwnBank, Skew, Workload
from bankbook.client import LATEST, Bank
from bankbook.core.types import BranchId

PATIENCE_S = 60.0
SHORT = Load(accounts=100, callers=6, warmup_s=0.0, operations=120)


@pytest.fixture(scope="module")
def bank() -> Iterator[BankUnderTest]:
    """A bank of three branches that runs."""
    with bank_of_its_own(OwnBank(branches=3)) as bank:
        yield bank


def nobody(_: Progress) -> None:
    """Be shown how far it is."""


def measure(bank: BankUnderTest, load: Load) -> Measured:
    (measured,) = asyncio.run(run(bank, load, nobody))
    return measured


@pytest.mark.parametrize(
    "load",
    [
        replace(SHORT, workload=Workload.DEPOSITS),
        replace(SHORT, workload=Workload.TRANSFERS),
        replace(SHORT, workload=Workload.MIXED),
        replace(SHORT, skew=Skew.ZIPF),
        replace(SHORT, skew=Skew.HOT),
        replace(SHORT, remote=1.0),
        replace(SHORT, durable=2),
        replace(SHORT, rate=200.0),
        replace(SHORT, clients=2),
        replace(SHORT, bulk=20),
        replace(SHORT, workload=Workload.DEPOSITS, bulk=20, rate=500.0, clients=2, durable=1),
    ],
    ids=str,
)
def test_every_operation_is_carried_out_and_counted_once(bank: BankUnderTest, load: Load) -> None:
    measured = measure(bank, load)
    assert measured.tally.outcomes == {"OK": 120}
    assert measured.tally.service.count == 120 // load.bulk
    assert measured.tally.unsent == 0
    assert len(measured.tally.cpu_s) == load.clients
    assert measured.settled_s is not None


def test_the_largest_batch_that_the_bank_takes_goes_through(bank: BankUnderTest) -> None:
    measured = measure(bank, replace(SHORT, bulk=8192, operations=8192, callers=1))
    assert measured.tally.outcomes == {"OK": 8192}


def test_deposits_are_on_the_accounts_at_every_branch_afterwards(bank: BankUnderTest) -> None:
    async def total_at(branch: int) -> int:
        async with Bank(bank.addresses) as customers:
            session = customers.session("auditor")
            asked = (
                session.balance(account=f"bench-{n}", branch=branch, freshness=LATEST) for n in range(100)
            )
            return sum(each.balance for each in await asyncio.gather(*asked))

    before = asyncio.run(total_at(1))
    measure(bank, replace(SHORT, workload=Workload.DEPOSITS))
    assert [asyncio.run(total_at(branch)) for branch in (1, 2, 3)] == [before + 120] * 3


def test_the_second_time_is_at_half_of_the_rate_that_came_of_the_first(bank: BankUnderTest) -> None:
    first, second = asyncio.run(run(bank, SHORT, nobody, then_at_half=True))
    assert first.load.rate is None
    assert second.load.rate == first.per_s / 2
    assert second.tally.outcomes == {"OK": 120}


def test_what_is_refused_is_counted_by_its_outcome(bank: BankUnderTest) -> None:
    tiny = replace(SHORT, workload=Workload.TRANSFERS, durable=5)  # of which there are two
    outcomes = measure(bank, tiny).tally.outcomes
    assert outcomes.total() == 120
    assert "OK" not in outcomes


def test_the_lag_is_measured_from_each_branch_to_both_others(bank: BankUnderTest) -> None:
    async def probe_until(count: int) -> LagProbe:
        async with Bank(bank.addresses) as customers:
            probe = LagProbe(customers)
            probing = asyncio.create_task(probe.run())
            async with asyncio.timeout(PATIENCE_S):
                while probe.lag.count < count:  # noqa: ASYNC110  (nobody tells)
                    await asyncio.sleep(0.01)
            probing.cancel()
            await asyncio.wait([probing])
            return probe

    probe = asyncio.run(probe_until(6))
    assert probe.failed == 0


def test_all_clients_together_make_all_the_requests_of_all_the_callers() -> None:
    for clients, operations in ((1, 1), (3, 7), (4, 100)):
        load = Load(callers=10, clients=clients, operations=operations)
        parts = [Assignment(load, {}, number) for number in range(clients)]
        assert sorted(caller for part in parts for caller in part.callers) == list(range(10))
        assert sum(part.requests_max or 0 for part in parts) == operations


def test_a_number_of_operations_that_no_bulk_divides_is_rounded_up() -> None:
    parts = [Assignment(Load(bulk=50, clients=2, operations=101), {}, number) for number in (0, 1)]
    assert [part.requests_max for part in parts] == [2, 1]


def test_a_client_that_dies_ends_the_bench_and_the_others(bank: BankUnderTest) -> None:
    load = replace(SHORT, operations=None, duration_s=3600.0, clients=2)

    async def lose_one() -> None:
        with Clients(load, bank.addresses) as clients:
            await clients.ready()
            clients.go(window_of(load, asyncio.get_running_loop().time()))
            pids.extend(clients.pids)
            os.kill(pids[0], signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                await clients.done(lambda _: None)

    pids: list[int] = []
    with pytest.raises(BenchError, match=r"client-1 .* ended before its work was done"):
        asyncio.run(lose_one())
    assert not any(is_running(pid) for pid in pids)


def test_a_branch_that_dies_ends_the_bench() -> None:
    load = replace(SHORT, operations=None, duration_s=3600.0)

    async def lose_one(bank: BankUnderTest) -> None:
        def kill_once_it_works(progress: Progress) -> None:
            if progress.operations and not bank.died():
                os.kill(bank.pids[BranchId(2)], signal.SIGKILL)

        async with asyncio.timeout(PATIENCE_S):
            await run(bank, load, kill_once_it_works)

    with (
        bank_of_its_own(OwnBank(branches=2)) as bank,
        pytest.raises(BenchError, match="branch 2 was killed by SIGKILL while it was measured"),
    ):
        asyncio.run(lose_one(bank))


def test_another_bank_at_the_same_address_is_not_measured(bank: BankUnderTest) -> None:
    with pytest.raises(BenchError, match="is branch 1 of bench, not branch 1 of ours"):
        measure(replace(bank, cluster="ours"), SHORT)


def test_a_branch_that_is_not_there_is_named() -> None:
    async def ask() -> None:
        async with Branches({BranchId(4): "127.0.0.1:1"}) as branches:
            await branches.statuses()

    with pytest.raises(BenchError, match=r"branch 4 at 127\.0\.0\.1:1 gave no answer .*; is it running\?"):
        asyncio.run(ask())


def test_nothing_of_a_bank_of_its_own_is_left() -> None:
    with bank_of_its_own(OwnBank(branches=1)) as bank:
        assert bank.disk is not None
        folder = bank.disk.folder
        assert folder.exists()
    assert not folder.exists()
