"""Check the models of the protocol: python tools/check_models.py [--quick] [MODEL ...]

Each model in model/ is searched exhaustively by spin, every state stored whole. Where nothing was
sabotaged no assertion may fail; where something was, the one that is named with it here has to.
docs/model.md says what the models mean.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

MODELS = Path(__file__).parent.parent / "model"
MEMORY_MB_MAX = 2_500
DEPTH_MAX = 20_000
# A search takes seconds to two minutes on a core of its own; the rest is for a machine that is busy.
SEARCH_S_MAX = 1_200


class Variant(NamedTuple):
    """One search: how a model is set, and what is to come of it."""

    model: str
    name: str
    defines: str
    expected: str | None = None
    """The words beside the assertion that has to fail; None where none may."""
    is_quick: bool = True


class Found(NamedTuple):
    """What came of a search."""

    states: int
    depth: int
    seconds: float
    failed: str | None
    """The words beside the assertion that failed."""


class SearchError(Exception):
    """A search could not be finished; the message says why."""


RIGHTS_SPENT_TWICE = "no right is spent in two lives"
ALL_HAVE_THE_SAME = "all have the same"
ALL_SERVE = "everybody serves in the end"

VARIANTS = (
    Variant("rights", "as it is, no crash", "CRASHES=0"),
    Variant("rights", "as it is, a crash", "CRASHES=1", is_quick=False),
    Variant("rights", "more is granted than there is", "BUG_MORE_THAN_IT_HAS CRASHES=0", "no rights below 0"),
    Variant(
        "rights",
        "dependencies are skipped",
        "BUG_DEPENDENCIES_SKIPPED CRASHES=0 WITNESS=1",
        "no rights below 0",
    ),
    Variant("rights", "sent before it is committed", "BUG_SENT_BEFORE_COMMIT", "every request ends"),
    Variant(
        "rights", "refused by what is known here", "BUG_REFUSED_FROM_HERE CRASHES=0", "a refusal is a fact"
    ),
    Variant("rights", "each waits for the other", "BUG_BOTH_FIRST CRASHES=0", "every request ends"),
    Variant("keys", "as it is, sent twice", "SENDS=2"),
    Variant("keys", "as it is, sent three times", "SENDS=3 DOUBLES=0", is_quick=False),
    Variant("keys", "no fence is written", "BUG_NO_FENCE SENDS=2", "it takes effect once"),
    Variant("keys", "not looked up after a hold", "BUG_NO_SECOND_LOOKUP SENDS=2", "it takes effect once"),
    Variant("keys", "decided before the fence is here", "BUG_ANSWER_TRUSTED SENDS=3", "it takes effect once"),
    Variant("incarnations", "with the note, an old disk", "WRITES=2"),
    Variant("incarnations", "with the note, a token", "WRITES=1 TOKENS"),
    Variant(
        "incarnations",
        "as the code was, one branch's disks",
        "WRITES=2 BUG_FORMER_LOG_GOES_ON BUG_INBOX_KEPT BUG_JOINER_READS_AT_ONCE BUG_GREETING_BELIEVED",
        is_quick=False,
    ),
    Variant(
        "incarnations", "with the note, two disks lost", "WRITES=2 MORTALS=2 BOOTS=2 LATE=0", is_quick=False
    ),
    Variant("incarnations", "without the note", "WRITES=2 WITHOUT_NOTE", ALL_HAVE_THE_SAME),
    Variant("incarnations", "the note is not durable", "WRITES=2 BUG_NOTE_IN_MEMORY", ALL_HAVE_THE_SAME),
    Variant(
        "incarnations",
        "the note is not passed on",
        "WRITES=1 MORTALS=2 LATE=0 BUG_NOTE_NOT_PASSED_ON",
        ALL_HAVE_THE_SAME,
    ),
    Variant(
        "incarnations",
        "a joiner reads before all answered",
        "WRITES=1 MORTALS=2 LATE=0 BUG_JOINER_READS_AT_ONCE",
        ALL_HAVE_THE_SAME,
    ),
    Variant(
        "incarnations",
        "a former log goes on",
        "WRITES=2 MORTALS=2 BOOTS=2 LATE=0 BUG_FORMER_LOG_GOES_ON",
        RIGHTS_SPENT_TWICE,
    ),
    Variant(
        "incarnations",
        "the inbox outlives the promise",
        "WRITES=2 MORTALS=2 BOOTS=2 LATE=0 BUG_INBOX_KEPT",
        ALL_SERVE,
        is_quick=False,
    ),
    Variant(
        "incarnations",
        "a late greeting is believed",
        "WRITES=1 MORTALS=2 BOOTS=2 BUG_GREETING_BELIEVED",
        ALL_SERVE,
    ),
    Variant(
        "incarnations",
        "a greeting ends a life",
        "WRITES=1 MORTALS=2 BOOTS=2 BUG_GREETING_ENDS_A_LIFE",
        ALL_SERVE,
    ),
    Variant(
        "incarnations",
        "a total loss is not told",
        "WRITES=1 BOOTS=2 TOKENS LATE=0 BUG_LOSS_NOT_TOLD",
        "nobody waits for what will never come",
    ),
    Variant(
        "incarnations",
        "a loss is told too soon",
        "WRITES=2 BOOTS=2 TOKENS LATE=0 BUG_LOSS_TOLD_TOO_SOON",
        "what was called lost is lost",
    ),
)


def main() -> int:
    """Search what the command line names; return 0 where everything came as expected."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="leave out what takes longer than some seconds")
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="rights, keys, incarnations; all by default"
    )
    arguments = parser.parse_args()
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        print(
            f"the models need {' and '.join(missing)}: on Debian, apt-get install spin gcc", file=sys.stderr
        )
        return 2
    variants = list(chosen(arguments.models, is_quick=arguments.quick))
    if not variants:
        parser.error(f"there is no model {' or '.join(arguments.models)}: rights, keys, incarnations")
    print(f"{'model':12}  {'variant':34}  {'states':>10}  {'depth':>6}  {'seconds':>7}  verdict")
    return max([not reports(variant) for variant in variants])


def chosen(models: list[str], *, is_quick: bool) -> Iterator[Variant]:
    """Yield the searches that are asked for."""
    for variant in VARIANTS:
        if (not models or variant.model in models) and (variant.is_quick or not is_quick):
            yield variant


def reports(variant: Variant) -> bool:
    """Search once and print a row of the table; return whether it came as expected."""
    print(f"{variant.model:12}  {variant.name:34}", end="  ", flush=True)
    try:
        found = search(variant)
    except SearchError as error:
        print(f"NOT FINISHED: {error}")
        return False
    is_expected = found.failed == variant.expected
    verdict = "holds" if found.failed is None else f"fails: {found.failed}"
    if not is_expected:
        verdict = f"SURPRISE: {verdict}; expected: {variant.expected or 'holds'}"
    print(f"{found.states:10,}  {found.depth:6,}  {found.seconds:7.1f}  {verdict}", flush=True)
    return is_expected


def search(variant: Variant) -> Found:
    """Let spin make a searcher of a model, compile it and run it."""
    defines = [f"-D{each}" for each in variant.defines.split()]
    source = f"{variant.model}.pml"
    with TemporaryDirectory(prefix="bankbook-model-") as name:
        folder = Path(name)
        shutil.copy(MODELS / source, folder)
        run(folder, "spin", "-a", *defines, source)
        options = ("-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB_MAX}")
        run(folder, "gcc", "-O1", "-w", *options, "-o", "pan", "pan.c")
        output = run(folder, "./pan", "-n", f"-m{DEPTH_MAX}")
        failed = None
        if "errors: 0" not in output:
            failed = failed_assertion(folder / source, run(folder, "spin", "-t", *defines, source))
    for trouble in ("max search depth too small", "out of memory", "Search not completed"):
        if failed is None and trouble in output:
            raise SearchError(trouble)
    return Found(
        int(number_in(r"(\d+) states, stored", output)),
        int(number_in(r"depth reached (\d+)", output)),
        number_in(r"elapsed time ([\d.e+-]+) seconds", output),
        failed,
    )


def run(folder: Path, *command: str) -> str:
    """Run a program and return what it printed."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SEARCH_S_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        message = f"{command[0]} took longer than {SEARCH_S_MAX} s"
        raise SearchError(message) from None
    # spin -t exits with 1 where the trail ends in a failed assertion, as it should.
    if done.returncode and command[:2] != ("spin", "-t"):
        message = f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-500:]}"
        raise SearchError(message)
    return done.stdout


def failed_assertion(source: Path, trail: str) -> str:
    """Return the words beside the assertion at which a trail ends."""
    line = re.search(r"\.pml:(\d+), Error: assertion violated", trail)
    if line is None:
        return "a deadlock, or an error that is no assertion"
    text = source.read_text().splitlines()[int(line[1]) - 1]
    words = re.search(r"/\* (.*) \*/", text)
    return words[1] if words else text.strip()


def number_in(pattern: str, output: str) -> float:
    """Return the number that spin's searcher printed so."""
    found = re.search(pattern, output)
    if found is None:
        message = f"the searcher printed no {pattern!r}"
        raise SearchError(message)
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())
