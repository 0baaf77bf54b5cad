"""How people write durations: 2s, 500ms, 1.5s, 2m.

Decides the spelling, both ways. Must not know what lasts so long. Proof: tests/cli/test_options.py.
"""

import re
from decimal import Decimal

_DAY_US = 24 * 3600 * 1_000_000

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3600 * 1_000_000,
    "d": _DAY_US,
    "": 1_000_000,
}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|)")

# A week: longer than any lesson, and far within what timers take.
DURATION_MAX_US = 7 * _DAY_US


def parse_duration_us(text: str, max_us: int = DURATION_MAX_US) -> int:
    """Return microseconds. Raises ValueError, saying how durations are written."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write one like 2s, 500ms, 1.5s or 2m")
    duration_us = int(Decimal(match[1]) * _UNITS_US[match[2]])
    if duration_us > max_us:
        days = max_us // _DAY_US
        longest = "a week" if max_us == DURATION_MAX_US else f"{days} days"
        raise ValueError(f"{text!r} is longer than {longest}")
    return duration_us


def duration_in_words(duration_us: int) -> str:
    """Return how a duration is written, without rounding it."""
    for unit in ("s", "ms"):
        if duration_us % _UNITS_US[unit] == 0:
            return f"{duration_us // _UNITS_US[unit]}{unit}"
    return f"{duration_us}us"
