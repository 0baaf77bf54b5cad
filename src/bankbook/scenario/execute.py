"""The customers of a scenario, each as one session, all at the same time.

Decides which request an event is. Must not know how branches are run, nor what is right.
Proof: tests/scenario/test_execute.py, tests/cli/test_run.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bankbook.client import (
    LOCAL,
    Bank,
    BankbookError,
    BranchUnreachableError,
    HoldTimeoutError,
    Session,
    bounded,
)
from bankbook.client.recorder import stated
from bankbook.core.types import AccountId, BranchId, Money
from bankbook.core.vector import Gap
from bankbook.history.record import Stated
from bankbook.scenario.model import UNKNOWN_BRANCH, Customer, Event, Interface, Scenario
from bankbook.scenario.output import CustomerResults, EventResult
from bankbook.server.config import AccountMode, account_of
from bankbook.wire.replies import Receipt, ReplyInfo

# Beyond the branch's own limit on holds, so that its answer, which says why, comes first.
TIMEOUT_EXTRA_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """One event, carried out or not."""

    result: EventResult
    detail: str = ""
    """Why it did not succeed, in words."""
    held_us: int = 0
    asked: int = 0
    """How many other branches were asked."""
    awaited: tuple[Gap, ...] = field(default=())
    """What it was held for."""

    @property
    def was_held(self) -> bool:
        """Whether it had to wait, if only for what arrived in the very same moment."""
        return bool(self.awaited) or self.held_us > 0


@dataclass(frozen=True, slots=True)
class CustomerRun:
    """One customer's events, in their order."""

    customer: Customer
    account: AccountId
    done: tuple[Done, ...]

    def results(self) -> CustomerResults:
        """Return what belongs into the output."""
        return CustomerResults(self.customer, tuple(each.result for each in self.done))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What every branch says of every account once all is propagated."""

    balances: dict[AccountId, dict[BranchId, Money]]

    def disagreeing(self) -> list[AccountId]:
        """Return the accounts of which not all branches say the same."""
        return [account for account, told in self.balances.items() if len(set(told.values())) > 1]


async def execute(
    scenario: Scenario,
    bank: Bank,
    accounts: AccountMode,
    timeout: float,
    on_done: Callable[[Done], None] = lambda _: None,
) -> tuple[CustomerRun, ...]:
    """Carry out every event; `timeout` is in seconds, for each. `on_done` is told as they end."""
    return tuple(
        await asyncio.gather(
            *(_run(customer, scenario, bank, accounts, timeout, on_done) for customer in scenario.customers)
        )
    )


async def _run(
    customer: Customer,
    scenario: Scenario,
    bank: Bank,
    accounts: AccountMode,
    timeout: float,
    on_done: Callable[[Done], None],
) -> CustomerRun:
    account = account_of(accounts, customer.id)
    session = bank.session(customer.id, account=account)
    done = []
    for event in customer.events:
        each = await _carry_out(event, scenario, session, accounts, timeout)
        on_done(each)
        done.append(each)
    return CustomerRun(customer, account, tuple(done))


async def _carry_out(
    event: Event, scenario: Scenario, session: Session, accounts: AccountMode, timeout: float
) -> Done:
    if event.branch not in scenario.branches:
        names = ", ".join(str(branch) for branch in scenario.branches)
        detail = f"there is no branch {event.branch}; there are {names}"
        return Done(EventResult(event, None, UNKNOWN_BRANCH), detail)
    try:
        receipt = await _request(event, session, accounts, timeout)
    except BankbookError as error:
        result = EventResult(event, None, error.outcome.name)
        return _done(result, error.failure.info, error.failure.detail)
    balance = receipt.balance if event.interface is Interface.QUERY else None
    return _done(EventResult(event, balance, None), receipt.info)


async def _request(event: Event, session: Session, accounts: AccountMode, timeout: float) -> Receipt:
    amount = event.money if event.money is not None else 0
    match event.interface:
        case Interface.QUERY:
            return await session.balance(branch=event.branch, timeout=timeout)
        case Interface.DEPOSIT:
            return await session.deposit(amount, branch=event.branch, timeout=timeout)
        case Interface.WITHDRAW:
            return await session.withdraw(amount, branch=event.branch, timeout=timeout)
        case Interface.TRANSFER:
            assert event.to is not None, "the parser gives every transfer a receiver"
            receiver = account_of(accounts, event.to)
            return await session.transfer(receiver, amount, branch=event.branch, timeout=timeout)


def _done(result: EventResult, info: ReplyInfo | None, detail: str = "") -> Done:
    if info is None:
        return Done(result, detail)
    return Done(result, detail, info.held_us, info.asked, info.awaited)


async def ask_everywhere(scenario: Scenario, bank: Bank, accounts: AccountMode, timeout: float) -> Agreement:
    """Ask every branch for every account's balance once it has all there is; `timeout` is in seconds.

    Raises BankbookError where a branch cannot tell.
    """
    touched = _accounts_of(scenario, accounts)
    told = await asyncio.gather(
        *(_balances_at(branch, touched, bank, timeout) for branch in scenario.branches)
    )
    at_branch = dict(zip(scenario.branches, told, strict=True))
    return Agreement(
        {account: {branch: at_branch[branch][account] for branch in at_branch} for account in touched}
    )


def _accounts_of(scenario: Scenario, accounts: AccountMode) -> list[AccountId]:
    customers = [customer.id for customer in scenario.customers]
    receivers = [event.to for customer in scenario.customers for event in customer.events if event.to]
    return list(dict.fromkeys(account_of(accounts, each) for each in customers + receivers))


async def _balances_at(
    branch: BranchId, accounts: list[AccountId], bank: Bank, timeout: float
) -> dict[AccountId, Money]:
    """Wait until a branch has all there is, once for all accounts; then what it has is the balance."""
    session = bank.session("auditor")
    await _settle(session, accounts[0], branch, timeout)
    asked = [session.balance(account=each, branch=branch, freshness=LOCAL) for each in accounts]
    receipts = await asyncio.gather(*asked)
    return {account: receipt.balance for account, receipt in zip(accounts, receipts, strict=True)}


async def _settle(session: Session, account: AccountId, branch: BranchId, timeout: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            await session.balance(account=account, branch=branch, timeout=timeout, freshness=bounded(0))
        except (BranchUnreachableError, HoldTimeoutError):
            # A branch's limit on holds may be shorter than the way of an entry, or of a question.
            if asyncio.get_running_loop().time() >= deadline:
                raise
        else:
            return


async def record_ends(bank: Bank, agreement: Agreement) -> None:
    """Write down what every branch holds in the end, where a history is recorded. Raises BankbookError.

    Not before `ask_everywhere`: each branch tells what it has, and by then that is all there is.
    """
    recorder = bank.recorder
    if recorder is None:
        return
    told = await asyncio.gather(*(_statements_at(branch, agreement, bank) for branch in bank.branches))
    for branch, statements in zip(bank.branches, told, strict=True):
        balances = {str(name): at[BranchId(branch)] for name, at in agreement.balances.items()}
        recorder.final(branch, balances, statements)


async def _statements_at(branch: int, agreement: Agreement, bank: Bank) -> dict[str, Stated]:
    """Return the statements of all accounts that fit one page."""
    session = bank.session("auditor")
    accounts = list(agreement.balances)
    asked = (session.statement_page(account=each, branch=branch, freshness=LOCAL) for each in accounts)
    pages = dict(zip(accounts, await asyncio.gather(*asked), strict=True))
    return {
        account: stated(page, is_complete=True) for account, page in pages.items() if page.next_page is None
    }
