"""From a statement to the writes it shows.

Decides which write a line is of. Must not know whether the statement is right (statements.py).
Proof: tests/checkers/test_unknown.py, test_anomalies.py.

A line is of the write of which an answer named the same entry; else of the only one with the same memo; else
of the only one with the same amount. A line that fits several leaves open which of them is shown.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bankbook.checkers.decoding import Shown
from bankbook.checkers.effects import NEVER, Write, moved_by
from bankbook.core.commands import Batch, SingleWrite
from bankbook.history.record import Stated, StatedLine


class Names:
    """By what the lines of one account's statements can be told apart."""

    def __init__(self, account: str, writes: Sequence[Write], amounts: Sequence[int]) -> None:
        self._entries: dict[str, int] = {}
        self._named: set[int] = set()
        """Those that have no other name: what went with a disk may have happened once more, unheard."""
        self._memos: dict[str, set[int]] = defaultdict(set)
        self._amounts: dict[int, list[int]] = defaultdict(list)
        for bit, (write, amount) in enumerate(zip(writes, amounts, strict=True)):
            self._entries.update(dict.fromkeys(write.entries, bit))
            if write.entries and write.until_us == NEVER:
                self._named.add(bit)
            for moved, memo in _lines_of(write, account, amount):
                if memo:
                    self._memos[memo].add(bit)
                if bit not in self._amounts[moved]:
                    self._amounts[moved].append(bit)

    def find(self, line: StatedLine) -> tuple[int, ...]:
        """Return the writes that a line can be of."""
        if line.entry is not None and line.entry in self._entries:
            return (self._entries[line.entry],)
        found: Sequence[int] = self._amounts.get(line.amount, ())
        if line.entry is not None:
            found = [bit for bit in found if bit not in self._named]
        if line.memo in self._memos:
            found = [bit for bit in found if bit in self._memos[line.memo]]
        return tuple(found)


def _lines_of(write: Write, account: str, amount: int) -> Iterator[tuple[int, str]]:
    """Yield what stands on the lines of one write: of a batch or a submission there may be several."""
    command = write.operation.command
    yield amount, getattr(command, "memo", "")
    for each in command.commands if isinstance(command, Batch) else (command,):
        if isinstance(each, SingleWrite):
            yield from ((moved, each.memo) for name, moved in moved_by(each) if name == account)


def read_lines(names: Names, stated: Stated, everything: int) -> Shown:
    """Say which writes a statement shows, of those in `everything`."""
    must = may = 0
    for found, lines in Counter(map(names.find, stated.lines)).items():
        mask = sum(1 << bit for bit in found)
        may |= mask
        if lines >= len(found):
            must |= mask
    return Shown(must, (may & everything) if stated.is_complete else everything)
