"""What can go wrong in a scenario, when, where, and for how long.

Decides the words for it. Must not know how a simulated bank, or one of real processes, is made to suffer it.
Proof: tests/scenario/test_parse_faults.py.
"""

from dataclasses import dataclass
from enum import StrEnum

from bankbook.core.types import BranchId, CustomerId


class FaultKind(StrEnum):
    """Everything that can go wrong."""

    DELAY = "delay"
    LOSS = "loss"
    DUPLICATION = "duplication"
    SLOW_LINK = "slow-link"
    BROKEN_STREAM = "broken-stream"
    BROKEN_CALL = "broken-call"
    PARTITION = "partition"
    ONE_WAY_PARTITION = "one-way-partition"
    CUSTOMER_CUT_OFF = "customer-cut-off"
    CRASH = "crash"
    CRASH_POINT = "crash-point"
    COMMIT_FAILURE = "commit-failure"
    FULL_DISK = "full-disk"
    LOST_DISK = "lost-disk"
    CLOCK_JUMP = "clock-jump"
    SLOW_BRANCH = "slow-branch"
    PAUSE = "pause"
    CROWD = "crowd"


class CrashPoint(StrEnum):
    """Where, between a decision and its messages, a process can die."""

    BEFORE_WRITE = "before the write"
    BEFORE_SYNC = "between write and sync"
    BEFORE_RELEASE = "between sync and release"
    BEFORE_SEND = "between replies and messages"
    AMID_SEND = "between two messages"


class CommitFault(StrEnum):
    """How one commit can fail."""

    REFUSED = "refused"
    """And certainly left nothing behind."""
    DOUBTFUL_LOST = "in doubt and lost"
    DOUBTFUL_KEPT = "in doubt and kept"


WEATHER = frozenset({FaultKind.DELAY, FaultKind.LOSS, FaultKind.DUPLICATION, FaultKind.BROKEN_CALL})
"""What is the same everywhere."""

SHARES = WEATHER - {FaultKind.DELAY}
"""What befalls a share of all messages, or of all calls."""

SIDES = frozenset({FaultKind.SLOW_LINK, FaultKind.PARTITION, FaultKind.ONE_WAY_PARTITION})
"""What is between some branches and all others."""

MOMENTARY = frozenset({FaultKind.BROKEN_STREAM, FaultKind.COMMIT_FAILURE, FaultKind.CLOCK_JUMP})
"""What has no duration."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: FaultKind
    at_us: int = 0
    """When, from the beginning on."""
    for_us: int | None = None
    """How long it lasts, or a branch is down. None: until everything is mended; or it is momentary."""
    branches: tuple[BranchId, ...] = ()
    """Where; of what is between branches, one side; of a stream, who fetches and then from whom."""
    delay_us: tuple[int, int] | None = None
    """Of `delay`: the range."""
    percent: int | None = None
    """Of what befalls a share."""
    by_us: int | None = None
    """Of `clock-jump`: forward, or below 0 backward."""
    point: CrashPoint | None = None
    """Of `crash-point`."""
    how: CommitFault | None = None
    """Of `commit-failure`."""
    customer: CustomerId | None = None
    """Of `customer-cut-off`."""
    is_to_customer: bool = False
    """Of `customer-cut-off`: whether it is the answers that do not pass; otherwise the requests do not."""
