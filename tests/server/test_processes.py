"""Branches as real processes: started, killed, stopped, cut off and slowed down."""

import asyncio
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from server.processes import (
    HOST,
    PATIENCE_S,
    bank_of,
    configs_of,
    held_at,
    is_running,
    msg_delivery,
    processes_of_session,
    status_of,
    wait_until,
    wired_bank,
)

from bankbook.client import (
    LATEST,
    LOCAL,
    Bank,
    BranchUnreachableError,
    OutcomeUnknownError,
    RetryableError,
    Session,
    ShuttingDownError,
)
from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId, Money
from bankbook.server.config import BranchConfig, Delay
from bankbook.server.launcher import Launcher, LaunchError, run_child

TESTS = Path(__file__).parents[1]

ONE, TWO, THREE = BranchId(1), BranchId(2), BranchId(3)

KILLS = 10
# Between two kills: enough that every branch has decided some, few enough that ten rounds stay short.
ACKNOWLEDGED_BETWEEN_KILLS = 40
# A balance of so many different powers of two is within what is kept exactly.
POWERS_MAX = 52


def pids_of(launcher: Launcher) -> list[int]:
    return [launcher.pid(branch) for branch in launcher.addresses]


def delayed(configs: list[BranchConfig], delay_us: int) -> list[BranchConfig]:
    return [replace(config, delay=Delay(delay_us, delay_us)) for config in configs]


# Starting and stopping.


async def test_ten_branches_start_serve_and_stop_and_nothing_is_left(tmp_path: Path) -> None:
    with bank_of(configs_of(10, tmp_path)) as launcher:
        pids, addresses = pids_of(launcher), launcher.addresses
        assert len(set(pids)) == 10
        assert len(set(addresses.values())) == 10
        async with Bank(addresses) as bank:
            session = bank.session("ada")
            for branch in addresses:
                await session.deposit(1, branch=branch)
            assert (await session.balance(branch=1)).balance == 10
        launcher.stop()
    assert [pid for pid in pids if is_running(pid)] == []
    for address in addresses.values():
        host, _, port = address.rpartition(":")
        with socket.socket() as anybody:
            assert anybody.connect_ex((host, int(port))) != 0


async def test_however_long_a_branch_takes_to_open_its_store_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = configs_of(1, tmp_path)
    assert config.log_file is not None
    with bank_of([config]) as launcher:
        launcher.kill(ONE)
        # Who opens it to write waits for who reads: the branch does nothing until we do.
        config.log_file.unlink()
        os.mkfifo(config.log_file)
        monkeypatch.setattr("bankbook.server.launcher._MEETING_TIMEOUT_S", 0.0)
        restarting = asyncio.create_task(asyncio.to_thread(launcher.restart, ONE))
        await asyncio.wait([restarting], timeout=0.5)
        reading = os.open(config.log_file, os.O_RDONLY | os.O_NONBLOCK)
        try:
            await restarting
            async with Bank(launcher.addresses) as bank:
                await bank.session("ada").deposit(5)
        finally:
            os.close(reading)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_branch_that_is_told_to_stop_drains_and_ends_well(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    with bank_of(configs_of(2, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            await session.deposit(5, branch=1)
            os.kill(launcher.pid(ONE), signal_number)
            wait_until(lambda: ONE in launcher.ended(), "branch 1 ends")
            assert launcher.ended() == {ONE: "ended with exit status 0"}
            assert (await session.balance(branch=2)).balance == 5


async def test_a_held_request_is_told_that_the_branch_stops_and_a_second_signal_ends_it_at_once(
    tmp_path: Path,
) -> None:
    configs = [replace(config, drain_us=60_000_000) for config in configs_of(2, tmp_path)]
    async with (
        wired_bank(configs, [(2, 1)]) as (launcher, wires),
        Bank(launcher.addresses, retries=False) as bank,
    ):
        await all_serve(bank)
        wires[2, 1].cut()
        session = bank.session("ada")
        await session.deposit(5, branch=1)
        query = asyncio.create_task(session.balance(branch=2))
        await held_at(launcher.addresses[TWO], 1)
        os.kill(launcher.pid(TWO), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            while not await is_refusing(bank.session("bob")):
                pass
        assert not query.done(), "what is held may still be answered while the branch drains"
        assert is_running(launcher.pid(TWO))
        os.kill(launcher.pid(TWO), signal.SIGTERM)
        await asyncio.to_thread(wait_until, lambda: TWO in launcher.ended(), "branch 2 ends")
        assert launcher.ended() == {TWO: "was killed by SIGTERM"}
        with pytest.raises(BranchUnreachableError):
            await query


async def is_refusing(session: Session) -> bool:
    try:
        await session.balance(branch=2)
    except ShuttingDownError:
        return True
    return False


async def all_serve(bank: Bank) -> None:
    """Wait until every branch has heard that the others are as new as itself."""
    for branch in bank.branches:
        await bank.session("first").balance(branch=branch)


async def test_what_is_held_when_the_draining_time_is_over_is_refused_by_name(tmp_path: Path) -> None:
    configs = [replace(config, drain_us=300_000) for config in configs_of(2, tmp_path)]
    async with (
        wired_bank(configs, [(2, 1)]) as (launcher, wires),
        Bank(launcher.addresses, retries=False) as bank,
    ):
        await all_serve(bank)
        wires[2, 1].cut()
        session = bank.session("ada")
        await session.deposit(5, branch=1)
        query = asyncio.create_task(session.balance(branch=2))
        await held_at(launcher.addresses[TWO], 1)
        os.kill(launcher.pid(TWO), signal.SIGTERM)
        with pytest.raises(ShuttingDownError):
            await query
        await asyncio.to_thread(wait_until, lambda: TWO in launcher.ended(), "branch 2 ends")
        assert launcher.ended() == {TWO: "ended with exit status 0"}


def test_when_the_launcher_is_killed_no_branch_survives_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "server.launch_and_wait", tmp_path],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        try:
            assert program.stdout is not None
            pids = [int(pid) for pid in program.stdout.readline().split()]
            assert len(pids) == 4
            assert all(is_running(pid) for pid in pids)
        finally:
            program.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids), "every branch ends")
        wait_until(lambda: not processes_of_session(program.pid), "their helper ends too")


def test_a_taken_port_is_told_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as squatter:
        port = squatter.getsockname()[1]
        first, second, third = configs_of(3, tmp_path)
        launcher = Launcher([first, replace(second, listen=f"{HOST}:{port}"), third])
        spawned = note_children(launcher)
        with pytest.raises(LaunchError, match=f"branch 2 cannot listen at {HOST}:{port}: the port is taken"):
            launcher.start()
        assert len(spawned) == 3
        assert [pid for pid in spawned if is_running(pid)] == []


def note_children(launcher: Launcher) -> list[int]:
    """Return the list into which the pid of every process goes that this launcher will start."""
    pids: list[int] = []
    spawn = launcher._spawn

    def noting(config: BranchConfig) -> object:
        child = spawn(config)
        assert child.process.pid is not None
        pids.append(child.process.pid)
        return child

    launcher._spawn = noting  # type: ignore[method-assign,assignment]
    return pids


async def test_a_second_bank_at_the_ports_of_the_first_is_refused_and_the_first_never_notices(
    tmp_path: Path,
) -> None:
    with bank_of(configs_of(2, tmp_path / "first", cluster="first")) as first:
        async with Bank(first.addresses) as bank:
            session = bank.session("ada")
            await session.deposit(7, branch=1)
            again = [
                replace(config, listen=first.addresses[config.branch])
                for config in configs_of(2, tmp_path / "second", cluster="second")
            ]
            for _ in range(3):
                with pytest.raises(LaunchError, match="the port is taken"):
                    Launcher(again).start()
                assert (await session.balance(branch=2)).balance == 7
            assert {(await status_of(each)).cluster for each in first.addresses.values()} == {"first"}


@pytest.mark.parametrize(
    ("branch", "genesis", "complaint"),
    [
        (ONE, Genesis("other", (ONE, TWO), Money(0)), "other"),
        (TWO, Genesis("test", (ONE, TWO), Money(0)), "branch 1"),
        (ONE, Genesis("test", (ONE, TWO), Money(9)), "opening balance"),
        (ONE, Genesis("test", (ONE, TWO, THREE), Money(0)), "branches"),
    ],
    ids=["another bank", "another branch", "another opening balance", "other branches"],
)
def test_a_branch_refuses_a_store_that_is_not_its_own(
    tmp_path: Path, branch: BranchId, genesis: Genesis, complaint: str
) -> None:
    configs = configs_of(2, tmp_path)
    with bank_of(configs) as launcher:
        launcher.stop()
    launcher = Launcher([replace(configs[0], branch=branch, genesis=genesis)])
    with pytest.raises(LaunchError, match=re.escape(complaint)) as refusal:
        launcher.start()
    assert "branch-1" in str(refusal.value), "it says which store"
    assert launcher.addresses == {}


# Killed with -9 and started again.


async def test_what_was_acknowledged_just_before_kill_9_is_there_after_restart(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            customers = [bank.session(f"customer-{number}") for number in range(30)]
            await asyncio.gather(
                *(each.deposit(number + 1, branch=1) for number, each in enumerate(customers))
            )
            before = launcher.pid(ONE)
            launcher.kill(ONE)
            meanwhile = [bank.session("bob", account=f"customer-{number}") for number in range(10)]
            await asyncio.gather(*(each.deposit(100, branch=2) for each in meanwhile))
            for customer, other in zip(customers, meanwhile, strict=False):
                customer.merge(other.token)
            await asyncio.to_thread(launcher.restart, ONE)
            assert launcher.pid(ONE) != before
            for branch in (ONE, TWO, THREE):
                told = await asyncio.gather(*(each.balance(branch=branch) for each in customers))
                assert [each.balance for each in told] == [
                    number + 1 + (100 if number < 10 else 0) for number in range(30)
                ]


async def test_a_request_held_for_a_dead_branchs_entry_is_answered_once_it_is_back(tmp_path: Path) -> None:
    async with (
        wired_bank(configs_of(2, tmp_path), [(2, 1)]) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        wires[2, 1].cut()
        session = bank.session("ada")
        await session.deposit(5, branch=1)
        launcher.kill(ONE)
        query = asyncio.create_task(session.balance(branch=2))
        await held_at(launcher.addresses[TWO], 1)
        await asyncio.to_thread(launcher.restart, ONE)
        assert not query.done(), "the deposit has not travelled yet"
        wires[2, 1].mend()
        receipt = await query
        assert receipt.balance == 5
        assert receipt.info.held_us > 0
        assert [gap.origin.branch for gap in receipt.info.awaited] == [1]


async def test_kill_9_amid_concurrent_writes_loses_nothing_acknowledged_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            writers = [Writer(bank, f"writer-{number}") for number in range(6)]
            is_over = asyncio.Event()
            work = [asyncio.create_task(writer.write_until(is_over)) for writer in writers]
            try:
                for round_ in range(KILLS):
                    await acknowledged_more(writers, work)
                    branch = BranchId(1 + round_ % 3)
                    launcher.kill(branch)
                    await asyncio.to_thread(launcher.restart, branch)
                await acknowledged_more(writers, work)
            finally:
                is_over.set()
                await asyncio.gather(*work)
            for branch in launcher.addresses:
                for writer in writers:
                    await writer.check(branch)
    assert Counter(branch for writer in writers for branch in writer.branches).keys() == {1, 2, 3}


class Writer:
    """Deposits the powers of two, each once, here and there; so a balance tells which have happened."""

    def __init__(self, bank: Bank, name: str) -> None:
        self._bank = bank
        self._name = name
        self.acknowledged: set[tuple[str, int]] = set()
        self.unknown: set[tuple[str, int]] = set()
        self.branches: list[int] = []
        self._accounts: list[str] = []
        self._session = bank.session(name)

    async def write_until(self, is_over: asyncio.Event) -> None:
        number = 0
        while not is_over.is_set():
            account, power = f"{self._name}.{number // POWERS_MAX}", number % POWERS_MAX
            if account not in self._accounts:
                self._accounts.append(account)
            branch = 1 + number % 3
            number += 1
            try:
                await self._session.deposit(1 << power, account=account, branch=branch)
            except OutcomeUnknownError:
                self.unknown.add((account, power))
            except RetryableError:
                continue  # it says that nothing happened, and `check` will see
            else:
                self.acknowledged.add((account, power))
                self.branches.append(branch)

    async def check(self, branch: int) -> None:
        for account in self._accounts:
            balance = (
                await self._bank.session("auditor").balance(account=account, branch=branch, freshness=LATEST)
            ).balance
            there = {power for power in range(balance.bit_length()) if balance >> power & 1}
            acknowledged = {power for name, power in self.acknowledged if name == account}
            unknown = {power for name, power in self.unknown if name == account}
            assert acknowledged <= there, f"branch {branch} lost {acknowledged - there} of {account}"
            assert there <= acknowledged | unknown, f"branch {branch}: {account} has what never happened"


async def acknowledged_more(writers: list[Writer], work: list[asyncio.Task[None]]) -> None:
    enough = ACKNOWLEDGED_BETWEEN_KILLS + sum(len(writer.acknowledged) for writer in writers)
    async with asyncio.timeout(PATIENCE_S):
        while sum(len(writer.acknowledged) for writer in writers) < enough:
            assert not any(each.done() for each in work)
            await asyncio.sleep(0.005)


# Silent, cut off, slow.


async def test_a_frozen_branch_fails_latest_by_name_and_nothing_else(tmp_path: Path) -> None:
    with bank_of(configs_of(3, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            await session.deposit(5, branch=2)
            os.kill(launcher.pid(ONE), signal.SIGSTOP)
            try:
                with pytest.raises(BranchUnreachableError, match="branch 1") as refusal:
                    await session.balance(branch=2, freshness=LATEST, timeout=1)
                assert refusal.value.branch == 1
                await session.deposit(6, branch=3)
                assert (await session.balance(branch=2)).balance == 11
            finally:
                os.kill(launcher.pid(ONE), signal.SIGCONT)
            assert (await session.balance(branch=2, freshness=LATEST)).balance == 11
            assert (await session.balance(branch=1)).balance == 11


async def test_entries_arrive_through_a_third_branch_when_two_cannot_reach_each_other(tmp_path: Path) -> None:
    async with (
        wired_bank(configs_of(3, tmp_path), [(1, 2), (2, 1)]) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        await all_serve(bank)
        for wire in wires.values():
            wire.cut()
        session = bank.session("ada")
        for branch in (1, 2, 1, 2):
            await session.deposit(1, branch=branch)
        assert [(await session.balance(branch=branch)).balance for branch in (1, 2, 3)] == [4, 4, 4]
        wires[1, 2].mend()
        wires[2, 1].mend()
        assert (await session.balance(branch=1, freshness=LATEST)).balance == 4


@pytest.mark.parametrize("protocol", ["token", "MsgDelivery"])
async def test_a_third_branch_never_shows_the_second_deposit_without_the_first(
    tmp_path: Path, protocol: str
) -> None:
    one, two, three = configs_of(3, tmp_path)
    slow = replace(three, delays={ONE: Delay(400_000, 400_000)})
    with bank_of([one, two, slow]) as launcher:
        addresses = launcher.addresses
        async with Bank(addresses) as bank:
            watch = asyncio.create_task(balances_until(bank.session("watcher", account="1"), 3))
            session = bank.session("1")
            if protocol == "token":
                await session.deposit(1, branch=1)
                await session.deposit(2, branch=2)
                assert (await session.balance(branch=3)).balance == 3
            else:
                await msg_delivery(addresses[ONE], "deposit", 1)
                await msg_delivery(addresses[TWO], "deposit", 2)
                assert (await msg_delivery(addresses[THREE], "query")).balance == 3
            seen = await watch
    assert seen[0] == 0, "the watcher looked before the deposits arrived"
    assert set(seen) <= {0, 1, 3}


async def balances_until(session: Session, last: int) -> list[int]:
    """Look at branch 3 again and again, whatever it has, until it says `last`."""
    seen = [-1]
    async with asyncio.timeout(PATIENCE_S):
        while seen[-1] != last:
            seen.append((await session.balance(branch=3, freshness=LOCAL)).balance)
    return seen[1:]


async def test_a_query_that_overtakes_the_deposit_is_held_and_not_stale(tmp_path: Path) -> None:
    with bank_of(delayed(configs_of(2, tmp_path), 300_000)) as launcher:
        addresses = launcher.addresses
        async with Bank(addresses) as bank:
            session = bank.session("1")
            for balance, protocol in enumerate(("token", "MsgDelivery"), start=1):
                await session.deposit(1, branch=1)
                stale = await session.balance(branch=2, freshness=LOCAL)
                assert stale.balance == balance - 1, "the query has overtaken the deposit"
                if protocol == "token":
                    receipt = await session.balance(branch=2)
                    assert receipt.balance == balance
                    assert receipt.info.held_us > 0
                    assert [gap.origin.branch for gap in receipt.info.awaited] == [1]
                else:
                    assert (await msg_delivery(addresses[TWO], "query")).balance == balance


async def test_a_stranger_is_answered_while_twenty_requests_are_held(tmp_path: Path) -> None:
    async with (
        wired_bank(configs_of(2, tmp_path), [(2, 1)]) as (launcher, wires),
        Bank(launcher.addresses) as bank,
    ):
        await all_serve(bank)
        wires[2, 1].cut()
        sessions = [bank.session(f"customer-{number}") for number in range(20)]
        await asyncio.gather(*(each.deposit(5, branch=1) for each in sessions))
        held = [asyncio.create_task(each.balance(branch=2)) for each in sessions]
        await held_at(launcher.addresses[TWO], 20)
        stranger = bank.session("stranger")
        assert (await stranger.balance(branch=2)).info.held_us == 0
        assert (await stranger.deposit(1, branch=2)).info.held_us == 0
        assert not any(each.done() for each in held)
        wires[2, 1].mend()
        assert [(await each).balance for each in held] == [5] * 20


async def test_a_stranger_of_the_original_protocol_is_answered_while_twenty_requests_are_held(
    tmp_path: Path,
) -> None:
    with bank_of(delayed(configs_of(2, tmp_path), 1_500_000)) as launcher:
        addresses = launcher.addresses
        await asyncio.gather(*(msg_delivery(addresses[ONE], "deposit", 5, number) for number in range(20)))
        queries = (msg_delivery(addresses[TWO], "query", customer=number) for number in range(20))
        held = [asyncio.create_task(each) for each in queries]
        await held_at(addresses[TWO], 20)
        assert (await msg_delivery(addresses[TWO], "query", customer=99)).balance == 0
        assert not any(each.done() for each in held)
        assert [(await each).balance for each in held] == [5] * 20


@pytest.mark.parametrize("protocol", ["token", "MsgDelivery"])
async def test_two_deposits_in_a_row_and_a_query_elsewhere_never_hang(tmp_path: Path, protocol: str) -> None:
    with bank_of(delayed(configs_of(2, tmp_path), 100_000)) as launcher:
        addresses = launcher.addresses
        async with Bank(addresses, timeout=PATIENCE_S) as bank:
            session = bank.session("1")
            for round_ in range(1, 4):
                if protocol == "token":
                    await session.deposit(10, branch=1)
                    await session.deposit(10, branch=1)
                    balance = int((await session.balance(branch=2)).balance)
                else:
                    await msg_delivery(addresses[ONE], "deposit", 10)
                    await msg_delivery(addresses[ONE], "deposit", 10)
                    balance = (await msg_delivery(addresses[TWO], "query")).balance
                assert balance == 20 * round_


async def test_the_original_protocol_refuses_what_it_cannot_tell_before_anything_moves(
    tmp_path: Path,
) -> None:
    with bank_of(configs_of(2, tmp_path)) as launcher:
        addresses = launcher.addresses
        most = 2**31 - 1
        assert (await msg_delivery(addresses[ONE], "deposit", most)).result == "success"
        for address in addresses.values():
            with pytest.raises(grpc.aio.AioRpcError, match="32 bits") as refusal:
                await msg_delivery(address, "deposit", 1)
            assert refusal.value.code() is grpc.StatusCode.OUT_OF_RANGE
            assert (await msg_delivery(address, "query")).balance == most
        async with Bank(addresses) as bank:
            assert (await bank.session("1").deposit(1, branch=1)).balance == most + 1


def test_a_branch_that_cannot_start_ends_without_a_word_where_its_launcher_is_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever is interrupted while branches start removes the folder in which one is opening its store."""
    mine, theirs = multiprocessing.Pipe()
    mine.close()
    (tmp_path / "no folder").touch()
    config = replace(configs_of(1, tmp_path)[0], data=tmp_path / "no folder")
    process = multiprocessing.get_context("spawn").Process(target=run_child, args=(config, theirs))
    process.start()
    theirs.close()
    process.join()
    assert (process.exitcode, capfd.readouterr().err) == (1, "")
