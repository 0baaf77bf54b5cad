"""Saboteurs of the shortest way: movements in columns, of which a few thousand are decided in one loop."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import bulk as bulk_module
from bankbook.core import commands as commands_module
from bankbook.core import keys as keys_module
from bankbook.core import ledger as ledger_module
from bankbook.core.columns import Columns
from bankbook.core.entry import MoveRecords
from bankbook.core.ports import Holding, account_in, holdings_in, row_of
from bankbook.core.state import Layer
from bankbook.core.types import Money

gang = Gang("bulk")


def rewrite(layer: Any, account: Any, origin: Any, **parts: Any) -> None:
    """Change what a layer tells of one log and one account."""
    row = layer.row(account)
    state, holdings = account_in(row), holdings_in(row)
    assert state is not None
    layer._put(account, row_of(state, {**holdings, origin: holdings[origin]._replace(**parts)}))


@gang
def movement_that_was_refused_moves_all_the_same(patch: pytest.MonkeyPatch) -> None:
    """What movements come to is summed up with those that were refused."""
    real = Columns.flows
    patch.setattr(Columns, "flows", lambda self, **_: real(self))


@gang
def what_a_movement_takes_is_not_counted_down(patch: pytest.MonkeyPatch) -> None:
    """Each movement of a batch finds the rights that were there before the first one."""

    class Endless(list[int]):
        def __setitem__(self, _place: Any, _value: Any) -> None:
            pass

    def init(self: Any, *parts: Any) -> None:
        real(self, *parts)
        self.moved = Endless(self.moved)

    real = bulk_module._Counts.__init__
    patch.setattr(bulk_module._Counts, "__init__", init)


@gang
def movements_spend_the_rights_of_all_branches(patch: pytest.MonkeyPatch) -> None:
    """Movements in columns are held against what there is, and not against the rights of this branch."""

    def init(self: Any, columns: Any, layer: Any, writer: Any) -> None:
        real(self, columns, layer, writer)
        for number, account in enumerate(columns.accounts, start=1):
            state = layer.account(account)
            if state is not None and state.available is not None:
                self.least[number] = -max(state.available, 0)

    real = bulk_module._Counts.__init__
    patch.setattr(bulk_module._Counts, "__init__", init)


@gang
def movements_leave_the_rights_as_they_were(patch: pytest.MonkeyPatch) -> None:
    """What movements in columns take out of an account is not taken from the rights to it."""
    _leave_of_holdings(patch, "rights")


@gang
def movements_leave_no_trace_in_the_write_set(patch: pytest.MonkeyPatch) -> None:
    """An account does not remember that a batch of movements touched it."""
    _leave_of_holdings(patch, "last_seq")


def _leave_of_holdings(patch: pytest.MonkeyPatch, part: str) -> None:
    """Let movements in columns leave a part of what each log did to an account as it was."""

    def apply(self: Any, entry: Any, moves: Any) -> None:
        before = {each: holdings_in(self.row(each)) for each in moves.flows.accounts}
        real(self, entry, moves)
        for account, held in before.items():
            old = getattr(held.get(entry.origin, Holding()), part)
            rewrite(self, account, entry.origin, **{part: old})

    real = Layer.apply_moves
    patch.setattr(Layer, "apply_moves", apply)


@gang
def atomic_batch_in_columns_is_not_aborted(patch: pytest.MonkeyPatch) -> None:
    """Of movements that are all or nothing, those happen that can."""
    real = ledger_module.Teller._decide_batch
    patch.setattr(
        ledger_module.Teller,
        "_decide_batch",
        lambda self, batch: real(self, replace(batch, is_atomic=False)),
    )


@gang
def movements_are_told_again_as_if_none_was_refused(patch: pytest.MonkeyPatch) -> None:
    """When its key is sent again, a batch in columns is told that all of it happened."""

    def results_of(records: Any) -> Any:
        return real(MoveRecords(records.columns, records.balances, records.kept))

    real = commands_module.results_of
    patch.setattr(keys_module, "results_of", results_of)


@gang
def second_leg_of_a_movement_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Who receives a transfer in columns receives nothing where it also pays in the same batch."""

    def flows(self: Any, without: Any = ()) -> Any:
        summed = real(self, without)
        outs = dict(zip(self.accounts, self.uses(without).amounts, strict=True))
        nets = [Money(-outs[account]) if outs[account] else net for account, net in zip(*summed, strict=True)]
        return summed._replace(nets=nets)

    real = Columns.flows
    patch.setattr(Columns, "flows", flows)
