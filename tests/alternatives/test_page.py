"""docs/performance.md and its pictures, from figures that are known."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from alternatives.runs import case_run, run_of, whole_run

from benchmarks.figures import Failure, read
from benchmarks.page import page_of
from benchmarks.plots import draw
from benchmarks.systems import CASES

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, title: str) -> str:
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def behind(page: str) -> str:
    return section(page, "Where Bankbook is behind")


def test_a_target_stands_beside_its_figure_and_is_met_or_not() -> None:
    targets = section(page_of(whole_run(), "performance"), "Targets")
    assert (
        "| transfers in bulk 1,000, one branch | ≥ 100,000/s | 200,000/s (180,000–220,000) | met |" in targets
    )
    assert "| the same, over PostgreSQL's best | ≥ 10 × | 20 × | met |" in targets
    slow = page_of(run_of(case_run("bankbook-bulk", 99_999.0)), "performance")
    assert "| ≥ 100,000/s | 99,999/s | **not met** |" in slow


def test_the_floor_of_a_lone_deposit_is_a_call_and_a_sync_of_the_same_round() -> None:
    deposits = case_run("bankbook-one-deposit", 3.0, 6.0, also={"sync_ms": 2.0})
    page = page_of(run_of(deposits, case_run("echo-one", 1.0, 0.0)), "performance")
    assert "over a bare call and a sync | ≤ 1.5 × | 2 × (1–3) | **not met** |" in page


def test_where_bankbook_is_behind_is_worked_out() -> None:
    told = behind(page_of(whole_run(), "performance"))
    assert "- transfers in bulk 1,000: 0.667 × as fast as Redis" in told
    assert "etcd" not in told
    assert "PostgreSQL" not in told


def test_where_it_is_ahead_everywhere_the_page_says_no_more_than_that() -> None:
    run = run_of(case_run("bankbook-bulk", 200_000.0), case_run("redis-bulk", 100_000.0))
    assert behind(page_of(run, "performance")).strip() == "Nowhere, of what was measured in this run."


def test_behind_in_a_single_round_is_told_too() -> None:
    run = run_of(
        case_run("bankbook-bulk", 200_000.0, 300_000.0, 300_000.0),
        case_run("redis-bulk", 250_000.0, 100_000.0, 100_000.0),
    )
    assert "in some round (0.8 ×) behind Redis" in behind(page_of(run, "performance"))


def test_nothing_is_told_of_what_was_not_measured() -> None:
    page = page_of(run_of(case_run("bankbook-bulk", 200_000.0)), "performance")
    tables = section(page, "Targets").split("Not measured")[0] + section(page, "Beside the alternatives")
    for absent in ("MB", "etcd |", "Redis |", "PostgreSQL |"):
        assert absent not in tables
    assert "Not measured in this run: how soon a hold ends" in page
    assert "memory of an idle branch" in page.split("Not measured in this run")[1].split("\n")[0]


def test_every_figure_has_its_durability_and_the_noise_beside_it() -> None:
    page = page_of(whole_run(), "performance")
    every = section(page, "Every figure, and where its work was when it counted")
    for case in CASES.values():
        assert any(f"| {case.what} |" in line and case.durability in line for line in every.splitlines())
    assert "| 2% |" in every


def test_a_busy_machine_is_told_at_the_top() -> None:
    top = page_of(run_of(case_run("bankbook-bulk", 1.0, others=0.9)), "performance").split("## Targets")[0]
    assert "**the machine was not quiet**" in top
    assert "not quiet" not in page_of(whole_run(), "performance")


def test_the_best_number_of_callers_is_claimed_only_where_it_was_tried() -> None:
    assert "suited it best in trials" in page_of(whole_run(), "performance")
    untried = page_of(run_of(case_run("redis-bulk", 1.0)), "performance")
    assert "suited it best in trials" not in untried
    assert "was not tried in this run" in untried


def test_a_case_that_failed_says_why() -> None:
    run = replace(whole_run(), failures=(Failure("etcd-bulk", "no\nleader"),))
    assert "`etcd-bulk` could not be measured: no leader" in page_of(run, "performance")


def test_the_set_up_has_versions_settings_trials_and_packages() -> None:
    told = section(page_of(whole_run(), "performance"), "Set-up")
    for words in (
        "- processor: 2 × Abacus",
        "**Redis** (Redis 1.0). appendonly yes, appendfsync always",
        "synchronous_commit = on",
        "Debian's packages: redis-server 7.0.",
        "- echo: 64: 10,000/s, 256: 9,000/s",
    ):
        assert words in told


def test_pictures_have_every_system_and_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        draw(whole_run(), folder)
    for name in ("bulk.svg", "single.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        root = ET.fromstring((tmp_path / "one" / name).read_text())  # noqa: S314  (our own)
        texts = {"".join(each.itertext()).strip() for each in root.iter() if each.tag.endswith("}text")}
        assert texts >= {"Bankbook", "PostgreSQL", "etcd", "Redis"}


def test_a_picture_of_little_is_a_picture(tmp_path: Path) -> None:
    draw(run_of(case_run("redis-bulk", 1.0)), tmp_path)
    assert (tmp_path / "single.svg").exists()


def test_the_page_in_the_docs_is_what_its_figures_say() -> None:
    """So nobody mends a figure, or a sentence, by hand."""
    page, kept = DOCS / "performance.md", DOCS / "performance" / "figures.json"
    assert page.read_text(encoding="utf-8") == page_of(read(kept), "performance")
    for picture in ("bulk.svg", "single.svg"):
        assert (DOCS / "performance" / picture).exists()
