"""When what goes wrong: a schedule drawn from a seed, and whoever carries it out.

Decides which faults strike whom, when and for how long; the same seed draws the same schedule. What the
processes then do differs from run to run: a schedule repeats the faults, and not their consequences.
Proof: tests/faults/test_nemesis.py.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from faults.bank import BankOfProcesses
from faults.faults import (
    Crash,
    FailingDisk,
    Fault,
    FullDisk,
    Hindrance,
    Kind,
    LostDisk,
    Pause,
    Reset,
)
from faults.network import Direction, Link, Node
from faults.proxy import Condition

CUT = Condition(is_cut=True)

# From one fault to the next, on the average; most last longer, so that some are always about.
_PACE_S = 1.0

# A process is back half a second after its start, and is to serve for a while before it is harmed again.
_AFTER_RESTART_S = 1.5


class Stroke(NamedTuple):
    """One fault, in seconds from the beginning."""

    from_s: float
    until_s: float
    fault: Fault

    def __str__(self) -> str:
        return f"{self.from_s:6.1f} s to {self.until_s:5.1f} s: {self.fault}"


@dataclass(frozen=True)
class Targets:
    """Whom faults may strike."""

    branches: tuple[int, ...]
    places: tuple[str, ...]
    """Where customers are."""
    kinds: tuple[Kind, ...]
    tell_lost_disk: Callable[[int], None]
    longest_s: float = 4.0
    """How long a fault lasts at the most."""


def draw_schedule(seed: int, seconds: float, targets: Targets) -> list[Stroke]:
    """Draw faults for so long, or longer, until every kind has had its turn."""
    return list(_Drawing(Random(seed), targets).strokes(seconds))  # noqa: S311  (moments, no secrets)


class _Drawing:
    def __init__(self, draw: Random, targets: Targets) -> None:
        self._draw = draw
        self._targets = targets
        self._busy_until_s = dict.fromkeys(targets.branches, 0.0)
        """Of each branch: until when something is wrong with its process or disk."""
        self._lost = False

    def strokes(self, seconds: float) -> Iterator[Stroke]:
        """Go through all kinds in random order, and again."""
        moment_s = 0.0
        for turn in itertools.count():
            for kind in self._draw.sample(self._targets.kinds, len(self._targets.kinds)):
                moment_s += self._draw.uniform(0.5, 1.5) * _PACE_S
                if turn and moment_s > seconds:
                    return
                stroke = self._stroke(kind, moment_s)
                if stroke is not None:
                    moment_s = stroke.from_s
                    yield stroke

    def _stroke(self, kind: Kind, moment_s: float) -> Stroke | None:
        lasts_s = self._draw.choice([0.3, 1.0, 1.0]) * self._draw.uniform(0.5, 1.0) * self._targets.longest_s
        if kind is Kind.LOST_DISK:
            return self._lose_disk(moment_s, lasts_s)
        if kind not in _OF_A_BRANCH:
            return Stroke(moment_s, moment_s + lasts_s, self._network_fault(kind))
        branch = self._draw.choice(self._targets.branches)
        begins_s = max(moment_s, self._busy_until_s[branch])
        self._busy_until_s[branch] = begins_s + lasts_s + _AFTER_RESTART_S
        return Stroke(begins_s, begins_s + lasts_s, _OF_A_BRANCH[kind](branch))

    def _lose_disk(self, moment_s: float, lasts_s: float) -> Stroke | None:
        """Draw it once: what two branches lose one after the other, nobody promises to have."""
        if self._lost:
            return None
        self._lost = True
        branch = self._draw.choice(self._targets.branches)
        begins_s = max(moment_s, *self._busy_until_s.values())
        ends_s = begins_s + lasts_s
        self._busy_until_s[branch] = ends_s + _AFTER_RESTART_S
        return Stroke(begins_s, ends_s, LostDisk(branch, self._targets.tell_lost_disk))

    def _network_fault(self, kind: Kind) -> Fault:
        draw = self._draw
        match kind:
            case Kind.PARTITION:
                one_way = self._between_two_sides()
                return Hindrance(kind, (*one_way, *map(_back, one_way)), CUT)
            case Kind.ONE_WAY_PARTITION:
                return Hindrance(kind, self._between_two_sides(), CUT)
            case Kind.CUSTOMERS_CUT_OFF:
                return Hindrance(kind, self._to_a_place(), CUT)
            case Kind.SLOW_LINK:
                slow = Condition(delay_s=round(draw.choice([0.05, 0.3, 1.0]) * draw.uniform(0.5, 1), 3))
                return Hindrance(kind, self._anywhere(), slow)
            case Kind.NARROW_LINK:
                narrow = Condition(s_per_byte=round(draw.choice([0.1, 1]) * draw.uniform(0.2, 1), 3) / 1000)
                return Hindrance(kind, self._anywhere(), narrow)
            case _:
                assert kind is Kind.RESET, f"{kind} is a fault of the network"
                return Reset(self._some_links())

    def _between_two_sides(self) -> tuple[Direction, ...]:
        branches = self._targets.branches
        side = self._draw.sample(branches, self._draw.randint(1, len(branches) - 1))
        return tuple(Direction(one, other) for one in side for other in branches if other not in side)

    def _to_a_place(self) -> tuple[Direction, ...]:
        """Return the ways between a place and one branch or all, there, back or both."""
        place = self._draw.choice(self._targets.places)
        count = self._draw.choice([1, len(self._targets.branches)])
        there = [Direction(place, branch) for branch in self._draw.sample(self._targets.branches, count)]
        back = [_back(each) for each in there]
        return tuple(self._draw.choice([there, back, there + back]))

    def _anywhere(self) -> tuple[Direction, ...]:
        """Return the ways between two sides, or all of one place."""
        if self._draw.random() < 0.3:
            place = self._draw.choice(self._targets.places)
            there = [Direction(place, branch) for branch in self._targets.branches]
            return (*there, *map(_back, there))
        one_way = self._between_two_sides()
        return one_way if self._draw.random() < 0.5 else (*one_way, *map(_back, one_way))

    def _some_links(self) -> tuple[Link, ...]:
        """Return all ways to one branch, or those between two sides."""
        if self._draw.random() < 0.5:
            branch = self._draw.choice(self._targets.branches)
            others: Iterable[Node] = (*self._targets.branches, *self._targets.places)
            return tuple(Link(other, branch) for other in others if other != branch)
        pairs = self._between_two_sides()
        return tuple(Link(each.sender, each.receiver) for each in pairs if isinstance(each.receiver, int))


_OF_A_BRANCH: dict[Kind, Callable[[int], Fault]] = {
    Kind.PAUSE: Pause,
    Kind.CRASH: Crash,
    Kind.FULL_DISK: FullDisk,
    Kind.FAILING_DISK: FailingDisk,
}


def _back(direction: Direction) -> Direction:
    return Direction(direction.receiver, direction.sender)


class Nemesis:
    """Carries a schedule out."""

    def __init__(self, bank: BankOfProcesses) -> None:
        self._bank = bank
        self.struck: Counter[Kind] = Counter()
        """How many faults of each kind have begun and ended."""
        self._turns = {branch: asyncio.Lock() for branch in bank.branches}
        """Of each branch: whose turn it is, since a branch that is slow to start is harmed only then."""

    async def carry_out(self, schedule: Iterable[Stroke]) -> None:
        """Let everything begin and end when its time has come; then nothing is wrong any more."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as strokes:
            for stroke in schedule:
                strokes.create_task(self._strike(stroke, began_s))

    async def _strike(self, stroke: Stroke, began_s: float) -> None:
        await asyncio.sleep(began_s + stroke.from_s - asyncio.get_running_loop().time())
        async with self._turn_of(stroke.fault.branch):
            self._bank.check_alive()
            await stroke.fault.begin(self._bank)
            await asyncio.sleep(stroke.until_s - stroke.from_s)
            await stroke.fault.end(self._bank)
        self.struck[stroke.fault.kind] += 1

    def _turn_of(self, branch: int | None) -> AbstractAsyncContextManager[object]:
        return nullcontext() if branch is None else self._turns[branch]
