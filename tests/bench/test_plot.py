"""The picture of a bench."""

import builtins
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench.measurements import histogram_of, measured

from bankbook.bench.histogram import Histogram
from bankbook.bench.plot import curve, plot, require_matplotlib
from bankbook.bench.settings import Load, SettingsError


def texts_in(path: Path) -> list[str]:
    """Every text of a picture."""
    root = ET.fromstring(path.read_text())  # noqa: S314  (our own)
    return ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("}text")]


def test_a_picture_has_both_curves_their_axes_and_the_durability(tmp_path: Path) -> None:
    path = tmp_path / "bench.svg"
    plot([measured(load=Load()), measured()], path)
    texts = " ".join(texts_in(path))
    for told in (
        "from when it was due",
        "from when it was sent",
        "until other branches have it",
        "percentile",
        "operations a second",
        "on the disk of the branch that answers",
    ):
        assert told in texts


def test_the_same_figures_make_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plot([measured()], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_nothing_measured_is_an_empty_picture(tmp_path: Path) -> None:
    empty = measured(tally=type(measured().tally)(), lag=Histogram(), elapsed_s=0.0)
    plot([empty], tmp_path / "empty.svg")
    assert (tmp_path / "empty.svg").exists()


def test_a_curve_ends_where_a_single_value_is_left() -> None:
    assert curve(histogram_of(*range(1, 101)))[-1] == (0.99, 0.099)
    assert curve(Histogram()) == []


def test_without_matplotlib_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"pip install 'bankbook\[plot\]'"):
        require_matplotlib()
