"""Log lines: for a person on a terminal, for a machine everywhere else."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bankbook.server.logs import LEVELS, configure_logs


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_machine_gets_one_json_object_a_line_with_time_level_and_branch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", branch=3)
    structlog.get_logger().info("request", outcome="OK", balance=400)
    (line,) = lines(capsys.readouterr().err)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "request", "level": "info", "branch": 3, "outcome": "OK", "balance": 400}


def test_a_person_at_a_terminal_gets_words_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logs("info", branch=3)
    structlog.get_logger().info("request", outcome="OK")
    text = terminal.getvalue()
    assert "request" in text
    assert "\x1b[" in text
    assert not text.startswith("{")


def test_a_program_that_is_no_branch_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    structlog.get_logger().info("launcher.started")
    assert "branch" not in lines(capsys.readouterr().err)[0]


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_below_the_level_asked_for_is_not_logged(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(level)
    for each in LEVELS:
        getattr(structlog.get_logger(), each)("something")
    assert [line["level"] for line in lines(capsys.readouterr().err)] == list(LEVELS[LEVELS.index(level) :])


def test_lines_for_a_file_are_added_to_it_and_standard_error_stays_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "branch.log"
    file.write_text('{"event": "from an earlier life"}\n')
    configure_logs("info", file, branch=1)
    structlog.get_logger().warning("größer", customer="änne")
    structlog.get_config()["logger_factory"]._file.close()
    assert [line["event"] for line in lines(file.read_text(encoding="utf-8"))] == [
        "from an earlier life",
        "größer",
    ]
    assert capsys.readouterr().err == ""


def test_an_error_is_logged_with_its_traceback_on_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("branch.failed")
    (line,) = lines(capsys.readouterr().err)
    assert "ValueError: invalid literal" in str(line["exception"])


def test_a_line_break_in_what_a_customer_sent_does_not_make_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info")
    structlog.get_logger().info("request", customer='a\n{"event": "forged"}')
    assert len(lines(capsys.readouterr().err)) == 1
