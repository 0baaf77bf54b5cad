"""A branch that lost its disk, and what the bank still knows.

life 1 of branch 1 ──── wrote ──── × (disk lost)
life 2 of branch 1          asks 2 and 3, fetches, says where life 1 ends, serves
"""

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread

from bankbook.core.commands import LATEST, Capture, Deposit, ReadBalance, Reserve, Withdraw
from bankbook.core.entry import RecordKind
from bankbook.core.messages import Connected, Entries, Received
from bankbook.core.outcome import Outcome
from bankbook.core.token import Token
from bankbook.core.types import BranchId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import VersionVector

FIVE, SEVEN = Money(5), Money(7)


def settled_bank(count: int = 3, opening_balance: int = 0) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def lose_disk(bank: BankInOneThread, *branches: int) -> None:
    """Kill branches and start them again with new stores, with nothing delivered yet."""
    for branch in branches:
        bank.crash(branch)
        bank.create_store(branch)
    for branch in branches:
        bank.restart(branch)


def has_joined(bank: BankInOneThread, branch: int) -> bool:
    return bank.replicas[branch].status().catching_up_on is None


def balances(bank: BankInOneThread) -> set[Money | None]:
    bank.pass_time(15 * SECOND)
    return {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches}


def rights(bank: BankInOneThread, branch: int) -> dict[int, int]:
    known = bank.replicas[branch]._context.state.rights(ANNA)
    return {int(holder): int(amount) for holder, amount in known.items()}


def test_a_branch_that_lost_its_disk_serves_nobody_before_it_has_caught_up() -> None:
    bank = settled_bank()
    bank.do(2, Deposit(ANNA, FIVE))
    bank.deliver_all()
    lose_disk(bank, 1)
    query = bank.ask(1, ReadBalance(ANNA))
    bank.hold_back(2, 1, Entries)
    bank.deliver_all()
    assert bank.is_held(query)
    assert not has_joined(bank, 1)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(query).balance == 5
    assert has_joined(bank, 1)


def test_a_new_store_fetches_its_own_earlier_log_and_says_where_it_ends() -> None:
    bank = settled_bank()
    earlier = bank.stores[1].identity.origin
    for _ in range(3):
        bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    lose_disk(bank, 1)
    bank.deliver_all()
    store = bank.stores[1]
    (first,) = store.entries(store.identity.origin, Seq(0), 9)
    assert first.records[0].kind is RecordKind.REJOINING
    assert first.records[0].ended == ((earlier, 3),)
    assert balances(bank) == {15}
    assert {bank.stores[branch].ended()[earlier] for branch in bank.branches} == {3}


def test_a_branch_with_a_new_store_waits_for_one_that_cannot_be_reached_and_says_so() -> None:
    bank = settled_bank()
    bank.crash(3)
    lose_disk(bank, 1)
    bank.deliver_all()
    assert bank.replicas[1].status().catching_up_on == (3,)
    query = bank.ask(1, ReadBalance(ANNA), within_us=SECOND)
    bank.pass_time(SECOND)
    assert bank.reply(query).outcome is Outcome.CATCHING_UP
    bank.restart(3)
    bank.deliver_all()
    assert bank.do(1, ReadBalance(ANNA)).outcome is Outcome.OK


def test_what_only_a_third_branch_has_of_the_lost_log_is_there_again() -> None:
    bank = settled_bank()
    bank.hold_back(1, 2)
    paid = bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.let_go()
    bank.cut_link(2, 3)
    lose_disk(bank, 1)
    bank.deliver_all()
    assert bank.do(1, ReadBalance(ANNA), paid.token).balance == 5
    latest = bank.ask(2, ReadBalance(ANNA), paid.token)
    bank.pass_time(5 * SECOND)
    assert bank.reply(latest).balance == 5


def test_latest_covers_what_an_earlier_life_wrote_and_only_a_third_branch_has() -> None:
    bank = settled_bank()
    bank.hold_back(1, 2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.let_go()
    bank.hold_back(3, 2, Entries)
    lose_disk(bank, 1)
    bank.hold_back(1, 2, Entries)
    bank.deliver_all()
    query = bank.ask(2, ReadBalance(ANNA), freshness=LATEST)
    bank.deliver_all()
    assert bank.is_held(query)
    bank.let_go()
    bank.pass_time(5 * SECOND)
    assert bank.reply(query).balance == 5


@pytest.mark.parametrize("branch", [1, 2, 3])
def test_a_token_that_names_a_lost_entry_is_told_so_at_every_branch(branch: int) -> None:
    bank = settled_bank()
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    lost = bank.do(1, Deposit(ANNA, SEVEN))
    early = bank.ask(2, ReadBalance(ANNA), lost.token, within_us=60 * SECOND)
    lose_disk(bank, 1)
    bank.deliver_all()
    assert bank.reply(early).outcome is Outcome.WRITES_LOST
    reply = bank.do(branch, ReadBalance(ANNA), lost.token)
    assert (reply.outcome, reply.branch) == (Outcome.WRITES_LOST, 1)
    assert "1 of its entries were saved" in reply.detail
    assert balances(bank) == {5}


def test_a_token_is_told_so_too_where_nothing_at_all_was_saved() -> None:
    bank = settled_bank()
    lost = bank.do(1, Deposit(ANNA, SEVEN))
    lose_disk(bank, 1)
    bank.deliver_all()
    assert bank.do(1, ReadBalance(ANNA), lost.token).outcome is Outcome.WRITES_LOST
    elsewhere = bank.ask(2, ReadBalance(ANNA), lost.token)
    bank.pass_time(3 * SECOND)
    assert bank.reply(elsewhere).outcome is Outcome.WRITES_LOST


def test_the_rights_of_the_earlier_life_can_be_used_and_are_there_once() -> None:
    bank = settled_bank(opening_balance=90)
    assert bank.do(1, Withdraw(ANNA, Money(10))).balance == 80
    bank.deliver_all()
    before = rights(bank, 2)
    lose_disk(bank, 1)
    bank.deliver_all()
    assert rights(bank, 1) == rights(bank, 2) == before
    assert bank.do(1, Withdraw(ANNA, Money(before[1]))).outcome is Outcome.OK
    rest = bank.ask(1, Withdraw(ANNA, Money(80 - before[1] + 1)))
    bank.deliver_all()
    assert bank.reply(rest).outcome is Outcome.INSUFFICIENT_FUNDS


def test_the_new_life_keeps_the_keys_and_the_reservations_of_the_earlier_one() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Deposit(ANNA, FIVE), key="1/pay")
    reserved = bank.do(1, Reserve(ANNA, SEVEN)).reservation
    assert reserved is not None
    bank.deliver_all()
    lose_disk(bank, 1)
    bank.deliver_all()
    assert bank.do(1, Deposit(ANNA, FIVE), key="1/pay").is_replayed
    assert bank.do(1, Capture(reserved)).balance == 88


def test_an_entry_of_the_lost_log_that_waits_somewhere_never_comes_to_light() -> None:
    """Life 1 of branch 1 withdrew what branch 1 might, after it saw a deposit that is late at branch 3.

    At 3 the withdrawal waits for the deposit. Nobody has applied it, so life 2 knows nothing of it and may
    withdraw the same money. If the withdrawal came to light now, the money would be gone twice.
    """
    bank = settled_bank(opening_balance=90)
    bank.hold_back(2, 3)
    bank.do(2, Deposit(BERT, FIVE))
    bank.deliver_all()
    bank.hold_back(1, 2)
    bank.do(1, Withdraw(ANNA, Money(30)))
    bank.deliver_all()
    assert bank.replicas[3].status().inbox == 1
    bank.crash(1)
    bank.create_store(1)
    bank._held_back.clear()
    bank.hold_back(2, 3, Entries)
    bank.restart(1)
    bank.deliver_all()
    assert has_joined(bank, 1)
    assert bank.do(1, Withdraw(ANNA, Money(30))).outcome is Outcome.OK
    bank.let_go()
    assert balances(bank) == {60}
    assert min(rights(bank, 2).values()) >= 0


def test_two_branches_that_lost_their_disks_at_once_come_back_with_what_the_third_has() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.do(2, Withdraw(ANNA, SEVEN))
    bank.deliver_all()
    lose_disk(bank, 1, 2)
    bank.pass_time(10 * SECOND)
    assert has_joined(bank, 1)
    assert has_joined(bank, 2)
    assert balances(bank) == {88}


def test_a_branch_that_waits_for_what_another_had_and_lost_meanwhile_waits_no_longer() -> None:
    bank = settled_bank()
    bank.hold_back(2, 3, Entries)
    bank.do(2, Deposit(ANNA, FIVE))
    bank.hold_back(2, 1, Entries)
    lose_disk(bank, 1)
    bank.deliver_all()
    assert not has_joined(bank, 1)
    lose_disk(bank, 2)
    bank.let_go()
    bank.pass_time(20 * SECOND)
    assert has_joined(bank, 1)
    assert has_joined(bank, 2)


def test_a_new_bank_opens_its_doors_as_soon_as_all_have_met() -> None:
    bank = settled_bank(opening_balance=90)
    lose_disk(bank, 1, 2, 3)
    bank.deliver_all()
    assert all(has_joined(bank, branch) for branch in bank.branches)
    assert all(store.applied() == VersionVector() for store in bank.stores.values())
    assert balances(bank) == {90}


def test_who_has_joined_reads_every_log_at_once_and_not_with_the_next_heartbeat() -> None:
    bank = settled_bank()
    lose_disk(bank, 1, 2, 3)
    bank.deliver_all()
    for branch in bank.branches:
        bank.do(branch, Deposit(ANNA, FIVE))
    bank.deliver_all()
    assert {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches} == {15}


def test_a_new_bank_of_one_branch_waits_for_nobody() -> None:
    bank = settled_bank(1)
    lose_disk(bank, 1)
    assert bank.do(1, Deposit(ANNA, FIVE)).balance == 5


@pytest.mark.parametrize("delivered", range(0, 24, 3))
def test_a_crash_in_the_middle_of_joining_costs_nothing(delivered: int) -> None:
    bank = settled_bank(opening_balance=90)
    for _ in range(3):
        bank.do(1, Withdraw(ANNA, FIVE))
    bank.deliver_all()
    lose_disk(bank, 1)
    for letter in bank.under_way[:delivered]:
        bank.deliver(letter)
    bank.crash(1)
    bank.restart(1)
    bank.deliver_all()
    assert has_joined(bank, 1)
    assert balances(bank) == {75}


def test_a_branch_that_lost_its_disk_twice_has_ended_both_logs() -> None:
    bank = settled_bank()
    lives = []
    for _ in range(2):
        lives.append(bank.stores[1].identity.origin)
        bank.do(1, Deposit(ANNA, FIVE))
        bank.deliver_all()
        lose_disk(bank, 1)
        bank.deliver_all()
    assert set(bank.stores[2].ended()) == set(lives)
    assert balances(bank) == {10}


def test_an_old_store_that_comes_back_is_nobody_any_more() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    old = bank.stores[1]
    lose_disk(bank, 1)
    bank.deliver_all()
    new = bank.stores[1]
    bank.crash(1)
    bank.stores[1] = old
    bank.restart(1)
    waiting = bank.ask(1, Deposit(ANNA, SEVEN), bank.do(2, Deposit(BERT, FIVE)).token)
    bank.pass_time(10 * SECOND)
    assert bank.reply(waiting).outcome is Outcome.SHUTTING_DOWN
    assert bank.do(1, Deposit(ANNA, SEVEN)).outcome is Outcome.SHUTTING_DOWN
    bank.crash(1)
    bank.stores[1] = new
    bank.restart(1)
    assert balances(bank) == {95}


def test_an_old_store_that_is_back_before_all_know_of_the_new_one_does_not_divide_the_bank() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    old = bank.stores[1]
    bank.hold_back(1, 3, Entries)
    bank.hold_back(2, 3, Entries)
    lose_disk(bank, 1)
    bank.deliver_all()
    new = bank.stores[1]
    bank.crash(1)
    bank.cut_link(1, 2)
    bank.cut_link(2, 3)
    bank.let_go()
    bank.stores[1] = old
    bank.restart(1)
    bank.do(1, Withdraw(ANNA, FIVE))
    bank.deliver_all()
    bank.crash(1)
    bank.stores[1] = new
    bank.mend_link(1, 2)
    bank.mend_link(2, 3)
    bank.restart(1)
    assert len(balances(bank)) == 1


def test_an_old_store_out_of_use_does_not_wake_for_a_reservation_that_it_must_not_end() -> None:
    bank = settled_bank(opening_balance=90)
    bank.do(1, Reserve(ANNA, FIVE, lifetime_ms=1000))
    bank.deliver_all()
    old = bank.stores[1]
    lose_disk(bank, 1)
    bank.deliver_all()
    bank.crash(1)
    bank.stores[1] = old
    bank.restart(1)
    bank.deliver_all()
    steps = len(bank.transcript)
    bank.pass_time(3 * SECOND)
    assert len(bank.transcript) - steps < 200


def test_a_question_that_came_while_the_store_was_new_is_answered_once_it_has_caught_up() -> None:
    bank = settled_bank()
    bank.do(2, Deposit(ANNA, FIVE))
    bank.deliver_all()
    lose_disk(bank, 1)
    bank.hold_back(2, 1, Entries)
    bank.deliver_all()
    latest = bank.ask(3, ReadBalance(ANNA), freshness=LATEST)
    elsewhere = bank.ask(3, Deposit(ANNA, SEVEN), key="1/pay")
    bank.deliver_all()
    assert bank.is_held(latest)
    assert bank.is_held(elsewhere)
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(latest).outcome is Outcome.OK
    assert bank.reply(elsewhere).outcome is Outcome.OK


def test_a_token_that_names_a_life_of_this_branch_that_nobody_knows_names_what_is_lost() -> None:
    bank = settled_bank()
    made_up = Token(read=VersionVector([(Origin(BranchId(1), Incarnation(99)), Seq(1))]))
    assert bank.do(1, ReadBalance(ANNA), made_up).outcome is Outcome.WRITES_LOST


def lose_disk_amid_question(bank: BankInOneThread) -> Received:
    """Have branch 1 lose its disk, ask, and die again; return what it asked branch 2, which is under way."""
    lose_disk(bank, 1)
    (question,) = [each for each in bank.letters(1, 2) if getattr(each.message, "joining", None)]
    bank.crash(1)
    return Received(BranchId(1), question.message)


def test_a_question_that_was_under_way_when_its_stream_ended_ends_nobody() -> None:
    bank = settled_bank(3)
    old = bank.stores[1].identity.origin
    bank.step(2, lose_disk_amid_question(bank))
    assert not bank.stores[2].lives()[old]


def test_a_question_that_comes_when_another_store_has_greeted_does_not_end_that_one() -> None:
    bank = settled_bank(3)
    late = lose_disk_amid_question(bank)
    bank.create_store(1)
    bank.restart(1)
    bank.step(2, late)
    bank.pass_time(2 * SECOND)
    assert has_joined(bank, 1)


def test_a_question_that_comes_when_another_store_has_answered_does_not_end_that_one() -> None:
    """Seed 3096: a disk was lost twice, and what the store between had asked came last of all."""
    bank = settled_bank(3)
    lose_disk(bank, 1)
    (question,) = [each for each in bank.letters(1, 2) if getattr(each.message, "joining", None)]
    newer = Origin(BranchId(1), Incarnation(99))
    bank.step(2, Connected(BranchId(1), newer))
    bank.step(2, Received(BranchId(1), question.message))
    assert not bank.stores[2].lives()[newer]
