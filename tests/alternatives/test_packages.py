"""Where programs come from."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import packages
from benchmarks.cases import BenchmarkError


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packages, "UNPACKED", tmp_path)
    monkeypatch.setitem(packages.PACKAGES, "abacus", "abacus-tools")
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_program_is_found_where_it_was_unpacked(unpacked: Path) -> None:
    assert packages.missing(["abacus"]) == ["abacus-tools"]
    path = put(unpacked / "usr" / "bin" / "abacus")
    assert packages.find("abacus") == path
    assert packages.missing(["abacus"]) == []


@pytest.mark.usefixtures("unpacked")
def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(BenchmarkError, match=r"abacus is missing; .*apt-get install abacus-tools"):
        packages.require("abacus")


def test_unpacked_libraries_come_before_others(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    assert packages.libraries() == {}
    put(unpacked / "usr" / "lib" / "machine" / "libabacus.so.1")
    assert packages.libraries() == {"LD_LIBRARY_PATH": f"{unpacked}/usr/lib/machine:/elsewhere"}


@pytest.mark.usefixtures("unpacked")
def test_without_apt_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchmarkError, match=r"abacus-tools: missing, .* leave the systems out with --only"):
        packages.unpack(["abacus-tools"])


def test_nothing_is_installed_only_downloaded_into_our_own_folder(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> str:
        orders.append(command)
        archives = unpacked / "apt" / "cache" / "archives"
        if "--download-only" in command:
            (archives / "abacus.deb").touch()
        return "abacus-tools 2.0" if "--show" in command else ""

    monkeypatch.setattr(packages, "_run", run)
    packages.unpack(["abacus-tools"])
    assert packages.unpacked() == ["abacus-tools 2.0"]
    assert not (unpacked / "apt").exists()
    apt = [order for order in orders if order[0] == "apt-get"]
    assert [order[-1] for order in apt] == ["update", "abacus-tools"]
    assert all(
        f"Dir::State={unpacked}/apt" in order and f"Dir::Cache={unpacked}/apt/cache" in order for order in apt
    )
    assert "--download-only" in apt[1]
