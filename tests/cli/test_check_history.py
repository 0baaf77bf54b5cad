"""`bankbook check HISTORY`: a verdict from every checker, by the history alone."""

import json
from pathlib import Path

import pytest
from checkers.histories import Story, deposit, read
from cli.commands import EXAMPLES, bankbook
from history.test_docs import block

from bankbook.history.lines import write_history


def written(story: Story, path: Path) -> Path:
    with path.open("w", encoding="utf-8") as file:
        write_history(story.history(), file)
    return path


def test_the_example_of_the_page_fails_as_told_there(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(block("history"), encoding="utf-8")
    done = bankbook("check", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == block("report")


@pytest.mark.parametrize(
    ("balance", "verdict", "status"), [(1, "PASS", 0), (0, "FAIL", 1), (None, "UNKNOWN", 2)]
)
def test_the_exit_status_is_the_verdict(
    tmp_path: Path, balance: int | None, verdict: str, status: int
) -> None:
    story = Story()
    story.ask("anna", 1, deposit(1))
    story.ask("anna", 2, read(), balance)
    done = bankbook("check", written(story, tmp_path / "h.jsonl"), "--json")
    assert done.returncode == status, done.stderr
    told = json.loads(done.stdout)
    assert (told["verdict"], told["operations"]) == (verdict, 2)
    own = next(each for each in told["checkers"] if each["name"] == "read your writes")
    assert own["verdict"] == verdict
    assert own["operations"] == ([1, 2] if verdict == "FAIL" else [])


def test_a_history_that_cannot_be_read_is_refused_by_line_and_field(tmp_path: Path) -> None:
    path = written(Story(), tmp_path / "h.jsonl")
    path.write_text(path.read_text(encoding="utf-8") + '{"op": 1}\n', encoding="utf-8")
    done = bankbook("check", path)
    assert done.returncode == 3
    assert "line 2: `call_us` is missing" in done.stderr


def test_an_output_without_its_scenario_is_refused() -> None:
    done = bankbook("check", EXAMPLES / "input.json")
    assert done.returncode == 3
    assert "--input INPUT" in done.stderr
