"""What the accounts are: the store's last commit, and on top of it what the present step has changed.

Decides what each record does to balances, rights, reservations and keys. Must not know why a record was
made, nor sessions, peers or time. Proof: tests/core/test_state.py, and the twin of every store in
tests/store/history.py.

Rights are kept for each log. In every causally closed state, and for every account with a floor,

    balance - floor = what is set aside + the sum of all rights,   and no branch's rights are below 0,

so branches that spend only their own rights can never take an account below its floor together.

Source: O'Neil, "The Escrow Transactional Method" (TODS 1986), section 3; Balegas et al., "Extending
Eventually Consistent Cloud Databases for Enforcing Numeric Invariants" (SRDS 2015), section 3.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol, Self

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, MoveRecords, Record, RecordKind, Reservation, Settlement
from bankbook.core.ports import (
    Account,
    Changes,
    Genesis,
    Holding,
    KeyRecord,
    Reader,
    ReservationRecord,
    ReservationState,
    Row,
    stores_over,
)
from bankbook.core.types import (
    AccountId,
    BranchId,
    EntryId,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    reservation_id,
)
from bankbook.core.vector import VersionVector

_NO_HOLDING = Holding()

_STATE_AT_END = {
    RecordKind.CAPTURE: ReservationState.CAPTURED,
    RecordKind.RELEASE: ReservationState.RELEASED,
    RecordKind.EXPIRY: ReservationState.EXPIRED,
}


class Base(Protocol):
    """What changes are laid over: a store, or another state."""

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where it is not open."""
        ...

    def holdings(self, account: AccountId) -> Mapping[Origin, Holding]:
        """Return what each log did to the account."""
        ...

    def rows(self, accounts: Collection[AccountId]) -> Mapping[AccountId, Row]:
        """Return what `account` and `holdings` tell of each of these accounts."""
        ...

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        ...


class UnfitEntryError(AssertionError):
    """An entry does not follow what was applied before it: a bug of ours, or a log that was changed.

    Raised also where Python runs without assertions, since a store that replays its log finds damage by it.
    """

    @classmethod
    def before(cls, account: AccountId) -> Self:
        """Return it for an entry that came before the account that it touches."""
        return cls(f"an entry came before the account {account}, which it touches")


class Layer:
    """Changes to accounts and reservations, laid over a base."""

    def __init__(self, base: Base, genesis: Genesis) -> None:
        self._base = base
        self._genesis = genesis
        self._genesis_rights = genesis_rights(genesis)
        self._untouched = _untouched(genesis)
        self._changes = Changes()

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where it is not open here."""
        return self._changes.accounts.get(account) or self._base.account(account) or self._untouched

    def holdings(self, account: AccountId) -> Mapping[Origin, Holding]:
        """Return what each log did to the account."""
        changed = self._changes.holdings.get(account)
        below = self._base.holdings(account)
        return below if changed is None else {**below, **changed}

    def rows(self, accounts: Collection[AccountId]) -> Mapping[AccountId, Row]:
        """Return what `account` and `holdings` tell of each of these accounts."""
        return {account: (self.account(account), self.holdings(account)) for account in accounts}

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        return self._changes.reservations.get(reservation) or self._base.reservation(reservation)

    def rights(self, account: AccountId) -> dict[BranchId, Money]:
        """Return what each branch may take out of the account without asking."""
        rights = dict(self._genesis_rights)
        for origin, holding in self.holdings(account).items():
            rights[origin.branch] = Money(rights[origin.branch] + holding.rights)
        return rights

    def rights_of(self, account: AccountId, branch: BranchId) -> Money:
        """Return what one branch may take out of the account without asking."""
        rights = self._genesis_rights[branch]
        for origin, held in self.holdings(account).items():
            if origin.branch == branch:
                rights = Money(rights + held.rights)
        return rights

    def at_hand(
        self, accounts: Collection[AccountId], branch: BranchId
    ) -> Iterator[tuple[Account | None, Money]]:
        """Yield the state of each of these accounts, and what one branch may take out of it."""
        changed, moved, share = self._changes.accounts, self._changes.holdings, self._genesis_rights[branch]
        for account, (state, holdings) in self._base.rows(accounts).items():
            rights = share
            for origin, held in ({**holdings, **moved[account]} if account in moved else holdings).items():
                if origin.branch == branch:
                    rights = Money(rights + held.rights)
            yield changed.get(account) or state or self._untouched, rights

    def write_set(self, accounts: Collection[AccountId]) -> VersionVector:
        """Return the last entry of each log that touched any of the accounts."""
        last: dict[Origin, Seq] = {}
        changed = self._changes.holdings
        for account, (_, below) in self._base.rows(accounts).items():
            for holdings in (below, changed.get(account, {})):
                for origin, held in holdings.items():
                    if held.last_seq > last.get(origin, 0):
                        last[origin] = held.last_seq
        return VersionVector(last.items())

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return the last entry of one log that touched the account; 0 where there is none."""
        return self.holdings(account).get(origin, _NO_HOLDING).last_seq

    def draft(self) -> "Layer":
        """Return a layer on top of this one, to try out records on."""
        return Layer(self, self._genesis)

    def apply_record(self, entry: EntryId, index: int, record: Record) -> None:
        """Apply record `index` (from 0) of an entry."""
        writer = entry.origin
        if record.opening is not None:
            opened = record.opening
            self._changes.accounts[opened.account] = Account(Money(0), opened.floor, opened.currency)
            self._move_rights(opened.account, writer, Money(-(opened.floor or 0)))
        if record.reservation is not None:
            self._reserve(writer, reservation_id(entry, index), record.reservation)
        if record.settlement is not None:
            self._settle(writer, record.settlement, _STATE_AT_END[record.kind])
        for account, amount in record.postings:
            self.move(account, writer, amount)
        if record.grant is not None:
            self._existing(record.grant.account)
            self._move_rights(record.grant.account, writer, Money(-record.grant.amount))
            self._move_rights(record.grant.account, record.grant.to, record.grant.amount)
        for account in record.accounts:
            changed = self._changes.holdings[account]
            changed[writer] = changed[writer]._replace(last_seq=entry.seq)

    def apply_moves(self, entry: EntryId, moves: MoveRecords) -> None:
        """Apply all records of an entry that are plain movements: what each comes to by itself, summed up."""
        writer, seq = entry
        accounts, holdings = self._changes.accounts, self._changes.holdings
        rows = self._base.rows(moves.flows.accounts)
        for account, net in zip(moves.flows.accounts, moves.flows.nets, strict=True):
            below, held_below = rows[account]
            state = accounts.get(account) or below or self._untouched
            if state is None:
                raise UnfitEntryError.before(account)
            balance, floor, currency, reserved = state
            accounts[account] = Account(Money(balance + net), floor, currency, reserved)
            changed = holdings.get(account)
            if changed is None:
                changed = holdings[account] = {}
            held = changed.get(writer) or held_below.get(writer, _NO_HOLDING)
            changed[writer] = Holding(seq, Money(held.rights + net))

    def move(self, account: AccountId, writer: Origin, amount: Money) -> None:
        """Add to an account, and to the rights of the branch that decided so."""
        state = self._existing(account)
        self._changes.accounts[account] = state._replace(balance=Money(state.balance + amount))
        self._move_rights(account, writer, amount)

    def _existing(self, account: AccountId) -> Account:
        state = self.account(account)
        if state is None:
            raise UnfitEntryError.before(account)
        # A genesis account that is touched for the first time gets its row with its first change.
        self._changes.accounts.setdefault(account, state)
        return state

    def _move_rights(self, account: AccountId, origin: Origin, amount: Money) -> None:
        changed = self._changes.holdings.setdefault(account, {})
        held = changed.get(origin) or self._base.holdings(account).get(origin, _NO_HOLDING)
        changed[origin] = held._replace(rights=Money(held.rights + amount))

    def _reserve(self, writer: Origin, reservation: ReservationId, terms: Reservation) -> None:
        state = self._existing(terms.account)
        reserved = Money(state.reserved + terms.amount)
        self._changes.accounts[terms.account] = state._replace(reserved=reserved)
        self._move_rights(terms.account, writer, Money(-terms.amount))
        self._changes.reservations[reservation] = ReservationRecord(
            terms, terms.amount, ReservationState.OPEN if terms.amount else ReservationState.RELEASED
        )

    def _settle(self, writer: Origin, settlement: Settlement, at_end: ReservationState) -> None:
        record = self.reservation(settlement.reservation)
        if record is None:
            raise UnfitEntryError(f"{settlement.reservation} was settled before it was made")
        if record.left - settlement.amount != settlement.left:
            raise UnfitEntryError(f"{settlement} does not follow {record}")
        state = self._existing(settlement.account)
        reserved = Money(state.reserved - settlement.amount)
        self._changes.accounts[settlement.account] = state._replace(reserved=reserved)
        self._move_rights(settlement.account, writer, settlement.amount)
        self._changes.reservations[settlement.reservation] = record._replace(
            left=settlement.left, state=record.state if settlement.left else at_end
        )


class State(Layer):
    """All that the present step sees and changes."""

    def __init__(self, reader: Reader, genesis: Genesis) -> None:
        super().__init__(reader, genesis)
        self._reader = reader

    @property
    def opening_balance(self) -> Money:
        """What every account began with: the genesis' opening balance, or 0 where accounts are opened."""
        return self._genesis.opening_balance or Money(0)

    @property
    def has_changes(self) -> bool:
        """Whether this step has changed anything yet."""
        return bool(self._changes)

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        return self._changes.keys.get(key) or self._reader.key(key)

    def entry(self, entry: EntryId) -> Entry:
        """Return an entry that was applied here."""
        (found,) = self.entries(entry.origin, Seq(entry.seq - 1), 1)
        return found

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log, the step's own included, from behind `after`."""
        found = list(self._reader.entries(origin, after, limit))
        last = found[-1].seq if found else after
        fresh = [e for e in self._changes.entries if e.origin == origin and e.seq > last]
        return found + fresh[: limit - len(found)]

    def ended(self, origin: Origin) -> Seq | None:
        """Return where a log ends for ever; None where it goes on, or is not known to end."""
        return self._changes.ended.get(origin) or self._reader.ended().get(origin)

    def is_over(self, origin: Origin) -> bool:
        """Return whether a store is known to be replaced by a newer one."""
        return self._changes.lives.get(origin, False) or self._reader.lives().get(origin, False)

    def lives(self) -> Mapping[Origin, bool]:
        """Return the lives of branches' stores that were noted, and whether each is over."""
        return {**self._reader.lives(), **self._changes.lives}

    def over(self) -> tuple[Origin, ...]:
        """Return the stores that are known to be replaced by newer ones."""
        return stores_over(self.lives())

    def note_life(self, origin: Origin) -> None:
        """Note that a store has been there."""
        if origin not in self.lives():
            self._changes.lives[origin] = False

    def end_life(self, origin: Origin) -> None:
        """Note that a store was replaced by a newer one."""
        if not self.is_over(origin):
            self._changes.lives[origin] = True

    def apply(self, entry: Entry) -> None:
        """Apply an entry whole: no reader ever sees one leg of it without the other."""
        self.replay(entry)
        for origin, seq in entry.ended:
            self._changes.ended[origin] = seq
        if entry.keyed is not None:
            fence = entry.others[0].fence if entry.others else None
            self._note_key(entry.keyed.key, KeyRecord(entry.keyed.fingerprint, entry.id, entry.clock, fence))

    def replay(self, entry: Entry) -> None:
        """Apply what an entry does to accounts and reservations; what else it says is known already."""
        if entry.moves is not None:
            self.apply_moves(entry.id, entry.moves)
        for index, record in enumerate(entry.others):
            self.apply_record(entry.id, index, record)
        self._changes.entries.append(entry)

    def _note_key(self, key: Key, record: KeyRecord) -> None:
        known = self.key(key)
        if known is None or _rank(record) < _rank(known):
            self._changes.keys[key] = record

    def join(self) -> None:
        """Note that this branch knows all that the others knew when its store was new."""
        self._changes.has_joined = True

    def forget_keys(self, before: HybridTime) -> None:
        """Forget the keys of requests that were decided before then."""
        self._changes.forget_keys_before = before

    def take_changes(self, clock: HybridTime) -> Changes:
        """Return what the step has changed, for the store to commit, and begin anew on top of it."""
        changes, self._changes = self._changes, Changes()
        changes.clock = clock
        return changes


def genesis_rights(genesis: Genesis) -> dict[BranchId, Money]:
    """Return each branch's even share of an account's funds at the bank's genesis."""
    funds = max(genesis.opening_balance or 0, 0)
    each, rest = divmod(funds, len(genesis.branches))
    return {branch: Money(each + (number < rest)) for number, branch in enumerate(sorted(genesis.branches))}


def _untouched(genesis: Genesis) -> Account | None:
    """Return the state of an account that no entry touched; None where accounts are opened."""
    opening = genesis.opening_balance
    # Who begins below 0 may stay there, and cannot get further down.
    return None if opening is None else Account(opening, floor=Money(min(opening, 0)))


def _rank(record: KeyRecord) -> tuple[bool, int, Origin]:
    """Order what two entries say of one key, the valid one first, the same at every branch.

    A decision is final; of two fences the later one tells where the key is now. Two decisions there are
    only of a key that was sent again when some branch had forgotten it already: the first stands.
    """
    is_fence = record.moved_to is not None
    return is_fence, -record.clock if is_fence else record.clock, record.entry.origin
