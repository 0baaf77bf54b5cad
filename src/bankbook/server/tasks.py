"""Several things at once, of which the first to end ends the others.

Proof: tests/server/test_tasks.py.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def first_of(*work: Coroutine[Any, Any, Result]) -> Result:
    """Return what the first to end returns, once the others have ended too: they are cancelled.

    Raises what any of them raised.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Not `await task`: it could not tell the task's cancellation from our own, and whoever swallows
        # their own cancellation never ends.
        await asyncio.wait(tasks)
    for task in tasks:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error
    return done.pop().result()
