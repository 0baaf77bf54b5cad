"""Logs on their way in and out.

Decides which entries wait for which, what is sent to whom, and from whom each log is fetched. Must not
know what an entry says. Proof: tests/core/test_replication.py.

Subscriber and publisher are two sides of one stream between two branches; `Inbox` and `Subscriptions`
are the subscriber's, `Outbox` the publisher's.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bankbook.core.entry import Entry
from bankbook.core.messages import Entries, Subscribe, Unsubscribe
from bankbook.core.peers import Peer
from bankbook.core.types import BranchId, Origin, Seq
from bankbook.core.vector import VersionVector

# One message of entries: about 50 kB, far below gRPC's 4 MB, long enough that its cost is the entries'.
ENTRIES_PER_MESSAGE_MAX = 256

# What may be on its way to one subscriber, of one origin, without being acknowledged. It bounds the
# subscriber's inbox too: about 1 MB for each origin.
IN_FLIGHT_MAX = 4096

# The same for large entries, such as batches: one message, and what is on its way. Measured by the mean of
# what was sent last, so a log that suddenly has larger entries exceeds it once, by as much as that was wrong.
MESSAGE_BYTES = 512 * 1024
IN_FLIGHT_BYTES = 16 * 1024 * 1024

# What an entry is taken for before one was sent: few are read at first, whatever they are.
_ENTRY_BYTES_AT_FIRST = 64 * 1024


class Inbox:
    """Entries that have arrived and cannot be applied yet: out of order, or before what they depend on."""

    def __init__(self) -> None:
        self._waiting: dict[Origin, dict[Seq, Entry]] = {}

    def offer(self, entry: Entry, applied: VersionVector) -> None:
        """Take in an entry; one that is applied, doubled or too far ahead is dropped, harmlessly."""
        ahead = entry.seq - applied[entry.origin]
        if 0 < ahead <= IN_FLIGHT_MAX:
            self._waiting.setdefault(entry.origin, {}).setdefault(entry.seq, entry)

    def next(self, origin: Origin, applied: VersionVector) -> Entry | None:
        """Return the entry that would be next in this origin's log; None where it has not arrived."""
        return self._waiting.get(origin, {}).get(Seq(applied[origin] + 1))

    def remove(self, entry: Entry) -> None:
        """Forget an entry that was applied."""
        waiting = self._waiting[entry.origin]
        del waiting[entry.seq]
        if not waiting:
            del self._waiting[entry.origin]

    def forget(self, origin: Origin) -> None:
        """Forget all that has arrived of a log and waits."""
        self._waiting.pop(origin, None)

    def origins(self) -> list[Origin]:
        """Return the logs of which anything waits."""
        return list(self._waiting)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())


@dataclass(slots=True)
class Progress:
    """How far one subscriber is in one log. Invariant: acknowledged < next."""

    next: Seq
    """The next to be sent."""
    acknowledged: Seq
    entry_bytes: int = _ENTRY_BYTES_AT_FIRST
    """The mean size of the entries that were sent last."""

    def skip(self, has: Seq) -> None:
        """Note that the subscriber has all up to there."""
        self.acknowledged = max(self.acknowledged, has)
        self.next = max(self.next, Seq(self.acknowledged + 1))


class LogReader(Protocol):
    """Where the outbox finds the entries it sends."""

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log, in order, from the one behind `after`."""
        ...

    def dropped(self) -> VersionVector:
        """Return up to which entry of each log nothing is kept any longer."""
        ...


class Outbox:
    """What each subscriber has asked for, and how far it is."""

    def __init__(self) -> None:
        self._subscribers: dict[BranchId, dict[Origin, Progress]] = {}

    def subscribe(self, branch: BranchId, message: Subscribe) -> None:
        """Begin, or begin again, to send a log from behind `after`."""
        progress = Progress(Seq(message.after + 1), message.after)
        self._subscribers.setdefault(branch, {})[message.origin] = progress

    def unsubscribe(self, branch: BranchId, origin: Origin) -> None:
        """Send this log no more."""
        self._subscribers.get(branch, {}).pop(origin, None)

    def acknowledge(self, branch: BranchId, applied: VersionVector) -> None:
        """Note what a subscriber has on its disk."""
        for origin, progress in self._subscribers.get(branch, {}).items():
            progress.skip(applied[origin])

    def drop(self, branch: BranchId) -> None:
        """Forget a subscriber whose stream is gone."""
        self._subscribers.pop(branch, None)

    def due(
        self, log: LogReader, applied: VersionVector, *, is_awaited: bool = False
    ) -> Iterator[tuple[BranchId, Entries]]:
        """Yield what can be sent now, and count it as sent. `is_awaited`: see Entries.

        What was dropped meanwhile every subscriber has: one that has said so to nobody but others, or by a
        stream that is gone, is not sent it again.
        """
        dropped = log.dropped()
        for branch, logs in self._subscribers.items():
            for origin, progress in logs.items():
                progress.skip(dropped[origin])
                while entries := _next_run(origin, progress, log, applied):
                    progress.next = Seq(entries[-1].seq + 1)
                    yield branch, Entries(origin, entries, is_awaited)


def _next_run(
    origin: Origin, progress: Progress, log: LogReader, applied: VersionVector
) -> tuple[Entry, ...]:
    """Return what can be sent now of one log, in one message; empty where nothing can."""
    in_flight = progress.next - 1 - progress.acknowledged
    flight_max = min(IN_FLIGHT_MAX, max(IN_FLIGHT_BYTES // progress.entry_bytes, 1))
    message_max = min(ENTRIES_PER_MESSAGE_MAX, max(MESSAGE_BYTES // progress.entry_bytes, 1))
    limit = min(message_max, flight_max - in_flight, applied[origin] - (progress.next - 1))
    if limit <= 0:
        return ()
    entries = tuple(log.entries(origin, Seq(progress.next - 1), limit))
    progress.entry_bytes = max(sum(len(entry.encoded) for entry in entries) // len(entries), 1)
    return entries


class Subscription(NamedTuple):
    """From whom one log is fetched."""

    source: BranchId
    applied: Seq
    """How far this branch was when it last asked or last got anything."""
    since_us: int
    """When that was."""


class Subscriptions:
    """From which branch this one fetches each log: the origin itself, or whoever has it."""

    def __init__(self, own: Origin, resend_us: int) -> None:
        self._own = own
        self._resend_us = resend_us
        self._subscriptions: dict[Origin, Subscription] = {}

    def sources(self) -> dict[Origin, BranchId]:
        """Return, for each log that is fetched, from which branch."""
        return {origin: subscription.source for origin, subscription in self._subscriptions.items()}

    def lost(self, branch: BranchId) -> None:
        """Forget what was asked of a branch whose stream is gone."""
        self._subscriptions = {
            origin: subscription
            for origin, subscription in self._subscriptions.items()
            if subscription.source != branch
        }

    def plan(
        self,
        reachable: Iterable[Peer],
        applied: VersionVector,
        blocked: Collection[Origin],
        successors: Mapping[Origin, Peer],
        now_us: int,
    ) -> Iterator[tuple[BranchId, Subscribe | Unsubscribe]]:
        """Yield the messages that bring every log here from the best reachable source.

        `blocked` are the logs whose next entry is here and waits for another log: nothing of them is lost.
        `successors` are of stores that were replaced, and of whoever took the place of each.
        """
        peers = list(reachable)
        for origin in _origins(peers, self._own):
            has = applied[origin]
            present = self._subscriptions.get(origin)
            source = successors.get(origin) or _best_source(origin, peers, has, present)
            if present is not None and present.source == source.branch:
                is_moving = has > present.applied or source.applied[origin] <= has or origin in blocked
                if is_moving:
                    self._subscriptions[origin] = Subscription(source.branch, has, now_us)
                if is_moving or now_us - present.since_us < self._resend_us:
                    continue
            elif present is not None:
                yield present.source, Unsubscribe(origin)
            self._subscriptions[origin] = Subscription(source.branch, has, now_us)
            yield source.branch, Subscribe(origin, has)


def _origins(peers: list[Peer], own: Origin) -> list[Origin]:
    known = {peer.origin for peer in peers if peer.origin is not None}
    known.update(origin for peer in peers for origin, _ in peer.applied)
    return sorted(known - {own})


def _best_source(origin: Origin, peers: list[Peer], has: Seq, present: Subscription | None) -> Peer:
    """The origin itself; where it cannot be reached, a relay: who is furthest, but no change for nothing.

    A relay is left for another one only if that has news and this has none. Otherwise two branches that
    are equally far could fetch a log from each other for ever, while a third one has more of it. Who no
    longer has what comes next is no source, unless nobody is.
    """
    peers = [peer for peer in peers if peer.dropped[origin] <= has] or peers
    for peer in peers:
        if peer.origin == origin:
            return peer
    best = max(peers, key=lambda peer: (peer.applied[origin], -peer.branch))
    for peer in peers:
        if present is not None and peer.branch == present.source:
            return peer if peer.applied[origin] > has or best.applied[origin] <= has else best
    return best
