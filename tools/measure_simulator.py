"""How many times faster than the clock the simulator is, while one write is always on its way.

    python tools/measure_simulator.py [--branches 2] [--writes 1000]

A customer pays in at one branch after the other, every two seconds, and every update is on its way for two
seconds: the pace of the original system. Prints the time that was simulated, the processor time it took with
every commit and answer judged, and the ratio.
"""

import argparse
import time

from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.model import Customer, Event, Interface, Manner, Scenario
from bankbook.server.config import Delay
from bankbook.simulation.run import perform

_PACE_US = 2_000_000


def scenario_of(branches: int, writes: int) -> Scenario:
    """Return a customer who pays in every two seconds, at each branch in turn."""
    events = tuple(
        Event(
            Interface.DEPOSIT,
            BranchId(1 + number % branches),
            Money(1),
            None,
            number,
            manner=Manner(pause_us=_PACE_US),
        )
        for number in range(1, writes + 1)
    )
    numbers = tuple(BranchId(number) for number in range(1, branches + 1))
    return Scenario(numbers, Money(0), (Customer(CustomerId("1"), 1, events),))


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--branches", type=int, default=2)
    parser.add_argument("--writes", type=int, default=1000)
    wanted = parser.parse_args()
    scenario = scenario_of(wanted.branches, wanted.writes)
    began_s = time.process_time()
    done = perform(scenario, 1, delay=Delay(_PACE_US, _PACE_US))
    taken_s = time.process_time() - began_s
    assert done.report.violation is None, done.report.violation
    virtual_s = done.report.virtual_s
    print(f"{virtual_s:.0f} s simulated in {taken_s:.2f} s: {virtual_s / taken_s:.0f} times as fast")


if __name__ == "__main__":
    main()
