"""A simulator is worth what it finds: each of these bugs is found within so many seeds."""

import pytest
from simulation.saboteurs import SABOTEURS, Saboteur

from bankbook.simulation.run import simulate

SEEDS_MAX = 60


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda each: each.name)
def test_is_caught(saboteur: Saboteur, monkeypatch: pytest.MonkeyPatch) -> None:
    saboteur.apply(monkeypatch)
    assert any(simulate(seed).violation is not None for seed in range(SEEDS_MAX))
