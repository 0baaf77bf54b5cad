"""The other branches, as far as one branch knows them."""

from bankbook.core.peers import Peers
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

B1, B2, B3 = BranchId(1), BranchId(2), BranchId(3)
ONE, TWO, TWO_AGAIN = Origin(B1, Incarnation(1)), Origin(B2, Incarnation(2)), Origin(B2, Incarnation(3))
OWN = VersionVector([(ONE, Seq(5)), (TWO, Seq(2))])


def test_a_branch_with_no_others_is_all_there_is() -> None:
    assert Peers([]).stable(OWN) == OWN


def test_nothing_is_known_everywhere_until_every_branch_has_said_so() -> None:
    peers = Peers([B2, B3])
    peers.learn(B2, OWN)
    assert peers.stable(OWN) == NOTHING
    peers.learn(B3, VersionVector([(ONE, Seq(3))]))
    assert peers.stable(OWN) == VersionVector([(ONE, Seq(3))])


def test_what_this_branch_lacks_is_not_everywhere() -> None:
    peers = Peers([B2])
    peers.learn(B2, VersionVector([(ONE, Seq(9))]))
    assert peers.stable(OWN) == VersionVector([(ONE, Seq(5))])


def test_late_news_takes_nothing_back() -> None:
    peers = Peers([B2])
    peers.learn(B2, OWN)
    peers.learn(B2, VersionVector([(ONE, Seq(1))]))
    assert peers.stable(OWN) == OWN


def test_a_branch_that_lost_its_store_has_nothing_until_it_says_what() -> None:
    peers = Peers([B2])
    peers.connect(B2, TWO, now_us=0)
    peers.learn(B2, OWN)
    peers.connect(B2, TWO_AGAIN, now_us=1)
    assert peers.stable(OWN) == NOTHING


def test_a_stream_that_is_up_and_silent_is_no_reachable_branch() -> None:
    peers = Peers([B2, B3])
    peers.connect(B2, TWO, now_us=100)
    assert peers.connected() == [B2]
    assert [peer.branch for peer in peers.reachable(149, 50)] == [B2]
    assert peers.reachable(150, 50) == []
