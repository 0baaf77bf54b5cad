"""Branches as processes: found again after kill -9, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults.bank import open_bank
from faults.janitor import Janitor
from faults.process import DiedError
from faults.small_disk import mount_small_disk, why_no_small_disk
from server.processes import is_running, wait_until

from bankbook.client import LATEST, Bank


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


async def test_a_branch_that_was_killed_is_found_again_by_customers_and_branches(tmp_path: Path) -> None:
    async with open_bank(2, ["ada"], tmp_path) as bank, Bank(bank.addresses_from("ada")) as client:
        ada = client.session("ada")
        await ada.open_account(branch=1)
        await ada.deposit(5, branch=1)
        await bank.branches[1].kill()
        await bank.start(1)
        assert (await ada.balance(branch=1)).balance == 5
        await ada.deposit(6, branch=1)
        assert (await ada.balance(branch=2, freshness=LATEST)).balance == 11
        await bank.until_converged()
        assert bank.bugs() == []


async def test_a_branch_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    async with open_bank(1, [], tmp_path) as bank:
        os.kill(bank.branches[1].pid, signal.SIGKILL)
        with pytest.raises(DiedError, match="branch 1 ended"):
            await bank.until_converged()


async def test_a_bank_whose_test_fails_leaves_no_process_disk_or_task(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    pids: list[int] = []

    async def fail() -> None:
        async with open_bank(2, ["ada"], tmp_path) as bank:
            pids.extend(branch.pid for branch in bank.branches.values())
            bank.branches[2].stop()  # one that stands still is ended, too
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert len(pids) == 2
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid), "the end of a branch")  # type: ignore[misc]
    assert str(tmp_path) not in mounts()
    assert asyncio.all_tasks() == before


_KILLED_AMID_ITS_WORK = """
import asyncio, os, signal, sys
from pathlib import Path
from faults.bank import open_bank

async def main():
    async with open_bank(2, ["ada"], Path(sys.argv[1])) as bank:
        print(*(branch.pid for branch in bank.branches.values()), flush=True)
        bank.branches[2].stop()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_test_that_is_killed_leaves_no_process_and_no_disk(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _KILLED_AMID_ITS_WORK, tmp_path],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert told.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in told.stdout.split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_running, pids)), "the end of the branches")
    wait_until(lambda: str(tmp_path) not in mounts(), "the end of the disks")


def test_the_janitor_kills_what_stands_still_and_unmounts_what_is_in_use(tmp_path: Path) -> None:
    if why_no_small_disk():
        pytest.skip(why_no_small_disk())
    with Janitor() as janitor:
        disk = tmp_path / "disk"
        mount_small_disk(disk, janitor)
        sleeper = subprocess.Popen(["sleep", "600"], cwd=disk)
        janitor.mind_process(sleeper.pid)
        sleeper.send_signal(signal.SIGSTOP)
        assert sleeper.poll() is None
    assert sleeper.wait() == -signal.SIGKILL
    assert str(disk) not in mounts()


def test_the_janitor_does_not_mind_what_has_ended_already() -> None:
    with Janitor() as janitor:
        sleeper = subprocess.Popen(["true"])
        janitor.mind_process(sleeper.pid)
        sleeper.wait()
