"""A seed's history: what its customers asked and were told, for checkers that know nothing else of the bank.

Decides what is told of the simulated bank besides, and which verdict fails a seed. Must not know how anything
is judged (bankbook.checkers). Proof: tests/simulation/test_recording.py.
"""

from collections import Counter

from bankbook.checkers import Kind, check
from bankbook.client.recorder import Recorder
from bankbook.core.ports import Genesis
from bankbook.history.record import Header, History, Item, Latest, Operation, Terms
from bankbook.history.writer import Kept, Sink
from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.promises import ViolationError


class Both:
    """A history in memory, and wherever else somebody wants it; see bankbook.history.writer.Sink."""

    def __init__(self, kept: Kept, other: Sink | None) -> None:
        self._kept = kept
        self._other = other

    def begin(self, header: Header) -> None:
        """Keep the header; the other has its own."""
        self._kept.begin(header)

    def ask(self, operation: Operation) -> None:
        """Note a request that is going to be sent. Raises OSError."""
        if self._other is not None:
            self._other.ask(operation)

    def write(self, item: Item) -> None:
        """Keep it, in both places."""
        self._kept.write(item)
        if self._other is not None:
            self._other.write(item)

    def close(self) -> None:
        """Do nothing: whoever opened the other closes it."""


def recorder_of(loop: VirtualLoop, genesis: Genesis, kept: Kept, other: Recorder | None) -> Recorder:
    """Return what writes down all that customers of a simulated bank ask and are told."""
    others = None if genesis.opening_balance is None else Terms(genesis.opening_balance)
    header = Header(genesis.cluster, max(genesis.branches), others, latest=Latest.RECENT)
    sink = Both(kept, None if other is None else other.sink)
    return Recorder(sink, header, lambda: 1000 * loop.now_us)


def judge_history(history: History) -> Counter[str]:
    """Judge a history by every checker; return how often each found it right. Raises ViolationError."""
    report = check(history)
    for verdict in report.verdicts:
        if verdict.kind is Kind.FAIL:
            raise ViolationError(verdict.name, verdict.in_words())
    return Counter({f"history: {verdict.name}": verdict.rests_on for verdict in report.verdicts})
