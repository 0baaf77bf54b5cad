"""Each curve, measured at its smallest: real branches, and every figure that its table has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.growth import prepare
from benchmarks.growth.curves import CURVE
from benchmarks.growth.lab import Lab

SIZES = {"branches": 2, "accounts": 200, "history": 300, "held": 40}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:
    monkeypatch.setattr("benchmarks.growth.stores.REFERENCE_ENTRIES", 100)
    monkeypatch.setattr("benchmarks.growth.held._PROBES", 16)
    monkeypatch.setattr("benchmarks.growth.held._DEPOSITS", 3)
    monkeypatch.setattr(prepare, "unsummed_transfers", lambda _: 50)
    yield Lab(tmp_path, 0.5, lambda _: None)
    assert not list(tmp_path.iterdir()), "nothing is left"


@pytest.mark.parametrize("name", SIZES)
def test_a_curve_has_every_figure_of_its_table(name: str, quick: Lab) -> None:
    curve, size = CURVE[name], SIZES[name]
    (point,) = curve.measure(quick, (size,))
    assert point.size == size
    assert set(point.values) == {figure.name for figure in curve.figures}
    zero_is_possible = {"idle_cpu", "memory_kb"}
    assert all(value > 0 for each, value in point.values.items() if each not in zero_is_possible)
