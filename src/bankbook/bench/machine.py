"""Processors, memory and disk, as the system tells them.

Decides nothing. What a system does not tell (it is no Linux, say) is None, and nothing is made up in its
place. Proof: tests/bench/test_machine.py.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import NamedTuple

_PROC = Path("/proc")

# The median of so many syncs, of a page each: a tenth of a second on a slow disk.
_SYNCS, _PAGE_BYTES = 21, 4096

# On these, what is synced is lost with the power all the same.
_IN_MEMORY = {"tmpfs", "ramfs"}


class Usage(NamedTuple):
    """What one process has used so far."""

    cpu_s: float
    memory_bytes: int
    """Resident now."""
    memory_peak_bytes: int


def usage_of(pid: int) -> Usage | None:
    """Return what a process has used; None where the system does not tell."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    # The name, in brackets, may contain anything; what follows are numbers, from the third field on.
    fields = stat.rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in sizes:  # it has ended
        return None
    return Usage(cpu_s, _bytes_of(sizes["VmRSS"]), _bytes_of(sizes["VmHWM"]))


def _bytes_of(text: str) -> int:
    number, unit = text.split()
    assert unit == "kB", f"the kernel tells kilobytes, not {unit}"
    return int(number) * 1024


def busy_s() -> float | None:
    """Return how long all processors together have worked since the system began, for whomever."""
    try:
        fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def file_system_of(path: Path) -> str | None:
    """Return the kind of file system that a folder is on, such as ext4."""
    found, kind = Path(), None
    with suppress(OSError):
        for line in (_PROC / "self" / "mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            place = Path(before.split()[4].replace("\\040", " "))
            if path.resolve().is_relative_to(place) and len(place.parts) >= len(found.parts):
                found, kind = place, after.split()[0]
    return kind


def is_in_memory(file_system: str | None) -> bool:
    """Whether what is on such a file system is gone with the power, synced or not."""
    return file_system in _IN_MEMORY


def sync_us(folder: Path) -> int:
    """Return how long it takes to write a page to a file and have it on the disk, in microseconds."""
    taken_s = []
    with NamedTemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_SYNCS):
            began_s = time.perf_counter()
            file.write(bytes(_PAGE_BYTES))
            _sync(file.fileno())
            taken_s.append(time.perf_counter() - began_s)
    return round(median(taken_s) * 1e6)


# Not every system can leave a file's times alone.
_sync = getattr(os, "fdatasync", os.fsync)
