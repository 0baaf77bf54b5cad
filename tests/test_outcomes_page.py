"""docs/outcomes.md has every outcome once, in the order of precedence, with the facts that the tables say."""

import re
from pathlib import Path

import pytest

from bankbook.cli.ending import status_of
from bankbook.client.errors import ERRORS, error_for
from bankbook.core.outcome import Certainty, Outcome
from bankbook.wire.status import CODES, Failure

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "outcomes.md").read_text(encoding="utf-8")

HAPPENED = {
    Certainty.DONE: "It happened, once",
    Certainty.REFUSED: "Nothing happened",
    Certainty.RETRYABLE: "Nothing happened yet",
    Certainty.UNKNOWN: "It happened once or not at all",
}

PARTS = ["The money", "What happened", "What to do", "For example"]


def facts_of(outcome: Outcome) -> str:
    """Return the line that has to stand under an outcome's name."""
    exception, status = "no exception", 0
    if outcome is not Outcome.OK:
        exception = f"`{ERRORS[outcome].__name__}`"
        status = status_of(error_for(Failure(outcome, "that is why")))
    return f"{HAPPENED[outcome.certainty]} · gRPC {CODES[outcome].name} · {exception} · exit status {status}"


def test_every_outcome_is_there_once_and_in_the_order_of_precedence() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == [outcome.name for outcome in Outcome]


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_has_its_facts_and_answers_every_question(outcome: Outcome) -> None:
    section = re.split(r"^## ", PAGE.split(f"\n## {outcome.name}\n")[1], flags=re.MULTILINE)[0]
    assert section.splitlines()[1] == facts_of(outcome)
    assert re.findall(r"^- \*\*(.*):\*\* \S", section, re.MULTILINE) == PARTS


def test_the_families_have_the_exit_statuses_of_the_commands() -> None:
    for family, status in (("RefusedError", 4), ("RetryableError", 5), ("OutcomeUnknownError", 6)):
        assert re.search(rf"\| `{family}` \| {status}\b", PAGE)


def test_the_page_can_be_found() -> None:
    assert "docs/outcomes.md" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert "outcomes.md" in (DOCS / "reference.md").read_text(encoding="utf-8")
