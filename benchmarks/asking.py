"""A Python program that asks an alternative for transfers, and whether the books are right afterwards.

Decides what is counted: what was acknowledged within the window. Must not know whom it asks.
Proof: tests/alternatives/test_asking.py.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice

from bankbook.bench.histogram import Histogram
from benchmarks.cases import BenchmarkError, Result
from benchmarks.transfers import ACCOUNTS, OK, OPENING_BALANCE, Transfer

WARMUP_S = 1.0

# Above this share of a processor, the program that asks may be what cannot go faster.
_SATURATED = 0.9

AskAll = Callable[[Sequence[Transfer]], Awaitable[Sequence[str]]]


class Window:
    """A time in which is counted, after a warm-up; all callers of a program share it."""

    def __init__(
        self, seconds: float, warmup_s: float = WARMUP_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._begin_s = clock() + warmup_s
        self._end_s = self._begin_s + seconds
        self._cpu_s: float | None = None
        self._counted = 0
        self._latency = Histogram()
        self.acknowledged = 0
        """Transfers, those of the warm-up too."""

    async def fill(self, ask: AskAll, transfers: Iterator[Transfer], bulk: int) -> None:
        """Ask for so many transfers at a time until the window is over. Raises BenchmarkError."""
        while (sent_s := self._clock()) < self._end_s:
            if sent_s >= self._begin_s and self._cpu_s is None:
                self._cpu_s = time.process_time()
            self._note(sent_s, await ask(list(islice(transfers, bulk))))

    def _note(self, sent_s: float, outcomes: Sequence[str]) -> None:
        if any(outcome != OK for outcome in outcomes):
            raise BenchmarkError(f"a transfer that there was money for ended as {set(outcomes) - {OK}}")
        now_s = self._clock()
        self.acknowledged += len(outcomes)
        if self._begin_s < now_s <= self._end_s:
            self._counted += len(outcomes)
            self._latency.record(round((now_s - sent_s) * 1e6))

    @property
    def p50_ms(self) -> float:
        """The median of how long a request took."""
        return self._latency.percentile(50) / 1000

    @property
    def per_s(self) -> float:
        """Transfers that were acknowledged each second of the window."""
        return self._counted / self._seconds

    def result(self) -> Result:
        """Return the speed, and the program's own share of a processor."""
        used_s = 0.0 if self._cpu_s is None else time.process_time() - self._cpu_s
        share = used_s / self._seconds
        notes = (
            (f"the Python program that asked used {share:.0%} of a processor",) if share >= _SATURATED else ()
        )
        return Result(self.per_s, {"p50_ms": self.p50_ms, "client_cpu": share}, notes)

    def result_of_one(self) -> Result:
        """Return how long a request took."""
        return Result(self.p50_ms, {"per_s": self.per_s})


def require_books(name: str, money: int, transfers: int, postings: int, acknowledged: int) -> None:
    """Raise BenchmarkError where money or a transfer was lost or doubled: such a figure is worth nothing."""
    if money != ACCOUNTS * OPENING_BALANCE:
        raise BenchmarkError(f"{name}: the accounts have {money}, not {ACCOUNTS * OPENING_BALANCE}")
    if postings != 2 * transfers:
        raise BenchmarkError(f"{name}: {transfers} transfers have {postings} postings, not two each")
    if transfers < acknowledged:
        raise BenchmarkError(f"{name}: {acknowledged} transfers were acknowledged, and {transfers} are there")
