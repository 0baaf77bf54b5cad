"""Customers at real branches: whom they ask, how patiently, and what they do when nobody answers.

Decides all of that. Must not know what goes wrong meanwhile, nor what is right: everything is recorded, and
judged afterwards. All ask through the client library, those at one place behind the same proxies.
Proof: tests/faults/test_real_faults.py.
"""

import asyncio
from functools import partial
from random import Random
from typing import Any

from faults.accounts import Account
from faults.wishes import Held, Wish, Wishes, World

from bankbook.client import (
    LATEST,
    LOCAL,
    SESSION,
    Bank,
    BankbookError,
    Guarantee,
    OutcomeUnknownError,
    RefusedError,
    Session,
    WritesLostError,
    bounded,
)
from bankbook.core.types import BALANCE_MAX

# Between two requests of one customer, on the average.
_PAUSE_S = 0.08

# How long the bank may take, and how long the customer then waits: mostly for as long as he said.
_TIMEOUTS_S = (0.3, 1.0, 1.0, 2.0, 6.0)
_PATIENCES_S = (None, None, None, 0.1, 0.5)

_FRESHNESSES = (SESSION, SESSION, LOCAL, LATEST, LATEST, bounded(0.2), bounded(1.0), bounded(3.0))

_GUARANTEES = (
    *[Guarantee.ALL] * 6,
    Guarantee.READ_YOUR_WRITES | Guarantee.MONOTONIC_WRITES,
    Guarantee.MONOTONIC_READS | Guarantee.WRITES_FOLLOW_READS,
)

# In how many cases a customer does what, one after the other; else he wants something new.
_ASKS_AGAIN, _ASKS_TWICE, _LEAVES_TOKEN, _TAKES_TOKEN, _BEGINS_ANEW, _LOOKS = (
    0.2,
    0.05,
    0.03,
    0.03,
    0.02,
    0.32,
)

# Whoever wants to know the end of everything gives the bank so much time for each request.
_LAST_TIMEOUT_S = 5.0


class Customer:
    """Somebody who walks from branch to branch, and has a phone: two sessions."""

    def __init__(self, name: str, bank: Bank, world: World, draw: Random) -> None:
        self._name = name
        self._bank = bank
        self._world = world
        self._draw = draw
        self._wishes = Wishes(name, world, draw)
        self._desk, self._phone = self._new_session(), self._new_session()
        self._open: list[Wish] = []
        """What nobody has told him the end of."""

    async def live(self, is_over: asyncio.Event) -> None:
        """Ask for this and that until it is time to go home."""
        while not is_over.is_set():
            await asyncio.sleep(self._draw.expovariate(1 / _PAUSE_S))
            await self._act()

    async def settle(self) -> None:
        """Ask for what is open, again and again, until all of it has come to an end."""
        while self._open:
            await self._ask(self._desk, self._open.pop(0), _LAST_TIMEOUT_S, None)

    async def open_account(self) -> Account:
        """Open a new account; return it once it is open."""
        opening = self._wishes.opening()
        assert opening.opens is not None, "that is what opens one"
        self._open.append(opening)
        await self.settle()
        return opening.opens

    async def be_served(self) -> None:
        """Be served at every branch and at every level, now that nothing is wrong. Raises BankbookError.

        So every checker has something to judge, however little the faults let through.
        """
        mine, other, session = (
            await self.open_account(),
            await self.open_account(),
            self._bank.session(self._name),
        )
        take, branches = self._world.accounts.take, self._world.branches
        for here, there in zip(branches, (*branches[1:], branches[0]), strict=True):
            paid_in = take([mine], BALANCE_MAX) or 0
            await session.deposit(paid_in, account=mine.name, branch=here)
            passed_on = take([mine, other], paid_in - 1) or 0
            await session.transfer(other.name, passed_on, account=mine.name, branch=there)
            taken_out = take([other], passed_on - 1) or 0
            await session.withdraw(taken_out, account=other.name, branch=here)
            for account in (mine.name, other.name):
                for freshness in (SESSION, LATEST, bounded(0)):
                    await session.balance(account=account, branch=there, freshness=freshness)
                await session.statement_page(account=account, branch=there)

    async def _act(self) -> None:
        draw, tokens = self._draw, self._world.tokens
        if self._open and draw.random() < _ASKS_AGAIN:
            await self._ask_somehow(self._desk, self._open.pop(draw.randrange(len(self._open))))
        elif draw.random() < _ASKS_TWICE:
            await self._ask_twice_at_once()
        elif draw.random() < _LEAVES_TOKEN:
            tokens.append(self._desk.token)
        elif tokens and draw.random() < _TAKES_TOKEN:
            self._desk.merge(draw.choice(tokens))
        elif draw.random() < _BEGINS_ANEW:
            self._desk = self._new_session()
        elif draw.random() < _LOOKS:
            await self._look()
        else:
            await self._ask_somehow(self._desk, self._wishes.next())

    def _new_session(self) -> Session:
        return self._bank.session(self._name, guarantees=self._draw.choice(_GUARANTEES))

    async def _look(self) -> None:
        """Read a balance or a statement, as fresh as it may be."""
        session, draw = self._desk, self._draw
        account, freshness = self._world.accounts.any_name(), draw.choice(_FRESHNESSES)
        read = draw.choice([session.balance] * 4 + [session.statement_page])
        branch, timeout = self._any_branch(), draw.choice(_TIMEOUTS_S)
        ask = partial(read, account=account, freshness=freshness, branch=branch, timeout=timeout)
        self._note_available(account, await self._told(session, ask, draw.choice(_PATIENCES_S)))

    async def _ask_twice_at_once(self) -> None:
        """Send one key to two branches at the same time, from two sessions that know the same."""
        wish = self._wishes.next()
        wish.key = wish.key or self._wishes.new_key()
        self._phone.merge(self._desk.token)
        await asyncio.gather(self._ask_somehow(self._desk, wish), self._ask_somehow(self._phone, wish))

    async def _ask_somehow(self, session: Session, wish: Wish) -> None:
        await self._ask(session, wish, self._draw.choice(_TIMEOUTS_S), self._draw.choice(_PATIENCES_S))

    async def _ask(self, session: Session, wish: Wish, timeout: float, patience_s: float | None) -> None:
        """Ask, and perhaps hang up; what has come to no end then is asked for some other time."""
        method = getattr(session, wish.method)
        where = {"branch": self._any_branch(), "timeout": timeout}
        ask = partial(method, **wish.arguments, key=wish.key, durable=wish.durable, **where)
        answer = await self._told(session, ask, patience_s)
        if isinstance(answer, OutcomeUnknownError):
            wish.key = answer.key  # the library's own, where the customer had none
        if isinstance(answer, BankbookError | None):
            is_end = isinstance(answer, RefusedError) and not isinstance(answer, WritesLostError)
        else:
            is_end = True
            if not wish.is_done:  # what was asked twice at once may be told twice
                self._note_done(wish, answer)
        self._open = [each for each in self._open if each is not wish]
        if not is_end and wish.key is not None:
            self._open.append(wish)

    async def _told(self, session: Session, ask: Any, patience_s: float | None) -> Any:
        """Return what he was told: a receipt, an error, or nothing if he did not wait for it."""
        try:
            async with asyncio.timeout(patience_s):
                answer = await ask()
        except TimeoutError:
            self._world.outcomes["hung up"] += 1
            return None
        except BankbookError as error:
            self._world.outcomes[error.outcome.name] += 1
            if isinstance(error, WritesLostError):
                self._begin_anew(session)
            return error
        self._world.outcomes["OK"] += 1
        return answer

    def _begin_anew(self, session: Session) -> None:
        """Do as the error says: what this session knows is gone with a disk, and maybe what others know."""
        if session is self._desk:
            self._desk = self._new_session()
        self._phone = self._new_session()
        self._world.tokens.clear()

    def _note_done(self, wish: Wish, answer: Any) -> None:
        wish.is_done = True
        accounts = self._world.accounts.open
        if wish.opens is not None:
            accounts.append(wish.opens)
        if wish.method == "reserve":
            named = {each.name: each for each in accounts}
            source, destination = named[wish.arguments["account"]], named[wish.arguments["to"]]
            self._world.held.append(Held(answer.reservation, source, destination, wish.arguments["amount"]))
        if "account" in wish.arguments:
            self._note_available(wish.arguments["account"], answer)

    def _note_available(self, account: str, answer: Any) -> None:
        available = getattr(answer, "available", None)
        if available is not None:
            self._wishes.available[account] = available

    def _any_branch(self) -> int | None:
        return self._draw.choice([None, *self._world.branches])
