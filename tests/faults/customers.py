"""Customers at real branches: what they ask, how patiently, and what they do when nobody answers.

Decides what is asked, of which branch. Must not know what goes wrong meanwhile, nor what is right: everything is
recorded, and judged afterwards. Each asks through the client library, behind proxies of his own.
Proof: tests/faults/test_customers.py.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from faults.accounts import Account, Accounts

from bankbook.client import (
    LATEST,
    LOCAL,
    SESSION,
    Bank,
    BankbookError,
    Deposit,
    Guarantee,
    OutcomeUnknownError,
    RefusedError,
    Reserve,
    Session,
    SessionToken,
    Submit,
    Transfer,
    Withdraw,
    WritesLostError,
    bounded,
)
from bankbook.core.commands import SingleWrite
from bankbook.core.entry import Posting
from bankbook.core.types import AccountId, Money

_PAUSE_S = 0.08
"""Between two requests of one customer, on the average."""

_TIMEOUTS_S = (0.3, 1.0, 3.0, 6.0)

# How long a customer waits before he hangs up: for as long as he said, mostly.
_PATIENCES_S = (None, None, None, 0.1, 0.5)

_FRESHNESSES = (SESSION, SESSION, LOCAL, LATEST, LATEST, bounded(0.2), bounded(1.0), bounded(3.0))

_GUARANTEES = (
    *[Guarantee.ALL] * 6,
    Guarantee.READ_YOUR_WRITES | Guarantee.MONOTONIC_WRITES,
    Guarantee.MONOTONIC_READS | Guarantee.WRITES_FOLLOW_READS,
)


@dataclass
class Intent:
    """What a customer wants once, however often he asks for it."""

    method: str
    """Of a session."""
    arguments: dict[str, Any]
    key: str | None
    durable: int
    account: Account | None = None
    """Of an opening: what is open then."""


@dataclass
class World:
    """What all customers of one bank share."""

    branches: tuple[int, ...]
    accounts: Accounts
    told: Counter[str] = field(default_factory=Counter)
    """How often they were told what."""
    reservations: list[tuple[str, Account, Account, int]] = field(default_factory=list)
    """Name, accounts and amount of what is set aside."""
    tokens: list[SessionToken] = field(default_factory=list)
    intents: int = 0


class Customer:
    """Somebody who walks from branch to branch, with a desk and a phone at home: two sessions."""

    def __init__(self, name: str, bank: Bank, world: World, draw: Random) -> None:
        self.name = name
        self.open: list[Intent] = []
        """What nobody has told him the end of."""
        self._bank = bank
        self._world = world
        self._draw = draw
        self._desk = self._new_session()
        self._phone = self._new_session()
        self._available: dict[str, int] = {}
        """Of each account: what he was told last."""

    async def live(self, is_over: asyncio.Event) -> None:
        """Ask for this and that until it is time to go home."""
        while not is_over.is_set():
            await asyncio.sleep(self._draw.expovariate(1 / _PAUSE_S))
            await self._act()

    async def settle(self) -> None:
        """Ask again for what is open, until all of it has come to an end."""
        while self.open:
            await self._ask(self._desk, self.open.pop(0), timeout=5.0, patience_s=None)

    async def open_account(self) -> None:
        """Open a new account, and ask until it is open."""
        self.open.append(self._opening())
        await self.settle()

    async def _act(self) -> None:
        kind = self._draw.random()
        if self.open and kind < 0.2:
            await self._ask(self._desk, self.open.pop(self._draw.randrange(len(self.open))))
        elif kind < 0.25:
            await self._ask_twice_at_once()
        elif kind < 0.28:
            self._world.tokens.append(self._desk.token)
        elif kind < 0.31 and self._world.tokens:
            self._desk.merge(self._draw.choice(self._world.tokens[-5:]))
        elif kind < 0.33:
            self._desk = self._new_session()
        elif kind < 0.65:
            await self._look()
        else:
            await self._ask(self._desk, self._new_intent())

    def _new_session(self) -> Session:
        return self._bank.session(self.name, guarantees=self._draw.choice(_GUARANTEES))

    async def _look(self) -> None:
        """Read a balance or a statement, as fresh as it may be."""
        session, draw, name = self._desk, self._draw, self._world.accounts.any_name()
        read = session.balance if draw.random() < 0.8 else session.statement_page
        freshness, branch = draw.choice(_FRESHNESSES), self._any_branch()
        look = partial(read, account=name, freshness=freshness, branch=branch, timeout=self._timeout_s())
        answer = await self._told(session, look, draw.choice(_PATIENCES_S))
        self._note_available(name, answer)

    async def _ask_twice_at_once(self) -> None:
        """Send one key to two branches at the same time, from two sessions that know the same."""
        intent = self._new_intent()
        intent.key = intent.key or self._new_key()
        self._phone.merge(self._desk.token)
        await asyncio.gather(self._ask(self._desk, intent), self._ask(self._phone, intent))

    async def _ask(
        self,
        session: Session,
        intent: Intent,
        *,
        timeout: float | None = None,
        patience_s: float | None = -1.0,
    ) -> None:
        """Ask, and perhaps hang up; what has no end then is asked for again some other time."""
        patience_s = self._draw.choice(_PATIENCES_S) if patience_s == -1.0 else patience_s
        ask = partial(
            getattr(session, intent.method),
            **intent.arguments,
            key=intent.key,
            durable=intent.durable,
            branch=self._any_branch(),
            timeout=timeout or self._timeout_s(),
        )
        answer = await self._told(session, ask, patience_s)
        match answer:
            case OutcomeUnknownError(key=key):
                intent.key = key
                self._put_off(intent)
            case None | WritesLostError():
                self._put_off(intent)
            case RefusedError():
                self._forget(intent)
            case BankbookError():
                self._put_off(intent)
            case _:
                self._forget(intent)
                self._note_done(intent, answer)

    async def _told(self, session: Session, ask: Any, patience_s: float | None) -> Any:
        """Return what he was told: a receipt, an error, or nothing if he did not wait for it."""
        try:
            async with asyncio.timeout(patience_s):
                answer = await ask()
        except TimeoutError:
            self._world.told["hung up"] += 1
            return None
        except BankbookError as error:
            self._world.told[error.outcome.name] += 1
            if isinstance(error, WritesLostError):
                self._begin_anew(session)
            return error
        self._world.told["OK"] += 1
        return answer

    def _begin_anew(self, session: Session) -> None:
        """Do as the error says: what this session knows is lost with a disk."""
        if session is self._desk:
            self._desk = self._new_session()
        self._phone = self._new_session()
        self._world.tokens.clear()

    def _put_off(self, intent: Intent) -> None:
        # Without a key he cannot ask for the same again, and knows no more of it.
        if intent.key is not None and not any(each is intent for each in self.open):
            self.open.append(intent)

    def _forget(self, intent: Intent) -> None:
        self.open = [each for each in self.open if each is not intent]

    def _note_done(self, intent: Intent, answer: Any) -> None:
        if intent.account is not None and intent.account not in self._world.accounts.open:
            self._world.accounts.open.append(intent.account)
        if intent.method == "reserve" and answer.reservation is not None:
            one, other = intent.arguments["account"], intent.arguments["to"]
            found = {each.name: each for each in self._world.accounts.open}
            held = (answer.reservation, found[one], found[other], intent.arguments["amount"])
            self._world.reservations.append(held)
        self._note_available(intent.arguments.get("account"), answer)

    def _note_available(self, name: str | None, answer: Any) -> None:
        available = getattr(answer, "available", None)
        if name is not None and available is not None:
            self._available[name] = available

    def _any_branch(self) -> int | None:
        return self._draw.choice([None, *self._world.branches])

    def _timeout_s(self) -> float:
        return self._draw.choice(_TIMEOUTS_S)

    def _new_key(self) -> str:
        """Return a key born at any branch, or at the one that its checksum falls on."""
        self._world.intents += 1
        return f"{self._draw.choice(['', '1/', '2/', '3/'])}{self.name}-{self._world.intents}"

    def _new_intent(self) -> Intent:
        draw = self._draw
        accounts = self._world.accounts
        if len(accounts.current()) < 3 or draw.random() < 0.01:
            return self._opening()
        kind = draw.random()
        if kind < 0.1 and self._world.reservations:
            method, arguments = self._settling()
        elif kind < 0.2:
            commands = [each for _ in range(draw.randint(2, 4)) if (each := self._command())]
            method, arguments = "batch", {"commands": commands, "is_atomic": draw.random() < 0.5}
        else:
            command = self._command()
            if command is None:
                return self._opening()
            method, arguments = _as_arguments(command)
        key = self._new_key() if draw.random() < 0.7 else None
        return Intent(method, arguments, key, draw.choice([0, 0, 0, 0, 1, 2]))

    def _opening(self) -> Intent:
        """Open an account; on two disks, so that it outlives one."""
        account = self._world.accounts.draw_new()
        arguments = {"account": account.name, "floor": account.floor}
        return Intent("open_account", arguments, self._new_key(), 1, account)

    def _settling(self) -> tuple[str, dict[str, Any]]:
        """Capture or release what was set aside, all of it or a part."""
        draw, held = self._draw, self._world.reservations
        reservation, source, destination, amount = held.pop(draw.randrange(len(held)))
        if draw.random() < 0.3:
            return "release", {"reservation": reservation}
        if draw.random() < 0.3:
            part = self._world.accounts.take(source, destination, at_most=amount - 1)
            if part is not None and part < amount:
                return "capture", {"reservation": reservation, "amount": part}
        return "capture", {"reservation": reservation, "amount": amount}

    def _command(self) -> SingleWrite | None:
        """Return a new write; None where no account has anything left for it."""
        draw, accounts = self._draw, self._world.accounts
        memo = f"{self.name}-{self._world.intents}-{draw.getrandbits(32):x}"
        kind = draw.choice(["deposit", "deposit", "withdraw", "withdraw", "transfer", "reserve", "submit"])
        some = accounts.some({"deposit": 1, "withdraw": 1, "submit": 3}.get(kind, 2))
        if len(some) < {"deposit": 1, "withdraw": 1, "submit": 3}.get(kind, 2):
            return None
        at_most = self._available.get(some[0].name) if draw.random() < 0.7 else None
        amount = accounts.take(*some, at_most=None if kind == "deposit" else at_most)
        if amount is None:
            return None
        one, money = AccountId(some[0].name), Money(amount)
        match kind:
            case "deposit":
                return Deposit(one, money, memo)
            case "withdraw":
                return Withdraw(one, money, memo)
            case "transfer":
                return Transfer(one, AccountId(some[1].name), money, memo)
            case "reserve":
                lifetime_ms = draw.choice([None, None, 500, 4000])
                return Reserve(one, money, AccountId(some[1].name), lifetime_ms, memo)
            case _:
                more = accounts.take(*some) or 0
                names = [AccountId(each.name) for each in some]
                legs = zip(names, (-amount - more, amount, more), strict=True)
                return Submit(tuple(Posting(name, Money(moved)) for name, moved in legs if moved), memo)


def _as_arguments(command: SingleWrite) -> tuple[str, dict[str, Any]]:
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
            told = {"account": account, "to": destination, "amount": amount, "memo": memo}
            return "reserve", {**told, "lifetime": lifetime}
        case Submit(postings, memo):
            return "submit", {"postings": [(each.account, each.amount) for each in postings], "memo": memo}
