"""What one session has written and seen, as sets of entries.

Decides how such a set is held against what a branch had. Must not know what is owed to a session
(checks.py). Proof: tests/simulation/test_run.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bankbook.core.guarantees import Guarantee
from bankbook.core.types import EntryId, Origin
from bankbook.core.vector import VersionVector


class Entries(set[EntryId]):
    """A set of entries that only grows, or is cleared; it knows the newest of each log.

    Sessions come to thousands of entries, each of which every answer has to show, and nearly always does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[Origin, int] = {}

    def add(self, entry: EntryId) -> None:
        """Add one."""
        super().add(entry)
        self._newest[entry.origin] = max(self._newest.get(entry.origin, 0), entry.seq)

    def update(self, *entries: Iterable[EntryId]) -> None:
        """Add many."""
        for each in entries:
            for entry in set(each) - self:
                self.add(entry)

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self._newest.clear()

    def are_in(self, applied: VersionVector) -> bool:
        """Whether all are among what is applied."""
        return all(applied[origin] >= seq for origin, seq in self._newest.items())


@dataclass(slots=True)
class SessionPast:
    """What one session has written and seen: entries, not balances."""

    guarantees: Guarantee = Guarantee.ALL
    wrote: Entries = field(default_factory=Entries)
    saw: Entries = field(default_factory=Entries)
