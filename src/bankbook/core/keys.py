"""Idempotency keys: what became of a request, whichever branch is asked.

Decides what a key's entry tells again, and what a branch answers another one that asks about a key. Must
not know who waits for the answer. Proof: tests/core/test_keys.py.

A key belongs to one branch at a time: at first to the branch of its birth. Only the branch it belongs to
may let its request take effect. Another branch that gets the request asks that branch, which either names
the entry that decided it, or writes a fence: from then on the key belongs to the asker. Either way the
answer is an entry, and once the asker has applied it, it knows of the key what the other one knew. So the
request takes effect once, whatever is lost, doubled or sent to whom; and where the key's branch cannot be
reached, nobody guesses.
"""

from bankbook.core.commands import Batch, Command, Result, results_of
from bankbook.core.context import Context
from bankbook.core.decision import Decision
from bankbook.core.entry import Entry, Keyed, MoveRecords, Record, RecordKind, Verdict
from bankbook.core.logs import Logs
from bankbook.core.messages import Answer, AskKey
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId, birth_branch, reservation_id


def replay(entry: Entry, command: Command) -> Decision:
    """Return what the caller of `entry` was told."""
    if not isinstance(command, Batch):
        outcome, balance, available, detail = entry.records[0].verdict or Verdict(Outcome.OK)
        return Decision(outcome, detail, balance, available)
    if len(entry.records) != len(command.commands):
        # Of no branch that is right; what it stands for cannot be this request.
        found = (
            f"{entry.id} has {len(entry.records)} results, and this batch {len(command.commands)} commands"
        )
        return Decision(Outcome.KEY_REUSED, f"the key was used for another request: {found}")
    if isinstance(entry.records, MoveRecords):
        return Decision(Outcome.OK, results=results_of(entry.records))
    verdicts = [record.verdict or Verdict(Outcome.OK) for record in entry.records]
    results = tuple(
        Result(
            verdict.outcome,
            verdict.detail,
            verdict.balance,
            verdict.available,
            reservation_id(entry.id, index) if record.kind is RecordKind.RESERVATION else None,
        )
        for index, (record, verdict) in enumerate(zip(entry.records, verdicts, strict=True))
    )
    failed = [
        (number, result)
        for number, result in enumerate(results, start=1)
        if result.outcome not in (Outcome.OK, Outcome.BATCH_ABORTED)
    ]
    if not command.is_atomic or not failed:
        return Decision(Outcome.OK, results=results)
    # As it was decided: want of rights is the last of reasons, since it alone would not have been written.
    number, first = min(failed, key=lambda each: each[1].outcome is Outcome.RIGHTS_UNREACHABLE)
    return Decision(first.outcome, f"command {number} of the batch: {first.detail}", results=results)


def answer_key(context: Context, logs: Logs, sender: BranchId, ask: AskKey) -> None:
    """Tell another branch what became of a key; if nothing, give the key to that branch."""
    known = context.state.key(ask.key)
    owner = birth_branch(ask.key, context.branches)
    if known is not None:
        owner = known.moved_to or context.branch
    if known is not None and (known.moved_to is None or owner != context.branch):
        context.send(sender, Answer(ask.question, known.entry))
    elif owner == context.branch:
        fence = logs.write((Record(RecordKind.FENCE, fence=sender),), keyed=Keyed(ask.key, ""))
        context.send(sender, Answer(ask.question, fence.id))
    else:
        detail = f"branch {context.branch} was never asked to keep the key {ask.key}"
        context.send(sender, Answer(ask.question, None, Outcome.OUTCOME_UNKNOWN, detail, owner))
