"""The hybrid logical clock: above all that it depends on, and near the wall where it can be."""

from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HybridClock, HybridTime

readings = st.integers(0, 2**62).map(HybridTime)
walls = st.integers(-(10**15), 10**15)


def test_a_reading_is_the_wall_in_milliseconds_and_a_counter() -> None:
    clock = HybridClock(HybridTime(0))
    assert clock.tick(wall_us=5999) == 5 << 16
    assert clock.tick(wall_us=5999) == (5 << 16) + 1
    assert clock.tick(wall_us=6000) == 6 << 16


def test_a_wall_clock_that_jumps_back_does_not_take_the_readings_along() -> None:
    clock = HybridClock(HybridTime(0))
    before = clock.tick(wall_us=10**12)
    assert clock.tick(wall_us=0) == before + 1
    assert clock.tick(wall_us=-5) == before + 2


@given(st.lists(st.one_of(walls, readings.map(lambda reading: (reading,)))))
def test_every_reading_is_above_all_that_was_given_out_or_observed_before(
    events: list[int | tuple[HybridTime]],
) -> None:
    clock = HybridClock(HybridTime(0))
    highest = 0
    for event in events:
        if isinstance(event, tuple):
            clock.observe(event[0])
            highest = max(highest, event[0])
        else:
            reading = clock.tick(event)
            assert reading > highest
            highest = reading
        assert clock.last >= highest


@given(readings, walls)
def test_a_clock_goes_on_where_its_last_life_ended(last: HybridTime, wall_us: int) -> None:
    assert HybridClock(last).tick(wall_us) > last
