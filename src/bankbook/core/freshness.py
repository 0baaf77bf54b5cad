"""How fresh an answer is.

Decides which branches a BOUNDED or LATEST request has to hear from, and what it must have of the others.
Must not know what is done with the answers. Proof: tests/core/test_freshness.py.
"""

from collections.abc import Iterable

from bankbook.core.commands import Freshness, Level
from bankbook.core.peers import Peer
from bankbook.core.types import BranchId
from bankbook.core.vector import NOTHING, VersionVector


def branches_to_ask(freshness: Freshness, peers: Iterable[Peer], now_us: int) -> set[BranchId]:
    """Return the branches whose answer a request of this freshness needs, if it arrived now."""
    match freshness.level:
        case Level.LATEST:
            return {peer.branch for peer in peers}
        case Level.BOUNDED:
            return {peer.branch for peer in peers if not _is_fresh(peer, now_us - freshness.bound_us)}
        case _:
            return set()


def heads_known(freshness: Freshness, peers: Iterable[Peer], now_us: int) -> VersionVector:
    """Return the heads that a BOUNDED request must have, of the branches that need not be asked."""
    if freshness.level is not Level.BOUNDED:
        return NOTHING
    return VersionVector(
        (peer.origin, peer.head)
        for peer in peers
        if peer.origin is not None and _is_fresh(peer, now_us - freshness.bound_us)
    )


def _is_fresh(peer: Peer, since_us: int) -> bool:
    # Not at that moment itself: what was acknowledged in the same microsecond may have come after it.
    return peer.head_asked_us is not None and peer.head_asked_us > since_us
