"""The decision: what a command does to the accounts, as one straight ladder for each command.

Decides outcomes and records. Changes nothing: whoever asks applies the records. Must not know sessions,
holds, peers, keys, or how rights are gathered. Proof: tests/core/test_ledger.py, and the property test
against a twin of a few lines in tests/core/test_replica_properties.py.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from bankbook.core.bulk import decide_moves
from bankbook.core.commands import (
    Batch,
    Capture,
    Command,
    Deposit,
    Moves,
    OpenAccount,
    ReadBalance,
    Release,
    Reserve,
    Result,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.decision import Decision, Short, refusal_of, sum_of_shorts, verdict_of
from bankbook.core.entry import (
    DETAIL_CHARACTERS_MAX,
    MOVE_DETAIL_CHARACTERS_MAX,
    Posting,
    Record,
    RecordKind,
    Reservation,
    Settlement,
)
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, ReservationRecord, ReservationState
from bankbook.core.state import Layer
from bankbook.core.types import (
    BALANCE_MAX,
    MONEY_MAX,
    AccountId,
    BranchId,
    EntryId,
    Money,
    ReservationId,
    chosen_branch,
    reservation_id,
    reserving_branch,
)


def decider_of(command: Command, branches: tuple[BranchId, ...]) -> BranchId | None:
    """Return the one branch that decides `command`; None where every branch does.

    An account is opened by the branch that its id falls on, so that two can never open it differently. A
    reservation belongs to the branch that made it.
    """
    match command:
        case OpenAccount(opening):
            return chosen_branch(opening.account, branches)
        case Capture(reservation) | Release(reservation):
            return reserving_branch(reservation)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Teller:
    """Decides commands by what one branch has."""

    layer: Layer
    branch: BranchId
    now_ms: int
    """Milliseconds since 1970, by this branch's clock."""
    next_entry: EntryId
    """Where the entry for this command would stand."""
    balance_max: Money = BALANCE_MAX
    """The largest balance that the caller can be told."""
    heard: Collection[AccountId] = ()
    """The accounts of which everything is known here that was acknowledged anywhere before the command came:
    only of these can be said that the funds are insufficient."""

    def decide(self, command: Command) -> Decision:
        """Decide a command; nothing is changed yet."""
        if isinstance(command, Batch):
            return self._decide_batch(command)
        return self._decide_one(command)

    def _decide_one(self, command: Command) -> Decision:
        decision = self._decide_freely(command)
        if decision.outcome is not Outcome.OK or decision.balance is None:
            return decision
        if not -self.balance_max <= decision.balance <= self.balance_max:
            detail = f"a balance of {decision.balance} does not fit the 32 bits of the original protocol"
            return Decision(Outcome.NOT_REPRESENTABLE, detail)
        return decision

    def _decide_freely(self, command: Command) -> Decision:
        match command:
            case ReadBalance():
                return self._decide_read(command)
            case Deposit():
                return self._decide_deposit(command)
            case Withdraw():
                return self._decide_withdrawal(command)
            case Transfer():
                return self._decide_transfer(command)
            case Submit():
                return self._decide_submit(command)
            case OpenAccount():
                return self._decide_opening(command)
            case Reserve():
                return self._decide_reserve(command)
            case Capture():
                return self._decide_capture(command)
            case Release():
                return self._decide_release(command)
            case _:
                raise AssertionError(f"{type(command).__name__} is not decided here")

    def _decide_read(self, command: ReadBalance) -> Decision:
        state = self.layer.account(command.account)
        return _unknown(command.account) if state is None else _told(state)

    def _decide_deposit(self, command: Deposit) -> Decision:
        posting = Posting(command.account, command.amount)
        return self._decide_postings(RecordKind.DEPOSIT, (posting,), command.memo)

    def _decide_withdrawal(self, command: Withdraw) -> Decision:
        posting = Posting(command.account, Money(-command.amount))
        return self._decide_postings(RecordKind.WITHDRAWAL, (posting,), command.memo)

    def _decide_transfer(self, command: Transfer) -> Decision:
        legs = (
            Posting(command.source, Money(-command.amount)),
            Posting(command.destination, command.amount),
        )
        refusal = self._why_not_between(command.source, command.destination)
        return refusal or self._decide_postings(RecordKind.TRANSFER, legs, command.memo)

    def _decide_submit(self, command: Submit) -> Decision:
        refusal = self._why_unbalanced(command.postings)
        return refusal or self._decide_postings(RecordKind.TRANSFER, command.postings, command.memo)

    def _decide_postings(self, kind: RecordKind, postings: tuple[Posting, ...], memo: str) -> Decision:
        for account, _ in postings:
            if self.layer.account(account) is None:
                return _unknown(account)
        refusal = self._why_short(postings) or _first(self._why_beyond(posting) for posting in postings)
        if refusal is not None:
            return refusal
        account, amount = postings[0]
        state = self._open(account)
        after = state._replace(balance=Money(state.balance + amount))
        return _decided(after, Record(kind, postings, memo))

    def _decide_opening(self, command: OpenAccount) -> Decision:
        account = command.opening.account
        if self.layer.account(account) is not None:
            return Decision(Outcome.ACCOUNT_EXISTS, f"account {account} is open already")
        after = Account(Money(0), command.opening.floor, command.opening.currency)
        return _decided(after, Record(RecordKind.OPENING, opening=command.opening))

    def _decide_reserve(self, command: Reserve) -> Decision:
        account, amount, destination = command.account, command.amount, command.destination
        if destination is not None:
            refusal = self._why_not_between(account, destination)
            if refusal is not None:
                return refusal
        state = self.layer.account(account)
        if state is None:
            return _unknown(account)
        refusal = self._why_short((Posting(account, Money(-amount)),))
        if refusal is not None:
            return refusal
        if state.reserved + amount > MONEY_MAX:
            detail = f"account {account} would have {state.reserved + amount} set aside, above {MONEY_MAX}"
            return Decision(Outcome.BALANCE_LIMIT, detail)
        expires_ms = None if command.lifetime_ms is None else self.now_ms + command.lifetime_ms
        terms = Reservation(account, amount, destination, expires_ms)
        record = Record(RecordKind.RESERVATION, memo=command.memo, reservation=terms)
        return _decided(state._replace(reserved=Money(state.reserved + amount)), record)

    def _decide_capture(self, command: Capture) -> Decision:
        record = self.layer.reservation(command.reservation)
        refusal = self._why_not_settled(command, record)
        if refusal is not None or record is None:
            return refusal or _no_reservation(command.reservation)
        amount = record.left if command.amount is None else command.amount
        settled = record.left if command.is_final else amount
        account, destination = record.terms.account, record.terms.destination
        legs = [Posting(account, Money(-amount))]
        if destination is not None:
            legs.append(Posting(destination, amount))
        refusal = _first(self._why_beyond(posting) for posting in legs)
        if refusal is not None:
            return refusal
        state = self._open(account)
        after = state._replace(
            balance=Money(state.balance - amount), reserved=Money(state.reserved - settled)
        )
        settlement = Settlement(command.reservation, account, settled, Money(record.left - settled))
        kept = Record(RecordKind.CAPTURE, tuple(legs), command.memo, settlement=settlement)
        return _decided(after, kept)

    def _decide_release(self, command: Release) -> Decision:
        record = self.layer.reservation(command.reservation)
        refusal = self._why_not_settled(command, record)
        if refusal is not None or record is None:
            return refusal or _no_reservation(command.reservation)
        amount = record.left if command.amount is None else command.amount
        account = record.terms.account
        state = self._open(account)
        after = state._replace(reserved=Money(state.reserved - amount))
        settlement = Settlement(command.reservation, account, amount, Money(record.left - amount))
        return _decided(after, Record(RecordKind.RELEASE, settlement=settlement))

    def _decide_batch(self, batch: Batch) -> Decision:
        """Decide the commands in their order, each on top of what the ones before it did."""
        if isinstance(batch.commands, Moves):
            decision = decide_moves(batch.commands, self.layer, self.next_entry.origin, self._decide_alone)
            if decision is not None and not (batch.is_atomic and decision.refuses_some):
                return decision
        draft = replace(self, layer=self.layer.draft())
        detail_max = _detail_characters_max(batch)
        decisions = []
        for index, command in enumerate(batch.commands):
            decision = draft._decide_one(command)  # noqa: SLF001  (another teller, the same class)
            decision = decision._replace(detail=decision.detail[:detail_max])
            decisions.append(decision)
            for record in decision.records:
                draft.layer.apply_record(self.next_entry, index, record)
        if batch.is_atomic and any(each.outcome is not Outcome.OK for each in decisions):
            return self._abort(decisions)
        records = tuple(each.records[0] if each.records else refusal_of(each) for each in decisions)
        results = tuple(self._result(index, each) for index, each in enumerate(decisions))
        return Decision(Outcome.OK, records=records, results=results, shorts=sum_of_shorts(decisions))

    def _decide_alone(self, layer: Layer, command: Command) -> Decision:
        return replace(self, layer=layer).decide(command)

    def _abort(self, decisions: list[Decision]) -> Decision:
        """Refuse a whole batch for its first refusal; want of rights here is the last of reasons."""
        refused = [
            (bool(each.shorts), number, each)
            for number, each in enumerate(decisions, start=1)
            if each.outcome is not Outcome.OK
        ]
        is_short, number, first = min(refused, key=lambda each: each[:2])
        aborted = Decision(Outcome.BATCH_ABORTED, f"command {number} of the batch was refused")
        ends = [each if each.outcome is not Outcome.OK else aborted for each in decisions]
        return Decision(
            first.outcome,
            f"command {number} of the batch: {first.detail}",
            records=tuple(refusal_of(each) for each in ends),
            results=tuple(self._result(index, each) for index, each in enumerate(ends)),
            shorts=sum_of_shorts(decisions) if is_short else (),
        )

    def _result(self, index: int, decision: Decision) -> Result:
        reserved = any(record.reservation is not None for record in decision.records)
        reservation = reservation_id(self.next_entry, index) if reserved else None
        currency = decision.currency if decision.outcome is Outcome.OK else ""
        return Result(
            decision.outcome, decision.detail, decision.balance, decision.available, reservation, currency
        )

    def _open(self, account: AccountId) -> Account:
        state = self.layer.account(account)
        assert state is not None, f"{account} was found to be open"
        return state

    def _why_not_between(self, source: AccountId, destination: AccountId) -> Decision | None:
        """Return why money cannot go from one account to the other; None where it can."""
        for account in (source, destination):
            if self.layer.account(account) is None:
                return _unknown(account)
        if source == destination:
            return Decision(Outcome.SAME_ACCOUNT, f"both accounts are {source}")
        out, into = self._open(source).currency, self._open(destination).currency
        if out != into:
            return Decision(
                Outcome.CURRENCY_MISMATCH,
                f"{source} counts {out or 'plain units'}, {destination} counts {into or 'plain units'}",
            )
        return None

    def _why_unbalanced(self, postings: tuple[Posting, ...]) -> Decision | None:
        sums: Counter[str] = Counter()
        seen: set[AccountId] = set()
        for account, amount in postings:
            state = self.layer.account(account)
            if state is None:
                return _unknown(account)
            if account in seen:
                return Decision(Outcome.SAME_ACCOUNT, f"account {account} has two legs; make them one")
            seen.add(account)
            sums[state.currency] += amount
        for currency, total in sums.items():
            if total:
                detail = f"the legs in {currency or 'plain units'} sum to {total}, and must sum to 0"
                return Decision(Outcome.UNBALANCED, detail)
        return None

    def _why_short(self, postings: tuple[Posting, ...]) -> Decision | None:
        """Return a want of funds or else of rights; None where there is neither."""
        found = [refusal for posting in postings if (refusal := self._why_short_of(posting)) is not None]
        if not found:
            return None
        facts = [refusal for refusal in found if not refusal.shorts]
        return facts[0] if facts else found[0]._replace(shorts=sum_of_shorts(found))

    def _why_short_of(self, posting: Posting) -> Decision | None:
        account, amount = posting
        state = self._open(account)
        if amount >= 0 or state.floor is None:
            return None
        rights = self.layer.rights_of(account, self.branch)
        if rights + amount >= 0:
            return None
        funds = state.balance - state.floor - state.reserved
        if funds + amount >= 0 or account not in self.heard:
            return Decision(
                Outcome.RIGHTS_UNREACHABLE,
                f"branch {self.branch} may take only {rights} out of {account} by itself",
                shorts=(Short(account, Money(-amount - rights), funds + amount < 0),),
            )
        reserved = f" and {state.reserved} is reserved" if state.reserved else ""
        return Decision(
            Outcome.INSUFFICIENT_FUNDS,
            f"account {account} has {state.balance}, its floor is {state.floor}{reserved}: "
            f"{-amount} is more than {funds}",
            state.balance,
            state.available,
            state.currency,
        )

    def _why_beyond(self, posting: Posting) -> Decision | None:
        account, amount = posting
        balance = self._open(account).balance + amount
        # Only what leads further out: an account that got beyond by deposits at two branches may come back.
        if (amount > 0 and balance > MONEY_MAX) or (amount < 0 and balance < -MONEY_MAX):
            return Decision(
                Outcome.BALANCE_LIMIT,
                f"account {account} would stand at {balance}, beyond {MONEY_MAX} either way",
            )
        return None

    def _why_not_settled(
        self, command: Capture | Release, record: ReservationRecord | None
    ) -> Decision | None:
        name = command.reservation
        if record is None:
            return _no_reservation(name)
        if record.state is ReservationState.EXPIRED or self._is_due(record):
            return Decision(Outcome.RESERVATION_EXPIRED, f"reservation {name} has expired")
        if record.state is not ReservationState.OPEN:
            return Decision(Outcome.RESERVATION_ENDED, f"reservation {name} was {record.state.value} already")
        if command.amount is not None and command.amount > record.left:
            return Decision(
                Outcome.RESERVATION_EXCEEDED,
                f"of reservation {name}, {record.left} is left; {command.amount} is more",
            )
        return None

    def _is_due(self, record: ReservationRecord) -> bool:
        expires_ms = record.terms.expires_ms
        return record.state is ReservationState.OPEN and expires_ms is not None and expires_ms <= self.now_ms


def _detail_characters_max(batch: Batch) -> int:
    """Return how long a refusal's sentence may be: of movements, whose bound is that of columns, shorter."""
    return MOVE_DETAIL_CHARACTERS_MAX if isinstance(batch.commands, Moves) else DETAIL_CHARACTERS_MAX


def expiry_of(reservation: ReservationId, record: ReservationRecord) -> Record:
    """Return the record that ends a reservation which was neither captured nor released in time."""
    settlement = Settlement(reservation, record.terms.account, record.left, Money(0))
    return Record(RecordKind.EXPIRY, settlement=settlement)


def _told(state: Account) -> Decision:
    return Decision(Outcome.OK, balance=state.balance, available=state.available, currency=state.currency)


def _decided(after: Account, record: Record) -> Decision:
    told = _told(after)
    verdict = verdict_of(told)
    return told._replace(
        records=(
            Record(
                record.kind,
                record.postings,
                record.memo,
                record.opening,
                record.reservation,
                record.settlement,
                verdict=verdict,
            ),
        )
    )


def _unknown(account: AccountId) -> Decision:
    return Decision(Outcome.UNKNOWN_ACCOUNT, f"there is no account {account} at this branch")


def _no_reservation(reservation: ReservationId) -> Decision:
    return Decision(Outcome.UNKNOWN_RESERVATION, f"there is no reservation {reservation}")


def _first(refusals: Iterable[Decision | None]) -> Decision | None:
    return next((refusal for refusal in refusals if refusal is not None), None)
