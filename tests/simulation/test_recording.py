"""A seed's history is all that its customers asked and were told; the checkers have the last word on it."""

from typing import Any

import pytest

from bankbook.checkers import check
from bankbook.core import requests as requests_module
from bankbook.core.commands import LINES_MAX, ReadStatement
from bankbook.core.vector import NOTHING
from bankbook.history.lines import item_line
from bankbook.history.record import Fault, FaultKind, Final, History, Operation
from bankbook.scenario.faults import FaultKind as SimulatedFault
from bankbook.simulation import aftermath
from bankbook.simulation.checks import Judge
from bankbook.simulation.recording import judge_history
from bankbook.simulation.run import SimulationSettings, simulate


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> list[History]:
    """Every history that is judged from now on."""
    judged: list[History] = []

    def judge(history: History) -> Any:
        judged.append(history)
        return judge_history(history)

    monkeypatch.setattr(aftermath, "judge_history", judge)
    return judged


def test_everything_that_customers_asked_is_in_it(histories: list[History]) -> None:
    report = simulate(1000)
    assert report.violation is None
    (history,) = histories
    items = list(history.items)
    operations = [each for each in items if isinstance(each, Operation)]
    asked_afterwards = {"taker"}
    assert {each.customer for each in operations} >= {"auditor", "customer-1", "customer-5"}
    assert not {each.customer for each in operations} & asked_afterwards
    assert [each.number for each in sorted(operations, key=lambda each: each.number)] == list(
        range(1, len(operations) + 1)
    )
    assert len(operations) < sum(report.outcomes.values())
    finals = [each for each in items if isinstance(each, Final)]
    assert [each.branch for each in finals] == list(range(1, history.header.branches + 1))
    assert all(set(each.statements) == set(each.balances) for each in finals)


def test_the_same_seed_has_the_same_history(histories: list[History]) -> None:
    for _ in range(2):
        simulate(1001)
    one, other = ([item_line(item) for item in history.items] for history in histories)
    assert one == other


def test_what_went_wrong_is_in_it(histories: list[History]) -> None:
    kinds = frozenset({SimulatedFault.LOST_DISK, SimulatedFault.CRASH, SimulatedFault.PARTITION})
    for kind in kinds:
        simulate(1002, SimulationSettings(branches=3, faults=frozenset({kind})))
    faults = [each for history in histories for each in history.items if isinstance(each, Fault)]
    assert {each.kind for each in faults} == set(FaultKind)
    assert all((each.other is not None) is (each.kind is FaultKind.PARTITION) for each in faults)


def test_statements_are_read_whole_by_pages_and_by_time(histories: list[History]) -> None:
    for seed in range(1003, 1011):
        simulate(seed)
    asked = [
        each.command
        for history in histories
        for each in history.items
        if isinstance(each, Operation)
        and isinstance(each.command, ReadStatement)
        and each.customer != "auditor"
    ]
    assert any(each == ReadStatement(each.account) for each in asked)
    assert any(each.lines_max < LINES_MAX for each in asked)
    assert any(each.after is not None for each in asked)
    assert any(each.from_ms for each in asked)


def test_amounts_leave_nothing_open(histories: list[History]) -> None:
    for seed in range(1003, 1008):
        simulate(seed)
    for history in histories:
        assert [each.name for each in check(history).verdicts if each.undecided] == []


def test_the_checkers_alone_find_a_session_that_is_told_less_than_it_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With nobody who looks at the disks: a violation is named by the checker that found it."""
    monkeypatch.setattr(requests_module, "awaited_vector", lambda *_: NOTHING)
    for name in ("on_receipt", "on_error"):
        monkeypatch.setattr(Judge, name, lambda *_: None)
    found = (simulate(seed).violation for seed in range(20))
    violation = next(each for each in found if each is not None)
    assert violation.promise in {
        "read your writes",
        "monotonic reads",
        "monotonic writes",
        "writes follow reads",
        "causal consistency",
    }
    assert violation.words.startswith("operation ")
