"""What is written into a file and read again is the same scenario."""

from pathlib import Path

import pytest

from bankbook.scenario.parse import parse_scenario, read_scenario
from bankbook.scenario.render import render_scenario
from bankbook.simulation.run import SimulationSettings, plan

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
def test_the_original_files_come_back(name: str) -> None:
    scenario = read_scenario(EXAMPLES / name)
    assert parse_scenario(render_scenario(scenario), source=name) == scenario


def test_whatever_a_seed_draws_can_be_written_down() -> None:
    kinds = set[str]()
    for seed in range(40):
        scenario = plan(seed, SimulationSettings(duration_s=20))
        text = render_scenario(scenario)
        assert parse_scenario(text, source="drawn") == scenario, seed
        assert text.count("\n") > len(scenario.branches)
        kinds |= {fault.kind for fault in scenario.faults}
        kinds |= {event.interface for customer in scenario.customers for event in customer.events}
    assert len(kinds) == 18 + 13  # every fault, every interface


def test_a_file_has_one_line_for_each_event_and_leaves_out_what_is_as_usual() -> None:
    text = """[
  {"id": 1, "type": "branch", "balance": 7},
  {"id": "ada", "type": "customer", "events": [
    {"id": 1, "interface": "deposit", "money": 1, "branch": "any", "pause": "1500ms", "key": "k"},
    {"id": 2, "interface": "again", "event": 1, "branch": 1, "freshness": "BOUNDED", "bound": "3s"}
  ]},
  {"type": "faults", "faults": [
    {"kind": "clock-jump", "at": "0s", "branches": [1], "by": "-90s"}
  ]}
]
"""
    assert render_scenario(parse_scenario(text, source="input.json")) == text
