"""The four session guarantees, as one table that the core, the documentation and the checkers read.

Decides what a request has to wait for because of its session. Must not know how waiting is done.
Proof: tests/core/test_guarantees.py, tests/core/test_sessions.py.

Source: Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session Guarantees for Weakly
Consistent Replicated Data" (PDIS 1994), section 3 and table 1.
"""

from enum import Enum, Flag, auto
from functools import cache
from typing import NamedTuple

from bankbook.core.token import Token
from bankbook.core.vector import NOTHING, VersionVector


class Guarantee(Flag):
    """What a session may count on, whichever branches it visits."""

    NONE = 0
    READ_YOUR_WRITES = auto()
    MONOTONIC_READS = auto()
    MONOTONIC_WRITES = auto()
    WRITES_FOLLOW_READS = auto()
    ALL = READ_YOUR_WRITES | MONOTONIC_READS | MONOTONIC_WRITES | WRITES_FOLLOW_READS


class Access(Flag):
    """What a command does with accounts."""

    READ = auto()
    WRITE = auto()


class Side(Enum):
    """The two vectors of a session token."""

    READ_VECTOR = "read vector"
    WRITE_VECTOR = "write vector"


class Rule(NamedTuple):
    """One row: a command that does `access` waits until the branch dominates the token's `awaits`."""

    guarantee: Guarantee
    access: Access
    awaits: Side
    in_words: str


RULES = (
    Rule(
        Guarantee.READ_YOUR_WRITES,
        Access.READ,
        Side.WRITE_VECTOR,
        "a read shows every write that its session made before",
    ),
    Rule(
        Guarantee.MONOTONIC_READS,
        Access.READ,
        Side.READ_VECTOR,
        "a read shows every write that an earlier read of its session showed",
    ),
    Rule(
        Guarantee.MONOTONIC_WRITES,
        Access.WRITE,
        Side.WRITE_VECTOR,
        "a write is applied everywhere after the writes that its session made before",
    ),
    Rule(
        Guarantee.WRITES_FOLLOW_READS,
        Access.WRITE,
        Side.READ_VECTOR,
        "a write is applied everywhere after the writes that its session had read",
    ),
)


def awaited_vector(token: Token, guarantees: Guarantee, access: Access) -> VersionVector:
    """Return what a branch must dominate before it serves a command that does `access`."""
    sides = _awaited_sides(guarantees, access)
    read = token.read if Side.READ_VECTOR in sides else NOTHING
    return read.merge(token.write) if Side.WRITE_VECTOR in sides else read


@cache
def _awaited_sides(guarantees: Guarantee, access: Access) -> frozenset[Side]:
    rules = (rule for rule in RULES if rule.guarantee in guarantees and rule.access in access)
    return frozenset(rule.awaits for rule in rules)
