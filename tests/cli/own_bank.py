"""A bank of one's own for tests: its file, its branches, and a customer who types commands."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.commands import BANKBOOK, bankbook, lines_until, started
from ports import free_port_base

CLUSTER = "ours"


class OwnBank:
    """A folder with a bank.toml, and how a customer called anna uses it."""

    def __init__(self, folder: Path, branches: int = 3, defaults: str = "") -> None:
        self.folder = folder
        self.config = folder / "bank.toml"
        self.base = free_port_base(branches)
        options = ("--cluster", CLUSTER, "--port", self.base, "--branches", branches)
        assert bankbook("init", "--config", self.config, *options).returncode == 0
        text = self.config.read_text().replace('log_level = "warning"', f'log_level = "error"\n{defaults}')
        self.config.write_text(text)
        self.pids: dict[int, int] = {}
        """Of the branches that `up` runs."""
        self.env = {
            **os.environ,
            "BANKBOOK_CONFIG": str(self.config),
            "BANKBOOK_CUSTOMER": "anna",
            "XDG_STATE_HOME": str(folder / "state"),
            "TZ": "America/New_York",
        }

    @property
    def token_path(self) -> Path:
        """Where anna's token is."""
        return self.folder / "state" / "bankbook" / CLUSTER / "anna.token"

    def types(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Type a command; return how it ended."""
        return bankbook(*arguments, env=self.env)

    def says(self, *arguments: object) -> str:
        """Type a command that succeeds and has nothing to complain of; return what it says."""
        done = self.types(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout.strip()

    @contextmanager
    def up(self, *options: object) -> Iterator[subprocess.Popen[str]]:
        """Run all branches."""
        with started(BANKBOOK, "up", *options, env=self.env) as program:
            lines = "".join(lines_until(program, "are ready"))
            found = re.findall(r"^branch (\d+) at .*, process (\d+)$", lines, re.MULTILINE)
            self.pids = {int(number): int(pid) for number, pid in found}
            yield program

    @contextmanager
    def branch(self, number: int, *options: object) -> Iterator[subprocess.Popen[str]]:
        """Run one branch."""
        with started(BANKBOOK, "branch", "--id", number, *options, env=self.env) as program:
            lines_until(program, f"branch {number} at ")
            yield program
