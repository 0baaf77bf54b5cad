"""What every request of a session goes through: it carries the token, is tried, recorded, and learnt from.

Decides which token a request carries, and which branch is asked first. Must not know what is asked for, how
branches do what they do, nor how often a request is tried.
Proof: tests/client/test_bank.py, tests/client/test_failover.py.
"""

import asyncio

from bankbook.client.attempts import ClosedError, Missed
from bankbook.client.calls import Calls, Manner
from bankbook.client.errors import BankbookError, error_for
from bankbook.client.recorder import SessionRecorder
from bankbook.client.retries import Plan
from bankbook.client.token import SessionToken
from bankbook.core.bounds import (
    complaint_about,
    complaint_about_customer,
    complaint_about_freshness,
    complaint_about_key,
)
from bankbook.core.commands import Command
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import CustomerId, Key
from bankbook.wire.replies import Answer, Receipt
from bankbook.wire.requests import Envelope, complaint_about_durable
from bankbook.wire.status import Failure

# Each request under way can bring a token of its own, of up to about 500 bytes in a bank of twenty branches,
# and the session's next request takes them all along: 64 kB hold 128 of these. A session that asks for more
# at once waits for its own earlier requests.
REQUESTS_UNDER_WAY_MAX = 128


class Asking:
    """The token of one customer's line of work, and how it asks branches with it."""

    def __init__(self, calls: Calls, customer: str, token: SessionToken, guarantees: Guarantee) -> None:
        self._calls = calls
        self._customer = CustomerId(customer)
        self._token = token
        self._guarantees = guarantees
        self._usual = calls.branches[0]
        """The branch that is asked first: the last one that answered."""
        self._under_way = asyncio.Semaphore(REQUESTS_UNDER_WAY_MAX)
        self._recorder = calls.recorder_for(customer, guarantees)

    async def _carry_out(self, command: Command, manner: Manner) -> Answer:
        complaint = self._complaint(command, manner)
        if complaint is not None:
            raise refused(complaint, manner.key)
        async with self._under_way:
            if self._recorder is None:
                return await self._ask(command, manner, self._calls.plan(command, manner, self._usual))
            await self._calls.begin_recording()
            return await self._ask_on_record(command, manner, self._recorder)

    async def _ask_on_record(self, command: Command, manner: Manner, recorder: SessionRecorder) -> Answer:
        plan = self._calls.plan(command, manner, self._usual)
        asked = recorder.ask(command, plan, manner.freshness, manner.durable)
        try:
            answer = await self._ask(command, manner, plan)
        except BankbookError as error:
            asked.failed(error.failure)
            raise
        except BaseException:
            asked.left()
            raise
        asked.told(answer)
        return answer

    async def _ask(self, command: Command, manner: Manner, plan: Plan) -> Answer:
        try:
            return await self._persist(command, manner, plan)
        except ClosedError:
            if plan.is_in_doubt:
                raise error_for(plan.doubt(), plan.key) from None
            raise

    async def _receipt(self, command: Command, manner: Manner) -> Receipt:
        answer = await self._carry_out(command, manner)
        assert isinstance(answer, Receipt), "the method answers with it"
        return answer

    async def _persist(self, command: Command, manner: Manner, plan: Plan) -> Answer:
        while isinstance(answer := await self._attempt(command, manner, plan), Missed):
            pause_s = plan.pause_after(answer, asyncio.get_running_loop().time())
            if pause_s is None:
                raise error_for(plan.verdict(answer.failure), plan.key) from answer.cause
            await self._calls.pause(pause_s)
        return answer

    async def _attempt(self, command: Command, manner: Manner, plan: Plan) -> Answer | Missed:
        sent = self._token
        envelope = Envelope(
            self._customer, bytes(sent), self._guarantees, manner.freshness, plan.key, manner.durable
        )
        answer = await self._calls.attempt(command, envelope, plan)
        info = answer.failure.info if isinstance(answer, Missed) else answer.info
        if info is not None:
            self._learn(sent, info.token)
        if not isinstance(answer, Missed):
            self._usual = plan.branch
        return answer

    def _complaint(self, command: Command, manner: Manner) -> str | None:
        """Return what is malformed in a request, in words: it is said at once, without a branch."""
        return (
            self._calls.complaint_about_branch(manner.branch)
            or complaint_about(command)
            or complaint_about_customer(self._customer)
            or complaint_about_freshness(manner.freshness)
            or complaint_about_key(None if manner.key is None else Key(manner.key))
            or complaint_about_durable(manner.durable)
        )

    def _learn(self, sent: SessionToken, replied: bytes) -> None:
        """Put the reply's token in the place of what it covers: all that was sent, and no more.

        Other requests may have been answered meanwhile; what they taught is kept.
        """
        self._token = SessionToken((self._token.parts - sent.parts) | {replied})


def refused(complaint: str, key: str | None = None) -> BankbookError:
    """Return the error of a request that is malformed, and so is asked of no branch."""
    return error_for(Failure(Outcome.INVALID_REQUEST, complaint), None if key is None else Key(key))
