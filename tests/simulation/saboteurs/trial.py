"""How a saboteur is put to the test: seed after seed, until a promise is broken.

Decides when a saboteur counts as caught. Must not know what it does.
Proof: tests/simulation/test_saboteurs.py.
"""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from simulation.saboteurs.kit import Saboteur

from bankbook.simulation import aftermath, answers, books, checks, commits, decisions, run
from bankbook.simulation.promises import Promise, Violation
from bankbook.simulation.run import simulate


class Catch(NamedTuple):
    """The first seed that found a saboteur out."""

    seed: int
    violation: Violation


def catch(saboteur: Saboteur, seeds: Iterable[int]) -> Catch | None:
    """Return which of these seeds breaks a promise first, with the saboteur at work; None where none does."""
    with pytest.MonkeyPatch.context() as patch:
        saboteur.apply(patch)
        for seed in seeds:
            violation = simulate(seed).violation
            if violation is not None:
                return Catch(seed, violation)
    return None


def second_opinion(saboteur: Saboteur, seed: int) -> str | None:
    """Return what breaks under a seed for those who see nothing but what customers were told.

    The judges who look at the disks keep silent, so that it goes on as far as it can. None: nothing breaks,
    or the program itself fails first.
    """
    with pytest.MonkeyPatch.context() as patch:
        saboteur.apply(patch)
        for room in (aftermath, answers, books, checks, commits, decisions, run):
            patch.setattr(room, "demand", lambda *_: None)
        violation = simulate(seed).violation
    return None if violation is None or violation.promise == Promise.NO_CRASH else violation.promise
