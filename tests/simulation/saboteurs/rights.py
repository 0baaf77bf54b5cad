"""Saboteurs of rights: a branch spends what it may not, refuses what is there, or money cannot be got out."""

from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import state as state_module
from bankbook.core.commands import accounts_of
from bankbook.core.entry import Grant, Record, RecordKind
from bankbook.core.gathering import Gatherings
from bankbook.core.ledger import Teller
from bankbook.core.ports import holdings_in, row_of
from bankbook.core.requests import Requests
from bankbook.core.rights import ByUse
from bankbook.core.state import NO_SEQ, Layer
from bankbook.core.types import BranchId, EntryId, Money

gang = Gang("rights")


@gang
def grant_takes_nothing_from_the_giver(patch: pytest.MonkeyPatch) -> None:
    """Who passes rights on keeps them."""

    def apply(self: Any, entry: Any, index: int, record: Any) -> None:
        apply_record(self, entry, index, record)
        if record.kind is RecordKind.GRANT:
            self._change(record.grant.account, entry, rights=record.grant.amount)

    apply_record = Layer.apply_record
    patch.setattr(Layer, "apply_record", apply)


@gang
def grant_is_remembered_but_not_logged(patch: pytest.MonkeyPatch) -> None:
    """What was passed on is noted in memory only: after a crash it is the giver's once more."""

    def write(self: Any, account: Any, to: BranchId, amount: Any) -> None:
        state = self._context.state
        own = state.rights(account)[self._context.branch]
        origin = self._context.peers[to].origin
        if min(amount, own) > 0 and origin is not None and origin in holdings_in(state.row(account)):
            state._change(account, EntryId(self._context.origin, NO_SEQ), rights=-min(amount, own))
            state._change(account, EntryId(origin, NO_SEQ), rights=min(amount, own))

    patch.setattr(Gatherings, "_write_grant", write)


@gang
def more_is_granted_than_there_is(patch: pytest.MonkeyPatch) -> None:
    """Who is asked for rights gives what is wanted, whatever there is."""

    def write(self: Any, account: Any, to: BranchId, amount: Any) -> None:
        origin = self._context.peers[to].origin
        if amount > 0 and origin is not None:
            self._logs.write((Record(RecordKind.GRANT, grant=Grant(account, origin, amount)),))

    patch.setattr(ByUse, "to_grant", lambda _self, _own, _asker, wanted, _rights, _used: wanted)
    patch.setattr(Gatherings, "_write_grant", write)


@gang
def refusal_without_asking_anybody(patch: pytest.MonkeyPatch) -> None:
    """Funds are refused by what this branch happens to know."""

    def waits(self: Any, held: Any) -> bool:
        held.heard.update(accounts_of(held.request.command))
        return real(self, held)

    real = Requests._waits_for_freshness
    patch.setattr(Requests, "_waits_for_freshness", waits)


@gang
def refusal_after_asking_those_who_seem_to_have_some(patch: pytest.MonkeyPatch) -> None:
    """Who has no rights by what is known here is not asked, though money may have come in there."""

    def ask(self: Any, gathering: Any, plan: Any) -> None:
        rights = self._context.state.rights(gathering.account)
        real(self, gathering, {branch: wanted for branch, wanted in plan.items() if rights[branch] > 0})

    real = Gatherings._ask
    patch.setattr(Gatherings, "_ask", ask)


@gang
def refusal_before_the_answers_have_arrived(patch: pytest.MonkeyPatch) -> None:
    """Everybody's answer names a last entry, and nobody waits until it is here."""

    def on_answer(self: Any, gathering: Any, sender: Any, _answer: Any) -> None:
        gathering.unanswered.discard(sender)
        self._end_round_if_over(gathering)

    patch.setattr(Gatherings, "_on_answer", on_answer)


@gang
def balance_is_looked_at_and_not_the_rights(patch: pytest.MonkeyPatch) -> None:
    """A branch takes out what the account has, by what is known here."""

    def why_short_of(self: Any, posting: Any) -> Any:
        account, amount = posting
        state = self._open(account)
        if state.floor is not None and state.balance - state.floor - state.reserved + amount >= 0:
            return None
        return real(self, posting)

    real = Teller._why_short_of
    patch.setattr(Teller, "_why_short_of", why_short_of)


@gang
def what_is_set_aside_counts_as_funds(patch: pytest.MonkeyPatch) -> None:
    """Whether funds suffice is told by the balance, with what is reserved for others."""

    def why_short_of(self: Any, posting: Any) -> Any:
        state = self._open(posting.account)
        shown = self.layer._changes.rows.get(posting.account)
        holdings = holdings_in(self.layer.row(posting.account))
        self.layer._changes.rows[posting.account] = row_of(state._replace(reserved=Money(0)), holdings)
        try:
            return real(self, posting)
        finally:
            if shown is None:
                del self.layer._changes.rows[posting.account]
            else:
                self.layer._changes.rows[posting.account] = shown

    real = Teller._why_short_of
    patch.setattr(Teller, "_why_short_of", why_short_of)


@gang
def opening_rights_are_rounded_up(patch: pytest.MonkeyPatch) -> None:
    """Each branch's share of what an account began with is rounded up."""

    def rights(genesis: Any) -> dict[BranchId, Money]:
        funds, count = max(genesis.opening_balance or 0, 0), len(genesis.branches)
        return {branch: Money((funds + count - 1) // count) for branch in genesis.branches}

    patch.setattr(state_module, "genesis_rights", rights)


@gang
def credit_line_is_at_every_branch(patch: pytest.MonkeyPatch) -> None:
    """The rights to a credit line are created once at each branch, instead of once."""

    def rights(self: Any, account: Any) -> dict[BranchId, Money]:
        found, state = real(self, account), self.account(account)
        floor = 0 if state is None or state.floor is None else state.floor
        holders = {origin.branch for origin in holdings_in(self.row(account))}
        return {branch: Money(mine - floor * (branch not in holders)) for branch, mine in found.items()}

    real = Layer.rights
    patch.setattr(Layer, "rights", rights)


@gang
def rights_of_former_lives_are_lost(patch: pytest.MonkeyPatch) -> None:
    """A branch's rights are those of one of its logs; what it had before its disk was lost is nobody's."""

    def rights(self: Any, account: Any) -> dict[BranchId, Money]:
        opening = state_module.genesis_rights(self._genesis)
        found = dict(opening)
        for origin, holding in holdings_in(self.row(account)).items():
            found[origin.branch] = Money(opening[origin.branch] + holding.rights)
        return found

    patch.setattr(Layer, "rights", rights)


@gang
def new_life_begins_with_its_share_again(patch: pytest.MonkeyPatch) -> None:
    """Each log of a branch begins with the share that the branch was given at the start of the bank."""

    def rights(self: Any, account: Any) -> dict[BranchId, Money]:
        opening, found = state_module.genesis_rights(self._genesis), real(self, account)
        lives = [origin.branch for origin in holdings_in(self.row(account))]
        return {
            branch: Money(mine + opening[branch] * max(lives.count(branch) - 1, 0))
            for branch, mine in found.items()
        }

    real = Layer.rights
    patch.setattr(Layer, "rights", rights)


@gang
def reservation_uses_no_rights(patch: pytest.MonkeyPatch) -> None:
    """What is set aside can be taken out by others meanwhile."""

    def reserve(self: Any, entry: Any, reservation: Any, terms: Any) -> None:
        real(self, entry, reservation, terms)
        self._change(terms.account, entry, rights=terms.amount)

    real = Layer._reserve
    patch.setattr(Layer, "_reserve", reserve)
