"""docs/growth.md and its pictures, from figures that are known."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from alternatives.growth_runs import whole_run

from benchmarks.growth.curves import CURVES, TARGETS
from benchmarks.growth.figures import CurveRun, Point, Run, merged, read, write
from benchmarks.growth.page import page_of
from benchmarks.growth.plots import draw

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, title: str) -> str:
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def only(*points: Point, name: str = "history", failure: str | None = None) -> Run:
    return replace(
        whole_run(),
        curves=(CurveRun(name, "Bankbook 0.1.0", "2026-11-22 21:00 UTC", 90.0, 2.0, points, failure),),
    )


def test_a_target_stands_beside_its_figure_and_is_met_or_not() -> None:
    told = section(page_of(whole_run(p99_ms=5.1, peak_mb=249.0), "growth"), "Targets")
    assert "p99 | ≤ 5 ms | 5.1 ms | 1 held requests | **not met** |" in told
    assert "memory with 10⁶ accounts under load | ≤ 250 MB | 249 MB | 1,000,000 accounts | met |" in told


def test_a_target_of_a_size_that_was_not_measured_says_what_was() -> None:
    told = section(page_of(whole_run(single_ratio=0.95), "growth"), "Targets")
    assert "≥ 0.9 × | 0.95 × | 1,000,000 entries | met, but asked for at 10,000,000 |" in told
    longest = only(Point(10_000_000, {"single_ratio": 0.85}))
    assert "| 0.85 × | 10,000,000 entries | **not met** |" in page_of(longest, "growth")


def test_what_was_not_measured_is_named_and_no_figure_is_made_up() -> None:
    page = page_of(only(Point(10_000, {"bulk_per_s": 12_345.6})), "growth")
    missing = page.split("Not measured in this run: ")[1].split("\n")[0]
    assert len(missing.split("; ")) == len(TARGETS)
    assert "| 10,000 |  |  |  | 12,346/s |  |  |  |  |  |  |  |" in page
    assert "## Accounts" not in page


def test_every_curve_has_its_table_its_picture_and_the_reason_for_its_slope() -> None:
    page = page_of(whole_run(), "growth")
    for curve in CURVES:
        told = section(page, curve.title)
        assert curve.how in told
        assert f"![{curve.title}](growth/{curve.name}.svg)" in told
        assert f"**Why.** {curve.reason}" in told
        for size in curve.sizes:
            assert f"\n| {size:,} |" in told
        for name in curve.plotted:
            curve.figure(name)


def test_when_a_curve_was_measured_stands_with_it() -> None:
    told = section(page_of(only(Point(10_000, {})), "growth"), "History")
    assert "Bankbook 0.1.0, measured on 2026-11-22 21:00 UTC, in 2 min, each load for 2 s a time." in told


def test_a_curve_that_is_measured_again_takes_the_place_of_the_one_before() -> None:
    again = only(Point(10_000, {}))
    found = merged(whole_run(), again)
    assert [curve.name for curve in found.curves] == ["branches", "accounts", "history", "held"]
    assert found.curve("history") == again.curve("history")
    assert found.curve("held") == whole_run().curve("held")
    assert merged(again, whole_run()).curve("held") == whole_run().curve("held")
    with pytest.raises(ValueError, match="of another machine"):
        merged(replace(whole_run(), machine={"processor": "1 × Quipu"}), again)


def test_a_curve_that_ended_early_says_why() -> None:
    page = page_of(only(Point(10_000, {}), failure="the disk\nis full"), "growth")
    assert "**The curve ends too early**: the disk is full" in page


@pytest.mark.parametrize(("others", "is_told"), [(0.9, True), (0.02, False)])
def test_a_busy_machine_is_told_at_the_top(others: float, is_told: bool) -> None:
    top = page_of(whole_run(others), "growth").split("## Targets")[0]
    assert ("**the machine was not quiet**" in top) is is_told


def test_figures_are_read_as_they_were_kept(tmp_path: Path) -> None:
    write(whole_run(), tmp_path / "figures.json")
    assert read(tmp_path / "figures.json") == whole_run()
    (tmp_path / "other.json").write_text('{"rounds": 3}')
    with pytest.raises(ValueError, match="holds no figures of make growth"):
        read(tmp_path / "other.json")


def test_pictures_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        draw(whole_run(), folder)
    for curve in CURVES:
        picture = f"{curve.name}.svg"
        assert (tmp_path / "one" / picture).read_bytes() == (tmp_path / "two" / picture).read_bytes()
        root = ET.fromstring((tmp_path / "one" / picture).read_text())  # noqa: S314  (our own)
        texts = {"".join(each.itertext()).strip() for each in root.iter() if each.tag.endswith("}text")}
        assert texts >= {curve.axis, *(curve.figure(name).what for name in curve.plotted)}


def test_the_page_in_the_docs_is_what_its_figures_say() -> None:
    """So nobody mends a figure by hand."""
    page, kept = DOCS / "growth.md", DOCS / "growth" / "figures.json"
    run = read(kept)
    assert page.read_text(encoding="utf-8") == page_of(run, "growth")
    for measured in run.curves:
        assert (DOCS / "growth" / f"{measured.name}.svg").exists()
