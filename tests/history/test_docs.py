"""The example in docs/history.md, executed; and every field that the page lists is one the reader knows."""

import re
from pathlib import Path

from bankbook.checkers import Kind, check
from bankbook.history import file
from bankbook.history.file import parse_history

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no {name}"
    return found[1]


def test_the_example_is_judged_as_the_page_says() -> None:
    report = check(parse_history(block("history").splitlines(), "the page"))
    assert report.in_words() + "\n" == block("report")


def test_every_checker_is_on_the_page_with_its_source() -> None:
    report = check(parse_history(block("history").splitlines(), "the page"))
    for verdict in report.verdicts:
        assert re.search(rf"^\| {verdict.name} \| .+ \| .+ \|$", PAGE, re.MULTILINE), verdict.name
    assert report.kind is Kind.FAIL


def test_every_field_is_on_the_page() -> None:
    for known in (file.HEADER, file.OPERATION, file.STATED, file.LINE):
        for name in known:
            assert f"`{name}`" in PAGE or f'"{name}"' in PAGE, name
