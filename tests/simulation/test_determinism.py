"""One seed, one history: to the byte, in every process."""

import os
import subprocess
import sys

from bankbook.simulation.run import SimulationSettings, simulate

SEEDS = (3, 8, 21)
SHORT = SimulationSettings(duration_s=10, keeps_trace=True)

PROGRAM = f"""
from bankbook.simulation.run import SimulationSettings, simulate
for seed in {SEEDS}:
    print(simulate(seed, SimulationSettings(duration_s=10)).trace_digest)
"""


def test_the_same_seed_gives_the_same_trace_to_the_byte() -> None:
    for seed in SEEDS:
        one, other = simulate(seed, SHORT), simulate(seed, SHORT)
        assert len(one.trace) > 100
        assert "".join(one.trace).encode() == "".join(other.trace).encode()
        assert one == other


def test_another_seed_gives_another_trace() -> None:
    assert len({simulate(seed, SHORT).trace_digest for seed in SEEDS}) == len(SEEDS)


def test_no_trace_depends_on_how_a_process_hashes() -> None:
    here = [simulate(seed, SimulationSettings(duration_s=10)).trace_digest for seed in SEEDS]
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert told == here
