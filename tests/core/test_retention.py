"""What is dropped, and when: only what every branch has, in the life of its store that is the present one."""

from bank_in_one_thread import ANNA, BERT, EPOCH_US, SECOND, BankInOneThread

from bankbook.core.commands import Deposit, ReadBalance, ReadStatement, Reply, Withdraw
from bankbook.core.messages import Head, Received, Subscribe
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import BranchId, Money, Seq
from bankbook.core.vector import NOTHING

KEPT_US = 60 * SECOND
SETTINGS = Settings(log_retention_us=KEPT_US, key_retention_us=10 * SECOND)
FIVE = Money(5)


def bank_of(count: int = 3, settings: Settings = SETTINGS) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=100, settings=settings)
    bank.deliver_all()
    return bank


def deposit(bank: BankInOneThread, branch: int = 1, **options: object) -> Reply:
    reply = bank.do(branch, Deposit(ANNA, FIVE), **options)  # type: ignore[arg-type]
    assert reply.outcome is Outcome.OK
    return reply


def dropped(bank: BankInOneThread, branch: int, of: int = 1) -> int:
    """Return how many entries of one branch's present log another one has dropped."""
    return bank.stores[branch].dropped()[bank.stores[of].identity.origin]


def grow_old(bank: BankInOneThread) -> None:
    """Let what is there grow old, and each branch write something."""
    bank.pass_time(2 * KEPT_US)
    for branch in bank.branches:
        if branch in bank.replicas:
            bank.do(branch, Deposit(BERT, FIVE))
    bank.deliver_all()


def test_what_all_have_is_dropped_once_it_is_old_enough() -> None:
    bank = bank_of()
    deposit(bank)
    bank.pass_time(KEPT_US - 10 * SECOND)
    deposit(bank)
    assert [dropped(bank, branch) for branch in bank.branches] == [0, 0, 0]
    bank.pass_time(20 * SECOND)
    bank.do(1, Deposit(BERT, FIVE))
    bank.deliver_all()
    assert [dropped(bank, branch) for branch in bank.branches] == [1, 0, 0], "their clocks are behind"
    grow_old(bank)
    grow_old(bank)
    assert all(dropped(bank, branch) >= 3 for branch in bank.branches)
    assert bank.do(2, ReadBalance(ANNA)).balance == 110


def test_without_a_retention_everything_is_kept() -> None:
    bank = bank_of(settings=Settings(key_retention_us=SECOND))
    deposit(bank)
    grow_old(bank)
    grow_old(bank)
    assert all(store.dropped() == NOTHING for store in bank.stores.values())


def test_a_bank_of_one_branch_drops_what_it_has() -> None:
    bank = bank_of(1)
    deposit(bank)
    grow_old(bank)
    assert dropped(bank, 1) == 1


def test_an_idle_branch_drops_within_the_hour() -> None:
    bank = bank_of()
    deposit(bank)
    bank.pass_time(3700 * SECOND)
    assert [dropped(bank, branch) for branch in bank.branches] == [1, 1, 1]


def test_what_a_branch_that_is_cut_off_lacks_is_kept_for_a_month_and_longer() -> None:
    bank = bank_of()
    deposit(bank)
    bank.deliver_all()
    for other in (1, 2):
        bank.cut_link(3, other)
    for _ in range(4):
        grow_old(bank)
    assert (dropped(bank, 1), dropped(bank, 2)) == (1, 1), "nothing that branch 3 lacks"
    for other in (1, 2):
        bank.mend_link(3, other)
    bank.pass_time(10 * SECOND)
    grow_old(bank)
    assert dropped(bank, 1) > 1
    assert {bank.do(branch, ReadBalance(BERT)).balance for branch in bank.branches} == {100 + 15 * FIVE}


def test_what_comes_late_with_an_old_clock_counts_in_every_balance() -> None:
    """Branch 3 hears all, and is not heard: its entries come behind what is dropped."""
    bank = bank_of()
    bank.hold_back(3, 1, None)
    bank.hold_back(3, 2, None)
    late = deposit(bank, 3)
    bank.let_go()
    deposit(bank, 1)
    grow_old(bank)
    grow_old(bank)
    assert late.entry is not None
    for branch in bank.branches:
        assert bank.do(branch, ReadBalance(ANNA)).balance == 110
        page = bank.do(branch, ReadStatement(ANNA)).statement
        assert page is not None
        assert (page.opening, page.lines, page.closing) == (110, (), 110)


def test_a_key_is_answered_as_long_as_it_is_remembered_also_where_that_is_longer() -> None:
    bank = bank_of(settings=Settings(log_retention_us=SECOND, key_retention_us=100 * SECOND))
    told = deposit(bank, key="1/order-17")
    bank.pass_time(90 * SECOND)
    deposit(bank)
    again = deposit(bank, key="1/order-17")
    assert (again.entry, again.balance, again.is_replayed) == (told.entry, told.balance, True)
    bank.pass_time(20 * SECOND)
    deposit(bank)
    bank.pass_time(2 * SECOND)
    deposit(bank)
    assert dropped(bank, 1) >= 1, "the key is forgotten, and then its entry goes"


def test_a_statement_begins_with_the_balance_brought_forward_and_says_so() -> None:
    bank = bank_of()
    deposit(bank)
    bank.pass_time(2 * KEPT_US)
    bank.do(1, Withdraw(ANNA, Money(1)))
    bank.deliver_all()
    page = bank.do(1, ReadStatement(ANNA)).statement
    assert page is not None
    assert [line.amount for line in page.lines] == [-1]
    assert (page.opening, page.closing) == (105, 104)
    assert page.begins_ms is not None
    begun = bank.do(1, ReadStatement(ANNA, from_ms=page.begins_ms)).statement
    assert begun == page._replace(begins_ms=None), "who asks for what is there is told nothing else"


def test_a_balance_of_a_time_that_is_not_kept_is_refused_and_never_guessed() -> None:
    bank = bank_of()
    before_ms = (EPOCH_US + bank.now_us) // 1000 - 60_000
    deposit(bank)
    grow_old(bank)
    page = bank.do(1, ReadStatement(ANNA)).statement
    assert page is not None
    assert page.begins_ms is not None
    refusal = bank.do(1, ReadBalance(ANNA, at_ms=before_ms))
    assert refusal.outcome is Outcome.HISTORY_DROPPED
    assert "ask for a later time" in refusal.detail
    assert bank.do(1, ReadStatement(ANNA, to_ms=page.begins_ms - 1)).outcome is Outcome.HISTORY_DROPPED
    assert bank.do(1, ReadBalance(ANNA, at_ms=page.begins_ms)).balance == 105


def test_a_page_that_was_dropped_while_the_one_before_was_read_says_so() -> None:
    bank = bank_of()
    for _ in range(3):
        deposit(bank)
    first = bank.do(1, ReadStatement(ANNA, lines_max=1)).statement
    assert first is not None
    grow_old(bank)
    second = bank.do(1, ReadStatement(ANNA, after=first.lines[-1].position)).statement
    assert second is not None
    assert second.begins_ms is not None
    assert (second.opening, second.lines) == (115, ())


def test_who_asks_late_for_what_was_dropped_is_told_so_and_never_sent_a_gap() -> None:
    """An old message arrives once more; the subscriber has what it asks for."""
    bank = bank_of(2)
    deposit(bank)
    deposit(bank)
    grow_old(bank)
    own = bank.stores[1].identity.origin
    assert dropped(bank, 1) == 2
    bank.step(1, Received(BranchId(2), Subscribe(own, Seq(1))))
    (told,) = [each.message for each in bank.letters(1, 2)]
    assert isinstance(told, Head)
    assert told.dropped[own] == 2
    bank.deliver_all()
    deposit(bank)
    bank.deliver_all()
    assert bank.do(2, ReadBalance(ANNA)).balance == 115


def test_a_subscriber_that_got_it_elsewhere_is_not_sent_what_was_dropped() -> None:
    """Branch 3 has branch 1's entries through branch 2, which is all that branch 1 knows of it."""
    bank = bank_of()
    bank.hold_back(1, 3)
    bank.hold_back(3, 1)
    deposit(bank)
    bank.deliver_all()
    bank.let_go()
    grow_old(bank)
    grow_old(bank)
    assert dropped(bank, 1) >= 1
    assert bank.do(3, ReadBalance(ANNA)).balance == 105


def test_a_branch_that_drops_goes_on_after_a_crash() -> None:
    bank = bank_of()
    deposit(bank)
    grow_old(bank)
    bank.crash(1)
    bank.restart(1)
    bank.pass_time(10 * SECOND)
    grow_old(bank)
    assert dropped(bank, 1) >= 2
    assert {bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches} == {105}
