"""Which requests a customer makes.

Decides what is asked, and where; all chance comes from the seed. Must not know when, nor how a request
travels. Proof: tests/bench/test_workload.py.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from bankbook.bench.accounts import account_name, chooser_for
from bankbook.bench.settings import Load, Workload
from bankbook.core.commands import Deposit, ReadBalance, Transfer
from bankbook.core.types import Money

# Of mixed requests, those that read.
READ_SHARE = 0.8

# Each operation moves as little as there is: what is measured is not who runs out of money.
AMOUNT = Money(1)

Operation = Deposit | Transfer | ReadBalance


class Request(NamedTuple):
    """What is asked at once."""

    branch: int
    operations: tuple[Operation, ...]
    """One, or several as one batch."""


class Customer:
    """One caller's line of work: an endless row of requests, the same for the same seed and number."""

    def __init__(self, load: Load, branches: Sequence[int], number: int) -> None:
        """`number` is from 0, unique among all callers of the bench."""
        self._load = load
        self._branches = branches
        self._usual = load.session_of(number) % len(branches)
        self._chance = Random(f"{load.seed}/{number}")  # noqa: S311  (repeatable on purpose)
        self._chooser = chooser_for(load.skew, load.accounts)

    def next(self) -> Request:
        """Return the next request."""
        branch = self._branches[self._place()]
        if self._load.workload is Workload.MIXED and self._chance.random() < READ_SHARE:
            return Request(branch, (ReadBalance(account_name(self._chooser.one(self._chance))),))
        make = self._deposit if self._load.workload is Workload.DEPOSITS else self._transfer
        return Request(branch, tuple(make() for _ in range(self._load.bulk)))

    def _place(self) -> int:
        """Return the place, among the branches, of the one to go to."""
        others = len(self._branches) - 1
        if not others or self._chance.random() >= self._load.remote:
            return self._usual
        return (self._usual + 1 + int(self._chance.random() * others)) % len(self._branches)

    def _deposit(self) -> Deposit:
        return Deposit(account_name(self._chooser.one(self._chance)), AMOUNT)

    def _transfer(self) -> Transfer:
        source, destination = self._chooser.two(self._chance)
        return Transfer(account_name(source), account_name(destination), AMOUNT)
