"""Saboteurs of what is dropped, and of the copies that new stores are given instead."""

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import statement as statement_module
from bankbook.core.ports import Drop, logs_in
from bankbook.core.retention import Retention
from bankbook.core.state import State
from bankbook.store import dropping, memory
from bankbook.store.copying import StoreCopy
from bankbook.store.memory import MemoryStore

gang = Gang("retention")


@gang
def dropped_before_all_have_it(patch: pytest.MonkeyPatch) -> None:
    """A branch drops what is old and what it has itself."""

    def drop(self: Any) -> None:
        real(self)
        context = self._context
        if context.state._changes.drop is not None:
            context.state.drop_entries(Drop(context.state._changes.drop.before, context.reader.applied()))

    real = Retention._drop_entries
    patch.setattr(Retention, "_drop_entries", drop)


@gang
def dropped_as_soon_as_all_have_it(patch: pytest.MonkeyPatch) -> None:
    """How old an entry is, and whether its key is remembered, is not looked at."""

    def droppable(self: Any, drop: Any, summed: Any, weight: int) -> Any:
        return real(self, drop._replace(before=1 << 62), summed, weight)

    real = dropping.Oldest.droppable
    patch.setattr(dropping.Oldest, "droppable", droppable)


@gang
def copy_is_of_several_moments(patch: pytest.MonkeyPatch) -> None:
    """The rows of a copy are read when they are sent, and told to be of the moment at which it began."""

    def copy(self: Any) -> Any:
        live = memory._FrozenRows(self._rows, self._reservations)
        return StoreCopy(self, live, lambda: False, lambda: None, self.copied_rows_max)

    patch.setattr(MemoryStore, "copy", copy)


def _change_copies(patch: pytest.MonkeyPatch, change: Any) -> None:
    def take(self: Any, portion: Any, *, is_first: bool) -> None:
        real(self, change(portion), is_first=is_first)

    real = MemoryStore._take
    patch.setattr(MemoryStore, "_take", take)


@gang
def copy_has_no_rights(patch: pytest.MonkeyPatch) -> None:
    """A copy has balances, and of rights only which entries were the last to touch an account."""

    def without(portion: Any) -> Any:
        rows = {
            name: (*state, tuple(chain.from_iterable((code, seq, 0) for code, seq, _ in logs_in(holdings))))
            for name, (*state, holdings) in portion.rows.items()
        }
        return replace(portion, rows=rows)

    _change_copies(patch, without)


@gang
def copy_has_no_reservations(patch: pytest.MonkeyPatch) -> None:
    """What is set aside stays so in a copy, and nobody knows for what."""
    _change_copies(patch, lambda portion: replace(portion, reservations={}))


@gang
def copy_does_not_say_where_logs_end(patch: pytest.MonkeyPatch) -> None:
    """Where a lost store's log ends is known only to whoever read the first entry of the next one."""

    def without(portion: Any) -> Any:
        return portion if portion.end is None else replace(portion, end=portion.end._replace(ended={}))

    _change_copies(patch, without)


@gang
def copy_has_no_keys(patch: pytest.MonkeyPatch) -> None:
    """The entries of a copy are kept, and what became of which key is not noted."""

    def take(self: Any, portion: Any, *, is_first: bool) -> None:
        real(self, portion, is_first=is_first)
        self._changes.keys.clear()

    real = State.take_portion
    patch.setattr(State, "take_portion", take)


@gang
def statement_hides_that_lines_were_dropped(patch: pytest.MonkeyPatch) -> None:
    """A statement whose first lines are kept no longer looks like one that begins with the account."""

    def read(*arguments: Any) -> Any:
        return real(*arguments)._replace(begins_ms=None)

    real = statement_module._read
    patch.setattr(statement_module, "_read", read)
