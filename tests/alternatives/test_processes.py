"""Servers are started and ended; only ours, and always."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cases import BenchmarkError
from benchmarks.machine import Stopwatch, family_cpu_s
from benchmarks.processes import as_user, free_port, is_listening, server, tool

LISTENS = (
    "import socket, sys, signal; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); signal.pause()"
)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def listening(port: int) -> list[str]:
    return [sys.executable, "-c", LISTENS, str(port)]


def test_a_server_runs_as_long_as_it_is_wanted(tmp_path: Path) -> None:
    port = free_port()
    with server(listening(port), tmp_path, lambda: is_listening(port)) as pid:
        assert is_listening(port)
    assert not is_alive(pid)


def test_a_server_ends_also_when_measuring_fails(tmp_path: Path) -> None:
    port, pids = free_port(), []

    def measure() -> None:
        with server(listening(port), tmp_path, lambda: is_listening(port)) as pid:
            pids.append(pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure()
    assert not is_alive(pids[0])


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no room')"]
    with (
        pytest.raises(BenchmarkError, match=r"ended with exit status 1:\nno room"),
        server(command, tmp_path, lambda: False),
    ):
        pytest.fail("it did not start")


def test_a_server_does_not_outlive_whoever_measures_and_is_killed(tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import os, sys, signal; from pathlib import Path; from benchmarks.processes import server, "
        "is_listening\n"
        f"with server({listening(port)!r}, Path({str(tmp_path)!r}), lambda: is_listening({port})):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    while is_listening(port):  # the kernel ends it, soon; a test that hangs here is ended by its time limit
        pass


def test_a_tool_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"failed with exit status 3:\nhelp"):
        tool([sys.executable, "-c", "import sys; print('help', file=sys.stderr); sys.exit(3)"], tmp_path)


def test_a_tool_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="had not ended after 0 s"):
        tool([sys.executable, "-c", "import signal; signal.pause()"], tmp_path, limit_s=0.3)


def test_where_setpriv_is_missing_it_is_said_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchmarkError, match="apt-get install util-linux"):
        as_user(["true"], None)


# Its child has ended when it says so, and it does nothing more until it is let go.
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"])
print("done", flush=True)
sys.stdin.read()
"""


def test_what_ended_children_have_used_is_the_familys() -> None:
    # A family of its own: to that of all tests belong processes of earlier ones, and some of those leave it.
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "done\n"
        assert family_cpu_s(parent.pid) >= 0.29
        parent.communicate()


def test_what_others_have_used_is_never_less_than_nothing(tmp_path: Path) -> None:
    watch = Stopwatch.start()
    tool([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], tmp_path)
    others = watch.others()
    assert others is None or others >= 0
