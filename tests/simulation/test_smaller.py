"""Whatever is left out of a scenario, what remains can be written into a file and read again."""

from random import Random

from bankbook.scenario.model import Interface, Scenario
from bankbook.scenario.parse import parse_scenario
from bankbook.scenario.render import render_scenario
from bankbook.simulation.run import SimulationSettings, perform, plan
from bankbook.simulation.smaller import (
    Spot,
    spots_of,
    with_customers,
    with_events,
    with_plainer_bank,
    with_plainer_event,
    with_plainer_fault,
    without_each_branch,
)

SEEDS = range(5)


def assert_sound(scenario: Scenario) -> None:
    """Check that a file with this scenario in it is taken."""
    assert parse_scenario(render_scenario(scenario), source="smaller") == scenario


def drawn(seed: int) -> Scenario:
    return plan(seed, SimulationSettings(duration_s=5))


def test_any_events_can_be_left_out_and_what_needs_them_goes_too() -> None:
    for seed in SEEDS:
        scenario, draw = drawn(seed), Random(seed)  # noqa: S311
        for share in (0.0, 0.1, 0.5, 0.9):
            kept = {spot for spot in spots_of(scenario) if draw.random() < share}
            smaller = with_events(scenario, kept)
            assert_sound(smaller)
            assert len(spots_of(smaller)) <= max(len(kept), 0)


def test_what_goes_back_to_an_event_still_means_the_same_one() -> None:
    text = (
        '[{"id":1,"type":"branch","balance":5},{"id":"ada","type":"customer","events":['
        '{"interface":"begin"},{"interface":"deposit","money":7,"branch":1,"key":"k"},{"interface":"begin"},'
        '{"interface":"again","event":2,"branch":1}]}]'
    )
    scenario = parse_scenario(text, source="input.json")
    ada = scenario.customers[0].id
    (customer,) = with_events(scenario, {Spot(ada, 2), Spot(ada, 4)}).customers
    assert [(each.number, each.interface, each.event) for each in customer.events] == [
        (1, Interface.DEPOSIT, None),
        (2, Interface.AGAIN, 1),
    ]
    assert with_events(scenario, {Spot(ada, 4)}).customers[0].events == ()


def test_every_simpler_scenario_is_sound_and_simpler() -> None:
    for seed in SEEDS:
        scenario = drawn(seed)
        size = len(render_scenario(scenario))
        others = [
            *without_each_branch(scenario),
            *with_plainer_bank(scenario),
            *(with_customers(scenario, [each.id]) for each in scenario.customers),
            *(
                plainer
                for spot in spots_of(scenario)[:: 1 + len(spots_of(scenario)) // 8]
                for plainer in with_plainer_event(scenario, spot)
            ),
            *(
                plainer
                for place in range(len(scenario.faults))
                for plainer in with_plainer_fault(scenario, place)
            ),
        ]
        assert len(others) > 20
        for other in others:
            assert_sound(other)
            assert other != scenario
        assert sum(len(render_scenario(other)) for other in others) < size * len(others)


def test_a_smaller_scenario_can_be_carried_out() -> None:
    scenario = drawn(4)
    half = with_events(scenario, set(spots_of(scenario)[::2]))
    done = perform(half, 4)
    assert done.report.violation is None
    assert sum(done.begun.values()) == len(spots_of(half))
