"""`python -m benchmarks`: what it takes, and what it writes."""

from dataclasses import replace
from pathlib import Path

import pytest
from alternatives.runs import whole_run
from click.testing import CliRunner, Result

from bankbook.bench.settings import SettingsError
from benchmarks import cli
from benchmarks.figures import Failure, Run, read, write
from benchmarks.run import Plan


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Plan]:
    """What would have been measured; it comes out as figures that are made up."""
    plans: list[Plan] = []

    def measure(plan: Plan, _data: Path | None) -> Run:
        plans.append(plan)
        return whole_run()

    monkeypatch.setattr(cli, "_measure", measure)
    monkeypatch.setattr(cli, "PAGE", tmp_path / "docs" / "performance.md")
    (tmp_path / "docs").mkdir()
    return plans


def test_a_whole_run_writes_the_page_its_pictures_and_its_figures(
    measured: list[Plan], tmp_path: Path
) -> None:
    result = call()
    assert result.exit_code == 0, result.output
    (plan,) = measured
    assert (plan.rounds, plan.seconds, len(plan.systems)) == (3, 5.0, 5)
    assert plan.command == "make bench"
    docs = tmp_path / "docs"
    assert sorted(path.name for path in docs.rglob("*.*")) == [
        "bulk.svg",
        "figures.json",
        "performance.md",
        "single.svg",
    ]
    assert read(docs / "performance" / "figures.json") == whole_run()


@pytest.mark.parametrize("part", [["--quick"], ["--only", "redis"]])
def test_a_part_of_a_run_writes_no_page_unless_it_is_told_where(
    part: list[str], measured: list[Plan], tmp_path: Path
) -> None:
    assert call(*part, "--json", str(tmp_path / "kept.json")).exit_code == 0
    assert len(measured) == 1
    assert not list((tmp_path / "docs").iterdir())
    assert read(tmp_path / "kept.json") == whole_run()
    assert call(*part, "--page", str(tmp_path / "other.md")).exit_code == 0
    assert (tmp_path / "other.md").exists()


def test_a_quick_run_has_one_round_and_no_trials(measured: list[Plan]) -> None:
    call("--quick")
    call("--quick", "--rounds", "2", "--seconds", "3")
    assert [(plan.rounds, plan.seconds, plan.trial_s) for plan in measured] == [
        (1, 1.5, None),
        (2, 3.0, None),
    ]


def test_the_page_names_the_command_that_measures_the_same_again(measured: list[Plan]) -> None:
    call("--quick", "--only", "redis", "--rounds", "2", "--seconds", "2.5")
    assert measured[0].command == "make bench BENCH='--quick --only redis --rounds 2 --seconds 2.5'"


def test_only_takes_systems_and_cases() -> None:
    chosen = {
        system.name: [case.name for case in system.cases] for system in cli.chosen(["redis", "etcd-one"])
    }
    assert list(chosen) == ["etcd", "redis"]
    assert chosen["etcd"] == ["etcd-one"]
    assert len(chosen["redis"]) == 4
    with pytest.raises(
        SettingsError, match=r"there is no 'mysql'; the systems are floor, bankbook, postgresql"
    ):
        cli.chosen(["mysql"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "mysql"], "there is no 'mysql'"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--data", "/nowhere/at/all"], "does not exist"),
    ],
)
def test_bad_input_is_told_and_is_exit_status_2(arguments: list[str], told: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert told in result.output


def test_the_page_can_be_written_from_figures_that_were_kept(measured: list[Plan], tmp_path: Path) -> None:
    write(whole_run(), tmp_path / "kept.json")
    assert call("--from", str(tmp_path / "kept.json")).exit_code == 0
    assert not measured
    assert (tmp_path / "docs" / "performance.md").exists()
    (tmp_path / "kept.json").write_text("{}")
    result = call("--from", str(tmp_path / "kept.json"))
    assert result.exit_code == 2
    assert "holds no figures of make bench" in result.output


def test_what_could_not_be_measured_is_exit_status_3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = replace(whole_run(), failures=(Failure("a", "b"),))
    monkeypatch.setattr(cli, "_measure", lambda *_: run)
    result = call("--quick", "--json", str(tmp_path / "kept.json"))
    assert result.exit_code == 3
    assert "1 of the cases could not be measured" in result.output


def test_ctrl_c_says_that_nothing_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Run:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_measure", interrupted)
    result = call("--quick")
    assert result.exit_code == 130
    assert "nothing was written" in result.output
