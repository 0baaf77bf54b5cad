"""What was violated has a name, beside the words that say by what."""

import pytest

from bankbook.server.driver import Driver
from bankbook.simulation.promises import Promise, Violation, ViolationError, demand
from bankbook.simulation.run import SimulationSettings, simulate


def test_a_demand_that_is_met_says_nothing() -> None:
    demand(True, Promise.BOOKS, "unheard")


def test_a_violation_reads_as_its_words_and_keeps_its_name() -> None:
    with pytest.raises(ViolationError, match=r"^w7 took effect twice$") as raised:
        demand(False, Promise.EXACTLY_ONCE, "w7 took effect twice")
    assert raised.value.violation == Violation("exactly once", "w7 took effect twice")
    assert str(raised.value.violation) == "w7 took effect twice"


def test_a_program_that_fails_breaks_the_promise_not_to_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("branch 7")

    monkeypatch.setattr(Driver, "_release", fail)
    violation = simulate(3, SimulationSettings(duration_s=2)).violation
    assert violation is not None
    assert violation.promise == "no crash"
    assert violation.words.startswith("KeyError: 'branch 7' (in ")


def test_a_seed_that_fails_names_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that was made before its commit failed: what is told is on no disk."""
    commit = Driver._commit

    async def always(self: Driver, effects: object) -> bool:
        await commit(self, effects)  # type: ignore[arg-type]
        return True

    monkeypatch.setattr(Driver, "_commit", always)
    found = (simulate(seed).violation for seed in range(60))
    violation = next(each for each in found if each is not None)
    assert violation.promise in set(Promise)
