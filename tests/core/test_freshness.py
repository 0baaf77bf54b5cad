"""What the others said, when it was asked, and whom a request has to hear from."""

from bankbook.core.commands import Freshness, Level, RequestId
from bankbook.core.freshness import Question, Questions, branches_to_ask, heads_known
from bankbook.core.messages import AskHead, Head
from bankbook.core.peers import Peer
from bankbook.core.types import AccountId, BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

TWO, THREE = (Origin(BranchId(branch), Incarnation(1)) for branch in (2, 3))
B2, B3 = TWO.branch, THREE.branch


def bounded(bound_us: int) -> Freshness:
    return Freshness(Level.BOUNDED, bound_us)


def heard(origin: Origin, head: int, asked_us: int | None) -> Peer:
    return Peer(origin.branch, is_connected=True, origin=origin, head=Seq(head), head_asked_us=asked_us)


def answer_to(asked: AskHead, origin: Origin) -> Head:
    return Head(asked.question, origin, Seq(1), Seq(1), NOTHING)


def heartbeat(asked_us: int = 0) -> Question:
    return Question(None, asked_us, None, {B2, B3})


def asked_for(request: int, asked_us: int = 0) -> Question:
    return Question(AccountId("a"), asked_us, RequestId(request), {B2, B3})


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


def test_a_branch_answers_a_question_once() -> None:
    questions = Questions(first=50)
    asked = questions.ask(asked_for(1))
    assert asked == AskHead(50, AccountId("a"))
    assert questions.answer(B2, answer_to(asked, TWO)) is not None
    assert questions.answer(B2, answer_to(asked, TWO)) is None
    assert questions.answer(B3, answer_to(asked, THREE)) is not None
    assert questions.answer(B3, answer_to(asked, THREE)) is None


def test_an_answer_to_what_was_never_asked_or_is_forgotten_is_nobodys() -> None:
    questions = Questions(first=50)
    asked = questions.ask(asked_for(1))
    assert questions.answer(B2, answer_to(AskHead(49), TWO)) is None
    questions.forget(asked.question)
    questions.forget(asked.question)
    assert questions.answer(B2, answer_to(asked, TWO)) is None


def test_what_a_request_needs_is_asked_again_and_heartbeats_are_not() -> None:
    questions = Questions(first=1)
    questions.ask(heartbeat())
    early, late = questions.ask(asked_for(1, asked_us=5)), questions.ask(asked_for(2, asked_us=9))
    assert list(questions.unanswered_by(B2, asked_until_us=8)) == [early]
    questions.answer(B2, answer_to(early, TWO))
    assert list(questions.unanswered_by(B2, asked_until_us=9)) == [late]
    assert list(questions.unanswered_by(B3, asked_until_us=9)) == [early, late]


def test_ten_thousand_unanswered_heartbeats_cost_no_memory() -> None:
    questions = Questions(first=1)
    for asked_us in range(10_000):
        last = questions.ask(heartbeat(asked_us))
    assert len(questions._open) < 10
    assert questions.answer(B2, answer_to(last, TWO)) is not None
