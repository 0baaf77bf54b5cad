"""What the commands say of themselves."""

import re

import click
import pytest
from cli.commands import bankbook, complaint_of

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
        for name in ("run", "branches", "customers", "check"):
            assert re.search(rf"^  {name} +[A-Z]", told, re.MULTILINE)


def test_every_option_of_a_bank_is_there_for_run_and_for_branches() -> None:
    shared = {"accounts", "delay", "hold_limit_us", "opening_balance", "log_level", "log_file"}
    for name in ("run", "branches"):
        assert shared <= {parameter.name for parameter in app.commands[name].params}


def test_a_version_a_missing_argument_and_an_unknown_command() -> None:
    assert re.fullmatch(r"bankbook \d+\.\d+\.\d+\n", bankbook("--version").stdout)
    assert "Missing argument" in complaint_of(bankbook("run"), 2)
    assert "No such command" in complaint_of(bankbook("rnu"), 2)
