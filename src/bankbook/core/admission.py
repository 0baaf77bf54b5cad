"""Who is refused at sight, and why a hold was given up: the refusals that ask no account.

Decides these outcomes and their words. Must not know accounts, nor how waiting is done.
Proof: tests/core/test_sessions.py, tests/core/test_replica.py.
"""

from typing import NamedTuple

from bankbook.core.commands import Request, complaint_about, complaint_about_customer
from bankbook.core.holds import Held
from bankbook.core.ledger import Decision
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId, Origin, Seq
from bankbook.core.vector import VersionVector

# As many as a person reads to the end.
_GAPS_IN_WORDS_MAX = 10


class Desk(NamedTuple):
    """Where a request came in, and what is known there at this moment."""

    origin: Origin
    branches: tuple[BranchId, ...]
    applied: VersionVector
    is_draining: bool


def refusal_at_sight(request: Request, desk: Desk) -> Decision | None:
    """Return why a request is refused before anything is looked up; None where it is not."""
    complaint = complaint_about(request.command) or complaint_about_customer(request.customer)
    if complaint is not None:
        return Decision(Outcome.INVALID_REQUEST, complaint)
    for vector in (request.token.read, request.token.write):
        refusal = _impossible(vector, desk)
        if refusal is not None:
            return refusal
    return stopping(desk.origin.branch) if desk.is_draining else None


def stopping(branch: BranchId) -> Decision:
    """Return the refusal of a branch that is stopping."""
    return Decision(Outcome.SHUTTING_DOWN, f"branch {branch} is stopping")


def never_decided(origin: Origin, needs: Seq, head: Seq) -> Decision:
    """Return the refusal of a token that names more than its origin has ever decided."""
    return Decision(
        Outcome.INVALID_TOKEN,
        f"the session token names entry {needs} of branch {origin.branch}, which has decided {head} "
        "in this life of its store",
    )


def why_overdue(held: Held, desk: Desk) -> Decision:
    """Return why a request whose deadline has come could not be carried out, naming what was missing."""
    if held.unanswered:
        names = ", ".join(str(branch) for branch in sorted(held.unanswered))
        return Decision(
            Outcome.BRANCH_UNREACHABLE,
            f"{held.request.freshness.level.value} needs an answer of every branch, "
            f"and there was none of branch {names}",
            branch=min(held.unanswered),
        )
    gaps = list(desk.applied.behind(held.needs))
    missing = "; ".join(
        f"of branch {gap.origin.branch} it has {gap.has} and needs {gap.needs}"
        for gap in gaps[:_GAPS_IN_WORDS_MAX]
    )
    if len(gaps) > _GAPS_IN_WORDS_MAX:
        missing += f"; and of {len(gaps) - _GAPS_IN_WORDS_MAX} more logs"
    return Decision(
        Outcome.HOLD_TIMEOUT,
        f"branch {desk.origin.branch} still misses entries that this request depends on: {missing}",
        branch=gaps[0].origin.branch,
    )


def _impossible(vector: VersionVector, desk: Desk) -> Decision | None:
    head = desk.applied[desk.origin]
    if vector[desk.origin] > head:
        return never_decided(desk.origin, vector[desk.origin], head)
    for origin, _ in vector:
        if origin.branch not in desk.branches:
            return Decision(
                Outcome.INVALID_TOKEN,
                f"the session token names branch {origin.branch}, which this bank does not have",
            )
    return None
