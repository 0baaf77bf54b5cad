"""Many seeds in several processes, with their reports in the order of the seeds.

Decides which process simulates which seed, and that none outlives its caller. Must not know what a report
says. The same seed gives the same report in every process. Proof: tests/simulation/test_jobs.py.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Self

from bankbook.simulation.run import SimulationReport, SimulationSettings, simulate


class JobEndedError(Exception):
    """A process that simulated a seed is gone; the message says which seed."""


def jobs_usual() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reports(
    seeds: Iterable[int], settings: SimulationSettings, jobs: int
) -> Generator[SimulationReport, None, None]:
    """Yield the report of each seed, in their order. Raises JobEndedError.

    With one job everything happens in this process. Close the iterator, and all processes are gone.
    """
    if jobs == 1:
        yield from (simulate(seed, settings) for seed in seeds)
        return
    with Jobs(settings, jobs) as workers:
        yield from workers.reports(seeds)


class Jobs:
    """Processes that wait for seeds. Use it with `with`: leaving it ends them all."""

    def __init__(self, settings: SimulationSettings, jobs: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        for number in range(1, jobs + 1):
            mine, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, settings), name=f"seeds-{number}")
            process.start()
            theirs.close()
            self._processes.append(process)
            self._idle.append(mine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
            process.close()
        for pipe in (*self._idle, *self._busy):
            pipe.close()

    def reports(self, seeds: Iterable[int]) -> Iterator[SimulationReport]:
        """Yield the report of each seed, in their order. Raises JobEndedError."""
        todo, waiting, early = iter(seeds), list[int](), dict[int, SimulationReport]()
        self._hand_out(todo, waiting)
        while waiting:
            for pipe in wait(list(self._busy)):
                assert isinstance(pipe, Connection), "nothing else is waited for"
                report = self._take_in(pipe)
                early[report.seed] = report
            self._hand_out(todo, waiting)
            while waiting and waiting[0] in early:
                yield early.pop(waiting.pop(0))

    def _hand_out(self, todo: Iterator[int], waiting: list[int]) -> None:
        while self._idle:
            seed = next(todo, None)
            if seed is None:
                return
            pipe = self._idle.pop()
            self._busy[pipe] = seed
            waiting.append(seed)
            with contextlib.suppress(OSError):  # it has ended: that is found out as it is waited for
                pipe.send(seed)

    def _take_in(self, pipe: Connection) -> SimulationReport:
        try:
            report = pipe.recv()
        except (EOFError, OSError):
            seed = self._busy[pipe]
            raise JobEndedError(
                f"the process that simulated seed {seed} is gone; "
                f"see for yourself: bankbook simulate --seeds 1 --first {seed} --jobs 1"
            ) from None
        assert isinstance(report, SimulationReport), "nothing else is sent"
        del self._busy[pipe]
        self._idle.append(pipe)
        return report


def work(pipe: Connection, settings: SimulationSettings) -> None:
    """Simulate each seed that comes, until nobody is there any more. Runs in a process of its own."""
    # A terminal's Ctrl-C is for the caller, who then ends this process.
    os.setpgid(0, 0)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(simulate(pipe.recv(), settings))
