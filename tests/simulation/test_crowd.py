"""Calls that travel together: each caller is judged, and a client that mixes them up is found."""

from collections import Counter
from typing import Any

import pytest

from bankbook.client.flights import Flight
from bankbook.simulation.run import SimulationReport, SimulationSettings, simulate

# Of these, one in three has a crowd.
SEEDS = range(12)


def reports() -> list[SimulationReport]:
    return [simulate(seed, SimulationSettings(keeps_trace=True)) for seed in SEEDS]


def test_calls_of_a_crowd_share_entries_and_are_judged() -> None:
    entries = Counter[str]()
    for report in reports():
        assert report.violation is None, report.violation
        for line in report.trace:
            if "call of the crowd" in line and " OK " in line:
                entries[line.split()[-1]] += 1
    assert max(entries.values()) > 1


def test_a_client_that_tells_callers_each_others_answers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Flight._tell

    def tell(self: Flight, receipt: Any) -> None:
        self.calls = self.calls[::-1]
        real(self, receipt)

    monkeypatch.setattr(Flight, "_tell", tell)
    assert any(report.violation is not None for report in reports())
