"""What a statement must say, by books that know nothing but entries.

Decides lines, order, opening and closing. Must not know how the core finds them. The order is that of the
hybrid clocks, then of origins, sequence numbers and legs: the same at every branch.
Proof: tests/simulation/test_statements.py.
"""

from bisect import insort
from collections import defaultdict
from dataclasses import replace
from typing import NamedTuple

from bankbook.core.commands import ReadStatement
from bankbook.core.entry import Entry
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, EntryId
from bankbook.core.vector import VersionVector
from bankbook.wire.replies import StatementPage

# The hybrid clock counts milliseconds in all but these bits.
_LOGICAL_BITS = 16


class Page(NamedTuple):
    """What one page says."""

    opening: int
    lines: tuple[tuple[EntryId, int, int, int], ...]
    """Of each: entry, leg, amount, and the balance after it."""
    closing: int
    has_more: bool


class Sheets:
    """Everything that ever moved on each account, in the order of statements."""

    def __init__(self, opening_balance: int) -> None:
        self._opening_balance = opening_balance
        self._moved: dict[AccountId, list[tuple[Position, int]]] = defaultdict(list)

    def add(self, entry: Entry) -> None:
        """Add what an entry moves."""
        for leg, (account, amount) in enumerate(entry.postings):
            insort(self._moved[account], (Position(entry.clock, entry.origin, entry.seq, leg), amount))

    def page(self, command: ReadStatement, applied: VersionVector, begins_ms: int | None = None) -> Page:
        """Return the page that a branch has to tell which has applied this.

        `begins_ms`: where it says that it keeps nothing from before then.
        """
        if begins_ms is not None:
            command = replace(command, from_ms=begins_ms, after=None)
        moved = [each for each in self._moved[command.account] if applied[each[0].origin] >= each[0].seq]
        before = [each for each in moved if _is_before(command, each[0])]
        within = [each for each in moved[len(before) :] if each[0].clock < command.to_ms << _LOGICAL_BITS]
        opening = balance = self._opening_balance + sum(amount for _, amount in before)
        lines = []
        for position, amount in within[: command.lines_max]:
            balance += amount
            lines.append((position.entry, position.leg, amount, balance))
        return Page(opening, tuple(lines), balance, len(within) > len(lines))


def _is_before(command: ReadStatement, position: Position) -> bool:
    if command.after is not None:
        return position <= command.after
    return position.clock < command.from_ms << _LOGICAL_BITS


def page_told(page: StatementPage) -> Page:
    """Return what was told, to be compared."""
    lines = tuple((line.entry, line.leg, int(line.amount), int(line.balance)) for line in page.lines)
    return Page(page.opening, lines, page.closing, page.next_page is not None)
