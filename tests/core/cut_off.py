"""Five branches with skewed demand, then each cut off from all others for a minute.

    .venv/bin/python tests/core/cut_off.py

prints how many withdrawals are accepted, of those that rights placed with hindsight could have covered, for
several amounts of money in the accounts.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from bank_in_one_thread import SECOND, BankInOneThread

from bankbook.core.commands import Deposit, Withdraw
from bankbook.core.entry import RecordKind
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money, Seq

BRANCHES = 5
AMOUNT_MEAN = 50
STEP_US = 50_000


class Minute(NamedTuple):
    """What became of the withdrawals of one minute."""

    asked: int
    accepted: int
    coverable: int
    """How many rights placed with hindsight could have covered."""
    withdrawals_before: int
    grants_before: int
    lowest: int
    """The lowest balance of any account once all branches have met again."""


class _World:
    """Accounts, and which branches their owners visit: the n-th of a list 1/n as often as the first."""

    def __init__(self, seed: int, accounts: int) -> None:
        self.random = Random(seed)  # noqa: S311  (no secret)
        self.bank = BankInOneThread(BRANCHES)
        self.bank.deliver_all()
        self.accounts = [AccountId(f"account-{number}") for number in range(accounts)]
        self._visited = {each: self.random.sample(self.bank.branches, BRANCHES) for each in self.accounts}

    def visit(self) -> tuple[AccountId, int, Money]:
        account = self.random.choice(self.accounts)
        weights = [1 / (rank + 1) for rank in range(BRANCHES)]
        (branch,) = self.random.choices(self._visited[account], weights)
        return account, branch, Money(self.random.randint(1, 2 * AMOUNT_MEAN - 1))

    def anywhere(self) -> int:
        return self.random.choice(self.bank.branches)


def cut_off_for_a_minute(
    seed: int, funds: float, *, accounts: int = 10, before: int = 300, during: int = 100
) -> Minute:
    """Live through an ordinary time, then through the minute.

    `funds` is how much each account has, in relation to what is asked of it in the minute; `before` and
    `during` are withdrawals for each account.
    """
    world = _World(seed, accounts)
    bank = world.bank
    has = Money(int(funds * during * AMOUNT_MEAN))
    for account in world.accounts:
        bank.do(world.anywhere(), Deposit(account, has))
    for number in range(before * accounts):
        account, branch, amount = world.visit()
        bank.ask(branch, Withdraw(account, amount))
        bank.do(world.anywhere(), Deposit(account, amount))
        if number % 4 == 0:
            bank.pass_time(STEP_US)
    bank.pass_time(2 * SECOND)
    grants = _grants(bank)
    for one in bank.branches:
        for other in bank.branches[: one - 1]:
            bank.cut_link(one, other)
    asked = []
    for _ in range(during * accounts):
        account, branch, amount = world.visit()
        asked.append((account, amount, bank.ask(branch, Withdraw(account, amount), within_us=SECOND)))
        bank.pass_time(60 * SECOND // (during * accounts))
    bank.pass_time(2 * SECOND)
    accepted = sum(bank.reply(request).outcome is Outcome.OK for _, _, request in asked)
    coverable = sum(
        _coverable([a for each, a, _ in asked if each == account], has) for account in world.accounts
    )
    for one in bank.branches:
        for other in bank.branches[: one - 1]:
            bank.mend_link(one, other)
    bank.pass_time(5 * SECOND)
    states = [bank.stores[branch].account(account) for branch in bank.branches for account in world.accounts]
    lowest = min(state.balance for state in states if state is not None)
    return Minute(len(asked), accepted, coverable, before * accounts, grants, lowest)


def _coverable(amounts: list[Money], has: Money) -> int:
    """Return how many withdrawals `has` covers at the best, wherever it is: the smallest first."""
    count = left = 0
    left = has
    for amount in sorted(amounts):
        left = Money(left - amount)
        if left < 0:
            break
        count += 1
    return count


def _grants(bank: BankInOneThread) -> int:
    return sum(
        entry.records[0].kind is RecordKind.GRANT
        for store in bank.stores.values()
        for entry in store.entries(store.identity.origin, Seq(0), 10**6)
    )


def table() -> Iterator[str]:
    """Yield the lines of the table, as they are found."""
    yield "funds ÷ demand   accepted   of those coverable   refused   grants per withdrawal before"
    for funds in (1.0, 1.25, 1.5, 2.0, 3.0):
        minutes = [cut_off_for_a_minute(seed, funds) for seed in range(3)]
        asked, accepted, coverable, withdrawals, grants, _ = map(sum, zip(*minutes, strict=True))
        yield (
            f"{funds:14.2f}   {accepted:8}   {accepted / coverable:18.2%}   {1 - accepted / asked:7.2%}   "
            f"{grants / withdrawals:.2f}"
        )


if __name__ == "__main__":
    for line in table():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
