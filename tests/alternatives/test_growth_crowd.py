"""A crowd: it comes in waves, is held as a whole, and says at once why it is not."""

import asyncio
from collections.abc import Iterator
from multiprocessing import Pipe, active_children
from pathlib import Path

import pytest

from bankbook.core.types import BranchId
from benchmarks.cases import BenchmarkError
from benchmarks.growth import crowd
from benchmarks.growth.banks import RunningBank, bank
from benchmarks.growth.crowd import Crowd, Part, Waiting
from benchmarks.growth.held import _DELAYS, FAR, HERE, _decided_far


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningBank]:
    """A bank whose branch HERE does not get what FAR decides."""
    with bank(tmp_path, 4, _DELAYS) as started:
        yield started
        started.launcher.kill_all()  # draining would wait for what never arrives


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_CALLS_MAX": 30, "_WAVE": 10, "_UNSEEN_MAX": 20}.items():
        monkeypatch.setattr(crowd, name, value)


def waiting_for_far(running: RunningBank, branch: BranchId = HERE) -> Waiting:
    token = asyncio.run(_decided_far(running.addresses))
    return Waiting(running.addresses, branch, str(token))


def tell_nobody(_line: str) -> None: ...


def test_a_crowd_of_several_processes_is_held_wave_by_wave_and_freed_at_once(
    running: RunningBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_TELL_EVERY_S", 0.0)
    told: list[str] = []
    with crowd.crowd(waiting_for_far(running), 75) as waiting:
        asyncio.run(waiting.gather(told.append))
        running.launcher.kill(FAR)
        freed_s = waiting.freed()
    assert len(freed_s) == 75
    assert freed_s == sorted(freed_s)
    assert told[-1] == "75 of 75 requests are held"
    assert len(told) > 1, "it comes in waves"


def test_a_crowd_that_has_nothing_to_wait_for_is_none(running: RunningBank) -> None:
    with (
        crowd.crowd(waiting_for_far(running, branch=FAR), 15) as waiting,
        pytest.raises(
            BenchmarkError, match=r"^of 15 requests, 0 were held when one ended: branch 3 answered"
        ),
    ):
        asyncio.run(waiting.gather(tell_nobody))


def test_a_crowd_whose_branch_is_killed_is_not_taken_for_freed(running: RunningBank) -> None:
    with crowd.crowd(waiting_for_far(running), 15) as waiting:
        asyncio.run(waiting.gather(tell_nobody))
        running.launcher.kill(HERE)
        with pytest.raises(BenchmarkError, match="a held request came to nothing: branch 2 gave no answer"):
            waiting.freed()


def test_a_crowd_one_of_whose_processes_ended_says_so(running: RunningBank) -> None:
    others = set(active_children())
    with crowd.crowd(waiting_for_far(running), 15) as waiting:
        (process,) = set(active_children()) - others
        process.kill()
        process.join()
        with pytest.raises(BenchmarkError, match="of 15 requests, 0 were held when one ended: its process"):
            asyncio.run(waiting.gather(tell_nobody))


def test_nor_does_it_matter_whether_that_one_had_read_what_it_was_told() -> None:
    mine, theirs = Pipe()
    mine.send(10)
    theirs.close()
    with mine, pytest.raises(BenchmarkError, match="a held request came to nothing: its process ended"):
        Crowd(Waiting({}, HERE, ""), [Part(mine, 10)]).freed()


def test_neither_gathering_nor_freeing_takes_for_ever(
    running: RunningBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_HELD_WITHIN_S", 0.0)
    monkeypatch.setattr(crowd, "_FREED_WITHIN_S", 0.0)
    with crowd.crowd(waiting_for_far(running), 75) as waiting:
        with pytest.raises(BenchmarkError, match=r"of 75 requests, \d+ were held within 0 s"):
            asyncio.run(waiting.gather(tell_nobody))
        with pytest.raises(BenchmarkError, match="of 75 requests, 0 were answered within 0 s"):
            waiting.freed()
