"""Branches are killed with -9 at any moment while customers work: nothing acknowledged is lost or doubled.

BANKBOOK_KILLS says how often in a row (15; `make soak`: 1,000), BANKBOOK_SEED repeats the customers' choices.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from server.effects import OPENING, Customers, Piece, Told, expected_balances, expected_lines, settle_doubts
from server.processes import PATIENCE_S, bank_of, banks_with, rights_at, status_of

from bankbook.client import LOCAL, Bank, Session, StatementLine
from bankbook.core.types import BranchId
from bankbook.server.launcher import Launcher, LaunchError

KILLS = int(os.environ.get("BANKBOOK_KILLS", "15"))
SEED = int(os.environ.get("BANKBOOK_SEED", time.time_ns() % 1_000_000))

BRANCHES = 3
CUSTOMERS = 16

# Between the restart of a branch and its next death: sometimes it has not met the others yet, sometimes it
# has caught up with them long ago.
LIFE_S_MAX = 1.2
# A death while it is starting: anywhere within the time that a start takes.
BIRTH_S_MAX = 0.3
DIES_AT_BIRTH = 0.2


@pytest.mark.timeout(60 + 4 * KILLS)
async def test_kill_9_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    customers = Customers(random.Random(SEED), BRANCHES)  # noqa: S311  (the customers' choices, no secret)
    with bank_of(banks_with(OPENING, BRANCHES, tmp_path)) as launcher:
        async with Bank(launcher.addresses) as bank:
            began = time.monotonic()
            await work_amid_kills(launcher, bank, customers)
            told = dict(Counter(piece.told.value for piece in customers.pieces))
            took_s = time.monotonic() - began
            print(f"\nseed {SEED}: {KILLS} kills in {took_s:.1f} s, {customers.attempts} calls: {told}")  # noqa: T201
            await agree(launcher)
            await check(bank, launcher, customers.pieces)
    assert customers.done > KILLS, "customers got something done between the kills"


async def work_amid_kills(launcher: Launcher, bank: Bank, customers: Customers) -> None:
    """Let customers work while two killers are about; so at most two branches of three are down at once."""
    is_over = asyncio.Event()
    work = [
        asyncio.create_task(work_until(is_over, customers, bank.session(f"customer-{number}")))
        for number in range(CUSTOMERS)
    ]
    killer = Killer(launcher, random.Random(SEED + 1))  # noqa: S311  (moments, no secrets)
    try:
        await asyncio.gather(killer.kill(KILLS - KILLS // 2), killer.kill(KILLS // 2))
    finally:
        is_over.set()
        await asyncio.gather(*work)


async def work_until(is_over: asyncio.Event, customers: Customers, session: Session) -> None:
    while not is_over.is_set():
        await customers.carry_out_one(session)


class Killer:
    """Kills branches, and starts each again from its store."""

    def __init__(self, launcher: Launcher, chance: random.Random) -> None:
        self._launcher = launcher
        self._chance = chance
        self._alive = list(launcher.addresses)

    async def kill(self, times: int) -> None:
        """Do so that many times; may be called more than once at the same time."""
        while times > 0:
            await asyncio.sleep(self._chance.uniform(0, LIFE_S_MAX))
            branch = self._alive.pop(self._chance.randrange(len(self._alive)))
            self._launcher.kill(branch)
            times -= 1
            if times > 0 and self._chance.random() < DIES_AT_BIRTH:
                await self._kill_at_birth(branch)
                times -= 1
            await asyncio.to_thread(self._launcher.restart, branch)
            self._alive.append(branch)

    async def _kill_at_birth(self, branch: BranchId) -> None:
        """Start a branch and kill it again, before or soon after it serves."""
        before = self._launcher.pid(branch)
        restart = asyncio.create_task(asyncio.to_thread(self._launcher.restart, branch))
        async with asyncio.timeout(PATIENCE_S):
            while self._launcher.pid(branch) == before:  # noqa: ASYNC110  (the launcher is in a thread)
                await asyncio.sleep(0.001)
        await asyncio.sleep(self._chance.uniform(0, BIRTH_S_MAX))
        os.kill(self._launcher.pid(branch), signal.SIGKILL)
        with contextlib.suppress(LaunchError):
            await restart


async def agree(launcher: Launcher) -> None:
    """Wait until all branches have the same, and nothing is under way."""
    async with asyncio.timeout(PATIENCE_S):
        while len({str((await status_of(each)).applied) for each in launcher.addresses.values()}) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def check(bank: Bank, launcher: Launcher, pieces: list[Piece]) -> None:
    """Hold every branch to what the customers were told, and to each other."""
    first = await Books.read(bank, 1, pieces)
    settle_doubts(pieces, first.lines())
    for branch in bank.branches:
        books = await Books.read(bank, branch, pieces)
        assert books.balances == expected_balances(pieces), f"branch {branch}"
        assert books.counted() == expected_lines(pieces), f"branch {branch}"
        assert sum(books.balances.values()) == OPENING * len(books.balances) + sum(
            line.amount for line in books.lines()
        ), f"branch {branch} has money from nowhere, or lost some"
        assert books == first, f"branches 1 and {branch} differ"
        written = {line.entry for line in books.lines()}
        for piece in pieces:
            if piece.told is Told.DONE and any(piece.moves().values()):
                assert written & set(piece.entries) or not piece.entries, f"{piece} is in no statement"
        for account, balance in books.balances.items():
            await check_rights(launcher.addresses[BranchId(branch)], account, balance)


async def check_rights(address: str, account: str, balance: int) -> None:
    """Together the branches may take out exactly what there is, and nothing is set aside."""
    rights = await rights_at(address, account)
    assert rights.balance == rights.available == balance >= 0
    assert rights.reserved == 0
    assert min(each.amount for each in rights.rights) >= 0, f"{account}: {rights}"
    assert sum(each.amount for each in rights.rights) == balance, f"{account}: {rights}"


class Books(NamedTuple):
    """All accounts as one branch has them."""

    balances: dict[str, int]
    statements: dict[str, list[StatementLine]]

    @classmethod
    async def read(cls, bank: Bank, branch: int, pieces: list[Piece]) -> Self:
        auditor, balances, statements = bank.session("auditor"), {}, {}
        for account in sorted(expected_balances(pieces)):
            receipt = await auditor.balance(account=account, branch=branch, freshness=LOCAL)
            balances[account] = int(receipt.balance)
            statement = auditor.statement(account=account, branch=branch, freshness=LOCAL)
            statements[account] = [line async for line in statement]
            assert statement.opening == OPENING
            assert statement.closing == receipt.balance
        return cls(balances, statements)

    def lines(self) -> list[StatementLine]:
        """Return the lines of all accounts."""
        return list(chain.from_iterable(self.statements.values()))

    def counted(self) -> Counter[tuple[str, str, int]]:
        """Return how often each memo and amount stands in each account's statement."""
        return Counter(
            (account, line.memo, line.amount) for account, lines in self.statements.items() for line in lines
        )
