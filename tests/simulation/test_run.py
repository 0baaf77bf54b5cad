"""Random banks under random faults keep their promises, and every promise is put to the test."""

from collections import Counter

import pytest

from bankbook.checkers import check
from bankbook.core.commands import LINES_MAX
from bankbook.history.record import Header, History
from bankbook.scenario.parse import parse_scenario
from bankbook.simulation.run import SimulationReport, SimulationSettings, perform, simulate

SEEDS = range(1000, 1036)

# In blocks, for several processors.
BLOCK = 20
BLOCKS = range(2000, 2300, BLOCK)

PROMISES = {
    "comes to rest",
    "books",
    "copies",
    "floors",
    "rights",
    "balances",
    "exactly once",
    "read your writes",
    "monotonic reads",
    "monotonic writes",
    "writes follow reads",
    "all or nothing",
    "reservations",
    "LATEST",
    "BOUNDED",
    "durable",
    "statements",
    "refusals",
    "refused means never",
    "keys settled",
    "what was acknowledged is there",
    "all can be taken out, and no more",
}
CHECKERS = {f"history: {verdict.name}" for verdict in check(History(Header("", 1), [])).verdicts}


@pytest.fixture(scope="module")
def reports() -> list[SimulationReport]:
    return [simulate(seed) for seed in SEEDS]


def test_a_few_dozen_seeds_keep_every_promise(reports: list[SimulationReport]) -> None:
    assert [(each.seed, each.violation) for each in reports if each.violation is not None] == []


@pytest.mark.parametrize("first", BLOCKS)
def test_hundreds_of_seeds_keep_every_promise(first: int) -> None:
    violations = {seed: simulate(seed).violation for seed in range(first, first + BLOCK)}
    assert {seed: violation for seed, violation in violations.items() if violation is not None} == {}


def test_every_promise_was_put_to_the_test(reports: list[SimulationReport]) -> None:
    judged = sum((each.judged for each in reports), Counter[str]())
    assert {name for name, number in judged.items() if number} == PROMISES | CHECKERS


def test_much_happened(reports: list[SimulationReport]) -> None:
    outcomes = sum((each.outcomes for each in reports), Counter[str]())
    assert outcomes["OK"] > 1000
    told = {"OUTCOME_UNKNOWN", "HOLD_TIMEOUT", "RIGHTS_UNREACHABLE", "INSUFFICIENT_FUNDS", "GAVE_UP"}
    assert told <= set(outcomes)
    assert sum(each.propagations for each in reports) > 1000


def test_a_bank_of_one_branch_that_was_asked_too_late() -> None:
    """Seed 2 found that such a bank ended: tests/core/test_gathering.py."""
    assert simulate(2, SimulationSettings(branches=1)).violation is None


def test_an_account_with_more_movements_than_a_page_holds_is_judged_by_its_balance() -> None:
    deposit = '{"interface":"deposit","money":1,"branch":1}'
    text = (
        '[{"id":1,"type":"branch","balance":0},{"id":"ada","type":"customer","events":['
        f"{','.join([deposit] * (LINES_MAX + 1))}]}}]"
    )
    done = perform(parse_scenario(text, source="long"), 1)
    assert done.report.violation is None
    assert done.agreement.balances == {"ada": {1: LINES_MAX + 1}}
