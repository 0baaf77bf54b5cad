"""Saboteurs of the ledger: money comes from nothing, goes nowhere, or moves by halves."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core.entry import Record
from bankbook.core.ledger import Teller
from bankbook.core.logs import Logs
from bankbook.core.state import Layer, State
from bankbook.core.types import Money

gang = Gang("money")


@gang
def transfer_is_in_two_entries(patch: pytest.MonkeyPatch) -> None:
    """Each leg of a transfer is an entry of its own."""

    def write(self: Any, records: Any, customer: Any = None, keyed: Any = None) -> Any:
        record = records[0]
        if len(records) > 1 or len(record.postings) < 2 or record.settlement is not None:
            return real(self, records, customer, keyed)
        for leg in record.postings[:-1]:
            real(self, (Record(record.kind, (leg,)),), customer)
        return real(self, (replace(record, postings=record.postings[-1:]),), customer, keyed)

    real = Logs.write
    patch.setattr(Logs, "write", write)


@gang
def other_half_is_applied_a_moment_later(patch: pytest.MonkeyPatch) -> None:
    """A transfer from another branch is applied leg by leg, the second one with whatever comes next."""

    def apply(self: Any, entry: Any) -> None:
        late = self.__dict__.pop("late", None)
        if late is not None:
            self.apply_record(*late)
        record = entry.records[0]
        if entry.origin == self._reader.identity.origin or len(entry.postings) != 2 or record.settlement:
            real(self, entry)
            return
        first, second = (replace(record, postings=(leg,)) for leg in record.postings)
        real(self, replace(entry, records=(first,)))
        self._changes.entries[-1] = entry
        self.late = (entry.id, 0, second)

    real = State.apply
    patch.setattr(State, "apply", apply)


@gang
def transfer_credits_nobody(patch: pytest.MonkeyPatch) -> None:
    """The second leg of a transfer is lost on the way to its entry."""

    def decide(self: Any, command: Any) -> Any:
        decision = real(self, command)
        records = tuple(replace(each, postings=each.postings[:1]) for each in decision.records)
        return decision._replace(records=records)

    real = Teller._decide_transfer
    patch.setattr(Teller, "_decide_transfer", decide)


@gang
def receipt_tells_the_balance_before(patch: pytest.MonkeyPatch) -> None:
    """What a write is answered with does not show the write."""

    def decide(self: Any, kind: Any, postings: Any, memo: str) -> Any:
        decision = real(self, kind, postings, memo)
        state = self.layer.account(postings[0].account)
        if decision.balance is None or state is None or not decision.records:
            return decision
        return decision._replace(balance=state.balance, available=state.available)

    real = Teller._decide_postings
    patch.setattr(Teller, "_decide_postings", decide)


@gang
def atomic_batch_is_half_applied(patch: pytest.MonkeyPatch) -> None:
    """A batch that is all or nothing does what it can."""

    def decide(self: Any, batch: Any) -> Any:
        return real(self, replace(batch, is_atomic=False))

    real = Teller._decide_batch
    patch.setattr(Teller, "_decide_batch", decide)


@gang
def aborted_batch_leaves_rights_changed(patch: pytest.MonkeyPatch) -> None:
    """What a batch did to rights before it was aborted is not taken back."""

    def draft(self: Any) -> Any:
        made = real(self)

        def put(account: Any, row: Any) -> None:
            Layer._put(made, account, row)
            self._put(account, (*(self.row(account) or row)[:4], row[4]))

        vars(made)["_put"] = put
        return made

    real = Layer.draft
    patch.setattr(Layer, "draft", draft)


@gang
def commands_of_a_batch_do_not_see_each_other(patch: pytest.MonkeyPatch) -> None:
    """Each command of a batch is decided as if it were the first."""

    def decide(self: Any, batch: Any) -> Any:
        class Blank(Layer):
            def apply_record(self, entry: Any, index: int, record: Any) -> None:
                pass

        self.layer.draft = lambda: Blank(self.layer, self.layer._genesis)
        try:
            return real(self, batch)
        finally:
            del self.layer.draft

    real = Teller._decide_batch
    patch.setattr(Teller, "_decide_batch", decide)


@gang
def balance_has_32_bits(patch: pytest.MonkeyPatch) -> None:
    """A balance is kept in a column of 32 bits."""

    def apply(self: Any, entry: Any, index: int, record: Any) -> None:
        real(self, entry, index, record)
        for account, (balance, *rest) in self._changes.rows.items():
            if abs(balance) >= 2**31:
                self._changes.rows[account] = ((balance + 2**31) % 2**32 - 2**31, *rest)

    real = Layer.apply_record
    patch.setattr(Layer, "apply_record", apply)


@gang
def floor_is_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """One unit more than there is may be taken out: an off-by-one in the comparison."""

    def why_short_of(self: Any, posting: Any) -> Any:
        found = real(self, posting)
        if found is None or posting.amount >= 0:
            return found
        return real(self, posting._replace(amount=Money(posting.amount + 1)))

    real = Teller._why_short_of
    patch.setattr(Teller, "_why_short_of", why_short_of)


@gang
def refusal_is_kept_and_the_money_moves(patch: pytest.MonkeyPatch) -> None:
    """A batch that was refused keeps the records of what it would have done."""

    def abort(self: Any, decisions: Any) -> Any:
        decision = real(self, decisions)
        records = tuple(
            each.records[0] if each.records else kept
            for each, kept in zip(decisions, decision.records, strict=True)
        )
        return decision._replace(records=records)

    real = Teller._abort
    patch.setattr(Teller, "_abort", abort)
