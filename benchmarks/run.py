"""Trials, then rounds of all systems, one after the other.

Decides the order: how many callers suit a case best is tried once; then every system is started, measured and
stopped in each round, and each round begins with another one. Must not know what is measured.
Proof: tests/alternatives/test_run.py.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bankbook.bench.machine import file_system_of, is_in_memory
from benchmarks import machine
from benchmarks.cases import BenchmarkError, Case, System
from benchmarks.figures import CaseRun, Failure, Run, SystemRun, Taken

# A folder that others may walk through and not look into: a server that refuses to be root has its own in it.
_WALK_THROUGH = 0o711

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long."""

    systems: tuple[System, ...]
    """Each with those of its cases that are wanted."""
    rounds: int = 3
    seconds: float = 5.0
    trial_s: float | None = 2.0
    """None: nothing is tried, and the first number of callers is taken."""
    command: str = "make bench"


@dataclass(slots=True)
class _Progress:
    """What came of it so far."""

    callers: dict[str, int] = field(default_factory=dict)
    trials: dict[str, dict[int, float]] = field(default_factory=dict)
    taken: dict[str, list[Taken]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def failed(self, case: Case) -> bool:
        return any(each.case == case.name for each in self.failures)


def carry_out(plan: Plan, data: Path, packages: Sequence[str], show: Show) -> Run:
    """Measure everything. Raises BenchmarkError where nothing can be; what fails by itself, is told of."""
    kind = file_system_of(data)
    if is_in_memory(kind):
        raise BenchmarkError(
            f"{data} is on {kind}, in memory: nothing would be durable; name a folder with --data"
        )
    began, began_s, progress = datetime.now(UTC), time.monotonic(), _Progress()
    versions = {system.name: system.version() for system in plan.systems}
    with tempfile.TemporaryDirectory(prefix="bankbook-", dir=data) as name:
        folder = Path(name)
        folder.chmod(_WALK_THROUGH)
        _Measuring(plan, folder, progress, show).everything()
    return Run(
        began=began.strftime("%Y-%m-%d %H:%M UTC"),
        took_s=round(time.monotonic() - began_s, 1),
        rounds=plan.rounds,
        seconds=plan.seconds,
        command=plan.command,
        machine=machine.describe(data),
        processors=os.cpu_count() or 1,
        packages=tuple(packages),
        systems=tuple(
            SystemRun(each.name, each.title, versions[each.name], each.set_up) for each in plan.systems
        ),
        cases=tuple(_case_run(system, case, progress) for system in plan.systems for case in system.cases),
        failures=tuple(progress.failures),
    )


def _case_run(system: System, case: Case, progress: _Progress) -> CaseRun:
    callers = progress.callers.get(case.name, case.callers[0])
    trials = progress.trials.get(case.name, {})
    taken = tuple(progress.taken.get(case.name, ()))
    return CaseRun(case.name, system.name, case.what, case.unit, case.durability, callers, trials, taken)


@dataclass(frozen=True, slots=True)
class _Measuring:
    plan: Plan
    folder: Path
    progress: _Progress
    show: Show

    def everything(self) -> None:
        for system in self.plan.systems:
            self._choose_callers(system)
        for number in range(1, self.plan.rounds + 1):
            for system in in_turn(self.plan.systems, number):
                self._measure_round(system, number)

    def _choose_callers(self, system: System) -> None:
        for case in system.cases:
            self.progress.callers[case.name] = case.callers[0]
        several = [case for case in system.cases if len(case.callers) > 1]
        if self.plan.trial_s is None or not several:
            return
        with self._started(system, several) as server:
            for case in several if server is not None else ():
                self._try(case, server)

    def _try(self, case: Case, server: Any) -> None:
        assert self.plan.trial_s is not None, "it is tried"
        tried = self.progress.trials.setdefault(case.name, {})
        for callers in case.callers:
            taken = self._measure(case, server, callers, self.plan.trial_s, 0)
            if taken is None:
                return
            tried[callers] = taken.value
            self.show(f"trial    {case.name:22} {callers:5} callers  {taken.value:12,.2f} {case.unit}")
        best = max if case.unit.is_better_when_more else min
        self.progress.callers[case.name] = best(tried, key=lambda callers: tried[callers])

    def _measure_round(self, system: System, number: int) -> None:
        cases = [case for case in system.cases if not self.progress.failed(case)]
        if not cases:
            return
        with self._started(system, cases) as server:
            for case in cases if server is not None else ():
                callers = self.progress.callers[case.name]
                taken = self._measure(case, server, callers, self.plan.seconds, number)
                if taken is not None:
                    self.progress.taken.setdefault(case.name, []).append(taken)
                    self.show(f"round {number}  {case.name:22} {_in_words(case, taken)}")

    @contextmanager
    def _started(self, system: System, cases: Sequence[Case]) -> Iterator[Any]:
        """Start a system in a folder of its own; yield None where it does not start."""
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix=f"{system.name}-", dir=self.folder)
            try:
                server = stack.enter_context(system.start(Path(stack.enter_context(folder))))
            except Exception as error:  # noqa: BLE001  (a client's, a server's; it is told)
                for case in cases:
                    self._fail(case, error)
                server = None
            yield server

    def _measure(self, case: Case, server: Any, callers: int, seconds: float, number: int) -> Taken | None:
        """Measure a case; None where that fails, and then it is not tried again."""
        if self.progress.failed(case):
            return None
        watch = machine.Stopwatch.start()
        try:
            result = case.measure(server, callers, seconds)
        except Exception as error:  # noqa: BLE001  (each client library has its own; it is told)
            self._fail(case, error)
            return None
        others = watch.others() if case.is_family else None
        if result.others_cpu is not None:
            others = result.others_cpu
        return Taken(number, result.value, _rounded(others), dict(result.also), result.notes)

    def _fail(self, case: Case, error: Exception) -> None:
        why = (str(error) or repr(error)).replace(
            str(self.folder), "FOLDER"
        )  # a page tells of no machine's paths
        self.progress.failures.append(Failure(case.name, why))
        self.show(f"failed   {case.name}: {error!r}")


def in_turn(systems: Sequence[System], number: int) -> list[System]:
    """Return the systems in the order of a round, which begins with another one each time."""
    first = (number - 1) % len(systems)
    return [*systems[first:], *systems[:first]]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _in_words(case: Case, taken: Taken) -> str:
    others = "" if taken.others_cpu is None else f"  (other programs {taken.others_cpu:.0%})"
    return f"{taken.value:12,.2f} {case.unit.value:4}{others}"
