"""What was sent on is answered once and for all."""

import pytest

from bankbook.core.commands import Deposit
from bankbook.core.messages import Answer, AskKey, Forward
from bankbook.core.outcome import Outcome
from bankbook.core.token import Token
from bankbook.core.types import AccountId, BranchId, CustomerId, EntryId, Incarnation, Key, Money, Origin, Seq
from bankbook.simulation.answers import Answers
from bankbook.simulation.promises import Promise, ViolationError

ONE, TWO = BranchId(1), BranchId(2)
FORWARD = Forward(5, CustomerId("anna"), Deposit(AccountId("anna"), Money(1)), Key("2/pay"), Token(), 1000)
REFUSED = Answer(5, None, Outcome.TOO_MANY_HELD, "full", ONE)
DONE = Answer(5, EntryId(Origin(ONE, Incarnation(7)), Seq(3)))


def test_who_was_told_that_nothing_happened_is_not_told_later_that_it_did() -> None:
    answers = Answers(ONE)
    answers.on_delivered(TWO, FORWARD)
    answers.on_sent(TWO, REFUSED)
    answers.on_delivered(TWO, FORWARD)
    answers.on_sent(TWO, REFUSED)
    with pytest.raises(ViolationError) as caught:
        answers.on_sent(TWO, DONE)
    assert caught.value.violation.promise == Promise.REFUSED_MEANS_NEVER


def test_what_is_told_about_a_key_may_change() -> None:
    """First that it is given away, then what became of it there."""
    answers = Answers(ONE)
    answers.on_delivered(TWO, AskKey(5, Key("1/pay")))
    answers.on_sent(TWO, DONE)
    answers.on_sent(TWO, REFUSED)


def test_once_the_disk_has_failed_nobody_remembers() -> None:
    answers = Answers(ONE)
    answers.on_delivered(TWO, FORWARD)
    answers.on_sent(TWO, REFUSED)
    answers.forget()
    answers.on_delivered(TWO, FORWARD)
    answers.on_sent(TWO, DONE)
