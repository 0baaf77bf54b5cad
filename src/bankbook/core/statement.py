"""Statements: what moved on an account, and its balance at any time.

Decides the lines and their order, which is the same at every branch that has the same entries: the order of
the hybrid clocks, and so one in which nothing comes before what it depends on; and where a statement begins
whose first lines are not kept any longer. Must not know sessions or holds.
Proof: tests/core/test_statement.py.
"""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

from bankbook.core.clock import HybridTime
from bankbook.core.commands import OTHERS_MAX, Line, ReadBalance, ReadStatement, Statement
from bankbook.core.decision import Decision
from bankbook.core.entry import Record
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position, Reader, StatedPosting
from bankbook.core.state import State
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq


def decide_past(command: ReadBalance | ReadStatement, reader: Reader, state: State) -> Decision:
    """Answer from the store, which has to have everything that `state` has."""
    account = state.account(command.account)
    if account is None:
        return Decision(Outcome.UNKNOWN_ACCOUNT, f"there is no account {command.account} at this branch")
    kept_from_ms = _first_ms(reader.stated_from())
    until_ms = command.to_ms if isinstance(command, ReadStatement) else command.at_ms
    if until_ms is not None and until_ms < kept_from_ms:
        return Decision(Outcome.HISTORY_DROPPED, _why_dropped(kept_from_ms))
    if isinstance(command, ReadBalance):
        assert command.at_ms is not None, "the present balance is decided elsewhere"
        balance = account.balance - reader.moved_from(command.account, _moment(command.at_ms))
        return Decision(Outcome.OK, balance=Money(balance), currency=account.currency)
    statement = _read(command, account.balance, reader, state)
    return Decision(
        Outcome.OK,
        balance=account.balance,
        available=account.available,
        currency=account.currency,
        statement=statement,
    )


def _read(command: ReadStatement, present: Money, reader: Reader, state: State) -> Statement:
    start = _moment(command.from_ms) if command.after is None else command.after
    begins_ms = None
    if start.clock < reader.stated_from():
        begins_ms = _first_ms(reader.stated_from())
        start, command = _moment(begins_ms), replace(command, after=None)
    until = _moment(command.to_ms).clock
    found = reader.postings(command.account, start, until, command.lines_max + 1)
    page = found[: command.lines_max]
    since = reader.moved_from(command.account, start)
    if command.after is not None:
        # What stands at the position itself was on the page before.
        at = reader.postings(command.account, start._replace(leg=start.leg - 1), until, 1)
        since = Money(since - sum(each.amount for each in at if each.position == start))
    opening = balance = Money(present - since)
    lines = []
    # Each entry is read once: a batch may have thousands of postings to the same account, all in a row.
    for entry_id, group in groupby(page, key=lambda stated: stated.position.entry):
        entry = state.entry(entry_id)
        records = [record for record in entry.records for _ in record.postings]
        for stated in group:
            balance = Money(balance + stated.amount)
            record = records[stated.position.leg]
            lines.append(_line(command.account, stated, balance, entry.customer, record))
    return Statement(opening, tuple(lines), balance, len(found) > len(page), begins_ms)


def _line(
    account: AccountId, stated: StatedPosting, balance: Money, customer: CustomerId | None, record: Record
) -> Line:
    others = tuple(p.account for p in record.postings if p.account != account)[:OTHERS_MAX]
    return Line(stated.position, record.kind, stated.amount, balance, customer, record.memo, others)


def _first_ms(stated_from: HybridTime) -> int:
    """Return the first millisecond of which, and of all that follow, every entry is there."""
    return -(-stated_from >> 16)


def _why_dropped(kept_from_ms: int) -> str:
    since = datetime.fromtimestamp(kept_from_ms // 1000 + 1, UTC)
    return f"this branch keeps entries from {since:%Y-%m-%d %H:%M:%S} UTC on; ask for a later time"


def _moment(moment_ms: int) -> Position:
    """Return the position before everything that was decided at that moment or later."""
    return Position(HybridTime(moment_ms << 16), Origin(BranchId(0), Incarnation(0)), Seq(0), -1)
