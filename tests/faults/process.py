"""One branch as users run it: `bankbook branch`, started, stopped, killed and started again.

Decides where it listens: at a free port, another one after each start; the network is told.
Proof: tests/faults/test_process.py.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from faults.janitor import Janitor
from faults.proxy import HOST

CLUSTER = "faults"

# A start takes half a second; this is for a machine in distress.
START_TIMEOUT_S = 60.0

# Between choosing a free port and taking it, somebody else may.
_PORTS_TRIED_MAX = 5


class DiedError(Exception):
    """A branch ended that nobody has ended; the message says where its log is."""


class BranchProcess:
    """One branch: its process, if it runs, and its files, which stay."""

    def __init__(
        self, branch: int, folder: Path, janitor: Janitor, others: Mapping[int, str], hold_limit_s: float
    ) -> None:
        """Name the folder for everything it writes, and where it finds the other branches."""
        folder.mkdir(parents=True)
        self.branch = branch
        self.address = ""
        """Where it listens; another one after each start."""
        self.data = folder / "data"
        """Where its store is; may be moved to another disk before the first start."""
        self.log = folder / "log.jsonl"
        """All it ever said, on a disk that has no faults."""
        self.is_wanted = False
        """Whether it ought to run."""
        self._folder = folder
        self._janitor = janitor
        self._others = others
        self._hold_limit_s = hold_limit_s
        self._process: asyncio.subprocess.Process | None = None
        self._keeping_log: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process id. Raises DiedError."""
        self.check_alive()
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self) -> None:
        """Return once it listens. Raises DiedError."""
        assert not self.is_wanted, f"branch {self.branch} runs"
        for _ in range(_PORTS_TRIED_MAX):
            if await self._start_at(_free_port()):
                self.is_wanted = True
                return
        raise DiedError(f"branch {self.branch} cannot be started: {self._last_words()}")

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.is_wanted = False
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self.ended()

    async def ended(self) -> None:
        """Return once the process, if there is one, has ended and all it said is written down."""
        if self._process is not None:
            await self._process.wait()
        if self._keeping_log is not None:
            await self._keeping_log

    def stop(self) -> None:
        """Let it stand still (SIGSTOP): its ports stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it stood (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def lose_disk(self) -> None:
        """Delete its store; it does not run."""
        assert not self.is_wanted, f"branch {self.branch} runs"
        for path in self.data.iterdir():
            shutil.rmtree(path)

    def check_alive(self) -> None:
        """Raise DiedError if it ended by itself."""
        status = None if self._process is None else self._process.returncode
        if self.is_wanted and status is not None:
            raise DiedError(f"branch {self.branch} ended with exit status {status}: {self._last_words()}")

    async def _start_at(self, port: int) -> bool:
        """Return whether it listens there; if not, it has ended."""
        self.address = f"{HOST}:{port}"
        path = self._folder / "bank.toml"
        path.write_text(self._bank_file())
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bankbook", "branch", "--config", path, "--id", str(self.branch)),
            *("--data", self.data),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the test, which then ends all
        )
        self._janitor.mind_process(self._process.pid)
        assert self._process.stdout is not None, "it has a pipe"
        assert self._process.stderr is not None, "it has another one"
        self._keeping_log = asyncio.create_task(self._keep_log(self._process.stderr))
        async with asyncio.timeout(START_TIMEOUT_S):
            if await self._process.stdout.readline():  # said once it listens
                return True
            await self.ended()
        return False

    async def _keep_log(self, pipe: asyncio.StreamReader) -> None:
        """Write down what the branch logs: it could not do so itself on a disk that fails."""
        with self.log.open("ab") as log:
            while words := await pipe.read(65_536):
                log.write(words)
                log.flush()

    def _bank_file(self) -> str:
        places = {**self._others, self.branch: self.address}
        rows = [f'[[branch]]\nid = {each}\naddress = "{places[each]}"\n' for each in sorted(places)]
        return (
            f'cluster = "{CLUSTER}"\n{"".join(rows)}[defaults]\nhold_limit_s = {self._hold_limit_s}\n'
            'log_level = "info"\n'
        )

    def _last_words(self) -> str:
        words = self.log.read_text(errors="replace").strip().splitlines()
        return f"{words[-1] if words else 'it said nothing'} (see {self.log})"

    def _signal(self, number: signal.Signals) -> None:
        assert self.is_wanted, f"branch {self.branch} does not run"
        os.kill(self.pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
