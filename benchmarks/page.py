"""docs/performance.md, from the figures of one run alone.

Decides what is told, and where Bankbook is behind: nothing here is written by hand that a figure could
refute. Must not know how anything was measured. Proof: tests/alternatives/test_page.py.
"""

from collections.abc import Iterator

from benchmarks.cases import Unit
from benchmarks.figures import CaseRun, Run, Spread, advantage
from benchmarks.targets import COMPARISONS, NOT_MEASURED, PGBENCH, TARGETS, Comparison, Target

# Of a processor, by others: above it, the figures are of a machine that had something else to do.
_QUIET = 0.1

# A figure from here on is told without decimals.
_WHOLE_FROM = 100


def page_of(run: Run, pictures: str) -> str:
    """Return the page; `pictures` is the folder of the plots, as seen from it."""
    parts = (
        _head(run),
        _targets(run),
        _comparisons(run, pictures),
        _behind(run),
        _every_figure(run),
        _set_up(run),
        _noise(run),
        _repeat(run),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(run: Run) -> Iterator[str]:
    yield "# Performance"
    yield ""
    yield f"<!-- Written by `{run.command}`; change benchmarks/page.py instead. -->"
    yield ""
    rounds = f"{run.rounds} round{'' if run.rounds == 1 else 's'}"
    yield (
        f"Bankbook and what a user would pick instead, on one machine, in one run: {rounds}, in each of "
        "which every system was started, measured and stopped, one after the other. A figure is the median "
        "of the rounds; in brackets the lowest and the highest. A ratio is taken within each round. The "
        f"clients share the machine's {run.processors} processors with the servers."
    )
    yield ""
    yield (
        f"Measured on {run.began}, in {run.took_s / 60:.0f} min, each figure for {run.seconds:g} s a round. "
        f"{quietness(run.others(), 'what stands beside each other compares')} "
        "Nothing on this page is from another run."
    )


def quietness(others: Spread | None, comparable: str) -> str:
    """Return what other programs used meanwhile; `comparable`: what may be believed all the same."""
    if others is None:
        return "What other programs did meanwhile, this system does not tell."
    share = f"{others.median:.0%} of a processor ({others.low:.0%} to {others.high:.0%})"
    used = f"Other programs used {share} meanwhile"
    if others.median <= _QUIET:
        return f"{used}."
    return f"{used}: **the machine was not quiet**, and only {comparable}."


# The targets.


def _targets(run: Run) -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield "| figure | target | measured | |"
    yield "|---|---|---|---|"
    for target in TARGETS:
        spread = target.measured(run)
        if spread is not None:
            verdict = "met" if target.is_met(spread) else "**not met**"
            yield f"| {target.figure} | {_bound(target)} | {_spread(spread, target.unit)} | {verdict} |"
    left_out = [target.figure for target in TARGETS if target.measured(run) is None]
    yield ""
    yield f"Not measured in this run: {'; '.join([*NOT_MEASURED, *left_out])}."


def _bound(target: Target) -> str:
    return f"{'≥' if target.is_least else '≤'} {_amount(target.bound, target.unit)}"


# The alternatives.


def _comparisons(run: Run, pictures: str) -> Iterator[str]:
    yield "## Beside the alternatives"
    yield ""
    yield (
        "Every transfer is durable, refused if it would overdraw, takes effect once for each key, and "
        "leaves a posting for each of its two accounts; after each figure of an alternative its books were "
        f"checked. {_who_called(run)} *Ahead* is by how much Bankbook is faster: below 1, it is behind."
    )
    yield ""
    yield "| | system | figure | callers | ahead |"
    yield "|---|---|---|---|---|"
    for comparison in (*COMPARISONS, PGBENCH):
        yield from _rows(run, comparison)
    yield ""
    yield (
        "`pgbench -N` is another work: two updates, a read and a row, with nothing checked and no key. It "
        "stands beside Bankbook's transfers, one in a request."
    )
    for name, words in (("bulk", "in bulk 1,000"), ("single", "one in a request, and one caller")):
        yield ""
        yield f"![Transfers {words}]({pictures}/{name}.svg)"


def _who_called(run: Run) -> str:
    if not any(case.trials for case in run.cases):
        return "How many callers suit each system best was not tried in this run."
    return "Each system has the number of callers that suited it best in trials before the rounds."


def _rows(run: Run, comparison: Comparison) -> Iterator[str]:
    ours = run.case(comparison.ours)
    if ours is not None and comparison is not PGBENCH:
        yield _row(run, ours, comparison.what, "")
    for names in comparison.theirs:
        theirs = run.best_of(names)
        if theirs is not None:
            ahead = advantage(run, comparison.ours, theirs.name)
            yield _row(run, theirs, comparison.what, "" if ahead is None else _spread(ahead, "×"))


def _row(run: Run, case: CaseRun, what: str, ahead: str) -> str:
    return f"| {what} | {run.system(case.system).title} | {_figure(case)} | {case.callers} | {ahead} |"


# Where Bankbook is behind.


def _behind(run: Run) -> Iterator[str]:
    yield "## Where Bankbook is behind"
    yield ""
    said = [*_behind_others(run), *_behind_targets(run)]
    yield from said or ["Nowhere, of what was measured in this run."]


def _behind_others(run: Run) -> Iterator[str]:
    for comparison in COMPARISONS:
        for names in comparison.theirs:
            theirs = run.best_of(names)
            ahead = None if theirs is None else advantage(run, comparison.ours, theirs.name)
            if theirs is not None and ahead is not None and ahead.low < 1:
                yield f"- {comparison.what}: {_how_far(ahead)} {run.system(theirs.system).title}"


def _how_far(ahead: Spread) -> str:
    if ahead.median >= 1:
        return f"in some round ({_number(ahead.low)} ×) behind"
    if ahead.high >= 1:
        return f"{_number(ahead.median)} × as fast, though in some round ahead ({_number(ahead.high)} ×), as"
    return f"{_spread(ahead, '×')} as fast as"


def _behind_targets(run: Run) -> Iterator[str]:
    for target in TARGETS:
        spread = target.measured(run)
        if spread is not None and not target.is_met(spread):
            yield f"- target: {target.figure}: {_amount(spread.median, target.unit)}, not {_bound(target)}"


# Every figure.


def _every_figure(run: Run) -> Iterator[str]:
    yield "## Every figure, and where its work was when it counted"
    yield ""
    yield "| system | what | figure | callers | durable | other programs |"
    yield "|---|---|---|---|---|---|"
    for case in run.cases:
        if case.taken:
            title = run.system(case.system).title
            yield (
                f"| {title} | {case.what} | {_figure(case)} | {case.callers} | {case.durability} "
                f"| {_others(case)} |"
            )
    for failure in run.failures:
        yield ""
        yield f"`{failure.case}` could not be measured: {' '.join(failure.why.split())}"
    notes = list(_notes(run))
    if notes:
        yield ""
        yield from notes


def _notes(run: Run) -> Iterator[str]:
    for case in run.cases:
        for note in dict.fromkeys(note for taken in case.taken for note in taken.notes):
            yield f"- {run.system(case.system).title}, {case.what}: {note}"


def _others(case: CaseRun) -> str:
    spread = Spread.of(each.others_cpu for each in case.taken if each.others_cpu is not None)
    return "" if spread is None else f"{spread.median:.0%}"


# The set-up.


def _set_up(run: Run) -> Iterator[str]:
    yield "## Set-up"
    yield ""
    yield from (f"- {name}: {value}" for name, value in run.machine.items())
    yield "- everything on the loopback network, and all stores on that file system"
    for system in run.systems:
        yield ""
        yield f"**{system.title}** ({system.version}). {system.set_up}"
    if run.packages:
        yield ""
        yield f"Unpacked for this run from Debian's packages: {', '.join(run.packages)}."
    trials = [case for case in run.cases if case.trials]
    if trials:
        yield ""
        yield "Trials, with so many callers:"
        yield ""
        yield from (f"- {case.name}: {_trials(case)}" for case in trials)


def _trials(case: CaseRun) -> str:
    return ", ".join(f"{callers}: {_amount(value, case.unit)}" for callers, value in case.trials.items())


def _noise(run: Run) -> Iterator[str]:
    yield "## How noisy it was"
    yield ""
    sync = run.spread("sync")
    if sync is not None:
        yield (
            f"A page was on the disk after {_spread(sync, 'ms')}, measured once a round: what is durable "
            "cannot be steadier than that."
        )
        yield ""
    yield "| round | other programs, of a processor |"
    yield "|---|---|"
    for number in range(1, run.rounds + 1):
        spread = Spread.of(_others_in(run, number))
        if spread is not None:
            yield f"| {number} | {spread.median:.0%} ({spread.low:.0%}–{spread.high:.0%}) |"


def _others_in(run: Run, number: int) -> Iterator[float]:
    for case in run.cases:
        for taken in case.taken:
            if taken.round == number and taken.others_cpu is not None:
                yield taken.others_cpu


def _repeat(run: Run) -> Iterator[str]:
    yield "## How to repeat it"
    yield ""
    yield f"    {run.command}"
    yield ""
    yield (
        "It needs Linux with Debian's packages, and takes no root: a program that is missing is downloaded "
        "and unpacked into `build/alternatives`; nothing is installed and no service is left. "
        "`make bench BENCH=--quick` is a smoke run of two minutes, and `make bench BENCH='--only redis'` "
        "measures one system; neither writes this page. `make bench BENCH=--help` has the rest."
    )


# Numbers.


def _figure(case: CaseRun) -> str:
    spread = case.spread
    assert spread is not None, "it was measured"
    return _spread(spread, case.unit)


def _spread(spread: Spread, unit: str) -> str:
    told, low, high = _amount(spread.median, unit), _number(spread.low), _number(spread.high)
    return told if low == high else f"{told} ({low}–{high})"


def _amount(value: float, unit: str) -> str:
    return f"{_number(value)}{unit if unit == Unit.PER_SECOND else f' {unit}'}"


def _number(value: float) -> str:
    """Return three digits that count, or all of a whole number."""
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.3g}"
