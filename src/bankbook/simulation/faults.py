"""What goes wrong, drawn per seed: how often each kind, when, where, and for how long.

Decides the faults. Must not know what customers do, nor what is right. Proof that each happens and has its
effect: tests/simulation/test_faults.py.
"""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from random import Random

from bankbook.simulation.branch import CrashPoint, SimulatedBranch
from bankbook.simulation.disk import CommitFault
from bankbook.simulation.network import Place, Weather
from bankbook.simulation.world import World


class FaultKind(StrEnum):
    """Everything that can go wrong."""

    DELAY = "delay"
    LOSS = "loss"
    DUPLICATION = "duplication"
    SLOW_LINK = "slow-link"
    BROKEN_STREAM = "broken-stream"
    BROKEN_CALL = "broken-call"
    PARTITION = "partition"
    ONE_WAY_PARTITION = "one-way-partition"
    CUSTOMER_CUT_OFF = "customer-cut-off"
    CRASH = "crash"
    CRASH_POINT = "crash-point"
    COMMIT_FAILURE = "commit-failure"
    FULL_DISK = "full-disk"
    LOST_DISK = "lost-disk"
    CLOCK_JUMP = "clock-jump"
    SLOW_BRANCH = "slow-branch"


ALL_FAULTS = frozenset(FaultKind)

_WEATHER = frozenset({FaultKind.DELAY, FaultKind.LOSS, FaultKind.DUPLICATION, FaultKind.BROKEN_CALL})

_MINUTE_US = 60_000_000


class Faults:
    """Torments a world until told to stop."""

    def __init__(self, world: World, kinds: Iterable[FaultKind], customers: list[Place]) -> None:
        self._world = world
        self._draw = world.chance("faults")
        self._customers = customers
        allowed = sorted(kinds)
        some = [kind for kind in allowed if self._draw.random() < 0.6] or allowed  # noqa: PLR2004
        self._weather = [kind for kind in some if kind in _WEATHER]
        self._events = [kind for kind in some if kind not in _WEATHER]
        self._pause_s = self._draw.choice([0.5, 1.5, 4.0])
        self._lost_disks_left = len(world.branches) - 1

    async def torment(self) -> None:
        """Let things go wrong until cancelled."""
        self._set_weather()
        while self._events:
            await asyncio.sleep(self._draw.expovariate(1 / self._pause_s))
            self._strike(self._draw.choice(self._events))
        await asyncio.get_running_loop().create_future()

    def _set_weather(self) -> None:
        draw, weather = self._draw, Weather()
        for kind in self._weather:
            self._note(kind)
        if FaultKind.DELAY in self._weather:
            weather.delay_us = draw.choice([(100, 50_000), (100, 400_000), (50_000, 1_500_000)])
        if FaultKind.LOSS in self._weather:
            weather.loses = draw.choice([0.01, 0.1])
        if FaultKind.DUPLICATION in self._weather:
            weather.doubles = draw.choice([0.01, 0.1])
        if FaultKind.BROKEN_CALL in self._weather:
            weather.breaks_calls = draw.choice([0.02, 0.1])
        self._world.network.weather = weather

    def _note(self, kind: FaultKind, text: str = "") -> None:
        self._world.trace.note(f"fault {kind}", text)

    def _strike(self, kind: FaultKind) -> None:
        branch = self._draw.choice(list(self._world.branches.values()))
        match kind:
            case FaultKind.SLOW_LINK | FaultKind.PARTITION | FaultKind.ONE_WAY_PARTITION:
                self._cut(kind)
            case FaultKind.CUSTOMER_CUT_OFF:
                self._cut_customer(branch)
            case FaultKind.BROKEN_STREAM:
                self._break_stream()
            case FaultKind.CLOCK_JUMP:
                jump_us = self._draw.choice([-60, -1, 1, 60]) * self._draw.randint(1, _MINUTE_US)
                branch.clocks.wall_offset_us += jump_us
                self._note(kind, f"{branch.number} by {jump_us}")
            case FaultKind.SLOW_BRANCH:
                branch.commit_us = (50_000, 800_000)
                self._note(kind, str(branch.number))
                self._later(lambda: setattr(branch, "commit_us", (200, 3_000)))
            case _:
                self._harm(kind, branch, self._draw)

    def _harm(self, kind: FaultKind, branch: SimulatedBranch, draw: Random) -> None:
        match kind:
            case FaultKind.COMMIT_FAILURE:
                branch.disk.fault = draw.choice(list(CommitFault))
                self._note(kind, f"{branch.number} {branch.disk.fault}")
            case FaultKind.FULL_DISK:
                disk = branch.disk
                disk.is_full = True
                self._note(kind, str(branch.number))
                self._later(lambda: setattr(disk, "is_full", False))
            case FaultKind.CRASH if branch.life is not None:
                branch.crash()
                self._note(kind, str(branch.number))
                self._later(branch.start)
            case FaultKind.CRASH_POINT if branch.life is not None:
                branch.crash_at = draw.choice(list(CrashPoint))
                self._note(kind, f"{branch.number} {branch.crash_at}")
                self._later(branch.start)
            case FaultKind.LOST_DISK if self._lost_disks_left:
                if all(
                    each.life is not None and not each.lost_disks for each in self._world.branches.values()
                ):
                    self._lost_disks_left -= 1
                    self._world.lose_disk(branch)
                    self._note(kind, str(branch.number))
                    self._later(branch.start)
            case _:
                pass

    def _cut(self, kind: FaultKind) -> None:
        network, draw = self._world.network, self._draw
        places = [branch.place for branch in self._world.branches.values()]
        if len(places) < 2:  # noqa: PLR2004  (there is nothing between one)
            return
        side = draw.sample(places, draw.randint(1, len(places) - 1))
        pairs = [(one, other) for one in side for other in places if other not in side]
        if kind is FaultKind.PARTITION:
            pairs += [(other, one) for one, other in pairs]
        self._note(kind, " ".join(f"{one}-{other}" for one, other in pairs))
        for pair in pairs:
            if kind is FaultKind.SLOW_LINK:
                network.slow[pair] = (500_000, 3_000_000)
                self._later(lambda pair=pair: network.slow.pop(pair, None))
            else:
                network.cut(*pair)
        if kind is not FaultKind.SLOW_LINK:
            self._later(lambda: network.mend(*pairs))

    def _cut_customer(self, branch: SimulatedBranch) -> None:
        network, place = self._world.network, self._draw.choice(self._customers)
        pair = self._draw.choice([(place, branch.place), (branch.place, place)])
        network.cut(*pair)
        self._note(FaultKind.CUSTOMER_CUT_OFF, f"{pair[0]}-{pair[1]}")
        self._later(lambda: network.mend(pair))

    def _break_stream(self) -> None:
        streams = self._world.network.streams
        if streams:
            stream = self._draw.choice(streams)
            self._note(FaultKind.BROKEN_STREAM, f"{stream.subscriber} at {stream.publisher}")
            stream.end()

    def _later(self, mend: object) -> None:
        assert callable(mend), "something to do"
        after_s = self._draw.choice([0.2, 2.0, 8.0, 25.0]) * self._draw.uniform(0.5, 1.5)
        self._world.loop.call_later(after_s, mend)
