"""`run` and `simulate` of a file with faults: what real processes suffer, and what they are spared."""

import json
from pathlib import Path

import pytest
from cli.commands import EXAMPLES, bankbook, complaint_of, results_in

FILE = """[
  {"id": 1, "type": "branch", "balance": 1000},
  {"id": 2, "type": "branch", "balance": 1000},
  {"id": 3, "type": "branch", "balance": 1000},
  {"id": "ada", "type": "customer", "events": [
    {"interface": "deposit", "money": 1, "branch": 1, "key": "pay", "durable": 1},
    {"interface": "reserve", "money": 2, "to": "ben", "branch": 2},
    {"interface": "capture", "event": 2, "branch": 1, "pause": "200ms"},
    {"interface": "again", "event": 1, "branch": 3},
    {"interface": "batch", "branch": "any", "commands": [
      {"interface": "withdraw", "money": 4}, {"interface": "transfer", "money": 8, "to": "ben"}]},
    {"interface": "withdraw", "money": 16, "branch": 2, "key": "twice", "also_at": 3},
    {"interface": "query", "branch": 3, "freshness": "LATEST", "pause": "1s"}
  ]},
  {"id": "ben", "type": "customer", "events": [
    {"interface": "learn", "customer": "ada", "pause": "5s"},
    {"interface": "begin"},
    {"interface": "query", "branch": 2, "freshness": "BOUNDED", "bound": "0s"}
  ]},
  {"type": "faults", "faults": [
    {"kind": "crash", "at": "100ms", "for": "300ms", "branches": [1]},
    {"kind": "pause", "at": "200ms", "for": "300ms", "branches": [2]},
    {"kind": "slow-branch", "at": "600ms", "for": "500ms", "branches": [3]},
    {"kind": "crash-point", "at": "900ms", "for": "2s", "branches": [3], "point": "before the write"},
    {"kind": "lost-disk", "at": "4s", "for": "100ms", "branches": [1]},
    {"kind": "duplication", "percent": 10}
  ]}
]
"""
BALANCE = 1000 + 1 - 2 - 4 - 8 - 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with some of everything."""
    path = tmp_path / "input.json"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_a_file_with_faults_is_carried_out_and_judged(path: Path, tmp_path: Path, command: str) -> None:
    output = tmp_path / "output.json"
    done = bankbook(command, path, "-o", output, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["verdict"], told["branches_agree"]) == ("PASS", True)
    assert told["balances"]["ada"] == dict.fromkeys("123", BALANCE)
    assert results_in(output)[6] == BALANCE


def test_what_is_not_done_to_real_processes_is_said(path: Path, tmp_path: Path) -> None:
    done = bankbook("run", path, "-o", tmp_path / "output.json")
    assert done.returncode == 0, done.stderr
    assert "bankbook: 1 duplication left out: gRPC delivers once and in order\n" in done.stderr
    assert "bankbook: 1 crash-point done as crash: where a real process is as it dies, " in done.stderr
    for branch in (1, 3):
        assert f"branch {branch} was killed by SIGKILL; starting it again" in done.stderr
    assert "branch 2 was killed" not in done.stderr


def test_a_history_of_it_is_judged_by_itself(path: Path, tmp_path: Path) -> None:
    for command in ("run", "simulate"):
        history = tmp_path / f"{command}.jsonl"
        done = bankbook(command, path, "-o", tmp_path / "output.json", "--history", history)
        assert done.returncode == 0, done.stderr
        assert bankbook("check", history).stdout.startswith("PASS")


def test_the_same_seed_gives_the_same_output_words_and_trace(path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    told = set()
    for _ in range(2):
        done = bankbook("simulate", path, "--seed", 5, "-o", tmp_path / "output.json", "--trace", trace)
        assert done.returncode == 0, done.stderr
        told.add((done.stdout, trace.read_text(encoding="utf-8")))
    ((_, lines),) = told
    assert "fault lost-disk: 1\n" in lines
    assert "fault pause: 2\n" in lines


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_one_account_for_all_does_not_suit_it(path: Path, tmp_path: Path, command: str) -> None:
    done = bankbook(command, path, "-o", tmp_path / "output.json", "--accounts", "shared")
    assert "--accounts shared is for what the original system's customers do" in complaint_of(done, 2)


def test_an_output_does_not_tell_enough_to_be_judged(path: Path, tmp_path: Path) -> None:
    assert bankbook("simulate", path, "-o", tmp_path / "output.json").returncode == 0
    done = bankbook("check", tmp_path / "output.json", "--input", path)
    assert "Record a history" in complaint_of(done, 3)


def test_a_trace_of_an_original_file_can_be_had_too(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    done = bankbook("simulate", EXAMPLES / "input.json", "-o", tmp_path / "output.json", "--trace", trace)
    assert done.returncode == 0, done.stderr
    assert "commit: at " in trace.read_text(encoding="utf-8")


def test_accounts_of_the_file_are_opened_first(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(
        '[{"id": 1, "type": "branch"}, {"id": 2, "type": "branch"}, {"id": "x", "type": "account",'
        '"floor": -5},'
        '{"id": 1, "type": "customer", "events": [{"interface": "withdraw", "money": 5, "account": "x"},'
        '{"interface": "withdraw", "money": 1, "account": "x", "branch": 2}]}]',
        encoding="utf-8",
    )
    for command in ("run", "simulate"):
        done = bankbook(command, path, "-o", tmp_path / "output.json")
        assert done.returncode == 0, done.stderr
        assert results_in(tmp_path / "output.json") == ["success", "INSUFFICIENT_FUNDS"]
        assert "account x: -5" in done.stdout
