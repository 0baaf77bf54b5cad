"""Random weeks for money: nothing is lost, doubled or overdrawn, whatever happens; see money_weeks.py."""

from collections import Counter
from collections.abc import Callable  # noqa: TC003  (as every module imports it)

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from money_weeks import ACTS, Act, Schedule, Terms, live, live_seed

from bankbook.core.gathering import Gatherings
from bankbook.core.joining import Joining
from bankbook.core.requests import Requests

schedules = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**16)), max_size=60)
banks = st.builds(Terms, st.integers(2, 4), st.sampled_from([None, 0, 37, 100]), loses_disks=st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedules, banks)
def test_a_short_week_with_all_its_mishaps_keeps_the_books(schedule: Schedule, terms: Terms) -> None:
    live(schedule, terms)


def test_a_week_that_begins_with_a_lost_subscription_ends_well() -> None:
    live([(Act.DROP, 0)], Terms(3, 37, loses_disks=False))


@pytest.mark.parametrize("seed", range(40))
def test_a_long_week_with_all_its_mishaps_keeps_the_books(seed: int) -> None:
    live_seed(seed)


@pytest.mark.parametrize("seed", range(40))
def test_a_long_week_that_loses_disks_keeps_what_other_disks_have(seed: int) -> None:
    live_seed(seed, loses_disks=True)


@pytest.mark.parametrize("loses_disks", [False, True])
def test_the_same_week_gives_the_same_effects_to_the_byte(*, loses_disks: bool) -> None:
    first, second = (live_seed(5, 200, loses_disks=loses_disks).transcript for _ in range(2))
    assert first == second


# What the weeks are there to try. A mix of acts that no longer brings one of these about tests nothing.
EVENTS = (
    "a contest: the older request defers the younger",
    "a round that stalls",
    "a round that asks all branches",
    "a key wanted while its request is held",
    "a new life of another branch heard of",
    "crash",
    "fence chain",
    "forward",
    "joined with a new store",
    "outcome CATCHING_UP",
    "outcome DURABILITY_TIMEOUT",
    "outcome INSUFFICIENT_FUNDS",
    "outcome OUTCOME_UNKNOWN",
    "outcome RESERVATION_EXPIRED",
    "outcome RIGHTS_UNREACHABLE",
    "outcome WRITES_LOST",
    "record capture",
    "record expiry",
    "record fence",
    "record grant",
    "record refusal",
    "record rejoining",
    "record release",
    "record reservation",
    "replayed after a lost answer",
)


def test_the_weeks_bring_about_what_they_are_there_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    def count(owner: type, name: str, event: str) -> None:
        real: Callable[..., object] = getattr(owner, name)

        def counting(*arguments: object, **options: object) -> object:
            result = real(*arguments, **options)
            seen[event] += result is not False
            return result

        monkeypatch.setattr(owner, name, counting)

    count(Gatherings, "_comes_first", EVENTS[0])
    count(Gatherings, "_is_stalled", EVENTS[1])
    count(Gatherings, "_ask_all", EVENTS[2])
    count(Requests, "_wait_for_new_owner", EVENTS[3])
    count(Joining, "on_new_life", EVENTS[4])
    for seed in range(16):
        seen.update(live_seed(seed).events)
        seen.update(live_seed(seed, loses_disks=True).events)
    assert [event for event in EVENTS if not seen[event]] == []
