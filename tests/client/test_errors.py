"""The exceptions: every one can be reached, and says what a customer needs to know."""

import pytest
from client.fake_branch import fake_branch, refuse_with

from bankbook import client
from bankbook.client import Bank, BankbookError, OutcomeUnknownError, RefusedError, RetryableError, errors
from bankbook.client.errors import ERRORS, error_for
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import Gap
from bankbook.wire.replies import ReplyInfo
from bankbook.wire.status import Failure

GAP = Gap(Origin(BranchId(2), Incarnation(7)), Seq(1), Seq(2))
FAILURES = [outcome for outcome in Outcome if outcome is not Outcome.OK]


def family(error: type[BankbookError]) -> list[type[BankbookError]]:
    return [error, *(each for child in error.__subclasses__() for each in family(child))]


@pytest.mark.parametrize("outcome", FAILURES)
async def test_every_outcome_of_a_branch_reaches_the_customer_as_its_own_exception(outcome: Outcome) -> None:
    info = ReplyInfo(b"token", 2, held_us=9, awaited=(GAP,))
    failure = Failure(outcome, "that is why", info, branch=3, balance=400, available=300, command=2)
    async with fake_branch(refuse_with(failure)) as branch, Bank([branch.address], retries=False) as bank:
        session = bank.session("anna")
        with pytest.raises(BankbookError) as error:
            await session.deposit(5)
        assert type(error.value) is ERRORS[outcome]
        assert error.value.failure == failure
        assert (error.value.branch, error.value.balance) == (3, 400)
        assert (error.value.available, error.value.command) == (300, 2)
        assert [error.value.key] == branch.keys
        assert (error.value.held_us, error.value.awaited) == (9, (GAP,))
        assert bytes(session.token) == b"token", "an error teaches the session too"


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_exception_says_why_and_what_to_do(outcome: Outcome) -> None:
    told = error_for(Failure(outcome, "account anna has 5", ReplyInfo(b"", 1)))
    assert str(told) == f"account anna has 5. {outcome.in_words}"
    found_out_here = error_for(Failure(outcome, "branch 1 could not be reached; is it running?"))
    if outcome.certainty is Certainty.UNKNOWN:
        assert str(found_out_here).endswith(outcome.in_words), "what it means for the money is always told"
    else:
        assert str(found_out_here) == "branch 1 could not be reached; is it running?"
    for error in (told, found_out_here):
        assert (error.branch, error.balance, error.held_us, error.awaited) == (None, None, 0, ())
        assert (error.key, error.available, error.command) == (None, None, None)


def test_whoever_catches_a_family_catches_all_of_it_and_nothing_else() -> None:
    children = [set(family(each)) for each in (RefusedError, RetryableError, OutcomeUnknownError)]
    assert set.union(*children) | {BankbookError} == set(family(BankbookError))
    assert sum(len(each) for each in children) == len(set.union(*children))


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    drawn = [line.split("─")[-1].split()[0] for line in str(errors.__doc__).splitlines() if "Error" in line]
    assert set(drawn) == {error.__name__ for error in family(BankbookError)}
    assert len(drawn) == len(set(drawn))


def test_every_exception_can_be_imported_from_the_client() -> None:
    for error in family(BankbookError):
        assert getattr(client, error.__name__) is error
        assert error.__name__ in client.__all__
