"""Every way a request can end says what became of the money, and what to do."""

import pytest

from bankbook.core.outcome import Certainty, Outcome


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_told_in_a_sentence(outcome: Outcome) -> None:
    assert outcome.in_words[0].isupper()
    assert outcome.in_words.endswith(".")


def test_no_two_outcomes_are_the_same_one_under_two_names() -> None:
    assert len(Outcome) == len(Outcome.__members__)


def test_only_one_outcome_means_that_it_was_done_and_those_that_leave_it_open_tell_to_ask_again() -> None:
    assert [each for each in Outcome if each.certainty is Certainty.DONE] == [Outcome.OK]
    in_doubt = {each for each in Outcome if each.certainty is Certainty.UNKNOWN}
    assert in_doubt == {Outcome.OUTCOME_UNKNOWN, Outcome.DURABILITY_TIMEOUT}
    assert all("ask again with the same key" in each.in_words for each in in_doubt)


def test_what_time_or_another_branch_may_mend_can_be_asked_again() -> None:
    assert {each for each in Outcome if each.certainty is Certainty.RETRYABLE} == {
        Outcome.SHUTTING_DOWN,
        Outcome.TOO_MANY_HELD,
        Outcome.BRANCH_UNREACHABLE,
        Outcome.HOLD_TIMEOUT,
        Outcome.CATCHING_UP,
        Outcome.RIGHTS_UNREACHABLE,
        Outcome.STORE_UNAVAILABLE,
    }
