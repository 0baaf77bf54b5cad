"""The decision: what a command does to the accounts, as one straight ladder for each command.

Decides outcomes and postings, and keeps the state that the present step has reached but not yet
persisted. Must not know sessions, holds, peers or time. Proof: tests/core/test_ledger.py, and the
property test against a twin of a few lines in tests/core/test_replica_properties.py.
"""

from typing import NamedTuple, assert_never
from zlib import crc32

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Command, Deposit, OpenAccount, ReadBalance, Transfer, Withdraw
from bankbook.core.entry import Entry, EntryKind, Opening, Posting
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Changes, Genesis, Reader
from bankbook.core.types import BALANCE_MAX, MONEY_MAX, AccountId, BranchId, Money, Origin, Seq
from bankbook.core.vector import VersionVector


class Draft(NamedTuple):
    """What an entry will say, before it has its place in the log."""

    kind: EntryKind
    postings: tuple[Posting, ...] = ()
    opening: Opening | None = None


class Decision(NamedTuple):
    """How a command ends, and what it writes if it writes anything."""

    outcome: Outcome
    detail: str = ""
    balance: Money | None = None
    draft: Draft | None = None
    branch: BranchId | None = None


def home_branch(account: AccountId, branches: tuple[BranchId, ...]) -> BranchId:
    """Return the one branch that may open `account`, so that two can never open it differently.

    A checksum, not Python's hash: every branch must come to the same answer in every process.
    """
    return branches[crc32(account.encode()) % len(branches)]


class Ledger:
    """The accounts as the present step sees them: the store's last commit, and the step's own changes."""

    def __init__(self, reader: Reader, genesis: Genesis, branch: BranchId) -> None:
        self._reader = reader
        self._genesis = genesis
        self._branch = branch
        self._changes = Changes()

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where it is not open at this branch."""
        changed = self._changes.accounts.get(account)
        if changed is not None:
            return changed
        stored = self._reader.account(account)
        if stored is None and self._genesis.opening_balance is not None:
            return Account(self._genesis.opening_balance)
        return stored

    def write_set(self, account: AccountId) -> VersionVector:
        """Return the last entry of each origin that touched the account, the step's own included."""
        changed = self._changes.last_writes.get(account, {})
        return self._reader.write_set(account).merge(VersionVector(changed.items()))

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return the last entry of `origin` that touched the account; 0 where there is none."""
        changed = self._changes.last_writes.get(account, {})
        return changed.get(origin) or self._reader.last_write(account, origin)

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log, the step's own included, from behind `after`."""
        found = list(self._reader.entries(origin, after, limit))
        last = found[-1].seq if found else after
        fresh = [e for e in self._changes.entries if e.origin == origin and e.seq > last]
        return found + fresh[: limit - len(found)]

    def apply(self, entry: Entry) -> None:
        """Apply an entry whole: no reader ever sees one leg of it without the other."""
        if entry.opening is not None:
            self._changes.accounts[entry.opening.account] = Account(
                Money(0), entry.opening.floor, entry.opening.currency
            )
        for posting in entry.postings:
            account = self.account(posting.account)
            assert account is not None, f"{entry.origin}#{entry.seq} came before the account it touches"
            balance = Money(account.balance + posting.amount)
            self._changes.accounts[posting.account] = account._replace(balance=balance)
        for touched in entry.accounts:
            self._changes.last_writes.setdefault(touched, {})[entry.origin] = entry.seq
        self._changes.entries.append(entry)

    def take_changes(self, clock: HybridTime) -> Changes:
        """Return what the step has changed, for the store to commit, and begin anew on top of it."""
        changes, self._changes = self._changes, Changes()
        changes.clock = clock
        return changes

    def decide(self, command: Command, balance_max: Money = BALANCE_MAX) -> Decision:
        """Decide a command by the state this branch has; nothing is changed yet.

        `balance_max` is the largest balance that the caller can be told.
        """
        match command:
            case ReadBalance(account):
                return self._decide_read(account, balance_max)
            case Deposit(account, amount):
                return self._decide_posting(EntryKind.DEPOSIT, Posting(account, amount), balance_max)
            case Withdraw(account, amount):
                return self._decide_posting(
                    EntryKind.WITHDRAWAL, Posting(account, Money(-amount)), balance_max
                )
            case Transfer():
                return self._decide_transfer(command, balance_max)
            case OpenAccount(opening):
                return self._decide_opening(opening)
            case _:
                assert_never(command)

    def _decide_read(self, account: AccountId, balance_max: Money) -> Decision:
        state = self.account(account)
        if state is None:
            return _unknown(account)
        refusal = _untellable(state.balance, balance_max)
        return refusal or Decision(Outcome.OK, balance=state.balance)

    def _decide_posting(self, kind: EntryKind, posting: Posting, balance_max: Money) -> Decision:
        state = self.account(posting.account)
        if state is None:
            return _unknown(posting.account)
        balance = Money(state.balance + posting.amount)
        refusal = (
            _short_of_funds(state, posting)
            or _beyond_limit(state, posting)
            or _untellable(balance, balance_max)
        )
        if refusal is not None:
            return refusal
        return Decision(Outcome.OK, balance=balance, draft=Draft(kind, (posting,)))

    def _decide_transfer(self, transfer: Transfer, balance_max: Money) -> Decision:
        source, destination = self.account(transfer.source), self.account(transfer.destination)
        if source is None:
            return _unknown(transfer.source)
        if destination is None:
            return _unknown(transfer.destination)
        if transfer.source == transfer.destination:
            return Decision(Outcome.SAME_ACCOUNT, f"both accounts of the transfer are {transfer.source}")
        if source.currency != destination.currency:
            return Decision(
                Outcome.CURRENCY_MISMATCH,
                f"{transfer.source} counts {source.currency or 'plain units'}, "
                f"{transfer.destination} counts {destination.currency or 'plain units'}",
            )
        out = Posting(transfer.source, Money(-transfer.amount))
        into = Posting(transfer.destination, transfer.amount)
        balance = Money(source.balance - transfer.amount)
        refusal = (
            _short_of_funds(source, out)
            or _beyond_limit(source, out)
            or _beyond_limit(destination, into)
            or _untellable(balance, balance_max)
        )
        if refusal is not None:
            return refusal
        return Decision(Outcome.OK, balance=balance, draft=Draft(EntryKind.TRANSFER, (out, into)))

    def _decide_opening(self, opening: Opening) -> Decision:
        home = home_branch(opening.account, self._genesis.branches)
        if home != self._branch:
            return Decision(
                Outcome.NOT_HOME,
                f"account {opening.account} is opened at its home, branch {home}",
                branch=home,
            )
        if self.account(opening.account) is not None:
            return Decision(Outcome.ACCOUNT_EXISTS, f"account {opening.account} is open already")
        return Decision(Outcome.OK, balance=Money(0), draft=Draft(EntryKind.OPENING, opening=opening))


def _unknown(account: AccountId) -> Decision:
    return Decision(Outcome.UNKNOWN_ACCOUNT, f"there is no account {account} at this branch")


def _short_of_funds(state: Account, posting: Posting) -> Decision | None:
    balance = state.balance + posting.amount
    if posting.amount < 0 and state.floor is not None and balance < state.floor:
        return Decision(
            Outcome.INSUFFICIENT_FUNDS,
            f"account {posting.account} has {state.balance} and its floor is {state.floor}: "
            f"{-posting.amount} is more than {state.balance - state.floor}",
            balance=state.balance,
        )
    return None


def _beyond_limit(state: Account, posting: Posting) -> Decision | None:
    balance = state.balance + posting.amount
    # Only what leads further out: an account that got beyond by deposits at two branches may come back.
    if (posting.amount > 0 and balance > MONEY_MAX) or (posting.amount < 0 and balance < -MONEY_MAX):
        return Decision(
            Outcome.BALANCE_LIMIT,
            f"account {posting.account} would stand at {balance}, beyond {MONEY_MAX} either way",
        )
    return None


def _untellable(balance: Money, balance_max: Money) -> Decision | None:
    if -balance_max <= balance <= balance_max:
        return None
    return Decision(
        Outcome.NOT_REPRESENTABLE, f"a balance of {balance} does not fit the 32 bits of the original protocol"
    )
