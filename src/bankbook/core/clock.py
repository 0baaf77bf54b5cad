"""Time, as the core is told it.

Decides the hybrid logical clock's next reading. Must not read any clock: every reading is an argument.
Proof: tests/core/test_clock.py.

Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed
Databases" (OPODIS 2014), section 3.
"""

from typing import NamedTuple, NewType

HybridTime = NewType("HybridTime", int)
"""A reading of a hybrid logical clock: milliseconds of wall time × 2^16, plus a counter.

One int64, ordered as an integer. It lasts until the year 6429. A counter that overflows flows into the
milliseconds, which the algorithm allows: the reading only ever runs ahead of the wall.
"""

_COUNTER_BITS = 16
HYBRID_TIME_MAX = 2**63 - 1


class Instant(NamedTuple):
    """One branch's clocks, read together."""

    monotonic_us: int
    """Microseconds since some moment of this branch's own; only differences mean anything."""
    wall_us: int
    """Microseconds since 1970 by the wall clock; may jump."""


class HybridClock:
    """Gives every decision a reading above that of everything it depends on.

    Invariant: `last` never falls, whatever the wall clock does.
    """

    def __init__(self, last: HybridTime) -> None:
        self.last = last

    def tick(self, wall_us: int) -> HybridTime:
        """Return the reading for a decision made now."""
        wall = (max(wall_us, 0) // 1000) << _COUNTER_BITS
        self.last = HybridTime(max(wall, self.last + 1))
        return self.last

    def observe(self, reading: HybridTime) -> None:
        """Take note of the reading of an entry decided elsewhere."""
        self.last = max(self.last, reading)
