"""Accounts at a bank that has none.

A bank that was made from a scenario, and one of the bench's own, has every account from its beginning. In any
other one the accounts are opened and get their money first, once: a later bench finds them there.

Decides what every account begins with. Must not know what is done with it.
Proof: tests/bench/test_prepare.py.
"""

import asyncio
from collections.abc import Callable, Iterator

from bankbook.bench.accounts import account_name
from bankbook.bench.lag import PROBE_ACCOUNT
from bankbook.client import AccountExistsError, Bank, Deposit, Session, UnknownAccountError
from bankbook.core.types import AccountId, Money

# Each operation moves 1: no account runs out of it, and ten million accounts together stay far below any
# limit.
OPENING = Money(1_000_000)

# At a time; so many requests of a session may be under way.
_OPENED_AT_ONCE = 64


async def prepare(bank: Bank, accounts: int, on_progress: Callable[[int], None]) -> None:
    """Open the accounts with numbers below `accounts` and pay into them; `on_progress` is told how many.

    Raises BankbookError. Where it ends early, the next one goes on.
    """
    session = bank.session("bench")
    if await _is_open(session, account_name(accounts - 1)):
        return
    await _open(session, PROBE_ACCOUNT)
    for part in _parts(accounts):
        names = [account_name(number) for number in part]
        await asyncio.gather(*(_open(session, name) for name in names))
        await _pay_into(session, bank.branches, names)
        on_progress(part.stop)


def _parts(accounts: int) -> Iterator[range]:
    """Yield all numbers, the last one alone: where it is open, so are all others, with their money."""
    for begin in range(0, accounts - 1, _OPENED_AT_ONCE):
        yield range(begin, min(begin + _OPENED_AT_ONCE, accounts - 1))
    yield range(accounts - 1, accounts)


async def _is_open(session: Session, account: AccountId) -> bool:
    try:
        await session.balance(account=account)
    except UnknownAccountError:
        return False
    return True


async def _open(session: Session, account: AccountId) -> None:
    """Open an account, unless it is open."""
    try:
        await session.open_account(account)
    except AccountExistsError:
        return


async def _pay_into(session: Session, branches: tuple[int, ...], names: list[AccountId]) -> None:
    """Pay a part in at each branch: so each may take out as much, as at a bank of the bench's own.

    The key makes sure that a second attempt, after one that was interrupted, pays nothing twice.
    """
    deposits = [Deposit(name, Money(OPENING // len(branches))) for name in names]
    for branch in branches:
        key = f"{branch}/{names[0]}-to-{names[-1]}"
        await session.batch(deposits, branch=branch, key=key)
