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

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, MoveRecords, Record, RecordKind, Reservation, Settlement
from bankbook.core.ports import (
    ONE_LOG,
    Account,
    Changes,
    Drop,
    Genesis,
    Holdings,
    KeyRecord,
    Portion,
    Reader,
    ReservationRecord,
    ReservationState,
    Row,
    account_in,
    logs_in,
    row_of,
    stores_over,
)
from bankbook.core.types import (
    INCARNATION_BITS,
    AccountId,
    BranchId,
    EntryId,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    branch_of_code,
    reservation_id,
)
from bankbook.core.vector import VersionVector

NO_SEQ = Seq(0)
"""Before the first entry of a log: where none of its entries touched an account."""

_STATE_AT_END = {
    RecordKind.CAPTURE: ReservationState.CAPTURED,
    RecordKind.RELEASE: ReservationState.RELEASED,
    RecordKind.EXPIRY: ReservationState.EXPIRED,
}


class Base(Protocol):
    """What changes are laid over: a store, or another state."""

    def rows(self, accounts: tuple[AccountId, ...]) -> Sequence[Row | None]:
        """Return the row of each of these accounts; None where it is not open."""
        ...

    def row(self, account: AccountId) -> Row | None:
        """Return the account's row; None where it is not open."""
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
        self._looked_at: tuple[AccountId, ...] = ()
        """The accounts whose rows were last asked for: those of a batch, which are read at every turn."""
        self._found: Sequence[Row | None] = ()

    def rows(self, accounts: tuple[AccountId, ...]) -> Sequence[Row | None]:
        """Return the row of each of these accounts; None where it is not open here."""
        if accounts is not self._looked_at:
            changed, untouched = self._changes.rows, self._untouched
            found = self._base.rows(accounts)
            if changed:
                found = [mine or row for mine, row in zip(map(changed.get, accounts), found, strict=True)]
            if not all(found):
                found = [row or untouched for row in found]
            self._looked_at, self._found = accounts, found
        return self._found

    def row(self, account: AccountId) -> Row | None:
        """Return the account's row; None where it is not open here."""
        return self._changes.rows.get(account) or self._base.row(account) or self._untouched

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where it is not open here."""
        return account_in(self.row(account))

    def reservation(self, reservation: ReservationId) -> ReservationRecord | None:
        """Return a reservation's state; None where no entry made it."""
        return self._changes.reservations.get(reservation) or self._base.reservation(reservation)

    def rights(self, account: AccountId) -> dict[BranchId, Money]:
        """Return what each branch may take out of the account without asking."""
        rights = dict(self._genesis_rights)
        for code, _, moved in logs_in(self._holdings(account)):
            branch = branch_of_code(code)
            rights[branch] = Money(rights[branch] + moved)
        return rights

    def rights_of(self, account: AccountId, branch: BranchId) -> Money:
        """Return what one branch may take out of the account without asking."""
        return self.rights_in(self._holdings(account), branch)

    def rights_in(self, holdings: Holdings, branch: BranchId) -> Money:
        """Return what one branch may take out of an account that has these holdings."""
        rights: int = self._genesis_rights[branch]
        for place in range(0, len(holdings), ONE_LOG):  # no call for each log of thousands of accounts
            if holdings[place] >> INCARNATION_BITS == branch:
                rights += holdings[place + 2]
        return Money(rights)

    def write_set(self, accounts: tuple[AccountId, ...], applied: VersionVector) -> VersionVector:
        """Return the last entry of each log that touched any of the accounts; none is beyond `applied`."""
        logs = {origin.code: (origin, last) for origin, last in applied}
        found: dict[int, int] = {}
        missing = len(logs)
        for row in self.rows(accounts):
            for code, seq, _ in logs_in(row[4] if row else ()):
                if seq > found.get(code, 0):
                    found[code] = seq
                    missing -= seq == logs[code][1]
            if not missing:
                break
        return VersionVector((logs[code][0], Seq(seq)) for code, seq in found.items())

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return the last entry of one log that touched the account; 0 where there is none."""
        last = {code: seq for code, seq, _ in logs_in(self._holdings(account))}
        return Seq(last.get(origin.code, 0))

    def _holdings(self, account: AccountId) -> Holdings:
        row = self.row(account)
        return row[4] if row else ()

    def draft(self) -> "Layer":
        """Return a layer on top of this one, to try out records on."""
        return Layer(self, self._genesis)

    def apply_record(self, entry: EntryId, index: int, record: Record) -> None:
        """Apply record `index` (from 0) of an entry."""
        if record.opening is not None:
            opened = record.opening
            holdings = self._holdings(opened.account)
            self._put(opened.account, (Money(0), opened.floor, opened.currency, Money(0), holdings))
            self._change(opened.account, entry, rights=-(opened.floor or 0))
        if record.reservation is not None:
            self._reserve(entry, reservation_id(entry, index), record.reservation)
        if record.settlement is not None:
            self._settle(entry, record.settlement, _STATE_AT_END[record.kind])
        for account, amount in record.postings:
            self.move(account, entry, amount)
        if record.grant is not None:
            account, to, amount = record.grant
            self._change(account, entry, rights=-amount)
            self._change(account, EntryId(to, NO_SEQ), rights=amount)

    def apply_moves(self, entry: EntryId, moves: MoveRecords) -> None:
        """Apply all records of an entry that are plain movements: what each comes to by itself, summed up."""
        accounts, nets = moves.flows
        code, seq = entry.origin.code, entry.seq
        rows: list[Row] = []
        place = 0
        for account, row, net in zip(accounts, self.rows(accounts), nets, strict=True):
            if row is None:
                raise UnfitEntryError.before(account)
            balance, floor, currency, reserved, holdings = row
            if len(holdings) == ONE_LOG and holdings[0] == code:
                holdings = code, seq, holdings[2] + net
            else:
                # Mostly the log stands where it stood among those that touched the account before.
                if place >= len(holdings) or holdings[place] != code:
                    place = _place_of(code, holdings)
                holdings = _changed_at(place, holdings, code, seq, net)
            rows.append((balance + net, floor, currency, reserved, holdings))  # type: ignore[arg-type]
        self._changes.rows.update(zip(accounts, rows, strict=True))
        self._looked_at, self._found = accounts, rows

    def move(self, account: AccountId, entry: EntryId, amount: Money) -> None:
        """Add to an account, and to the rights of the branch that decided so."""
        self._change(account, entry, balance=amount, rights=amount)

    def _change(
        self, account: AccountId, entry: EntryId, *, balance: int = 0, reserved: int = 0, rights: int = 0
    ) -> None:
        """Add to an account, and to its rights in the log of an entry, which touched it unless at NO_SEQ."""
        row = self.row(account)
        if row is None:
            raise UnfitEntryError.before(account)
        before, floor, currency, aside, holdings = row
        code = entry.origin.code
        holdings = _changed_at(_place_of(code, holdings), holdings, code, entry.seq, rights)
        self._put(account, (Money(before + balance), floor, currency, Money(aside + reserved), holdings))

    def _put(self, account: AccountId, row: Row) -> None:
        self._changes.rows[account] = row
        self._looked_at, self._found = (), ()

    def _reserve(self, entry: EntryId, reservation: ReservationId, terms: Reservation) -> None:
        self._change(terms.account, entry, reserved=terms.amount, rights=-terms.amount)
        self._changes.reservations[reservation] = ReservationRecord(
            terms, terms.amount, ReservationState.OPEN if terms.amount else ReservationState.RELEASED
        )

    def _settle(self, entry: EntryId, settlement: Settlement, at_end: ReservationState) -> None:
        record = self.reservation(settlement.reservation)
        if record is None:
            raise UnfitEntryError(f"{settlement.reservation} was settled before it was made")
        if record.left - settlement.amount != settlement.left:
            raise UnfitEntryError(f"{settlement} does not follow {record}")
        amount = settlement.amount
        self._change(settlement.account, entry, reserved=-amount, rights=amount)
        self._changes.reservations[settlement.reservation] = record._replace(
            left=settlement.left, state=record.state if settlement.left else at_end
        )


def _place_of(code: int, holdings: Holdings) -> int:
    """Return where a log stands among holdings, or would."""
    for place in range(0, len(holdings), ONE_LOG):
        if holdings[place] >= code:
            return place
    return len(holdings)


def _changed_at(place: int, holdings: Holdings, code: int, seq: int, rights: int) -> Holdings:
    """Return holdings with more rights in one log, whose entry `seq` touched the account, if above 0."""
    changed = list(holdings)
    if place < len(holdings) and holdings[place] == code:
        changed[place + 1] = seq or holdings[place + 1]
        changed[place + 2] += rights
    else:
        changed[place:place] = code, seq, rights
    return tuple(changed)


class State(Layer):
    """All that the present step sees and changes."""

    def __init__(self, reader: Reader, genesis: Genesis) -> None:
        super().__init__(reader, genesis)
        self._reader = reader
        self._known_key: tuple[Key | None, KeyRecord | None] = (None, None)
        """The key that the reader was last asked for: a request asks for its own three times."""

    @property
    def has_changes(self) -> bool:
        """Whether this step has changed anything yet."""
        return bool(self._changes)

    def key(self, key: Key) -> KeyRecord | None:
        """Return what is known of a key; None where nothing is."""
        changed = self._changes.keys.get(key)
        if changed is None and self._known_key[0] != key:
            self._known_key = key, self._reader.key(key)
        return changed or self._known_key[1]

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
        self._note_key_of(entry)

    def _note_key_of(self, entry: Entry) -> None:
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

    def take_portion(self, portion: Portion, *, is_first: bool) -> None:
        """Take a part of a copy of another store, and note the keys in it."""
        self._changes.portion, self._changes.is_first_portion = portion, is_first
        for entry in portion.entries:
            self._note_key_of(entry)

    def leave_portion(self) -> None:
        """Take nothing in this step."""
        if self._changes.portion is not None:
            self._changes.portion, self._changes.is_first_portion = None, False
            self._changes.keys.clear()

    def drop_entries(self, drop: Drop) -> None:
        """Let entries go that need not be kept any longer."""
        self._changes.drop = drop

    def dropped(self) -> VersionVector:
        """Return up to which entry of each log nothing is kept any longer."""
        return self._reader.dropped()

    def take_changes(self, clock: HybridTime) -> Changes:
        """Return what the step has changed, for the store to commit, and begin anew on top of it."""
        changes, self._changes = self._changes, Changes()
        self._looked_at, self._found, self._known_key = (), (), (None, None)
        changes.clock = clock
        return changes


def genesis_rights(genesis: Genesis) -> dict[BranchId, Money]:
    """Return each branch's even share of an account's funds at the bank's genesis."""
    funds = max(genesis.opening_balance or 0, 0)
    each, rest = divmod(funds, len(genesis.branches))
    return {branch: Money(each + (number < rest)) for number, branch in enumerate(sorted(genesis.branches))}


def _untouched(genesis: Genesis) -> Row | None:
    """Return the row of an account that no entry touched; None where accounts are opened."""
    opening = genesis.opening_balance
    # Who begins below 0 may stay there, and cannot get further down.
    return None if opening is None else row_of(Account(opening, floor=Money(min(opening, 0))), {})


def _rank(record: KeyRecord) -> tuple[bool, int, Origin]:
    """Order what two entries say of one key, the valid one first, the same at every branch.

    A decision is final; of two fences the later one tells where the key is now. Two decisions there are
    only of a key that was sent again when some branch had forgotten it already: the first stands.
    """
    is_fence = record.moved_to is not None
    return is_fence, -record.clock if is_fence else record.clock, record.entry.origin
