"""How a saboteur is put to the test: seed after seed, until a promise is broken.

Decides when a saboteur counts as caught. Must not know what it does.
Proof: tests/simulation/test_saboteurs.py.
"""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from simulation.saboteurs.kit import Saboteur
from simulation.stories import STORIES, STORY_SEEDS

from bankbook.simulation import aftermath, answers, books, checks, commits, decisions, run
from bankbook.simulation.promises import Promise, Violation
from bankbook.simulation.run import perform, simulate


class Catch(NamedTuple):
    """What found a saboteur out first."""

    seed: int | None
    """Of a random bank; None where it was the story that is made for it."""
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


def catch_in_story(saboteur: Saboteur) -> Catch | None:
    """Return what breaks in the story of a saboteur; None where nothing does, or it has none."""
    with pytest.MonkeyPatch.context() as patch:
        saboteur.apply(patch)
        for seed in STORY_SEEDS if saboteur.name in STORIES else ():
            violation = perform(STORIES[saboteur.name], seed).report.violation
            if violation is not None:
                return Catch(None, violation)
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
