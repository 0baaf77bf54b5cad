"""Small bugs, each of a kind that a tired engineer writes, to be applied to the running code.

A simulator that does not find them within a few seeds proves nothing. `make sabotage` shows how many seeds each
took, and what caught it; docs/sabotage.md keeps the result.
"""

from itertools import chain

from simulation.saboteurs import (
    client,
    freshness,
    joining,
    keys,
    money,
    persistence,
    replication,
    reservations,
    rights,
    sessions,
)
from simulation.saboteurs.kit import Saboteur

__all__ = ["SABOTEURS", "Saboteur"]

_GANGS = (persistence, replication, sessions, rights, keys, joining, freshness, money, reservations, client)

SABOTEURS: tuple[Saboteur, ...] = tuple(chain.from_iterable(room.gang.saboteurs for room in _GANGS))
