"""Every bound of a request that can be checked without knowing any account."""

from bisect import bisect_left
from typing import Any

import pytest

from bankbook.core.bounds import (
    BATCH_BYTES_MAX,
    BATCH_COMMANDS_MAX,
    BOUND_US_MAX,
    LEGS_MAX,
    LIFETIME_MS_MAX,
    complaint_about,
    complaint_about_customer,
    complaint_about_freshness,
    complaint_about_key,
)
from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.commands import (
    LINES_MAX,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
    batch_of,
)
from bankbook.core.encoding import decode_entry, make_entry
from bankbook.core.entry import EXPIRES_MS_MAX, Opening, Posting
from bankbook.core.ledger import Teller
from bankbook.core.ports import Account, Changes, Genesis, Holding, Identity, row_of
from bankbook.core.state import State
from bankbook.core.types import (
    ID_CHARACTERS_MAX,
    INCARNATION_MAX,
    KEY_CHARACTERS_MAX,
    MEMO_CHARACTERS_MAX,
    MONEY_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import NOTHING
from bankbook.store.memory import MemoryStore

A, B = AccountId("a"), AccountId("b")
LONG = AccountId("x" * (ID_CHARACTERS_MAX + 1))
NAME = ReservationId("1.00000007-3-0")
ONE = Money(1)


def opening(floor: int | None = 0, currency: str = "", account: AccountId = A) -> OpenAccount:
    return OpenAccount(Opening(account, None if floor is None else Money(floor), currency))


def submit(*amounts: int) -> Submit:
    return Submit(tuple(Posting(AccountId(f"a{n}"), Money(amount)) for n, amount in enumerate(amounts)))


@pytest.mark.parametrize(
    "command",
    [
        ReadBalance(A),
        ReadBalance(A, at_ms=0),
        ReadBalance(A, at_ms=EXPIRES_MS_MAX),
        *(each(A, Money(amount)) for each in (Deposit, Withdraw) for amount in (0, 1, MONEY_MAX)),
        *(Transfer(A, B, Money(amount)) for amount in (0, MONEY_MAX)),
        Transfer(A, A, ONE),
        opening(),
        opening(floor=-MONEY_MAX),
        opening(floor=None),
        opening(currency="EUR"),
        Deposit(A, ONE, memo="Miete für März, 3 % Skonto"),
        Deposit(A, ONE, memo="x" * MEMO_CHARACTERS_MAX),
        submit(-1, 1),
        submit(*[0] * LEGS_MAX),
        submit(-MONEY_MAX, MONEY_MAX),
        Reserve(A, MONEY_MAX),
        Reserve(A, ONE, B, LIFETIME_MS_MAX),
        Reserve(A, ONE, lifetime_ms=0),
        Capture(NAME),
        Capture(NAME, MONEY_MAX, is_final=False),
        Release(NAME, Money(0)),
        ReadStatement(A),
        ReadStatement(A, from_ms=7, to_ms=7, lines_max=1),
        ReadStatement(A, lines_max=LINES_MAX),
        Batch((Deposit(A, ONE),)),
        Batch((Deposit(A, ONE),) * BATCH_COMMANDS_MAX),
        Batch((Withdraw(A, ONE), Transfer(A, B, ONE), submit(0, 0), Reserve(A, ONE)), is_atomic=True),
    ],
    ids=lambda command: type(command).__name__,
)
def test_there_is_no_complaint_about_a_request_within_the_bounds(command: Command) -> None:
    assert complaint_about(command) is None


no_money: Any = 1.0
no_time: Any = "now"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (ReadBalance(AccountId("")), "an account id has"),
        (ReadBalance(LONG), "an account id has"),
        (ReadBalance(A, at_ms=-1), "a moment is 0 to"),
        (ReadBalance(A, at_ms=EXPIRES_MS_MAX + 1), "a moment is 0 to"),
        (Deposit(AccountId("a b"), ONE), "an account id has"),
        (Withdraw(AccountId("-"), ONE), "an account id has"),
        (Transfer(AccountId("?"), B, ONE), "an account id has"),
        (Transfer(A, AccountId("?"), ONE), "this one is '?'"),
        (opening(account=AccountId("?")), "an account id has"),
        *((each(A, Money(-1)), "this one is -1") for each in (Deposit, Withdraw, Reserve)),
        *((each(A, Money(MONEY_MAX + 1)), "an amount is") for each in (Deposit, Withdraw, Reserve)),
        *((each(A, no_money), "this one is 1.0") for each in (Deposit, Withdraw, Reserve)),
        (Deposit(A, Money(True)), "this one is True"),
        (Transfer(A, B, Money(-1)), "an amount is"),
        (Transfer(A, B, Money(MONEY_MAX + 1)), "an amount is"),
        (Deposit(A, ONE, memo="x" * (MEMO_CHARACTERS_MAX + 1)), "a memo is one line"),
        (Deposit(A, ONE, memo="two\nlines"), "a memo is one line"),
        (Reserve(A, ONE, memo="\x1b[2J"), "a memo is one line"),
        (opening(floor=1), "a floor is 0"),
        (opening(floor=-MONEY_MAX - 1), "a floor is 0"),
        (opening(currency="no spaces"), "a currency has"),
        (opening(currency="x" * (ID_CHARACTERS_MAX + 1)), "a currency has"),
        (submit(), "2 to 1024 postings; this one has 0"),
        (submit(0), "this one has 1"),
        (submit(*[0] * (LEGS_MAX + 1)), "this one has 1025"),
        (submit(MONEY_MAX + 1, 0), "a posting's amount is"),
        (submit(0, -MONEY_MAX - 1), "a posting's amount is"),
        (Submit((Posting(A, ONE), Posting(AccountId("?"), Money(-1)))), "an account id has"),
        (Reserve(A, ONE, AccountId("?")), "an account id has"),
        (Reserve(A, ONE, lifetime_ms=-1), "a lifetime is 0 to"),
        (Reserve(A, ONE, lifetime_ms=LIFETIME_MS_MAX + 1), "a lifetime is 0 to"),
        (Reserve(A, ONE, lifetime_ms=no_time), "a lifetime is 0 to"),
        *(
            (Capture(ReservationId(name)), "a reservation is named as")
            for name in ("", "7", "0.00000007-3-0")
        ),
        (Release(ReservationId("?" * 2**20)), "a reservation is named as"),
        (Capture(NAME, Money(-1)), "an amount is"),
        (Release(NAME, Money(MONEY_MAX + 1)), "an amount is"),
        (ReadStatement(A, from_ms=8, to_ms=7), "ends after it begins"),
        (ReadStatement(A, from_ms=-1), "a moment is 0 to"),
        (ReadStatement(A, to_ms=no_time), "a moment is 0 to"),
        (ReadStatement(A, lines_max=0), "1 to 1000 lines; 0 were asked for"),
        (ReadStatement(A, lines_max=LINES_MAX + 1), "1 to 1000 lines"),
        (Batch(()), "1 to 8192 commands; this one has 0"),
        (Batch((Deposit(A, ONE),) * (BATCH_COMMANDS_MAX + 1)), "this one has 8193"),
        (Batch((Deposit(A, ONE), Withdraw(A, Money(-1)))), "command 2 of the batch: an amount is"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_request_beyond_a_bound_is_told_the_bound(command: Command, complaint: str) -> None:
    assert complaint in str(complaint_about(command))


@pytest.mark.parametrize("alien", [ReadBalance(A), opening(), Capture(NAME), Batch((Deposit(A, ONE),)), None])
def test_what_must_go_by_itself_is_not_taken_in_a_batch(alien: Any) -> None:
    complaint = complaint_about(Batch((Deposit(A, ONE), alien)))
    assert f"command 2 of the batch is a {type(alien).__name__}, which must go by itself" == complaint


def test_a_complaint_does_not_repeat_a_megabyte() -> None:
    assert len(str(complaint_about(ReadBalance(AccountId("?" * 2**20))))) < 300
    assert len(str(complaint_about(Deposit(A, ONE, memo="?" * 2**20)))) < 300
    assert len(str(complaint_about_customer(CustomerId("?" * 2**20)))) < 300
    assert len(str(complaint_about_key(Key("?" * 2**20)))) < 500


def test_a_customer_has_a_name_that_an_entry_can_carry() -> None:
    assert complaint_about_customer(CustomerId("anna@example.org")) is None
    assert complaint_about_customer(CustomerId("")) is not None


@pytest.mark.parametrize("key", [None, "order-17", "2/order-17", "256/x", "x" * ID_CHARACTERS_MAX])
def test_a_key_is_an_id_with_or_without_its_branch(key: str | None) -> None:
    assert complaint_about_key(None if key is None else Key(key)) is None


@pytest.mark.parametrize(
    "key",
    ["", "/x", "0/x", "257/x", "01/x", "-1/x", "1/", "1/2/x", "x/1", "é", "1/" + "x" * KEY_CHARACTERS_MAX],
)
def test_what_no_branch_could_look_up_is_no_key(key: str) -> None:
    assert "a key is an id" in str(complaint_about_key(Key(key)))


def test_a_bound_of_freshness_is_what_the_wire_can_carry() -> None:
    for bound_us in (0, BOUND_US_MAX):
        assert complaint_about_freshness(Freshness(Level.BOUNDED, bound_us)) is None
    for bound_us in (-1, BOUND_US_MAX + 1):
        assert "a bound of freshness" in str(complaint_about_freshness(Freshness(Level.BOUNDED, bound_us)))


@pytest.mark.parametrize("balance", [0, MONEY_MAX])
@pytest.mark.parametrize("memo", ['"' * MEMO_CHARACTERS_MAX, "\U0001d510" * MEMO_CHARACTERS_MAX, ""])
def test_the_largest_batch_within_the_bounds_fits_into_an_entry_whatever_becomes_of_it(
    balance: int, memo: str
) -> None:
    here = Origin(BranchId(256), Incarnation(INCARNATION_MAX))
    genesis = Genesis("test", (here.branch,), None)
    one, other = (AccountId(f"{number:x<{ID_CHARACTERS_MAX}}") for number in range(2))
    store = MemoryStore(Identity(here, genesis))
    rights = {here: Holding(rights=Money(balance))}
    state = Account(Money(balance))
    store.commit(Changes(rows={one: row_of(state, rights), other: row_of(state, {})}))
    pair = (Transfer(one, other, Money(balance and 1), memo), Reserve(one, ONE, other, LIFETIME_MS_MAX, memo))
    counts = range(1, BATCH_COMMANDS_MAX // 2 + 1)
    most = bisect_left(counts, 1, key=lambda count: complaint_about(Batch(pair * count)) is not None)
    teller = Teller(State(store, genesis), here.branch, 10**12, EntryId(here, Seq(1)), heard=(one, other))
    entry = make_entry(
        origin=here,
        seq=Seq(2**63 - 1),
        clock=HybridTime(HYBRID_TIME_MAX),
        dependencies=NOTHING,
        records=teller.decide(Batch(pair * most)).records,
    )
    size, is_readable = len(entry.encoded), decode_entry(entry.encoded) == entry
    assert size <= BATCH_BYTES_MAX
    assert is_readable


def test_the_largest_batch_of_movements_fits_into_an_entry_though_it_cannot_be_columns() -> None:
    here = Origin(BranchId(256), Incarnation(INCARNATION_MAX))
    genesis = Genesis("test", (here.branch,), None)
    one, other, third = (AccountId(f"{number:x<{ID_CHARACTERS_MAX}}") for number in range(3))
    euros, dollars = (f"{number:x<{ID_CHARACTERS_MAX}}" for number in range(2))
    store = MemoryStore(Identity(here, genesis))
    rights = {here: Holding(rights=Money(MONEY_MAX))}
    store.commit(
        Changes(
            rows={
                one: row_of(Account(Money(MONEY_MAX), currency=euros), rights),
                other: row_of(Account(Money(0), currency=euros), {}),
                third: row_of(Account(Money(0), currency=dollars), {}),
            }
        )
    )
    done = Transfer(one, other, ONE, '"' * MEMO_CHARACTERS_MAX)
    refused = Transfer(one, third, ONE)
    teller = Teller(State(store, genesis), here.branch, 10**12, EntryId(here, Seq(1)), heard=(one, other))
    counts = range(BATCH_COMMANDS_MAX + 1)

    def batch(count: int) -> Batch:
        return batch_of((done,) * count + (refused,) * (BATCH_COMMANDS_MAX - count))

    most = bisect_left(counts, 1, key=lambda count: complaint_about(batch(count)) is not None) - 1
    records = teller.decide(batch(most)).records
    entry = make_entry(
        origin=here,
        seq=Seq(2**63 - 1),
        clock=HybridTime(HYBRID_TIME_MAX),
        dependencies=NOTHING,
        records=records,
    )
    size = len(entry.encoded)
    assert 0 < most < BATCH_COMMANDS_MAX
    assert size <= BATCH_BYTES_MAX
