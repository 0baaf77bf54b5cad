"""No two ids, and no two currencies, are ever called the same; and beancount can read every name."""

import re
from string import ascii_letters, digits

import pytest
from beancount.core import data
from hypothesis import given
from hypothesis import strategies as st
from journal.books import audit
from wire.made_up import ids, memos

from bankbook.core.types import AccountId
from bankbook.journal.names import account_part, commodity, quoted

# Chosen where an escaping is likely to go wrong: cases, hyphens, and ids that look like escapes.
TRICKY = (
    "a",
    "A",
    "a-C",
    "A-C",
    "a--C",
    "a-",
    "A-",
    "a.",
    "ad",
    "a-d",
    "a--d",
    "0",
    "0-C",
    "z" * 64,
    "Z" * 64,
)
tricky_ids = ids | st.text("aAcCdD-.", min_size=1, max_size=5).filter(lambda text: text[0] not in "-.")

CURRENCIES = (
    "EUR",
    "eur",
    "Eur",
    "UNIT",
    "unit",
    "TRUE",
    "NULL",
    "X",
    "X-EUR",
    "e.x",
    "1",
    "A1",
    "A-",
    "a+b@c:d_e",
)


def account_of(part: str) -> str:
    """Read an account's name backwards, escape by escape."""
    signs = {"--": "-", "-d": ".", "-u": "_", "-c": ":", "-a": "@", "-p": "+"}
    *tokens, last = re.findall(r"-.|[^-]", part)
    if last == "-C":
        return "".join(signs.get(token, token) for token in tokens)
    text = "".join(signs.get(token, token) for token in (*tokens, last))
    return text[0].lower() + text[1:]


def currency_of(name: str) -> str:
    """Read a commodity's name backwards."""
    if name == "UNIT":
        return ""
    if not name.startswith("X-"):
        return name
    signs = dict(enumerate("._:@+-"))
    tokens = re.findall(r"'.|[^']", name.removeprefix("X-"))
    return "".join(
        token if len(token) == 1 else signs[int(token[1])] if token[1] in digits else token[1].lower()
        for token in tokens
    )


@given(tricky_ids)
def test_an_account_can_be_told_from_its_name(account: str) -> None:
    assert account_of(account_part(AccountId(account))) == account


@given(st.just("") | tricky_ids | st.sampled_from(CURRENCIES))
def test_a_currency_can_be_told_from_its_commodity(currency: str) -> None:
    assert currency_of(commodity(currency)) == currency


@given(st.lists(tricky_ids, min_size=2, max_size=8, unique=True))
def test_no_two_ids_have_one_name(names: list[str]) -> None:
    assert len({account_part(AccountId(name)) for name in names}) == len(names)
    assert len({commodity(name) for name in names}) == len(names)


def test_names_are_as_near_to_the_ids_as_beancount_allows() -> None:
    examples = {
        "anna": "Anna",
        "Anna": "Anna-C",
        "order-17": "Order--17",
        "4f.x": "4f-dx",
        "a@b.eu": "A-ab-deu",
    }
    assert {account: account_part(AccountId(account)) for account in examples} == examples
    examples = {"EUR": "EUR", "": "UNIT", "UNIT": "X-UNIT", "btc": "X-'B'T'C", "a.b": "X-'A'0'B"}
    assert {currency: commodity(currency) for currency in examples} == examples


def journal_with(accounts: list[str], currencies: list[str], texts: list[str]) -> str:
    lines = [f"2020-01-01 open Liabilities:Customers:{account_part(AccountId(each))}\n" for each in accounts]
    lines += [f"2020-01-01 commodity {commodity(each)}\n  name: {quoted(each)}\n" for each in currencies]
    lines += [f"2020-01-01 * {quoted(each)} {quoted(each)}\n" for each in texts]
    return "".join(lines)


@given(st.lists(tricky_ids, max_size=20, unique=True), st.lists(tricky_ids, max_size=20, unique=True))
def test_beancount_reads_every_name(accounts: list[str], currencies: list[str]) -> None:
    found = audit(journal_with(accounts, currencies, []))
    assert found.complaints == []
    assert {each.account.split(":")[2] for each in found.of(data.Open)} == {
        account_part(AccountId(each)) for each in accounts
    }
    assert [each.meta["name"] for each in found.of(data.Commodity)] == currencies


def test_beancount_reads_the_tricky_names() -> None:
    assert audit(journal_with(list(TRICKY), ["", *CURRENCIES], [])).complaints == []
    assert {*"".join(TRICKY)} < {*ascii_letters, *digits, *".-"}


@given(st.lists(memos, max_size=20))
def test_beancount_reads_every_memo_as_it_was_written(texts: list[str]) -> None:
    found = audit(journal_with([], [], texts))
    assert found.complaints == []
    told = [(each.payee or "", each.narration) for each in found.of(data.Transaction)]
    assert told == [(text, text) for text in texts]


@pytest.mark.parametrize("text", ['"', "\\", '\\"', '"; drop', "a\\", "\\n", "ünï ✓ 漢"])
def test_quotes_backslashes_and_unicode(text: str) -> None:
    (found,) = audit(journal_with([], [], [text])).of(data.Transaction)
    assert found.narration == text
