"""Medians, ratios, and what is kept of a run."""

from pathlib import Path

import pytest
from alternatives.runs import case_run, run_of, whole_run

from benchmarks.figures import Spread, advantage, read, write


def test_a_figure_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert case_run("redis-bulk", 3.0, 1.0, 2.0).spread == Spread(2.0, 1.0, 3.0)
    assert Spread.of([]) is None


def test_a_ratio_is_one_within_each_round_and_not_one_of_medians() -> None:
    run = run_of(case_run("bankbook-bulk", 10.0, 90.0, 40.0), case_run("redis-bulk", 5.0, 30.0, 80.0))
    assert run.ratio("bankbook-bulk", "redis-bulk") == Spread(2.0, 0.5, 3.0)


def test_a_round_that_only_one_of_both_has_is_left_out_of_their_ratio() -> None:
    run = run_of(case_run("bankbook-bulk", 10.0, 90.0), case_run("redis-bulk", 5.0))
    assert run.ratio("bankbook-bulk", "redis-bulk") == Spread(2.0, 2.0, 2.0)


def test_what_was_not_measured_has_no_figure_and_no_ratio() -> None:
    run = run_of(case_run("bankbook-bulk", 10.0), case_run("redis-bulk"))
    assert run.spread("redis-bulk") is None
    assert run.ratio("bankbook-bulk", "redis-bulk") is None
    assert run.ratio("bankbook-bulk", "etcd-bulk") is None
    assert advantage(run, "bankbook-one", "redis-one") is None


def test_ahead_is_more_of_a_speed_and_less_of_a_time() -> None:
    run = run_of(
        case_run("bankbook-bulk", 30.0),
        case_run("redis-bulk", 10.0),
        case_run("bankbook-one", 2.0),
        case_run("redis-one", 6.0),
    )
    for ours, theirs in (("bankbook-bulk", "redis-bulk"), ("bankbook-one", "redis-one")):
        assert advantage(run, ours, theirs) == Spread(3.0, 3.0, 3.0)


def test_the_best_case_is_the_fastest_whatever_its_unit() -> None:
    run = run_of(case_run("redis-bulk", 10.0), case_run("redis-pipeline", 20.0), case_run("redis-one", 3.0))
    bulk, one = run.best_of(("redis-bulk", "redis-pipeline")), run.best_of(("etcd-one", "redis-one"))
    assert bulk is not None
    assert one is not None
    assert (bulk.name, one.name) == ("redis-pipeline", "redis-one")
    assert run.best_of(("etcd-one",)) is None


def test_a_run_that_was_kept_is_the_same_when_it_is_read(tmp_path: Path) -> None:
    write(whole_run(), tmp_path / "figures.json")
    assert read(tmp_path / "figures.json") == whole_run()


@pytest.mark.parametrize("text", ["[]", "{}", '{"began": 1}', "no JSON"])
def test_what_is_no_run_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"holds no figures|Expecting value"):
        read(path)
