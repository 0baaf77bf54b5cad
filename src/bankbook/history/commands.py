"""Commands as they stand in a history: one table of kinds, both ways.

Decides the names of a command's fields. Must not know the rest of a line (file.py).
Proof: tests/history/test_file.py.
"""

from collections.abc import Callable
from functools import lru_cache
from sys import intern
from typing import Any

from bankbook.core.clock import HybridTime
from bankbook.core.commands import (
    LINES_MAX,
    Batch,
    Capture,
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import EXPIRES_MS_MAX, Opening, Posting
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, BranchId, Incarnation, Money, Origin, ReservationId, Seq
from bankbook.history.fields import Fields

_POSTING = frozenset({"account", "amount"})
_SINGLE = ("deposit", "withdraw", "transfer", "submit", "reserve")

# An account's name stands in many operations, and most reads are alike: one object for all of them.
_SAME_MAX = 1 << 17


def read_command(fields: Fields) -> Command:
    """Read any command."""
    read, known = _KINDS[fields.word("kind", _KINDS)]
    fields.allow(known)
    return read(fields)


def _account(fields: Fields, name: str = "account") -> AccountId:
    return AccountId(intern(fields.text(name)))


def _money(fields: Fields, name: str = "amount") -> Money:
    return Money(fields.integer(name))


def _memo(fields: Fields) -> str:
    return fields.text_or("memo", "") or ""


@lru_cache(_SAME_MAX)
def _balance_of(account: AccountId) -> ReadBalance:
    return ReadBalance(account)


def _read_balance(fields: Fields) -> Command:
    at_ms = fields.integer_or("at_ms", None, 0)
    account = _account(fields)
    return _balance_of(account) if at_ms is None else ReadBalance(account, at_ms)


def _read_statement(fields: Fields) -> Command:
    after = None
    if "after" in fields:
        clock, branch, incarnation, seq, leg = fields.integers("after", 5)
        origin = Origin(BranchId(branch), Incarnation(incarnation))
        after = Position(HybridTime(clock), origin, Seq(seq), leg)
    return ReadStatement(
        _account(fields),
        fields.integer_or("from_ms", 0, 0) or 0,
        fields.integer("to_ms", 0) if "to_ms" in fields else EXPIRES_MS_MAX,
        after,
        fields.integer("lines_max", 1) if "lines_max" in fields else LINES_MAX,
    )


def _deposit(fields: Fields) -> Command:
    return Deposit(_account(fields), _money(fields), _memo(fields))


def _withdraw(fields: Fields) -> Command:
    return Withdraw(_account(fields), _money(fields), _memo(fields))


def _transfer(fields: Fields) -> Command:
    source, destination = _account(fields, "source"), _account(fields, "destination")
    return Transfer(source, destination, _money(fields), _memo(fields))


def _submit(fields: Fields) -> Command:
    postings = []
    for each in fields.objects("postings"):
        each.allow(_POSTING)
        postings.append(Posting(_account(each), _money(each)))
    if not postings:
        fields.fail("postings", "must name at least one account and amount.")
    return Submit(tuple(postings), _memo(fields))


def _reserve(fields: Fields) -> Command:
    destination = fields.text_or("destination", None)
    return Reserve(
        _account(fields),
        _money(fields),
        None if destination is None else AccountId(intern(destination)),
        fields.integer_or("lifetime_ms", None, 0),
        _memo(fields),
    )


def _capture(fields: Fields) -> Command:
    amount = fields.integer_or("amount", None)
    return Capture(
        ReservationId(fields.text("reservation")),
        None if amount is None else Money(amount),
        fields.truth("final", True),
        _memo(fields),
    )


def _release(fields: Fields) -> Command:
    amount = fields.integer_or("amount", None)
    return Release(ReservationId(fields.text("reservation")), None if amount is None else Money(amount))


def _open(fields: Fields) -> Command:
    floor = fields.integer_or("floor", None) if "floor" in fields else 0
    opening = Opening(
        _account(fields), None if floor is None else Money(floor), fields.text_or("currency", "") or ""
    )
    return OpenAccount(opening)


def _batch(fields: Fields) -> Command:
    commands = []
    for each in fields.objects("commands"):
        each.word("kind", _SINGLE)
        command = read_command(each)
        assert isinstance(command, SingleWrite), "only these kinds are let in"
        commands.append(command)
    return Batch(tuple(commands), fields.truth("atomic", False))


def _kind(
    read: Callable[[Fields], Command], *known: str
) -> tuple[Callable[[Fields], Command], frozenset[str]]:
    return read, frozenset({"kind", *known})


# Each kind of command: how it is read, and which fields it has.
_KINDS = {
    "read": _kind(_read_balance, "account", "at_ms"),
    "statement": _kind(_read_statement, "account", "from_ms", "to_ms", "after", "lines_max"),
    "deposit": _kind(_deposit, "account", "amount", "memo"),
    "withdraw": _kind(_withdraw, "account", "amount", "memo"),
    "transfer": _kind(_transfer, "source", "destination", "amount", "memo"),
    "submit": _kind(_submit, "postings", "memo"),
    "reserve": _kind(_reserve, "account", "amount", "destination", "lifetime_ms", "memo"),
    "capture": _kind(_capture, "reservation", "amount", "final", "memo"),
    "release": _kind(_release, "reservation", "amount"),
    "batch": _kind(_batch, "commands", "atomic"),
    "open": _kind(_open, "account", "floor", "currency"),
}


def command_as_json(command: Command) -> dict[str, Any]:
    """Return a command as it stands in a history; what has its usual value is left out."""
    match command:
        case ReadBalance(account, at_ms):
            return _filled(kind="read", account=account, at_ms=at_ms)
        case ReadStatement():
            return _statement_as_json(command)
        case Deposit(account, amount, memo):
            return _filled(kind="deposit", account=account, amount=amount, memo=memo or None)
        case Withdraw(account, amount, memo):
            return _filled(kind="withdraw", account=account, amount=amount, memo=memo or None)
        case Transfer(source, destination, amount, memo):
            return _filled(
                kind="transfer", source=source, destination=destination, amount=amount, memo=memo or None
            )
        case Submit(postings, memo):
            legs = [{"account": each.account, "amount": each.amount} for each in postings]
            return _filled(kind="submit", postings=legs, memo=memo or None)
        case _:
            return _rare_as_json(command)


def _rare_as_json(command: Command) -> dict[str, Any]:
    match command:
        case Reserve(account, amount, destination, lifetime_ms, memo):
            return _filled(
                kind="reserve",
                account=account,
                amount=amount,
                destination=destination,
                lifetime_ms=lifetime_ms,
                memo=memo or None,
            )
        case Capture(reservation, amount, is_final, memo):
            final = None if is_final else False
            return _filled(
                kind="capture", reservation=reservation, amount=amount, final=final, memo=memo or None
            )
        case Release(reservation, amount):
            return _filled(kind="release", reservation=reservation, amount=amount)
        case OpenAccount(opening):
            opened = _filled(kind="open", account=opening.account, currency=opening.currency or None)
            return {**opened, "floor": opening.floor}
        case Batch(commands, is_atomic):
            return _filled(
                kind="batch", commands=[command_as_json(each) for each in commands], atomic=is_atomic or None
            )
        case _:
            raise AssertionError(f"{command} is no command")


def _statement_as_json(command: ReadStatement) -> dict[str, Any]:
    after = command.after
    return _filled(
        kind="statement",
        account=command.account,
        from_ms=command.from_ms or None,
        to_ms=None if command.to_ms == EXPIRES_MS_MAX else command.to_ms,
        after=None if after is None else [after.clock, *after.origin, after.seq, after.leg],
        lines_max=None if command.lines_max == LINES_MAX else command.lines_max,
    )


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
