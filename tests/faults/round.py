"""One round: a bank, customers who work, a schedule of faults, and at the end what every branch holds.

Decides the order: open accounts, torment, heal, let all come to an end, write down what is there, judge. Must
not know what a fault is or a customer asks. The judge is `bankbook check`, and nobody here helps it.
Proof: tests/faults/test_real_faults.py.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.accounts import Accounts
from faults.bank import BankOfProcesses, open_bank
from faults.customers import Customer
from faults.faults import Kind
from faults.nemesis import Nemesis, Stroke, Targets, draw_schedule
from faults.process import CLUSTER
from faults.small_disk import why_no_small_disk
from faults.wishes import World
from server.processes import PATIENCE_S, rights_at

from bankbook.checkers import Report, check
from bankbook.client import LOCAL, Bank
from bankbook.client.recorder import Recorder, stated
from bankbook.history.file import read_history
from bankbook.history.record import FaultKind, Header, Stated
from bankbook.history.writer import HistoryFile

BRANCHES = 3

# Where customers are; those at one place are cut off together.
PLACES = ("harbour", "market", "station", "village")

# Of each customer at a place: whether the library tries again, or he has to make up for it himself. The first
# ones are those who have to be served in the end.
_RETRIES = (True, True, False, False)

# How many accounts there are before anything goes wrong; customers open more.
_ACCOUNTS_FIRST = 8


@dataclass(frozen=True)
class Ending:
    """What came of a round."""

    report: Report
    struck: Counter[Kind]
    """How many faults of each kind there were."""
    outcomes: Counter[str]
    """How often customers were told what."""
    bugs: list[str]
    """What branches took for a bug of ours."""

    def in_words(self) -> str:
        """Return the figures."""
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.struck.items()))
        outcomes = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common())
        tested = ", ".join(f"{each.name} {each.kind} {each.rests_on}" for each in self.report.verdicts)
        return (
            f"{self.report.kind}, {self.report.operations} operations\n  told: {outcomes}\n"
            f"  {self.struck.total()} faults: {faults}\n  judged: {tested}"
        )


class Round:
    """One seed: what goes wrong and what customers would like to do follow from it."""

    def __init__(self, seed: int, seconds: float, longest_s: float, folder: Path) -> None:
        """Draw the schedule of faults, each of which lasts for `longest_s` at the most."""
        self._seed = seed
        self._seconds = seconds
        self._folder = folder
        self.history = folder / "history.jsonl"
        self._recorder = Recorder(HistoryFile(self.history), Header(CLUSTER, BRANCHES))
        self._world = World(tuple(range(1, BRANCHES + 1)), Accounts(self._chance("accounts")))
        targets = Targets(self._world.branches, PLACES, kinds_here(), self._tell_lost_disk, longest_s)
        self.schedule: list[Stroke] = draw_schedule(seed, seconds, targets)

    async def run(self) -> Ending:
        """Carry it all out, and have it judged."""
        async with open_bank(BRANCHES, PLACES, self._folder) as bank:
            nemesis = Nemesis(bank)
            await self._work_amid_faults(bank, nemesis)
            await check_rights(bank, self._names())
            bugs = bank.bugs()
        report = await asyncio.to_thread(lambda: check(read_history(self.history)))
        return Ending(report, nemesis.struck, self._world.outcomes, bugs)

    def in_words(self) -> str:
        """Return how to repeat it, what was to go wrong, and where everything is kept."""
        repeat = f"BANKBOOK_SEED={self._seed} BANKBOOK_FAULT_SECONDS={self._seconds:g}"
        lines = [f"to repeat these faults: {repeat}", *map(str, self.schedule), f"history: {self.history}"]
        lines += [f"log: {self._folder / f'branch-{each}' / 'log.jsonl'}" for each in self._world.branches]
        return "\n".join(lines)

    async def _work_amid_faults(self, bank: BankOfProcesses, nemesis: Nemesis) -> None:
        async with AsyncExitStack() as clients:
            customers = [each async for each in self._customers(bank, clients)]
            for customer in customers[:_ACCOUNTS_FIRST]:
                await customer.open_account()
            is_over = asyncio.Event()
            async with asyncio.TaskGroup() as work:
                for each in customers:
                    work.create_task(each.live(is_over))
                await nemesis.carry_out(self.schedule)
                is_over.set()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(each.settle() for each in customers))
                await asyncio.gather(*(each.be_served() for each in customers[:: len(_RETRIES)]))
            await bank.until_converged()
            await self._write_finals(bank)  # while there are clients, who close the history

    async def _customers(self, bank: BankOfProcesses, clients: AsyncExitStack) -> AsyncIterator[Customer]:
        for place in PLACES:
            for number, retries in enumerate(_RETRIES, start=1):
                client = Bank(bank.addresses_from(place), retries=retries, history=self._recorder)
                await clients.enter_async_context(client)
                name = f"{place}-{number}"
                yield Customer(name, client, self._world, self._chance(name))

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
