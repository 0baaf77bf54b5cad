"""`python -m benchmarks.growth`: what it takes, what it writes, and that nothing is left."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from alternatives.growth_runs import whole_run
from click.testing import CliRunner, Result

from benchmarks.cases import BenchmarkError
from benchmarks.growth import cli
from benchmarks.growth.curves import CURVE
from benchmarks.growth.figures import Point, Run, read, write
from benchmarks.growth.lab import Lab

ROOT = Path(__file__).parents[2]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[cli.Plan]:
    """What would have been measured; it comes out as figures that are made up."""
    plans: list[cli.Plan] = []

    def measure(plan: cli.Plan, _data: Path, _kept: Path | None) -> Run:
        plans.append(plan)
        return whole_run()

    monkeypatch.setattr(cli, "_measure", measure)
    monkeypatch.setattr(cli, "PAGE", tmp_path / "docs" / "growth.md")
    (tmp_path / "docs").mkdir()
    return plans


def test_a_whole_run_writes_the_page_its_pictures_and_its_figures(
    measured: list[cli.Plan], tmp_path: Path
) -> None:
    assert call().exit_code == 0
    (plan,) = measured
    assert plan.command == "make growth"
    assert [curve.name for curve, _ in plan.curves] == ["branches", "accounts", "history", "held"]
    docs = tmp_path / "docs"
    assert sorted(path.name for path in docs.rglob("*.*")) == [
        "accounts.svg",
        "branches.svg",
        "figures.json",
        "growth.md",
        "held.svg",
        "history.svg",
    ]
    assert read(docs / "growth" / "figures.json") == whole_run()


@pytest.mark.parametrize("part", [["--quick"], ["--only", "held"]])
def test_a_part_of_a_run_writes_no_page_unless_it_is_told_where(
    part: list[str], measured: list[cli.Plan], tmp_path: Path
) -> None:
    assert call(*part, "--json", str(tmp_path / "kept.json")).exit_code == 0
    assert len(measured) == 1
    assert not list((tmp_path / "docs").iterdir())
    assert read(tmp_path / "kept.json") == whole_run()
    assert call(*part, "--page", str(tmp_path / "other.md")).exit_code == 0
    assert (tmp_path / "other.md").exists()


def test_curves_that_were_not_measured_stay_on_the_page_where_that_is_asked_for(
    measured: list[cli.Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert call().exit_code == 0
    assert measured
    whole = whole_run(p99_ms=7.0)
    held = replace(whole, curves=whole.curves[3:])
    monkeypatch.setattr(cli, "_measure", lambda _plan, _data, _kept: held)
    assert call("--only", "held", "--merge").exit_code == 0
    kept = read(tmp_path / "docs" / "growth" / "figures.json")
    assert kept.curves == (*whole_run().curves[:3], *held.curves)


def test_a_page_is_written_anew_from_figures_that_were_kept(measured: list[cli.Plan], tmp_path: Path) -> None:
    write(whole_run(), tmp_path / "kept.json")
    assert call("--from", str(tmp_path / "kept.json")).exit_code == 0
    assert not measured
    assert (tmp_path / "docs" / "growth.md").exists()


def test_the_longest_history_is_asked_for(measured: list[cli.Plan]) -> None:
    call("--only", "history", "--entries", "10000000", "--seconds", "2")
    (plan,) = measured
    assert plan.curves == ((CURVE["history"], (10_000, 100_000, 1_000_000, 10_000_000)),)
    assert plan.command == "make growth GROWTH='--only history --entries 10000000 --seconds 2'"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "weather"], "'weather' is not one of"),
        (["--entries", "10000001"], "10000001 is not in the range"),
        (["--from", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], told: str, measured: list[cli.Plan]) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert told in result.output
    assert not measured


def test_a_curve_that_fails_keeps_what_was_measured_and_leaves_the_others(tmp_path: Path) -> None:
    def measure(_lab: Lab, sizes: Sequence[int]) -> Iterator[Point]:
        yield Point(sizes[0], {"p99_ms": 1.23456})
        raise BenchmarkError(f"{tmp_path / 'x'} is too full")

    curve = replace(CURVE["held"], measure=measure)
    ended = cli.carry_out(curve, (1, 10), Lab(tmp_path, 1.0, lambda _: None))
    assert ended.points == (Point(1, {"p99_ms": 1.2346}),)
    assert ended.failure == "FOLDER/x is too full"


def test_a_failure_ends_the_command_with_a_status_and_writes_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = whole_run()
    failed = replace(whole, curves=(replace(whole.curves[0], failure="no room"), *whole.curves[1:]))
    monkeypatch.setattr(cli, "_measure", lambda _plan, _data, _kept: failed)
    result = call("--quick", "--page", str(tmp_path / "page.md"))
    assert result.exit_code == 3
    assert "not all could be measured of: branches" in result.output
    assert "**The curve ends too early**: no room" in (tmp_path / "page.md").read_text()


def test_interrupted_it_leaves_no_folder_and_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.growth", "--quick", "--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            stores = await_stores(tmp_path)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "nothing is left" in told
    assert not list(tmp_path.iterdir())
    assert not [process for process in Path("/proc").glob("[0-9]*") if holds(process, stores)]


def await_stores(folder: Path) -> Path:
    """Return the folder of all stores once a branch has one."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        if list(folder.glob("*/*/branch-1/*.sqlite")):
            return next(folder.iterdir())
        time.sleep(0.05)
    raise AssertionError("no branch has started")


def holds(process: Path, folder: Path) -> bool:
    """Whether a process has a file in a folder open, removed or not."""
    try:
        return any(str(folder) in str(each.readlink()) for each in (process / "fd").iterdir())
    except OSError:  # it has ended
        return False
