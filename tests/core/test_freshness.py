"""Whom a request has to hear from, and what it must have of the others."""

from bankbook.core.commands import Freshness, Level
from bankbook.core.freshness import branches_to_ask, heads_known
from bankbook.core.peers import Peer
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

TWO, THREE = (Origin(BranchId(branch), Incarnation(1)) for branch in (2, 3))
B2, B3 = TWO.branch, THREE.branch


def bounded(bound_us: int) -> Freshness:
    return Freshness(Level.BOUNDED, bound_us)


def heard(origin: Origin, head: int, asked_us: int | None) -> Peer:
    return Peer(origin.branch, is_connected=True, origin=origin, head=Seq(head), head_asked_us=asked_us)


def test_latest_asks_everybody_and_local_and_session_nobody() -> None:
    peers = [heard(TWO, 1, 100), heard(THREE, 1, None)]
    assert branches_to_ask(Freshness(Level.LATEST), peers, 100) == {2, 3}
    assert branches_to_ask(Freshness(Level.SESSION), peers, 100) == set()
    assert branches_to_ask(Freshness(Level.LOCAL), peers, 100) == set()


def test_bounded_asks_those_whose_answer_is_as_old_as_the_bound_and_believes_the_rest() -> None:
    peers = [heard(TWO, 7, 90), heard(THREE, 8, 91)]
    assert branches_to_ask(bounded(10), peers, 100) == {2}
    assert heads_known(bounded(10), peers, 100) == VersionVector([(THREE, Seq(8))])


def test_bounded_asks_whoever_never_answered() -> None:
    peers = [Peer(B2), heard(THREE, 0, None)]
    assert branches_to_ask(bounded(10**9), peers, 100) == {2, 3}
    assert heads_known(bounded(10**9), peers, 100) == NOTHING


def test_only_bounded_needs_the_known_heads() -> None:
    peers = [heard(TWO, 7, 100)]
    for level in (Level.LOCAL, Level.SESSION, Level.LATEST):
        assert heads_known(Freshness(level), peers, 100) == NOTHING


def test_a_new_life_of_a_branch_has_said_and_has_nothing_yet() -> None:
    peer = heard(TWO, 7, 90)
    peer.applied = VersionVector([(TWO, Seq(7))])
    peer.begin_life(Origin(B2, Incarnation(2)))
    assert (peer.applied, peer.head, peer.head_asked_us) == (NOTHING, 0, None)


def test_a_branch_is_reachable_while_its_stream_is_up_and_it_is_not_silent() -> None:
    peer = Peer(B2, is_connected=True, heard_us=100)
    assert peer.is_reachable(109, silence_max_us=10)
    assert not peer.is_reachable(110, silence_max_us=10)
    peer.is_connected = False
    assert not peer.is_reachable(100, silence_max_us=10)
