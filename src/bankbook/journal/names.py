"""What ids, currencies and texts are called in a beancount journal.

Decides an escaping that never calls two different ids the same: auditors add up by name. Must not know what
the names stand for. Proof: tests/journal/test_names.py, against beancount's own parser.

An id has letters of both cases, digits and . _ : @ + - (bankbook.core.types.ID_RULE). Beancount's rules are
narrower (its "Language Syntax", sections "Accounts" and "Commodities / Currencies"): a part of an account's
name has letters, digits and hyphens, and begins with a capital or a digit; a commodity has capitals, digits
and ' . _ -, begins with a capital and ends with a capital or a digit.
"""

import re

from bankbook.core.types import AccountId

PLAIN_UNIT = "UNIT"
"""The commodity of accounts that count plain units."""

# In an account's name a hyphen begins every escape, and stands nowhere else.
_IN_ACCOUNT = str.maketrans({"-": "--", ".": "-d", "_": "-u", ":": "-c", "@": "-a", "+": "-p"})

# Behind an id that begins with a capital by itself, where all others only do so because beancount wants it:
# `anna` is Anna, and `Anna` is Anna-C.
_CAPITAL = "-C"

# What reads as a commodity unescaped, but for the words that mean something else to beancount or to us.
_PLAIN_CODE = re.compile(r"[A-Z][A-Z0-9]+")
_TAKEN = {PLAIN_UNIT, "TRUE", "FALSE", "NULL"}

# Any other currency begins with this; a plain code has no hyphen.
_ESCAPED = "X-"

# An apostrophe begins every escape, and stands nowhere else.
_IN_CURRENCY = str.maketrans(
    {chr(code): f"'{chr(code).upper()}" for code in range(ord("a"), ord("z") + 1)}
    | {sign: f"'{number}" for number, sign in enumerate("._:@+-")}
)


def account_part(account: AccountId) -> str:
    """Return the part of an account's name that says which one it is."""
    first = account[0].upper()
    return first + account[1:].translate(_IN_ACCOUNT) + (_CAPITAL if account[0].isupper() else "")


def commodity(currency: str) -> str:
    """Return what a currency is called; the empty one counts plain units."""
    if not currency:
        return PLAIN_UNIT
    if _PLAIN_CODE.fullmatch(currency) and currency not in _TAKEN:
        return currency
    return _ESCAPED + currency.translate(_IN_CURRENCY)


def quoted(text: str) -> str:
    """Return a text as beancount writes it; it has to be one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
