"""Amounts as people write them, and the minor units that a bank counts.

Decides how many decimals a currency has. Must not know what is done with an amount. No float comes near
it: digits are moved, never multiplied. Proof: tests/cli/test_amounts.py.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from bankbook.core.types import MONEY_MAX, Money

# The minor units of ISO 4217 (list one, edition 2024) that are not 2. A table of three lines, and not a
# library: all that is needed of the standard is this column, and it changes once in a decade.
_DECIMALS_USUAL = 2
_DECIMALS_NAMED = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DECIMALS = {code: decimals for decimals, codes in _DECIMALS_NAMED.items() for code in codes.split()}

_CODE_LETTERS = 3

_WRITTEN = re.compile(
    r"(?P<whole>[0-9]+)(?:\.(?P<fraction>[0-9]+))? ?(?P<currency>[A-Za-z][A-Za-z0-9._:@+-]*)?"
)


class AmountError(ValueError):
    """What was written is no amount of that currency; the message says the right form."""


class Written(NamedTuple):
    """An amount as it was written, before it is known what the account counts."""

    whole: str
    fraction: str
    currency: str | None
    """None where none was written."""


def decimals_of(currency: str) -> int:
    """Return how many decimals a currency's amounts have; plain units, the empty currency, have none."""
    return _DECIMALS.get(currency, _DECIMALS_USUAL) if currency else 0


def normal(currency: str) -> str:
    """Return a currency as a bank knows it: the codes of ISO 4217 are written in capitals."""
    is_code = len(currency) == _CODE_LETTERS and currency.isascii() and currency.isalpha()
    return currency.upper() if is_code else currency


def read_amount(words: Sequence[str]) -> Written:
    """Take apart `12.50 EUR`, `12.50EUR` or `12.50`, in one word or two. Raises AmountError."""
    text = " ".join(words)
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise AmountError(
            f"{text!r} is not an amount; write digits, a point before the decimals, and the currency behind "
            "it if you like: 12.50 EUR"
        )
    currency = found["currency"]
    return Written(found["whole"], found["fraction"] or "", currency and normal(currency))


def minor_units(written: Written, currency: str, account: str) -> Money:
    """Return an amount in the minor units of what `account` counts. Raises AmountError."""
    if written.currency is not None and written.currency != currency:
        counts = currency or "plain units"
        form = _form(written._replace(currency=None), currency)
        raise AmountError(
            f"{account} counts {counts}, not {written.currency}; write an amount such as {form}"
        )
    decimals = decimals_of(currency)
    if len(written.fraction) > decimals:
        form = _form(written, currency)
        counts = (
            f"{currency} has {decimals or 'no'} decimals" if currency else f"{account} counts plain units"
        )
        raise AmountError(f"{_as_written(written)} has too many decimals: {counts}; write {form}")
    minor = int(written.whole[-_DIGITS_MAX:] + written.fraction.ljust(decimals, "0"))
    if minor > MONEY_MAX or written.whole[:-_DIGITS_MAX].strip("0"):
        most = in_words(MONEY_MAX, currency)
        raise AmountError(f"{_as_written(written)} is more than a bank counts at once; write {most} or less")
    return Money(minor)


# Of the part before the point: beyond it, an amount is too large whatever its decimals.
_DIGITS_MAX = 20


def decimal_text(minor: int, currency: str) -> str:
    """Return an amount with its decimals, without its currency."""
    decimals = decimals_of(currency)
    digits = str(abs(minor)).rjust(decimals + 1, "0")
    sign = "-" if minor < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def in_words(minor: int, currency: str) -> str:
    """Return an amount as a person reads it: `12.50 EUR`, or `1250` where plain units are counted."""
    return f"{decimal_text(minor, currency)} {currency}".rstrip()


def _form(written: Written, currency: str) -> str:
    """Return the nearest right form, cut and never rounded up."""
    decimals = decimals_of(currency)
    digits = written.fraction[:decimals].ljust(decimals, "0")
    return f"{written.whole[:_DIGITS_MAX]}{'.' if digits else ''}{digits} {currency}".rstrip()


def _as_written(written: Written) -> str:
    fraction = f".{written.fraction[:_DIGITS_MAX]}" if written.fraction else ""
    return f"{written.whole[:_DIGITS_MAX]}{fraction} {written.currency or ''}".rstrip()
