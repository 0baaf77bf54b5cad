"""Seeds in several processes: the same reports, in the order of the seeds, and no process afterwards."""

import multiprocessing
import os
import signal

import pytest

from bankbook.simulation.jobs import JobEndedError, Jobs, reports
from bankbook.simulation.run import SimulationSettings, simulate

SHORT = SimulationSettings(duration_s=3)
SEEDS = range(4, 10)


def test_a_seed_gives_the_same_trace_in_every_process_and_in_its_place() -> None:
    here = [simulate(seed, SHORT) for seed in SEEDS]
    assert list(reports(SEEDS, SHORT, jobs=1)) == here
    assert list(reports(SEEDS, SHORT, jobs=3)) == here
    assert [each.seed for each in here] == list(SEEDS)


def test_who_has_heard_enough_leaves_no_process() -> None:
    before = set(multiprocessing.active_children())
    told = reports(range(1_000_000), SHORT, jobs=2)
    assert next(told).seed == 0
    mine = set(multiprocessing.active_children()) - before
    assert len(mine) == 2
    pids = [each.pid for each in mine]
    told.close()
    assert set(multiprocessing.active_children()) - before == set()
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_that_is_killed_is_missed() -> None:
    with Jobs(SimulationSettings(duration_s=600), 2) as jobs:
        told = jobs.reports(range(2))
        pid = jobs._processes[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(JobEndedError, match=r"simulated seed \d is gone; .* --first \d --jobs 1"):
            next(told)
