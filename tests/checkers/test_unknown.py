"""What a history does not show is UNKNOWN, with the reason, and never made up for by comparing balances."""

import pytest
from checkers.histories import Story, deposit, lines, read, statement, transfer, withdraw

from bankbook.checkers import Kind
from bankbook.core.commands import LATEST, LOCAL, Batch, Capture, Deposit, Reserve
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money, ReservationId
from bankbook.history.record import Fault, FaultKind, Stated, StatedLine, Told


def test_a_history_without_reads_proves_nothing() -> None:
    story = Story()
    for number in range(5):
        story.ask("anna", 1, deposit(1 << number))
    report = story.check()
    assert report.kind is Kind.UNKNOWN
    assert all(verdict.kind is Kind.UNKNOWN and verdict.reason for verdict in report.verdicts)


def test_an_empty_history_proves_nothing() -> None:
    assert Story().check().kind is Kind.UNKNOWN


def test_equal_amounts_leave_open_which_of_two_deposits_is_shown() -> None:
    story = Story()
    story.ask("bert", 2, deposit(10))
    story.ask("anna", 1, deposit(10))
    story.ask("anna", 3, read(), 10)
    verdict = story.verdict("read your writes")
    assert verdict.kind is Kind.UNKNOWN
    assert "operation 3" in verdict.reason
    assert story.check().kind is Kind.UNKNOWN


def test_equal_amounts_are_judged_where_the_balance_leaves_no_doubt() -> None:
    story = Story()
    story.ask("bert", 2, deposit(10))
    story.ask("anna", 1, deposit(10))
    story.ask("anna", 3, read(), 0)
    assert story.verdict("read your writes").kind is Kind.FAIL


def test_a_balance_that_falls_is_no_violation() -> None:
    story = Story(opening=10)
    story.ask("anna", 1, deposit(1), 11)
    story.ask("bert", 1, withdraw(8), 3)
    story.ask("anna", 1, read(), 3)
    assert story.check().kind is Kind.PASS


def test_all_zero_output_is_no_proof_of_anything_but_of_a_fault() -> None:
    story = Story()
    for customer in ("anna", "bert", "carl"):
        story.ask(customer, 1, deposit(10))
        story.ask(customer, 2, read(), 0)
    verdict = story.verdict("read your writes")
    assert verdict.kind is Kind.FAIL
    assert verdict.broken == 3
    assert verdict.witness is not None
    assert verdict.witness.operations == (1, 2)


@pytest.mark.parametrize("balance", [0, 1])
def test_a_write_without_an_answer_may_be_there_or_not(balance: int) -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), outcome=None)
    story.ask("anna", 2, read(), balance, freshness=LATEST)
    assert story.check().kind is not Kind.FAIL


def test_a_write_called_after_a_read_returned_explains_nothing() -> None:
    story = Story()
    story.ask("anna", 1, read(), 1, at=(0, 10))
    story.ask("bert", 1, deposit(1), 1, at=(11, 20))
    assert story.verdict("conservation").kind is Kind.FAIL


def test_who_asks_for_fewer_guarantees_gets_fewer() -> None:
    for more in ({"freshness": LOCAL}, {"guarantees": Guarantee.MONOTONIC_WRITES}):
        story = Story()
        story.ask("anna", 1, deposit(1), 1)
        story.ask("anna", 2, read(), 0, **more)
        assert story.check().kind is not Kind.FAIL


def test_operations_of_a_session_that_overlap_have_no_order() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, at=(0, 10))
    story.ask("anna", 2, read(), 0, at=(5, 15))
    assert story.verdict("read your writes").rests_on == 1  # the deposit's own answer
    assert story.check().kind is not Kind.FAIL


def test_in_virtual_time_one_operation_may_begin_as_the_one_before_ends() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, at=(0, 0))
    story.ask("anna", 2, read(), 0, at=(0, 0))
    verdict = story.verdict("read your writes")
    assert verdict.witness is not None
    assert verdict.witness.operations == (1, 2)


def test_what_was_on_a_lost_disk_only_may_be_gone() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1)
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("bert", 2, read(), 0, freshness=LATEST)
    story.end({"x": 0}, {"x": 0}, {"x": 0})
    assert story.check().kind is not Kind.FAIL


@pytest.mark.parametrize("is_done_again", [False, True])
def test_what_was_only_shown_before_its_disk_was_lost_may_be_gone(is_done_again: bool) -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), outcome=None, key="1/rent")
    story.ask("bert", 1, read(), 1)
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("cleo", 2, read(), 0, freshness=LATEST)
    if is_done_again:
        story.ask("anna", 2, deposit(1), 1, key="1/rent")
    story.end(*[{"x": int(is_done_again)}] * 3)
    assert story.check().kind is not Kind.FAIL


def test_a_refusal_that_went_with_its_disk_binds_nobody() -> None:
    story = Story()
    story.ask("anna", 1, withdraw(1), 0, outcome=Outcome.INSUFFICIENT_FUNDS, key="rent")
    story.ask("anna", 2, withdraw(1), outcome=None, key="rent")
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("bert", 2, deposit(2), 2)
    story.end(*[{"x": 1}] * 3)
    assert story.check().kind is not Kind.FAIL


def test_what_went_with_a_disk_and_happened_once_more_is_known_by_both_its_names() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, key="rent", entry="1#1")
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("bert", 3, deposit(1), 1, key="rent", entry="3#1")
    stated = Stated((StatedLine(1, 1, "3#1"),), 0, 1)
    story.end(*[{"x": 1}] * 3, x=[stated] * 3)
    assert story.check().kind is not Kind.FAIL


@pytest.mark.parametrize("lost", [1, 2, None])
def test_a_key_that_went_with_its_disk_may_be_told_anew(lost: int | None) -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, key="rent", entry="1#1")
    if lost is not None:
        story.fault(Fault(FaultKind.DISK_LOST, lost, story.now_us + 1))
        story.now_us += 2
    story.ask("bert", 3, deposit(1), 1, key="rent", entry="3#1")
    assert (story.verdict("exactly once").kind is Kind.FAIL) is (lost != 1)


def test_a_key_that_was_told_while_its_disk_was_lost_may_be_told_anew() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, key="rent", entry="1#1")
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us - 5))
    story.ask("bert", 3, deposit(1), 1, key="rent", entry="3#1")
    assert story.verdict("exactly once").kind is not Kind.FAIL


def test_a_key_that_was_asked_twice_at_once_may_be_told_anew_after_a_disk_was_lost() -> None:
    story = Story()
    story.ask("anna", 3, deposit(1), 1, at=(10, 60), key="rent", entry="3#1")
    story.ask("bert", 1, deposit(1), 1, at=(10, 20), key="rent", entry="1#1")
    story.fault(Fault(FaultKind.DISK_LOST, 1, 30))
    assert story.verdict("exactly once").kind is not Kind.FAIL


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_was_shown_before_its_disk_was_lost_may_be_refused_after_that(is_lost: bool) -> None:
    story = Story(opening=1)
    story.ask("anna", 1, withdraw(1), key="rent", outcome=Outcome.OUTCOME_UNKNOWN)
    story.ask("bert", 1, read(), 0)
    if is_lost:
        story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("anna", 2, withdraw(1), key="rent", outcome=Outcome.INSUFFICIENT_FUNDS)
    assert (story.verdict("conservation").kind is Kind.FAIL) is not is_lost


@pytest.mark.parametrize(("branch", "durable"), [(2, 0), (1, 1)])
def test_what_was_on_another_disk_too_may_not_be_gone(branch: int, durable: int) -> None:
    story = Story()
    story.ask("anna", branch, deposit(1), 1, durable=durable)
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.end({"x": 0}, {"x": 0}, {"x": 0})
    assert story.verdict("durability").kind is Kind.FAIL


def test_an_answer_that_was_under_way_when_the_disk_was_lost_may_be_of_what_is_gone() -> None:
    """Found by the simulator: acknowledged is when the customer heard of it, which was later."""
    story = Story()
    story.ask("anna", 1, deposit(1), 1, at=(10, 40))
    story.fault(Fault(FaultKind.DISK_LOST, 1, 20))
    story.ask("bert", 2, read(), 0, freshness=LATEST)
    story.end({"x": 0}, {"x": 0}, {"x": 0})
    assert story.check().kind is not Kind.FAIL


@pytest.mark.parametrize("outcome", [None, Outcome.OUTCOME_UNKNOWN])
def test_what_was_shown_and_never_acknowledged_may_be_gone_with_any_disk(outcome: Outcome | None) -> None:
    """The library may have asked another branch than the one it is recorded with."""
    story = Story()
    story.ask("anna", 2, deposit(1), outcome=outcome)
    story.ask("bert", 1, read(), 1)
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("carl", 3, read(), 0, freshness=LATEST)
    story.end({"x": 0}, {"x": 0}, {"x": 0})
    assert story.check().kind is not Kind.FAIL


@pytest.mark.parametrize(("lost", "expected"), [((1,), Kind.FAIL), ((1, 3), Kind.PASS)])
def test_what_was_on_two_disks_may_be_gone_with_two(lost: tuple[int, ...], expected: Kind) -> None:
    story = Story()
    story.ask("carl", 2, deposit(2), 2)
    story.ask("anna", 1, deposit(1), 3, durable=1)
    for branch in lost:
        story.fault(Fault(FaultKind.DISK_LOST, branch, story.now_us + branch))
    story.end({"x": 2}, {"x": 2}, {"x": 2})
    assert story.verdict("durability").kind is expected


def test_lines_of_a_batch_that_was_never_answered_were_asked_for() -> None:
    """Found by the simulator: each of its commands has a line of its own, and nobody was told their entry."""
    legs = (withdraw(1), withdraw(2), deposit(4), transfer(8))
    story = Story(opening=100)
    story.ask("anna", 1, Batch(legs, is_atomic=True), outcome=None)
    told = tuple(StatedLine(amount, entry="1#1") for amount in (-1, -2, 4, -8))
    story.ask("bert", 2, statement(), 93, statement=Stated(told, 100, 93))
    story.ask("bert", 2, read("y"), 108)
    assert "FAIL" not in story.check().in_words()
    story.ask("bert", 2, statement(), 90, statement=Stated((*told, StatedLine(-3)), 100, 90))
    assert story.verdict("statement agreement").kind is Kind.FAIL


def test_of_two_who_capture_all_of_a_reservation_one_does() -> None:
    """So what each would move is known, and the one who was not told moved nothing once the other did."""
    story = Story(opening=10)
    reservation = ReservationId("r1")
    story.ask("anna", 1, Reserve(AccountId("x"), Money(8)), 10, reservation="r1")
    story.ask("anna", 1, Capture(reservation), outcome=Outcome.OUTCOME_UNKNOWN)
    story.ask("bert", 2, Capture(reservation), 2)
    story.ask("bert", 2, deposit(1), 3)
    assert story.check().kind is Kind.PASS
    story.ask("bert", 2, read(), -5)
    assert story.verdict("exactly once").kind is Kind.FAIL


def test_a_branch_whose_end_is_not_told_leaves_convergence_open() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1)
    story.end({"x": 1}, {"x": 1})
    verdict = story.verdict("convergence")
    assert verdict.kind is Kind.UNKNOWN
    assert "branch 3" in verdict.reason


def test_a_capture_of_what_is_left_takes_what_is_left() -> None:
    for balance, expected in ((4, Kind.PASS), (3, Kind.FAIL)):
        story = Story(opening=10)
        reservation = ReservationId("r1")
        story.ask("anna", 1, Reserve(AccountId("x"), Money(8)), 10, reservation="r1")
        story.ask("anna", 1, Capture(reservation, Money(2), is_final=False), 8)
        story.ask("anna", 1, Capture(reservation), 2)
        story.ask("anna", 2, deposit(2), balance)
        assert story.verdict("conservation").kind is expected


def test_a_capture_of_an_unknown_rest_leaves_its_account_open() -> None:
    story = Story(opening=10)
    reservation = ReservationId("r1")
    story.ask("anna", 1, Reserve(AccountId("x"), Money(8)), 10, reservation="r1")
    story.ask("anna", 1, Capture(reservation, Money(2), is_final=False), outcome=None)
    story.ask("anna", 1, Capture(reservation))
    story.ask("anna", 1, read(), 2)
    assert story.check().kind is Kind.UNKNOWN


def test_statements_tell_equal_amounts_apart_by_their_memos() -> None:
    story = Story()
    story.ask("anna", 1, Deposit(AccountId("x"), Money(5), "rent"))
    story.ask("bert", 1, Deposit(AccountId("x"), Money(5), "wages"))
    told = lines(5)
    told = told._replace(lines=(told.lines[0]._replace(memo="wages"),))
    story.ask("anna", 2, statement(), statement=told)
    verdict = story.verdict("read your writes")
    assert verdict.witness is not None
    assert verdict.witness.operations == (1, 3)


def test_a_page_of_a_statement_says_nothing_of_what_it_does_not_list() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1))
    story.ask("anna", 1, deposit(2))
    page = Stated((StatedLine(2, 3),), 1, 3, is_complete=False)
    story.ask("anna", 2, statement(), statement=page)
    assert story.check().kind is not Kind.FAIL


def test_a_replayed_answer_tells_of_the_past() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 1, key="k")
    story.ask("anna", 1, deposit(2), 3)
    story.ask("anna", 2, deposit(1), 1, key="k", is_replayed=True)
    assert story.check().kind is Kind.PASS


def test_a_key_may_be_refused_for_now_and_carried_out_later() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), key="k", outcome=Outcome.BRANCH_UNREACHABLE)
    story.ask("anna", 2, deposit(1), 1, key="k")
    story.ask("anna", 3, deposit(4), 0, key="k", outcome=Outcome.KEY_REUSED)
    story.ask("anna", 1, read(), 1)
    assert story.check().kind is Kind.PASS


def test_two_sides_of_a_transfer_seen_by_two_sessions_are_no_violation() -> None:
    story = Story(opening=10)
    story.ask("anna", 1, transfer(4))
    story.ask("bert", 1, read("x"), 6)
    story.ask("carl", 2, read("y"), 10)
    assert story.check().kind is not Kind.FAIL


def test_the_rendering_names_every_checker_once() -> None:
    report = Story().check()
    assert len(report.verdicts) == 15
    for verdict in report.verdicts:
        assert report.in_words().count(f"{verdict.name}:") == 1
    with pytest.raises(KeyError, match="the checkers are read your writes"):
        report.verdict("nonsense")


def test_a_page_of_a_statement_spoils_nothing_and_is_held_to_what_it_lists() -> None:
    """It leaves out lines, so nothing follows from what it lacks; but what it shows was seen."""
    page = Stated((StatedLine(1, 1),), 0, 1, is_complete=False)
    story = Story()
    story.ask("anna", 1, deposit(1))
    story.ask("anna", 1, deposit(2))
    story.ask("anna", 2, statement(), statement=page)
    story.ask("anna", 2, read(), 3)
    report = story.check()
    assert report.kind is Kind.PASS, report.in_words()
    story.ask("bert", 1, statement(), statement=page)
    story.ask("bert", 2, read(), 0)
    seen = story.verdict("monotonic reads")
    assert seen.kind is Kind.FAIL
    assert seen.witness is not None
    assert seen.witness.operations == (1, 5, 6)


def test_what_a_session_asked_once_it_was_told_is_not_in_what_it_was_told() -> None:
    """In virtual time one operation begins in the microsecond in which the one before it ended."""
    story = Story()
    story.ask("anna", 1, deposit(10), at=(10, 20))
    story.ask("anna", 2, read(), 10, at=(20, 30))
    story.ask("anna", 2, withdraw(10), at=(30, 40))
    story.ask("anna", 2, deposit(10), at=(40, 50))
    assert story.verdict("read your writes").kind is Kind.PASS


def test_a_part_that_was_asked_for_twice_under_one_key_is_taken_once() -> None:
    story = Story(opening=1000)
    name = ReservationId("1.00000001-1-0")
    story.ask("anna", 1, Reserve(AccountId("x"), Money(100)), 1000, reservation=name)
    part = Capture(name, Money(30), is_final=False)
    story.ask("anna", 1, part, 970, key="part")
    story.ask("anna", 1, part, 970, key="part", is_replayed=True)
    story.ask("anna", 1, Capture(name), 900)
    story.ask("anna", 1, read(), 900)
    assert story.verdict("conservation").kind is not Kind.FAIL


def test_lines_of_an_account_of_which_not_all_is_known_tell_nothing() -> None:
    story = Story(opening=1000)
    story.ask("anna", 1, Capture(ReservationId("1.00000001-1-0")), 900)
    story.ask("anna", 1, statement(), 900, statement=Stated((StatedLine(-100, 900),), 1000, 900))
    assert story.verdict("exactly once").kind is not Kind.FAIL


def test_what_went_with_a_disk_unanswered_and_was_shown_there_had_a_name_that_nobody_was_told() -> None:
    story = Story(opening=1)
    paid = deposit(1)
    story.ask("anna", 1, paid, key="rent", outcome=Outcome.OUTCOME_UNKNOWN)
    story.ask("bert", 1, statement(), 2, statement=Stated((StatedLine(1, 2, "1#1"),), 1, 2))
    story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    story.ask("anna", 2, paid, 2, key="rent", entry="2#1")
    assert story.check().kind is not Kind.FAIL


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_batch_that_went_with_a_disk_may_have_been_decided_otherwise_there(is_lost: bool) -> None:
    story = Story(opening=1)
    batch = Batch((withdraw(3), deposit(9)))
    story.ask("anna", 1, batch, key="rent", outcome=Outcome.OUTCOME_UNKNOWN)
    story.ask("bert", 1, read(), 10)  # 3 were more than there was
    if is_lost:
        story.fault(Fault(FaultKind.DISK_LOST, 1, story.now_us + 1))
    story.now_us += 2
    results = (Told(Outcome.OK, Money(1)), Told(Outcome.OK, Money(10)))
    story.ask("anna", 2, batch, key="rent", entry="2#2", results=results)
    assert (story.verdict("conservation").kind is Kind.FAIL) is not is_lost


def test_a_write_that_was_lost_and_done_again_stands_elsewhere_in_a_statement() -> None:
    """A disk was lost with its entry 1#1; the customer had asked again with the same key."""
    story = Story()
    story.ask("anna", 1, deposit(1))
    story.ask("bert", 1, deposit(2))
    first, second, again = StatedLine(1, 1, "1#1"), StatedLine(2, 3, "2#1"), StatedLine(1, 3, "2#2")
    story.ask("carl", 1, statement(), 3, statement=Stated((first, second), 0, 3))
    story.ask("dora", 1, statement(), 3, statement=Stated((second._replace(balance=2), again), 0, 3))
    assert story.verdict("statement agreement").kind is not Kind.FAIL


@pytest.mark.parametrize("durable", [0, 1])
def test_what_is_done_again_after_a_disk_was_lost_is_shown_with_what_came_between_and_without(
    durable: int,
) -> None:
    """Found by the simulator: done and shown to carl, lost before anna was told; done again after bert's."""
    story = Story()
    story.ask("anna", 1, deposit(1), 3, at=(10, 100), durable=durable, key="1/k", is_replayed=True)
    story.ask("carl", 1, read(), 1, at=(20, 30))
    story.fault(Fault(FaultKind.DISK_LOST, 1, 40))
    story.ask("bert", 1, deposit(2), 2, at=(50, 60))
    for verdict in story.check().verdicts:
        assert verdict.kind is not Kind.FAIL, verdict


def test_without_a_lost_disk_in_between_it_is_not() -> None:
    story = Story()
    story.ask("anna", 1, deposit(1), 3, at=(10, 100), durable=1, key="1/k", is_replayed=True)
    story.ask("carl", 1, read(), 1, at=(20, 30))
    story.ask("bert", 1, deposit(2), 2, at=(50, 60))
    assert story.verdict("causal consistency").kind is Kind.FAIL
