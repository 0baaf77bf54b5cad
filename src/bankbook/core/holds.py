"""Requests that wait: for entries to arrive, for other branches to answer, or for their deadline.

Decides who is woken, at a cost that does not grow with how many are held: whoever waits watches one
missing entry at a time, and looks for its next gap only once that one is there. Must not know what a
request asks for. Proof: tests/core/test_holds.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Reply, Request, RequestId
from bankbook.core.types import AccountId, BranchId, EntryId, Key, Origin, Seq
from bankbook.core.vector import NOTHING, Gap, VersionVector

Waiter = TypeVar("Waiter")

# Below this many, clearing a heap costs more than it frees.
_CLEAR_AT_LEAST = 64


class Watchers(Generic[Waiter]):
    """Who is to be woken when an origin's log reaches a seq.

    A waiter that gave up stays in its heap until it is reached, or until all heaps together have doubled
    since the last time they were cleared of such; so a branch that is unreachable for a year costs no
    memory, and neither do a million lives of a branch that some token made up.
    """

    def __init__(self, is_waiting: Callable[[Waiter], bool]) -> None:
        self._is_waiting = is_waiting
        self._heaps: dict[Origin, list[tuple[Seq, int, Waiter]]] = {}
        self._fresh: dict[Origin, list[Waiter]] = {}
        """Who has not been looked at yet since they began to wait; of a log that is in `_heaps`."""
        self._size = 0
        self._clear_at = _CLEAR_AT_LEAST
        self._count = 0  # keeps equal seqs in the order of their arrival, and waiters uncompared

    def watch(self, gap: Gap, waiter: Waiter) -> None:
        """Wake `waiter` once the gap's origin has reached what is needed."""
        self._count += 1
        heap, fresh = self._heaps.setdefault(gap.origin, []), self._fresh.setdefault(gap.origin, [])
        heappush(heap, (gap.needs, self._count, waiter))
        fresh.append(waiter)
        if len(fresh) > 2 * len(heap) + _CLEAR_AT_LEAST:
            fresh[:] = filter(self._is_waiting, fresh)
        self._size += 1
        if self._size > self._clear_at:
            self._clear()

    def reached(self, origin: Origin, seq: Seq) -> Iterator[Waiter]:
        """Yield the waiters that waited for no more than `seq`, and forget them."""
        while (heap := self._heaps.get(origin)) and heap[0][0] <= seq:
            waiter = heappop(heap)[2]
            self._size -= 1
            if not heap:
                self._forget(origin)
            yield waiter

    def origins(self) -> list[Origin]:
        """Return the logs that anybody waits for."""
        return list(self._heaps)

    def still_watching(self, origin: Origin) -> list[Waiter]:
        """Return those that wait for this origin, in no particular order."""
        return [waiter for _, _, waiter in self._heaps.get(origin, ())]

    def any_fresh(self, origin: Origin, is_suspect: Callable[[Waiter], bool]) -> bool:
        """Whether any waiter of this log is suspect that was not looked at before, or was suspect then.

        So nobody else is looked at a second time, however long they wait.
        """
        suspects = list(filter(is_suspect, self._fresh.get(origin, ())))
        if origin in self._heaps:
            self._fresh[origin] = suspects
        return bool(suspects)

    def _forget(self, origin: Origin) -> None:
        del self._heaps[origin], self._fresh[origin]

    def _clear(self) -> None:
        for origin, heap in list(self._heaps.items()):
            heap[:] = [waiting for waiting in heap if self._is_waiting(waiting[2])]
            heapify(heap)
            if not heap:
                self._forget(origin)
        self._size = sum(len(heap) for heap in self._heaps.values())
        self._clear_at = max(2 * self._size, _CLEAR_AT_LEAST)


class Decided(NamedTuple):
    """An answer, and the entry that has to be on other branches' disks before it is given."""

    reply: Reply
    entry: EntryId


@dataclass(slots=True, eq=False)
class Held:
    """One request that is held."""

    request: Request
    since_us: int
    deadline_us: int
    first_question: int
    """The number of the first question to another branch that was asked after this request came."""
    needs: VersionVector = NOTHING
    """What the branch must dominate; grows as other branches answer."""
    is_admitted: bool = False
    """Whether `needs` has what the session and the freshness ask for."""
    unanswered: set[BranchId] = field(default_factory=set)
    """The branches whose answer is awaited still."""
    asked: int = 0
    """How many branches were asked."""
    question: int | None = None
    """The number of the question they were asked."""
    owner: BranchId | None = None
    """The branch that was asked what became of the key, or to decide instead of this one."""
    had_key: bool = False
    """Whether this branch was the one to decide its key."""
    owner_told_nothing_new: bool = False
    """Whether its answer named an entry that was here before."""
    is_forwarded: bool = False
    """Whether another branch decides instead of this one."""
    is_decided_for_it: bool = False
    """Whether that branch said that it decided for this request, and not for an earlier sending of it.

    Where the entry comes without its answer, nobody here knows, and what may be new is told as replayed.
    """
    heard: set[AccountId] = field(default_factory=set)
    """The accounts of which everything is known here that was acknowledged before the request came."""
    short_of: set[AccountId] = field(default_factory=set)
    """The accounts to which it lacks rights."""
    short_since: HybridTime | None = None
    """Since when it lacks rights; None where it never did."""
    is_final: bool = False
    """Whether it is to be decided as things stand: its time is over, or nothing of it waits for rights."""
    decided: "Decided | None" = None
    """How it ended, where only other branches' disks are waited for."""
    awaited: dict[Origin, Gap] = field(default_factory=dict)
    """Every gap this request was held for, as it was when first seen."""

    def note(self, applied: VersionVector) -> None:
        """Remember what is missing, for the reply."""
        for gap in applied.behind(self.needs):
            known = self.awaited.get(gap.origin)
            if known is None or known.needs < gap.needs:
                self.awaited[gap.origin] = gap if known is None else known._replace(needs=gap.needs)


class Holds:
    """All requests that are held, by their number and by their deadline."""

    def __init__(self) -> None:
        self._held: dict[RequestId, Held] = {}
        self._deadlines: list[tuple[int, RequestId]] = []
        self._keyed: dict[Key, set[RequestId]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """Yield those that are held, longest first."""
        return iter(self._held.values())

    def add(self, held: Held) -> None:
        """Hold a request until its deadline at the latest; one that is held stays held."""
        number, key = held.request.id, held.request.key
        if number in self._held:
            return
        self._held[number] = held
        heappush(self._deadlines, (held.deadline_us, number))
        if key is not None:
            self._keyed.setdefault(key, set()).add(number)

    def with_key(self, key: Key) -> list[RequestId]:
        """Return the requests that are held and have this key, in the order of their numbers."""
        return sorted(self._keyed.get(key, ()))

    def get(self, request: RequestId) -> Held | None:
        """Return what is held under this number; None where it has ended."""
        return self._held.get(request)

    def end(self, request: RequestId) -> Held | None:
        """Hold this request no longer; return it, or None where it had ended before."""
        held = self._held.pop(request, None)
        if held is not None and held.request.key is not None:
            same_key = self._keyed[held.request.key]
            same_key.discard(request)
            if not same_key:
                del self._keyed[held.request.key]
        # An ended hold leaves its deadline in the heap. Once these are the most, clear them out, so that
        # a branch which holds nothing keeps nothing, at a cost of O(1) for each hold on average.
        if len(self._deadlines) > 2 * len(self._held) + _CLEAR_AT_LEAST:
            self._deadlines = [(h.deadline_us, number) for number, h in self._held.items()]
            self._deadlines.sort()
        return held

    def shorten(self, deadline_us: int) -> None:
        """Let no request be held beyond this deadline."""
        for held in self._held.values():
            if held.deadline_us > deadline_us:
                held.deadline_us = deadline_us
                heappush(self._deadlines, (deadline_us, held.request.id))

    def overdue(self, now_us: int) -> Iterator[Held]:
        """Yield, and hold no longer, every request whose deadline has come."""
        while self._deadlines and self._deadlines[0][0] <= now_us:
            held = self.end(heappop(self._deadlines)[1])
            if held is not None:
                yield held

    def next_deadline_us(self) -> int | None:
        """Return the earliest deadline; None where nothing is held. May be early, never late."""
        return self._deadlines[0][0] if self._deadlines else None
