"""Trials and rounds, of systems that are made up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.cases import BenchmarkError, Case, Measure, Result, System, Unit
from benchmarks.run import Plan, carry_out, in_turn


class Stage:
    """Systems that write down what is done to them."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def system(self, name: str, *cases: Case, starts: bool = True) -> System:
        @contextmanager
        def start(folder: Path) -> Iterator[Path]:
            assert not list(folder.iterdir())
            self.seen.append(f"start {name}")
            if not starts:
                raise BenchmarkError(f"{name} is out of order")
            (folder / "litter").touch()
            try:
                yield folder
            finally:
                self.seen.append(f"stop {name}")

        return System(name, name.title(), "as it comes", cases, start, lambda: f"{name} 1")

    def case(self, name: str, measure: Measure, *callers: int, unit: Unit = Unit.PER_SECOND) -> Case:
        def noted(server: Any, callers: int, seconds: float) -> Result:
            self.seen.append(f"{name} {callers}")
            return measure(server, callers, seconds)

        return Case(name, f"what {name} is", unit, "nowhere", noted, callers or (1,))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def quiet(_: str) -> None:
    pass


def fixed(value: float) -> Measure:
    return lambda _server, _callers, _seconds: Result(value)


def test_each_round_starts_measures_and_stops_every_system_and_begins_with_another(
    stage: Stage, tmp_path: Path
) -> None:
    systems = tuple(stage.system(name, stage.case(f"{name}1", fixed(1.0))) for name in ("a", "b"))
    run = carry_out(Plan(systems, rounds=2), tmp_path, [], quiet)
    a, b = ["start a", "a1 1", "stop a"], ["start b", "b1 1", "stop b"]
    assert stage.seen == [*a, *b, *b, *a]
    assert [len(case.taken) for case in run.cases] == [2, 2]
    assert not list(tmp_path.iterdir())


def test_as_many_callers_are_measured_as_were_best_when_it_was_tried(stage: Stage, tmp_path: Path) -> None:
    def best_at_8(_server: Any, callers: int, _seconds: float) -> Result:
        return Result(100.0 - abs(callers - 8))

    speed = stage.case("speed", best_at_8, 1, 8, 64)
    time = stage.case("time", best_at_8, 1, 8, 64, unit=Unit.MS)
    run = carry_out(Plan((stage.system("a", speed, time),), rounds=1), tmp_path, [], quiet)
    assert [case.callers for case in run.cases] == [8, 64]
    assert dict(run.cases[0].trials) == {1: 93.0, 8: 100.0, 64: 44.0}
    assert stage.seen[-3:] == ["speed 8", "time 64", "stop a"]


def test_without_trials_the_first_number_of_callers_is_taken(stage: Stage, tmp_path: Path) -> None:
    systems = (stage.system("a", stage.case("speed", fixed(1.0), 32, 8)),)
    run = carry_out(Plan(systems, rounds=1, trial_s=None), tmp_path, [], quiet)
    assert stage.seen == ["start a", "speed 32", "stop a"]
    assert run.cases[0].trials == {}


def test_a_case_that_fails_is_told_of_and_not_tried_again_and_the_others_go_on(
    stage: Stage, tmp_path: Path
) -> None:
    def fails(server: Any, _callers: int, _seconds: float) -> Result:
        raise BenchmarkError(f"{server}/pipe leaks")

    system = stage.system("a", stage.case("bad", fails), stage.case("good", fixed(1.0)))
    run = carry_out(Plan((system,), rounds=2), tmp_path, [], quiet)
    (failure,) = run.failures
    assert failure.case == "bad"
    assert failure.why.startswith("FOLDER/")
    assert failure.why.endswith("/pipe leaks")
    assert stage.seen.count("bad 1") == 1
    assert run.case("bad") is None
    assert run.case("good") is not None


def test_a_system_that_does_not_start_fails_by_itself(stage: Stage, tmp_path: Path) -> None:
    systems = (
        stage.system("a", stage.case("a1", fixed(1.0)), starts=False),
        stage.system("b", stage.case("b1", fixed(1.0))),
    )
    run = carry_out(Plan(systems, rounds=2), tmp_path, [], quiet)
    assert [each.why for each in run.failures] == ["a is out of order"]
    assert run.case("b1") is not None


def test_ctrl_c_stops_the_server_and_leaves_no_folder(stage: Stage, tmp_path: Path) -> None:
    def interrupted(_server: Any, _callers: int, _seconds: float) -> Result:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(Plan((stage.system("a", stage.case("a1", interrupted)),)), tmp_path, [], quiet)
    assert stage.seen[-1] == "stop a"
    assert not list(tmp_path.iterdir())


def test_what_others_used_is_whose_who_knows_it_better_and_nobodys_where_nobody_does(
    stage: Stage, tmp_path: Path
) -> None:
    knows = stage.case("knows", lambda *_: Result(1.0, others_cpu=0.25))
    orphans = Case("orphans", "", Unit.PER_SECOND, "", fixed(1.0), is_family=False)
    run = carry_out(Plan((stage.system("a", knows, orphans),), rounds=1), tmp_path, [], quiet)
    assert [case.taken[0].others_cpu for case in run.cases] == [0.25, None]


def test_nothing_is_measured_in_memory(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.run.file_system_of", lambda _: "tmpfs")
    with pytest.raises(
        BenchmarkError, match=r"in memory: nothing would be durable; name a folder with --data"
    ):
        carry_out(Plan((stage.system("a"),)), tmp_path, [], quiet)


def test_turns() -> None:
    systems = [System(name, "", "", (), lambda _: pytest.fail("not to be started"), str) for name in "abc"]
    turns = ["".join(system.name for system in in_turn(systems, number)) for number in (1, 2, 3, 4)]
    assert turns == ["abc", "bca", "cab", "abc"]


def test_the_machine_is_described_without_whose_it_is(tmp_path: Path) -> None:
    told = machine.describe(tmp_path)
    assert set(told) == {"processor", "memory", "kernel", "system", "file system"}
    assert not any("/" in value and str(tmp_path) in value for value in told.values())
