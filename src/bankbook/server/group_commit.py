"""Group commit: one sync for the requests of many callers.

Decides how long a step waits for company. Must not know what is asked for.
Proof: tests/server/test_group_commit.py.

What arrives while a commit is syncing goes into the next step together. That is not enough: gRPC hands calls
over one by one, so that the first to come after a commit would be synced for alone; and while that blocks the
loop the next one waits, to be alone again. So who had company in the last step is expected back with as much,
and now and then with more: the step waits for them, as long as they keep coming. A caller without company
never waits. What nobody waits for, as entries of other branches, waits for the next caller; and what somebody
waits for, at another branch or because of one, does not wait.

Source: DeWitt et al., "Implementation Techniques for Main Memory Database Systems" (SIGMOD 1984), section 5.
"""

import asyncio
from typing import NamedTuple


class Patience(NamedTuple):
    """How long a step waits, in seconds."""

    between_s: float = 0.002
    """For the next request: while answers go out, none comes in."""
    whole_s: float = 0.010
    """For all of them: in that time gRPC hands some fifty over."""
    nobody_s: float = 0.005
    """For the first one, where there is only what nobody waits for."""


# Who waited for more in vain does so again after so many steps.
_STEPS_CONTENT = 16


class GroupCommit:
    """Knows how many requests went into the last step, and how many came since."""

    def __init__(self, patience: Patience = Patience()) -> None:  # noqa: B008  (immutable)
        self._patience = patience
        self._came = 0
        self._expected = 1
        self._content = 0
        """For how many steps no more are expected than came."""
        self._begins: asyncio.Future[None] | None = None
        """Of a step that waits."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self) -> None:
        """Be told of a request that goes into the next step."""
        self._came += 1
        if self._begins is None:
            return
        if self._came >= self._expected:
            self.hurry()
        else:
            self._wait(self._patience.between_s)

    async def gather(self) -> None:
        """Return once the next step may begin."""
        if self._came >= self._expected:
            return
        patience = self._patience
        loop = asyncio.get_running_loop()
        self._begins = loop.create_future()
        at_last = loop.call_later(patience.whole_s, self.hurry)
        self._wait(patience.between_s if self._came else patience.nobody_s)
        try:
            await self._begins
        finally:
            at_last.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._begins = self._timer = None

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.hurry)

    def hurry(self) -> None:
        """Be told that somebody waits for what came: a step that waits for company begins."""
        if self._begins is not None and not self._begins.done():
            self._begins.set_result(None)

    def begin_step(self) -> None:
        """Be told that all who came go into the step that begins now; expect none of them back."""
        came, self._came = self._came, 0
        if came:
            self._content = max(self._content - 1, 0) if came >= self._expected else _STEPS_CONTENT
            self._expected = 1

    def expect_back(self, count: int) -> None:
        """Be told that the step committed something for so many requests."""
        if count > 1:
            self._expected = count if self._content else 2 * count
