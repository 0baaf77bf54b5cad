"""What the system tells of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankbook.bench import machine

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


@linux_only
def test_a_process_that_works_uses_a_processor_and_memory() -> None:
    before = machine.usage_of(os.getpid())
    block = bytearray(50_000_000)
    while os.times().user + os.times().system < (before.cpu_s if before else 0) + 0.05:
        block[0] ^= sum(range(1000)) & 1
    after = machine.usage_of(os.getpid())
    assert before is not None
    assert after is not None
    assert after.cpu_s > before.cpu_s
    assert after.memory_bytes > 50_000_000
    assert after.memory_peak_bytes >= after.memory_bytes


@linux_only
def test_a_process_that_has_ended_tells_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert machine.usage_of(child.pid) is None  # a zombie
    assert machine.usage_of(child.pid) is None


@linux_only
def test_the_kind_of_a_file_system_is_told_by_the_innermost_mount(tmp_path: Path) -> None:
    assert machine.file_system_of(Path("/proc/self")) == "proc"
    assert machine.file_system_of(tmp_path) not in {None, "proc"}


def test_on_which_file_systems_nothing_is_durable() -> None:
    assert machine.is_in_memory("tmpfs")
    assert not machine.is_in_memory("ext4")
    assert not machine.is_in_memory(None)


def test_a_sync_takes_time_and_leaves_nothing(tmp_path: Path) -> None:
    assert machine.sync_us(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_where_the_system_does_not_tell_nothing_is_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    assert machine.usage_of(os.getpid()) is None
    assert machine.busy_s() is None
    assert machine.file_system_of(tmp_path) is None
