"""Small bugs, each of a kind that a tired engineer writes, to be applied to the running code.

A simulator that does not find them within a few seeds proves nothing. `make sabotage` shows how many seeds
each took, and what caught it; docs/sabotage.md keeps the result.
"""

import json
from itertools import chain
from pathlib import Path

from simulation.saboteurs import (
    bulk,
    client,
    freshness,
    joining,
    keys,
    money,
    persistence,
    replication,
    reservations,
    retention,
    rights,
    sessions,
    statements,
)
from simulation.saboteurs.kit import Saboteur

__all__ = ["FIRST_SEEDS", "SABOTEURS", "SEEDS_PATH", "Saboteur"]

_ROOMS = (
    persistence,
    replication,
    sessions,
    rights,
    keys,
    joining,
    freshness,
    money,
    bulk,
    reservations,
    client,
    statements,
    retention,
)

SABOTEURS: tuple[Saboteur, ...] = tuple(chain.from_iterable(room.gang.saboteurs for room in _ROOMS))

SEEDS_PATH = Path(__file__).parent / "seeds.json"

FIRST_SEEDS: dict[str, int] = json.loads(SEEDS_PATH.read_text())
"""The seed that caught each of them first: where tests begin. `python tools/sabotage.py --write` keeps it."""
