"""Ends what a test has started as soon as the test is gone, however it went: `kill -9` included.

A process of its own that waits at the other end of a pipe. It is told of everything that must not be left
behind, and clears it away once the pipe is closed. Decides nothing else: a bank that is closed in order
closes the pipe, so the way that has to work after a crash is the one that is always taken.
Proof: tests/faults/test_process.py.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Self

_PROCESS, _DISK = "process", "disk"

# Killing and unmounting take milliseconds; this is for a machine in distress.
_PATIENCE_S = 60.0


class Janitor:
    """The near end of the pipe. Use it with `with`: leaving it clears everything away."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear_away()

    def mind_process(self, pid: int) -> None:
        """Have a process killed in the end, also one that is stopped."""
        self._tell(_PROCESS, pid)

    def mind_disk(self, folder: Path) -> None:
        """Have a file system unmounted in the end, after all processes."""
        self._tell(_DISK, folder)

    def clear_away(self) -> None:
        """Return once nothing is left. Doing so twice is harmless."""
        assert self._process.stdin is not None, "it has a pipe"
        self._process.stdin.close()
        status = self._process.wait(_PATIENCE_S)
        assert status == 0, f"the janitor ended with exit status {status}"

    def _tell(self, kind: str, what: object) -> None:
        assert self._process.stdin is not None, "it has a pipe"
        self._process.stdin.write(f"{kind} {what}\n")
        self._process.stdin.flush()


def main(lines: Iterable[str]) -> None:
    """Read what there is until the pipe is closed, and clear it away."""
    processes, disks = [], []
    for line in lines:
        kind, _, what = line.rstrip("\n").partition(" ")
        if kind == _PROCESS:
            with contextlib.suppress(ProcessLookupError):
                # A number may be another process's by then; what it is opened as now, it stays.
                processes.append(os.pidfd_open(int(what)))
        else:
            disks.append(what)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    for disk in disks:
        subprocess.run(["umount", "--lazy", disk], check=True)


if __name__ == "__main__":
    main(sys.stdin)
