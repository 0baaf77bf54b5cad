"""Who is refused at sight, and why a hold was given up: the refusals that ask no account.

Decides these outcomes and their words. Must not know accounts, nor how waiting is done.
Proof: tests/core/test_sessions.py, tests/core/test_replica.py.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bankbook.core.bounds import (
    complaint_about,
    complaint_about_customer,
    complaint_about_freshness,
    complaint_about_key,
)
from bankbook.core.commands import Request
from bankbook.core.context import Context
from bankbook.core.decision import Decision
from bankbook.core.holds import Held, Holds
from bankbook.core.logs import Logs, Waiter
from bankbook.core.messages import Head
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
    is_retired: bool


def refusal_at_sight(request: Request, desk: Desk) -> Decision | None:
    """Return why a request is refused before anything is looked up; None where it is not."""
    complaint = (
        complaint_about(request.command)
        or complaint_about_customer(request.customer)
        or complaint_about_key(request.key)
        or complaint_about_freshness(request.freshness)
        or _complaint_about_durability(request.durable, len(desk.branches) - 1)
    )
    if complaint is not None:
        return Decision(Outcome.INVALID_REQUEST, complaint)
    for vector in (request.token.read, request.token.write):
        refusal = _impossible(vector, desk)
        if refusal is not None:
            return refusal
    if desk.is_retired:
        return retired(desk.origin.branch)
    return stopping(desk.origin.branch) if desk.is_draining else None


def stopping(branch: BranchId) -> Decision:
    """Return the refusal of a branch that is stopping."""
    return Decision(Outcome.SHUTTING_DOWN, f"branch {branch} is stopping")


def retired(branch: BranchId) -> Decision:
    """Return the refusal of a branch whose store was replaced, or was set back."""
    return Decision(
        Outcome.SHUTTING_DOWN,
        f"branch {branch} runs with an old store, and the others know a newer one: start it with that, or "
        "with an empty folder",
    )


def never_decided(origin: Origin, needs: Seq, head: Seq) -> Decision:
    """Return the refusal of a token that names more than its origin has ever decided."""
    return Decision(
        Outcome.INVALID_TOKEN,
        f"the session token names entry {needs} of branch {origin.branch}, which has decided {head} "
        "in this life of its store",
    )


def writes_lost(vector: VersionVector, context: Context) -> Decision | None:
    """Return the refusal of whoever has seen what a lost store took with it; None where nothing is lost."""
    for origin, seq in vector:
        end = context.state.ended(origin)
        if end is None and origin.branch == context.branch and origin != context.origin:
            # This branch has joined, so it knows all there is of its earlier lives.
            end = context.applied[origin]
        if end is not None and seq > end:
            return Decision(
                Outcome.WRITES_LOST,
                f"the session token names entry {seq} of a store of branch {origin.branch} that was lost; "
                f"{end} of its entries were saved",
                branch=origin.branch,
            )
    return None


def nothing_saved(origin: Origin) -> Decision:
    """Return the refusal of whoever has seen what a store of which nothing is left had decided."""
    detail = f"the session token names a store of branch {origin.branch} that was lost with all its entries"
    return Decision(Outcome.WRITES_LOST, detail, branch=origin.branch)


def why_overdue(held: Held, context: Context) -> Decision:
    """Return why a request whose deadline has come could not be carried out, naming what was missing."""
    if not context.has_joined:
        detail = f"branch {context.branch} has a new store and does not yet know what the others know"
        return Decision(Outcome.CATCHING_UP, detail)
    if held.decided is not None:
        known = context.peers.having(*held.decided.entry)
        return Decision(
            Outcome.DURABILITY_TIMEOUT,
            f"{held.decided.entry} is on the disks of {known} other branches by now, and was to be on "
            f"{held.request.durable}",
        )
    if held.owner is not None:
        return Decision(
            Outcome.OUTCOME_UNKNOWN,
            f"branch {held.owner} may have carried this out, and gave no answer in time; "
            "ask again with the same key",
            branch=held.owner,
        )
    if held.unanswered:
        names = ", ".join(str(branch) for branch in sorted(held.unanswered))
        return Decision(
            Outcome.BRANCH_UNREACHABLE,
            f"{held.request.freshness.level.value} needs an answer of every branch, "
            f"and there was none of branch {names}",
            branch=min(held.unanswered),
        )
    gaps = list(context.applied.behind(held.needs))
    if not gaps:
        # It lacks nothing but a moment, such as a statement in a step that also writes: its time was over
        # when it came.
        detail = f"branch {context.branch} was not done with this request before its time was over"
        return Decision(Outcome.HOLD_TIMEOUT, detail)
    missing = "; ".join(
        f"of branch {gap.origin.branch} it has {gap.has} and needs {gap.needs}"
        for gap in gaps[:_GAPS_IN_WORDS_MAX]
    )
    if len(gaps) > _GAPS_IN_WORDS_MAX:
        missing += f"; and of {len(gaps) - _GAPS_IN_WORDS_MAX} more logs"
    return Decision(
        Outcome.HOLD_TIMEOUT,
        f"branch {context.branch} still misses entries that this request depends on: {missing}",
        branch=gaps[0].origin.branch,
    )


def _complaint_about_durability(durable: int, others: int) -> str | None:
    if 0 <= durable <= others:
        return None
    return f"a write can be on the disks of 0 to {others} other branches before its answer; not {durable}"


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


def hopeless(head: Head, context: Context, logs: Logs, holds: Holds) -> Iterator[tuple[Held, Decision]]:
    """Yield the held requests whose token names more than there ever was, or is any more, and why.

    Only the token's own components count, and only tokens that were here before the question was asked: a
    token may well name what its origin decided after it answered. The questions' numbers tell which came
    first; a clock does not, where both came in the same microsecond.

    The present life of a branch knew all there is of its earlier ones before it answered anybody, and said
    where they end in its first entry, if there was anything to say. So once that entry is here, what is not
    known of an earlier life is lost.
    """
    knows_earlier_lives = context.applied[head.origin] >= head.head
    for origin in logs.watchers.origins():
        if origin.branch != head.origin.branch:
            continue
        if origin == head.origin and not _is_any_beyond(head, logs, holds):
            continue  # as ever: those whose entries are merely on their way are not looked at every second
        for held in _held_for(origin, logs, holds):
            if held.first_question > head.question:
                continue
            named = _named(held, origin)
            if origin == head.origin and named > head.head:
                yield held, never_decided(origin, named, head.head)
            elif origin != head.origin and knows_earlier_lives and not context.applied[origin]:
                yield held, nothing_saved(origin)


def _is_any_beyond(head: Head, logs: Logs, holds: Holds) -> bool:
    """Whether any held request's token names more than there is of this log.

    A log only grows, so who names no more than that never will.
    """

    def is_beyond(waiter: Waiter) -> bool:
        held = holds.get(waiter) if isinstance(waiter, int) else None
        return held is not None and _named(held, head.origin) > head.head

    return logs.watchers.any_fresh(head.origin, is_beyond)


def _named(held: Held, origin: Origin) -> Seq:
    token = held.request.token
    return max(token.read[origin], token.write[origin])


def _held_for(origin: Origin, logs: Logs, holds: Holds) -> Iterator[Held]:
    for waiter in logs.watchers.still_watching(origin):
        held = holds.get(waiter) if isinstance(waiter, int) else None
        if held is not None:
            yield held
