"""What an event asks of a branch: the core's word for it.

Decides which command an event is, and whose accounts it touches. Must not know when, where or how it is
asked. Proof: tests/scenario/test_execute.py, tests/scenario/test_perform.py.
"""

from bankbook.core.commands import (
    LINES_MAX,
    Capture,
    Command,
    Deposit,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    accounts_of,
    batch_of,
)
from bankbook.core.entry import Posting
from bankbook.core.types import AccountId, CustomerId, Money, ReservationId
from bankbook.scenario.model import BY_THEMSELVES, SETTLING, Event, Interface
from bankbook.server.config import AccountMode, account_of


def command_of(
    event: Event,
    customer: CustomerId,
    reservation: ReservationId,
    mode: AccountMode = AccountMode.OWN,
    memo: str = "",
) -> Command:
    """Return what an event asks for; `reservation` is the one it settles, where it does."""
    match event.interface:
        case Interface.QUERY:
            return ReadBalance(account_of(mode, event.account or customer))
        case Interface.STATEMENT:
            account = account_of(mode, event.account or customer)
            return ReadStatement(account, lines_max=event.lines_max or LINES_MAX)
        case Interface.CAPTURE:
            return Capture(reservation, event.money, event.is_final, memo)
        case Interface.RELEASE:
            return Release(reservation, event.money)
        case Interface.BATCH:
            commands = (
                _single(each, customer, mode, f"{memo}.{each.number}" if memo else "")
                for each in event.commands
            )
            return batch_of(commands, is_atomic=event.is_atomic)
        case _:
            return _single(event, customer, mode, memo)


def _single(event: Event, customer: CustomerId, mode: AccountMode, memo: str) -> SingleWrite:
    own, amount = account_of(mode, event.account or customer), event.money or Money(0)
    to = None if event.to is None else account_of(mode, event.to)
    match event.interface:
        case Interface.DEPOSIT:
            return Deposit(own, amount, memo)
        case Interface.WITHDRAW:
            return Withdraw(own, amount, memo)
        case Interface.TRANSFER:
            assert to is not None, "the parser gives every transfer a receiver"
            return Transfer(own, to, amount, memo)
        case Interface.RESERVE:
            lifetime_ms = None if event.lifetime_us is None else event.lifetime_us // 1000
            return Reserve(own, amount, to, lifetime_ms, memo)
        case Interface.SUBMIT:
            legs = (Posting(account_of(mode, leg.account), leg.money) for leg in event.legs)
            return Submit(tuple(legs), memo)
        case _:
            raise AssertionError(f"a {event.interface} is no write of its own")


def accounts_touched(
    event: Event, customer: CustomerId, mode: AccountMode = AccountMode.OWN
) -> tuple[AccountId, ...]:
    """Return the accounts that an event names, each once; what settles or goes back to another names none."""
    goes_back = event.event is not None
    if event.interface in SETTLING | BY_THEMSELVES or event.interface is Interface.AGAIN or goes_back:
        return ()
    return accounts_of(command_of(event, customer, ReservationId(""), mode))
