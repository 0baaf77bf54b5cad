"""A branch whose disk is full: it refuses writes by name, reads on, does not spin, and goes on after all.

The disk is a small one in memory, which only root may mount; others skip these tests.
"""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from server.processes import PATIENCE_S, all_joined, balances, bank_of, banks_with, rights_at

from bankbook.client import LOCAL, Bank, RightsUnreachableError, Session, StoreUnavailableError
from bankbook.core.types import BranchId
from bankbook.server.config import BranchConfig
from bankbook.server.launcher import Launcher

ONE = BranchId(1)

# A store takes some hundred kilobytes.
_DISK_BYTES = 4 * 1024 * 1024

# How long a branch with a full disk is watched, and how busy it may be meanwhile.
_WATCHED_S = 4.0
HOLD_LIMIT_US = int(1e6 * (_WATCHED_S + 2))
_COMMITS_A_SECOND_MAX = 4
_BUSY_SHARE_MAX = 0.25


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> Path:
    """Leave no room; return the file to be removed."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return filler


async def exhaust(session: Session) -> None:
    """Write at branch 1 until the room that its store had in reserve is used up."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await session.deposit(1, account="filler", memo="x" * 100, branch=1, timeout=3)
            except StoreUnavailableError:
                return


def cpu_s(pid: int) -> float:
    """Return how long a process has used a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def events(log: Path) -> Counter[str]:
    """Return how often branch 1 has said what."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return Counter(line["event"] for line in lines if line["branch"] == 1)


def bank_with_small_disk(disk: Path, tmp_path: Path) -> list[BranchConfig]:
    one, *others = banks_with(90, 3, tmp_path, hold_limit_us=HOLD_LIMIT_US)
    return [replace(one, data=disk / "branch-1"), *others]


async def watch(launcher: Launcher, log: Path) -> Counter[str]:
    """Return what branch 1 says in some seconds, in which it must not be busy."""
    before, busy_s = events(log), cpu_s(launcher.pid(ONE))
    await asyncio.sleep(_WATCHED_S)
    busy_s = cpu_s(launcher.pid(ONE)) - busy_s
    said = events(log) - before
    print(f"\nin {_WATCHED_S} s it was busy for {busy_s:.2f} s and said {dict(said)}")  # noqa: T201
    assert busy_s < _BUSY_SHARE_MAX * _WATCHED_S
    assert said["commit.failed"] <= _COMMITS_A_SECOND_MAX * _WATCHED_S
    return said


async def test_a_full_disk_refuses_writes_reads_on_and_writes_again_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    log = tmp_path / "test.log"
    with bank_of(bank_with_small_disk(small_disk, tmp_path)) as launcher:
        await all_joined(launcher)
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            await session.deposit(10, branch=1, durable=2)
            filler = fill(small_disk)
            await exhaust(session)
            with pytest.raises(StoreUnavailableError, match="the disk is full"):
                await session.deposit(1, branch=1, timeout=3)
            assert (await session.balance(branch=1, freshness=LOCAL)).balance == 100
            assert (await session.statement_page(branch=1, freshness=LOCAL)).closing == 100
            # Others have what they have, and are told what the branch with the full disk may have.
            there = bank.session("bob", account="ada")
            assert (await there.withdraw(60, branch=2)).balance == 40
            asking = [
                asyncio.create_task(there.withdraw(35, branch=each, timeout=_WATCHED_S + 2))
                for each in (2, 3)
            ]
            await watch(launcher, log)
            for each in asking:
                with pytest.raises(RightsUnreachableError):
                    await each
            assert (await session.balance(branch=1, freshness=LOCAL)).balance in {40, 100}
            filler.unlink()
            async with asyncio.timeout(PATIENCE_S):
                await there.withdraw(35, branch=2)
                await session.deposit(1, branch=1)
            assert await balances(bank, "ada") == [6] * 3
            rights = (await rights_at(launcher.addresses[ONE], "ada")).rights
            assert sum(each.amount for each in rights) == 6


async def test_a_branch_outlives_a_log_that_cannot_be_written(small_disk: Path, tmp_path: Path) -> None:
    configs = [
        replace(each, log_file=small_disk / "bank.log") for each in bank_with_small_disk(small_disk, tmp_path)
    ]
    with bank_of(configs) as launcher:
        await all_joined(launcher)
        async with Bank(launcher.addresses) as bank:
            session = bank.session("ada")
            filler = fill(small_disk)
            await exhaust(session)
            for _ in range(20):
                assert (await session.balance(branch=1, freshness=LOCAL)).balance == 90
            assert (await session.withdraw(10, branch=2)).balance == 80
            assert launcher.ended() == {}
            filler.unlink()
            assert (await session.deposit(1, branch=1)).balance == 81
        assert launcher.ended() == {}
