"""Every bound of a request that can be checked without knowing any account."""

import pytest

from bankbook.core.commands import (
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    Transfer,
    Withdraw,
    access_of,
    account_of,
    accounts_of,
    complaint_about,
    complaint_about_customer,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Access
from bankbook.core.types import ID_CHARACTERS_MAX, MONEY_MAX, AccountId, CustomerId, Money

A, B = AccountId("a"), AccountId("b")
LONG = AccountId("x" * (ID_CHARACTERS_MAX + 1))


def opening(floor: int | None = 0, currency: str = "", account: AccountId = A) -> OpenAccount:
    return OpenAccount(Opening(account, None if floor is None else Money(floor), currency))


@pytest.mark.parametrize(
    "command",
    [
        ReadBalance(A),
        *(each(A, Money(amount)) for each in (Deposit, Withdraw) for amount in (0, 1, MONEY_MAX)),
        *(Transfer(A, B, Money(amount)) for amount in (0, MONEY_MAX)),
        Transfer(A, A, Money(1)),
        opening(),
        opening(floor=-MONEY_MAX),
        opening(floor=None),
        opening(currency="EUR"),
    ],
)
def test_there_is_no_complaint_about_a_request_within_the_bounds(command: Command) -> None:
    assert complaint_about(command) is None


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (ReadBalance(AccountId("")), "an account id has"),
        (ReadBalance(LONG), "an account id has"),
        (Deposit(AccountId("a b"), Money(1)), "an account id has"),
        (Withdraw(AccountId("-"), Money(1)), "an account id has"),
        (Transfer(AccountId("?"), B, Money(1)), "an account id has"),
        (Transfer(A, AccountId("?"), Money(1)), "this one is '?'"),
        (opening(account=AccountId("?")), "an account id has"),
        *((each(A, Money(-1)), "this one is -1") for each in (Deposit, Withdraw)),
        *((each(A, Money(MONEY_MAX + 1)), "an amount is") for each in (Deposit, Withdraw)),
        (Transfer(A, B, Money(-1)), "an amount is"),
        (Transfer(A, B, Money(MONEY_MAX + 1)), "an amount is"),
        (opening(floor=1), "a floor is 0"),
        (opening(floor=-MONEY_MAX - 1), "a floor is 0"),
        (opening(currency="no spaces"), "a currency has"),
        (opening(currency="x" * (ID_CHARACTERS_MAX + 1)), "a currency has"),
    ],
)
def test_a_request_beyond_a_bound_is_told_the_bound(command: Command, complaint: str) -> None:
    assert complaint in str(complaint_about(command))


def test_a_complaint_does_not_repeat_a_megabyte() -> None:
    assert len(str(complaint_about(ReadBalance(AccountId("?" * 2**20))))) < 300
    assert len(str(complaint_about_customer(CustomerId("?" * 2**20)))) < 300


def test_a_customer_has_a_name_that_an_entry_can_carry() -> None:
    assert complaint_about_customer(CustomerId("anna@example.org")) is None
    assert complaint_about_customer(CustomerId("")) is not None


def test_every_command_reads_and_all_but_the_query_write() -> None:
    assert access_of(ReadBalance(A)) == Access.READ
    for command in (Deposit(A, Money(1)), Withdraw(A, Money(1)), Transfer(A, B, Money(1)), opening()):
        assert access_of(command) == Access.READ | Access.WRITE


def test_a_transfer_tells_of_its_source_and_depends_on_both_accounts() -> None:
    transfer = Transfer(A, B, Money(1))
    assert account_of(transfer) == A
    assert accounts_of(transfer) == (A, B)
    assert accounts_of(opening()) == (A,)
