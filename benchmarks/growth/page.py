"""docs/growth.md, from the figures of one run alone, and the reasons.

Decides what is told. Must not know how anything was measured. Proof: tests/alternatives/test_growth_page.py.
"""

from collections.abc import Iterator

from benchmarks.growth.curves import CURVE, ENTRIES_MAX, TARGETS, Curve, Figure, Target
from benchmarks.growth.figures import CurveRun, Point, Run
from benchmarks.page import quietness

# A figure from here on is told without decimals.
_WHOLE_FROM = 100


def page_of(run: Run, pictures: str) -> str:
    """Return the page; `pictures` is the folder of the plots, as seen from it."""
    parts = [_head(run), _targets(run)]
    parts += [_curve(each, pictures) for each in run.curves]
    parts += [_set_up(run), _repeat(run)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(run: Run) -> Iterator[str]:
    yield "# Growth"
    yield ""
    yield f"<!-- Written by `{run.command}`; change benchmarks/growth instead. -->"
    yield ""
    yield (
        "What Bankbook costs with more branches, more accounts, a longer history and more held requests, and "
        "why. Every point is of real branch processes with stores on a disk, asked through the public client "
        f"library on the same {run.processors} processors; every operation that counts was on the disk of "
        "the branch that answered. All points of a curve are of one run; nothing is compared between two."
    )
    yield ""
    yield quietness(run.others(), "ratios and steep slopes say anything")


# The targets.


def _targets(run: Run) -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield "| figure | target | measured | at | |"
    yield "|---|---|---|---|---|"
    for target in TARGETS:
        found = target.measured(run)
        if found is not None:
            yield _target(target, *found)
    left_out = [target.what for target in TARGETS if target.measured(run) is None]
    if left_out:
        yield ""
        yield f"Not measured in this run: {'; '.join(left_out)}."


def _target(target: Target, size: int, value: float) -> str:
    bound = f"{'≥' if target.is_least else '≤'} {target.bound:g} {target.unit}"
    verdict = "met" if target.is_met(value) else "**not met**"
    if size != target.size:
        verdict += f", but asked for at {target.size:,}"
    at = f"{size:,} {CURVE[target.curve].axis}"
    return f"| {target.what} | {bound} | {_number(value)} {target.unit} | {at} | {verdict} |"


# The curves.


def _curve(measured: CurveRun, pictures: str) -> Iterator[str]:
    curve = CURVE[measured.name]
    yield f"## {curve.title}"
    yield ""
    yield (
        f"{curve.how} {measured.version}, measured on {measured.began}, in {measured.took_s / 60:.0f} min, "
        f"each load for {measured.seconds:g} s a time."
    )
    yield ""
    yield f"| {curve.axis} | {' | '.join(each.what for each in curve.figures)} | other programs |"
    yield f"|---|{'---|' * len(curve.figures)}---|"
    yield from (_row(curve, point) for point in measured.points)
    if measured.failure is not None:
        yield ""
        yield f"**The curve ends too early**: {' '.join(measured.failure.split()).rstrip('.')}."
    yield from _notes(measured)
    yield ""
    yield f"![{curve.title}]({pictures}/{curve.name}.svg)"
    yield ""
    yield f"**Why.** {curve.reason}"


def _row(curve: Curve, point: Point) -> str:
    cells = [_cell(each, point.values.get(each.name)) for each in curve.figures]
    others = "" if point.others_cpu is None else f"{point.others_cpu:.0%}"
    return f"| {point.size:,} | {' | '.join(cells)} | {others} |"


def _cell(figure: Figure, value: float | None) -> str:
    if value is None:
        return ""
    if figure.unit == "%":
        return f"{100 * value:.1f}%"
    return f"{_number(value)}{'' if figure.unit == '/s' else ' '}{figure.unit}"


def _notes(measured: CurveRun) -> Iterator[str]:
    for point in measured.points:
        for note in point.notes:
            yield ""
            yield f"- {point.size:,}: {note}"


# The set-up.


def _set_up(run: Run) -> Iterator[str]:
    yield "## Set-up"
    yield ""
    yield "- Bankbook as it comes"
    yield from (f"- {name}: {value}" for name, value in run.machine.items())
    yield ""
    yield (
        "A start is from the fork of the branch's process until it serves; a program's first one takes "
        "half a second more, for Python's imports. *After a kill*: nearly as much was on the disk, and not "
        "in the tables, as there can ever be. Memory is what is resident. Prepared stores were written by "
        "the store's own commit (benchmarks/growth/prepare.py), which a test holds against the core, 2,000 "
        "entries to a sync; each measurement wears out a copy, whose pages the system still has in memory."
    )


def _repeat(run: Run) -> Iterator[str]:
    yield "## How to repeat it"
    yield ""
    yield f"    {run.command}"
    yield ""
    yield (
        "`make growth` measures up to a million entries; `make growth GROWTH='--entries 10000000'` up to "
        f"{ENTRIES_MAX:,}, which takes some ten minutes more and 15 GB of disk. `make growth GROWTH=--quick` "
        "is a smoke run, and `GROWTH='--only held'` measures one curve; neither writes this page. "
        "`GROWTH='--only held --merge'` measures one curve and leaves the others on the page as they are. "
        "`GROWTH=--help` has the rest."
    )


def _number(value: float) -> str:
    """Return three digits that count, or all of a whole number."""
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.3g}"
