"""Calls to a bank's branches: what all sessions of one client share.

Decides which branches may be asked, and in which order. Must not know what is asked.
Proof: tests/client/test_bank.py, tests/client/test_failover.py.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from bankbook.client.attempts import Attempts, ClosedError, Missed
from bankbook.client.recorder import Recorder, SessionRecorder
from bankbook.client.retries import CHANCE, Plan
from bankbook.core.commands import SESSION, Command, Freshness, access_of
from bankbook.core.guarantees import Access, Guarantee
from bankbook.core.types import Key
from bankbook.history.record import Header
from bankbook.wire.replies import Answer
from bankbook.wire.requests import Envelope

# A month. Whoever waits longer waits for nothing: no branch holds a request for more than a week.
TIMEOUT_S_MAX = 30 * 24 * 3600.0


class Manner(NamedTuple):
    """How a request is to be carried out."""

    branch: int | None
    """Which branch is asked, and no other; None: whichever can be reached."""
    timeout: float | None
    """In seconds, all attempts together, at most TIMEOUT_S_MAX; None: the bank's."""
    freshness: Freshness = SESSION
    key: str | None = None
    durable: int = 0
    at_hand: bool = False
    """Of a batch: whether what lacks rights at the branch is refused at once."""


class Recording:
    """A recorder that can wait until somebody has told what the bank is."""

    def __init__(self, recorder: Recorder, ask: Callable[[], Awaitable[Header]]) -> None:
        self.recorder = recorder
        self._ask = ask
        self._beginning = asyncio.Lock()

    async def begin(self) -> None:
        """Write the first line, once. Raises BankbookError where nobody tells what belongs there."""
        if self.recorder.has_begun:
            return
        async with self._beginning:
            if not self.recorder.has_begun:
                self.recorder.begin(await self._ask())


class Calls:
    """The branches, and how to ask them."""

    def __init__(
        self,
        branches: Iterable[int],
        timeout: float,
        channels: Attempts,
        *,
        retries: bool,
        chance: random.Random = CHANCE,
        recording: Recording | None = None,
    ) -> None:
        self.branches = tuple(sorted(branches))
        self._timeout = timeout
        self._retries = retries
        self._channels = channels
        self._chance = chance
        self._recording = recording

    async def close(self) -> None:
        """Close every channel; what is under way gets no answer. Closing twice is harmless."""
        await self._channels.close()
        if self.recorder is not None:
            self.recorder.close()

    @property
    def recorder(self) -> Recorder | None:
        """What writes down all that is asked and told; None where nothing does."""
        return None if self._recording is None else self._recording.recorder

    def recorder_for(self, customer: str, guarantees: Guarantee) -> SessionRecorder | None:
        """Return what writes a new session down; None where nobody wants it."""
        recorder = self.recorder
        return None if recorder is None else recorder.session(customer, guarantees)

    async def begin_recording(self) -> None:
        """Let the history have its first line, if there is one. Raises BankbookError, OSError."""
        if self._recording is not None:
            await self._recording.begin()

    def plan(self, command: Command, manner: Manner, usual: int) -> Plan:
        """Return how a request is going to be tried."""
        branches = self._order(usual) if manner.branch is None else (manner.branch,)
        now = asyncio.get_running_loop().time()
        return Plan(
            branches,
            now + self._timeout_of(manner),
            now,
            is_write=Access.WRITE in access_of(command),
            key=None if manner.key is None else Key(manner.key),
            is_retried=self._retries,
            chance=self._chance,
        )

    def deadline(self, manner: Manner) -> float:
        """Return until when, by the loop's clock, whoever asks now in this manner waits."""
        return asyncio.get_running_loop().time() + self._timeout_of(manner)

    def _timeout_of(self, manner: Manner) -> float:
        return self._timeout if manner.timeout is None else manner.timeout

    async def attempt(self, command: Command, envelope: Envelope, plan: Plan) -> Answer | Missed:
        """Send a request once, as planned; raises ClosedError."""
        return await self._channels.attempt(command, envelope, plan.branch, plan.deadline, plan.wait_s)

    async def pause(self, seconds: float) -> None:
        """Return after so long, or once the bank is closed; raises ClosedError then."""
        try:
            async with asyncio.timeout(seconds):
                await self._channels.closed.wait()
        except TimeoutError:
            return
        raise ClosedError

    def complaint_about_branch(self, branch: int | None) -> str | None:
        """Return in words that there is no such branch; None where there is."""
        if branch is None or branch in self.branches:
            return None
        names = ", ".join(str(each) for each in self.branches)
        return f"there is no branch {branch}; there are {names}"

    def _order(self, usual: int) -> tuple[int, ...]:
        """Return the branches, from the usual one on, around."""
        place = self.branches.index(usual)
        return self.branches[place:] + self.branches[:place]


def complaint_about_timeout(timeout: float | None) -> str | None:
    """Return in words that a timeout never ends; None where it does, or none is given."""
    if timeout is None or timeout <= TIMEOUT_S_MAX:  # which nan is not
        return None
    return f"a timeout is a number of seconds, at most {TIMEOUT_S_MAX:.0f}, a month; this one is {timeout}"
