"""A crowd at one counter: a customer who asks for several plain movements at once, again and again.

What they ask for travels together (bankbook.client.coalescing). No scenario's customer does that: these ask
for one thing at a time. Each caller is judged alone: what they were told is what their movement came to.

Decides what the crowd asks for, all from the seed. Must not know what goes wrong meanwhile, nor how calls are
put together. Proof: tests/simulation/test_crowd.py.
"""

import asyncio

from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError, OutcomeUnknownError
from bankbook.client.session import Session
from bankbook.core.commands import Deposit, Transfer, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, CustomerId
from bankbook.simulation.amounts import Amounts
from bankbook.simulation.operations import Intent
from bankbook.simulation.promises import Promise, ViolationError
from bankbook.simulation.world import World
from bankbook.wire.replies import Receipt

CROWD = CustomerId("crowd")
ACCOUNTS = (AccountId("crowd-1"), AccountId("crowd-2"))
_BOTH = (CustomerId("crowd-1"), CustomerId("crowd-2"))

# Of so many seeds, one has a crowd: it takes time from what the others try.
ONE_IN = 3

_SIZE_MAX = 9
_PAUSE_S = (0.1, 4.0)
_SETTLE_TIMEOUT_S, _SETTLE_ATTEMPTS = 20.0, 4


class Crowd:
    """One session, and all who call in its name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._draw = world.chance("crowd")
        self._bank = world.client(CROWD, 30.0)
        self._session = self._bank.session(CROWD)
        self._amounts = Amounts(self._draw)
        self._asked = 0
        self.intents: list[Intent] = []
        """What they asked for; never `sent`, so that nobody else asks for it again."""

    async def open_accounts(self) -> None:
        """Open the accounts, where none is there from the beginning."""
        for account in ACCOUNTS:
            await self._session.open_account(account)

    async def call(self) -> None:
        """Call until there are no more amounts to ask for; fails the simulation by a violation."""
        try:
            while burst := self._burst():
                await asyncio.sleep(self._draw.uniform(*_PAUSE_S))
                branch = self._draw.choice([None, None, *self._world.branches])
                manner = Manner(branch, self._draw.choice([None, None, 5.0]))
                self._world.trace.note("burst", f"{len(burst)} at {branch}")
                await asyncio.gather(*(self._ask(self._session, intent, manner) for intent in burst))
        except Exception as error:  # noqa: BLE001  (whatever it is, this seed found it)
            self._world.fail(error)

    async def settle(self) -> None:
        """Ask what became of each call in doubt, by the key that its caller got. Raises ViolationError."""
        for intent in self.intents:
            for _ in range(_SETTLE_ATTEMPTS):
                if intent.is_settled or intent.key is None:
                    break
                branch = self._draw.choice(list(self._world.branches))
                session = self._bank.session(CROWD)
                await self._ask(session, intent, Manner(branch, _SETTLE_TIMEOUT_S, key=intent.key))
                self._world.judge.judged[Promise.KEYS_SETTLED] += 1
            if intent.key is not None and not intent.is_settled:
                raise ViolationError(Promise.KEYS_SETTLED, f"{intent.name}, key {intent.key}, has no end")

    def _burst(self) -> list[Intent]:
        drawn = [self._intent() for _ in range(self._draw.randint(2, _SIZE_MAX))]
        burst = [intent for intent in drawn if intent is not None]
        self.intents += burst
        return burst

    def _intent(self) -> Intent | None:
        amount = self._amounts.take(*_BOTH, is_large=self._draw.random() < 0.1)  # noqa: PLR2004
        if amount is None:
            return None
        one, other = self._draw.sample(ACCOUNTS, 2)
        self._asked += 1
        name = f"crowd-call-{self._asked}"
        commands = (
            Deposit(one, amount, name),
            Deposit(one, amount, name),
            Withdraw(one, amount, name),
            Transfer(one, other, amount, name),
        )
        return Intent(name, self._draw.choice(commands), None, CROWD)

    async def _ask(self, session: Session, intent: Intent, manner: Manner) -> None:
        ended: Receipt | BankbookError
        try:
            # What all of the session's methods do.
            answer = await session._carry_out(intent.command, manner)  # noqa: SLF001
            assert isinstance(answer, Receipt), "a movement is answered with it"
            ended = answer
        except BankbookError as error:
            ended = error
            if error.outcome is Outcome.WRITES_LOST and session is self._session:
                self._session = self._bank.session(CROWD)
        is_first = intent.key is None
        self._world.judge.on_call(intent, ended, is_first=is_first)
        intent.take_note(ended)
        if isinstance(ended, OutcomeUnknownError):
            intent.key = intent.key or ended.key
        outcome = ended.outcome.name if isinstance(ended, BankbookError) else f"OK {ended.entry}"
        self._world.trace.note("call of the crowd", f"{intent.name} {outcome}")
