"""The other branches, as far as this one knows them: who is there, and what each has on its disk.

Decides whom to believe reachable, and what every branch is known to have. Must not know what is done
with either. Proof: tests/core/test_peers.py, tests/core/test_sessions.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bankbook.core.types import BranchId, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector


@dataclass(slots=True, eq=False)
class Peer:
    """What this branch knows of another one."""

    branch: BranchId
    is_connected: bool = False
    heard_us: int = 0
    """When anything last came down the stream from there, or when it came up."""
    origin: Origin | None = None
    """Its present incarnation; None until it has greeted once."""
    link: Origin | None = None
    """Who greeted at the other end of the stream from there; None where it is down."""
    subscriber: Origin | None = None
    """Who greeted at the other end of the stream to there; None where it is down."""
    is_link_newer: bool = False
    """Whether the stream from there came up after `subscriber` had greeted."""
    applied: VersionVector = NOTHING
    """What it is known to have on its disk. Never ahead of the truth."""
    dropped: VersionVector = NOTHING
    """What it has said to be in its logs no longer; it may be more by now."""
    head: Seq = Seq(0)
    """The last seq of its own log, as it was when asked at `head_asked_us`."""
    head_asked_us: int | None = None
    """None until it has answered once."""

    def begin_life(self, origin: Origin | None) -> None:
        """Take note of a new life of its store, or of none: what the old one had and said counts no more."""
        self.origin, self.applied, self.head, self.head_asked_us = origin, NOTHING, Seq(0), None
        self.dropped = NOTHING

    def is_reachable(self, now_us: int, silence_max_us: int) -> bool:
        """Whether its stream is up and not suspiciously silent."""
        return self.is_connected and now_us - self.heard_us < silence_max_us


class Peers:
    """All other branches."""

    def __init__(self, branches: Iterable[BranchId]) -> None:
        self._peers = {branch: Peer(branch) for branch in branches}
        self._everywhere: VersionVector | None = None
        """What all have and this one had; None where it has to be found out anew. It may be behind the
        truth, never ahead of it."""

    def __getitem__(self, branch: BranchId) -> Peer:
        return self._peers[branch]

    def __contains__(self, branch: BranchId) -> bool:
        return branch in self._peers

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def connect(self, branch: BranchId, origin: Origin, now_us: int) -> None:
        """Note that the stream from `branch` is up, and who greeted there."""
        peer = self._peers[branch]
        peer.is_connected, peer.heard_us, peer.link, peer.is_link_newer = True, now_us, origin, True
        self.greet(branch, origin)

    def greet(self, branch: BranchId, origin: Origin) -> None:
        """Note which life of its store `branch` is in."""
        peer = self._peers[branch]
        if peer.origin != origin:
            peer.begin_life(origin)
            self._everywhere = None

    def end_life(self, origin: Origin) -> None:
        """Note that a life of a branch's store is over."""
        peer = self._peers[origin.branch]
        if peer.origin == origin:
            peer.begin_life(None)
            self._everywhere = None

    def learn(self, branch: BranchId, applied: VersionVector) -> bool:
        """Note what a branch has on its disk; return whether that is news."""
        peer = self._peers[branch]
        if peer.applied.dominates(applied):
            return False
        peer.applied = peer.applied.merge(applied)
        self._everywhere = None
        return True

    def having(self, origin: Origin, seq: Seq) -> int:
        """Return how many other branches are known to have an entry on their disk."""
        return sum(peer.applied[origin] >= seq for peer in self)

    def connected(self) -> list[BranchId]:
        """Return the branches whose stream is up."""
        return [peer.branch for peer in self if peer.is_connected]

    def reachable(self, now_us: int, silence_max_us: int) -> list[Peer]:
        """Return the branches that can be counted on to answer."""
        return [peer for peer in self if peer.is_reachable(now_us, silence_max_us)]

    def stable(self, own: VersionVector) -> VersionVector:
        """Return what every branch is known to have on its disk, this one, with `own`, included."""
        if not self._peers:
            return own
        if self._everywhere is None:
            self._everywhere = own
            for peer in self:
                self._everywhere = self._everywhere.floor(peer.applied)
        return self._everywhere
