"""Saboteurs of statements: a line is missing, stands twice, or stands where it does not belong."""

from bisect import bisect_left, bisect_right
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import statement as statement_module
from bankbook.core.commands import ReadStatement
from bankbook.core.ports import Position, StatedPosting
from bankbook.store.memory import MemoryStore, _clock, _position

gang = Gang("statements")


def _begin_pages(patch: pytest.MonkeyPatch, begin: Any) -> None:
    def postings(self: Any, account: Any, after: Any, until: Any, limit: int) -> Any:
        stated = self._postings.get(account, [])
        start, end = begin(stated, after), bisect_left(stated, until, key=_clock)
        return stated[start : min(end, start + limit)]

    patch.setattr(MemoryStore, "postings", postings)


@gang
def page_begins_a_line_too_late(patch: pytest.MonkeyPatch) -> None:
    """Between two pages of a statement a line is missing."""
    _begin_pages(patch, lambda stated, after: bisect_right(stated, after, key=_position) + (after.seq > 0))


@gang
def page_begins_with_the_last_line_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    """Where a page ends and the next one begins, a line stands twice."""
    _begin_pages(patch, lambda stated, after: bisect_left(stated, after, key=_position))


@gang
def lines_stand_in_the_order_of_their_arrival(patch: pytest.MonkeyPatch) -> None:
    """Each branch lists what it applied in the order in which it applied it."""

    def keep(self: Any, entry: Any) -> None:
        self._logs.setdefault(entry.origin, []).append(entry)
        for leg, (account, amount) in enumerate(entry.postings):
            position = Position(entry.clock, entry.origin, entry.seq, leg)
            self._postings.setdefault(account, []).append(StatedPosting(position, amount))

    patch.setattr(MemoryStore, "_keep_entry", keep)


@gang
def entry_has_one_line(patch: pytest.MonkeyPatch) -> None:
    """Of a batch that moves an account twice, one line is kept."""

    def keep(self: Any, entry: Any) -> None:
        real(self, entry)
        for account in {account for account, _ in entry.postings}:
            own = [each for each in self._postings[account] if each.position.entry == entry.id]
            for extra in own[1:]:
                self._postings[account].remove(extra)

    real = MemoryStore._keep_entry
    patch.setattr(MemoryStore, "_keep_entry", keep)


@gang
def second_page_begins_with_the_balance_of_the_first(patch: pytest.MonkeyPatch) -> None:
    """The balances on a second page forget what stood on the page before."""

    def read(command: ReadStatement, present: Any, reader: Any, state: Any) -> Any:
        page = real(command, present, reader, state)
        if command.after is None:
            return page
        genesis: Any = state._genesis.opening_balance or 0
        missing = page.opening - genesis
        lines = tuple(line._replace(balance=line.balance - missing) for line in page.lines)
        return page._replace(opening=genesis, lines=lines, closing=page.closing - missing)

    real = statement_module._read
    patch.setattr(statement_module, "_read", read)
