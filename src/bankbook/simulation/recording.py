"""A seed's history: what its customers asked and were told, for checkers that know nothing else of the bank.

Decides what is told of the simulated bank besides, and which verdict fails a seed. Must not know how anything
is judged (bankbook.checkers). Proof: tests/simulation/test_recording.py.
"""

from collections import Counter

from bankbook.checkers import Kind, check
from bankbook.client.recorder import Recorder
from bankbook.core.ports import Genesis
from bankbook.history.record import Header, History, Latest, Terms
from bankbook.history.writer import Kept
from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.promises import ViolationError


def recorder_of(loop: VirtualLoop, genesis: Genesis, kept: Kept) -> Recorder:
    """Return what writes down all that customers of a simulated bank ask and are told."""
    others = None if genesis.opening_balance is None else Terms(genesis.opening_balance)
    header = Header(genesis.cluster, len(genesis.branches), others, latest=Latest.RECENT)
    return Recorder(kept, header, lambda: 1000 * loop.now_us)


def judge_history(history: History) -> Counter[str]:
    """Judge a history by every checker; return how often each found it right. Raises ViolationError."""
    report = check(history)
    for verdict in report.verdicts:
        if verdict.kind is Kind.FAIL:
            raise ViolationError(verdict.name, verdict.in_words())
    return Counter({f"history: {verdict.name}": verdict.rests_on for verdict in report.verdicts})
