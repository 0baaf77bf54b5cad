"""What a bench is asked to do.

Decides the defaults, the bounds, and what is said of what cannot be. Must not know how any of it is done.
Proof: tests/bench/test_settings.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bankbook.core.bounds import BATCH_COMMANDS_MAX
from bankbook.server.config import NO_DELAY, Delay


class SettingsError(ValueError):
    """What is asked for cannot be done; the message says why and what to ask for instead."""


class BenchError(Exception):
    """The bench could not be carried out; the message says why and what to do."""


class Workload(StrEnum):
    """What the callers ask for."""

    DEPOSITS = "deposits"
    TRANSFERS = "transfers"
    MIXED = "mixed"
    """Four balances are read for each transfer."""


class Skew(StrEnum):
    """How the accounts are chosen."""

    UNIFORM = "uniform"
    """Each as often as any other one."""
    ZIPF = "zipf"
    """The n-th in popularity about 1/n as often as the first."""
    HOT = "hot"
    """One account has a part in everything: a shop's, or a marketplace's."""


# Every account is named by a number and written once before a bank that runs is measured: ten million of them
# are an hour of that.
ACCOUNTS_MAX = 10_000_000

# A caller is a session, and so a coroutine and a token: ten thousand are 100 MB of a client.
CALLERS_MAX = 10_000

# More processes than any machine has processors for.
CLIENTS_MAX = 64

# A rate that a schedule can still tell apart, in microseconds; and no more than gigabytes of requests.
RATE_MAX = 1_000_000.0

# What is counted and timed stays far within what is exact in a float.
OPERATIONS_MAX = 1_000_000_000

BRANCHES_BY_DEFAULT = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What the callers do, together."""

    workload: Workload = Workload.TRANSFERS
    skew: Skew = Skew.UNIFORM
    accounts: int = 10_000
    bulk: int = 1
    """Operations in a request; more than one travel as a batch."""
    remote: float = 0.15
    """Which share of the requests is made at another branch than the customer's usual one."""
    callers: int = 64
    """Customers at a time, in all clients together."""
    sessions: int | None = None
    """How many sessions the callers share, in each client; None: each has one of their own."""
    clients: int = 1
    """Processes."""
    rate: float | None = None
    """Operations a second, in all; None: each caller asks again once it has its answer."""
    durable: int = 0
    """On how many other branches' disks a write has to be before it is acknowledged."""
    seed: int = 0
    warmup_s: float = 2.0
    """Not measured."""
    duration_s: float = 10.0
    operations: int | None = None
    """Where given, the bench ends after so many, and not by the clock."""

    def session_of(self, caller: int) -> int:
        """Return the number of a caller's session, from 0; callers of different clients share none."""
        return caller if self.sessions is None else caller // self.clients % self.sessions


@dataclass(frozen=True, slots=True)
class OwnBank:
    """A bank that is started for the bench, and removed after it."""

    branches: int = BRANCHES_BY_DEFAULT
    delay: Delay = NO_DELAY
    folder: Path | None = None
    """Where the branches' stores are, in a temporary folder; None: where the system has its own ones."""


def check(load: Load, branches: int) -> None:
    """Raise SettingsError where a load cannot be put on a bank of so many branches."""
    for complaint in (
        _about_bulk(load),
        _about_durable(load.durable, branches),
        _about_numbers(load),
        _about_hands(load),
    ):
        if complaint is not None:
            raise SettingsError(complaint)


def _about_bulk(load: Load) -> str | None:
    if not 1 <= load.bulk <= BATCH_COMMANDS_MAX:
        return f"--bulk: a request carries 1 to {BATCH_COMMANDS_MAX} operations, not {load.bulk}"
    if load.bulk > 1 and load.workload is Workload.MIXED:
        return "--bulk: a batch has writes only; --workload deposits or transfers can be sent in bulk"
    if load.operations is not None and load.operations < load.bulk * load.clients:
        return (
            f"--operations: {load.clients} clients with --bulk {load.bulk} do at least "
            f"{load.bulk * load.clients} operations, not {load.operations}"
        )
    return None


def _about_durable(durable: int, branches: int) -> str | None:
    if durable < branches:
        return None
    if branches == 1:
        return "--durable: the bank has one branch, and no other one's disk; --branches gives it more"
    return f"--durable: the bank has {branches} branches, so {branches - 1} other disks at the most"


def _about_numbers(load: Load) -> str | None:
    if load.workload is not Workload.DEPOSITS and load.accounts < 2:  # noqa: PLR2004  (two sides)
        return "--accounts: a transfer needs two accounts"
    if load.operations is None and load.duration_s <= 0:
        return "--duration: nothing can be measured in no time; write 1s or more"
    return None


def _about_hands(load: Load) -> str | None:
    if load.sessions is not None and load.sessions > load.callers // load.clients:
        return (
            f"--sessions: {load.sessions} sessions need at least {load.sessions * load.clients} callers, not "
            f"{load.callers}"
        )
    if load.callers < load.clients:
        return (
            f"--clients: {load.callers} callers cannot be shared by {load.clients} processes; "
            f"give --callers {load.clients} or more"
        )
    return None
