"""What `make bench` might have measured, made up for tests."""

from dataclasses import replace

from benchmarks.figures import CaseRun, Run, SystemRun, Taken
from benchmarks.systems import CASES, SYSTEM_OF, SYSTEMS

QUIET = 0.02


def case_run(
    name: str, *values: float, others: float = QUIET, also: dict[str, float] | None = None
) -> CaseRun:
    """A case with these figures, a round each."""
    case = CASES[name]
    taken = tuple(Taken(number, value, others, also or {}) for number, value in enumerate(values, start=1))
    return CaseRun(
        name, SYSTEM_OF[name].name, case.what, case.unit, case.durability, case.callers[0], {}, taken
    )


def run_of(*cases: CaseRun) -> Run:
    """A run of three rounds that has measured these cases, and no others."""
    systems = tuple(
        SystemRun(each.name, each.title, f"{each.title} 1.0", each.set_up)
        for each in SYSTEMS
        if any(case.system == each.name for case in cases)
    )
    return Run(
        began="2026-11-22 20:00 UTC",
        took_s=600.0,
        rounds=3,
        seconds=5.0,
        command="make bench",
        machine={"processor": "2 × Abacus", "file system": "ext4"},
        processors=2,
        packages=("redis-server 7.0",),
        systems=systems,
        cases=cases,
    )


def whole_run() -> Run:
    """Every case, with made-up figures; Bankbook is ahead of all but Redis."""
    cases = []
    for name, case in CASES.items():
        value = {"bankbook": 200_000.0, "redis": 300_000.0}.get(SYSTEM_OF[name].name, 10_000.0)
        if not case.unit.is_better_when_more:
            value = 100_000 / value
        also = {"sync_ms": 1.0, "near_ms": value, "held_ms": 0.0}
        cases.append(case_run(name, 0.9 * value, value, 1.1 * value, also=also))
    trials = replace(cases[1], trials={64: 10_000.0, 256: 9_000.0})
    return run_of(cases[0], trials, *cases[2:])
