"""Commands whose effects can be told from balances afterwards, and what customers were told of each.

Every command moves its own power of four, once; so each place of a balance, in base four, tells how often
that command took effect: not at all, once, or, which must never be, twice.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

import pytest

from bankbook.client import (
    Deposit,
    InsufficientFundsError,
    OutcomeUnknownError,
    ReservationEndedError,
    RetryableError,
    Session,
    StatementLine,
    Withdraw,
)
from bankbook.core.types import AccountId, EntryId, Money

BASE = 4
# 4^24 is the largest power of which a few still fit what a branch keeps exactly.
PLACES = 25

# What every account has at first: the largest amount can be taken out only with the rights of all branches,
# and often not at all.
OPENING = Money(BASE ** (PLACES - 1))

# How many of the simple commands go without a key of the customer's own.
_WITHOUT_KEY = 0.3

# Long enough for a branch that is being restarted, or not.
_TIMEOUT_S = 3.0


class Kind(Enum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    BATCH = "batch"
    """A deposit to the first account and a withdrawal from the second one."""
    CAPTURED = "captured"
    """Reserved and captured, in favour of the second account."""
    RELEASED = "released"
    """Reserved and released."""


class Told(Enum):
    """What the customer knows in the end."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Piece:
    """One command: what it moves, and what the customer was told."""

    kind: Kind
    page: int
    place: int
    told: Told = Told.UNKNOWN
    entries: list[EntryId] = field(default_factory=list)
    is_second_done: bool = False
    """Of a batch: whether its withdrawal took effect."""

    @property
    def amount(self) -> int:
        return int(BASE**self.place)

    @property
    def name(self) -> str:
        return f"{self.kind.value}-{self.page}-{self.place}"

    @property
    def first(self) -> str:
        return f"first-{self.page}"

    @property
    def second(self) -> str:
        return f"second-{self.page}"

    def moves(self) -> dict[str, int]:
        """Return by how many times its amount it changes which account, once it took effect."""
        second = -1 if self.is_second_done else 0
        return {
            Kind.DEPOSIT: {self.first: 1},
            Kind.WITHDRAWAL: {self.first: -1},
            Kind.TRANSFER: {self.first: -1, self.second: 1},
            Kind.BATCH: {self.first: 1, self.second: second},
            Kind.CAPTURED: {self.first: -1, self.second: 1},
            Kind.RELEASED: {},
        }[self.kind]


class Customers:
    """Hands out pieces of work, each once, and carries them out until the customer knows how they ended."""

    def __init__(self, chance: random.Random, branches: int) -> None:
        self.pieces: list[Piece] = []
        self.attempts = 0
        self._chance = chance
        self._branches = branches

    @property
    def done(self) -> int:
        """How many pieces customers know to be done."""
        return sum(piece.told is Told.DONE for piece in self.pieces)

    async def carry_out_one(self, session: Session) -> None:
        """Have a new piece carried out, and note what the customer was told of it."""
        page, place = divmod(len(self.pieces), PLACES)
        piece = Piece(self._chance.choice(list(Kind)), page, place)
        self.pieces.append(piece)
        try:
            await self._do(piece, session)
        except InsufficientFundsError:
            piece.told = Told.REFUSED
        except RetryableError:
            piece.told = Told.REFUSED  # it says that nothing happened
        except OutcomeUnknownError:
            piece.told = Told.UNKNOWN
        else:
            piece.told = Told.DONE

    async def _do(self, piece: Piece, session: Session) -> None:
        first, second, amount, named = piece.first, piece.second, Money(piece.amount), self._named(piece)
        ask = partial(self._ask, piece, named)
        match piece.kind:
            case Kind.DEPOSIT:
                await ask(partial(session.deposit, amount, account=first, memo=piece.name))
            case Kind.WITHDRAWAL:
                await ask(partial(session.withdraw, amount, account=first, memo=piece.name))
            case Kind.TRANSFER:
                await ask(partial(session.transfer, second, amount, account=first, memo=piece.name))
            case Kind.BATCH:
                added = Deposit(AccountId(first), amount, piece.name)
                taken = Withdraw(AccountId(second), amount, piece.name)
                receipt = await ask(partial(session.batch, [added, taken]))
                piece.is_second_done = not receipt.refused
            case Kind.CAPTURED | Kind.RELEASED:
                reserve = partial(session.reserve, amount, account=first, to=second, memo=piece.name)
                await self._settle(piece, session, (await ask(reserve)).reservation)

    async def _settle(self, piece: Piece, session: Session, reservation: str) -> None:
        """End a reservation, at any branch; and see that it cannot be ended twice."""
        end = partial(session.release, reservation)
        if piece.kind is Kind.CAPTURED:
            end = partial(session.capture, reservation, memo=piece.name)
        await self._ask(piece, {"key": self._key(f"{piece.name}.end")}, end)
        with pytest.raises(ReservationEndedError):
            await self._ask(piece, {"key": self._key(f"{piece.name}.again")}, end)

    def _named(self, piece: Piece) -> dict[str, str]:
        """Return a key; or none, where the library makes one up and the customer need not know all."""
        is_simple = piece.kind in {Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.TRANSFER}
        return {} if is_simple and self._chance.random() < _WITHOUT_KEY else {"key": self._key(piece.name)}

    def _key(self, name: str) -> str:
        """Return a key born at any branch, or at the one that its checksum falls on."""
        born = self._chance.randrange(self._branches + 1)
        return f"{born}/{name}" if born else name

    async def _ask(self, piece: Piece, named: Mapping[str, str], ask: Callable[..., Awaitable[Any]]) -> Any:
        """Ask one branch or whichever can be reached; with a key, again until the customer knows."""
        while True:
            self.attempts += 1
            branch = self._chance.choice([None, *range(1, self._branches + 1)])
            try:
                receipt = await ask(branch=branch, timeout=_TIMEOUT_S, **named)
            except (RetryableError, OutcomeUnknownError):
                if not named:
                    raise
            else:
                assert receipt.entry is not None
                piece.entries.append(receipt.entry)
                return receipt


def settle_doubts(pieces: list[Piece], lines: Iterable[StatementLine]) -> None:
    """Take from a statement what became of the pieces whose customer does not know."""
    memos = {line.memo for line in lines}
    for piece in pieces:
        if piece.told is Told.UNKNOWN:
            piece.told = Told.DONE if piece.name in memos else Told.REFUSED


def expected_balances(pieces: list[Piece]) -> dict[str, int]:
    """Return every account's balance if exactly what is known to be done took effect, and once."""
    balances: Counter[str] = Counter()
    for piece in pieces:
        balances.update({piece.first: 0, piece.second: 0})
        if piece.told is Told.DONE:
            balances.update({account: times * piece.amount for account, times in piece.moves().items()})
    return {account: OPENING + moved for account, moved in balances.items()}


def expected_lines(pieces: list[Piece]) -> Counter[tuple[str, str, int]]:
    """Return all statements without their order: account, memo and amount of each line."""
    return Counter(
        (account, piece.name, times * piece.amount)
        for piece in pieces
        if piece.told is Told.DONE
        for account, times in piece.moves().items()
        if times
    )
