"""A schedule can be repeated, leaves no kind out, and never does what no bank can bear."""

import itertools

import pytest
from faults.faults import Kind
from faults.nemesis import Stroke, Targets, draw_schedule

_SECONDS = 20.0

SEEDS = range(200)


def schedule(seed: int, kinds: tuple[Kind, ...] = tuple(Kind)) -> list[Stroke]:
    targets = Targets((1, 2, 3), ("ada", "bob"), kinds, lambda _: None, longest_s=3.0)
    return draw_schedule(seed, _SECONDS, targets)


def test_the_same_seed_draws_the_same_schedule_and_another_seed_another_one() -> None:
    told = [[str(stroke) for stroke in schedule(seed)] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


def test_every_kind_has_its_turn_whatever_the_seed() -> None:
    for seed in SEEDS:
        assert {stroke.fault.kind for stroke in schedule(seed)} == set(Kind)


@pytest.mark.parametrize("missing", [Kind.FULL_DISK, Kind.LOST_DISK])
def test_a_kind_that_cannot_be_had_is_left_out(missing: Kind) -> None:
    kinds = tuple(kind for kind in Kind if kind is not missing)
    assert {stroke.fault.kind for stroke in schedule(1, kinds)} == set(kinds)


def test_a_branch_has_one_fault_of_its_own_at_a_time() -> None:
    for seed in SEEDS:
        for one, other in itertools.combinations(schedule(seed), 2):
            if one.fault.branch == other.fault.branch is not None:
                assert one.until_s <= other.from_s or other.until_s <= one.from_s, f"{seed}: {one}, {other}"


def test_one_disk_is_lost_and_nothing_is_wrong_with_the_others_when_that_happens() -> None:
    for seed in SEEDS:
        strokes = schedule(seed)
        (lost,) = (stroke for stroke in strokes if stroke.fault.kind is Kind.LOST_DISK)
        for stroke in strokes:
            if stroke.fault.branch is not None and stroke is not lost:
                assert not stroke.from_s <= lost.from_s < stroke.until_s, f"{seed}: {stroke}, {lost}"
