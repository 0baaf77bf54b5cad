"""A simulator is worth what it finds: each of these bugs is found, near the seed that found it before."""

from pathlib import Path

import pytest
from simulation.saboteurs import FIRST_SEEDS, SABOTEURS, Saboteur
from simulation.saboteurs.trial import catch

# From where it was caught when the table was made. What customers do may change a little without a new table.
SEEDS = 12

PAGE = Path(__file__).parents[2] / "docs" / "sabotage.md"


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda each: each.name)
def test_is_caught(saboteur: Saboteur) -> None:
    first = FIRST_SEEDS[saboteur.name]
    caught = catch(saboteur, range(first, first + SEEDS))
    assert caught is not None, (
        f"nobody noticed under seeds {first} to {first + SEEDS - 1}. Where customers or faults have changed, "
        "`python tools/sabotage.py --write` finds out how long it takes now; else the proof has a hole"
    )


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len({each.name for each in SABOTEURS}) == len(SABOTEURS) >= 40


def test_the_page_tells_of_each() -> None:
    rows = [line.split(" | ")[:3] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = [[f"| `{each.name}`", each.in_words, str(FIRST_SEEDS[each.name] + 1)] for each in SABOTEURS]
    assert rows == told
