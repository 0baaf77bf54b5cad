"""Judge a recorded history, from the history alone: `report = check(history)`.

Decides nothing itself; asks every checker and gathers the verdicts. In reading order: `effects` (what
was written), `decoding`, `lines` and `evidence` (what each result shows of it), `past` (what a session
knew), then the checkers: `sessions`, `causal`, `freshness`, `money`, `floors`, `once`, `ending`,
`statements`.

FAIL is certain: no bank that keeps the promise gives this history. PASS says on how many operations it rests.
UNKNOWN says why nothing can be said; it is never made up for by comparing balances.
Proof: tests/checkers/.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bankbook.checkers.causal import CausalCheck
from bankbook.checkers.ending import check_convergence, check_durability, check_halves
from bankbook.checkers.evidence import Evidence, gather
from bankbook.checkers.floors import check_floors
from bankbook.checkers.freshness import check_freshness
from bankbook.checkers.money import check_conservation
from bankbook.checkers.once import check_once
from bankbook.checkers.past import walk
from bankbook.checkers.sessions import OrderChecks, ReadChecks
from bankbook.checkers.statements import check_statements
from bankbook.checkers.verdict import Kind, Verdict, Witness
from bankbook.history.record import History

__all__ = ["Kind", "Report", "Verdict", "Witness", "check"]


@dataclass(frozen=True, slots=True)
class Report:
    """All verdicts on one history."""

    operations: int
    verdicts: tuple[Verdict, ...]

    @property
    def kind(self) -> Kind:
        """FAIL if anything fails; UNKNOWN if anything could not be judged, or nothing was put to the test.

        What the history merely does not test (no BOUNDED result, no transfer) stays UNKNOWN in its own line
        and spoils nothing: few histories test everything.
        """
        if any(verdict.kind is Kind.FAIL for verdict in self.verdicts):
            return Kind.FAIL
        if any(verdict.undecided for verdict in self.verdicts):
            return Kind.UNKNOWN
        return Kind.PASS if any(verdict.rests_on for verdict in self.verdicts) else Kind.UNKNOWN

    def verdict(self, name: str) -> Verdict:
        """Return the verdict of one checker. Raises KeyError where there is none of that name."""
        for verdict in self.verdicts:
            if verdict.name == name:
                return verdict
        raise KeyError(f"{name}: the checkers are {', '.join(verdict.name for verdict in self.verdicts)}")

    def as_json(self) -> dict[str, Any]:
        """Tell everything to a program."""
        return {
            "verdict": self.kind.value,
            "operations": self.operations,
            "checkers": [_verdict_as_json(verdict) for verdict in self.verdicts],
        }

    def in_words(self) -> str:
        """Tell everything, one paragraph for each verdict."""
        lines = [f"{self.kind}: {self.operations} operations."]
        lines += [f"  {verdict.kind:<7}  {verdict.name}: {verdict.in_words()}" for verdict in self.verdicts]
        return "\n".join(lines)


def check(history: History) -> Report:
    """Judge a history by every checker; goes through its items once.

    Keeps all operations in memory: docs/history.md says how much that is.
    """
    with _no_collection():
        return _judge(history)


def _judge(history: History) -> Report:
    evidence = gather(history)
    report = Report(len(evidence.operations), tuple(_verdicts(evidence)))
    # So that all of it is gone before the cycle collector is back, which would look through it.
    evidence.forget()
    return report


def _verdicts(evidence: Evidence) -> Iterator[Verdict]:
    reads, order, causal = ReadChecks(evidence), OrderChecks(evidence), CausalCheck(evidence)
    for place, past in walk(evidence):
        for read in evidence.results[place]:
            reads.check(read, place, past)
            causal.note(read, past)
        order.note(place, past)
        causal.note_write(place, past)
    order.check()
    check_halves(evidence, reads.legs)
    own, seen, legs = reads.verdicts()
    yield from (own, seen, *order.verdicts(), causal.verdict(), *check_freshness(evidence), legs)
    yield from (check_conservation(evidence), check_floors(evidence), check_once(evidence))
    yield from (check_durability(evidence), check_convergence(evidence), check_statements(evidence))


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    witness = verdict.witness
    return {
        "name": verdict.name,
        "verdict": verdict.kind.value,
        "rests_on": verdict.rests_on,
        "reason": verdict.reason or None,
        "witness": None if witness is None else witness.story,
        "operations": [] if witness is None else list(witness.operations),
        "broken": verdict.broken,
        "undecided": verdict.undecided,
    }


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector from going through millions of objects again and again; none is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
