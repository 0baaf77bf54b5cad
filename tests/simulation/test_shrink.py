"""What fails is made small, fails by the same promise when read back, and passes once the bug is gone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from simulation.saboteurs import SABOTEURS, Saboteur

from bankbook.cli.explore import Exploration, explore
from bankbook.cli.simulate import simulate as simulate_command
from bankbook.scenario.model import Interface, Scenario
from bankbook.scenario.parse import read_scenario
from bankbook.simulation.promises import Promise, Violation
from bankbook.simulation.run import Performance, SimulationSettings, perform, plan
from bankbook.simulation.shrink import Failure, Shrinker, cut_short
from bankbook.simulation.smaller import spots_of, with_events

# One of each subject whose bug shows within the first few seeds; test_saboteurs.py has all.
FOUND_SOON = {
    "release_before_persist",
    "dependency_skipped",
    "grant_takes_nothing_from_the_giver",
    "key_is_looked_up_on_arrival_only",
    "token_waits_for_nothing",
    "durable_does_not_wait",
    "dropped_as_soon_as_all_have_it",
}
SOON = [saboteur for saboteur in SABOTEURS if saboteur.name in FOUND_SOON]

SEEDS_MAX = 40
SHORT = SimulationSettings(customers=3, duration_s=12)
EVENTS_MAX = 12
# What is left of all events and faults together, at the most, when the runs below are used up.
LEFT_MAX = 0.2


def exit_of(wanted: Exploration) -> object:
    with pytest.raises(SystemExit) as ended:
        explore(wanted, as_json=True)
    return ended.value.code


def repeat(command: str, output: Path) -> object:
    """Do as a command that was told, in this process, with whatever is the matter with it."""
    *again, option, _trace = command.split()
    assert (again[:2], option) == (["bankbook", "simulate"], "--trace")
    with pytest.raises(SystemExit) as ended:
        simulate_command.main([*again[2:], "-o", str(output)])
    return ended.value.code


def test_there_is_one_of_each() -> None:
    assert len(SOON) == len(FOUND_SOON)


@pytest.mark.parametrize("saboteur", SOON, ids=lambda each: each.name)
def test_a_saboteur_is_caught_by_a_small_scenario(
    saboteur: Saboteur, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "small.json", tmp_path / "output.json"
    monkeypatch.setattr("bankbook.simulation.shrink.RUNS_MAX", 1000)
    with monkeypatch.context() as patch:
        saboteur.apply(patch)
        wanted = Exploration(range(SEEDS_MAX), SHORT, shrunk_path=path, shrink_for_s=1e6)
        assert exit_of(wanted) == 1
        told = json.loads(capsys.readouterr().out)
        (failed,), shrunk = told["failed"], told["shrunk"]
        assert shrunk["promise"] == failed["promise"]
        # None at all where whoever takes everything out in the end is enough to find it.
        assert shrunk["events"] <= EVENTS_MAX
        drawn = plan(failed["seed"], SHORT)
        size = len(spots_of(drawn)) + len(drawn.faults)
        assert shrunk["events"] + shrunk["faults"] <= LEFT_MAX * size
        scenario = read_scenario(path)
        assert len(spots_of(scenario)) == shrunk["events"]
        command, _ = shrunk["commands"]
        assert f"{path} --seed {shrunk['seed']} " in command
        assert repeat(command, output) == 1
        assert f"bankbook: {shrunk['promise']}: {shrunk['violation']} (" in capsys.readouterr().err
    assert repeat(command, output) == 0


# What fails here is made up, so that it is known what the smallest is.


def made_up(fails: object) -> Shrinker:
    """Return a shrinker of what seed 3 draws, where `fails` says what fails."""
    assert callable(fails)
    scenario = plan(3)
    done = perform(with_events(scenario, set()), 3)
    violation = Violation(Promise.BOOKS, "made up")

    def run(candidate: Scenario, _seed: int, _ends: bool) -> Performance:
        is_failing = fails(candidate)
        begun = {each.id: len(each.events) for each in candidate.customers}
        report = replace(done.report, violation=violation if is_failing else None)
        return replace(done, report=report, begun=begun, ended_s=1e6, is_cut_off=is_failing)

    return Shrinker(Failure(scenario, 3, violation, is_cut_off=True), run)


def test_two_events_that_fail_together_are_found_among_hundreds() -> None:
    def fails(scenario: Scenario) -> bool:
        kinds = [event.interface for customer in scenario.customers for event in customer.events]
        return Interface.TRANSFER in kinds and Interface.SUBMIT in kinds

    best = made_up(fails).shrink().scenario
    assert len(spots_of(best)) == 2
    assert (len(best.branches), best.faults, best.accounts) == (1, (), ())


def test_what_matters_is_kept() -> None:
    def fails(scenario: Scenario) -> bool:
        return len(scenario.branches) > 1 and any(fault.percent for fault in scenario.faults)

    best = made_up(fails).shrink().scenario
    assert len(best.branches) == 2
    assert [fault.percent for fault in best.faults] == [100]
    assert spots_of(best) == []


def test_the_best_so_far_is_there_when_time_is_over_or_the_runs_are_used_up() -> None:
    shrinker = made_up(lambda _: True)
    shrinker.is_over = lambda: shrinker.runs >= 1
    assert shrinker.shrink() == shrinker.best
    assert shrinker.runs == 1
    shrinker = made_up(lambda scenario: len(scenario.customers) > 1)
    shrinker.runs_max = 30
    assert len(shrinker.shrink().scenario.customers) >= 2
    assert shrinker.runs == 30


def test_an_interruption_leaves_the_smallest_so_far() -> None:
    shrinker = made_up(lambda _: True)
    before = shrinker.best

    def interrupt(_: Failure) -> None:
        if shrinker.runs > 1:
            raise KeyboardInterrupt

    shrinker.on_smaller = interrupt
    with pytest.raises(KeyboardInterrupt):
        shrinker.shrink()
    assert len(spots_of(shrinker.best.scenario)) < len(spots_of(before.scenario))


def test_another_promise_or_a_later_moment_is_another_failure() -> None:
    scenario = plan(3)
    early = Failure(scenario, 3, Violation(Promise.BOOKS, "one"), is_cut_off=True)
    assert early._replace(violation=Violation(Promise.BOOKS, "other")).is_like(early)
    assert not early._replace(violation=Violation(Promise.LATEST, "one")).is_like(early)
    assert not early._replace(is_cut_off=False).is_like(early)
    assert early.is_like(early._replace(is_cut_off=False))


def test_what_was_not_begun_is_cut_off() -> None:
    scenario = plan(3)
    done = perform(scenario, 3, duration_s=5.0)
    short = cut_short(scenario, done)
    assert 0 < len(spots_of(short)) == sum(done.begun.values()) < len(spots_of(scenario))
    again = perform(short, 3)
    assert [run.done for run in again.runs] == [run.done for run in done.runs]
