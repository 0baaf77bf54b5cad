"""When requests are due."""

from itertools import pairwise
from random import Random

import pytest

from bankbook.bench.schedule import ClosedLoop, FixedRate, Schedule, Window

WINDOW = Window(begin_s=100.0, measured_s=110.0, end_s=1110.0)


def all_due(schedule: Schedule, now_s: float = 0.0) -> list[float]:
    due = []
    while (moment := schedule.next_due(now_s)) is not None:
        due.append(moment)
    return due


def test_at_a_fixed_rate_requests_are_due_whether_or_not_anybody_is_free() -> None:
    in_time = FixedRate(WINDOW, 5.0, Random(1))
    much_later = FixedRate(WINDOW, 5.0, Random(1))
    assert all_due(in_time, now_s=0.0) == all_due(much_later, now_s=1e9)


def test_the_same_seed_makes_the_same_schedule_and_another_one_another() -> None:
    first, again, other = (all_due(FixedRate(WINDOW, 5.0, Random(seed))) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_fixed_rate_is_kept_on_average_and_its_pauses_are_those_of_independent_customers() -> None:
    due = all_due(FixedRate(WINDOW, 20.0, Random(7)))
    assert all(WINDOW.begin_s <= moment < WINDOW.end_s for moment in due)
    assert due == sorted(due)
    assert len(due) == pytest.approx(20.0 * 1010, rel=0.02)
    pauses = [after - before for before, after in pairwise(due)]
    mean = sum(pauses) / len(pauses)
    deviation = (sum((pause - mean) ** 2 for pause in pauses) / len(pauses)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)  # as of the exponential distribution


def test_in_a_closed_loop_a_request_is_due_when_its_caller_is_free() -> None:
    schedule = ClosedLoop(WINDOW)
    assert schedule.next_due(99.0) == WINDOW.begin_s
    assert schedule.next_due(123.4) == 123.4
    assert schedule.next_due(WINDOW.end_s) is None


@pytest.mark.parametrize("seed", range(3))
def test_only_measured_requests_count_towards_a_given_number(seed: int) -> None:
    window = Window(100.0, 110.0)
    due = all_due(FixedRate(window, 5.0, Random(seed), requests_max=50))
    assert sum(moment >= window.measured_s for moment in due) == 50
    closed = ClosedLoop(window, requests_max=2)
    assert [closed.next_due(now_s) for now_s in (105.0, 106.0, 110.0, 111.0, 112.0)] == [
        105.0,
        106.0,
        110.0,
        111.0,
        None,
    ]
