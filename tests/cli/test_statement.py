"""`bankbook statement`: dates as people mean them, lines that are aligned, pages to the end."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import click
import pytest
from cli.commands import complaint_of
from cli.own_bank import OwnBank

from bankbook.cli.statement import MomentType, _end_of, _moment
from bankbook.client.sync import Bank
from bankbook.core.commands import LINES_MAX, Deposit
from bankbook.core.types import AccountId, Money


@pytest.fixture
def new_york() -> Iterator[None]:
    """Local time with a summer: five hours behind UTC, in summer four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-01-31", "2026-01-31T05:00:00", "2026-02-01T05:00:00"),
        ("2026-07-31", "2026-07-31T04:00:00", "2026-08-01T04:00:00"),
        ("2026-03-08", "2026-03-08T05:00:00", "2026-03-09T04:00:00"),  # a day of 23 hours
        ("2026-01-31T18:00", "2026-01-31T23:00:00", "2026-01-31T23:00:00"),
        ("2026-01-31T18:00:00.250+01:00", "2026-01-31T17:00:00.250", "2026-01-31T17:00:00.250"),
    ],
)
def test_a_date_is_a_day_of_local_time_from_its_beginning_to_its_end(
    text: str, begins: str, ends: str
) -> None:
    moment = MomentType().convert(text, None, None)
    assert _moment(moment, None) == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert _moment(_end_of(moment), None) == datetime.fromisoformat(ends).replace(tzinfo=UTC)


def test_with_utc_it_is_a_day_of_utc() -> None:
    assert _moment(date(2026, 1, 31), UTC) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "31.01.2026", "2026-01-31T25:00", ""])
def test_what_is_no_date_is_answered_with_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2026-01-31"):
        MomentType().convert(text, None, None)


def test_every_line_says_when_how_much_and_what_for(bank: OwnBank) -> None:
    bank.says("open", "story", "--currency", "EUR")
    bank.says("open", "landlord", "--currency", "EUR")
    bank.says("deposit", "story", "1500", "--memo", "salary")
    bank.says("transfer", "story", "landlord", "700.50", "--memo", "rent, May")
    lines = bank.says("statement", "story").splitlines()
    when, when_too = lines[2][:19], lines[3][:19]
    assert lines == [
        "date                       amount       balance                        in EUR",
        "                                           0.00  balance before",
        f"{when}      +1500.00       1500.00  deposit               salary",
        f"{when_too}       -700.50        799.50  transfer to landlord  rent, May",
        "                                         799.50  balance after",
    ]
    in_utc = bank.says("statement", "story", "--utc").splitlines()[2][:19]
    told = datetime.fromisoformat(when), datetime.fromisoformat(in_utc)
    assert 4 * 3600 <= (told[1] - told[0]).total_seconds() <= 5 * 3600, "New York is behind"
    assert "transfer from story" in bank.says("statement", "landlord")


def test_a_program_is_told_a_line_at_a_time(bank: OwnBank) -> None:
    bank.says("open", "ledger", "--currency", "JPY")
    bank.says("deposit", "ledger", 300, "--memo", "one")
    bank.says("withdraw", "ledger", 100, "--memo", "two")
    lines = [json.loads(line) for line in bank.says("statement", "ledger", "--json").splitlines()]
    assert [(each["amount"], each["amount_minor"], each["balance"], each["memo"]) for each in lines] == [
        ("300", 300, "300", "one"),
        ("-100", -100, "200", "two"),
    ]
    assert {each["currency"] for each in lines} == {"JPY"}
    assert {each["customer"] for each in lines} == {"anna"}
    assert datetime.fromisoformat(lines[0]["time"]) <= datetime.fromisoformat(lines[1]["time"])


def test_only_what_is_between_two_dates(bank: OwnBank) -> None:
    bank.says("open", "range")
    bank.says("deposit", "range", 5)
    (line,) = bank.says("statement", "range", "--json").splitlines()
    day = json.loads(line)["time"][:10]
    assert bank.says("statement", "range", "--json", "--from", day, "--to", day) == line
    assert bank.says("statement", "range", "--json", "--to", "2001-01-01") == ""
    assert bank.says("statement", "range", "--json", "--from", "2201-01-01") == ""
    assert "balance before" in bank.says("statement", "range", "--from", "2201-01-01")
    assert "ends after it begins" in complaint_of(
        bank.types("statement", "range", "--from", "2026-02-01", "--to", "2026-01-01"), 2
    )


def test_it_is_told_to_its_end_however_many_pages_there_are(bank: OwnBank) -> None:
    count = LINES_MAX + 500
    bank.says("open", "long")
    with Bank({1: f"127.0.0.1:{bank.base + 1}"}) as client:
        session = client.session("anna")
        for _ in range(count // 25):
            assert session.batch([Deposit(AccountId("long"), Money(1))] * 25).refused == ()
    lines = [json.loads(line) for line in bank.says("statement", "long", "--json").splitlines()]
    assert [each["balance_minor"] for each in lines] == list(range(1, count + 1))
    table = bank.says("statement", "long").splitlines()
    assert len(table) == count + 3
    assert (table[1].split()[0], table[-1].split()[0]) == ("0", str(count))
