"""Seeds, one after the other or many at a time: what is told of them, and what becomes of one that fails.

Decides the words, and when it ends. Must not know what is simulated. Proof: tests/cli/test_explore.py.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bankbook.cli.ending import COULD_NOT_RUN, INTERRUPTED, VIOLATION, fail
from bankbook.cli.report import print_json, progress_console, telling
from bankbook.scenario.faults import FaultKind
from bankbook.scenario.model import Scenario
from bankbook.scenario.output import OutputError, write_whole
from bankbook.scenario.render import render_scenario
from bankbook.simulation.faults import ALL_FAULTS
from bankbook.simulation.jobs import JobEndedError, reports
from bankbook.simulation.run import Performance, SimulationReport, SimulationSettings, perform, plan, simulate
from bankbook.simulation.shrink import Failure, Shrinker, first_failure
from bankbook.simulation.smaller import size_of
from bankbook.simulation.world import draws_past


@dataclass(frozen=True, slots=True)
class Exploration:
    """What one command line asks for."""

    seeds: range
    settings: SimulationSettings
    jobs: int = 1
    keeps_going: bool = False
    shrink_for_s: float = 120.0
    shrunk_path: Path | None = None
    trace_path: Path | None = None


@dataclass(slots=True)
class Findings:
    """What has been found so far."""

    seeds: int = 0
    virtual_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: list[SimulationReport] = field(default_factory=list)

    def add(self, report: SimulationReport) -> None:
        """Count one more seed."""
        self.seeds += 1
        self.virtual_s += report.virtual_s
        self.counts.update(report.counts)
        self.judged.update(report.judged)
        self.outcomes.update(report.outcomes)
        if report.violation is not None:
            self.failed.append(report)

    def faults(self) -> dict[str, int]:
        """Return how often each kind of fault struck."""
        prefix = "fault "
        names = sorted(name for name in self.counts if name.startswith(prefix))
        return {name.removeprefix(prefix): self.counts[name] for name in names}


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest scenario that was found to fail as a seed does."""

    failure: Failure
    path: Path
    before: Scenario
    runs: int
    is_interrupted: bool
    has_past: bool

    def commands(self) -> list[str]:
        """Return what repeats it, in virtual time and on real processes."""
        past = " --long-ago" if self.has_past else ""
        return [
            f"bankbook simulate {self.path} --seed {self.failure.seed}{past} --trace trace.txt",
            f"bankbook run {self.path}",
        ]


def explore(wanted: Exploration, as_json: bool) -> NoReturn:
    """Try every seed, tell what came of it, and exit."""
    found, began_s = Findings(), time.monotonic()
    try:
        _try_all(wanted, found)
    except JobEndedError as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    except KeyboardInterrupt:
        if not found.failed:
            fail(f"interrupted after {found.seeds} seeds, of which none failed", INTERRUPTED, as_json)
    elapsed_s = time.monotonic() - began_s
    shrunk = None
    try:
        if found.failed:
            _write_trace(wanted, found.failed[0].seed)
            shrunk = _shrunk(wanted, found.failed[0].seed)
    except OutputError as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    if as_json:
        print_json(_as_json(wanted, found, shrunk, elapsed_s))
    else:
        _tell(wanted, found, shrunk, elapsed_s)
    sys.exit(VIOLATION if found.failed else 0)


def _try_all(wanted: Exploration, found: Findings) -> None:
    console = progress_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        closing(reports(wanted.seeds, wanted.settings, wanted.jobs)) as all_reports,
    ):
        for report in progress.track(all_reports, total=len(wanted.seeds), description="seeds"):
            found.add(report)
            if report.violation is not None:
                click.echo(f"bankbook: {_in_words(wanted, report)}", err=True)
                if not wanted.keeps_going:
                    return


def _in_words(wanted: Exploration, report: SimulationReport) -> str:
    assert report.violation is not None, "it failed"
    promise, words = report.violation
    return f"seed {report.seed}: {promise}: {words}\n          again: {_again(wanted, report.seed)}"


def _again(wanted: Exploration, seed: int) -> str:
    kinds = wanted.settings.faults
    named = ",".join(kind for kind in FaultKind if kind in kinds) or "none"
    faults = "" if kinds == ALL_FAULTS else f" --faults {named}"
    return f"bankbook simulate --seeds 1 --first {seed}{faults} --trace trace.txt"


# Making a failure smaller.


def _shrunk(wanted: Exploration, seed: int) -> Shrunk | None:
    """Write down the smallest scenario that fails as a seed does; None where none is looked for.

    An interruption ends the looking, not the writing. Raises OutputError.
    """
    if not wanted.shrink_for_s:
        return None
    settings = wanted.settings
    scenario = plan(seed, settings)
    path = wanted.shrunk_path or Path(f"bankbook-seed-{seed}.json")
    until_s = time.monotonic() + wanted.shrink_for_s
    is_interrupted, shrinker, has_past = False, None, draws_past(seed)
    again = partial(_perform, has_past)
    try:
        whole = perform(scenario, seed, duration_s=settings.duration_s, has_past=has_past)
        failure = first_failure(scenario, seed, whole, again)
        if failure is None:
            click.echo(f"bankbook: seed {seed} does not fail without an end to its time", err=True)
            return None
        shrinker = Shrinker(failure, again, lambda: time.monotonic() >= until_s)
        with _smaller_and_smaller(shrinker):
            shrinker.shrink()
    except KeyboardInterrupt:
        is_interrupted = True
        if shrinker is None:
            return None
    write_whole(path, render_scenario(shrinker.best.scenario))
    return Shrunk(shrinker.best, path, scenario, shrinker.runs, is_interrupted, has_past)


def _perform(has_past: bool, scenario: Scenario, seed: int, is_customers_only: bool) -> Performance:
    return perform(scenario, seed, is_customers_only=is_customers_only, has_past=has_past)


@contextmanager
def _smaller_and_smaller(shrinker: Shrinker) -> Iterator[None]:
    """Show on a terminal how a failure becomes smaller."""
    console = progress_console()
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"shrinking: {size_of(shrinker.best.scenario)}", total=None)
        shrinker.on_smaller = lambda best: progress.update(
            bar, description=f"shrinking: {size_of(best.scenario)}"
        )
        yield


def _write_trace(wanted: Exploration, seed: int) -> None:
    """Raises OutputError."""
    if wanted.trace_path is not None:
        again = simulate(seed, replace(wanted.settings, keeps_trace=True))
        write_whole(wanted.trace_path, "".join(again.trace))


# Telling.


def _as_json(wanted: Exploration, found: Findings, shrunk: Shrunk | None, elapsed_s: float) -> dict[str, Any]:
    return {
        "seeds": found.seeds,
        "first": wanted.seeds.start,
        "failed": [_failed_as_json(each) for each in found.failed],
        "shrunk": None if shrunk is None else _shrunk_as_json(shrunk),
        "operations": found.outcomes.total(),
        "outcomes": dict(sorted(found.outcomes.items())),
        "messages": found.counts["sent"],
        "commits": found.counts["commit"],
        "faults": found.faults(),
        "judged": dict(sorted(found.judged.items())),
        "virtual_s": round(found.virtual_s, 3),
        "elapsed_s": round(elapsed_s, 3),
        "jobs": wanted.jobs,
    }


def _failed_as_json(report: SimulationReport) -> dict[str, Any]:
    assert report.violation is not None, "it failed"
    promise, words = report.violation
    return {"seed": report.seed, "promise": promise, "violation": words}


def _shrunk_as_json(shrunk: Shrunk) -> dict[str, Any]:
    scenario, seed, violation, _ = shrunk.failure
    return {
        "file": str(shrunk.path),
        "seed": seed,
        "promise": violation.promise,
        "violation": violation.words,
        "branches": len(scenario.branches),
        "customers": len(scenario.customers),
        "events": sum(len(each.events) for each in scenario.customers),
        "faults": len(scenario.faults),
        "runs": shrunk.runs,
        "interrupted": shrunk.is_interrupted,
        "commands": shrunk.commands(),
    }


def _tell(wanted: Exploration, found: Findings, shrunk: Shrunk | None, elapsed_s: float) -> None:
    operations, counts, faults = found.outcomes.total(), found.counts, found.faults()
    judged = ", ".join(f"{number} {name}" for name, number in sorted(found.judged.items()))
    lines = [
        ("seeds", f"{found.seeds}, from {wanted.seeds.start}: {len(found.failed)} failed"),
        ("asked", f"{operations} operations, {counts['sent']} messages, {counts['commit']} commits"),
        ("faults", ", ".join(f"{number} {name}" for name, number in faults.items()) or "none"),
        ("judged", judged),
        ("time", f"{found.virtual_s:.0f} s simulated in {elapsed_s:.1f} s"),
    ]
    if shrunk is not None:
        lines += _shrunk_in_lines(shrunk)
    with telling() as out:
        for subject, words in lines:
            out.print(f"{subject:11}{words}", soft_wrap=True, highlight=False, markup=False)


def _shrunk_in_lines(shrunk: Shrunk) -> list[tuple[str, str]]:
    scenario, _, violation, _ = shrunk.failure
    after = "interrupted after" if shrunk.is_interrupted else "after"
    one, other = shrunk.commands()
    return [
        ("shrunk", f"to {size_of(scenario)}, from {size_of(shrunk.before)}; {after} {shrunk.runs} runs"),
        ("", f"{violation.promise}: {violation.words}"),
        ("", f"it is in {shrunk.path}"),
        ("again", one),
        ("", f"{other}    # the same on real processes, whose timing nobody controls"),
    ]
