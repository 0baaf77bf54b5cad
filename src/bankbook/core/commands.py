"""What customers ask of a branch, and what they are answered.

Decides which words a request has, and what tells one request from another. Must not know their bounds
(bankbook.core.bounds), nor how a request travels. Proof: tests/core/test_commands.py.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from itertools import chain
from typing import NamedTuple, NewType, overload

import orjson

from bankbook.core.columns import Columns, Movement
from bankbook.core.entry import EXPIRES_MS_MAX, MoveRecords, Opening, Posting, RecordKind
from bankbook.core.guarantees import Access, Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import (
    BALANCE_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Key,
    Money,
    ReservationId,
)
from bankbook.core.vector import Gap

RequestId = NewType("RequestId", int)
"""The driver's number for a request under way, above 0; unique in one life of a process. The core uses
those below 0 for what other branches have it carry out."""

# Of one page of a statement: about 500 kB. Of one line: enough to recognise a payment.
LINES_MAX = 1000
OTHERS_MAX = 8

# 64 bits: two different requests with one key pass for the same once in 10^19 mistakes.
_FINGERPRINT_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ReadBalance:
    """Tell the balance of `account`, now or as it was."""

    account: AccountId
    at_ms: int | None = None
    """Milliseconds since 1970: everything decided before that moment counts. None: everything does."""


@dataclass(frozen=True, slots=True)
class ReadStatement:
    """Tell what moved on `account` in a range of time, a page at a time."""

    account: AccountId
    from_ms: int = 0
    """Milliseconds since 1970; what was decided then belongs to the statement."""
    to_ms: int = EXPIRES_MS_MAX
    """What was decided then belongs to the next one."""
    after: Position | None = None
    """The last line of the page before; None for the first page."""
    lines_max: int = LINES_MAX


@dataclass(frozen=True, slots=True)
class Deposit:
    """Add `amount` to `account`; tell the balance after."""

    account: AccountId
    amount: Money
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take `amount` out of `account`; tell the balance after."""

    account: AccountId
    amount: Money
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move `amount` from `source` to `destination` in one entry; tell the source's balance after."""

    source: AccountId
    destination: AccountId
    amount: Money
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Submit:
    """Carry out all postings or none; they sum to zero in each currency. Tell the first one's balance."""

    postings: tuple[Posting, ...]
    memo: str = ""


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account with a balance of 0 on these terms; its home branch decides."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class Reserve:
    """Set `amount` of `account` aside, to be captured or released later."""

    account: AccountId
    amount: Money
    destination: AccountId | None = None
    """Who receives what is captured; None where it leaves the bank."""
    lifetime_ms: int | None = None
    """After so long it expires by itself; None: never."""
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Take out what was set aside; the branch that reserved it decides."""

    reservation: ReservationId
    amount: Money | None = None
    """None: all that is left."""
    is_final: bool = True
    """Whether what is left then is released; otherwise it stays set aside."""
    memo: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Free what was set aside; the branch that reserved it decides."""

    reservation: ReservationId
    amount: Money | None = None
    """None: all that is left."""


SingleWrite = Deposit | Withdraw | Transfer | Submit | Reserve


@dataclass(frozen=True, slots=True)
class Moves(Sequence[Deposit | Withdraw | Transfer]):
    """Commands that are plain movements of money, in columns."""

    columns: Columns

    def __len__(self) -> int:
        return self.columns.size

    @overload
    def __getitem__(self, place: int) -> Deposit | Withdraw | Transfer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Deposit | Withdraw | Transfer, ...]: ...
    def __getitem__(
        self, place: int | slice
    ) -> Deposit | Withdraw | Transfer | tuple[Deposit | Withdraw | Transfer, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        source, destination, amount, memo = self.columns.movement(range(len(self))[place])
        if destination is None:
            assert source is not None, "a movement has a source or a destination"
            return Withdraw(source, amount, memo)
        if source is None:
            return Deposit(destination, amount, memo)
        return Transfer(source, destination, amount, memo)


@dataclass(frozen=True, slots=True)
class Batch:
    """Carry out many commands in one entry, in their order, each with an outcome of its own."""

    commands: Sequence[SingleWrite]
    """See `batch_of`."""
    is_atomic: bool = False
    """Whether all are refused where one is."""


Command = ReadBalance | ReadStatement | SingleWrite | OpenAccount | Capture | Release | Batch


def batch_of(commands: Iterable[SingleWrite], *, is_atomic: bool = False) -> Batch:
    """Return a batch, with its commands in columns where all are plain movements of money."""
    together = tuple(commands)
    if not together or {type(each) for each in together} - _MOVEMENTS.keys():
        return Batch(together, is_atomic)
    return Batch(Moves(Columns.of(_MOVEMENTS[type(each)](each) for each in together)), is_atomic)


_MOVEMENTS: dict[type, Callable[..., Movement]] = {
    Deposit: lambda command: Movement(None, command.account, command.amount, command.memo),
    Withdraw: lambda command: Movement(command.account, None, command.amount, command.memo),
    Transfer: lambda command: Movement(command.source, command.destination, command.amount, command.memo),
}


_READ_AND_WRITE = Access.READ | Access.WRITE


def access_of(command: Command) -> Access:
    """Return what `command` does: every one is answered with a balance, so every one reads."""
    return Access.READ if isinstance(command, ReadBalance | ReadStatement) else _READ_AND_WRITE


def accounts_of(command: Command) -> tuple[AccountId, ...]:
    """Return the accounts that `command` names, each once; the first is the one whose balance is told.

    A capture or release names none, only its reservation.
    """
    match command:
        case Transfer(source, destination):
            return (source, destination)
        case Submit(postings):
            return tuple(dict.fromkeys(posting.account for posting in postings))
        case OpenAccount(opening):
            return (opening.account,)
        case Reserve(account, _, destination):
            return (account,) if destination is None else (account, destination)
        case Capture() | Release():
            return ()
        case Batch(Moves(columns)):
            return tuple(columns.accounts)
        case Batch(commands):
            return tuple(dict.fromkeys(chain.from_iterable(accounts_of(each) for each in commands)))
        case _:
            return (command.account,)


def _fields_of(command: Command) -> list[object]:
    return [getattr(command, name) for name in type(command).__dataclass_fields__]


def fingerprint_of(customer: CustomerId, command: Command) -> str:
    """Return a short text that is the same exactly where customer and command are."""
    match command:
        case Batch(Moves(columns), is_atomic):
            parts = [customer, ["Batch", "Moves"], [columns, is_atomic]]
        case Batch(commands, is_atomic):
            # A deposit's parts look like a withdrawal's, so each command of a batch is told by its name too.
            names = ["Batch", *(type(each).__name__ for each in commands)]
            parts = [customer, names, [[_fields_of(each) for each in commands], is_atomic]]
        case _:
            parts = [customer, [type(command).__name__] * 2, _fields_of(command)]
    text = orjson.dumps(parts, default=tuple)
    if not text.isascii():
        # As earlier versions had it: else a key in their stores would be another request's when it is sent
        # again, and what happened long ago would be told not to have happened.
        text = json.dumps(parts, separators=(",", ":")).encode()
    return sha256(text).hexdigest()[:_FINGERPRINT_CHARACTERS]


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
    key: Key | None = None
    """The request's idempotency key; None where it may take effect as often as it is sent."""
    durable: int = 0
    """On how many other branches' disks it must be before it is acknowledged."""
    at_hand: bool = False
    """Of a batch: whether what lacks rights at this branch is refused at once and not held."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller of this request is gone. Nothing is answered any more; what was decided stays."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Drain:
    """The branch is stopping: refuse what is new, let what is held end by this deadline."""

    deadline_us: int


class Line(NamedTuple):
    """One line of a statement."""

    position: Position
    kind: RecordKind
    amount: Money
    balance: Money
    """After this line."""
    customer: CustomerId | None
    memo: str
    others: tuple[AccountId, ...]
    """The other accounts of the same transaction, at most OTHERS_MAX of them."""


class Statement(NamedTuple):
    """One page of a statement."""

    opening: Money
    """The balance before the first line of this page."""
    lines: tuple[Line, ...]
    closing: Money
    """The balance after its last line."""
    has_more: bool
    """Whether another page follows; ask for it `after` the last line's position."""
    begins_ms: int | None = None
    """Where lines from before then were asked for, and are kept no longer: `opening` is the balance at that
    moment, milliseconds since 1970."""


class Result(NamedTuple):
    """How one command of a batch ended."""

    outcome: Outcome
    detail: str = ""
    balance: Money | None = None
    available: Money | None = None
    reservation: ReservationId | None = None
    currency: str = ""
    """What the balance counts, where it is OK; empty for plain units."""


@dataclass(frozen=True, slots=True)
class MoveResults(Sequence[Result]):
    """How the commands of a batch of plain movements ended, in columns."""

    balances: Sequence[Money]
    """What each movement's first account had after it; 0 where it was refused."""
    available: Sequence[Money | None]
    """The same of what could be taken out; None where there is no floor."""
    refused: Mapping[int, Result]
    """The movements that did not happen, by their places, from 0."""
    currency: str = ""
    """What all the balances count; empty for plain units."""

    def __len__(self) -> int:
        return len(self.balances)

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Result, ...]: ...
    def __getitem__(self, place: int | slice) -> Result | tuple[Result, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        number = range(len(self))[place]
        if number in self.refused:
            return self.refused[number]
        return Result(Outcome.OK, "", self.balances[number], self.available[number], None, self.currency)


def outcomes_of(results: Sequence[Result]) -> Counter[Outcome]:
    """Return how many commands of a batch ended in which way."""
    if not isinstance(results, MoveResults):
        return Counter(result.outcome for result in results)
    done = Counter({Outcome.OK: len(results) - len(results.refused)})
    return done + Counter(result.outcome for result in results.refused.values())


def results_of(records: MoveRecords, currency: str = "") -> MoveResults:
    """Return what the caller of a batch of plain movements is told; all its accounts count `currency`."""
    refused = {
        place: Result(outcome, detail, balance, left)
        for place, (outcome, balance, left, detail) in records.refused.items()
    }
    return MoveResults(records.balances, records.available, refused, currency)


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
    available: Money | None = None
    """What can be taken out, where the balance is told; None where there is no floor."""
    entry: EntryId | None = None
    """What was written."""
    held_us: int = 0
    asked: int = 0
    """How many other branches had to be asked."""
    awaited: tuple[Gap, ...] = field(default=())
    """What the request was held for; for HOLD_TIMEOUT, what is missing still."""
    branch: BranchId | None = None
    """For BRANCH_UNREACHABLE, HOLD_TIMEOUT, RIGHTS_UNREACHABLE and OUTCOME_UNKNOWN: the branch named."""
    currency: str = ""
    """What the balance counts; empty for plain units."""
    is_replayed: bool = False
    """Whether this is what the same key was told before."""
    reservation: ReservationId | None = None
    """What was set aside."""
    results: Sequence[Result] = ()
    """Of a batch: how each of its commands ended."""
    statement: Statement | None = None
