"""What came of a simulation, as it is handed out.

Decides nothing. Proof: tests/simulation/test_run.py.
"""

from collections import Counter
from dataclasses import dataclass

from bankbook.core.types import CustomerId
from bankbook.scenario.execute import Agreement, CustomerRun
from bankbook.simulation.promises import Violation


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What came of one seed."""

    seed: int
    violation: Violation | None
    """What was broken, and by what; None where nothing was."""
    trace_digest: str
    """Stands for everything that happened, in order."""
    counts: Counter[str]
    """How often each kind of event happened: calls, messages, commits, faults."""
    judged: Counter[str]
    """How often each promise was put to the test."""
    outcomes: Counter[str]
    """How the customers' operations ended."""
    virtual_s: float
    """How much time was simulated."""
    propagations: int
    """Entries that reached another branch's disk."""
    trace: tuple[str, ...] = ()
    """Where wanted: one line for each event."""

    @property
    def faults(self) -> Counter[str]:
        """How often each kind of fault struck."""
        prefix = "fault "
        return Counter({k.removeprefix(prefix): n for k, n in self.counts.items() if k.startswith(prefix)})


@dataclass(frozen=True, slots=True)
class Performance:
    """What came of one scenario."""

    report: SimulationReport
    runs: tuple[CustomerRun, ...]
    """What customers did, and what they were told, up to the end or to the violation."""
    begun: dict[CustomerId, int]
    """How many of their events customers had begun by then."""
    agreement: Agreement
    elapsed_s: float
    """From the customers' first request to their last answer, in virtual time."""
    is_cut_off: bool
    """Whether a violation was found while customers were at work, and not only afterwards."""
    ended_s: float
    """How long after the first request it came to its end, or to the violation."""
