"""What customers want of a bank: every kind of write, on accounts that they share.

Decides what is asked for. Must not know whom it is asked of, nor how often.
Proof: tests/faults/test_real_faults.py, which demands that every checker has something to judge.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from faults.accounts import Account, Accounts

from bankbook.client import Deposit, Reserve, SessionToken, Submit, Transfer, Withdraw
from bankbook.core.commands import SingleWrite
from bankbook.core.entry import Posting
from bankbook.core.types import AccountId, Money

# How many accounts each kind of write moves money on, or will.
_ACCOUNTS = {Deposit: 1, Withdraw: 1, Transfer: 2, Reserve: 2, Submit: 3}

# In how many cases; what is left is a single write.
_OPENS, _SETTLES, _BATCHES = 0.01, 0.1, 0.1

# Of the writes, how many a customer has a key of his own for, and how many go for what is there.
_HAS_KEY, _GOES_FOR_ALL = 0.7, 0.7

# Of the ends of a reservation.
_RELEASES, _CAPTURES_A_PART = 0.3, 0.2

# Before it expires: never, at once, or soon.
_LIFETIMES_MS = (None, None, 500, 4000)

# On how many other branches' disks a write is to be.
_DURABLE = (0, 0, 0, 0, 1, 2)

# Fewer accounts in use than that, and another one is opened.
_IN_USE_MIN = 3


@dataclass(eq=False)
class Wish:
    """What a customer wants once, however often he asks for it."""

    method: str
    """Of a session."""
    arguments: dict[str, Any]
    key: str | None
    durable: int = 0
    opens: Account | None = None
    is_done: bool = False


class Held(NamedTuple):
    """What is set aside."""

    reservation: str
    source: Account
    destination: Account
    amount: int


@dataclass(eq=False)
class World:
    """What all customers of one bank share."""

    branches: tuple[int, ...]
    accounts: Accounts
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often anybody was told what."""
    held: list[Held] = field(default_factory=list)
    tokens: list[SessionToken] = field(default_factory=list)
    """Left by customers for others to know what they know."""
    wishes: int = 0


class Wishes:
    """What one customer comes to want."""

    def __init__(self, name: str, world: World, draw: Random) -> None:
        self.available: dict[str, int] = {}
        """What the customer was last told to be available, of each account."""
        self._name = name
        self._world = world
        self._draw = draw

    def next(self) -> Wish:
        """Return something new."""
        is_short = len(self._world.accounts.in_use()) < _IN_USE_MIN
        if is_short or self._draw.random() < _OPENS:
            return self.opening()
        kind = self._draw.random()
        if kind < _SETTLES and self._world.held:
            return self._wish(*self._settling())
        writes = self._writes(self._draw.randint(1, 4) if kind < _SETTLES + _BATCHES else 1)
        if not writes:
            return self.opening()
        if kind < _SETTLES + _BATCHES:
            return self._wish("batch", {"commands": writes, "is_atomic": self._draw.choice([False, True])})
        return self._wish(*_as_call(writes[0]))

    def opening(self) -> Wish:
        """Open an account; on two disks, so that it outlives one."""
        account = self._world.accounts.new()
        arguments = {"account": account.name, "floor": account.floor}
        return Wish("open_account", arguments, self.new_key(), 1, account)

    def new_key(self) -> str:
        """Return a key born at any branch, or at the one that its checksum falls on."""
        self._world.wishes += 1
        births = ["", *(f"{branch}/" for branch in self._world.branches)]
        return f"{self._draw.choice(births)}{self._name}-{self._world.wishes}"

    def _settling(self) -> tuple[str, dict[str, Any]]:
        """Capture or release what was set aside, all of it or a part."""
        held = self._world.held.pop(self._draw.randrange(len(self._world.held)))
        kind = self._draw.random()
        if kind < _RELEASES:
            return "release", {"reservation": held.reservation}
        amount: int | None = held.amount
        if kind < _RELEASES + _CAPTURES_A_PART:
            amount = self._world.accounts.take([held.source, held.destination], held.amount - 1)
        return "capture", {"reservation": held.reservation, "amount": amount or held.amount}

    def _wish(self, method: str, arguments: dict[str, Any]) -> Wish:
        key = self.new_key() if self._draw.random() < _HAS_KEY else None
        return Wish(method, arguments, key, self._draw.choice(_DURABLE))

    def _writes(self, count: int) -> list[SingleWrite]:
        """Return so many writes, or fewer where accounts in use do not suffice."""
        return [write for _ in range(count) if (write := self._write()) is not None]

    def _write(self) -> SingleWrite | None:
        draw, accounts = self._draw, self._world.accounts
        kind = draw.choice([Deposit, Deposit, Withdraw, Withdraw, Transfer, Reserve, Submit])
        some = accounts.some(_ACCOUNTS[kind])
        if not some:
            return None
        goes_for_all = kind is not Deposit and draw.random() < _GOES_FOR_ALL
        amount = accounts.take(some, self.available.get(some[0].name) if goes_for_all else None)
        if amount is None:
            return None
        more = accounts.take(some) if kind is Submit else None
        memo = f"{self._name}-{draw.getrandbits(48):x}"
        names, money = [AccountId(each.name) for each in some], Money(amount)
        if kind is Deposit:
            return Deposit(names[0], money, memo)
        if kind is Withdraw:
            return Withdraw(names[0], money, memo)
        if kind is Transfer:
            return Transfer(names[0], names[1], money, memo)
        if kind is Reserve:
            return Reserve(names[0], money, names[1], draw.choice(_LIFETIMES_MS), memo)
        legs = zip(names, (-amount - (more or 0), amount, more or 0), strict=True)
        return Submit(tuple(Posting(name, Money(moved)) for name, moved in legs if moved), memo)


def _as_call(command: SingleWrite) -> tuple[str, dict[str, Any]]:
    """Return which method of a session asks for a command, and how."""
    match command:
        case Deposit(account, amount, memo):
            return "deposit", {"account": account, "amount": amount, "memo": memo}
        case Withdraw(account, amount, memo):
            return "withdraw", {"account": account, "amount": amount, "memo": memo}
        case Transfer(source, destination, amount, memo):
            return "transfer", {"account": source, "to": destination, "amount": amount, "memo": memo}
        case Reserve(account, amount, destination, lifetime_ms, memo):
            lifetime = None if lifetime_ms is None else lifetime_ms / 1000
            named = {"account": account, "to": destination, "amount": amount, "memo": memo}
            return "reserve", {**named, "lifetime": lifetime}
        case Submit(postings, memo):
            return "submit", {"postings": [(each.account, each.amount) for each in postings], "memo": memo}
