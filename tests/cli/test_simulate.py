"""`bankbook simulate`: a scenario in virtual time, and random banks under random faults."""

import json
from pathlib import Path

import pytest
from cli.commands import EXAMPLES, bankbook

from bankbook.cli.explore import Exploration, explore
from bankbook.simulation.checks import Judge
from bankbook.simulation.promises import ViolationError
from bankbook.simulation.run import SimulationSettings


def test_a_scenario_is_carried_out_at_once_with_two_seconds_for_each_propagation(tmp_path: Path) -> None:
    output = tmp_path / "output.json"
    done = bankbook(
        "simulate", EXAMPLES / "input_big.json", "--propagation-delay", "2s", "--json", "--output", output
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["verdict"] == "PASS"
    assert told["branches_agree"] is True
    assert told["elapsed_s"] > 38
    assert json.loads(output.read_text(encoding="utf-8"))[0]["recv"]


def test_the_same_seed_gives_the_same_output_and_words(tmp_path: Path) -> None:
    command = ("simulate", EXAMPLES / "input_big.json", "--propagation-delay", "0s..3s", "--seed", 5)
    one, other = (bankbook(*command, "-o", tmp_path / "output.json") for _ in range(2))
    assert one.returncode == 0
    assert one.stdout == other.stdout


def test_seeds_are_explored_and_counted() -> None:
    done = bankbook("simulate", "--seeds", 3, "--first", 7, "--faults", "crash,partition", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert (told["seeds"], told["first"], told["failed"]) == (3, 7, [])
    assert set(told["faults"]) <= {"crash", "partition"}
    assert told["operations"] > 50
    assert told["judged"]["exactly once"] > 0


def test_a_violation_is_told_with_its_seed_and_leaves_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_it(*_: object) -> None:
        raise ViolationError("balances", "what is told was never there")

    monkeypatch.setattr(Judge, "on_receipt", break_it)
    wanted = Exploration(
        range(11, 12), SimulationSettings(duration_s=2), trace_path=tmp_path / "trace.txt", shrink_for_s=0
    )
    with pytest.raises(SystemExit) as ended:
        explore(wanted, as_json=False)
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert "seed 11: balances: what is told was never there" in told.err
    assert "--seeds 1 --first 11" in told.err
    assert "1 failed" in told.out
    assert "commit: at " in (tmp_path / "trace.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name a scenario, or --seeds N, and not both"),
        ((EXAMPLES / "input.json", "--seeds", 3), "name a scenario, or --seeds N, and not both"),
        (("--seeds", 1, "--faults", "flood"), "there is no fault 'flood'; there are delay, loss"),
        (("no-such-file.json",), "no-such-file.json"),
        (("--seeds", 1, "--seed", 7), "--seed is of a scenario; the first of --seeds is --first SEED"),
        (("--seeds", 1, "-o", "out.json"), "--output is of a scenario"),
        ((EXAMPLES / "input.json", "--keep-going"), "--keep-going is of --seeds"),
        ((EXAMPLES / "input.json", "--first", 0), "--first is of --seeds"),
    ],
)
def test_a_command_that_cannot_be_meant_says_so(arguments: tuple[object, ...], complaint: str) -> None:
    done = bankbook("simulate", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
