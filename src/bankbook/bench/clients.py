"""All processes of callers, from the one that started them.

Decides nothing; whatever happens, none of them is left. Must not know what they measure.
Proof: tests/bench/test_run.py.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Self

from bankbook.bench.client import Assignment, Done, Failed, Go, Progress, Ready, run_client, until_readable
from bankbook.bench.schedule import Window
from bankbook.bench.settings import BenchError, Load
from bankbook.bench.tally import Tally
from bankbook.core.types import BranchId


@dataclass(slots=True)
class _Child:
    process: BaseProcess
    pipe: Connection
    done: int = 0


class Clients:
    """The processes. Use it with `with`: leaving it ends them all."""

    def __init__(self, load: Load, addresses: dict[BranchId, str]) -> None:
        self._assignments = [Assignment(load, addresses, number) for number in range(load.clients)]
        self._children: list[_Child] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("forkserver")
        try:
            for assignment in self._assignments:
                mine, theirs = context.Pipe()
                name = f"client-{assignment.number + 1}"
                process = context.Process(target=run_client, args=(assignment, theirs), name=name)
                process.start()
                theirs.close()
                self._children.append(_Child(process, mine))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.process.kill()
            child.process.join()
            child.process.close()
            child.pipe.close()
        self._children.clear()

    @property
    def pids(self) -> list[int]:
        """The process ids, in the order of the clients."""
        pids = [child.process.pid for child in self._children]
        return [pid for pid in pids if pid is not None]

    async def ready(self) -> None:
        """Return once each has a connection to every branch. Raises BenchError."""
        for child in self._children:
            told = await _receive(child)
            assert isinstance(told, Ready), f"a client said {told} before it was ready"

    def go(self, window: Window) -> None:
        """Tell all when to begin, and when to end."""
        for child in self._children:
            child.pipe.send(Go(window))

    async def done(self, on_progress: Callable[[int], None]) -> Tally:
        """Return what all have measured together, once all have ended; `on_progress` is told operations.

        Raises BenchError.
        """

        async def follow(child: _Child) -> Tally:
            while isinstance(told := await _receive(child), Progress):
                child.done = told.done
                on_progress(sum(each.done for each in self._children))
            assert isinstance(told, Done), f"a client said {told} at the end"
            return told.tally

        whole = Tally()
        for tally in await asyncio.gather(*map(follow, self._children)):
            whole.add(tally)
        return whole


async def _receive(child: _Child) -> Any:
    await until_readable(child.pipe)
    try:
        told = child.pipe.recv()
    except (EOFError, OSError) as error:
        raise BenchError(
            f"{child.process.name} of the load generator ended before its work was done"
        ) from error
    if isinstance(told, Failed):
        raise BenchError(told.why)
    return told
