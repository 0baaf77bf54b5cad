"""Whether reads can all be right: the search for an execution that explains them.

Decides whether there is a set of visible writes for each read such that the four session guarantees
hold. Must not know how the answer is told (witness.py), nor what is left to ask when this is too hard
(chain.py).
Proof: tests/scenario/test_checker.py, against a brute-force twin.

The guarantees are those of Terry et al., "Session Guarantees for Weakly Consistent Replicated Data"
(PDIS 1994), for every account alike. A set of visible writes is legal for a read if it

- includes the session's own earlier writes (read your writes) and everything that its earlier reads
  showed (monotonic reads): together what the session knows;
- includes, with a write, all that the writer knew when it wrote (monotonic writes, writes follow reads);
- excludes writes that had not been asked for: so the execution can be told as one sequence of steps.

The search tells that sequence. Writes are told as early as possible, since a write that was told need
not be seen. A read is told with the smallest sets first; a set that includes another legal one
constrains the rest more and helps nobody, so it is left out. A read that could be told later, with more
writes to choose from, is put off until there are more: then only sets with something new in them are
tried. So no two ways through the search are the same, and when all have failed there is no execution.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from operator import le
from typing import TypeAlias, TypeVar

from bankbook.core.types import AccountId
from bankbook.scenario.history import Bound, History, Read, Step, Write

Vector: TypeAlias = tuple[int, ...]
"""A set of writes: how many of each lane."""

# Finding an execution is NP-hard (subset sum is one of its simplest cases). This many sets of the writes
# of ten sessions take a second or two to look at; ordinary histories with an account for each customer
# need few.
SETS_PER_SEARCH_MAX = 30_000

# To look at a set is to look at a larger one for each lane of the account: at all its components, and, ten
# times as long, at those that make the balance. So many components count as a set more, so that a search
# ends within seconds however many customers there are.
_COMPONENTS_PER_SET = 2_000


_T = TypeVar("_T")


class _GaveUpError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _State:
    """A sequence of steps told so far."""

    positions: tuple[int, ...]
    """How many steps of each session have been told."""
    knowledge: tuple[Vector, ...]
    """What each session has written or seen. Always closed: with a write, all that its writer knew."""
    told: Vector
    """The writes told so far: nothing else can be seen."""
    put_off: tuple[Vector | None, ...]
    """For a session whose next read was put off: what was told then."""


class Search:
    """One question: can these reads of this history all be right?"""

    def __init__(self, history: History, reads: Iterable[Read], sets_max: int = SETS_PER_SEARCH_MAX) -> None:
        self._history = history
        self._steps = _with_only(history, list(reads))
        # What the writer knew, for each write told. An entry is valid while `told` includes its write;
        # a session none of whose reads is asked about tells its writes at once and knew only its own.
        self._known: list[list[Vector | None]] = [[None] * len(lane) for lane in history.lanes]
        self.sets_left = sets_max

    def run(self) -> bool | None:
        """Answer the question; None if it takes more than `sets_max` sets to tell."""
        try:
            return self._run()
        except _GaveUpError:
            return None

    def _run(self) -> bool:
        stack = [self._branches(self._start())]
        while stack:
            state = next(stack[-1], None)
            if state is None:
                stack.pop()
            elif self._is_told(state):
                return True
            else:
                stack.append(self._branches(state))
        return False

    def _is_told(self, state: _State) -> bool:
        return all(
            position == len(steps) for position, steps in zip(state.positions, self._steps, strict=True)
        )

    def _count(self, read: Read) -> None:
        if self.sets_left <= 0:
            raise _GaveUpError
        tracks, lanes = len(self._history.accounts[read.account].tracks), len(self._history.lanes)
        self.sets_left -= 1 + tracks * (10 * tracks + lanes) // _COMPONENTS_PER_SET

    def _start(self) -> _State:
        history = self._history
        nothing = (0,) * len(history.lanes)
        told = tuple(len(lane) if lane and not self._steps[lane[0].session] else 0 for lane in history.lanes)
        count = len(history.sessions)
        return _State((0,) * count, (nothing,) * count, told, (None,) * count)

    def _branches(self, state: _State) -> Iterator[_State]:
        """Tell what needs no choice, then try each choice for one read, then putting it off."""
        state = self._advance(state)
        waiting = [
            session
            for session, steps in enumerate(self._steps)
            if state.positions[session] < len(steps) and state.put_off[session] != state.told
        ]
        if self._is_told(state):
            yield state
        elif waiting:  # the hindmost first: customers act at the same time, so few are far ahead
            session = min(waiting, key=lambda each: state.positions[each] / len(self._steps[each]))
            read = self._steps[session][state.positions[session]]
            assert isinstance(read, Read)
            for visible in self._choices(read, state):
                yield self._tell_read(state, session, visible)
            yield replace(state, put_off=_with(state.put_off, session, state.told))

    def _tell_read(self, state: _State, session: int, visible: Vector) -> _State:
        return replace(
            state,
            positions=_with(state.positions, session, state.positions[session] + 1),
            knowledge=_with(state.knowledge, session, visible),
            put_off=_with(state.put_off, session, None),
        )

    def _advance(self, state: _State) -> _State:
        """Tell every write, and every read that fits what its session knows: no set is smaller."""
        positions, knowledge = list(state.positions), list(state.knowledge)
        told, put_off = list(state.told), list(state.put_off)
        for session, steps in enumerate(self._steps):
            position, known = positions[session], list(knowledge[session])
            before = position
            while position < len(steps):
                step = steps[position]
                if isinstance(step, Write):
                    self._known[step.lane][step.count - 1] = tuple(known)
                    told[step.lane] = step.count
                    if step.is_certain:
                        known[session] = step.count
                elif step.floor or step.distance(self._balance(step.account, known)):
                    break
                position += 1
            if position > before:
                positions[session], knowledge[session], put_off[session] = position, tuple(known), None
        return _State(tuple(positions), tuple(knowledge), tuple(told), tuple(put_off))

    def _choices(self, read: Read, state: _State) -> Iterator[Vector]:
        """Find legal sets for a read, those first whose balance is nearest."""
        start = self._first_set(read, state)
        if start is None or self._is_out_of_step(read):
            return
        old, seen = state.put_off[read.session], {start}
        chosen: list[Vector] = []
        queue = [(read.distance(self._balance(read.account, start)), sum(start), start)]
        while queue:
            distance, _, visible = heappop(queue)
            self._count(read)
            if any(_includes(visible, smaller) for smaller in chosen):
                continue
            if distance == 0:
                chosen.append(visible)
                if old is None or not _includes(old, visible):
                    yield visible
                continue
            for more in self._enlarged(visible, read.account, state.told):
                if more not in seen and self._can_still_fit(read, more):
                    seen.add(more)
                    away = read.distance(self._balance(read.account, more))
                    heappush(queue, (away, sum(more), more))

    def _first_set(self, read: Read, state: _State) -> Vector | None:
        known = state.knowledge[read.session]
        if read.floor is None:
            return known
        lane, count = read.floor
        if state.told[lane] < count:
            return None
        return known if known[lane] >= count else self._including(known, lane, count)

    def _is_out_of_step(self, read: Read) -> bool:
        """Tell whether no set at all gives this balance, such as 15 where only tens were moved."""
        step = self._history.accounts[read.account].step
        difference = read.amount - self._history.opening
        return read.bound is Bound.EXACTLY and (difference % step if step else difference) != 0

    def _can_still_fit(self, read: Read, visible: Vector) -> bool:
        """Tell whether any larger set might fit, as far as the lanes' extremes say."""
        highest = lowest = self._history.opening
        for track in self._history.accounts[read.account].tracks:
            highest += track.highest[visible[track.lane]]
            lowest += track.lowest[visible[track.lane]]
        match read.bound:
            case Bound.EXACTLY:
                return lowest <= read.amount <= highest
            case Bound.AT_LEAST:
                return read.amount <= highest
            case Bound.BELOW:
                return lowest < read.amount and highest >= 0

    def _enlarged(self, visible: Vector, account: AccountId, told: Vector) -> Iterator[Vector]:
        """Add the next write of each lane that changes the account, with all that its writer knew."""
        for track in self._history.accounts[account].tracks:
            count = track.following[visible[track.lane]]
            if 0 < count <= told[track.lane]:
                yield self._including(visible, track.lane, count)

    def _including(self, visible: Vector, lane: int, count: int) -> Vector:
        write = self._history.lanes[lane][count - 1]
        known = self._known[lane][count - 1]
        larger = list(visible) if known is None else [*map(max, visible, known)]
        larger[write.session] = max(larger[write.session], write.after)
        larger[lane] = max(larger[lane], count)
        return tuple(larger)

    def _balance(self, account: AccountId, visible: Sequence[int]) -> int:
        balance = self._history.opening
        for track in self._history.accounts[account].tracks:
            balance += track.sums[visible[track.lane]]
        return balance


def _with_only(history: History, reads: list[Read]) -> tuple[tuple[Step, ...], ...]:
    """Leave out every other read; and all steps of a session that has none of these."""
    wanted = {(read.session, read.event.number): read for read in reads}
    active = {read.session for read in reads}
    return tuple(
        tuple(
            wanted[(session, step.event.number)] if isinstance(step, Read) else step
            for step in steps
            if isinstance(step, Write) or (session, step.event.number) in wanted
        )
        if session in active
        else ()
        for session, steps in enumerate(history.sessions)
    )


def _includes(larger: Vector, smaller: Vector) -> bool:
    return all(map(le, smaller, larger))


def _with(items: tuple[_T, ...], index: int, item: _T) -> tuple[_T, ...]:
    return (*items[:index], item, *items[index + 1 :])
