"""Each kind of fault happens, and has its effect; without faults, nothing of the kind happens."""

from collections import Counter
from functools import cache

import pytest

from bankbook.scenario.faults import CrashPoint, FaultKind
from bankbook.scenario.parse import parse_scenario
from bankbook.simulation.run import SimulationSettings, perform, simulate

SEEDS = range(5)

# What shows in the trace, or in what customers are told, that a fault was felt and not only drawn.
EFFECTS = {
    FaultKind.LOSS: "message lost",
    FaultKind.DUPLICATION: "message doubled",
    FaultKind.BROKEN_STREAM: "lost with a stream",
    FaultKind.BROKEN_CALL: "answer lost",
    FaultKind.PARTITION: "stalled",
    FaultKind.ONE_WAY_PARTITION: "stalled",
    FaultKind.CUSTOMER_CUT_OFF: "told BRANCH_UNREACHABLE",
    FaultKind.CRASH: "crash",
    FaultKind.CRASH_POINT: f"crash {CrashPoint.BEFORE_RELEASE}",
    FaultKind.COMMIT_FAILURE: "commit failed",
    FaultKind.FULL_DISK: "commit failed",
    FaultKind.LOST_DISK: "disk lost",
    FaultKind.CROWD: "told TOO_MANY_HELD",
}


@cache
def counts_under(*kinds: FaultKind) -> Counter[str]:
    """Return what happened under a few seeds, and what customers were told."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        report = simulate(seed, SimulationSettings(branches=3, duration_s=12, faults=frozenset(kinds)))
        assert report.violation is None, f"seed {seed}: {report.violation}"
        counts.update(report.counts)
        counts.update({f"told {name}": number for name, number in report.outcomes.items()})
    return counts


@pytest.mark.parametrize("kind", FaultKind)
def test_each_kind_strikes_alone(kind: FaultKind) -> None:
    counts = counts_under(kind)
    struck = {name for name in counts if name.startswith("fault ")}
    assert struck == {f"fault {kind}"}


@pytest.mark.parametrize("kind", EFFECTS)
def test_each_kind_is_felt_and_without_faults_nothing_is(kind: FaultKind) -> None:
    assert counts_under(kind)[EFFECTS[kind]] > 0
    assert counts_under()[EFFECTS[kind]] == 0


def test_a_process_dies_at_every_point_between_decision_and_messages() -> None:
    counts = counts_under(FaultKind.CRASH_POINT)
    for point in CrashPoint:
        assert counts[f"crash {point}"] > 0, point


@pytest.mark.parametrize("kind", [FaultKind.DELAY, FaultKind.SLOW_LINK, FaultKind.SLOW_BRANCH])
def test_what_is_slow_lets_more_customers_wait_in_vain(kind: FaultKind) -> None:
    def in_vain(counts: Counter[str]) -> int:
        waits = ("HOLD_TIMEOUT", "RIGHTS_UNREACHABLE", "BRANCH_UNREACHABLE", "DURABILITY_TIMEOUT")
        return sum(counts[f"told {name}"] for name in (*waits, "OUTCOME_UNKNOWN", "GAVE_UP"))

    assert in_vain(counts_under(kind)) > in_vain(counts_under())


def test_a_crash_point_is_reached_later_and_the_branch_is_down_for_as_long_from_then_on() -> None:
    """Nothing is written for 10 s after it is set, and the branch answers 2 s after it has died."""
    text = """[
      {"id": 1, "type": "branch", "balance": 0},
      {"id": 1, "type": "customer", "events": [
        {"id": 1, "interface": "deposit", "money": 1, "branch": 1, "key": "1/k", "pause": "10s"},
        {"id": 2, "interface": "again", "event": 1, "branch": 1, "pause": "3s"}
      ]},
      {"type": "faults", "faults": [
        {"kind": "crash-point", "at": "1s", "for": "2s", "branches": [1], "point": "between write and sync"}
      ]}
    ]"""
    done = perform(parse_scenario(text, source="a story"), 1, keeps_trace=True)
    assert done.report.violation is None
    assert done.report.counts[f"crash {CrashPoint.BEFORE_SYNC}"] == 1
    at_us = [int(line.split()[0]) for line in done.report.trace if " crash: " in line or " start: " in line]
    _, died_us, back_us = at_us
    assert died_us > 10_000_000
    assert back_us - died_us == 2_000_000
