"""How one session's requests go out: what they carry along, and what their answers teach.

Decides which token a request carries, and which branch is asked first. Must not know what is asked, nor how
often a request is tried. Proof: tests/client/test_bank.py, tests/client/test_failover.py.
"""

import asyncio
from collections.abc import Callable

from bankbook.client.attempts import ClosedError, Missed
from bankbook.client.calls import Calls, Manner
from bankbook.client.errors import BankbookError, error_for
from bankbook.client.recorder import SessionRecorder
from bankbook.client.retries import Plan
from bankbook.client.token import SessionToken
from bankbook.core.commands import Command
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import CustomerId
from bankbook.wire.replies import Answer
from bankbook.wire.requests import Envelope

# Each request under way can bring a token of its own, of up to about 500 bytes in a bank of twenty branches,
# and the session's next request takes them all along: 64 kB hold 128 of these. A session that asks for more
# at once waits for its own earlier requests.
REQUESTS_UNDER_WAY_MAX = 128


def _nothing() -> None:
    pass


class Sender:
    """Sends one session's requests, and knows what the session knows."""

    def __init__(
        self, calls: Calls, customer: CustomerId, token: SessionToken, guarantees: Guarantee
    ) -> None:
        self.calls = calls
        self.customer = customer
        self.token = token
        """What this session knows by now."""
        self.under_way = asyncio.Semaphore(REQUESTS_UNDER_WAY_MAX)
        """Who has one of these may `ask`."""
        self._guarantees = guarantees
        self._usual = calls.branches[0]
        """The branch that is asked first: the last one that answered."""
        self._recorder = calls.recorder_for(customer, guarantees)

    def plan(self, command: Command, manner: Manner) -> Plan:
        """Return how a request is going to be tried, from the session's usual branch on."""
        return self.calls.plan(command, manner, self._usual)

    async def send(self, command: Command, manner: Manner) -> Answer:
        """Carry out a request, once there is room for one more.

        Raises BankbookError, ClosedError, OSError.
        """
        async with self.under_way:
            return await self.ask(command, manner, self.plan(command, manner))

    async def ask(
        self, command: Command, manner: Manner, plan: Plan, on_missed: Callable[[], None] = _nothing
    ) -> Answer:
        """Carry out a request as planned; `on_missed` is told of each attempt that did not end well.

        Raises BankbookError, ClosedError, OSError.
        """
        if self._recorder is None:
            return await self._ask(command, manner, plan, on_missed)
        await self.calls.begin_recording()
        return await self._ask_on_record(command, manner, plan, on_missed, self._recorder)

    async def _ask_on_record(
        self,
        command: Command,
        manner: Manner,
        plan: Plan,
        on_missed: Callable[[], None],
        recorder: SessionRecorder,
    ) -> Answer:
        asked = recorder.ask(command, plan, manner.freshness, manner.durable)
        try:
            answer = await self._ask(command, manner, plan, on_missed)
        except BankbookError as error:
            asked.failed(error.failure)
            raise
        except BaseException:
            asked.left()
            raise
        asked.told(answer)
        return answer

    async def _ask(
        self, command: Command, manner: Manner, plan: Plan, on_missed: Callable[[], None]
    ) -> Answer:
        try:
            return await self._persist(command, manner, plan, on_missed)
        except ClosedError:
            if plan.is_in_doubt:
                raise error_for(plan.doubt(), plan.key) from None
            raise

    async def _persist(
        self, command: Command, manner: Manner, plan: Plan, on_missed: Callable[[], None]
    ) -> Answer:
        while isinstance(answer := await self._attempt(command, manner, plan), Missed):
            on_missed()
            pause_s = plan.pause_after(answer, asyncio.get_running_loop().time())
            if pause_s is None:
                raise error_for(plan.verdict(answer.failure), plan.key) from answer.cause
            await self.calls.pause(pause_s)
        return answer

    async def _attempt(self, command: Command, manner: Manner, plan: Plan) -> Answer | Missed:
        sent = self.token
        envelope = Envelope(
            self.customer,
            bytes(sent),
            self._guarantees,
            manner.freshness,
            plan.key,
            manner.durable,
            manner.at_hand,
        )
        answer = await self.calls.attempt(command, envelope, plan)
        info = answer.failure.info if isinstance(answer, Missed) else answer.info
        if info is not None:
            self._learn(sent, info.token)
        if not isinstance(answer, Missed):
            self._usual = plan.branch
        return answer

    def learn(self, told: bytes) -> None:
        """Know what an answer taught that was given to another session."""
        self.token = self.token.merge(SessionToken([told]))

    def _learn(self, sent: SessionToken, replied: bytes) -> None:
        """Put the reply's token in the place of what it covers: all that was sent, and no more.

        Other requests may have been answered meanwhile; what they taught is kept.
        """
        self.token = SessionToken((self.token.parts - sent.parts) | {replied})
