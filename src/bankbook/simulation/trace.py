"""What happened, in order: the same text for the same seed, to the byte.

Decides how an event is written down. Must not know what it means.
Proof: tests/simulation/test_determinism.py.
"""

from collections import Counter
from hashlib import sha256

from bankbook.simulation.clock import VirtualLoop


class Trace:
    """Counts every event, digests its line, and keeps the line where wanted."""

    def __init__(self, loop: VirtualLoop, *, keeps_lines: bool) -> None:
        self._loop = loop
        self._digest = sha256()
        self._keeps_lines = keeps_lines
        self.lines: list[str] = []
        self.counts: Counter[str] = Counter()

    def note(self, kind: str, text: str = "") -> None:
        """Note one event."""
        self.counts[kind] += 1
        line = f"{self._loop.now_us:>12} {kind}: {text}\n"
        self._digest.update(line.encode())
        if self._keeps_lines:
            self.lines.append(line)

    def digest(self) -> str:
        """Return what stands for all lines so far."""
        return self._digest.hexdigest()
