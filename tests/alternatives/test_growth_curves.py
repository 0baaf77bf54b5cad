"""Each curve, measured at its smallest: real branches, and every figure that its table has."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bankbook.store.sqlite_schema import SCHEMA_VERSION
from benchmarks.growth import prepare
from benchmarks.growth.banks import store_folder
from benchmarks.growth.curves import CURVE
from benchmarks.growth.figures import Point
from benchmarks.growth.lab import Lab

SIZES = {"branches": 2, "accounts": 200, "history": 300, "held": 100}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:
    monkeypatch.setattr("benchmarks.growth.stores.REFERENCE_ENTRIES", 100)
    monkeypatch.setattr("benchmarks.growth.held._PROBES", 16)
    monkeypatch.setattr("benchmarks.growth.held._DEPOSITS", 3)
    monkeypatch.setattr(prepare, "unsummed_transfers", lambda _: 50)
    yield Lab(tmp_path, 0.5, lambda _: None)
    assert not list(tmp_path.iterdir()), "nothing is left"


def test_a_history_that_was_kept_is_found_and_continued(
    quick: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    added: list[int] = []

    def add(folder: Path, entries: int, accounts: int, *_: object) -> None:
        added.append(entries)
        add_history(folder, entries, accounts)

    add_history = prepare.add_history
    monkeypatch.setattr(prepare, "add_history", add)
    monkeypatch.setattr(
        "benchmarks.growth.stores._point", lambda _lab, _stores, _other, size, *_: Point(size, {})
    )
    kept = tmp_path_factory.mktemp("kept")
    for sizes in ((50, 70), (50, 70, 100)):
        lab = replace(quick, kept=kept)
        assert [point.size for point in CURVE["history"].measure(lab, sizes)] == list(sizes)
    assert added == [100, 50, 20, 100, 30], "a reference each time, and what was missing"
    for size in (50, 70, 100):
        with closing(prepare.open_store(store_folder(kept / f"history-{size}-{SCHEMA_VERSION}"))) as store:
            assert store.applied()[prepare.ORIGIN] == size


@pytest.mark.parametrize("name", SIZES)
def test_a_curve_has_every_figure_of_its_table(name: str, quick: Lab) -> None:
    curve, size = CURVE[name], SIZES[name]
    (point,) = curve.measure(quick, (size,))
    assert point.size == size
    assert set(point.values) == {figure.name for figure in curve.figures}
    zero_is_possible = {"idle_cpu", "memory_kb"}
    assert all(value > 0 for each, value in point.values.items() if each not in zero_is_possible)
