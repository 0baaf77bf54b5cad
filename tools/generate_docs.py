"""Generate docs/reference.md from the code, or check that it is current (--check)."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bankbook.cli.app import app
from bankbook.core.guarantees import RULES, Access, Side
from bankbook.core.outcome import Certainty, Outcome
from bankbook.wire.status import CODES

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

HELP_WIDTH = 100

CERTAINTY_IN_WORDS = {
    Certainty.DONE: "it happened, once",
    Certainty.REFUSED: "nothing happened",
    Certainty.RETRYABLE: "nothing happened yet",
    Certainty.UNKNOWN: "it happened once or not at all",
}


def main() -> int:
    """Write the reference; with --check, say whether it is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where it is stale")
    text = reference()
    if not parser.parse_args().check:
        REFERENCE.write_text(text, encoding="utf-8")
        return 0
    if REFERENCE.exists() and REFERENCE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/reference.md is not what `make docs` generates from the code\n")
    return 1


def reference() -> str:
    """Return the whole page."""
    parts = [
        "# Reference",
        "Generated from the code by `make docs`.",
        *commands(),
        *guarantees(),
        *outcomes(),
    ]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[str]:
    """Yield the help of every command."""
    yield "## Commands"
    for name, command in app.commands.items():
        context = click.Context(command, info_name=f"bankbook {name}", max_content_width=HELP_WIDTH)
        context.terminal_width = HELP_WIDTH
        yield f"### bankbook {name}"
        yield f"```text\n{command.get_help(context)}\n```"


def guarantees() -> Iterator[str]:
    """Yield the table of session guarantees."""
    yield "## Session guarantees"
    yield (
        "All four hold by default; a request may ask for fewer. The token of a session has a read vector "
        "and a write vector; a request waits until the branch has all that is named there "
        "(Terry et al., PDIS 1994)."
    )
    rows = ["| guarantee | means | a read waits for | a write waits for |", "|---|---|---|---|"]
    for rule in RULES:
        name = (rule.guarantee.name or "").lower().replace("_", " ")
        cells = [side_for(rule.access, rule.awaits, access) for access in (Access.READ, Access.WRITE)]
        rows.append(f"| {name} | {rule.in_words} | {' | '.join(cells)} |")
    yield "\n".join(rows)


def side_for(rule: Access, awaits: Side, access: Access) -> str:
    """Return the vector that `access` waits for under a rule; nothing where it does not."""
    return f"the {awaits.value}" if access in rule else ""


def outcomes() -> Iterator[str]:
    """Yield the table of outcomes."""
    yield "## Outcomes"
    yield (
        "In order of precedence: where several apply, the first is told. Over gRPC an outcome is a status "
        "whose details hold `google.rpc.ErrorInfo` with the outcome's name as its reason and `bankbook` as "
        "its domain; in the client library it is an exception; in a scenario's output, the `reason`. A "
        "scenario's event at a branch that does not exist has the reason UNKNOWN_BRANCH. "
        "[outcomes.md](outcomes.md) tells of each how it comes about and what to do."
    )
    rows = ["| outcome | gRPC status | the money | what it means, and what to do |", "|---|---|---|---|"]
    rows += [
        f"| {each.name} | {CODES[each].name} | {CERTAINTY_IN_WORDS[each.certainty]} | {each.in_words} |"
        for each in Outcome
    ]
    yield "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
