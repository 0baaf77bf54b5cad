"""What `bankbook bench` is asked, and what is made of its answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bankbook
from benchmarks.cases import BenchmarkError, Unit
from benchmarks.systems import CASES

ANSWER: dict[str, Any] = {
    "outcomes": {"OK": 5},
    "operations": 5,
    "operations_per_s": 7.0,
    "everywhere_per_s": 6.0,
    "service_us": {"p50": 1500},
    "lag_us": {"p50": 2000, "p99": 8000, "count": 9},
    "clients": [{"cpu": 0.25}],
    "usage": [{"cpu": 0.5, "memory_peak_bytes": 90_000_000}],
    "others_cpu": 0.125,
    "notes": ["all 2 processors were busy: bank and bench", "the load generator was at its limit"],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    orders: list[list[str]] = []

    def answer(command: list[str], _folder: Path) -> str:
        orders.append(command)
        return json.dumps({"measured": [ANSWER, ANSWER]})

    monkeypatch.setattr(bankbook, "tool", answer)
    return orders


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bankbook-bulk", 7.0),
        ("bankbook-three", 6.0),
        ("bankbook-one", 1.5),
        ("bankbook-one-deposit", 1.5),
        ("bankbook-million", 90.0),
        ("bankbook-lag", 8.0),
    ],
)
def test_a_figure_is_what_bankbook_bench_says(
    name: str, value: float, asked: list[list[str]], tmp_path: Path
) -> None:
    result = CASES[name].measure(tmp_path, 3, 2.5)
    assert result.value == value
    assert result.others_cpu == 0.125
    assert result.notes == ("the load generator was at its limit",)
    (order,) = asked
    assert order[order.index("--duration") + 1] == "2500ms"
    assert order[order.index("--callers") + 1] == "3"


@pytest.mark.usefixtures("asked")
def test_operations_that_failed_are_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ANSWER, "outcomes", {"OK": 5, "UNAVAILABLE": 1})
    with pytest.raises(BenchmarkError, match=r"operations failed: {'UNAVAILABLE': 1}"):
        CASES["bankbook-bulk"].measure(tmp_path, 1, 1.0)


def test_bankbook_bench_knows_every_option_that_it_is_given(tmp_path: Path) -> None:
    result = CASES["bankbook-bulk-50"].measure(tmp_path, 2, 0.2)
    assert result.value > 0
    assert result.also["operations"] > 0


def test_far_from_the_others_a_read_elsewhere_a_second_later_is_told_how_long_it_was_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bankbook, "_FAR_DEPOSITS", 3)
    result = CASES["bankbook-far"].measure(tmp_path, 1, 1.0)
    assert result.value > 0
    assert result.also["near_ms"] > 0
    assert "held_ms" in result.also


def test_an_idle_branch_has_some_memory_and_the_scenario_some_branches(tmp_path: Path) -> None:
    assert 10 < CASES["bankbook-idle"].measure(tmp_path, 1, 1.0).value < 1000
    result = CASES["bankbook-run"].measure(tmp_path, 1, 1.0)
    assert result.also["branches"] == 10
    assert CASES["bankbook-run"].unit is Unit.SECONDS
