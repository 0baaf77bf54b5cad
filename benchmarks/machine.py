"""Which machine it is, and what other programs used of it.

Decides what is told of the machine: nothing by which somebody would know whose it is. Must not know what is
measured. Proof: tests/alternatives/test_processes.py, tests/alternatives/test_run.py.
"""

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from bankbook.bench.machine import busy_s, file_system_of, is_in_memory

_PROC = Path("/proc")

# The kernel counts in ticks of ten milliseconds: of a shorter time, a share says nothing.
_SHORTEST_S = 0.5

# In /proc/PID/stat behind the name: the parent, and the ticks of the process and of its children that ended.
_PARENT, _TICKS = 1, slice(11, 15)


def usual_data(project: Path) -> Path:
    """Return where the system has temporary files, or the project's folder where those are in memory."""
    usual = Path(tempfile.gettempdir())
    return usual if not is_in_memory(file_system_of(usual)) else project


def describe(folder: Path) -> dict[str, str]:
    """Return what is to be known of this machine, by what it is."""
    return {
        "processor": f"{os.cpu_count()} × {_line_of('cpuinfo', 'model name') or platform.machine()}",
        "memory": f"{int((_line_of('meminfo', 'MemTotal') or '0').split()[0]) / 1e6:.1f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "file system": file_system_of(folder) or "not known",
    }


def _line_of(file: str, name: str) -> str | None:
    try:
        lines = (_PROC / file).read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == name)
    return next(values, None)


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


class Stopwatch(NamedTuple):
    """What everybody had used at one moment."""

    at_s: float
    busy_s: float | None
    ours_s: float

    @classmethod
    def start(cls) -> Self:
        """Begin to watch."""
        return cls(time.monotonic(), busy_s(), family_cpu_s(os.getpid()))

    def others(self) -> float | None:
        """Return how many processors other programs have used since; None where nobody can tell."""
        now = Stopwatch.start()
        if now.busy_s is None or self.busy_s is None or now.at_s - self.at_s < _SHORTEST_S:
            return None
        theirs_s = (now.busy_s - self.busy_s) - (now.ours_s - self.ours_s)
        return max(theirs_s / (now.at_s - self.at_s), 0.0)


def family_cpu_s(root: int) -> float:
    """Return what a process and all who came of it have used, also those that have ended.

    The time of one that has ended is its parent's, once that has waited for it.
    """
    told = {pid: (parent, ticks) for pid, parent, ticks in _processes()}
    families = {root}
    grew = True
    while grew:
        found = {pid for pid, (parent, _) in told.items() if parent in families}
        grew = not found <= families
        families |= found
    return sum(told[pid][1] for pid in families if pid in told) / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield each process, its parent and its ticks."""
    for entry in _PROC.glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        yield int(entry.name), int(fields[_PARENT]), sum(map(int, fields[_TICKS]))
