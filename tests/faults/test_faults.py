"""Each fault harms those it is meant for, and nobody once it is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from faults.bank import BankOfProcesses, open_bank
from faults.faults import (
    Crash,
    FailingDisk,
    Fault,
    FullDisk,
    Hindrance,
    Kind,
    LostDisk,
    Pause,
    Reset,
)
from faults.nemesis import CUT
from faults.network import Direction, Link
from faults.proxy import Condition
from faults.small_disk import free_bytes, why_no_small_disk
from server.processes import PATIENCE_S

from bankbook.client import (
    LATEST,
    LOCAL,
    Bank,
    BankbookError,
    BranchUnreachableError,
    DurabilityTimeoutError,
    HoldTimeoutError,
    OutcomeUnknownError,
    Session,
    StoreUnavailableError,
)

# What nobody is going to answer is given up after this; what will be answered has PATIENCE_S.
_SHORT_S = 1.5


@asynccontextmanager
async def two_customers(folder: Path) -> AsyncIterator[tuple[BankOfProcesses, Session, Session]]:
    """Open a bank of two branches with an account "ada", and two customers who have used both."""
    async with (
        open_bank(2, ["ada", "bob"], folder) as bank,
        Bank(bank.addresses_from("ada"), retries=False, timeout=PATIENCE_S) as to_ada,
        Bank(bank.addresses_from("bob"), retries=False, timeout=PATIENCE_S) as to_bob,
    ):
        ada, bob = to_ada.session("ada"), to_bob.session("bob", account="ada")
        await ada.open_account(durable=1)
        await bank.until_all_hear_all()
        for session in (ada, bob):
            for branch in (1, 2):
                await session.balance(branch=branch, freshness=LATEST)
        yield bank, ada, bob


async def until_paid_in(session: Session, key: str, branch: int) -> int:
    """Pay in 5 under a key, again and again until it is known to be done; return the balance."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return int((await session.deposit(5, key=key, branch=branch, timeout=5)).balance)
            except BankbookError:
                await asyncio.sleep(0.05)


def between(*pairs: tuple[int | str, int | str]) -> tuple[Direction, ...]:
    return tuple(Direction(*pair) for pair in pairs)


async def test_branches_that_are_parted_serve_on_and_meet_again(tmp_path: Path) -> None:
    async with two_customers(tmp_path) as (bank, ada, bob):
        fault = Hindrance(Kind.PARTITION, between((1, 2), (2, 1)), CUT)
        await fault.begin(bank)
        for session, branch in ((ada, 1), (bob, 2)):
            await session.deposit(5, branch=branch)
        for session, branch in ((ada, 2), (bob, 1)):
            with pytest.raises(HoldTimeoutError):
                await session.balance(branch=branch, timeout=_SHORT_S)
        await fault.end(bank)
        for session, branch in ((ada, 2), (bob, 1)):
            assert (await session.balance(branch=branch)).balance == 10
        await bank.until_converged()


async def test_a_one_way_partition_keeps_only_one_branch_from_telling(tmp_path: Path) -> None:
    async with two_customers(tmp_path) as (bank, ada, bob):
        fault = Hindrance(Kind.ONE_WAY_PARTITION, between((1, 2)), CUT)
        await fault.begin(bank)
        await bob.deposit(5, branch=2)
        assert (await bob.balance(branch=1)).balance == 5
        await ada.deposit(6, branch=1)
        with pytest.raises(HoldTimeoutError):
            await ada.balance(branch=2, timeout=_SHORT_S)
        with pytest.raises(DurabilityTimeoutError):  # branch 2 cannot hear that branch 1 has it
            await bob.deposit(7, branch=2, durable=1, timeout=_SHORT_S)
        await fault.end(bank)
        assert (await ada.balance(branch=2)).balance == 18


async def test_a_customer_whose_answers_are_kept_back_is_in_doubt_and_nobody_else(tmp_path: Path) -> None:
    async with two_customers(tmp_path) as (bank, ada, bob):
        fault = Hindrance(Kind.CUSTOMERS_CUT_OFF, between((1, "ada")), CUT)
        await fault.begin(bank)
        with pytest.raises(OutcomeUnknownError):
            await ada.deposit(5, key="1/rent", branch=1, timeout=_SHORT_S)
        assert (await bob.balance(branch=1)).balance == 5
        assert (await ada.deposit(5, key="1/rent", branch=2)).is_replayed
        await fault.end(bank)
        assert (await ada.deposit(5, key="1/rent", branch=1)).is_replayed


async def test_a_reset_breaks_what_is_under_way_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    async with two_customers(tmp_path) as (bank, ada, bob):
        fault = Reset((Link("ada", 1), Link(2, 1)))
        await fault.begin(bank)
        with pytest.raises(BankbookError):
            await ada.balance(branch=1, timeout=_SHORT_S)
        await bob.deposit(5, branch=1)
        with pytest.raises(HoldTimeoutError):
            await bob.balance(branch=2, timeout=_SHORT_S)
        await fault.end(bank)
        assert (await bob.balance(branch=2)).balance == 5
        assert await until_paid_in(ada, "1/rent", 1) == 10


async def test_a_slow_link_is_slow_there_and_back(tmp_path: Path) -> None:
    async with two_customers(tmp_path) as (bank, ada, bob):
        clock = asyncio.get_running_loop()
        fault = Hindrance(Kind.SLOW_LINK, between(("ada", 1), (1, "ada")), Condition(delay_s=0.3))
        await fault.begin(bank)
        began_s = clock.time()
        await asyncio.gather(ada.balance(branch=1), bob.balance(branch=1))
        assert clock.time() - began_s >= 0.6
        await fault.end(bank)
        await ada.balance(branch=1)


@pytest.mark.parametrize("fault", [Pause(1), Crash(1)], ids=lambda fault: str(fault.kind))
async def test_a_branch_that_does_nothing_gives_no_answer_until_it_is_back(
    tmp_path: Path, fault: Fault
) -> None:
    async with two_customers(tmp_path) as (bank, ada, _):
        await ada.deposit(5, branch=1)
        await fault.begin(bank)
        with pytest.raises(BranchUnreachableError):
            await ada.balance(branch=1, timeout=_SHORT_S)
        await fault.end(bank)
        assert await until_paid_in(ada, "1/rent", 1) == 10
        assert (await ada.balance(branch=2)).balance == 10


async def test_a_branch_that_has_lost_its_disk_begins_a_new_life_and_is_told_of(tmp_path: Path) -> None:
    told: list[int] = []
    async with two_customers(tmp_path) as (bank, ada, _):
        await ada.deposit(5, branch=1, durable=1)
        before = (await bank.statuses())[0].origin
        fault = LostDisk(1, told.append)
        await fault.begin(bank)
        await fault.end(bank)
        await bank.until_converged()
        assert (await bank.statuses())[0].origin != before
        assert (await ada.balance(branch=1)).balance == 5
        assert told == [1]


async def until_writing_fails(session: Session) -> None:
    """Write at branch 1 until it says that it could not: it may have some room in reserve."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await session.deposit(1, memo="x" * 100, branch=1)
            except (StoreUnavailableError, OutcomeUnknownError):
                return  # a disk that fails amid a commit leaves it in doubt


@pytest.mark.parametrize("fault", [FullDisk(1), FailingDisk(1)], ids=lambda fault: str(fault.kind))
async def test_a_disk_that_takes_nothing_refuses_writes_and_the_branch_reads_on(
    tmp_path: Path, fault: Fault
) -> None:
    if fault.kind is Kind.FULL_DISK and why_no_small_disk():
        pytest.skip(why_no_small_disk())
    async with two_customers(tmp_path) as (bank, ada, bob):
        await fault.begin(bank)
        if fault.kind is Kind.FULL_DISK:
            assert free_bytes(bank.small_disks[1]) == 0
        await until_writing_fails(ada)
        balance = (await ada.balance(branch=1, freshness=LOCAL)).balance
        await bob.deposit(6, branch=2)
        await fault.end(bank)
        assert await until_paid_in(ada, "1/rent", 1) in {balance + 5, balance + 11}
        await bank.until_converged()
        assert (await bob.balance(branch=1)).balance == balance + 11
        assert bank.bugs() == []
