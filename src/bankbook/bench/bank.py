"""The bank that is measured: one of its own, or one that runs.

Decides what a bank of its own begins with, and that nothing of it is left. Must not know what is measured.
Proof: tests/bench/test_run.py, tests/cli/test_bench.py.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bankbook.bench.machine import file_system_of, sync_us
from bankbook.bench.prepare import OPENING
from bankbook.bench.settings import OwnBank
from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId
from bankbook.server.bank_file import BankFile
from bankbook.server.config import BranchConfig
from bankbook.server.launcher import Launcher

CLUSTER = "bench"


@dataclass(frozen=True, slots=True)
class Disk:
    """What the branches' stores are on."""

    folder: Path
    file_system: str | None
    sync_us: int
    """How long it takes until a page is on the disk, without anybody else writing."""


@dataclass(frozen=True, slots=True)
class BankUnderTest:
    """A bank that runs."""

    cluster: str
    addresses: dict[BranchId, str]
    pids: dict[BranchId, int]
    """Empty where the branches were started by somebody else, perhaps on other machines."""
    disk: Disk | None = None
    """None where it is not known."""
    died: Callable[[], dict[BranchId, str]] = dict
    """Which branches have ended, and how."""


@contextmanager
def bank_of_its_own(own: OwnBank) -> Iterator[BankUnderTest]:
    """Start a bank in a temporary folder; stop and remove it in the end. Raises LaunchError, OSError."""
    with tempfile.TemporaryDirectory(prefix="bankbook-", dir=own.folder) as name:
        folder = Path(name)
        disk = Disk(folder, file_system_of(folder), sync_us(folder))
        with Launcher(_configs(own, folder)) as launcher:
            launcher.start()
            pids = {branch: launcher.pid(branch) for branch in launcher.addresses}
            yield BankUnderTest(CLUSTER, launcher.addresses, pids, disk, launcher.ended)


def _configs(own: OwnBank, folder: Path) -> Iterator[BranchConfig]:
    branches = tuple(BranchId(number) for number in range(1, own.branches + 1))
    for branch in branches:
        yield BranchConfig(
            branch=branch,
            genesis=Genesis(CLUSTER, branches, OPENING),
            data=folder / f"branch-{branch}",
            is_temporary=True,
            delay=own.delay,
            log_level="warning",
        )


def bank_that_runs(file: BankFile) -> BankUnderTest:
    """Return the bank that a bank.toml describes."""
    return BankUnderTest(file.cluster, file.addresses, {})
