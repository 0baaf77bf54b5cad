"""The curves: their sizes, their figures, what these must reach, and why they rise or fall.

Decides what is told. The reasons are written by hand, from profiles; a figure never is. Must not know how
anything is measured. Proof: tests/alternatives/test_growth_page.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.growth import branches, held, stores
from benchmarks.growth.figures import Point, Run
from benchmarks.growth.lab import Lab
from benchmarks.growth.reasons import ACCOUNTS, BRANCHES, HELD, HISTORY

# The longest history, which is asked for by itself: it takes five minutes and 15 GB.
ENTRIES_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of a curve's table."""

    name: str
    what: str
    unit: str = ""
    """Behind each number; % where it is a share."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing that grows."""

    name: str
    title: str
    axis: str
    """What its sizes count."""
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    """A smoke run's sizes."""
    figures: tuple[Figure, ...]
    plotted: tuple[str, ...]
    """The figures that have a panel of their own in its picture."""
    how: str
    """What was done, for a person."""
    reason: str
    """Why it has its slope, for a person: a paragraph or more of Markdown."""
    measure: Callable[[Lab, Sequence[int]], Iterator[Point]]

    def figure(self, name: str) -> Figure:
        """Return one of its figures."""
        return next(each for each in self.figures if each.name == name)


_OF_STORES = (
    Figure("single_per_s", "transfers, one in a request", "/s"),
    Figure("single_us", "of a processor for each", "µs"),
    Figure("single_ratio", "over the reference", "×"),
    Figure("bulk_per_s", "in bulk 1,000", "/s"),
    Figure("bulk_us", "of a processor for each", "µs"),
    Figure("bulk_ratio", "over the reference", "×"),
    Figure("started_s", "start after a stop", "s"),
    Figure("killed_s", "start after a kill", "s"),
    Figure("peak_mb", "memory, at most", "MB"),
    Figure("file_mb", "file", "MB"),
)

CURVES = (
    Curve(
        "branches",
        "Branches",
        "branches",
        (1, 2, 3, 5, 10, 20),
        (1, 3),
        (
            Figure("bulk_per_s", "transfers in bulk 1,000, until all have them", "/s"),
            Figure("bulk_us", "of a processor for each, at all branches together", "µs"),
            Figure("alone_ms", "a transfer, one caller, median", "ms"),
            Figure("idle_cpu", "of a processor, all branches, nobody asking", "%"),
            Figure("idle_mb", "memory of an idle branch", "MB"),
            Figure("peak_mb", "under load, the largest", "MB"),
            Figure("started_s", "start of them all", "s"),
        ),
        ("bulk_us", "bulk_per_s", "idle_cpu"),
        "A new bank for each size, over 10,000 accounts. After a moment of rest, first one caller at one "
        "branch, then a caller at each branch (four at least) with a thousand transfers in each request.",
        BRANCHES,
        branches.measure,
    ),
    Curve(
        "accounts",
        "Accounts",
        "accounts",
        (1_000, 10_000, 100_000, 1_000_000),
        (1_000, 10_000),
        _OF_STORES,
        ("bulk_us", "single_us", "peak_mb", "killed_s"),
        "One branch, over a store in which every account has a row and a statement; all transfers are "
        "between accounts drawn evenly, which is the worst case for every cache. Each load is measured in "
        f"turns with the same on a bank of {stores.REFERENCE_ACCOUNTS:,} accounts, the reference.",
        ACCOUNTS,
        stores.measure_accounts,
    ),
    Curve(
        "history",
        "History",
        "entries",
        (10_000, 100_000, 1_000_000),
        (10_000, 100_000),
        _OF_STORES,
        ("single_us", "bulk_us", "started_s", "peak_mb"),
        "One branch, over a store with so many entries of one transfer each, with a key and two postings "
        "among 10,000 accounts. Each load is measured in turns with the same on a bank of "
        f"{stores.REFERENCE_ENTRIES:,} entries, the reference.",
        HISTORY,
        stores.measure_history,
    ),
    Curve(
        "held",
        "Held requests",
        "held requests",
        (1, 10, 100, 1_000, 10_000, 99_000),
        (1, 100),
        (
            Figure("p50_ms", "a hold ends after its entry was due, median", "ms"),
            Figure("p99_ms", "p99", "ms"),
            Figure("deposit_ms", "a deposit at the branch that holds, median", "ms"),
            Figure("freed_us", "each, when all are freed by one entry", "µs"),
            Figure("idle_cpu", "of a processor, nobody asking", "%"),
            Figure("memory_kb", "memory of each", "kB"),
        ),
        ("p99_ms", "freed_us", "idle_cpu"),
        "Four branches. So many reads are held at one of them for an entry of a second one, which does not "
        "get there. Meanwhile, and among them, 1,000 reads are held there, some fifty in a second and at "
        "random moments, for entries of a third one, which are on their way for 100 ms: told is how late "
        "each ended, from when its entry was due, so it has the entry's and the answer's way over the "
        "loopback network in it, and the commit. Then the second one is killed, the fourth one is asked for "
        "the entry instead, and all are freed. (The reads come no faster than the branch is seen to hold "
        "them. It holds 100,000 requests at the most, the probes among them.)",
        HELD,
        held.measure,
    ),
)

CURVE = {curve.name: curve for curve in CURVES}


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, and what it must be."""

    what: str
    bound: float
    is_least: bool
    """Whether more is better."""
    unit: str
    curve: str
    figure: str
    size: int

    def measured(self, run: Run) -> tuple[int, float] | None:
        """Return at which size it was measured, the largest one that was, and what came of it."""
        found = run.curve(self.curve)
        if found is None:
            return None
        sizes = [p.size for p in found.points if p.size <= self.size and self.figure in p.values]
        value = run.value(self.curve, max(sizes), self.figure) if sizes else None
        return None if value is None else (max(sizes), value)

    def is_met(self, value: float) -> bool:
        """Whether a value reaches it."""
        return value >= self.bound if self.is_least else value <= self.bound


TARGETS = (
    Target(
        "speed over that at 10⁵ entries, one transfer in a request",
        0.9,
        True,
        "×",
        "history",
        "single_ratio",
        ENTRIES_MAX,
    ),
    Target("the same, in bulk 1,000", 0.9, True, "×", "history", "bulk_ratio", ENTRIES_MAX),
    Target("restart to serving, after a stop", 2, False, "s", "history", "started_s", ENTRIES_MAX),
    Target(
        "restart to serving, after a kill at the worst moment",
        2,
        False,
        "s",
        "history",
        "killed_s",
        ENTRIES_MAX,
    ),
    Target("memory of an idle branch", 80, False, "MB", "branches", "idle_mb", 1),
    Target("memory with 10⁶ accounts under load", 250, False, "MB", "accounts", "peak_mb", 1_000_000),
    Target("a hold ends after its entry was due, p99", 5, False, "ms", "held", "p99_ms", 1),
    Target("the same among 99,000 others", 5, False, "ms", "held", "p99_ms", 99_000),
)
