"""What records do to accounts, against a dumb twin; and the sum that no record may break.

balance - floor = what is set aside + the sum of all rights
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HybridTime
from bankbook.core.columns import Columns, Movement
from bankbook.core.commands import (
    Capture,
    Command,
    Deposit,
    OpenAccount,
    Release,
    Reserve,
    Transfer,
    Withdraw,
)
from bankbook.core.encoding import make_entry
from bankbook.core.entry import (
    Entry,
    Grant,
    Keyed,
    MoveRecords,
    Opening,
    Posting,
    Record,
    RecordKind,
    Settlement,
)
from bankbook.core.ledger import Teller, expiry_of
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis, Identity, ReservationState
from bankbook.core.state import State, UnfitEntryError, genesis_rights
from bankbook.core.types import (
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    reservation_id,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.memory import MemoryStore

ORIGINS = tuple(
    Origin(BranchId(branch), Incarnation(life)) for branch, life in ((1, 1), (2, 1), (2, 2), (3, 1))
)
GENESIS = Genesis("test", (BranchId(1), BranchId(2), BranchId(3)), Money(100))
ACCOUNTS = AccountId("a"), AccountId("b")
FIVE = Money(5)


def deposit(account: AccountId) -> Record:
    return Record(RecordKind.DEPOSIT, (Posting(account, FIVE),))


class Bank:
    """One branch that applies what all origins decide, each by what its own branch may."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        self.store = MemoryStore(Identity(ORIGINS[0], genesis))
        self.state = State(self.store, genesis)
        self.seqs = dict.fromkeys(ORIGINS, 0)
        self.clock = 0
        self.balances = dict.fromkeys(ACCOUNTS, genesis.opening_balance)
        self.aside: dict[ReservationId, tuple[AccountId, int]] = {}

    def write(self, origin: Origin, *records: Record, keyed: Keyed | None = None) -> Entry:
        self.seqs[origin] += 1
        self.clock += 1
        entry = make_entry(
            origin=origin,
            seq=Seq(self.seqs[origin]),
            clock=HybridTime(self.clock),
            dependencies=NOTHING,
            customer=CustomerId("anna"),
            keyed=keyed,
            records=records,
        )
        self.state.apply(entry)
        return entry

    def decide(self, origin: Origin, command: Command) -> Outcome:
        """Decide, write, and have the twin do the sum."""
        at = EntryId(origin, Seq(self.seqs[origin] + 1))
        decision = Teller(self.state, origin.branch, self.clock, at, heard=ACCOUNTS).decide(command)
        if decision.outcome is Outcome.OK:
            self.write(origin, *decision.records)
            self._note(command, at)
        return decision.outcome

    def _note(self, command: Command, at: EntryId) -> None:
        for account, amount in _moved(command, self.aside):
            self.balances[account] = Money((self.balances[account] or 0) + amount)
        if isinstance(command, Reserve):
            self.aside[reservation_id(at, 0)] = (command.account, command.amount)
        if isinstance(command, Capture | Release):
            account, left = self.aside[command.reservation]
            settled = (
                left if command.amount is None or getattr(command, "is_final", False) else command.amount
            )
            self.aside[command.reservation] = (account, left - settled)

    def commit(self) -> None:
        """Have the store keep everything, and go on from there."""
        self.store.commit(self.state.take_changes(HybridTime(self.clock)))

    def check(self) -> None:
        """Compare with the twin, and check the sum."""
        for account in ACCOUNTS:
            state, rights = self.state.account(account), self.state.rights(account)
            assert state is not None
            assert state.balance == self.balances[account]
            assert state.reserved == sum(left for name, left in self.aside.values() if name == account)
            assert min(rights.values()) >= 0
            assert state.floor is not None
            assert state.balance - state.floor == state.reserved + sum(rights.values())


def _moved(
    command: Command, aside: dict[ReservationId, tuple[AccountId, int]]
) -> list[tuple[AccountId, int]]:
    match command:
        case Deposit(account, amount):
            return [(account, amount)]
        case Withdraw(account, amount):
            return [(account, -amount)]
        case Transfer(source, destination, amount):
            return [(source, -amount), (destination, amount)]
        case Capture(name, taken):
            account, left = aside[name]
            return [(account, -(left if taken is None else taken))]
        case _:
            return []


@given(st.data())
def test_after_any_records_every_sum_is_right_and_no_branch_is_below_zero(data: st.DataObject) -> None:
    bank = Bank()
    amounts = st.integers(0, 60).map(Money)
    accounts = st.sampled_from(ACCOUNTS)
    for _ in range(data.draw(st.integers(1, 25))):
        origin = data.draw(st.sampled_from(ORIGINS))
        commands: list[st.SearchStrategy[Command | None]] = [
            st.builds(Deposit, accounts, amounts),
            st.builds(Withdraw, accounts, amounts),
            st.builds(Transfer, accounts, accounts, amounts),
            st.builds(Reserve, accounts, amounts),
            st.just(None),
        ]
        own = [name for name in bank.aside if name.startswith(f"{origin.branch}.")]
        if own:
            names = st.sampled_from(own)
            commands.append(st.builds(Capture, names, st.none() | amounts, st.booleans()))
            commands.append(st.builds(Release, names, st.none() | amounts))
        command = data.draw(st.one_of(commands))
        if command is None:
            account = data.draw(accounts)
            amount = min(data.draw(amounts), bank.state.rights(account)[origin.branch])
            if amount:
                grant = Grant(account, data.draw(st.sampled_from(ORIGINS)), Money(amount))
                bank.write(origin, Record(RecordKind.GRANT, grant=grant))
        else:
            bank.decide(origin, command)
        if data.draw(st.booleans()):
            bank.commit()
        bank.check()


def test_the_funds_of_the_genesis_are_shared_out_to_the_last_one() -> None:
    assert genesis_rights(GENESIS) == {1: 34, 2: 33, 3: 33}
    assert sum(genesis_rights(Genesis("test", GENESIS.branches, None)).values()) == 0
    assert sum(genesis_rights(Genesis("test", GENESIS.branches, Money(-5))).values()) == 0


def test_an_account_with_a_credit_line_brings_its_rights_to_where_it_was_opened() -> None:
    bank = Bank(Genesis("test", GENESIS.branches, None))
    bank.decide(ORIGINS[1], OpenAccount(Opening(ACCOUNTS[0], Money(-50), "EUR")))
    assert bank.state.rights(ACCOUNTS[0]) == {1: 0, 2: 50, 3: 0}


def test_what_expired_is_free_again_and_has_ended() -> None:
    bank = Bank()
    bank.decide(ORIGINS[0], Reserve(ACCOUNTS[0], FIVE, lifetime_ms=1))
    (name,) = bank.aside
    record = bank.state.reservation(name)
    assert record is not None
    bank.write(ORIGINS[0], expiry_of(name, record))
    bank.aside[name] = (ACCOUNTS[0], 0)
    bank.check()
    ended = bank.state.reservation(name)
    assert ended is not None
    assert (ended.left, ended.state) == (0, ReservationState.EXPIRED)


def test_what_is_tried_out_on_a_draft_is_not_there() -> None:
    bank = Bank()
    draft = bank.state.draft()
    at = EntryId(ORIGINS[0], Seq(1))
    for record in Teller(draft, BranchId(1), 0, at).decide(Withdraw(ACCOUNTS[0], FIVE)).records:
        draft.apply_record(at, 0, record)
    tried, real = draft.account(ACCOUNTS[0]), bank.state.account(ACCOUNTS[0])
    assert tried is not None
    assert real is not None
    assert (tried.balance, real.balance) == (95, 100)
    assert (draft.rights(ACCOUNTS[0])[BranchId(1)], bank.state.rights(ACCOUNTS[0])[BranchId(1)]) == (29, 34)
    assert not bank.state.has_changes


def test_of_what_is_said_of_a_key_a_decision_is_final_and_the_last_fence_counts() -> None:
    bank, key = Bank(), Key("1/pay")
    deposit = Record(RecordKind.REFUSAL)
    bank.write(ORIGINS[0], Record(RecordKind.FENCE, fence=BranchId(2)), keyed=Keyed(key, ""))
    bank.commit()
    last = bank.write(ORIGINS[1], Record(RecordKind.FENCE, fence=BranchId(3)), keyed=Keyed(key, ""))
    known = bank.state.key(key)
    assert known is not None
    assert (known.entry, known.moved_to) == (last.id, 3)
    decided = bank.write(ORIGINS[3], deposit, keyed=Keyed(key, "f00d"))
    bank.commit()
    bank.write(ORIGINS[0], Record(RecordKind.FENCE, fence=BranchId(1)), keyed=Keyed(key, ""))
    known = bank.state.key(key)
    assert known is not None
    assert (known.entry, known.moved_to, known.fingerprint) == (decided.id, None, "f00d")


def test_an_entry_that_cannot_follow_what_was_applied_is_not_applied() -> None:
    """Also where Python runs without assertions: whoever opens a store finds a damaged log by it."""
    bank = Bank(Genesis("test", (BranchId(1),), None))
    unknown = Settlement(ReservationId("1.00000001-1-0"), ACCOUNTS[0], FIVE, Money(0))
    for record in (
        Record(RecordKind.DEPOSIT, (Posting(ACCOUNTS[0], FIVE),)),
        Record(RecordKind.RELEASE, settlement=unknown),
    ):
        with pytest.raises(UnfitEntryError):
            bank.state.apply_record(EntryId(ORIGINS[0], Seq(1)), 0, record)
    moves = MoveRecords(Columns.of([Movement(None, ACCOUNTS[0], FIVE)]), (FIVE,), (None,))
    with pytest.raises(UnfitEntryError):
        bank.state.apply_moves(EntryId(ORIGINS[0], Seq(1)), moves)


def test_the_write_set_of_accounts_has_the_last_entry_of_each_log_and_nothing_of_the_others() -> None:
    bank = Bank()
    one, other = ACCOUNTS
    bank.write(ORIGINS[0], deposit(one))
    bank.write(ORIGINS[1], deposit(other))
    bank.write(ORIGINS[1], deposit(one))
    bank.write(ORIGINS[0], deposit(other))
    bank.write(ORIGINS[2], deposit(other))
    applied = VersionVector((origin, Seq(seq)) for origin, seq in bank.seqs.items())
    last = dict(applied)
    assert dict(bank.state.write_set(ACCOUNTS, applied)) == last
    assert dict(bank.state.write_set((one,), applied)) == {ORIGINS[0]: 1, ORIGINS[1]: 2}
    assert dict(bank.state.write_set((other,), applied)) == {**last, ORIGINS[1]: 1}
    assert dict(bank.state.write_set((AccountId("c"),), applied)) == {}


def test_rows_that_were_looked_at_before_are_those_of_now() -> None:
    bank = Bank()
    accounts = (*ACCOUNTS, AccountId("c"))
    for _ in range(2):
        bank.write(ORIGINS[0], deposit(ACCOUNTS[0]))
        assert list(bank.state.rows(accounts)) == [bank.state.row(each) for each in accounts]
        assert bank.state.rows(accounts) == bank.state.draft().rows(accounts)
    before = bank.state.rows(accounts)
    bank.store.commit(bank.state.take_changes(HybridTime(bank.clock)))
    assert bank.state.rows(accounts) == before
    bank.write(ORIGINS[0], deposit(ACCOUNTS[1]))
    assert bank.state.rows(accounts) != before
    assert list(bank.state.rows(accounts)) == [bank.state.row(each) for each in accounts]
