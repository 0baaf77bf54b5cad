"""Servers and load generators: started at a free port, ended again, whatever happens.

Decides how a process is started and ended: none outlives whoever measures, killed with -9 even (the kernel
ends it: PR_SET_PDEATHSIG), and only what was started here is ever ended. Must not know what they serve.
Proof: tests/alternatives/test_processes.py.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cases import BenchmarkError

HOST = "127.0.0.1"

# PostgreSQL recovers nothing here, and etcd elects itself: a second or two on a machine in distress.
_START_S = 60.0
_STOP_S = 20.0

# No program that measures takes as long; one that does stands still.
_TOOL_S = 300.0

# Whoever answers a program of ours answers within this.
ANSWER_S = 60.0

# Nobody says when a server of somebody else's is ready: it is asked, not so often that it costs a processor.
_LOOK_EVERY_S = 0.02

_LOG = "log"
_LOG_LINES = 10

# Who a server is that refuses to be root, the first of them that there is.
_UNPRIVILEGED = ("postgres", "nobody")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as asking:
        return asking.connect_ex((HOST, port)) == 0


def unprivileged_user() -> str | None:
    """Return who a server has to be that refuses to be root; None where we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in _UNPRIVILEGED if user in known)


def give_to(folder: Path, user: str | None) -> None:
    """Make a folder the user's; every folder above it has to be open to them."""
    if user is not None:
        shutil.chown(folder, user)


def as_user(command: Sequence[str], user: str | None, *, at_our_end: str = "KILL") -> list[str]:
    """Return a command that runs as a user, and is sent a signal when whoever started it is gone."""
    tool = shutil.which("setpriv")
    if tool is None:
        raise BenchmarkError("setpriv is missing; it is part of util-linux (apt-get install util-linux)")
    prefix = [tool, "--pdeathsig", at_our_end]
    if user is not None:
        account = pwd.getpwnam(user)
        prefix += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return [*prefix, "--", *command]


def tool(
    command: Sequence[str],
    folder: Path,
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = _TOOL_S,
) -> str:
    """Run a program to its end and return what it printed. Raises BenchmarkError where it failed."""
    try:
        done = subprocess.run(
            as_user(command, user),
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{Path(command[0]).name} had not ended after {limit_s:.0f} s") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).splitlines()[-_LOG_LINES:])
        raise BenchmarkError(f"{Path(command[0]).name} failed with exit status {done.returncode}:\n{said}")
    return done.stdout


@contextmanager
def server(
    command: Sequence[str],
    folder: Path,
    is_ready: Callable[[], bool],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stop_by: signal.Signals = signal.SIGTERM,
) -> Iterator[int]:
    """Run a server while the context lasts; yield its process id. Raises BenchmarkError."""
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            as_user(command, user, at_our_end=stop_by.name.removeprefix("SIG")),
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for whoever measures, who then ends this one
        )
        try:
            _wait_until(is_ready, process, folder / _LOG, Path(command[0]).name)
            yield process.pid
        finally:
            _end(process, stop_by)


def _wait_until(
    is_ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path, name: str
) -> None:
    until_s = time.monotonic() + _START_S
    while not is_ready():
        if process.poll() is not None:
            raise BenchmarkError(f"{name} ended with exit status {process.returncode}:\n{_last_of(log)}")
        if time.monotonic() > until_s:
            raise BenchmarkError(f"{name} did not start within {_START_S:.0f} s:\n{_last_of(log)}")
        time.sleep(_LOOK_EVERY_S)


def _last_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _end(process: "subprocess.Popen[bytes]", stop_by: signal.Signals) -> None:
    process.send_signal(stop_by)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
