"""Whether one session's reads can be right by themselves, whatever the other sessions read.

Decides whether there is a chain of sets of visible writes, one for each read, such that three of the
session guarantees hold: read your writes, monotonic reads and monotonic writes, which Terry et al.
("Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994) define for each session alone.
The fourth, writes follow reads, ties sessions together: that is search.py's question, and a much harder
one. Must not know how the answer is told (witness.py).
Proof: tests/scenario/test_checker.py, against a brute-force twin for each session.

A session reads one account. All that others do to it are lines of amounts, seen from the front, so a set
is a vector: how far each line is seen. The search goes from read to read. For each it looks at the
smallest vectors that fit and are not below the last one; a larger vector leaves less to choose from
afterwards and helps nobody, so when all of these have failed there is no chain. Sessions do their events
at about the same pace, so vectors with early events are tried first.

Which sums so many writes can have is a set of numbers kept as the bits of one integer: adding an amount
to all of them is a shift. So no partial choice is looked at that cannot be completed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import gcd
from operator import le

from bankbook.scenario.history import Bound, History, Read, Track, Write
from bankbook.scenario.search import Vector

# Shifts of sets of sums, each counted by its length; a million take less than a second. Whether a chain
# exists is NP-hard, too. Real sessions of 100 events need a few thousand, one in a hundred some 600 000.
SHIFTS_PER_CHAIN_MAX = 1_000_000

# A shift of so many bits takes about twice as long as a short one.
_BITS_PER_SHIFT = 2_048

# Sets of more sums than this would fill the memory before they fill the budget: money in amounts of very
# different sizes. search.py has no such bound.
_SUMS_MAX = 2**20

# Vectors that are looked at together, to try those with early events first. Too few, and a late write is
# used up where two early ones were meant; too many, and easy reads take long.
_BATCH = 100


class _GaveUpError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Line:
    """The writes of one lane that change the account, as far as others than the reader did them."""

    lane: int
    stops: tuple[int, ...]
    """How many writes of the lane are visible when the line's first n are, for n = 0, 1, ..."""
    sums: tuple[int, ...]
    """By how many steps the line's first n writes change the account."""
    lowest: tuple[int, ...]
    """The smallest of the sums from n on."""
    progress: tuple[float, ...]
    """Which part of its session's events the n-th write came after; for n = 0 nothing is said."""
    asked: int
    """The number of the reader's own event whose outcome is unknown; 0 for what others did."""
    after: tuple[int, int] | None
    """(line, n): what must be visible with a write of unknown outcome, since its session did it before."""


@dataclass(frozen=True, slots=True)
class _Goal:
    """What others' writes must come to, in steps, for a read to be right."""

    low: int
    high: int
    floor: tuple[int, int] | None
    """(line, n): must be visible."""
    number: int
    """The number of the read's event."""


class Chain:
    """One question: can these reads of one session all be right, if nobody else had read anything?"""

    def __init__(
        self, history: History, reads: Sequence[Read], shifts_max: int = SHIFTS_PER_CHAIN_MAX
    ) -> None:
        session, account = reads[0].session, reads[0].account
        assert {(read.session, read.account) for read in reads} == {(session, account)}
        self._history = history
        tracks = [track for track in history.accounts[account].tracks if track.lane != session]
        self._step = gcd(*(amount for track in tracks for amount in track.sums)) or 1
        self._lines = _lines(history, session, tracks, self._step)
        # A line's whole length, for each line.
        self._ends = tuple(len(line.sums) - 1 for line in self._lines)
        self._unsure: list[list[int]] = [[] for _ in self._lines]
        for n, line in enumerate(self._lines):
            if line.after is not None:
                self._unsure[line.after[0]].append(n)
        self._own = next((track for track in history.accounts[account].tracks if track.lane == session), None)
        highest = sum(max(line.sums) for line in self._lines)
        lowest = sum(min(line.sums) for line in self._lines)
        self._is_wide = highest - lowest > _SUMS_MAX
        self._cost = 1 + (highest - lowest) // _BITS_PER_SHIFT
        self._reads = reads
        self._goals = [self._goal(read, lowest, highest) for read in reads]
        self.shifts_left = shifts_max

    def run(self) -> bool | None:
        """Answer the question; None if it takes more than `shifts_max` shifts to tell."""
        if self._is_wide:
            return None
        try:
            return self._run()
        except _GaveUpError:
            return None

    def balances(self) -> list[int] | None:
        """Every balance that the first read could have seen, rising; None if they are too many."""
        if self._is_wide:
            return None
        sums, offset = self._reachable((0,) * len(self._lines), self._goals[0].number)
        lowest = self._own_balance(self._reads[0]) + offset * self._step
        return [lowest + n * self._step for n, bit in enumerate(reversed(f"{sums:b}")) if bit == "1"]

    def _run(self) -> bool:
        start = (0,) * len(self._lines)
        if not self._can_go_on(start, 0):
            return False
        stack = [(start, self._smallest(start, self._goals[0]))]
        tried: set[tuple[int, Vector]] = set()
        while stack:
            self._count(1)
            place = len(stack)
            before, choices = stack[-1]
            visible = next(choices, None)
            if visible is None:
                stack.pop()
            elif place == len(self._goals):
                return True
            elif (place, visible) not in tried:
                tried.add((place, visible))
                if visible == before or self._can_go_on(visible, place):
                    stack.append((visible, self._smallest(visible, self._goals[place])))
        return False

    def _goal(self, read: Read, lowest: int, highest: int) -> _Goal:
        balance = self._own_balance(read)
        least, most = lowest * self._step + balance, highest * self._step + balance
        match read.bound:
            case Bound.EXACTLY:
                least = most = read.amount
            case Bound.AT_LEAST:
                least = max(least, read.amount)
            case Bound.BELOW:
                least, most = max(least, 0), min(most, read.amount - 1)
        low, high = -((balance - least) // self._step), (most - balance) // self._step
        return _Goal(low, high, self._floor(read), read.event.number)

    def _own_balance(self, read: Read) -> int:
        if self._own is None:
            return self._history.opening
        writes = self._history.lanes[read.session]
        certain = sum(write.event.number < read.event.number for write in writes)
        return self._history.opening + self._own.sums[certain]

    def _floor(self, read: Read) -> tuple[int, int] | None:
        for index, line in enumerate(self._lines):
            if read.floor and read.floor[0] == line.lane:
                return index, next(n for n, stop in enumerate(line.stops) if stop >= read.floor[1])
        return None

    def _can_go_on(self, visible: Vector, place: int) -> bool:
        """Tell whether each of the reads from `place` on could be right if it were the next and the last."""
        sums, offset = self._reachable(visible, self._goals[-1].number)
        return all(sums & _bits(goal.low - offset, goal.high - offset) for goal in self._goals[place:])

    def _reachable(self, visible: Vector, number: int) -> tuple[int, int]:
        """Return all sums of larger vectors before event `number`: as bits, and what bit 0 stands for."""
        sums, offset = 1, 0
        for index, (line, seen) in enumerate(zip(self._lines, visible, strict=True)):
            if line.after is not None:
                continue  # it goes with the line that it comes after
            offset += line.lowest[seen]
            offset += sum(self._lines[n].lowest[visible[n]] for n in self._unsure[index])
            last = len(line.sums) if line.asked < number else seen + 1
            self._count(last - seen)
            larger = 0
            for count in range(seen, last):
                fresh = sums << line.sums[count] - line.lowest[seen]
                for n in self._unsure[index]:
                    fresh = self._with_unsure(fresh, self._lines[n], visible[n], count)
                larger |= fresh
            sums = larger
        return sums, offset

    def _with_unsure(self, sums: int, line: _Line, seen: int, count: int) -> int:
        self._count(1)
        least = line.lowest[seen]
        assert line.after is not None
        last = len(line.sums) if count >= line.after[1] else seen + 1
        larger = 0
        for amount in line.sums[seen:last]:
            larger |= sums << amount - least
        return larger

    def _smallest(self, visible: Vector, goal: _Goal) -> Iterator[Vector]:
        """Go through the smallest vectors from `visible` on that fit, those with early events first."""
        if goal.floor:
            line, seen = goal.floor
            visible = (*visible[:line], max(seen, visible[line]), *visible[line + 1 :])
        if goal.low <= sum(each.sums[n] for each, n in zip(self._lines, visible, strict=True)) <= goal.high:
            yield visible
            return
        # First those in which a write of unknown outcome follows only what is visible already: among all,
        # many sums need such writes that nothing allows.
        every = self._fitting(visible, goal, self._ends) if any(self._unsure) else ()
        fitting = chain(self._fitting(visible, goal, visible), every)
        found: list[Vector] = []
        while batch := list(islice(fitting, _BATCH)):
            for larger in sorted(batch, key=lambda each: self._latest(visible, each)):
                if not any(all(map(le, smaller, larger)) for smaller in found):
                    found.append(larger)
                    yield larger

    def _latest(self, visible: Vector, larger: Vector) -> float:
        fresh = zip(self._lines, visible, larger, strict=True)
        return max(line.progress[seen] for line, before, seen in fresh if seen > before)

    def _fitting(self, visible: Vector, goal: _Goal, before: Vector) -> Iterator[Vector]:
        """Go through vectors that fit, with writes of unknown outcome that may follow `before`."""
        offset = sum(line.lowest[seen] for line, seen in zip(self._lines, visible, strict=True))
        wanted = _bits(goal.low - offset, goal.high - offset)
        shifts = [
            [amount - line.lowest[seen] for amount in line.sums[seen:]]
            if line.asked < goal.number and self._follows(n, before)
            else [line.sums[seen] - line.lowest[seen]]
            for n, (line, seen) in enumerate(zip(self._lines, visible, strict=True))
        ]
        # sums[n][w]: what w more writes of the lines from n on can come to.
        sums: list[list[int]] = [[] for _ in range(len(shifts) + 1)]
        for writes in range(sum(map(len, shifts)) - len(shifts) + 1):
            sums[-1].append(int(writes == 0))
            for n in reversed(range(len(shifts))):
                fewer, bits = sums[n + 1], 0
                for more, shift in enumerate(shifts[n][: writes + 1]):
                    bits |= fewer[writes - more] << shift
                sums[n].append(bits)
                self._count(min(writes + 1, len(shifts[n])))
            if sums[0][writes] & wanted:
                yield from self._chosen(visible, 0, writes, wanted, shifts, sums)

    def _chosen(
        self,
        visible: Vector,
        first: int,
        writes: int,
        wanted: int,
        shifts: list[list[int]],
        sums: list[list[int]],
    ) -> Iterator[Vector]:
        """Go through the ways to add so many writes of the lines from `first` on."""
        if not writes:
            yield visible
            return
        for n in range(first, len(visible)):
            last = min(writes, len(shifts[n]) - 1)
            self._count(last + 1)
            for more in range(1, last + 1):
                left = wanted >> shifts[n][more]
                if left & sums[n + 1][writes - more] and self._follows(n, visible):
                    larger = (*visible[:n], visible[n] + more, *visible[n + 1 :])
                    yield from self._chosen(larger, n + 1, writes - more, left, shifts, sums)
            wanted >>= shifts[n][0]
            if not wanted & sums[n + 1][writes]:
                return

    def _follows(self, n: int, visible: Vector) -> bool:
        after = self._lines[n].after
        return after is None or visible[after[0]] >= after[1]

    def _count(self, shifts: int) -> None:
        if self.shifts_left <= 0:
            raise _GaveUpError
        self.shifts_left -= shifts * self._cost


def _lines(history: History, session: int, tracks: Sequence[Track], step: int) -> list[_Line]:
    """List what others do to the account: first the sessions, then the writes of unknown outcome."""
    lines: list[_Line] = []
    for track in tracks:
        stops = [0]
        while track.following[stops[-1]]:
            stops.append(track.following[stops[-1]])
        lane = history.lanes[track.lane]
        is_own = lane[0].session == session
        last = history.sessions[lane[0].session][-1].event.number
        lines.append(
            _Line(
                track.lane,
                tuple(stops),
                sums=tuple(track.sums[stop] // step for stop in stops),
                lowest=tuple(track.lowest[stop] // step for stop in stops),
                progress=(0, *(lane[stop - 1].event.number / last for stop in stops[1:])),
                asked=lane[0].event.number if is_own else 0,
                after=None if lane[0].is_certain or is_own else _after(lane[0], lines),
            )
        )
    return lines


def _after(write: Write, lines: Sequence[_Line]) -> tuple[int, int] | None:
    for index, line in enumerate(lines):
        if line.lane == write.session:
            return index, sum(0 < stop <= write.after for stop in line.stops)
    return None


def _bits(low: int, high: int) -> int:
    """Return the bits from `low` to `high`; those below 0 do not exist."""
    low = max(low, 0)
    return (1 << high + 1) - (1 << low) if high >= low else 0
