"""How a command ends: the outcome, what its caller is told, and what is written.

Decides nothing; every part that decides says it with this. Proof: tests/core/test_ledger.py.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bankbook.core.commands import Result, Statement, outcomes_of
from bankbook.core.entry import DETAIL_CHARACTERS_MAX, Record, RecordKind, Verdict, move_money
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import AccountId, BranchId, Money


class Short(NamedTuple):
    """Rights that this branch lacks for a command."""

    account: AccountId
    missing: Money
    is_want_of_funds: bool
    """Whether the account has too little, as far as is known here; else others have the rights."""


class Decision(NamedTuple):
    """How a command ends, and what is written for it."""

    outcome: Outcome
    detail: str = ""
    balance: Money | None = None
    available: Money | None = None
    currency: str = ""
    records: Sequence[Record] = ()
    """What is written: of a batch, one for each of its commands."""
    results: Sequence[Result] = ()
    """Of a batch, how each of its commands ends."""
    statement: Statement | None = None
    shorts: tuple[Short, ...] = ()
    """Where rights are lacking here; with them it may end otherwise."""
    branch: BranchId | None = None

    @property
    def moves_money(self) -> bool:
        """Whether anything but a refusal is written."""
        return move_money(self.records)

    @property
    def refuses_some(self) -> bool:
        """Whether any command of a batch is refused."""
        return bool(outcomes_of(self.results).keys() - {Outcome.OK})


def sum_of_shorts(decisions: Iterable[Decision]) -> tuple[Short, ...]:
    """Return what several decisions together lack, account by account."""
    sums: dict[AccountId, Short] = {}
    for account, missing, is_want in (short for decision in decisions for short in decision.shorts):
        known = sums.get(account, Short(account, Money(0), False))
        sums[account] = Short(account, Money(known.missing + missing), known.is_want_of_funds or is_want)
    return tuple(sums.values())


def refusal_of(decision: Decision) -> Record:
    """Return the record of a command that does nothing."""
    assert decision.outcome.certainty is not Certainty.DONE, "what was done is not a refusal"
    return Record(RecordKind.REFUSAL, verdict=verdict_of(decision))


def verdict_of(decision: Decision) -> Verdict:
    """Return what is kept of how a command ended."""
    detail = decision.detail[:DETAIL_CHARACTERS_MAX]
    return Verdict(decision.outcome, decision.balance, decision.available, detail)
