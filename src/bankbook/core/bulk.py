"""The decision on thousands of plain movements at once.

Decides the same as the teller does for one command after the other (bankbook.core.ledger), with a few
additions for each: what every account can give and take is counted down for as long as it suffices, and only
where it does not is the teller asked. Must not know why the teller refuses. Proof: tests/core/test_bulk.py,
which holds it against the teller.
"""

from collections.abc import Callable

from bankbook.core.columns import Columns
from bankbook.core.commands import Command, Moves, results_of
from bankbook.core.decision import Decision, sum_of_shorts, verdict_of
from bankbook.core.entry import MOVE_DETAIL_CHARACTERS_MAX, MoveRecords, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.state import Layer
from bankbook.core.types import MONEY_MAX, Money, Origin

# What those have who pay in, and can take who are paid out to: more than any batch moves.
_ENDLESS = 2**80

# Nothing is simply done with an account that is not open.
_NOTHING = -1

Alone = Callable[[Layer, Command], Decision]
"""Decides one command by itself, on a layer that has what came before it."""


def decide_moves(moves: Moves, layer: Layer, writer: Origin, alone: Alone) -> Decision | None:
    """Decide movements in their order; None where it takes more: their accounts have several currencies."""
    columns = moves.columns
    counts = _Counts(columns, layer, writer)
    if len(counts.currencies) > 1:
        return None
    spare, room = counts.spare, counts.room
    balances: list[Money] = []
    refused: dict[int, Decision] = {}
    for place, (source, destination, amount) in enumerate(
        zip(columns.sources, columns.destinations, columns.amounts, strict=True)
    ):
        if amount > spare[source] or amount > room[destination] or source == destination:
            decision = alone(counts.layer_for(source, destination), moves[place])
            if decision.outcome is not Outcome.OK:
                refused[place] = decision
                balances.append(Money(0))
                continue
        spare[source] -= amount
        room[source] += amount
        spare[destination] += amount
        room[destination] -= amount
        balances.append(Money(MONEY_MAX - room[source or destination]))
    records = MoveRecords(columns, tuple(balances), tuple(counts.kept[1:]), _verdicts(refused))
    results = results_of(records, next(iter(counts.currencies), ""))
    return Decision(Outcome.OK, records=records, results=results, shorts=sum_of_shorts(refused.values()))


class _Counts:
    """What each account of some columns can give and take, at its number in them; 0 is the world outside."""

    def __init__(self, columns: Columns, layer: Layer, writer: Origin) -> None:
        self._columns, self._layer, self._writer = columns, layer, writer
        self.spare = [_ENDLESS]
        """What can be taken out without a look: the rights of this branch, or down to the lowest balance."""
        self.room = [_ENDLESS]
        """What can be added: up to the highest balance."""
        self.kept: list[Money | None] = [None]
        """What of the balance is not available: floor and reserved; None where there is no floor."""
        self.currencies: set[str] = set()
        for state, rights in layer.at_hand(columns.accounts, writer.branch):
            if state is None:
                self._add(_NOTHING, _NOTHING, None)
                continue
            self.currencies.add(state.currency)
            room = MONEY_MAX - state.balance
            if state.floor is None:
                self._add(state.balance + MONEY_MAX, room, None)
            else:
                self._add(rights, room, Money(state.floor + state.reserved))

    def _add(self, spare: int, room: int, kept: Money | None) -> None:
        self.spare.append(spare)
        self.room.append(room)
        self.kept.append(kept)

    def layer_for(self, *numbers: int) -> Layer:
        """Return a layer where these accounts are as they are counted by now."""
        draft = self._layer.draft()
        for number in filter(None, numbers):
            account = self._columns.accounts[number - 1]
            state = draft.account(account)
            if state is not None:
                draft.move(account, self._writer, Money(MONEY_MAX - self.room[number] - state.balance))
        return draft


def _verdicts(refused: dict[int, Decision]) -> dict[int, Verdict]:
    told = {place: verdict_of(decision) for place, decision in refused.items()}
    return {
        place: verdict._replace(detail=verdict.detail[:MOVE_DETAIL_CHARACTERS_MAX])
        for place, verdict in told.items()
    }
