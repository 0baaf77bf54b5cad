"""The smallest stories in which small bugs of a branch that begins anew do harm; without the bug, none."""

import pytest
from simulation.saboteurs import SABOTEURS
from simulation.saboteurs.trial import catch_in_story
from simulation.stories import STORIES, STORY_SEEDS

from bankbook.simulation.run import perform


@pytest.mark.parametrize("saboteur", STORIES)
def test_the_smallest_story_tells_the_bug_from_what_is_right(saboteur: str) -> None:
    told = [perform(STORIES[saboteur], seed).report.violation for seed in STORY_SEEDS]
    assert told == [None] * len(STORY_SEEDS)
    assert catch_in_story(next(each for each in SABOTEURS if each.name == saboteur)) is not None
