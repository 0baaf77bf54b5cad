"""What a checker says: PASS, FAIL with a witness, or UNKNOWN with a reason.

Decides how obligations add up to a verdict. Must not know what an obligation is about.
Proof: tests/checkers/test_unknown.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The three verdicts."""

    PASS = "PASS"  # noqa: S105 (no password)
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Witness:
    """Why it cannot be right: the fewest operations that contradict each other."""

    story: str
    operations: tuple[int, ...] = ()
    """The numbers of the operations; without any one of them nothing would be wrong."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker can say of a history."""

    name: str
    kind: Kind
    rests_on: int
    """How many operations were tested: each could have been otherwise, and was not."""
    reason: str = ""
    """For UNKNOWN: why."""
    witness: Witness | None = None
    broken: int = 0
    """For FAIL: how many operations contradict, of which the witness tells one."""
    undecided: int = 0
    """How many operations could not be judged, though the guarantee says something of them."""

    def in_words(self) -> str:
        """Tell what it rests on, the witness, or the reason."""
        if self.witness is not None:
            more = f" ({self.broken - 1} more like it.)" if self.broken > 1 else ""
            return f"{self.witness.story}{more}"
        return self.reason if self.kind is Kind.UNKNOWN else f"tested {self.rests_on} times."


@dataclass(slots=True)
class Tally:
    """A verdict in the making: what held, what broke first, what stays open."""

    name: str
    nothing: str
    """Why it is unknown if nothing was tested at all."""
    held: int = 0
    broken: int = 0
    opened: int = 0
    _first: tuple[int, Callable[[], Witness]] | None = field(default=None, repr=False)
    _reason: str = ""

    def hold(self, count: int = 1) -> None:
        """Note operations that were tested and found right."""
        self.held += count

    def leave_open(self, reason: str) -> None:
        """Note an operation of which nothing can be said; the first one's reason is told."""
        self.opened += 1
        self._reason = self._reason or reason

    def break_(self, when: int, witness: Callable[[], Witness]) -> None:
        """Note a contradiction; of the one that came first, the witness is asked for."""
        self.broken += 1
        if self._first is None or when < self._first[0]:
            self._first = (when, witness)

    def verdict(self) -> Verdict:
        """Add up: what broke weighs most, then what is open, then what held."""
        if self._first is not None:
            return Verdict(self.name, Kind.FAIL, self.held, "", self._first[1](), self.broken, self.opened)
        if self.opened:
            held = f"; {self.held} others hold" if self.held else ""
            reason = f"{self.opened} could not be judged{held}. The first: {self._reason}"
            return Verdict(self.name, Kind.UNKNOWN, self.held, reason, undecided=self.opened)
        if not self.held:
            return Verdict(self.name, Kind.UNKNOWN, 0, self.nothing)
        return Verdict(self.name, Kind.PASS, self.held)
