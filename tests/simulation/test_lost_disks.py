"""The smallest stories in which small bugs of a branch that begins anew do harm; without the bug, none.

And one of what such a branch takes along from who is no customer.
"""

import json

import pytest
from simulation.saboteurs import joining
from simulation.saboteurs.kit import Sabotage

from bankbook.scenario.model import Scenario
from bankbook.scenario.parse import parse_scenario
from bankbook.simulation.run import perform

SEEDS = range(1, 9)


def scenario(branches: int, events: list[object], faults: list[object]) -> Scenario:
    customer = {"id": 1, "type": "customer", "events": events}
    parts = [{"id": each, "type": "branch", "balance": 0} for each in range(1, branches + 1)]
    text = json.dumps([*parts, customer, {"type": "faults", "faults": faults}])
    return parse_scenario(text, source="a story")


def paid_in_at_branch_2(pause: str, key: str) -> dict[str, object]:
    deposit = {"id": 1, "interface": "deposit", "money": 1, "account": "a1", "branch": 2}
    return {**deposit, "key": key, "pause": pause}


ASKED_AGAIN = scenario(
    3,
    [
        paid_in_at_branch_2("2.5s", "2/k"),
        {"id": 2, "interface": "begin"},
        {"id": 3, "interface": "again", "event": 1, "branch": 3, "pause": "0.2s", "timeout": "20s"},
    ],
    [
        {"kind": "partition", "at": "2s", "for": "2s", "branches": [3]},
        {"kind": "lost-disk", "at": "2.7s", "for": "1s", "branches": [2]},
        {"kind": "slow-link", "at": "2.8s", "for": "8s", "branches": [1]},
    ],
)
"""Branch 3 hears of what 2 decided only from 1, and meets the new store before that has fetched it."""

ASKED_TOO_EARLY = scenario(
    3,
    [
        {"id": 1, "interface": "deposit", "money": 1, "account": "a1", "branch": 1, "pause": "2s"},
        {"id": 2, "interface": "begin"},
        {
            "id": 3,
            "interface": "query",
            "account": "a1",
            "branch": 2,
            "pause": "0.6s",
            "timeout": "20s",
            "freshness": "LATEST",
        },
    ],
    [
        {"kind": "partition", "at": "1.8s", "for": "1s", "branches": [2]},
        {"kind": "lost-disk", "at": "2.3s", "for": "0.1s", "branches": [1]},
        {"kind": "slow-link", "at": "2.5s", "for": "8s", "branches": [1]},
    ],
)
"""What only branch 3 has was decided by branch 1, whose new store is asked for it before it has it."""


@pytest.mark.parametrize(
    ("story", "saboteur"),
    [
        (ASKED_AGAIN, joining.keys_are_given_away_before_it_has_joined),
        (ASKED_TOO_EARLY, joining.heads_are_told_before_it_has_joined),
    ],
)
def test_the_smallest_story_tells_the_bug_from_what_is_right(story: Scenario, saboteur: Sabotage) -> None:
    assert [perform(story, seed).report.violation for seed in SEEDS] == [None] * len(SEEDS)
    with pytest.MonkeyPatch.context() as patch:
        saboteur(patch)
        assert any(perform(story, seed).report.violation for seed in SEEDS)


OPENED_JUST_BEFORE = parse_scenario(
    json.dumps(
        [
            *({"id": each, "type": "branch"} for each in (1, 2)),
            {"id": "a1", "type": "account"},
            {
                "id": 1,
                "type": "customer",
                "events": [{"id": 1, "interface": "query", "account": "a1", "branch": 1, "pause": "1s"}],
            },
            {
                "type": "faults",
                "faults": [
                    {"kind": "partition", "at": "0s", "for": "1s", "branches": [2]},
                    {"kind": "lost-disk", "at": "0s", "for": "0.1s", "branches": [2]},
                ],
            },
        ]
    ),
    source="a story",
)
"""What branch 2 decided as the account was opened may be on no other disk when it loses its own."""


def test_the_auditor_too_is_told_what_was_lost_and_begins_anew() -> None:
    """Seed 5782: the auditor's token named an answer to an opening, and two disks were lost with it."""
    reports = [perform(OPENED_JUST_BEFORE, seed).report for seed in range(1, 41)]
    assert [each.violation for each in reports if each.violation is not None] == []
    assert any(each.outcomes["WRITES_LOST"] for each in reports)
