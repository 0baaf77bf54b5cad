"""What every test of the command line needs."""

import os
import tempfile
from collections.abc import Iterator

import pytest
from cli.own_bank import OwnBank


@pytest.fixture(scope="session", autouse=True)
def temporary_folder() -> Iterator[None]:
    """Let what is killed leave its folders where they are removed.

    Not in tmp_path: the name of a socket in there would be too long for the system.
    """
    with tempfile.TemporaryDirectory(prefix="bb-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TMPDIR", folder)
        yield


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBank]:
    """A bank of one's own that runs; tests use accounts of their own."""
    bank = OwnBank(tmp_path_factory.mktemp("bank"))
    with bank.up():
        yield bank
