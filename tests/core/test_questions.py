"""The questions to other branches that are still open."""

from bankbook.core.messages import Answer, AskHead, Head
from bankbook.core.questions import Question, Questions
from bankbook.core.types import AccountId, BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING

TWO, THREE = (Origin(BranchId(branch), Incarnation(1)) for branch in (2, 3))
B2, B3 = TWO.branch, THREE.branch


def answer_to(number: int, origin: Origin) -> Head:
    return Head(number, origin, Seq(1), Seq(1), NOTHING)


def nobody_is_told(_branch: BranchId, _answer: Head | Answer) -> None:
    """Stand for a request that waits for the answer."""


def heartbeat(questions: Questions, asked_us: int = 0) -> int:
    number = questions.next
    questions.ask(number, Question(asked_us, {B2, B3}, None, lambda _: AskHead(number)))
    return number


def asked_for_a_request(questions: Questions, asked_us: int = 0) -> int:
    """Ask each branch about an account of its own, so that the messages can be told apart."""
    number = questions.next
    question = Question(
        asked_us, {B2, B3}, nobody_is_told, lambda branch: AskHead(number, AccountId(f"of-{branch}"))
    )
    questions.ask(number, question)
    return number


def test_a_branch_answers_a_question_once() -> None:
    questions = Questions(first=50)
    asked = asked_for_a_request(questions)
    assert asked == 50
    assert questions.answer(B2, answer_to(asked, TWO)) is not None
    assert questions.answer(B2, answer_to(asked, TWO)) is None
    assert questions.answer(B3, answer_to(asked, THREE)) is not None
    assert questions.answer(B3, answer_to(asked, THREE)) is None


def test_an_answer_to_what_was_never_asked_or_is_forgotten_is_nobodys() -> None:
    questions = Questions(first=50)
    asked = asked_for_a_request(questions)
    assert questions.answer(B2, answer_to(49, TWO)) is None
    assert questions.answer(B2, Answer(49, None)) is None
    questions.forget(asked)
    questions.forget(asked)
    questions.forget(None)
    assert questions.answer(B2, answer_to(asked, TWO)) is None


def test_what_a_request_needs_is_asked_again_of_whom_it_was_asked_and_heartbeats_are_not() -> None:
    questions = Questions(first=1)
    heartbeat(questions)
    early, late = asked_for_a_request(questions, asked_us=5), asked_for_a_request(questions, asked_us=9)
    assert list(questions.unanswered_by(B2, asked_until_us=8)) == [AskHead(early, AccountId("of-2"))]
    questions.answer(B2, answer_to(early, TWO))
    assert list(questions.unanswered_by(B2, asked_until_us=9)) == [AskHead(late, AccountId("of-2"))]
    again = [AskHead(number, AccountId("of-3")) for number in (early, late)]
    assert list(questions.unanswered_by(B3, asked_until_us=9)) == again


def test_a_question_to_nobody_is_never_open() -> None:
    questions = Questions(first=1)
    questions.ask(1, Question(0, set(), nobody_is_told, lambda _: AskHead(1)))
    assert list(questions.unanswered_by(B2, asked_until_us=9)) == []


def test_a_question_keeps_its_number_even_where_it_is_heartbeats_that_are_given_up() -> None:
    questions = Questions(first=1)
    asked = asked_for_a_request(questions)
    for asked_us in range(100):
        heartbeat(questions, asked_us)
    assert questions.answer(B2, answer_to(asked, TWO)) is not None


def test_ten_thousand_unanswered_heartbeats_cost_no_memory() -> None:
    questions = Questions(first=1)
    for asked_us in range(10_000):
        last = heartbeat(questions, asked_us)
    assert len(questions._open) < 10
    assert questions.answer(B2, answer_to(last, TWO)) is not None
