"""Statements: what moved, in which order, and the balance at any time."""

from bank_in_one_thread import ANNA, BERT, EPOCH_US, SECOND, BankInOneThread

from bankbook.core.commands import (
    Batch,
    Deposit,
    Line,
    ReadBalance,
    ReadStatement,
    Statement,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import RecordKind
from bankbook.core.messages import Entries
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money


def settled_bank(count: int = 2, opening_balance: int | None = 100) -> BankInOneThread:
    bank = BankInOneThread(count, opening_balance=opening_balance)
    bank.deliver_all()
    return bank


def statement(bank: BankInOneThread, branch: int = 1, **terms: object) -> Statement:
    reply = bank.do(branch, ReadStatement(ANNA, **terms))  # type: ignore[arg-type]
    assert reply.statement is not None
    return reply.statement


def balances(page: Statement) -> list[int]:
    return [line.balance for line in page.lines]


def wall_ms(bank: BankInOneThread, branch: int) -> int:
    return bank.clock(branch).wall_us // 1000


def test_each_line_tells_what_moved_who_did_it_and_the_balance_after() -> None:
    bank = settled_bank(1)
    bank.do(1, Deposit(ANNA, Money(5), memo="salary"))
    bank.do(1, Transfer(ANNA, BERT, Money(7), memo="rent"), customer="carla")
    page = statement(bank)
    told = [
        (line.kind, line.amount, line.balance, line.customer, line.memo, line.others) for line in page.lines
    ]
    assert told == [
        (RecordKind.DEPOSIT, 5, 105, "anna", "salary", ()),
        (RecordKind.TRANSFER, -7, 98, "carla", "rent", (BERT,)),
    ]
    assert (page.opening, page.closing, page.has_more) == (100, 98, False)


def test_pages_follow_each_other_without_gap_or_overlap_also_within_one_entry() -> None:
    bank = settled_bank(1, opening_balance=0)
    for _ in range(3):
        bank.do(1, Batch(tuple(Deposit(ANNA, Money(amount)) for amount in (1, 2, 3))))
    whole = statement(bank)
    assert balances(whole) == [1, 3, 6, 7, 9, 12, 13, 15, 18]
    for size in (1, 2, 4, 9):
        lines: list[Line] = []
        after, opening = None, 0
        while True:
            page = statement(bank, lines_max=size, after=after)
            assert page.opening == opening
            lines += page.lines
            opening, after = page.closing, page.lines[-1].position
            if not page.has_more:
                break
        assert tuple(lines) == whole.lines


def test_an_empty_page_opens_and_closes_with_the_balance_of_that_time() -> None:
    bank = settled_bank(1)
    bank.do(1, Deposit(ANNA, Money(5)))
    bank.now_us += 10 * SECOND
    later = wall_ms(bank, 1)
    assert statement(bank, from_ms=later)[:3] == (105, (), 105)
    assert statement(bank, to_ms=later - 60_000)[:3] == (100, (), 100)


def test_a_moment_belongs_to_the_statement_that_begins_with_it() -> None:
    bank = settled_bank(1)
    moments = []
    for _ in range(3):
        moments.append(wall_ms(bank, 1))
        bank.do(1, Deposit(ANNA, Money(1)))
        bank.now_us += SECOND
    assert balances(statement(bank, from_ms=moments[1])) == [102, 103]
    assert balances(statement(bank, to_ms=moments[1])) == [101]
    assert statement(bank, from_ms=moments[1]).opening == 101
    past = [bank.do(1, ReadBalance(ANNA, at_ms=moment)).balance for moment in (*moments, wall_ms(bank, 1))]
    assert past == [100, 101, 102, 103]


def test_once_all_have_all_every_branch_tells_the_same_statement() -> None:
    bank = settled_bank(3)
    for number in range(12):
        bank.ask(number % 3 + 1, Deposit(ANNA, Money(number)))
        bank.now_us += SECOND
    bank.deliver_all()
    pages = {statement(bank, branch) for branch in bank.branches}
    assert len(pages) == 1
    assert pages.pop().closing == 166


def test_an_entry_that_comes_late_takes_its_place_by_its_own_time() -> None:
    bank = settled_bank(2)
    bank.hold_back(kind=Entries)
    bank.do(2, Deposit(ANNA, Money(5)))
    bank.do(1, Deposit(ANNA, Money(7)))
    assert balances(statement(bank, 1)) == [107]
    bank.let_go()
    bank.deliver_all()
    assert balances(statement(bank, 1)) == balances(statement(bank, 2)) == [105, 112]


def test_a_statement_asked_for_in_the_step_of_a_write_has_it() -> None:
    bank = settled_bank(2)
    paid = bank.do(1, Deposit(ANNA, Money(5)))
    asked = bank.ask(2, ReadStatement(ANNA), paid.token)
    past = bank.ask(2, ReadBalance(ANNA, at_ms=EPOCH_US // 500), paid.token)
    bank.pass_time(SECOND)
    page = bank.reply(asked).statement
    assert page is not None
    assert balances(page) == [105]
    assert bank.reply(past).balance == 105


def test_rights_that_move_and_refusals_are_in_no_statement() -> None:
    bank = settled_bank(2)
    for amount in (80, 90):
        bank.ask(1, Withdraw(ANNA, Money(amount)), key=f"1/{amount}")
        bank.deliver_all()
    assert [line.amount for line in statement(bank, 2).lines] == [-80]


def test_an_account_that_nobody_opened_has_no_statement() -> None:
    bank = settled_bank(1, opening_balance=None)
    for command in (ReadStatement(AccountId("nobody")), ReadBalance(AccountId("nobody"), at_ms=0)):
        assert bank.do(1, command).outcome is Outcome.UNKNOWN_ACCOUNT
