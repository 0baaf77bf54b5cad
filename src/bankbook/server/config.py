"""What one branch is told when it starts.

Decides the defaults and the bounds of a server. Must not know where a configuration comes from.
Proof: tests/server/test_config.py.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from bankbook.core.ports import Genesis
from bankbook.core.replica import Settings
from bankbook.core.types import AccountId, BranchId, CustomerId

# The port of the original system's branch 0; branch n listens at this plus n.
ORIGINAL_PORT_BASE = 50050

DEFAULT_HOST = "127.0.0.1"

# Every branch asks every other one for its head, so heartbeats grow with the square of the branches: of
# fifty, one a second each would keep two cores busy with nothing else. With more than these, each branch
# asks less often, as many questions a second as one of ten asks.
BRANCHES_AT_FULL_PULSE = 10

# Some twenty entries of one caller's, told to be on this disk by one message to each branch.
_ACKNOWLEDGE_US = 20_000

SHARED_ACCOUNT = AccountId("shared")


class AccountMode(StrEnum):
    """Whose account a customer's money is in, in a bank made from a scenario."""

    OWN = "own"
    """Each customer has an account of their own, named by the customer's id."""
    SHARED = "shared"
    """All customers use one account, as the original program had it."""


def account_of(mode: AccountMode, customer: CustomerId) -> AccountId:
    """Return the account that a customer's deposits and withdrawals are for."""
    return SHARED_ACCOUNT if mode is AccountMode.SHARED else AccountId(customer)


class Delay(NamedTuple):
    """How long entries are on their way over a link: drawn from this range, in microseconds."""

    low_us: int = 0
    high_us: int = 0

    def __str__(self) -> str:
        low, high = (f"{us / 1_000_000:g}s" for us in self)
        return low if low == high else f"{low}..{high}"


NO_DELAY = Delay()


@dataclass(frozen=True, slots=True)
class BranchConfig:
    """One branch of one bank."""

    branch: BranchId
    genesis: Genesis
    listen: str = "127.0.0.1:0"
    """Host and port; port 0 is any free one of those that it finds free again, too."""
    data: Path | None = None
    """The folder of the branch's store; None keeps everything in memory."""
    is_temporary: bool = False
    """Whether nobody wants the store once the branch's launcher is gone."""
    hold_limit_us: int = 30_000_000
    """No request is held longer."""
    delay: Delay = NO_DELAY
    """Of entries on their way to this branch, from every other one."""
    delays: dict[BranchId, Delay] = field(default_factory=dict)
    """The same for single links, by the branch at their other end."""
    accounts: AccountMode = AccountMode.OWN
    """What a customer of the original protocol deposits to."""
    token_key: bytes | None = None
    """Where given, session tokens are signed with it; the same at every branch."""
    key_retention_us: int = Settings().key_retention_us
    """For how long an idempotency key is remembered."""
    log_retention_us: int | None = None
    """For how long an entry is kept that every branch has; None: for ever."""
    drain_us: int = 5_000_000
    """How long a branch that is stopping waits for what is held and what is not propagated."""
    log_level: str = "info"
    log_file: Path | None = None
    """Where given, JSON lines go there and not to standard error."""

    def delay_from(self, branch: BranchId) -> Delay:
        """Return the delay of the link from another branch to this one."""
        return self.delays.get(branch, self.delay)

    def slowest_us(self) -> int:
        """Return how long entries are on their way here at the most."""
        return max([self.delay.high_us, *(delay.high_us for delay in self.delays.values())])

    def settings(self) -> Settings:
        """Return the bounds of this branch's replica."""
        stretch = max(1.0, len(self.genesis.branches) / BRANCHES_AT_FULL_PULSE)
        return Settings(
            hold_limit_us=self.hold_limit_us,
            heartbeat_us=int(stretch * Settings().heartbeat_us),
            silence_us=int(stretch * Settings().silence_us),
            # What is on its way over a slow link is not lost.
            resend_us=Settings().resend_us + self.slowest_us(),
            acknowledge_us=_ACKNOWLEDGE_US,
            key_retention_us=self.key_retention_us,
            log_retention_us=self.log_retention_us,
        )
