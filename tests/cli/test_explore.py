"""`bankbook simulate --seeds`: many processes, the first that fails, and what Ctrl-C leaves."""

import json
import signal
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, bankbook, started, wait_for_end
from server.processes import processes_of_session, wait_until

from bankbook.cli.explore import Exploration, explore
from bankbook.scenario.parse import read_scenario
from bankbook.simulation.checks import Judge
from bankbook.simulation.operations import Operation
from bankbook.simulation.plan import Plan
from bankbook.simulation.promises import Promise, ViolationError
from bankbook.simulation.run import SimulationSettings
from bankbook.simulation.shrink import Shrinker

SHORT = SimulationSettings(duration_s=4)


def break_every_receipt(patch: pytest.MonkeyPatch) -> None:
    """Let every answer to a customer be a violation."""

    def break_it(_: Judge, operation: Operation, _past: object) -> None:
        if operation.session.startswith("customer"):
            raise ViolationError(Promise.BALANCES, "made up")

    patch.setattr(Judge, "on_receipt", break_it)


def exit_of(wanted: Exploration, *, as_json: bool = True) -> object:
    with pytest.raises(SystemExit) as ended:
        explore(wanted, as_json=as_json)
    return ended.value.code


def test_all_processes_together_tell_what_one_tells() -> None:
    command = ("simulate", "--seeds", 4, "--first", 7, "--json")
    one, other = (json.loads(bankbook(*command, "--jobs", jobs).stdout) for jobs in (1, 2))
    for told in (one, other):
        del told["elapsed_s"], told["jobs"]
    assert one == other
    assert (one["failed"], one["shrunk"]) == ([], None)


def test_the_first_failure_ends_it_unless_it_is_to_keep_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_every_receipt(monkeypatch)
    wanted = Exploration(range(11, 14), SHORT, shrunk_path=tmp_path / "small.json", shrink_for_s=0)
    assert exit_of(wanted) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["seed"] for each in told["failed"]] == [11]
    assert not (tmp_path / "small.json").exists()
    assert exit_of(Exploration(range(11, 14), SHORT, keeps_going=True, shrink_for_s=0)) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["seed"] for each in told["failed"]] == [11, 12, 13]


def test_what_is_left_of_a_failure_is_written_and_told_with_what_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_every_receipt(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert exit_of(Exploration(range(11, 12), SHORT, shrink_for_s=1e6), as_json=False) == 1
    told = capsys.readouterr().out
    scenario = read_scenario(tmp_path / "bankbook-seed-11.json")
    assert sum(len(each.events) for each in scenario.customers) == 1
    assert (len(scenario.branches), scenario.faults) == (1, ())
    assert "to 1 branches, 1 customers, 1 events, 0 faults, from " in told
    assert "balances: made up" in told
    assert "again      bankbook simulate bankbook-seed-11.json --seed " in told
    assert "bankbook run bankbook-seed-11.json" in told


def test_ctrl_c_hands_out_the_smallest_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Shrinker) -> None:
        raise KeyboardInterrupt

    break_every_receipt(monkeypatch)
    monkeypatch.setattr(Shrinker, "shrink", interrupt)
    path = tmp_path / "small.json"
    assert exit_of(Exploration(range(11, 12), SHORT, shrunk_path=path)) == 1
    shrunk = json.loads(capsys.readouterr().out)["shrunk"]
    assert shrunk["interrupted"] is True
    assert sum(len(each.events) for each in read_scenario(path).customers) == shrunk["events"] > 0


def test_ctrl_c_ends_every_process() -> None:
    with started(BANKBOOK, "simulate", "--seeds", 1_000_000, "--jobs", 2) as program:
        # The command itself, the fork server, the resource tracker, and one process for each job.
        wait_until(lambda: len(processes_of_session(program.pid)) >= 5, "all processes are there")
        program.send_signal(signal.SIGINT)
        assert wait_for_end(program) == 130
        assert program.stderr is not None
        assert "bankbook: interrupted after " in program.stderr.read()
        wait_until(lambda: not processes_of_session(program.pid), "no process is left")


def test_nothing_is_made_smaller_that_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of the plans themselves is no seed's failure."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Plan, "scenario", fail)
    with pytest.raises(ZeroDivisionError):
        explore(Exploration(range(1), SHORT), as_json=True)
