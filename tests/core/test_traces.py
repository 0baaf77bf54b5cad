"""The protocol as it behaves, in text files that a newcomer can read: tests/testdata (see its README.md).

A difference fails and is shown. With --rewrite it is written into the file, to be read and judged.
"""

import re
from pathlib import Path

import pytest
from traces.file import difference, run_anew
from traces.language import TraceError
from traces.usages import USAGES

TRACES = sorted((Path(__file__).parents[1] / "testdata").glob("*.txt"))
NAMES = {path.stem for path in TRACES}
OPENING = re.compile(
    r"# (?P<title>\w[^\n]+)\n#\n(?P<drawing>(#    [^\n]*\n|#\n)+)#\n(?P<words>(# \w[^\n]*\n)+)#\n"
    r"(?P<source># Source: [^\n]+(\n#   [^\n]+)*)\n\n"
)


@pytest.mark.parametrize("path", TRACES, ids=[path.stem for path in TRACES])
def test_a_trace_tells_what_happens(path: Path, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite"):
        path.write_text(run_anew(path))
    elif found := difference(path):
        advice = "Where this is right: pytest tests/core/test_traces.py --rewrite"
        pytest.fail(f"{found}{advice}", pytrace=False)


@pytest.mark.parametrize("path", TRACES, ids=[path.stem for path in TRACES])
def test_a_trace_opens_with_a_title_a_drawing_what_it_shows_and_its_source(path: Path) -> None:
    opening = OPENING.match(path.read_text())
    assert opening is not None, f"{path.name} does not open as tests/testdata/README.md says"
    assert opening["drawing"].count("\n") >= 2, "a drawing of one line shows nothing"


def test_the_page_on_the_language_has_every_command_as_it_is() -> None:
    page = (Path(__file__).parents[1] / "testdata" / "README.md").read_text()
    told = re.findall(r"^\| `(.+?)` \| (.+) \|$", page, re.MULTILINE)
    request = "".join(f" {part}" for part in USAGES["deposit"].text.split()[5:])
    known = [(usage.text.replace(request, " ..."), usage.meaning) for usage in USAGES.values()]
    assert sorted(row for row in told if row[0].split()[0] in USAGES) == sorted(known)


def test_the_page_says_when_to_read_each_trace() -> None:
    page = (Path(__file__).parents[1] / "testdata" / "README.md").read_text()
    order, _, _ = page.partition("## The commands")
    assert {name for name in re.findall(r"`(\w+)`", order) if "_" in name or name in NAMES} == NAMES


def trace(directory: Path, *lines: str) -> Path:
    path = directory / "made_up.txt"
    path.write_text("\n".join(["bank branches=2", "----", "as it may be", "", *lines]) + "\n")
    return path


def test_what_happens_otherwise_than_the_file_says_is_shown(tmp_path: Path) -> None:
    path = trace(tmp_path, "stabilize", "----", "ok")
    shown = difference(path)
    assert "-as it may be\n+branches 1 and 2; every account has 0\n" in shown
    path.write_text(run_anew(path))
    assert difference(path) == ""
    path.write_text(path.read_text() + "\n")
    assert difference(path) != "", "a blank line too many is a change that rewriting would make"


def test_what_was_rewritten_is_not_changed_by_rewriting_it_once_more(tmp_path: Path) -> None:
    path = trace(tmp_path, "# a remark", "deposit anna x 5 at=1", "----", "", "stabilize", "----")
    once = run_anew(path)
    path.write_text(once)
    assert run_anew(path) == once
    assert "# a remark\ndeposit anna x 5 at=1\n----\n1 writes 1#1: deposit x +5\n" in once


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("deposits anna x 5 at=1", "there is no command 'deposits'; there are advance, bank"),
        ("deposit anna x 5", "at= is missing; the usage is: deposit CUSTOMER ACCOUNT AMOUNT at=BRANCH"),
        ("deposit anna x at=1", "AMOUNT is missing; the usage is: deposit"),
        ("deposit anna x 5 at=1 to=y", "there is no to=; the usage is: deposit"),
        ("deposit anna x 5 6 at=1", "'6' is too much; the usage is: deposit"),
        ("deposit anna x five at=1", "'five' is no AMOUNT: it is a number, such as 50"),
        ("deposit anna x 5 at=1 at=2", "at= stands twice"),
        ("deposit anna x 5 at=3", "this bank has no branch 3; it has branches 1 and 2"),
        ("deposit anna x 5 at=1 token=bert", "'bert' is no TOKEN: it is none, a customer who has one"),
        ("deposit anna x 5 at=1 token=1#x", "'1#x' is no entry: 1#3 is the third one of branch 1"),
        ("read anna x at=1 level=NEWEST", "'NEWEST' is no LEVEL: it is LOCAL, SESSION, LATEST"),
        ("advance 5", "'5' is no DURATION: it is such as 500ms or 2s"),
        ("deliver 1->2", "nothing is under way from 1 to 2"),
        ("deliver 1->2 7", "0 messages are under way from 1 to 2"),
        ("cut 1->2", "'1->2' is no LINE: it is such as 1-3, for both directions"),
        ("fast 1->2", "the link from 1 to 2 is not slow"),
        ("cancel anna at=1", "nothing of anna is held at branch 1"),
        ("restart 1", "branch 1 runs already"),
        ("lose-disk 1", "branch 1 runs; begin with: crash 1"),
        ("return-disk 1", "branch 1 runs; begin with: crash 1"),
        ("crash 1 unnoticed=1", "branch 1 reads nothing from branch 1"),
        ("crash 1 unnoticed=2 at=after-commit", "a branch that dies at a commit is noticed at once"),
        ("notice 1->2", "nothing from 1 to 2 is over and unnoticed"),
        ("greet 2' at=2", "store 2' is none of another branch of this bank"),
        ("greet one at=2", "'one' is no STORE: 'one' is no log: it is 1, 1' in its second life"),
        ("show money x", "'money' cannot be shown; there are balances, entries"),
        ("show token anna", "'anna' has no session yet"),
    ],
)
def test_a_line_that_cannot_be_carried_out_is_told_with_file_line_and_what_would_be_right(
    tmp_path: Path, line: str, complaint: str
) -> None:
    with pytest.raises(TraceError, match=re.escape(f"made_up.txt:6: {complaint}")):
        run_anew(trace(tmp_path, "stabilize", line, "----"))


def test_a_part_of_a_batch_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"made_up.txt:5: 'deposit x' is no part of a batch"):
        run_anew(trace(tmp_path, "batch anna at=1", "  deposit x", "----"))


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("stabilize", "", "stabilize"), "made_up.txt:5: ---- is missing below this command"),
        (("  deposit x 5",), "made_up.txt:5: a line of input stands below its command"),
        (("stabilize", "  deposit x 5", "----"), "made_up.txt:5: stabilize takes no lines of input"),
    ],
)
def test_a_file_that_is_no_trace_is_told(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(TraceError, match=re.escape(complaint)):
        run_anew(trace(tmp_path, *lines))


def test_a_trace_without_a_bank_is_told_how_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "made_up.txt"
    path.write_text("stabilize\n----\n")
    with pytest.raises(TraceError, match=r"made_up.txt:1: there is no bank yet; begin with: bank branches=3"):
        run_anew(path)
