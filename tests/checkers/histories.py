"""Histories by hand: each line one operation, in the order of their calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bankbook.checkers import Report, Verdict, check
from bankbook.core.commands import Command, Deposit, ReadBalance, ReadStatement, Transfer, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money
from bankbook.history.record import (
    Fault,
    Final,
    Header,
    History,
    Item,
    Operation,
    Stated,
    StatedLine,
    Terms,
)


def deposit(amount: int, account: str = "x") -> Deposit:
    return Deposit(AccountId(account), Money(amount))


def withdraw(amount: int, account: str = "x") -> Withdraw:
    return Withdraw(AccountId(account), Money(amount))


def transfer(amount: int, source: str = "x", destination: str = "y") -> Transfer:
    return Transfer(AccountId(source), AccountId(destination), Money(amount))


def read(account: str = "x") -> ReadBalance:
    return ReadBalance(AccountId(account))


def statement(account: str = "x") -> ReadStatement:
    return ReadStatement(AccountId(account))


def lines(*amounts: int, **named: Any) -> Stated:
    """A complete statement of an account that opened with nothing."""
    told, balance = [], 0
    for amount in amounts:
        balance += amount
        told.append(StatedLine(amount, balance))
    return Stated(tuple(told), 0, balance, **named)


@dataclass
class Story:
    """A bank of three branches; every operation takes 10 microseconds and begins after the one before."""

    opening: int = 0
    floor: int | None = 0
    branches: int = 3
    items: list[Item] = field(default_factory=list)
    now_us: int = 0

    def ask(
        self,
        session: str,
        branch: int,
        command: Command,
        balance: int | None = None,
        *,
        at: tuple[int, int | None] | None = None,
        outcome: Outcome | None = Outcome.OK,
        **more: Any,
    ) -> int:
        """Add an operation; return its number, from 1."""
        number = 1 + sum(isinstance(item, Operation) for item in self.items)
        call_us, return_us = at or (self.now_us + 10, self.now_us + 20)
        self.now_us = max(self.now_us, call_us, return_us or 0)
        if outcome is None:
            return_us = None
        self.items.append(
            Operation(
                number,
                session,
                branch,
                call_us,
                command,
                return_us,
                outcome if return_us is not None else None,
                balance=balance,
                **more,
            )
        )
        return number

    def end(self, *branches: dict[str, int], **statements: list[Stated]) -> None:
        """Say what each branch held in the end."""
        for number, balances in enumerate(branches, start=1):
            told = {account: each[number - 1] for account, each in statements.items()}
            self.items.append(Final(number, balances, told))

    def fault(self, fault: Fault) -> None:
        self.items.append(fault)

    def history(self, items: Iterable[Item] | None = None) -> History:
        header = Header("test", self.branches, Terms(self.opening, self.floor))
        return History(header, self.items if items is None else items)

    def check(self) -> Report:
        return check(self.history())

    def verdict(self, name: str) -> Verdict:
        return self.check().verdict(name)
