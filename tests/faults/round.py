"""One round: a bank, customers who work, a schedule of faults, and at the end what every branch holds.

Decides the order: open accounts, torment, heal, let all come to an end, write down what is there, judge. Must not
know what a fault is or a customer asks. The judge is `bankbook check`, and nobody here helps it.
Proof: tests/faults/test_real_faults.py.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.accounts import Accounts
from faults.bank import BankOfProcesses, open_bank
from faults.customers import Customer, World
from faults.faults import Kind
from faults.nemesis import Nemesis, Stroke, Targets, draw_schedule
from faults.process import CLUSTER
from faults.small_disk import why_no_small_disk
from server.processes import PATIENCE_S, rights_at

from bankbook.checkers import Report, check
from bankbook.client import LOCAL, Bank
from bankbook.client.recorder import Recorder, stated
from bankbook.history.file import read_history
from bankbook.history.record import FaultKind, Header, Stated
from bankbook.history.writer import HistoryFile

BRANCHES = 3

CUSTOMERS = ("ada", "bob", "cyd", "dan", "eve", "fay")

# How many accounts there are before anything goes wrong; customers open more.
_ACCOUNTS_FIRST = 8


@dataclass(frozen=True)
class Told:
    """What came of a round."""

    report: Report
    struck: Counter[Kind]
    outcomes: Counter[str]
    bugs: list[str]


class Round:
    """One seed: what goes wrong and what customers would like to do follow from it."""

    def __init__(self, seed: int, seconds: float, longest_s: float, folder: Path) -> None:
        """Draw the schedule of faults, each of which lasts for `longest_s` at the most."""
        self._seed = seed
        self._folder = folder
        self.history = folder / "history.jsonl"
        self._recorder = Recorder(HistoryFile(self.history), Header(CLUSTER, BRANCHES))
        self._world = World(tuple(range(1, BRANCHES + 1)), Accounts(self._chance("accounts")))
        targets = Targets(self._world.branches, CUSTOMERS, kinds_here(), self._tell_lost_disk, longest_s)
        self.schedule: list[Stroke] = draw_schedule(seed, seconds, targets)

    async def run(self) -> Told:
        """Carry it all out, and have it judged."""
        async with open_bank(BRANCHES, CUSTOMERS, self._folder) as bank:
            nemesis = Nemesis(bank)
            await self._work_amid_faults(bank, nemesis)
            await check_rights(bank, self._names())
            bugs = bank.bugs()
        report = await asyncio.to_thread(lambda: check(read_history(self.history)))
        return Told(report, nemesis.struck, self._world.told, bugs)

    def in_words(self) -> str:
        """Return how to repeat it, and where everything is."""
        lines = [f"seed {self._seed}", *map(str, self.schedule), f"history: {self.history}"]
        lines += [f"log: {self._folder / f'branch-{each}' / 'log.jsonl'}" for each in self._world.branches]
        return "\n".join(lines)

    async def _work_amid_faults(self, bank: BankOfProcesses, nemesis: Nemesis) -> None:
        async with AsyncExitStack() as stack:
            customers = [await stack.enter_async_context(self._customer(bank, name)) for name in CUSTOMERS]
            for place in range(_ACCOUNTS_FIRST):
                await customers[place % len(customers)].customer.open_account()
            is_over = asyncio.Event()
            async with asyncio.TaskGroup() as work:
                for each in customers:
                    work.create_task(each.customer.live(is_over))
                await nemesis.carry_out(self.schedule)
                is_over.set()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(each.customer.settle() for each in customers))
            await bank.until_converged()
            await self._write_finals(bank)  # while customers have their clients, which close the history

    def _customer(self, bank: BankOfProcesses, name: str) -> "_AtHome":
        # Every other one asks once, and makes up for it himself.
        retries = CUSTOMERS.index(name) % 2 == 0
        client = Bank(bank.addresses_for(name), timeout=5.0, retries=retries, history=self._recorder)
        return _AtHome(client, Customer(name, client, self._world, self._chance(name)))

    async def _write_finals(self, bank: BankOfProcesses) -> None:
        async with Bank(bank.addresses) as client:
            for branch in client.branches:
                auditor = client.session("auditor")
                balances: dict[str, int] = {}
                statements: dict[str, Stated] = {}
                for name in self._names():
                    receipt = await auditor.balance(account=name, branch=branch, freshness=LOCAL)
                    balances[name] = receipt.balance
                    page = await auditor.statement_page(account=name, branch=branch, freshness=LOCAL)
                    statements[name] = stated(page, is_complete=page.next_page is None)
                self._recorder.final(branch, balances, statements)

    def _names(self) -> list[str]:
        return [account.name for account in self._world.accounts.open]

    def _tell_lost_disk(self, branch: int) -> None:
        self._recorder.fault(FaultKind.DISK_LOST, branch)

    def _chance(self, what: str) -> Random:
        return Random(f"{self._seed} {what}")  # noqa: S311  (customers' choices, no secrets)


@dataclass
class _AtHome:
    """A customer and his client, which is closed after him."""

    client: Bank
    customer: Customer

    async def __aenter__(self) -> "_AtHome":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def kinds_here() -> tuple[Kind, ...]:
    """Return the kinds of faults that this user may cause on this machine."""
    return tuple(kind for kind in Kind if kind is not Kind.FULL_DISK or not why_no_small_disk())


async def check_rights(bank: BankOfProcesses, names: list[str]) -> None:
    """Together the branches may take out exactly what is available, and every branch knows that."""
    for branch, address in bank.addresses.items():
        for name in names:
            told = await rights_at(address, name)
            if told.HasField("available"):
                amounts = [each.amount for each in told.rights]
                assert min(amounts) >= 0, f"{name} at branch {branch}: {told}"
                assert sum(amounts) == told.available, f"{name} at branch {branch}: {told}"
