"""How a request is tried again: where, when, and with which key; without a network."""

import pytest

from bankbook.client import retries
from bankbook.client.attempts import Missed
from bankbook.client.retries import Plan
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import Key, is_key
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.status import Failure

INFO = ReplyInfo(b"", 1)
LOST = Missed(Failure(Outcome.OUTCOME_UNKNOWN, "lost"), was_sent=True)
UNREACHED = Missed(Failure(Outcome.BRANCH_UNREACHABLE, "not there"), was_sent=False)


def told(outcome: Outcome) -> Missed:
    return Missed(Failure(outcome, "no", INFO), was_sent=True)


def plan(
    *branches: int, deadline: float = 30.0, key: Key | None = None, is_write: bool = True, again: bool = True
) -> Plan:
    return Plan(branches or (1, 2, 3), deadline, 0.0, is_write=is_write, key=key, is_retried=again)


def ends_at_once(missed: Missed) -> bool:
    return plan().pause_after(missed, 0.0) is None


AGAIN = {
    Outcome.SHUTTING_DOWN,
    Outcome.TOO_MANY_HELD,
    Outcome.CATCHING_UP,
    Outcome.STORE_UNAVAILABLE,
    Outcome.OUTCOME_UNKNOWN,
}


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.OK])
def test_only_what_may_end_better_is_tried_again(outcome: Outcome) -> None:
    assert ends_at_once(told(outcome)) == (outcome not in AGAIN)
    assert not (ends_at_once(told(outcome)) and outcome in AGAIN)
    if outcome.certainty is Certainty.REFUSED:
        assert outcome not in AGAIN


def test_the_branches_are_tried_in_turn_from_the_usual_one_on_and_the_pauses_come_between_the_rounds() -> (
    None
):
    attempts = plan(2, 3, 1)
    seen, pauses = [], []
    for _ in range(7):
        seen.append(attempts.branch)
        pause_s = attempts.pause_after(LOST, 0.0)
        assert pause_s is not None
        pauses.append(pause_s > 0)
    assert seen == [2, 3, 1, 2, 3, 1, 2]
    assert pauses == [False, False, True, False, False, True, False]


def test_the_pauses_grow_and_never_beyond_the_longest() -> None:
    attempts = plan(1, deadline=1e9)
    pauses = [attempts.pause_after(LOST, 0.0) or 0.0 for _ in range(2000)]
    first, last = retries.BACKOFF_FIRST_S, retries.BACKOFF_LAST_S
    assert first / 2 <= pauses[0] <= first
    assert all(last / 2 <= pause <= last for pause in pauses[10:])
    assert len(set(pauses)) > 1, "those who failed together do not come again together"


def test_a_lost_write_keeps_its_key_at_whichever_branch() -> None:
    attempts = plan(2, 3)
    key = attempts.key
    assert key is not None
    assert is_key(key)
    assert key.startswith("2/"), "born where it is tried first"
    for _ in range(5):
        attempts.pause_after(LOST, 0.0)
        attempts.pause_after(told(Outcome.SHUTTING_DOWN), 0.0)
        assert attempts.key == key


def test_a_write_that_certainly_did_not_happen_gets_a_key_of_the_branch_that_is_tried_next() -> None:
    attempts = plan(2, 3)
    first = attempts.key
    attempts.pause_after(UNREACHED, 0.0)
    assert attempts.key is not None
    assert attempts.key != first
    assert attempts.key.startswith("3/"), "nobody has to ask a branch that is down what became of it"


def test_keys_stand_in_the_order_in_which_they_were_made() -> None:
    """Whatever is drawn: a branch's store writes the newest ones side by side."""
    attempts = plan(2)
    keys = [attempts.key]
    for tenths in range(1, 100):
        attempts.pause_after(told(Outcome.SHUTTING_DOWN), tenths / 10)
        keys.append(attempts.key)
    assert len(set(keys)) == 100
    assert keys == sorted(key for key in keys if key is not None)


def test_a_key_of_the_callers_own_is_never_changed() -> None:
    attempts = plan(key=Key("order-17"))
    for missed in (UNREACHED, told(Outcome.SHUTTING_DOWN), LOST):
        attempts.pause_after(missed, 0.0)
        assert attempts.key == "order-17"


def test_a_read_has_no_key() -> None:
    attempts = plan(is_write=False)
    attempts.pause_after(UNREACHED, 0.0)
    assert attempts.key is None


def test_the_end_of_the_callers_time_is_the_end_of_the_attempts() -> None:
    assert plan(deadline=10.0).pause_after(LOST, 9.9) is not None
    assert plan(deadline=10.0).pause_after(LOST, 9.99) is None, "too late for an answer"
    assert plan(deadline=10.0).pause_after(LOST, 10.5) is None


def test_one_attempt_is_one_attempt() -> None:
    attempts = plan(1, 2, again=False)
    assert attempts.wait_s == retries.CONNECT_TIMEOUT_S, "there is nowhere else to go"
    assert attempts.pause_after(told(Outcome.SHUTTING_DOWN), 0.0) is None


def test_a_bank_that_cannot_be_reached_is_given_up_earlier_than_one_that_lost_an_answer() -> None:
    later = retries.CONNECT_TIMEOUT_S + 1
    assert plan().pause_after(UNREACHED, 0.0) is not None
    assert plan().pause_after(UNREACHED, later) is None
    in_doubt = plan()
    in_doubt.pause_after(LOST, 0.0)
    assert in_doubt.pause_after(UNREACHED, later) is not None


@pytest.mark.parametrize("outcome", [Outcome.INVALID_TOKEN, Outcome.WRITES_LOST, Outcome.INVALID_REQUEST])
def test_what_is_refused_before_the_key_is_looked_for_takes_no_doubt_away(outcome: Outcome) -> None:
    attempts = plan()
    assert attempts.verdict(told(outcome).failure).outcome is outcome
    attempts.pause_after(LOST, 0.0)
    verdict = attempts.verdict(told(outcome).failure)
    assert verdict.outcome is Outcome.OUTCOME_UNKNOWN
    assert verdict.detail == "lost; and when it was asked for again: no"


def test_what_is_decided_under_the_same_key_takes_the_doubt_away() -> None:
    attempts = plan()
    attempts.pause_after(LOST, 0.0)
    failure = told(Outcome.INSUFFICIENT_FUNDS).failure
    assert attempts.verdict(failure) == failure


@pytest.mark.parametrize("outcome", [Outcome.SHUTTING_DOWN, Outcome.HOLD_TIMEOUT, Outcome.BRANCH_UNREACHABLE])
def test_a_branch_that_could_do_nothing_takes_no_doubt_away(outcome: Outcome) -> None:
    attempts = plan()
    attempts.pause_after(LOST, 0.0)
    assert attempts.verdict(told(outcome).failure).outcome is Outcome.OUTCOME_UNKNOWN
