"""The processes of a scenario's bank.

Decides what a scenario's bank begins with, and what happens when one of its branches dies.
Must not know what the customers do. Proof: tests/cli/test_run.py, tests/server/test_processes.py.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bankbook.core.ports import Genesis
from bankbook.core.types import BranchId
from bankbook.scenario.model import Scenario
from bankbook.server.config import (
    DEFAULT_HOST,
    NO_DELAY,
    ORIGINAL_PORT_BASE,
    AccountMode,
    BranchConfig,
    Delay,
)
from bankbook.server.launcher import Launcher, LaunchError

# A branch that dies more often has a fault that starting it again does not mend.
RESTARTS_MAX = 5

CLUSTER = "scenario"


@dataclass(frozen=True, slots=True)
class BankOptions:
    """How a scenario's bank is run."""

    accounts: AccountMode = AccountMode.OWN
    delay: Delay = NO_DELAY
    hold_limit_us: int = 30_000_000
    host: str = DEFAULT_HOST
    port_base: int | None = None
    """Branch n listens at this port plus n; None takes free ports."""
    log_level: str = "warning"
    log_file: Path | None = None


def branch_configs(
    scenario: Scenario, options: BankOptions, data: Path, *, is_temporary: bool = False
) -> list[BranchConfig]:
    """Return the configuration of every branch; each has its store in a folder of its own in `data`."""
    genesis = Genesis(CLUSTER, scenario.branches, scenario.genesis_balance)
    return [
        BranchConfig(
            branch=branch,
            genesis=genesis,
            listen=f"{options.host}:{0 if options.port_base is None else options.port_base + branch}",
            data=data / f"branch-{branch}",
            is_temporary=is_temporary,
            hold_limit_us=options.hold_limit_us,
            delay=options.delay,
            accounts=options.accounts,
            log_level=options.log_level,
            log_file=options.log_file,
        )
        for branch in scenario.branches
    ]


def original_addresses(
    scenario: Scenario, host: str, port_base: int = ORIGINAL_PORT_BASE
) -> dict[BranchId, str]:
    """Return where the branches of a scenario listen if they keep to the original system's ports."""
    return {branch: f"{host}:{port_base + branch}" for branch in scenario.branches}


class KeptDown:
    """Branches that are kept down on purpose: a supervisor does not start these."""

    def __init__(self) -> None:
        self.down: set[BranchId] = set()
        self.killed: set[BranchId] = set()
        """Those whose death is nobody's fault but ours."""
        self.changed = asyncio.Event()

    def keep_down(self, branch: BranchId) -> None:
        """Let a branch be down, before it is killed."""
        self.down.add(branch)
        self.killed.add(branch)
        self.changed.set()

    def let_start(self, branch: BranchId) -> None:
        """Let a branch be started again."""
        self.down.discard(branch)
        self.changed.set()


async def supervise(
    launcher: Launcher, tell: Callable[[str], None], kept: KeptDown | None = None
) -> NoReturn:
    """Start every branch that dies again, from its store, until cancelled; not one that is told to stop.

    One that is `kept` down is started once it no longer is. Raises LaunchError where that does not help.
    """
    restarts: Counter[BranchId] = Counter()
    kept = kept or KeptDown()
    while True:
        await _one_ended(launcher, kept)
        died = {branch: how for branch, how in launcher.died().items() if branch not in kept.down}
        for branch, how in died.items():
            restarts[branch] += branch not in kept.killed
            kept.killed.discard(branch)
            if restarts[branch] > RESTARTS_MAX:
                raise LaunchError(f"branch {branch} {how}, the {restarts[branch]}th time; giving up")
            tell(f"branch {branch} {how}; starting it again from its store")
        try:
            await asyncio.to_thread(launcher.restart, *died)
        except asyncio.CancelledError:
            launcher.give_up()  # or the event loop would wait for that thread, and it for a store
            raise


async def _one_ended(launcher: Launcher, kept: KeptDown) -> None:
    """Return once a branch that is not kept down has ended, or others are kept down."""
    kept.changed.clear()
    loop = asyncio.get_running_loop()
    down = {launcher.sentinel(branch) for branch in kept.down}
    sentinels = [each for each in launcher.sentinels() if each not in down]
    for sentinel in sentinels:
        loop.add_reader(sentinel, kept.changed.set)
    try:
        await kept.changed.wait()
    finally:
        for sentinel in sentinels:
            loop.remove_reader(sentinel)
