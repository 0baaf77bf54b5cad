"""What the model of incarnations found (docs/model.md): an earlier life that is heard of late.

    life 1 of branch 1 ── took 30 ── × (disk lost)         what it took is on its way to branch 2
    life 2 of branch 1 ── asks 2 and 3, who know nothing of it ── takes 30 again
                                                           what life 1 took arrives, and is applied

In the first two, a branch that cannot be told yet goes on reading a stream whose other end is gone: a
paused process or a slow link is enough.
"""

from collections.abc import Mapping

from bank_in_one_thread import ANNA, BankInOneThread, Letter, Stream

from bankbook.core.commands import ReadBalance, Withdraw
from bankbook.core.messages import Connected, Disconnected, Entries, SubscriberGone, SubscriberHere
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.rights import ByUse
from bankbook.core.types import BranchId, Money

ALL_OF_A_BRANCH = Money(30)


class NothingUnasked(ByUse):
    """Passes no rights on before they are asked for, so each branch has what the genesis gave it."""

    def to_pass_on(
        self,
        own: BranchId,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
        *,
        is_at_leisure: bool,
    ) -> None:
        del own, rights, used, is_at_leisure


def settled_bank() -> BankInOneThread:
    bank = BankInOneThread(3, opening_balance=90, settings=Settings(policy=NothingUnasked()))
    bank.deliver_all()
    return bank


def lose_disk_unnoticed(bank: BankInOneThread, branch: int, by: int) -> None:
    """Lose a disk while branch `by` still reads the old stream from there, and is not reached anew."""
    bank.streams.discard(Stream(subscriber=by, publisher=branch))
    bank.crash(branch)
    bank.create_store(branch)
    bank.cut.add(frozenset((branch, by)))
    bank.restart(branch)


def open_stream(bank: BankInOneThread, subscriber: int, publisher: int) -> None:
    bank.streams.add(Stream(subscriber, publisher))
    bank.step(publisher, SubscriberHere(bank.stores[subscriber].identity.origin))
    store = bank.stores[publisher]
    bank.step(subscriber, Connected(BranchId(publisher), store.identity.origin, store.applied()))


def notice(bank: BankInOneThread, branch: int, by: int) -> None:
    bank.step(by, Disconnected(BranchId(branch)))
    bank.mend_link(branch, by)
    bank.let_go()
    bank.pass_time(20_000_000)


def only_letter(bank: BankInOneThread, sender: int, receiver: int) -> Letter:
    (letter,) = bank.letters(sender, receiver, Entries)
    return letter


def balance_once_all_is_taken(bank: BankInOneThread) -> set[Money | None]:
    """Let the other branches take out what they may, too."""
    for branch in (2, 3):
        assert bank.do(branch, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.deliver_all()
    return {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches}


def test_a_greeting_of_an_earlier_life_that_comes_late_does_not_bring_it_back() -> None:
    """Branch 2 hears of life 2, answers it, and only then reads a greeting that life 1 had sent before it."""
    bank = settled_bank()
    earlier = bank.stores[1].identity.origin
    bank.hold_back(1, kind=Entries)
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    lose_disk_unnoticed(bank, 1, by=2)
    taken = only_letter(bank, 1, 2)
    open_stream(bank, subscriber=1, publisher=2)
    bank.deliver_all()
    assert bank.replicas[1].has_joined
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.step(2, SubscriberHere(earlier))
    bank.deliver(taken)
    notice(bank, 1, by=2)
    assert balance_once_all_is_taken(bank) == {0}


def test_a_relay_that_lost_its_disk_too_does_not_bring_an_earlier_life_to_light() -> None:
    """Only branch 3 has what life 1 took, and sends it on to 2. Then its disk is lost as well.

    Branch 2 answers life 2 before that letter arrives, and branch 3 after it has lost everything. So life 2
    joins without what it took; and branch 2, which has not noticed that branch 3 is another one, takes it.
    """
    bank = settled_bank()
    bank.hold_back(1, 2, Entries)
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.deliver_all()
    bank.hold_back(3, 2, Entries)
    bank.crash(1)
    bank.deliver_all()
    taken = only_letter(bank, 3, 2)
    bank.create_store(1)
    bank.hold_back(3, 1, Entries)
    bank.restart(1)
    bank.deliver_all()
    lose_disk_unnoticed(bank, 3, by=2)
    bank.deliver_all()
    assert bank.replicas[1].has_joined
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.deliver(taken)
    notice(bank, 3, by=2)
    assert balance_once_all_is_taken(bank) == {0}


def test_a_new_store_takes_nothing_of_an_old_one_before_all_others_have_answered() -> None:
    """Only branch 3 knows that life 1 of branch 1 is over; 2, whose disk is lost, reaches life 1 first."""
    bank = settled_bank()
    old = bank.stores[1]
    bank.crash(1)
    bank.create_store(1)
    bank.restart(1)
    bank.deliver_all()
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.deliver_all()
    new = bank.stores[1]
    bank.crash(1)
    bank.crash(2)
    bank.create_store(2)
    bank.cut_link(1, 3)
    bank.cut_link(2, 3)
    bank.stores[1] = old
    bank.restart(1)
    assert bank.do(1, Withdraw(ANNA, ALL_OF_A_BRANCH)).outcome is Outcome.OK
    bank.restart(2)
    bank.deliver_all()
    assert not bank.replicas[2].has_joined
    bank.crash(1)
    bank.stores[1] = new
    bank.restart(1)
    bank.mend_link(1, 3)
    bank.mend_link(2, 3)
    bank.pass_time(20_000_000)
    assert all(replica.has_joined for replica in bank.replicas.values())
    assert balance_once_all_is_taken(bank) == {0}


def test_a_greeting_that_comes_late_to_a_new_store_does_not_keep_it_from_joining() -> None:
    """Branches 1 and 2 lost their disks; 2 reads from life 2 of branch 1 when a greeting of life 1 arrives.

    That takes the place of life 2's own stream there, which is opened anew.
    """
    bank = settled_bank()
    earlier = bank.stores[1].identity.origin
    for branch in (1, 2):
        bank.crash(branch)
        bank.create_store(branch)
        bank.cut_link(branch, 3)
    for branch in (1, 2):
        bank.restart(branch)
    bank.deliver_all()
    bank._break(Stream(subscriber=1, publisher=2))
    bank.step(2, SubscriberHere(earlier))
    bank.deliver_all()
    bank.step(2, SubscriberGone(BranchId(1)))
    bank.mend_link(1, 2)
    bank.mend_link(1, 3)
    bank.mend_link(2, 3)
    bank.pass_time(60_000_000)
    assert [bank.replicas[branch].has_joined for branch in (1, 2, 3)] == [True] * 3
