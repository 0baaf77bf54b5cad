"""The journal that an auditor gets: beancount accepts it, and no longer once a single unit is altered."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from beancount.core import data
from hypothesis import given
from hypothesis import strategies as st
from journal.books import BANK, HERE, RESERVATION, THERE, Books, audit, captured, moved, opened, sums_of
from wire.made_up import ids, memos

from bankbook.core.clock import HYBRID_TIME_MAX
from bankbook.core.entry import Grant, Record, RecordKind, Reservation, Settlement, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis
from bankbook.core.types import MONEY_MAX, AccountId, BranchId, Money
from bankbook.journal.beancount import JournalError

BEAN_CHECK = Path(sys.executable).with_name("bean-check")

DEPOSIT, WITHDRAWAL, TRANSFER = RecordKind.DEPOSIT, RecordKind.WITHDRAWAL, RecordKind.TRANSFER


def bean_check(path: Path, text: str) -> subprocess.CompletedProcess[str]:
    path.write_text(text, encoding="utf-8")
    return subprocess.run([BEAN_CHECK, path], capture_output=True, text=True, timeout=60, check=False)


def a_little_of_everything() -> Books:
    books = Books()
    books.write(HERE, opened("anna", "EUR"), opened("Anna", "EUR", -5_00), opened("till.0", "JPY", None))
    books.write(THERE, opened("x@y.eu", "btc"), opened("0:1_2", "BHD"), opened("z" * 64))
    books.write(
        HERE, moved(DEPOSIT, ("anna", 12_50), memo='for "rent" \\ ünï ✓'), customer="anna", key="2/order-17"
    )
    books.write(THERE, moved(DEPOSIT, ("anna", 0)))
    books.write(THERE, moved(WITHDRAWAL, ("Anna", -1)))
    books.write(HERE, moved(TRANSFER, ("anna", -2_00), ("Anna", 2_00), memo="half"))
    books.write(THERE, moved(DEPOSIT, ("0:1_2", 1_234)), moved(DEPOSIT, ("z" * 64, MONEY_MAX)))
    books.write(
        HERE,
        moved(TRANSFER, ("anna", -3), ("Anna", 3), ("till.0", -700), ("x@y.eu", 1), ("0:1_2", 0)),
        moved(DEPOSIT, ("till.0", 900)),
    )
    return books


def balanced() -> Books:
    """Return the same, in which every transaction adds up."""
    books = a_little_of_everything()
    del books.entries[-1]
    books.write(THERE, opened("till-0", "JPY"), opened("0:1-2", "BHD"))
    books.write(HERE, moved(DEPOSIT, ("till.0", 900)), moved(TRANSFER, ("till.0", -700), ("till-0", 700)))
    books.write(HERE, moved(TRANSFER, ("anna", -3), ("Anna", 3), ("0:1_2", -4), ("till.0", 0), ("0:1-2", 4)))
    books.write(HERE, captured(("anna", -1_00), left=50))
    books.write(HERE, captured(("anna", -50), ("Anna", 50)))
    return books


def test_bean_check_accepts_the_journal_of_a_bank_that_did_everything(tmp_path: Path) -> None:
    books = balanced()
    done = bean_check(tmp_path / "books.beancount", books.journal())
    assert (done.returncode, done.stderr) == (0, "")
    assert audit(books.journal()).balances == sums_of(books.entries)


def test_bean_check_rejects_a_journal_of_which_one_amount_was_altered_by_one_cent(tmp_path: Path) -> None:
    text = balanced().journal()
    assert text.count("-12.50 EUR") == 1
    done = bean_check(tmp_path / "books.beancount", text.replace("-12.50 EUR", "-12.51 EUR"))
    assert done.returncode != 0
    assert "does not balance" in done.stderr


def test_no_amount_can_be_altered_by_one_unit_without_being_noticed() -> None:
    text = balanced().journal()
    amounts = re.compile(r"^(?:  [A-Z]|.* balance ).*?  (-?[0-9.]+) ", re.MULTILINE)
    places = [found.span(1) for found in amounts.finditer(text)]
    assert len(places) > 30
    for start, end in places:
        last = int(text[end - 1])
        altered = text[: end - 1] + str(last + 1 if last < 9 else last - 1) + text[end:]
        assert audit(altered).complaints, text[start - 40 : end + 10]


def test_a_transaction_that_was_altered_on_both_sides_is_noticed_at_the_end() -> None:
    text = balanced().journal()
    altered = re.sub(r"12\.50 EUR\n", "12.51 EUR\n", text)
    assert altered != text
    complaints = audit(altered).complaints
    assert complaints
    assert all("Balance failed" in each for each in complaints)


def test_a_transaction_that_is_left_out_is_noticed() -> None:
    first, *rest, end = re.split(r"\n(?=\d{4}-\d\d-\d\d \*|; The end)", balanced().journal())
    for number, _ in enumerate(rest):
        left = rest[:number] + rest[number + 1 :]
        moves_nothing = "  0.00 EUR" in rest[number]
        assert bool(audit("\n".join([first, *left, end])).complaints) != moves_nothing, rest[number]


def test_entries_that_do_not_add_up_are_written_down_for_the_auditor_to_find() -> None:
    complaints = audit(a_little_of_everything().journal()).complaints
    assert len(complaints) == 1
    assert "does not balance" in complaints[0]


def test_a_transaction_tells_who_why_when_and_where_it_comes_from() -> None:
    books = Books()
    books.write(THERE, opened("anna", "EUR"))
    books.write(
        THERE, moved(DEPOSIT, ("anna", 7)), moved(DEPOSIT, ("anna", 5_00), memo="pay"), key="k", customer="bo"
    )
    first, second = audit(books.journal()).of(data.Transaction)
    assert (second.date, second.payee, second.narration) == (date(2025, 6, 15), "bo", "pay")
    meta = {
        name: value
        for name, value in second.meta.items()
        if name not in ("filename", "lineno", "__tolerances__")
    }
    entry = books.entries[1].id
    assert meta == {
        "entry": str(entry), "record": 2, "kind": "deposit", "time": "2025-06-15T15:06:42.000Z", "key": "k",
    }  # fmt: skip
    assert first.links == second.links == {f"{entry.origin}/{entry.seq}"}, "a batch is one entry"
    assert [(leg.account, str(leg.units)) for leg in second.postings] == [
        ("Liabilities:Customers:Anna", "-5.00 EUR"),
        ("Assets:Cash:Branch-2", "5.00 EUR"),
    ]


def test_the_captures_of_one_reservation_are_linked_and_leave_the_bank_only_where_nobody_receives() -> None:
    paid, given = audit(balanced().journal()).of(data.Transaction)[-2:]
    assert RESERVATION in paid.links & given.links
    assert [leg.account for leg in paid.postings] == ["Liabilities:Customers:Anna", "Assets:Cash:Branch-1"]
    assert [leg.account for leg in given.postings] == [
        "Liabilities:Customers:Anna",
        "Liabilities:Customers:Anna-C",
    ]


def test_what_moves_no_money_is_not_in_the_journal() -> None:
    books = Books()
    books.write(HERE, opened("anna"))
    before = len(books.journal())
    anna, end = AccountId("anna"), Settlement(RESERVATION, AccountId("anna"), Money(5), Money(0))
    for record in (
        Record(RecordKind.REFUSAL, verdict=Verdict(Outcome.INSUFFICIENT_FUNDS)),
        Record(RecordKind.GRANT, grant=Grant(anna, THERE, Money(5))),
        Record(RecordKind.FENCE, fence=BranchId(2)),
        Record(RecordKind.RESERVATION, reservation=Reservation(anna, Money(5), None, None)),
        Record(RecordKind.RELEASE, settlement=end),
        Record(RecordKind.EXPIRY, settlement=end),
        Record(RecordKind.REJOINING, ended=()),
    ):
        books.write(HERE, record, customer=None)
    assert len(books.journal()) == before
    assert audit(books.journal()).of(data.Transaction) == []


def test_the_accounts_of_a_bank_with_an_opening_balance_begin_with_it_on_the_first_day() -> None:
    books = Books(Genesis("old-bank", BANK.branches, Money(400)))
    books.write(HERE, Record(RecordKind.FENCE, fence=BranchId(2)), customer=None)
    books.seconds += 3 * 24 * 3600
    books.write(HERE, moved(DEPOSIT, ("1", 5)))
    books.write(THERE, moved(TRANSFER, ("1", -405), ("2", 405)))
    found = audit(books.journal())
    assert found.complaints == []
    assert found.balances == sums_of(books.entries, opening=400) == {"1": 0, "2": 805}
    openings = [each for each in found.of(data.Transaction) if each.narration == "Opening balance"]
    assert [each.date for each in openings] == [date(2025, 6, 15)] * 2
    assert {leg.account for each in openings for leg in each.postings} == {
        "Equity:Opening-Balances", "Liabilities:Customers:1", "Liabilities:Customers:2",
    }  # fmt: skip
    assert {each.date for each in found.of(data.Balance)} == {date(2025, 6, 19)}, (
        "the day after the last entry"
    )


@pytest.mark.parametrize("opening", [0, -50])
def test_a_bank_may_begin_with_nothing_or_with_debts(opening: int) -> None:
    books = Books(Genesis("old-bank", BANK.branches, Money(opening)))
    books.write(HERE, moved(DEPOSIT, ("1", 5)))
    found = audit(books.journal())
    assert (found.complaints, found.balances) == ([], {"1": opening + 5})


def test_a_bank_in_which_nothing_has_happened_has_a_journal_too() -> None:
    found = audit(Books().journal())
    assert (found.complaints, found.directives) == ([], [])


def test_an_account_that_was_opened_twice_is_for_the_auditor_to_find() -> None:
    books = Books()
    books.write(HERE, opened("anna"))
    books.write(THERE, opened("anna"))
    assert any("Duplicate open" in each for each in audit(books.journal()).complaints)


def test_money_on_an_account_that_nobody_opened_is_refused() -> None:
    books = Books()
    books.write(HERE, moved(DEPOSIT, ("anna", 5)))
    with pytest.raises(JournalError, match=r"1\.000a11ce#1 moves money on account anna, which nobody opened"):
        books.journal()


def test_a_time_that_no_journal_can_tell_is_refused() -> None:
    books = Books(seconds=(HYBRID_TIME_MAX >> 16) // 1000 - 2)
    books.write(HERE, opened("anna"))
    with pytest.raises(JournalError, match=r"6429-.*a journal ends with 2999-12-30 at the latest"):
        books.journal()


@st.composite
def books_of_any_kind(draw: st.DrawFn) -> Books:
    """Draw a bank whose entries all add up."""
    books = Books()
    names = draw(st.lists(ids, min_size=2, max_size=6, unique=True))
    currencies = draw(
        st.lists(st.just("") | st.sampled_from(["EUR", "JPY", "BHD"]) | ids, min_size=1, max_size=2)
    )
    counts = {name: draw(st.sampled_from(currencies)) for name in names}
    origins, money = st.sampled_from([HERE, THERE]), st.integers(0, MONEY_MAX)
    for name, currency in counts.items():
        books.write(draw(origins), opened(name, currency))
    for _ in range(draw(st.integers(0, 10))):
        name, amount, memo = draw(st.sampled_from(names)), draw(money), draw(memos)
        alike = [each for each in names if each != name and counts[each] == counts[name]]
        to = draw(st.sampled_from(alike)) if alike else None
        record = draw(
            st.sampled_from(
                [
                    moved(DEPOSIT, (name, amount), memo=memo),
                    moved(WITHDRAWAL, (name, -amount), memo=memo),
                    captured((name, -amount), *([(to, amount)] if to else [])),
                    moved(TRANSFER, (name, -amount), (to or name, amount), memo=memo),
                ]
            )
        )
        books.write(draw(origins), *[record] * draw(st.integers(1, 2)), customer=draw(ids))
    return books


@given(books_of_any_kind())
def test_beancount_comes_to_the_same_sums_whatever_the_bank_did(books: Books) -> None:
    found = audit(books.journal())
    assert found.complaints == []
    assert found.balances == sums_of(books.entries)
    told = [(each.payee, each.narration) for each in found.of(data.Transaction)]
    assert told == [(e.customer, r.memo) for e in books.entries for r in e.records if r.postings]
