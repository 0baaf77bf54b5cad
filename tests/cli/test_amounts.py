"""Amounts as people write them: what is read, what is told, and that nothing is lost between the two."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.cli.amounts import (
    AmountError,
    decimal_text,
    decimals_of,
    in_words,
    minor_units,
    normal,
    read_amount,
)
from bankbook.core.types import MONEY_MAX

CURRENCIES = st.sampled_from(["", "EUR", "JPY", "KWD", "CLF", "points"])


def minor(text: str, currency: str) -> int:
    return minor_units(read_amount(text.split()), currency, "anna")


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("EUR", 2),
        ("USD", 2),
        ("JPY", 0),
        ("ISK", 0),
        ("BHD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("points", 2),
        ("", 0),
    ],
)
def test_a_currency_has_its_decimals(currency: str, decimals: int) -> None:
    assert decimals_of(currency) == decimals


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("12.50 EUR", "EUR", 1250),
        ("12.50EUR", "EUR", 1250),
        ("12.50", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("12", "EUR", 1200),
        ("0.01", "EUR", 1),
        ("007", "EUR", 700),
        ("0", "EUR", 0),
        ("12 eur", "EUR", 1200),
        ("1250", "JPY", 1250),
        ("1.234 KWD", "KWD", 1234),
        ("1.2345CLF", "CLF", 12345),
        ("1250", "", 1250),
        ("90071992547409.91", "EUR", MONEY_MAX),
        ("0" * 5000 + "1", "EUR", 100),
    ],
)
def test_an_amount(text: str, currency: str, expected: int) -> None:
    assert minor(text, currency) == expected


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("12.505", "EUR", "EUR has 2 decimals; write 12.50 EUR"),
        ("12.50", "JPY", "JPY has no decimals; write 12 JPY"),
        ("12.5", "", "anna counts plain units; write 12"),
        ("12.50 USD", "EUR", "anna counts EUR, not USD; write an amount such as 12.50 EUR"),
        ("0x1", "EUR", "anna counts EUR, not x1"),
        ("12.50 EUR", "", "anna counts plain units, not EUR; write an amount such as 12"),
        ("90071992547409.92", "EUR", "write 90071992547409.91 EUR or less"),
        ("9" * 5000, "EUR", "is more than a bank counts at once"),
        ("1" + "0" * 25, "EUR", "is more than a bank counts at once"),
    ],
)
def test_an_amount_that_does_not_suit_the_account(text: str, currency: str, expected: str) -> None:
    with pytest.raises(AmountError) as refusal:
        minor(text, currency)
    assert expected in str(refusal.value)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["", "EUR", "EUR 12", "12,50", "1.", ".5", "-1", "+1", "1 2", "1.2.3", "1 EUR x", "١٢", "1_0"],
)
def test_what_is_no_amount_is_answered_with_how_to_write_one(text: str) -> None:
    with pytest.raises(AmountError, match=r"12\.50 EUR"):
        minor(text, "")


def test_the_codes_of_the_standard_are_capitals_and_other_names_are_what_they_are() -> None:
    assert [normal(each) for each in ("eur", "Eur", "points", "p1x", "")] == [
        "EUR",
        "EUR",
        "points",
        "p1x",
        "",
    ]


@given(number=st.integers(-(2**63), 2**63 - 1), currency=CURRENCIES)
def test_what_is_told_is_the_exact_decimal(number: int, currency: str) -> None:
    told = Decimal(decimal_text(number, currency))
    assert told.as_tuple().exponent == -decimals_of(currency)
    assert told == Decimal(number).scaleb(-decimals_of(currency))


@given(number=st.integers(0, MONEY_MAX), currency=CURRENCIES)
def test_what_is_told_can_be_typed_again(number: int, currency: str) -> None:
    told = in_words(number, currency)
    assert minor(told, currency) == number
    assert minor(told.replace(" ", ""), currency) == number
    assert minor(told.split()[0], currency) == number
