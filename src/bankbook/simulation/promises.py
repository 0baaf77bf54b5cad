"""What a bank promises, by name, and how a broken promise is told.

Decides the names: a seed fails by one of them, or by that of a checker of histories. Must not know how any of
them is tried. Proof: tests/simulation/test_promises.py.
"""

from enum import StrEnum
from typing import NamedTuple, Self


class Promise(StrEnum):
    """What the simulator holds a bank to."""

    BOOKS = "books"
    """What a disk says of an account is what the entries on it add up to."""
    CONSERVATION = "conservation"
    """No money from nothing, and none into nothing."""
    FLOORS = "floors"
    """No account on any disk is below its floor."""
    RIGHTS = "rights"
    """No branch takes what it has no right to; all rights together are what is free."""
    COPIES = "copies"
    """Only what every branch has is dropped, and a copy of a store has all that it says it has."""
    CAUSAL_ORDER = "causal order"
    """An entry is applied once, in order, after all that it rests on."""
    RELEASED_ONCE_DURABLE = "released once durable"
    """Nothing is told to anybody before its own branch's disk has it, and it never changes afterwards."""
    EXACTLY_ONCE = "exactly once"
    REFUSED_MEANS_NEVER = "refused means never"
    READ_YOUR_WRITES = "read your writes"
    MONOTONIC_READS = "monotonic reads"
    MONOTONIC_WRITES = "monotonic writes"
    WRITES_FOLLOW_READS = "writes follow reads"
    LATEST = "LATEST"
    BOUNDED = "BOUNDED"
    BALANCES = "balances"
    """A balance that is told is one that the branch had."""
    STATEMENTS = "statements"
    """A statement lists what moved in its time, in order, and adds up."""
    REFUSALS = "refusals"
    """Who is refused for want of funds lacks them, whatever was acknowledged before being counted."""
    OUTCOMES = "outcomes"
    """Nobody is told what a bank that is right never tells."""
    DURABLE = "durable"
    """What was to be on so many disks is there before it is acknowledged."""
    ACKNOWLEDGED_IS_THERE = "what was acknowledged is there"
    ALL_OR_NOTHING = "all or nothing"
    """Of an atomic batch everything is done, or nothing."""
    RESERVATIONS = "reservations"
    """What was set aside ends at its end: not before it, and nothing of it is paid out afterwards."""
    CONVERGENCE = "convergence"
    REST = "comes to rest"
    """Once nothing goes wrong any more, nobody waits for ever."""
    KEYS_SETTLED = "keys settled"
    """Whoever asks again under a key is told for certain, in the end."""
    ALL_CAN_BE_TAKEN = "all can be taken out, and no more"
    NO_CRASH = "no crash"
    """The program itself never fails."""


class Violation(NamedTuple):
    """A promise that was broken."""

    promise: str
    """Its name: one of Promise, or that of a checker of histories."""
    words: str
    """By what."""

    def __str__(self) -> str:
        return self.words


class ViolationError(Exception):
    """A promise was broken; the message says by what."""

    def __init__(self, promise: str, words: str) -> None:
        super().__init__(words)
        self.violation = Violation(promise, words)

    @classmethod
    def of(cls, violation: Violation) -> Self:
        """Return the error that tells of a violation."""
        return cls(*violation)


def demand(condition: object, promise: str, words: str) -> None:
    """Raise ViolationError unless `condition` holds."""
    if not condition:
        raise ViolationError(promise, words)


def crash(error: BaseException) -> Violation:
    """Return what is broken where the program itself failed."""
    return Violation(Promise.NO_CRASH, f"{type(error).__name__}: {error}{_place_of(error)}")


def _place_of(error: BaseException) -> str:
    """Return where an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f" (in {code.co_qualname}, {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
