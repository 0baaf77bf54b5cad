"""What random weeks found, each as its shortest story; see tests/money_weeks.py.

The weeks come upon these only now and then. Each is told here once for all.
"""

from collections.abc import Mapping

from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread

from bankbook.core.commands import LATEST, Batch, Deposit, ReadBalance, Reply, Withdraw
from bankbook.core.messages import AskKey, Entries, Head
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.rights import ByUse
from bankbook.core.types import BranchId, Money

FIVE = Deposit(ANNA, Money(5))


class Miser(ByUse):
    """A policy that gives nothing away."""

    def to_grant(
        self,
        own: BranchId,
        asker: BranchId,
        wanted: Money,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
    ) -> Money:
        del own, asker, wanted, rights, used
        return Money(0)


def outcome_of(reply: Reply) -> tuple[Outcome, object]:
    return reply.outcome, reply.entry


def test_a_batch_that_waits_for_rights_to_two_accounts_does_not_spin_its_branch() -> None:
    # Both gatherings are between two rounds, and the batch is in both: each had the other looked through.
    bank = BankInOneThread(2, opening_balance=10, settings=Settings(policy=Miser()))
    both = Batch((Withdraw(ANNA, Money(8)), Withdraw(BERT, Money(8))), is_atomic=True)
    request = bank.ask(1, both, within_us=3 * SECOND)
    bank.pass_time(4 * SECOND)
    assert bank.reply(request).outcome is Outcome.RIGHTS_UNREACHABLE


def test_a_key_sent_to_one_branch_twice_is_answered_twice_as_soon_as_it_is_decided() -> None:
    bank = BankInOneThread(2)
    bank.cut_link(1, 2)
    patient = bank.ask(1, FIVE, key="1/pay", freshness=LATEST)
    hasty = bank.do(1, FIVE, key="1/pay")
    assert outcome_of(bank.reply(patient)) == outcome_of(hasty) == (Outcome.OK, hasty.entry)


def test_who_still_waits_when_its_key_went_elsewhere_is_not_told_that_nothing_happened() -> None:
    bank = BankInOneThread(3)
    bank.cut_link(1, 3)
    patient = bank.ask(1, FIVE, key="1/pay", freshness=LATEST, within_us=SECOND)
    elsewhere = bank.ask(2, FIVE, key="1/pay")
    bank.hold_back(2, 1, Entries)
    bank.deliver_all()
    bank.pass_time(2 * SECOND)
    assert bank.reply(elsewhere).outcome is Outcome.OK
    assert bank.reply(patient).outcome is Outcome.OUTCOME_UNKNOWN


def test_a_key_that_went_to_and_fro_unheard_is_not_asked_about_without_end() -> None:
    bank = BankInOneThread(2)
    bank.ask(2, FIVE, key="1/pay", freshness=LATEST, within_us=SECOND)
    bank.hold_back(1, 2, Head)
    bank.deliver_all()  # branch 2 has been given the key, and waits for its answers
    asked = bank.ask(1, FIVE, key="1/pay")
    bank.deliver(bank.letters(1, 2, AskKey)[0])  # branch 2 gives it back
    bank.hold_back(2, 1, Entries)
    again = bank.ask(2, FIVE, key="1/pay")
    bank.deliver_all()
    questions = [line for line in bank.transcript if line.startswith("2:") and "AskKey(" in line]
    assert len(questions) < 5
    bank.let_go()
    bank.pass_time(9 * SECOND)
    outcomes = {outcome_of(bank.reply(request)) for request in (asked, again)}
    assert len(outcomes) == 1, "both were told the same"


def test_who_joins_hears_of_what_a_new_store_got_from_one_that_was_lost_meanwhile() -> None:
    bank = BankInOneThread(3)
    bank.do(3, FIVE, key="3/pay")
    bank.deliver_all()
    bank.cut_link(1, 3)
    for branch in (2, 3):
        bank.crash(branch)
        bank.create_store(branch)
    bank.restart(2)
    bank.hold_back(1, 2, Entries)
    bank.restart(3)
    bank.deliver_all()  # branch 2 has told branch 3 that it has nothing
    bank.let_go()
    bank.deliver_all()  # now it has the deposit, of branch 1
    bank.crash(1)
    bank.create_store(1)
    bank.restart(1)
    bank.hold_back(2, 1, Entries)
    bank.hold_back(2, 3, Entries)
    bank.mend_link(1, 3)
    bank.deliver_all()  # branch 1 has nothing to tell branch 3 any more
    bank.ask(3, FIVE, key="3/pay")
    bank.let_go()
    bank.pass_time(15 * SECOND)
    assert {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches} == {5}


def test_a_round_does_not_wait_for_ever_for_what_was_lost_while_it_lasted() -> None:
    bank = BankInOneThread(3, opening_balance=30)
    bank.deliver_all()
    bank.hold_back(3, 1, Entries)
    bank.hold_back(3, 2, Entries)
    bank.do(3, Withdraw(ANNA, Money(1)))
    bank.ask(1, Withdraw(ANNA, Money(25)), within_us=6 * SECOND)
    bank.deliver_all()  # branch 3 has named a grant that nobody will ever have
    bank.crash(3)
    bank.let_go()
    bank.create_store(3)
    bank.pass_time(5 * SECOND)
    bank.restart(3)
    later = bank.ask(1, Withdraw(ANNA, Money(24)), within_us=30 * SECOND)
    bank.pass_time(20 * SECOND)
    assert bank.reply(later).outcome in (Outcome.OK, Outcome.INSUFFICIENT_FUNDS)
