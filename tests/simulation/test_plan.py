"""What a seed draws: the same each time, of everything something, and of amounts no two sets alike."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from bankbook.core.commands import LOCAL
from bankbook.core.types import CustomerId, Money
from bankbook.scenario.model import SETTLING, Event, Interface
from bankbook.simulation.run import SimulationSettings, plan


def test_the_same_seed_draws_the_same_and_another_draws_another() -> None:
    assert plan(3) == plan(3)
    assert len({plan(seed) for seed in range(10)}) == 10


def test_no_amount_moves_twice_on_one_account() -> None:
    def moved(event: Event) -> Sequence[tuple[CustomerId, Money]]:
        if event.interface is Interface.BATCH:
            return [each for command in event.commands for each in moved(command)]
        if event.interface is Interface.SUBMIT:
            return [(leg.account, leg.money) for leg in event.legs if leg.money > 0]
        if event.money is None or event.interface in SETTLING:
            return []  # what is captured moved to where it is set aside already
        assert event.account is not None
        return [(event.account, event.money)] + ([(event.to, event.money)] if event.to else [])

    for seed in range(10):
        events = [event for customer in plan(seed).customers for event in customer.events]
        counts = Counter(each for event in events for each in moved(event))
        assert counts
        assert set(counts.values()) == {1}
        assert all(3**33 % amount == 0 for _, amount in counts)


def test_no_more_is_drawn_than_there_is_time_for() -> None:
    for seed in range(10):
        scenario = plan(seed, SimulationSettings(duration_s=12))
        assert all(fault.at_us <= 12_000_000 for fault in scenario.faults)
        for customer in scenario.customers:
            assert sum(event.manner.pause_us for event in customer.events) <= 12_000_000


def test_only_what_may_go_wrong_does() -> None:
    drawn = {
        fault.kind
        for seed in range(20)
        for fault in plan(seed, SimulationSettings(faults=frozenset())).faults
    }
    assert drawn == set()


def pairs_of_events() -> list[tuple[Event, Event]]:
    """Return each event with the one behind it, of some seeds."""
    customers = [customer for seed in range(10) for customer in plan(seed).customers]
    return [pair for customer in customers for pair in pairwise(customer.events)]


def test_customers_write_at_the_next_branch_before_anybody_has_told_it() -> None:
    on_the_way = [
        after
        for before, after in pairs_of_events()
        if None not in (before.branch, after.branch)
        and before.branch != after.branch
        and after.manner.pause_us <= 20_000
        and after.manner.freshness == LOCAL
        and after.interface in (Interface.DEPOSIT, Interface.TRANSFER)
    ]
    assert len(on_the_way) > 10


def test_customers_want_what_is_set_aside_just_before_its_end_and_a_little_too_late() -> None:
    in_time = too_late = elsewhere = 0
    for reserve, settle in pairs_of_events():
        if reserve.interface is Interface.RESERVE and settle.interface in SETTLING and reserve.lifetime_us:
            left_us = reserve.lifetime_us - settle.manner.pause_us
            in_time += 0 < left_us <= reserve.lifetime_us // 2
            too_late += -1_000_000 < left_us <= 0
            elsewhere += settle.branch != reserve.branch
    assert min(in_time, too_late, elsewhere) > 5
