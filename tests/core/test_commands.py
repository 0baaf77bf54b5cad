"""What a request is made of: what it touches, and what tells one from another."""

import itertools

import pytest

from bankbook.core.columns import Columns, Movement
from bankbook.core.commands import (
    Batch,
    Capture,
    Command,
    Deposit,
    Moves,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
    access_of,
    accounts_of,
    bounded,
    fingerprint_of,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.guarantees import Access
from bankbook.core.types import AccountId, CustomerId, Money, ReservationId

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")
ANNA, BERT = CustomerId("anna"), CustomerId("bert")
FIVE = Money(5)
NAME = ReservationId("1.00000007-3-0")

WRITES: list[Command] = [
    Deposit(A, FIVE),
    Withdraw(A, FIVE),
    Transfer(A, B, FIVE),
    Submit((Posting(A, Money(-5)), Posting(B, FIVE))),
    OpenAccount(Opening(A, Money(0), "")),
    Reserve(A, FIVE),
    Capture(NAME),
    Release(NAME),
    Batch((Deposit(A, FIVE),)),
]


@pytest.mark.parametrize("command", [ReadBalance(A), ReadStatement(A)])
def test_who_only_asks_only_reads(command: Command) -> None:
    assert access_of(command) == Access.READ


@pytest.mark.parametrize("command", WRITES, ids=lambda command: type(command).__name__)
def test_whoever_moves_money_is_told_a_balance_and_so_reads_too(command: Command) -> None:
    assert access_of(command) == Access.READ | Access.WRITE


@pytest.mark.parametrize(
    ("command", "accounts"),
    [
        (Transfer(A, B, FIVE), (A, B)),
        (Submit((Posting(C, Money(-5)), Posting(A, FIVE), Posting(C, Money(0)))), (C, A)),
        (OpenAccount(Opening(A, Money(0), "")), (A,)),
        (Reserve(A, FIVE), (A,)),
        (Reserve(A, FIVE, destination=B), (A, B)),
        (Capture(NAME), ()),
        (Release(NAME), ()),
        (Batch((Deposit(B, FIVE), Transfer(A, B, FIVE))), (B, A)),
        (ReadStatement(B), (B,)),
    ],
)
def test_a_command_names_each_of_its_accounts_once_and_first_the_one_it_tells_of(
    command: Command, accounts: tuple[AccountId, ...]
) -> None:
    assert accounts_of(command) == accounts


def test_the_same_request_has_the_same_fingerprint_and_it_can_stand_in_an_entry() -> None:
    again = Transfer(AccountId("a"), AccountId("b"), Money(5))
    assert fingerprint_of(ANNA, Transfer(A, B, FIVE)) == fingerprint_of(CustomerId("anna"), again)
    assert len(fingerprint_of(ANNA, again)) == 16


DIFFERENT: list[Command] = [
    *WRITES,
    Deposit(B, FIVE),
    Deposit(A, Money(6)),
    Deposit(A, FIVE, "rent"),
    Reserve(A, FIVE, lifetime_ms=5),
    Reserve(A, FIVE, destination=B),
    Capture(NAME, FIVE),
    Capture(NAME, is_final=False),
    Batch((Withdraw(A, FIVE),)),
    Batch((Deposit(A, FIVE),), is_atomic=True),
    Batch((Deposit(A, FIVE), Deposit(A, FIVE))),
    Batch((Deposit(A, FIVE), Withdraw(A, FIVE))),
]


def test_two_requests_that_differ_in_anything_differ_in_their_fingerprint() -> None:
    for one, other in itertools.combinations(DIFFERENT, 2):
        assert fingerprint_of(ANNA, one) != fingerprint_of(ANNA, other), (one, other)
    assert fingerprint_of(ANNA, DIFFERENT[0]) != fingerprint_of(BERT, DIFFERENT[0])


@pytest.mark.parametrize(
    ("command", "fingerprint"),
    [
        (Transfer(A, B, FIVE, "rent"), "3049362a37304f8f"),
        (Transfer(A, B, FIVE, "Käse"), "08243699150317f6"),
        (Deposit(A, FIVE, "\N{CHEESE WEDGE}"), "4c84966defdece4c"),
        (Batch(Moves(Columns.of([Movement(A, B, FIVE, "Käse")]))), "a4ccf6c87a8185ae"),
    ],
)
def test_a_key_in_a_store_of_an_earlier_version_is_that_of_the_same_request(
    command: Command, fingerprint: str
) -> None:
    """Else who asks again after an upgrade would be told that nothing happened."""
    assert fingerprint_of(ANNA, command) == fingerprint


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_bound_of_freshness_that_is_no_duration_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="number of seconds from 0 on"):
        bounded(seconds)


def test_a_bound_of_freshness_is_kept_in_microseconds() -> None:
    assert bounded(0.25).bound_us == 250_000
