"""A store that comes back after a newer one has taken its place is nobody: at no branch, at no time.

Two stores of one branch would spend the same rights. Each test is a way in which an old store could find
somebody who has not heard of the new one.
"""

from bank_in_one_thread import ANNA, SECOND, BankInOneThread

from bankbook.core.commands import Deposit, ReadBalance, Withdraw
from bankbook.core.messages import Received, SubscriberGone, SubscriberHere
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId, Incarnation, Money, Origin
from bankbook.store.memory import MemoryStore

TEN = Money(10)


def settled_bank(count: int, opening_balance: int = 90) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def replace_store(bank: BankInOneThread, branch: int) -> MemoryStore:
    """Give a branch a new store, wait until it serves, and return the old one."""
    old = bank.stores[branch]
    bank.crash(branch)
    bank.create_store(branch)
    bank.restart(branch)
    bank.pass_time(20 * SECOND)
    assert bank.replicas[branch].has_joined
    return old


def put_in(bank: BankInOneThread, branch: int, store: MemoryStore) -> None:
    """Start a branch with another store."""
    if branch in bank.replicas:
        bank.crash(branch)
    bank.stores[branch] = store
    bank.restart(branch)
    bank.deliver_all()


def is_out_of_use(bank: BankInOneThread, branch: int) -> bool:
    return bank.do(branch, Deposit(ANNA, TEN)).outcome is Outcome.SHUTTING_DOWN


def test_who_has_met_the_new_store_knows_it_also_after_a_crash() -> None:
    bank = settled_bank(3)
    old = replace_store(bank, 1)
    bank.crash(1)
    bank.crash(2)
    bank.restart(2)
    bank.cut_link(1, 3)
    put_in(bank, 1, old)
    assert is_out_of_use(bank, 1)


def test_an_old_store_that_was_told_so_once_knows_it_also_when_it_is_alone() -> None:
    bank = settled_bank(3)
    old = replace_store(bank, 1)
    put_in(bank, 1, old)
    bank.crash(1)
    bank.cut_link(1, 2)
    bank.cut_link(1, 3)
    bank.restart(1)
    assert is_out_of_use(bank, 1)


def test_what_an_old_store_decides_alone_reaches_nobody() -> None:
    bank = settled_bank(3)
    old = replace_store(bank, 1)
    new = bank.stores[1]
    bank.crash(1)
    bank.cut_link(1, 2)
    bank.cut_link(1, 3)
    put_in(bank, 1, old)
    assert bank.do(1, Withdraw(ANNA, TEN)).outcome is Outcome.OK  # nobody has told it yet
    bank.mend_link(1, 3)
    bank.pass_time(10 * SECOND)
    assert is_out_of_use(bank, 1)
    bank.mend_link(1, 2)
    put_in(bank, 1, new)
    bank.pass_time(10 * SECOND)
    assert {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches} == {90}


def test_a_branch_whose_own_store_is_new_learns_from_the_others_which_stores_are_over() -> None:
    bank = settled_bank(3)
    old = replace_store(bank, 1)
    bank.crash(1)
    bank.cut_link(1, 2)  # the old store will meet branch 3 alone, which has never heard of either
    replacing = bank.stores[3]
    bank.crash(3)
    bank.create_store(3)
    put_in(bank, 1, old)
    bank.restart(3)
    bank.pass_time(10 * SECOND)
    assert bank.stores[3] is not replacing
    assert bank.replicas[3].status().peers[0].origin is None
    assert is_out_of_use(bank, 1)


def test_of_two_branches_each_tells_the_other_of_its_own_old_store() -> None:
    bank = settled_bank(2)
    old = replace_store(bank, 1)
    new = bank.stores[1]
    replace_store(bank, 2)
    put_in(bank, 1, old)
    assert is_out_of_use(bank, 1)
    put_in(bank, 1, new)
    bank.pass_time(10 * SECOND)
    assert bank.do(1, Withdraw(ANNA, TEN)).outcome is Outcome.OK


def test_a_late_greeting_of_a_store_that_was_lost_before_it_joined_ends_nobody() -> None:
    bank = settled_bank(3)
    dead = Origin(BranchId(1), Incarnation(77))
    present = bank.stores[1].identity.origin
    bank.step(2, SubscriberGone(BranchId(1)), SubscriberHere(dead), SubscriberGone(BranchId(1)))
    bank.step(2, SubscriberHere(present))
    bank.crash(2)
    bank.restart(2)
    bank.deliver_all()
    bank.do(1, Deposit(ANNA, TEN))
    bank.pass_time(10 * SECOND)
    assert bank.do(2, ReadBalance(ANNA)).balance == 100


def test_a_question_that_was_under_way_when_its_stream_ended_ends_nobody() -> None:
    bank = settled_bank(3)
    old = bank.stores[1].identity.origin
    bank.crash(1)
    bank.create_store(1)
    bank.restart(1)
    (question,) = [each for each in bank.letters(1, 2) if getattr(each.message, "joining", None)]
    bank.crash(1)
    bank.step(2, Received(BranchId(1), question.message))
    assert not bank.stores[2].lives()[old]
