"""How long an acknowledged write takes to the other branches.

A customer deposits at one branch, and as soon as that is acknowledged asks for the balance at every other
branch, with the token of the deposit. The read is held there until the deposit has arrived and is durable,
and no longer: from the acknowledgement to the answer is the lag, as that customer has it, the read's own way
there and back included. Nothing is polled; ten deposits a second, each at the next branch, are all the load
there is.

Decides who is asked when. Must not know how entries travel. Proof: tests/bench/test_run.py.
"""

import asyncio
from itertools import cycle

from bankbook.bench.histogram import Histogram
from bankbook.client import Bank, BankbookError, Session, SessionToken
from bankbook.core.types import AccountId

PROBE_ACCOUNT = AccountId("bench-probe")

# Between two deposits: enough of them for a percentile, and no load to speak of.
_PERIOD_S = 0.1


class LagProbe:
    """Measures until it is cancelled."""

    def __init__(self, bank: Bank) -> None:
        self.lag = Histogram()
        """From the acknowledgement until another branch has it, in microseconds."""
        self.failed = 0
        """How many probes came to nothing."""
        self._bank = bank

    async def run(self) -> None:
        """Measure at one branch after another; at a bank of one, there is nothing to measure."""
        if len(self._bank.branches) == 1:
            return
        for branch in cycle(self._bank.branches):
            try:
                await self._measure(branch)
            except BankbookError:
                self.failed += 1
            await asyncio.sleep(_PERIOD_S)

    async def _measure(self, branch: int) -> None:
        session = self._session()
        await session.deposit(1, branch=branch)
        acknowledged_s = asyncio.get_running_loop().time()
        others = (each for each in self._bank.branches if each != branch)
        await asyncio.gather(*(self._arrives(session.token, each, acknowledged_s) for each in others))

    async def _arrives(self, token: SessionToken, branch: int, acknowledged_s: float) -> None:
        await self._session(token).balance(branch=branch)
        self.lag.record(round((asyncio.get_running_loop().time() - acknowledged_s) * 1e6))

    def _session(self, token: SessionToken | None = None) -> Session:
        return self._bank.session(PROBE_ACCOUNT, token=token)
