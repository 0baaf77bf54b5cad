"""What the entries on one disk add up to: a deliberately dumb second account.

Decides what is wrong with an entry by itself, and where it stands. Must not know the core's own sums, nor
what customers are told (checks.py). Proof: tests/simulation/test_saboteurs.py.

The invariants of money stand in bankbook.core.state.
"""

from collections import Counter

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, Record, RecordKind, Reservation
from bankbook.core.types import AccountId, EntryId, Key, ReservationId, reservation_id, reserving_branch
from bankbook.core.vector import VersionVector
from bankbook.simulation.operations import State
from bankbook.simulation.promises import Promise, demand

_FROM_OUTSIDE = (RecordKind.DEPOSIT, RecordKind.WITHDRAWAL, RecordKind.CAPTURE)


class Books:
    """What the entries on one disk add up to."""

    def __init__(self, opening_balance: int | None) -> None:
        self._opening_balance = opening_balance
        self.balances: dict[AccountId, int] = {}
        self.floors: dict[AccountId, int | None] = {}
        self.left: dict[ReservationId, tuple[Reservation, int]] = {}
        """Of each reservation: its terms, and what is set aside still."""
        self.latest = HybridTime(0)
        """The latest clock reading of all that is applied."""
        self.applied = VersionVector()
        self.lately: list[tuple[VersionVector, dict[AccountId, int]]] = []
        """Of each entry of the last commit: what was applied before it, and the balances that it changed."""
        self._decided: dict[Key, EntryId] = {}

    def apply(self, entry: Entry) -> None:
        """Add one entry."""
        order = f"{entry.id} is applied out of its order, or twice"
        demand(entry.seq == self.applied[entry.origin] + 1, Promise.CAUSAL_ORDER, order)
        for origin, seq in entry.dependencies:
            early = f"{entry.id} is applied before {origin}#{seq}, on which it rests"
            demand(self.applied[origin] >= seq, Promise.CAUSAL_ORDER, early)
        self.lately.append((self.applied, {each: self.balance(each) for each in entry.accounts}))
        self.applied = self.applied.raised(entry.origin, entry.seq)
        self.latest = max(self.latest, entry.clock)
        if entry.keyed is not None and entry.records[0].fence is None:
            key, known = entry.keyed.key, self._decided.get(entry.keyed.key)
            demand(known is None, Promise.EXACTLY_ONCE, f"key {key} took effect in {known} and in {entry.id}")
            self._decided[key] = entry.id
        for index, record in enumerate(entry.records):
            self._apply_record(entry, index, record)

    def _apply_record(self, entry: Entry, index: int, record: Record) -> None:
        if record.opening is not None:
            opened = record.opening.account
            demand(opened not in self.floors, Promise.EXACTLY_ONCE, f"{opened} is opened twice")
            self.floors[record.opening.account] = record.opening.floor
            self.balances[record.opening.account] = 0
        for account, amount in record.postings:
            self.balances[account] = self.balance(account) + amount
        if record.kind not in _FROM_OUTSIDE:
            moved = sum(amount for _, amount in record.postings)
            demand(not moved, Promise.CONSERVATION, f"{entry.id} makes {moved} from nothing")
        if record.reservation is not None:
            name = reservation_id(entry.id, index)
            self.left[name] = (record.reservation, record.reservation.amount)
        if record.settlement is not None:
            self._settle(entry, record)

    def _settle(self, entry: Entry, record: Record) -> None:
        settled = record.settlement
        assert settled is not None, "the caller looked"
        known = self.left.get(settled.reservation)
        demand(known is not None, Promise.CONSERVATION, f"{entry.id} settles what nobody has set aside")
        assert known is not None, "demanded"
        terms, left = known
        left -= settled.amount
        words = f"{entry.id} settles {settled.amount} too much or too little"
        demand(left == settled.left >= 0, Promise.CONSERVATION, words)
        self.left[settled.reservation] = (terms, left)
        moved = sum(amount for _, amount in record.postings)
        is_paid = terms.destination is None or not moved
        demand(
            is_paid,
            Promise.CONSERVATION,
            f"{entry.id} pays {moved} to nobody, instead of {terms.destination}",
        )

    def balance(self, account: AccountId) -> int:
        """Return what the postings add up to."""
        return self.balances.get(account, self._opening_balance or 0)

    def states(self, account: AccountId) -> list[State]:
        """Return the states that the last commit went through, newest first."""
        states = [State(self.applied, self.balance(account))]
        for applied, balances in reversed(self.lately):
            states.append(State(applied, balances.get(account, states[-1].balance)))
        return states

    def reserved(self, account: AccountId) -> int:
        """Return what is set aside."""
        return sum(left for terms, left in self.left.values() if terms.account == account)

    def ends_ms(self, reservation: ReservationId) -> int | None:
        """Return when a reservation ends by itself, by its branch's wall clock; None: never."""
        return self.left[reservation][0].expires_ms

    def overdue(self, branch: int, now_ms: int) -> list[ReservationId]:
        """Return what should have ended by itself before then, of what a branch has set aside."""
        return [
            name
            for name, (terms, left) in self.left.items()
            if left
            and reserving_branch(name) == branch
            and terms.expires_ms is not None
            and terms.expires_ms < now_ms
        ]


def has(applied: VersionVector, entry: EntryId) -> bool:
    """Whether an entry is among what is applied."""
    return applied[entry.origin] >= entry.seq


def funds_moved(entry: Entry) -> Counter[AccountId]:
    """Return what an entry does to what can be taken out of each account."""
    moved: Counter[AccountId] = Counter()
    for record in entry.records:
        for account, amount in record.postings:
            moved[account] += amount
        if record.opening is not None:
            moved[record.opening.account] -= record.opening.floor or 0
        if record.reservation is not None:
            moved[record.reservation.account] -= record.reservation.amount
        if record.settlement is not None:
            moved[record.settlement.account] += record.settlement.amount
    return moved
