"""What goes wrong while customers are at work: which faults a seed draws, when, where, and for how long.

Decides how often each kind comes, and what comes together. Must not know what a fault does (faults.py), nor
what customers do meanwhile (plan.py). Proof: tests/simulation/test_plan.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from bankbook.core.types import BranchId, CustomerId
from bankbook.scenario.faults import (
    MOMENTARY,
    SHARES,
    SIDES,
    WEATHER,
    CommitFault,
    CrashPoint,
    Fault,
    FaultKind,
)

_MINUTE_MS = 60_000


def planned_faults(
    draw: Random,
    branches: tuple[BranchId, ...],
    customers: list[CustomerId],
    kinds: list[FaultKind],
    duration_ms: int,
) -> Iterator[Fault]:
    """Draw what goes wrong: how often each kind, when, where, and for how long."""
    some = [kind for kind in kinds if draw.random() < 0.6] or kinds  # noqa: PLR2004
    yield from (_weather(draw, kind) for kind in some if kind in WEATHER)
    events = [kind for kind in some if kind not in WEATHER]
    if len(branches) == 1:
        events = [kind for kind in events if kind not in SIDES | {FaultKind.BROKEN_STREAM}]
    mean_pause_s = draw.choice([0.5, 1.5, 4.0])
    at_ms = 0
    while events:
        at_ms += max(1, int(1000 * draw.expovariate(1 / mean_pause_s)))
        if at_ms > duration_ms:
            return
        fault = _strike(draw, draw.choice(events), at_ms, branches, customers)
        yield fault
        if fault.kind is FaultKind.LOST_DISK and len(branches) > 1:
            around = _around(draw, fault, frozenset(events), branches)
            yield from (each for each in around if each.at_us <= 1000 * duration_ms)


def _around(
    draw: Random, lost: Fault, kinds: frozenset[FaultKind], branches: tuple[BranchId, ...]
) -> Iterator[Fault]:
    """Draw what else goes wrong about a lost disk, as troubles do not come singly.

    The others are slow to tell the new store what they know, or some of them are cut off until about when it
    asks; what it had sent is slow to arrive; it dies on its way; or the next disk is lost meanwhile.
    """
    others = tuple(branch for branch in branches if branch not in lost.branches)
    back_us = lost.at_us + (lost.for_us or 0)
    if FaultKind.SLOW_LINK in kinds:
        slow = draw.choice([others, (draw.choice(others),), lost.branches])
        from_us = max(lost.at_us - 1000 * draw.randint(0, 2_000), 0)
        longer_us = draw.choice([0, 8_000_000]) if slow == lost.branches else 8_000_000
        yield Fault(FaultKind.SLOW_LINK, from_us, back_us - from_us + longer_us, slow)
    cuts = sorted(kinds & {FaultKind.PARTITION, FaultKind.ONE_WAY_PARTITION})
    if cuts and len(others) > 1 and draw.random() < 0.7:  # noqa: PLR2004
        some = draw.sample(others, draw.randint(1, len(others) - 1))
        from_us = max(lost.at_us - 1000 * draw.randint(0, 5_000), 0)
        until_us = back_us + 1000 * draw.randint(0, 3_000)
        yield Fault(draw.choice(cuts), from_us, until_us - from_us, tuple(sorted(some)))
    deaths = sorted(kinds & {FaultKind.CRASH, FaultKind.LOST_DISK})
    if draw.random() < 0.5:  # noqa: PLR2004
        at_us = back_us + 1000 * draw.randint(1, 3_000)
        lasts_us = 1000 * draw.randint(100, 3_000)
        yield Fault(draw.choice(deaths), at_us, lasts_us, (draw.choice(branches),))


def _weather(draw: Random, kind: FaultKind) -> Fault:
    if kind in SHARES:
        shares = {FaultKind.BROKEN_CALL: [2, 10], FaultKind.DUPLICATION: [1, 10, 30]}
        return Fault(kind, percent=draw.choice(shares.get(kind, [1, 10])))
    low, high = draw.choice([(100, 50_000), (100, 400_000), (50_000, 1_500_000)])
    return Fault(kind, delay_us=(low, high))


def _strike(
    draw: Random,
    kind: FaultKind,
    at_ms: int,
    branches: tuple[BranchId, ...],
    customers: list[CustomerId],
) -> Fault:
    lasts_ms = int(1000 * draw.choice([0.2, 2.0, 8.0, 25.0]) * draw.uniform(0.5, 1.5))
    fault = Fault(
        kind,
        1000 * at_ms,
        None if kind in MOMENTARY else 1000 * lasts_ms,
        (draw.choice(branches),),
    )
    match kind:
        case FaultKind.SLOW_LINK | FaultKind.PARTITION | FaultKind.ONE_WAY_PARTITION:
            side = draw.sample(branches, draw.randint(1, len(branches) - 1))
            return replace(fault, branches=tuple(sorted(side)))
        case FaultKind.BROKEN_STREAM:
            return replace(fault, branches=tuple(draw.sample(branches, 2)))
        case FaultKind.CUSTOMER_CUT_OFF:
            is_to_customer = draw.random() < 0.5  # noqa: PLR2004
            return replace(fault, customer=draw.choice(customers), is_to_customer=is_to_customer)
        case FaultKind.CLOCK_JUMP:
            jump_ms = draw.choice([-60, -1, 1, 60]) * draw.randint(1, _MINUTE_MS)
            return replace(fault, by_us=1000 * jump_ms)
        case FaultKind.CRASH_POINT:
            return replace(fault, point=draw.choice(list(CrashPoint)))
        case FaultKind.COMMIT_FAILURE:
            return replace(fault, how=draw.choice(list(CommitFault)))
        case FaultKind.LOST_DISK:
            # Who is back at once meets what the former life had sent, and whoever has not noticed.
            return replace(
                fault, for_us=1000 * int(1000 * draw.choice([0.1, 0.2, 2.0, 8.0]) * draw.uniform(0.5, 1.5))
            )
        case FaultKind.PAUSE:
            # Nobody does anything meanwhile: a long one is a crash without a restart.
            return replace(fault, for_us=min(1000 * lasts_ms, 12_000_000))
        case _:
            return fault
