"""The command as it is typed, from the programs' start to the page."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import packages
from benchmarks.figures import read
from benchmarks.systems import CASES, SYSTEM_OF

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["sync", "bankbook-one", "redis-one", "etcd-one", "postgresql-one"])
def test_a_case_by_itself_is_measured_and_told_of(
    name: str, tmp_path: Path, open_folder: Callable[[], Path]
) -> None:
    if lacking := packages.missing(SYSTEM_OF[name].programs):
        pytest.skip(f"needs {', '.join(lacking)}, which make bench BENCH='--only {name}' fetches")
    page, data = tmp_path / "page.md", open_folder()
    command = [sys.executable, "-m", "benchmarks", "--only", name, "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(
        [*command, "--page", str(page), "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"round 1  {name}" in done.stderr
    assert CASES[name].what in page.read_text()
    run = read(page.with_suffix("") / "figures.json")
    assert [case.name for case in run.cases] == [name]
    assert not list(data.iterdir())
