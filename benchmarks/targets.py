"""What Bankbook has to reach, and beside whom it stands.

Decides which figures are held against which bound. Must not know how they are told.
Proof: tests/alternatives/test_targets.py.
"""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.figures import Run, Spread

# What is unchanged: no machine repeats a latency to the last per cent.
_UNCHANGED = 1.25


class Target(NamedTuple):
    """A figure, and what it must be."""

    figure: str
    bound: float
    is_least: bool
    """Whether more is better."""
    unit: str
    measured: Callable[[Run], Spread | None]

    def is_met(self, spread: Spread) -> bool:
        """Whether the median reaches it."""
        return spread.median >= self.bound if self.is_least else spread.median <= self.bound


def _value(name: str) -> Callable[[Run], Spread | None]:
    return lambda run: run.spread(name)


def _also(name: str, key: str) -> Callable[[Run], Spread | None]:
    return lambda run: Spread.of(taken.also[key] for taken in run.by_round(name).values())


def _ratio(above: str, below: str) -> Callable[[Run], Spread | None]:
    return lambda run: run.ratio(above, below)


def _over_postgresql(run: Run) -> Spread | None:
    best = run.best_of(("postgresql-bulk", "postgresql-transfers"))
    return None if best is None else run.ratio("bankbook-bulk", best.name)


def _over_the_floor(run: Run) -> Spread | None:
    """Of each round: the deposit over a bare call and the syncs beside it."""
    deposits, echoes = run.by_round("bankbook-one-deposit"), run.by_round("echo-one")
    return Spread.of(
        taken.value / (echoes[number].value + taken.also["sync_ms"])
        for number, taken in deposits.items()
        if number in echoes
    )


def _far(run: Run) -> Spread | None:
    taken = run.by_round("bankbook-far").values()
    return Spread.of(each.value / each.also["near_ms"] for each in taken)


TARGETS = (
    Target("transfers in bulk 1,000, one branch", 100_000, True, "/s", _value("bankbook-bulk")),
    Target("the same, over PostgreSQL's best", 10, True, "×", _over_postgresql),
    Target(
        "the same with three branches, all three having applied them",
        40_000,
        True,
        "/s",
        _value("bankbook-three"),
    ),
    Target("transfers in bulk 50, one branch", 50_000, True, "/s", _value("bankbook-bulk-50")),
    Target(
        "transfers, plain concurrent calls of one process", 20_000, True, "/s", _value("bankbook-coalesced")
    ),
    Target(
        "a durable deposit of one caller, median, over a bare call and a sync",
        1.5,
        False,
        "×",
        _over_the_floor,
    ),
    Target(
        "deposits of 64 callers, each a request by itself, over calls of the bare server",
        0.7,
        True,
        "×",
        _ratio("bankbook-deposits", "echo"),
    ),
    Target(
        "the same, each a unary call of gRPC's own stub", 0.7, True, "×", _ratio("bankbook-unary", "echo")
    ),
    Target("replication lag at half load, p99", 10, False, "ms", _value("bankbook-lag")),
    Target("with 80 ms between branches: a deposit, over the same without", _UNCHANGED, False, "×", _far),
    Target(
        "with 80 ms between branches: a read elsewhere one second later is held",
        0,
        False,
        "ms",
        _also("bankbook-far", "held_ms"),
    ),
    Target("memory of an idle branch", 80, False, "MB", _value("bankbook-idle")),
    Target("memory with 1,000,000 accounts under load", 250, False, "MB", _value("bankbook-million")),
    Target("`bankbook run` on `input_big.json`", 3, False, "s", _value("bankbook-run")),
)

# What takes longer than these minutes, or what no load generator sees: docs/growth.md has it.
NOT_MEASURED = (
    "how soon a hold ends after the awaited entry's arrival",
    "speed with 10⁷ entries against 10⁵",
    "a restart with 10⁷ entries",
)


class Comparison(NamedTuple):
    """The same work, at Bankbook and at the others."""

    what: str
    ours: str
    theirs: tuple[tuple[str, ...], ...]
    """Of each system, its cases; its best one counts."""


COMPARISONS = (
    Comparison(
        "transfers in bulk 1,000",
        "bankbook-bulk",
        (("postgresql-bulk",), ("etcd-bulk",), ("redis-bulk", "redis-pipeline")),
    ),
    Comparison(
        "transfers, one in a request, many callers",
        "bankbook-transfers",
        (("postgresql-transfers",), ("etcd-transfers",), ("redis-transfers",)),
    ),
    Comparison(
        "a transfer, one caller, median",
        "bankbook-one",
        (("postgresql-one",), ("etcd-one",), ("redis-one",)),
    ),
)

# Another work, with nothing checked and no key: two updates, a read and a row.
PGBENCH = Comparison("`pgbench -N`", "bankbook-transfers", (("postgresql-pgbench",),))
