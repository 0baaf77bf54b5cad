"""What a saboteur is: a small named bug, and how it gets into the running code.

Decides how saboteurs are declared and listed. Must not know any of them.
Proof: tests/simulation/test_saboteurs.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Sabotage = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Saboteur:
    """One small bug, of a kind that a tired engineer writes."""

    name: str
    subject: str
    """Which part of the bank it harms: the module that declares it."""
    in_words: str
    """What the engineer got wrong, in a sentence."""
    apply: Sabotage


class Gang:
    """The saboteurs of one subject, in the order of their declaration."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.saboteurs: list[Saboteur] = []

    def __call__(self, sabotage: Sabotage) -> Sabotage:
        """Declare a saboteur: its function's name is its name, its docstring says what is wrong."""
        assert sabotage.__doc__, f"{sabotage.__name__} says what it does wrong"
        in_words = " ".join(sabotage.__doc__.split())
        self.saboteurs.append(Saboteur(sabotage.__name__, self.subject, in_words, sabotage))
        return sabotage
