"""What must be true of a decision when it becomes durable: after what it comes, and at what time.

Decides what is wrong with an entry because of what its branch had, and what its clock said, when it decided.
Must not know what entries add up to (books.py). Proof: tests/simulation/test_saboteurs.py.
"""

from bankbook.core.entry import Entry, RecordKind
from bankbook.core.types import EntryId, reserving_branch
from bankbook.core.vector import VersionVector
from bankbook.simulation.books import Books, has
from bankbook.simulation.promises import Promise, demand


class Decisions:
    """What each entry rests on, whatever it says of that itself."""

    def __init__(self, gone: set[EntryId]) -> None:
        self._gone = gone
        self._basis: dict[EntryId, VersionVector] = {}

    def basis(self, entry: EntryId) -> VersionVector:
        """Return what a branch had when it decided an entry."""
        return self._basis[entry]

    def on_own(self, entry: Entry, books: Books, decided_us: int, *, is_busy: bool) -> None:
        """Judge what a branch has decided; `books` are its own, as they were before.

        One that `is_busy` with its disk, or just there, need not have ended what is overdue.
        """
        self._basis[entry.id] = books.applied
        late = f"{entry.id} has the clock {entry.clock}, and rests on what was decided at {books.latest}"
        demand(entry.clock > books.latest, Promise.CAUSAL_ORDER, late)
        if not is_busy and entry.records[0].kind is not RecordKind.EXPIRY:
            overdue = books.overdue(entry.origin.branch, decided_us // 1000)
            words = f"{entry.id} is decided, and {overdue} should have ended by itself before"
            demand(not overdue, Promise.RESERVATIONS, words)
        for record in entry.records:
            if record.settlement is None:
                continue
            ends_ms, now_ms = books.ends_ms(record.settlement.reservation), decided_us // 1000
            if ends_ms is None:
                is_in_time = record.kind is not RecordKind.EXPIRY
            else:
                is_in_time = (ends_ms <= now_ms) == (record.kind is RecordKind.EXPIRY)
            name = record.settlement.reservation
            foreign = f"{entry.id} ends {name}, which another branch has set aside"
            demand(reserving_branch(name) == entry.origin.branch, Promise.RESERVATIONS, foreign)
            words = f"{entry.id}: {record.kind} of {name} at {now_ms}, which was to end at {ends_ms}"
            demand(is_in_time, Promise.RESERVATIONS, words)

    def on_foreign(self, entry: Entry, books: Books) -> None:
        """Judge what is applied at another branch, whose `books` are as they were before."""
        for origin, seq in self._basis[entry.id].beyond(books.applied):
            missing = EntryId(origin, seq)
            is_there = origin == entry.origin or has(books.applied, missing) or missing in self._gone
            early = f"{entry.id} is applied before {missing}, which its branch had when it decided"
            demand(is_there, Promise.CAUSAL_ORDER, early)
