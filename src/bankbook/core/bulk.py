"""The decision on thousands of plain movements at once.

Decides the same as the teller does for one command after the other (bankbook.core.ledger), with a few
additions for each: what every account can give and take is counted down for as long as it suffices, and only
where it does not is the teller asked. Must not know why the teller refuses. Proof: tests/core/test_bulk.py,
which holds it against the teller.
"""

from collections.abc import Callable, Sequence
from typing import cast

from bankbook.core.columns import Columns
from bankbook.core.commands import Command, Moves, results_of
from bankbook.core.decision import Decision, sum_of_shorts, verdict_of
from bankbook.core.entry import MOVE_DETAIL_CHARACTERS_MAX, MoveRecords, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.ports import ONE_LOG, Row
from bankbook.core.state import NO_SEQ, Layer
from bankbook.core.types import MONEY_MAX, EntryId, Money, Origin

# By how much the world outside can change: more than any batch moves.
_ENDLESS = 2**80

Alone = Callable[[Layer, Command], Decision]
"""Decides one command by itself, on a layer that has what came before it."""


def decide_moves(moves: Moves, layer: Layer, writer: Origin, alone: Alone) -> Decision | None:
    """Decide movements in their order; None where it takes more: their accounts have several currencies."""
    columns = moves.columns
    counts = _Counts(columns, layer, writer)
    if len(counts.currencies) > 1:
        return None
    begun, moved, least, most = counts.begun, counts.moved, counts.least, counts.most
    balances: list[int] = []
    refused: dict[int, Decision] = {}
    for source, destination, amount in columns.moved():
        out, into = moved[source] - amount, moved[destination] + amount
        if out < least[source] or into > most[destination] or source == destination:
            place = len(balances)
            decision = alone(counts.layer_for(source, destination), moves[place])
            if decision.outcome is not Outcome.OK:
                refused[place] = decision
                balances.append(0)
                continue
        moved[source], moved[destination] = out, into
        balances.append(begun[source] + out if source else begun[destination] + into)
    told = cast("list[Money]", balances)
    records = MoveRecords(columns, tuple(told), tuple(counts.kept[1:]), _verdicts(refused))
    results = results_of(records, next(iter(counts.currencies), ""))
    return Decision(Outcome.OK, records=records, results=results, shorts=sum_of_shorts(refused.values()))


class _Counts:
    """What each account of some columns can give and take, at its number in them; 0 is the world outside."""

    def __init__(self, columns: Columns, layer: Layer, writer: Origin) -> None:
        self._columns, self._layer, self._writer = columns, layer, writer
        count = len(columns.accounts) + 1
        self.begun = [0] * count
        """Its balance before the first movement."""
        self.moved = [0] * count
        """By how much that has changed."""
        # With an account that is not open nothing is done without a look.
        self.least, self.most = [-_ENDLESS] + [1] * (count - 1), [_ENDLESS] + [-1] * (count - 1)
        """Down and up to where it can change without a look: by the rights of this branch, or to the lowest
        balance; to the highest one."""
        self.kept: list[Money | None] = [None] * count
        """What of the balance is not available: floor and reserved; None where there is no floor."""
        self.currencies: set[str] = set()
        self._count(layer.rows(columns.accounts))

    def _count(self, rows: Sequence[Row | None]) -> None:
        begun, least, most, kept = self.begun, self.least, self.most, self.kept
        rights_in, branch, code = self._layer.rights_in, self._writer.branch, self._writer.code
        given = rights_in((), branch)
        for number, row in enumerate(rows, start=1):
            if row is not None:
                balance, floor, currency, reserved, holdings = row
                self.currencies.add(currency)
                begun[number] = balance
                most[number] = MONEY_MAX - balance
                if floor is None:
                    least[number] = -MONEY_MAX - balance
                else:
                    # Mostly one log has touched an account, and no call is made for each of thousands.
                    is_simple = len(holdings) == ONE_LOG and holdings[0] == code
                    least[number] = -given - holdings[2] if is_simple else -rights_in(holdings, branch)
                    kept[number] = Money(floor + reserved) if reserved else floor

    def layer_for(self, *numbers: int) -> Layer:
        """Return a layer where these accounts are as they are counted by now."""
        draft = self._layer.draft()
        for number in filter(None, numbers):
            account = self._columns.accounts[number - 1]
            if draft.row(account) is not None:
                draft.move(account, EntryId(self._writer, NO_SEQ), Money(self.moved[number]))
        return draft


def _verdicts(refused: dict[int, Decision]) -> dict[int, Verdict]:
    told = {place: verdict_of(decision) for place, decision in refused.items()}
    return {
        place: verdict._replace(detail=verdict.detail[:MOVE_DETAIL_CHARACTERS_MAX])
        for place, verdict in told.items()
    }
