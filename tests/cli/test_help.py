"""What the commands say of themselves."""

import re
import signal
import subprocess
import sys

import click
import pytest
from cli.commands import bankbook, complaint_of

from bankbook import cli
from bankbook.cli import ending
from bankbook.cli.app import app


@pytest.mark.parametrize("name", app.commands)
def test_the_help_of_a_command_explains_every_option(name: str) -> None:
    done = bankbook(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for parameter in app.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"
            (option,) = (each for each in parameter.opts if each.startswith("--"))
            assert re.search(rf"^ +(-\w, )?{option}\b", done.stdout, re.MULTILINE), option
        else:
            assert parameter.make_metavar(click.Context(app.commands[name])) in done.stdout
    assert bankbook(name, "-h").stdout == done.stdout


def test_the_help_names_every_command() -> None:
    for arguments in (("--help",), ("-h",)):
        told = bankbook(*arguments).stdout
        for name in app.commands:
            assert re.search(rf"^  {name} +[A-Z]", told, re.MULTILINE)


def test_every_option_of_a_bank_is_there_for_run_and_for_branches() -> None:
    shared = {"accounts", "delay", "hold_limit_us", "opening_balance", "log_level", "log_file"}
    for name in ("run", "branches"):
        assert shared <= {parameter.name for parameter in app.commands[name].params}


def test_the_statuses_that_are_needed_before_the_commands_are_imported_are_theirs() -> None:
    assert cli._COULD_NOT_RUN == ending.COULD_NOT_RUN
    assert cli._INTERRUPTED == ending.INTERRUPTED


def test_ctrl_c_while_the_commands_are_imported_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as end:
            cli.main([])
    finally:
        signal.signal(signal.SIGINT, handler)
    assert end.value.code == ending.INTERRUPTED


def test_the_module_is_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bankbook", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("bankbook ")


def test_a_version_a_missing_argument_and_an_unknown_command() -> None:
    assert re.fullmatch(r"bankbook \d+\.\d+\.\d+\n", bankbook("--version").stdout)
    assert "Missing argument" in complaint_of(bankbook("run"), 2)
    assert "No such command" in complaint_of(bankbook("rnu"), 2)
