"""One recorded history: what customers asked, what they were told, and when.

Decides the words of a history. Must not know the file (file.py), nor what is right (checkers/).
Nothing of it comes from inside a bank: whoever stands beside the customers can record it, of any system.
The commands are the core's own, so that a recorder hands on what it has.
Proof: tests/history/test_file.py, tests/checkers/.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from bankbook.core.commands import SESSION, Command, Freshness
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId

FORMAT = 1
"""The version of the format that docs/history.md describes."""


class Terms(NamedTuple):
    """On which terms an account is there before anything is asked."""

    balance: int = 0
    floor: int | None = 0
    """The balance it may not fall below; None where there is no floor."""


class Latest(StrEnum):
    """What a bank means by LATEST."""

    LINEARIZABLE = "linearizable"
    """One order of all writes and LATEST results explains them all."""
    RECENT = "recent"
    """A result shows what was acknowledged, or shown to anybody, before it was asked for, and some of what
    overlaps it: Lamport's regularity, for sets of writes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the bank was when the recording began."""

    cluster: str
    branches: int
    """How many; they are numbered from 1."""
    others: Terms | None = None
    """Terms of every account that is not listed; None where such an account has to be opened first."""
    accounts: Mapping[str, Terms] = field(default_factory=dict)
    latest: Latest = Latest.LINEARIZABLE
    """What is promised to who asks for LATEST."""

    def terms(self, account: AccountId | str) -> Terms:
        """Return the terms of an account; one that is opened later begins with nothing."""
        return self.accounts.get(account, self.others or Terms())


class Told(NamedTuple):
    """How one command of a batch ended."""

    outcome: Outcome
    balance: int | None = None
    available: int | None = None
    reservation: str | None = None


class StatedLine(NamedTuple):
    """One line of a statement, as the customer sees it."""

    amount: int
    balance: int | None = None
    """After this line."""
    entry: str | None = None
    """What the bank calls the write; the same word as in the write's own answer."""
    memo: str = ""


class Stated(NamedTuple):
    """One page of a statement."""

    lines: tuple[StatedLine, ...]
    opening: int | None = None
    closing: int | None = None
    is_complete: bool = True
    """Whether it begins with the account and leaves out nothing that the branch had."""


class Operation(NamedTuple):
    """One request and its answer, by the recorder's one clock.

    A tuple, as a history has a million of them: a frozen dataclass takes four times as long to make.
    """

    number: int
    """Unique; of two operations in one session, the later one has the larger number."""
    session: str
    branch: int
    call_us: int
    command: Command
    return_us: int | None = None
    """None where no answer came."""
    outcome: Outcome | None = None
    """None exactly where `return_us` is."""
    customer: str = ""
    freshness: Freshness = SESSION
    guarantees: Guarantee = Guarantee.ALL
    key: str | None = None
    durable: int = 0
    balance: int | None = None
    """The balance of the first account that the command names, after it."""
    available: int | None = None
    entry: str | None = None
    is_replayed: bool = False
    reservation: str | None = None
    results: tuple[Told, ...] = ()
    """Of a batch: one for each of its commands."""
    statement: Stated | None = None


class FaultKind(StrEnum):
    """What the recorder knows to have gone wrong."""

    CRASH = "crash"
    DISK_LOST = "disk_lost"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong at a branch, or between two."""

    kind: FaultKind
    branch: int
    at_us: int
    until_us: int | None = None
    other: int | None = None
    """Of a partition: the branch at its other end."""


@dataclass(frozen=True, slots=True)
class Final:
    """What one branch held once everything had arrived everywhere and nothing was asked any more."""

    branch: int
    balances: Mapping[str, int]
    statements: Mapping[str, Stated] = field(default_factory=dict)


Item: TypeAlias = Operation | Fault | Final


@dataclass(frozen=True, slots=True)
class History:
    """A header and what follows it; `items` may be a stream that is gone through once."""

    header: Header
    items: Iterable[Item]
