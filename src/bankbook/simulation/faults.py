"""What goes wrong in a simulated bank: each fault of a scenario, done to it at its time, and mended after it.

Decides what a fault does. Must not know which are drawn (troubles.py), what customers do, nor what is right.
Proof that each happens and has its effect: tests/simulation/test_faults.py.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from bankbook.scenario.faults import Fault, FaultKind
from bankbook.simulation.branch import SimulatedBranch
from bankbook.simulation.network import Place, Weather, branch_place
from bankbook.simulation.world import World

ALL_FAULTS = frozenset(FaultKind)

_SLOW_LINK_US = (500_000, 3_000_000)
_SLOW_COMMIT_US, _COMMIT_US = (50_000, 800_000), (200, 3_000)

_WEATHER_FIELDS = {
    FaultKind.DELAY: "delay_us",
    FaultKind.LOSS: "loses",
    FaultKind.DUPLICATION: "doubles",
    FaultKind.BROKEN_CALL: "breaks_calls",
}


class Faults:
    """Torments a world until told to stop."""

    def __init__(self, world: World, faults: Iterable[Fault], customers: Iterable[Place]) -> None:
        self._world = world
        self._faults = sorted(faults, key=lambda fault: fault.at_us)
        self._customers = list(customers)

    async def torment(self) -> None:
        """Let things go wrong until cancelled."""
        loop = self._world.loop
        began_us = loop.now_us
        for fault in self._faults:
            wait_us = began_us + fault.at_us - loop.now_us
            if wait_us > 0:
                await asyncio.sleep(wait_us / 1e6)
            self._strike(fault)
        await loop.create_future()

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.DELAY | FaultKind.LOSS | FaultKind.DUPLICATION | FaultKind.BROKEN_CALL:
                self._set_weather(fault)
            case FaultKind.SLOW_LINK | FaultKind.PARTITION | FaultKind.ONE_WAY_PARTITION:
                self._divide(fault)
            case FaultKind.BROKEN_STREAM:
                self._break_stream(fault)
            case _:
                for number in fault.branches:
                    self._harm(fault, self._world.branches[number])

    def _note(self, fault: Fault, text: object = "") -> None:
        self._world.trace.note(f"fault {fault.kind}", str(text))

    def _later(self, fault: Fault, mend: Callable[[], None]) -> None:
        if fault.for_us is not None:
            self._world.loop.call_later(fault.for_us / 1e6, mend)

    def _set_weather(self, fault: Fault) -> None:
        network, name = self._world.network, _WEATHER_FIELDS[fault.kind]
        value = fault.delay_us if fault.percent is None else fault.percent / 100
        network.weather = replace(network.weather, **{name: value})  # type: ignore[arg-type]
        self._note(fault)

        def mend() -> None:
            network.weather = replace(network.weather, **{name: getattr(Weather(), name)})

        self._later(fault, mend)

    def _divide(self, fault: Fault) -> None:
        """Slow down or cut what goes from one side to the other, or both ways."""
        side = fault.branches
        others = [branch for branch in self._world.branches if branch not in side]
        pairs = [(branch_place(one), branch_place(other)) for one in side for other in others]
        if fault.kind is FaultKind.PARTITION:
            pairs += [(other, one) for one, other in pairs]
        self._note(fault, " ".join(f"{one}-{other}" for one, other in pairs))
        if fault.kind is FaultKind.SLOW_LINK:
            self._slow_down(fault, pairs)
        else:
            self._cut(fault, pairs)

    def _slow_down(self, fault: Fault, pairs: list[tuple[Place, Place]]) -> None:
        slow = self._world.network.slow
        slow.update(dict.fromkeys(pairs, _SLOW_LINK_US))

        def mend() -> None:
            for pair in pairs:
                slow.pop(pair, None)

        self._later(fault, mend)

    def _cut(self, fault: Fault, pairs: list[tuple[Place, Place]]) -> None:
        network = self._world.network
        for pair in pairs:
            network.cut(*pair)
        self._later(fault, lambda: network.mend(*pairs))

    def _break_stream(self, fault: Fault) -> None:
        ends = tuple(map(branch_place, fault.branches))
        for stream in self._world.network.streams:
            if (stream.subscriber, stream.publisher) == ends and not stream.is_broken:
                self._note(fault, f"{stream.subscriber} at {stream.publisher}")
                stream.end_with_loss()
                return

    def _harm(self, fault: Fault, branch: SimulatedBranch) -> None:
        match fault.kind:
            case FaultKind.CUSTOMER_CUT_OFF:
                assert fault.customer is not None, "the parser gives it one"
                pair = (Place(fault.customer), branch.place)
                pair = (pair[1], pair[0]) if fault.is_to_customer else pair
                self._note(fault, f"{pair[0]}-{pair[1]}")
                self._cut(fault, [pair])
            case FaultKind.CLOCK_JUMP:
                assert fault.by_us is not None, "the parser gives it one"
                branch.clocks.wall_offset_us += fault.by_us
                self._note(fault, f"{branch.number} by {fault.by_us}")
            case FaultKind.SLOW_BRANCH:
                branch.commit_us = _SLOW_COMMIT_US
                self._note(fault, branch.number)
                self._later(fault, lambda: setattr(branch, "commit_us", _COMMIT_US))
            case FaultKind.CROWD:
                branch.crowd()
                self._note(fault, branch.number)
                self._later(fault, branch.make_room)
            case FaultKind.COMMIT_FAILURE:
                branch.disk.fault = fault.how
                self._note(fault, f"{branch.number} {fault.how}")
            case FaultKind.FULL_DISK:
                disk = branch.disk
                disk.is_full = True
                self._note(fault, branch.number)
                self._later(fault, lambda: setattr(disk, "is_full", False))
            case _:
                self._stop(fault, branch)

    def _stop(self, fault: Fault, branch: SimulatedBranch) -> None:
        """Let a branch's process end, or stand still; nothing happens to one that is down."""
        if branch.life is None:
            return
        match fault.kind:
            case FaultKind.PAUSE:
                self._pause(fault, branch)
                return
            case FaultKind.CRASH:
                branch.crash()
            case FaultKind.CRASH_POINT:
                branch.crash_at, branch.down_us = fault.point, fault.for_us
                self._note(fault, f"{branch.number} {fault.point}")
                return  # it is down from when it gets there
            case FaultKind.LOST_DISK:
                if not self._is_remembered_elsewhere(branch):
                    return
                self._world.lose_disk(branch)
            case _:
                raise AssertionError(f"nobody knows how to do {fault.kind}")
        self._note(fault, branch.number)
        self._later(fault, branch.start)

    def _is_remembered_elsewhere(self, branch: SimulatedBranch) -> bool:
        """Whether another disk, of a branch that is up or down, knows of all that the bank is."""
        others = (each for each in self._world.branches.values() if each is not branch)
        return any(each.disk.has_joined() for each in others)

    def _pause(self, fault: Fault, branch: SimulatedBranch) -> None:
        """Let nothing reach or leave a branch, and no commit end."""
        others = [each.place for each in self._world.branches.values() if each is not branch]
        places = [*others, *self._customers]
        pairs = [(branch.place, place) for place in places]
        self._note(fault, branch.number)
        self._cut(fault, [*pairs, *((place, here) for here, place in pairs)])
        branch.pause()
        self._later(fault, branch.go_on)
