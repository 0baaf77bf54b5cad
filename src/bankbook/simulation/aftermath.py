"""The end of a simulation: nothing goes wrong any more, and all comes to rest.

Decides what is asked then, and how long a bank may take. Must not know what went wrong before.
Proof: tests/simulation/test_run.py, tests/simulation/test_recording.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from bankbook.client.calls import Manner
from bankbook.client.recorder import stated
from bankbook.core.commands import LATEST, ReadBalance, ReadStatement, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, BranchId, Money
from bankbook.history.record import Stated
from bankbook.history.writer import Kept
from bankbook.scenario.execute import Agreement
from bankbook.simulation.crowd import Crowd
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.operations import Intent, Operation
from bankbook.simulation.promises import Promise, ViolationError, demand
from bankbook.simulation.recording import judge_history
from bankbook.simulation.workload import Books, Desk
from bankbook.simulation.world import World
from bankbook.wire.replies import StatementPage

# Once everything is mended: streams connect again, questions come again, what is held ends by its deadline.
REST_S = 120.0

# What customers set aside for so long, or less, has ended by itself before anybody looks what is left.
_LIFETIME_US = 20_000_000

# Who is told by then neither yes nor no waits for something that never comes.
SETTLE_TIMEOUT_S = 20.0
_SETTLE_ATTEMPTS = 4


class Aftermath:
    """What is asked of one bank in the end, and what it must come to."""

    def __init__(
        self,
        world: World,
        draw: Random,
        kept: Kept,
        books: Books,
        desks: Mapping[str, Desk],
        customers: Sequence[Desk],
        crowd: Crowd | None,
    ) -> None:
        """Begin, now that everything is mended; `desks` by who wants what, the auditor's by the name ""."""
        self._world = world
        self._draw = draw
        self._kept = kept
        self._books = books
        self._desks = desks
        self._auditor = desks[""]
        self._customers = customers
        self._crowd = crowd
        self.agreement = Agreement({})
        """What all branches had of each account, before the auditor took it out."""
        self._horizon_us = {
            number: branch.clocks.read().wall_us + _LIFETIME_US for number, branch in world.branches.items()
        }
        """Until when, by its clock, each branch is to have ended what it sets aside before all is at rest."""

    async def live(self) -> None:
        """Live through it. Raises ViolationError."""
        await self._settle()
        if self._crowd is not None:
            await self._crowd.settle()
        await self._come_to_rest()
        await self._look_once_more()
        self.agreement = self._agreed()
        await self._end_history()
        await self._take_everything()
        await self._come_to_rest()
        await self._read_everything()

    def _agreed(self) -> Agreement:
        opening = self._world.terms.genesis.opening_balance or Money(0)
        disks = {number: branch.disk for number, branch in self._world.branches.items()}
        return Agreement(
            {
                account: {
                    number: opening if (state := disk.account(account)) is None else state.balance
                    for number, disk in disks.items()
                }
                for account in self._accounts()
            }
        )

    async def _settle(self) -> None:
        """Ask again for every key without an answer: there is one now."""
        for intent in list(self._books.intents):
            if intent.is_settled or intent.key is None or not intent.sent:
                continue
            await self._settle_one(intent)

    async def _settle_one(self, intent: Intent) -> None:
        for _ in range(_SETTLE_ATTEMPTS):
            branch = self._draw.choice(list(self._world.branches))
            operation = await self._desks[intent.customer].ask(
                intent, Manner(branch, SETTLE_TIMEOUT_S, key=intent.key, durable=intent.durable)
            )
            self._world.judge.judged[Promise.KEYS_SETTLED] += 1
            if intent.is_settled:
                return
        words = f"{intent.name}, key {intent.key}, has no end: {operation.error}"
        raise ViolationError(Promise.KEYS_SETTLED, words)

    async def _look_once_more(self) -> None:
        """Every customer is served, whatever their session has seen, or told that it is lost.

        The auditor, too, who saw the accounts being opened; whoever is told that begins anew.
        """
        for desk in (*self._customers, self._auditor):
            account, branch = (
                self._draw.choice(self._books.accounts),
                self._draw.choice(list(self._world.branches)),
            )
            intent = Intent("look", ReadBalance(account), None, desk.customer)
            operation = await desk.ask(intent, Manner(branch, SETTLE_TIMEOUT_S))
            outcome = None if operation.error is None else operation.error.outcome
            ended = f"{operation}, once nothing went wrong any more, ended with {operation.error}"
            demand(outcome in (None, Outcome.WRITES_LOST, Outcome.UNKNOWN_ACCOUNT), Promise.REST, ended)
            self._world.judge.judged[Promise.REST] += 1

    async def _come_to_rest(self) -> None:
        """Wait until every branch has the same, and nobody waits for anything."""
        deadline = self._world.loop.time() + REST_S
        while why := self._why_not_at_rest():
            if self._world.loop.time() >= deadline:
                # Not demanded: also those who look at no disk see that it never ends.
                raise ViolationError(Promise.REST, f"after {REST_S:g} s without faults {why}")
            await asyncio.sleep(1.0)
        # What branches do of their own accord, such as passing on rights, goes on for a while.
        disks = [branch.disk for branch in self._world.branches.values()]
        while self._differ(disks):
            if self._world.loop.time() >= deadline:
                differ = f"after {REST_S:g} s without faults the branches differ"
                raise ViolationError(Promise.CONVERGENCE, differ)
            await asyncio.sleep(0.5)
        called = self._crowd.intents if self._crowd else []
        self._world.judge.judge_end(disks, [*self._books.intents, *called])

    @staticmethod
    def _differ(disks: list[SimulatedDisk]) -> bool:
        return any(disk.applied() != disks[0].applied() for disk in disks)

    def _why_not_at_rest(self) -> str | None:
        for branch in self._world.branches.values():
            if branch.life is None:
                return f"branch {branch.number} is down"
            replica = branch.life.driver._replica  # noqa: SLF001  (the judge looks everywhere)
            status = replica.status()
            if status.catching_up_on is not None:
                return f"branch {branch.number} has not joined; it waits for {status.catching_up_on}"
            if status.inbox:
                return f"branch {branch.number} cannot apply {status.inbox} entries"
            if status.held or branch.life.serving:
                return f"branch {branch.number} holds {len(status.held)} requests"
            overdue = self._world.judge.overdue(
                branch.number, max(branch.clocks.read().wall_us, self._horizon_us[branch.number])
            )
            if overdue:
                return f"branch {branch.number} sets aside still what was to end by itself: {overdue}"
        return None

    def _accounts(self) -> list[AccountId]:
        """Return the accounts that are there; a lost disk may have taken the opening of one along."""
        if self._world.terms.genesis.opening_balance is not None:
            return self._books.accounts
        disk = next(iter(self._world.branches.values())).disk
        return [account for account in self._books.accounts if disk.account(account) is not None]

    async def _take_everything(self) -> None:
        """All that is there can be taken out, at any branch, and no more."""
        judge, number = self._world.judge, 0
        for account in self._accounts():
            await self._come_to_rest()
            expiries = judge.expiries[account]
            disk = next(iter(self._world.branches.values())).disk
            state = disk.account(account)
            available = state.available if state is not None else self._world.terms.genesis.opening_balance
            if available is None:
                continue
            steps = (
                (available + 1, Outcome.INSUFFICIENT_FUNDS),
                (available, None),
                (1, Outcome.INSUFFICIENT_FUNDS),
            )
            for amount, expected in steps:
                if not amount:
                    continue
                number += 1
                intent = Intent(
                    f"take-{number}", Withdraw(account, Money(amount), f"take-{number}"), f"take-{number}"
                )
                self._books.intents.append(intent)
                branch = self._draw.choice(list(self._world.branches))
                operation = await self._auditor.ask(intent, Manner(branch, SETTLE_TIMEOUT_S, key=intent.key))
                if judge.expiries[account] != expiries:
                    break  # what a reservation set aside has come free meanwhile
                outcome = None if operation.error is None else operation.error.outcome
                ended = f"{operation} of {available} available ended with {operation.error}"
                demand(outcome is expected, Promise.ALL_CAN_BE_TAKEN, ended)
                judge.judged[Promise.ALL_CAN_BE_TAKEN] += 1

    async def _read_everything(self) -> None:
        for account in self._accounts():
            for branch in self._world.branches:
                await self._read(ReadBalance(account), branch)

    async def _read(self, command: ReadBalance | ReadStatement, branch: BranchId) -> Operation:
        intent = Intent("read", command, None)
        operation = await self._auditor.ask(intent, Manner(branch, SETTLE_TIMEOUT_S, LATEST))
        ended = f"{operation} ended with {operation.error}"
        demand(operation.receipt is not None, Promise.REST, ended)
        return operation

    async def _end_history(self) -> None:
        """Tell what every branch holds, and let the checkers judge all that was asked and told so far.

        What is taken out afterwards is in amounts of which a balance does not tell which of them it counts.
        """
        ends = {branch: await self._statements_at(branch) for branch in self._world.branches}
        recorder, self._world.recorder = self._world.recorder, None
        assert recorder is not None, "it is not the end yet"
        for branch, statements in ends.items():
            # Not what a statement closes with: that is one page of it.
            balances = {account: told[branch] for account, told in self.agreement.balances.items()}
            recorder.final(branch, {str(each): balances[each] for each in balances}, statements)
        self._world.judge.judged.update(judge_history(self._kept.history()))
        self._auditor = Desk(self._world, "taker", self._books)

    async def _statements_at(self, branch: BranchId) -> dict[str, Stated]:
        told = dict[str, Stated]()
        for account in self._accounts():
            page = (await self._read(ReadStatement(account), branch)).receipt
            assert isinstance(page, StatementPage), "that was asked for"
            told[account] = stated(page, is_complete=page.next_page is None and page.begins is None)
        return told
