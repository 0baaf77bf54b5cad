"""`run --history` and `simulate --history`: what was asked and told, and `check` judges it."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli.commands import EXAMPLES, bankbook, deposit, query, transfer, withdraw, write_scenario

from bankbook.history.file import read_history
from bankbook.history.record import Final, Header, Latest, Operation, Terms

# On each account no two sets of amounts have the same sum.
POWERS_OF_THREE = (
    [deposit(1, 1), query(2), withdraw(3, 3), query(1)],
    [deposit(9, 2), transfer(27, 1, 1), query(3), query(1)],
)


def checked(path: Path) -> tuple[int, Mapping[str, str]]:
    """Return the exit status, and each checker's verdict."""
    done = bankbook("check", path, "--json")
    told = json.loads(done.stdout)
    return done.returncode, {each["name"]: each["verdict"] for each in told["checkers"]}


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_a_recorded_run_passes_and_says_where_its_history_is(tmp_path: Path, command: str) -> None:
    path = write_scenario(tmp_path / "input.json", 3, *POWERS_OF_THREE, balance=1000)
    history = tmp_path / "history.jsonl"
    history.write_text("an earlier history", encoding="utf-8")
    done = bankbook(command, path, "-o", tmp_path / "output.json", "--history", history)
    assert done.returncode == 0, done.stderr
    assert f"judge it with: bankbook check {history}" in done.stdout
    recorded = read_history(history)
    assert recorded.header == Header("scenario", 3, Terms(1000), latest=Latest.RECENT)
    items = list(recorded.items)
    sessions = {each.session for each in items if isinstance(each, Operation)}
    assert sessions >= {"1", "2", "auditor"}
    finals = [each for each in items if isinstance(each, Final)]
    assert [each.balances for each in finals] == [{"1": 1025, "2": 982}] * 3
    assert all(set(each.statements) == {"1", "2"} for each in finals)
    status, verdicts = checked(history)
    assert status == 0
    assert "FAIL" not in verdicts.values()
    for name in (
        "read your writes",
        "causal consistency",
        "durability",
        "convergence",
        "statement agreement",
    ):
        assert verdicts[name] == "PASS"


@pytest.mark.parametrize("accounts", ["own", "shared"])
@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
def test_nothing_that_is_said_of_the_examples_is_wrong(tmp_path: Path, name: str, accounts: str) -> None:
    """Equal amounts leave open which of them a balance shows; what the branches have in the end is clear."""
    history = tmp_path / "history.jsonl"
    command = ("simulate", EXAMPLES / name, "--accounts", accounts, "--propagation-delay", "1s")
    done = bankbook(*command, "-o", tmp_path / "output.json", "--history", history)
    assert done.returncode == 0, done.stderr
    status, verdicts = checked(history)
    assert status == (0 if name == "input.json" else 2)
    assert "FAIL" not in verdicts.values()
    for each in ("conservation", "exactly once", "durability", "convergence", "statement agreement"):
        assert verdicts[each] == "PASS"


def test_the_same_seed_records_the_same_history(tmp_path: Path) -> None:
    paths = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    for path in paths:
        command = ("simulate", EXAMPLES / "input_big.json", "--seed", 3, "--propagation-delay", "0s..1s")
        assert bankbook(*command, "-o", tmp_path / "output.json", "--history", path).returncode == 0
    one, other = (path.read_text(encoding="utf-8") for path in paths)
    assert one == other


@pytest.mark.parametrize("command", ["run", "simulate"])
@pytest.mark.parametrize(("name", "complaint"), [("o", "this is the output"), ("i", "the input")])
def test_a_history_that_would_take_the_place_of_another_file_is_refused(
    tmp_path: Path, command: str, name: str, complaint: str
) -> None:
    path = write_scenario(tmp_path / "i", 1, [deposit(1, 1)])
    done = bankbook(command, path, "-o", tmp_path / "o", "--history", tmp_path / name)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert path.exists()


def test_a_history_that_was_cut_off_is_judged_without_its_last_line(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 3, *POWERS_OF_THREE, balance=1000)
    history = tmp_path / "history.jsonl"
    bankbook("simulate", path, "-o", tmp_path / "output.json", "--history", history)
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(lines[:10]) + lines[10][:-7])
    done = bankbook("check", history)
    assert "line 11 was cut off while it was written, and is left out" in done.stderr
    assert "FAIL" not in done.stdout
