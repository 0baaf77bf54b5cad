"""What customers ask of a branch, and what they are answered.

Decides which words a request has; every bound that needs no state is checked here, so that nothing
malformed gets further. Must not know how a request travels. Proof: tests/core/test_commands.py.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

from bankbook.core.entry import Opening
from bankbook.core.guarantees import Access, Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import (
    BALANCE_MAX,
    ID_RULE,
    MONEY_MAX,
    AccountId,
    CustomerId,
    Money,
    Origin,
    Seq,
    is_id,
)
from bankbook.core.vector import Gap

RequestId = NewType("RequestId", int)
"""The driver's number for a request under way; unique in one life of a process."""


@dataclass(frozen=True, slots=True)
class ReadBalance:
    """Tell the balance of `account`."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class Deposit:
    """Add `amount` to `account`; tell the balance after."""

    account: AccountId
    amount: Money


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take `amount` out of `account`; tell the balance after."""

    account: AccountId
    amount: Money


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move `amount` from `source` to `destination` in one entry; tell the source's balance after."""

    source: AccountId
    destination: AccountId
    amount: Money


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account with a balance of 0 on these terms."""

    opening: Opening


Command = ReadBalance | Deposit | Withdraw | Transfer | OpenAccount


def access_of(command: Command) -> Access:
    """Return what `command` does: every one is answered with a balance, so every one reads."""
    return Access.READ if isinstance(command, ReadBalance) else Access.READ | Access.WRITE


def account_of(command: Command) -> AccountId:
    """Return the account whose balance the answer tells."""
    match command:
        case Transfer(source=source):
            return source
        case OpenAccount(opening=opening):
            return opening.account
        case _:
            return command.account


def accounts_of(command: Command) -> tuple[AccountId, ...]:
    """Return the accounts on whose state the answer depends."""
    if isinstance(command, Transfer):
        return command.source, command.destination
    return (account_of(command),)


def complaint_about(command: Command) -> str | None:
    """Return what is malformed in `command`, in words; None where nothing is."""
    for account in accounts_of(command):
        if not is_id(account):
            return f"an account id has {ID_RULE}; this one is {account[:80]!r}"
    if isinstance(command, OpenAccount):
        return _complaint_about_terms(command.opening)
    if isinstance(command, ReadBalance) or _is_money(command.amount, 0, MONEY_MAX):
        return None
    return f"an amount is an integer from 0 to {MONEY_MAX} minor units; this one is {command.amount!r}"


def _is_money(value: int, low: int, high: int) -> bool:
    """A bool or a float is none, whatever the caller's types promised."""
    return type(value) is int and low <= value <= high


def complaint_about_customer(customer: CustomerId) -> str | None:
    """Return what is malformed in a customer's name, in words; None where nothing is."""
    return None if is_id(customer) else f"a customer id has {ID_RULE}; this one is {customer[:80]!r}"


def _complaint_about_terms(opening: Opening) -> str | None:
    if opening.floor is not None and not _is_money(opening.floor, -MONEY_MAX, 0):
        return f"a floor is 0, or a credit line down to {-MONEY_MAX}, or none; this one is {opening.floor!r}"
    if opening.currency and not is_id(opening.currency):
        return f"a currency has {ID_RULE}; this one is {opening.currency[:80]!r}"
    return None


class Level(Enum):
    """How fresh a read must be, from the cheapest to the dearest."""

    LOCAL = "LOCAL"
    """Whatever this branch has; it is causally consistent already."""
    SESSION = "SESSION"
    """What the session's guarantees ask for."""
    BOUNDED = "BOUNDED"
    """SESSION, and everything acknowledged anywhere up to a bound ago."""
    LATEST = "LATEST"
    """SESSION, and everything acknowledged anywhere for this account before the request arrived."""


class Freshness(NamedTuple):
    """A level, with its bound where it has one."""

    level: Level = Level.SESSION
    bound_us: int = 0
    """For BOUNDED: microseconds."""


# What the wire can carry: 32 bits of milliseconds, 49 days.
BOUND_US_MAX = (2**32 - 1) * 1000


def complaint_about_freshness(freshness: Freshness) -> str | None:
    """Return what is malformed in a freshness, in words; None where nothing is."""
    if 0 <= freshness.bound_us <= BOUND_US_MAX:
        return None
    return f"a bound of freshness is 0 to {BOUND_US_MAX} microseconds; this one is {freshness.bound_us}"


LOCAL = Freshness(Level.LOCAL)
SESSION = Freshness(Level.SESSION)
LATEST = Freshness(Level.LATEST)


def bounded(seconds: float) -> Freshness:
    """Return the freshness of whatever was acknowledged anywhere up to so long ago.

    Raises ValueError where `seconds` is no duration.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a bound is a number of seconds from 0 on; this one is {seconds}")
    return Freshness(Level.BOUNDED, int(seconds * 1_000_000))


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the driver hands it in."""

    id: RequestId
    command: Command
    deadline_us: int
    """By the branch's monotonic clock."""
    customer: CustomerId
    token: Token = EMPTY
    guarantees: Guarantee = Guarantee.ALL
    freshness: Freshness = SESSION
    balance_max: Money = BALANCE_MAX
    """The largest balance that the caller's protocol can be told."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller of this request is gone. Nothing is answered any more; what was decided stays."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Drain:
    """The branch is stopping: refuse what is new, let what is held end by this deadline."""

    deadline_us: int


class EntryId(NamedTuple):
    """The place of one entry in the bank."""

    origin: Origin
    seq: Seq

    def __str__(self) -> str:
        return f"{self.origin}#{self.seq}"


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request ended."""

    request: RequestId
    outcome: Outcome
    token: Token
    """What the session knows now; on errors, what it knew already."""
    detail: str = ""
    """One sentence for a person where the outcome is not OK."""
    balance: Money | None = None
    """The account's balance where the outcome is OK or the funds were insufficient."""
    entry: EntryId | None = None
    """What was written."""
    held_us: int = 0
    asked: int = 0
    """How many other branches had to be asked."""
    awaited: tuple[Gap, ...] = field(default=())
    """What the request was held for; for HOLD_TIMEOUT, what is missing still."""
    branch: int | None = None
    """For BRANCH_UNREACHABLE, HOLD_TIMEOUT and NOT_HOME: the branch named."""
