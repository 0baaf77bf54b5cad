"""A simulator is worth what it finds: each of these bugs is found within so many seeds."""

import pytest
from simulation.saboteurs import SABOTEURS, Sabotage

from bankbook.simulation.run import simulate

SEEDS_MAX = 60


@pytest.mark.parametrize("sabotage", SABOTEURS, ids=lambda each: each.__name__)
def test_is_caught(sabotage: Sabotage, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    assert any(simulate(seed).violation is not None for seed in range(SEEDS_MAX))
