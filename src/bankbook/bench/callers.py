"""The loop: wait until a request is due, make it, note how long that took.

Decides nothing. Must not know what is asked, nor of whom. Proof: tests/bench/test_callers.py, in virtual
time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bankbook.bench.schedule import Schedule, Window
from bankbook.bench.tally import Answered, Tally

Asked = TypeVar("Asked")


async def call(
    window: Window,
    schedule: Schedule,
    tally: Tally,
    draw: Callable[[], Asked],
    ask: Callable[[Asked], Awaitable[Answered]],
    operations: int,
) -> None:
    """Be one caller until nothing is due any more; a request has so many operations."""
    clock = asyncio.get_running_loop().time
    while (due_s := schedule.next_due(now_s := clock())) is not None:
        if now_s >= window.overtime_s:
            tally.note_unsent(window, due_s, now_s, operations)
            continue
        request = draw()
        if due_s > now_s:
            await asyncio.sleep(due_s - clock())
            tally.note_lateness(window, due_s, clock())
        sent_s = clock()
        answered = await ask(request)
        tally.note(window, due_s, sent_s, clock(), answered)
