"""The targets name cases that there are."""

from alternatives.runs import case_run, run_of, whole_run

from benchmarks.systems import CASES
from benchmarks.targets import COMPARISONS, PGBENCH, TARGETS


def test_every_target_is_measured_by_a_whole_run() -> None:
    assert [target.figure for target in TARGETS if target.measured(whole_run()) is None] == []


def test_no_target_is_measured_by_an_empty_run() -> None:
    assert [target.figure for target in TARGETS if target.measured(run_of()) is not None] == []


def test_every_comparison_is_of_cases_of_one_unit() -> None:
    for comparison in (*COMPARISONS, PGBENCH):
        names = [comparison.ours, *(name for names in comparison.theirs for name in names)]
        assert len({CASES[name].unit for name in names}) == 1


def test_postgresqls_best_is_the_better_of_its_two_ways() -> None:
    (target,) = (target for target in TARGETS if "PostgreSQL's best" in target.figure)
    run = run_of(
        case_run("bankbook-bulk", 100.0),
        case_run("postgresql-bulk", 10.0),
        case_run("postgresql-transfers", 20.0),
    )
    spread = target.measured(run)
    assert spread is not None
    assert spread.median == 5.0
    assert not target.is_met(spread)
