"""The pages name everything that a file can say."""

from enum import StrEnum
from pathlib import Path

import pytest

from bankbook.scenario.faults import CommitFault, CrashPoint, FaultKind
from bankbook.scenario.model import GAVE_UP, NOT_ASKED, UNKNOWN_BRANCH, Interface

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("words", [Interface, CrashPoint, CommitFault])
def test_every_word_of_a_file_is_explained(words: type[StrEnum]) -> None:
    page = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    assert [word for word in words if f'`"{word}"`' not in page] == []


@pytest.mark.parametrize("name", ["scenarios.md", "simulation.md"])
def test_every_fault_is_explained(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert [kind for kind in FaultKind if f"`{kind}`" not in page] == []


def test_every_reason_that_no_branch_tells_is_explained() -> None:
    page = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    assert [reason for reason in (GAVE_UP, NOT_ASKED, UNKNOWN_BRANCH) if f"`{reason}`" not in page] == []
