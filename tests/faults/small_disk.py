"""A disk that can be full, and one that takes no more: of one branch, and of nobody else.

Decides how room is taken away. Must not know what a store makes of it. Proof: tests/faults/test_faults.py.
"""

import functools
import os
import resource
import subprocess
import tempfile
from pathlib import Path

from faults.janitor import Janitor

# A store takes some hundred kilobytes at first, and a few megabytes after a minute of this work; its log
# of writes as much again.
DISK_BYTES = 64 * 1024 * 1024

_PIECE_BYTES = 64 * 1024

_FILLER = "filler"


@functools.cache
def why_no_small_disk() -> str:
    """Return in words why no small disk can be had here; nothing where it can."""
    with tempfile.TemporaryDirectory() as folder:
        tried = _mount(Path(folder))
        if tried.returncode != 0:
            return f"a small disk cannot be mounted here: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
        return ""


def mount_small_disk(folder: Path, janitor: Janitor) -> None:
    """Make a folder a disk of its own, in memory."""
    folder.mkdir()
    janitor.mind_disk(folder)
    tried = _mount(folder)
    assert tried.returncode == 0, tried.stderr


def _mount(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def fill(disk: Path) -> None:
    """Leave no room on a disk. What a store has reserved, it still has."""
    with (disk / _FILLER).open("ab", buffering=0) as file:
        for size in (_PIECE_BYTES, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def make_room(disk: Path) -> None:
    """Take away what fills a disk."""
    (disk / _FILLER).unlink(missing_ok=True)


def refuse_writes(pid: int) -> None:
    """Let every write of a process to any file fail: none may become longer than nothing."""
    _limit_file_bytes(pid, 0)


def allow_writes(pid: int) -> None:
    """Take that back."""
    _limit_file_bytes(pid, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1])


def _limit_file_bytes(pid: int, most: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


def free_bytes(disk: Path) -> int:
    """Return how much room is left."""
    stat = os.statvfs(disk)
    return stat.f_bavail * stat.f_frsize
