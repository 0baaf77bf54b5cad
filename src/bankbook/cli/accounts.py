"""What a customer does with an account: `bankbook open`, `deposit`, `withdraw`, `transfer` and so on.

Decides the words on the command line and the sentence that answers. Must not know how a request travels.
Proof: tests/cli/test_accounts.py.

An amount is written in the account's currency, so a command asks for that first: at the same branch, in
the same session, and thereby as a read that the write follows.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from bankbook.cli import options
from bankbook.cli.amounts import Written, decimal_text, in_words, minor_units, normal, read_amount
from bankbook.cli.ending import BAD_INPUT, fail
from bankbook.cli.report import print_json, write
from bankbook.cli.teller import ToldError, Visit, visiting
from bankbook.client import InsufficientFundsError, Receipt, Session
from bankbook.core.commands import Freshness
from bankbook.core.types import MEMO_CHARACTERS_MAX, is_memo

Send = Callable[[int], Awaitable[Receipt]]

_FOREVER_US = 3660 * 24 * 3600 * 1_000_000


def _amount_of(_context: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> Written | None:
    try:
        return read_amount(words) if words else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


account_argument = click.argument("account", metavar="ACCOUNT")

_amount_argument = click.argument(
    "amount", metavar="AMOUNT [CURRENCY]", nargs=-1, required=True, callback=_amount_of
)

_part_argument = click.argument("amount", metavar="[AMOUNT [CURRENCY]]", nargs=-1, callback=_amount_of)

_reservation_argument = click.argument("reservation", metavar="RESERVATION")


def _memo(_context: click.Context, _param: click.Parameter, memo: str) -> str:
    if not is_memo(memo):
        raise click.BadParameter(f"a memo is one line of at most {MEMO_CHARACTERS_MAX} characters")
    return memo


_memo_option = click.option(
    "--memo",
    default="",
    callback=_memo,
    metavar="TEXT",
    help=f"One line of at most {MEMO_CHARACTERS_MAX} characters, for the statement.",
)


@click.command("open")
@account_argument
@click.option(
    "--currency",
    metavar="CODE",
    help='What it counts, such as EUR; "" for plain units. [default: as in the bank\'s file, or plain units]',
)
@click.option("--credit-line", metavar="AMOUNT", help="How far below 0 it may fall. [default: not at all]")
@click.option("--no-floor", is_flag=True, help="Let it fall below 0 as far as it may.")
@visiting(writes=True)
def open_account(
    visit: Visit,
    sent_with: dict[str, Any],
    account: str,
    currency: str | None,
    credit_line: str | None,
    no_floor: bool,
) -> None:
    """Open ACCOUNT, with a balance of 0."""
    if no_floor and credit_line is not None:
        fail("a credit line is a floor; write --credit-line or --no-floor", BAD_INPUT, visit.as_json)
    counted = normal(visit.bank.currency if currency is None else currency)

    async def send(session: Session) -> tuple[int | None, Receipt]:
        floor = None if no_floor else 0
        if credit_line is not None:
            floor = -minor_units(read_amount([credit_line]), counted, account)
        return floor, await session.open_account(account, floor=floor, currency=counted, **sent_with)

    floor, receipt = visit.make(send)
    limit = " without a floor" if floor is None else ""
    if floor:
        limit = f" with a credit line of {in_words(-floor, counted)}"
    _tell(visit, account, receipt, f"opened {account} in {counted or 'plain units'}{limit}", has=False)


@click.command()
@account_argument
@_amount_argument
@_memo_option
@visiting(writes=True)
def deposit(visit: Visit, sent_with: dict[str, Any], account: str, amount: Written, memo: str) -> None:
    """Put AMOUNT into ACCOUNT: 12.50 EUR, 12.50EUR, or 12.50 of whatever it counts."""

    async def act(session: Session) -> tuple[int, Receipt]:
        return await _priced(
            visit,
            session,
            account,
            amount,
            lambda minor: session.deposit(minor, account=account, memo=memo, **sent_with),
        )

    _tell_moved(visit, account, visit.make(act), "deposited {}")


@click.command()
@account_argument
@_amount_argument
@_memo_option
@visiting(writes=True)
def withdraw(visit: Visit, sent_with: dict[str, Any], account: str, amount: Written, memo: str) -> None:
    """Take AMOUNT out of ACCOUNT."""

    async def act(session: Session) -> tuple[int, Receipt]:
        return await _priced(
            visit,
            session,
            account,
            amount,
            lambda minor: session.withdraw(minor, account=account, memo=memo, **sent_with),
        )

    _tell_moved(visit, account, visit.make(act), "withdrew {}")


@click.command()
@account_argument
@click.argument("to", metavar="TO")
@_amount_argument
@_memo_option
@visiting(writes=True)
def transfer(
    visit: Visit, sent_with: dict[str, Any], account: str, to: str, amount: Written, memo: str
) -> None:
    """Move AMOUNT from ACCOUNT to the account TO, in one entry: nobody ever sees half of it."""

    async def act(session: Session) -> tuple[int, Receipt]:
        return await _priced(
            visit,
            session,
            account,
            amount,
            lambda minor: session.transfer(to, minor, account=account, memo=memo, **sent_with),
        )

    _tell_moved(visit, account, visit.make(act), f"transferred {{}} to {to}")


@click.command()
@account_argument
@options.freshness_options
@visiting(writes=False)
def balance(visit: Visit, account: str, freshness: Freshness) -> None:
    """Tell the balance of ACCOUNT, with everything that your own commands wrote and read."""
    receipt = visit.make(lambda session: session.balance(account=account, freshness=freshness, **visit.at))
    _tell(visit, account, receipt, "")


@click.command()
@account_argument
@_amount_argument
@click.option("--to", metavar="ACCOUNT", help="Who receives what is captured. [default: it leaves the bank]")
@click.option(
    "--lifetime",
    "lifetime_us",
    type=options.DurationType(_FOREVER_US),
    metavar="7d",
    help="After so long it is released by itself. [default: never]",
)
@_memo_option
@visiting(writes=True)
def reserve(
    visit: Visit,
    sent_with: dict[str, Any],
    account: str,
    amount: Written,
    to: str | None,
    lifetime_us: int | None,
    memo: str,
) -> None:
    """Set AMOUNT of ACCOUNT aside, to be captured or released later by the name that is told."""
    lifetime_s = None if lifetime_us is None else lifetime_us / 1e6

    async def act(session: Session) -> tuple[int, Receipt]:
        return await _priced(
            visit,
            session,
            account,
            amount,
            lambda minor: session.reserve(
                minor, account=account, to=to, lifetime=lifetime_s, memo=memo, **sent_with
            ),
        )

    minor, receipt = visit.make(act)
    _tell_moved(visit, account, (minor, receipt), f"reserved {{}} as {receipt.reservation}")


@click.command()
@_reservation_argument
@_part_argument
@click.option("--keep-rest", is_flag=True, help="Let what is left then stay set aside; else it is released.")
@_memo_option
@visiting(writes=True)
def capture(
    visit: Visit,
    sent_with: dict[str, Any],
    reservation: str,
    amount: Written | None,
    keep_rest: bool,
    memo: str,
) -> None:
    """Take out what was set aside as RESERVATION, or AMOUNT of it."""

    async def act(session: Session) -> tuple[int | None, Receipt]:
        minor = await _part_of(visit, session, reservation, amount)
        receipt = await session.capture(reservation, minor, is_final=not keep_rest, memo=memo, **sent_with)
        return minor, receipt

    _tell_settled(visit, reservation, visit.make(act), "captured")


@click.command()
@_reservation_argument
@_part_argument
@visiting(writes=True)
def release(visit: Visit, sent_with: dict[str, Any], reservation: str, amount: Written | None) -> None:
    """Free what was set aside as RESERVATION, or AMOUNT of it."""

    async def act(session: Session) -> tuple[int | None, Receipt]:
        minor = await _part_of(visit, session, reservation, amount)
        return minor, await session.release(reservation, minor, **sent_with)

    _tell_settled(visit, reservation, visit.make(act), "released")


async def _priced(
    visit: Visit, session: Session, account: str, amount: Written, send: Send
) -> tuple[int, Receipt]:
    """Send an amount in the minor units of what the account counts."""
    currency = (await session.balance(account=account, **visit.at)).currency
    minor = minor_units(amount, currency, account)
    try:
        return minor, await send(minor)
    except InsufficientFundsError as error:
        raise ToldError(error, _why_short(error, account, minor, currency)) from error


async def _part_of(visit: Visit, session: Session, reservation: str, amount: Written | None) -> int | None:
    """Return a part of a reservation in minor units; None for all of it.

    Only its branch knows the reservation's currency: it tells it when none of the money is released.
    """
    if amount is None:
        return None
    told = await session.release(reservation, 0, **visit.at)
    return minor_units(amount, told.currency, f"the account of {reservation}")


def _why_short(error: InsufficientFundsError, account: str, minor: int, currency: str) -> str:
    if error.balance is None:
        return str(error)
    there = in_words(error.balance, currency)
    if error.available is not None and error.available != error.balance:
        there += f" ({in_words(error.available, currency)} available)"
    return f"{account} has {there}; {in_words(minor, currency)} is more. Nothing happened."


def _tell_moved(visit: Visit, account: str, moved: tuple[int, Receipt], sentence: str) -> None:
    minor, receipt = moved
    done = sentence.format(in_words(minor, receipt.currency))
    _tell(visit, account, receipt, done, minor)


def _tell_settled(visit: Visit, reservation: str, settled: tuple[int | None, Receipt], done: str) -> None:
    minor, receipt = settled
    what = "what was left" if minor is None else in_words(minor, receipt.currency)
    _tell(visit, None, receipt, f"{done} {what} of {reservation}", minor)


def _tell(
    visit: Visit,
    account: str | None,
    receipt: Receipt,
    done: str,
    minor: int | None = None,
    *,
    has: bool = True,
) -> None:
    """Tell what was done, and what the account has then."""
    if visit.as_json:
        print_json(_receipt_as_json(visit, account, receipt, minor))
        return
    parts = [done] if done else []
    if has:
        parts.append(f"{account or 'its account'} has {_standing(receipt)}")
    repeated = " (told again: this key's request was carried out before)" if receipt.is_replayed else ""
    write("; ".join(parts) + repeated + "\n")


def _standing(receipt: Receipt) -> str:
    there = in_words(receipt.balance, receipt.currency)
    if receipt.available is None or receipt.available == receipt.balance:
        return there
    return f"{there} ({in_words(receipt.available, receipt.currency)} available)"


def _receipt_as_json(
    visit: Visit, account: str | None, receipt: Receipt, minor: int | None
) -> dict[str, Any]:
    amounts = {"amount": minor, "balance": receipt.balance, "available": receipt.available}
    said: dict[str, Any] = {"account": account, "currency": receipt.currency}
    for name, value in amounts.items():
        if value is not None:
            said |= {name: decimal_text(value, receipt.currency), f"{name}_minor": value}
    said |= {
        "reservation": receipt.reservation or None,
        "branch": receipt.branch,
        "held_us": receipt.held_us,
        "entry": str(receipt.entry) if receipt.entry else None,
        "key": visit.key,
        "is_replayed": receipt.is_replayed if visit.key else None,
    }
    return {name: value for name, value in said.items() if value is not None}
