"""The customers of a scenario at real branches, each as one session, all at the same time.

Decides how the real client asks what perform.py comes to. Must not know how branches are run, nor what is
right.
Proof: tests/scenario/test_execute.py, tests/cli/test_run.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bankbook.client import (
    LOCAL,
    Bank,
    BankbookError,
    BranchUnreachableError,
    HoldTimeoutError,
    Session,
    bounded,
)
from bankbook.client.calls import Manner
from bankbook.client.recorder import stated
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import AccountId, BranchId, CustomerId, Money
from bankbook.history.record import Stated
from bankbook.scenario.model import Scenario
from bankbook.scenario.perform import Answer, CustomerRun, Done, Stage, Wish
from bankbook.scenario.requests import accounts_touched as accounts_touched_by
from bankbook.server.config import AccountMode, account_of

# Beyond the branch's own limit on holds, so that its answer, which says why, comes first.
TIMEOUT_EXTRA_S = 5.0


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
    """Carry out every event; `timeout` is in seconds, for each. `on_done` is told as they end.

    Raises BankbookError where an account cannot be opened; what becomes of an event is in what it returns.
    """
    stage = Stage[SessionLine](scenario, accounts, timeout, on_done=on_done)
    await _open_accounts(scenario, bank)
    for customer in scenario.customers:
        account = account_of(accounts, customer.id)
        first, second = (SessionLine(bank, customer.id, account) for _ in range(2))
        stage.enter(customer, first, second)
    return await stage.perform()


async def _open_accounts(scenario: Scenario, bank: Bank) -> None:
    clerk = bank.session("clerk")
    for account in scenario.accounts:
        await clerk.open_account(account.id, floor=account.floor, key=f"open-{account.id}")


class SessionLine:
    """A session with a bank of real branches; see scenario.perform.Line."""

    def __init__(self, bank: Bank, customer: CustomerId, account: AccountId) -> None:
        self._begin: Callable[[Guarantee], Session] = lambda guarantees: bank.session(
            customer, account=account, guarantees=guarantees
        )
        self._session = self._begin(Guarantee.ALL)

    async def ask(self, wish: Wish, manner: Manner) -> Answer:
        """Send a request, and return what came of it."""
        answer: Answer
        try:
            # What all of the session's methods do.
            told = await self._session._carry_out(wish.command, manner)  # noqa: SLF001
        except BankbookError as error:
            answer = error
        else:
            answer = told
        wish.take_note(answer)
        return answer

    def learn_from(self, other: "SessionLine") -> None:
        """Know what another session knows, too."""
        self._session.merge(other._session.token)  # noqa: SLF001  (of its own kind)

    def begin_anew(self, guarantees: Guarantee = Guarantee.ALL) -> None:
        """Forget everything."""
        self._session = self._begin(guarantees)


async def ask_everywhere(scenario: Scenario, bank: Bank, accounts: AccountMode, timeout: float) -> Agreement:
    """Ask every branch for every account's balance once it has all there is; `timeout` is in seconds.

    Raises BankbookError where a branch cannot tell.
    """
    touched = accounts_touched(scenario, accounts)
    told = await asyncio.gather(
        *(_balances_at(branch, touched, bank, timeout) for branch in scenario.branches)
    )
    at_branch = dict(zip(scenario.branches, told, strict=True))
    return Agreement(
        {account: {branch: at_branch[branch][account] for branch in at_branch} for account in touched}
    )


def accounts_touched(scenario: Scenario, accounts: AccountMode) -> list[AccountId]:
    """Return the accounts whose balances tell whether branches agree, each once."""
    if scenario.accounts:
        return [AccountId(account.id) for account in scenario.accounts]
    if scenario.is_plain:
        return _plain_accounts(scenario, accounts)
    touched = (
        account
        for customer in scenario.customers
        for event in customer.events
        for account in accounts_touched_by(event, customer.id, accounts)
    )
    return list(dict.fromkeys(touched)) or [account_of(accounts, scenario.customers[0].id)]


def _plain_accounts(scenario: Scenario, accounts: AccountMode) -> list[AccountId]:
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
        account: stated(page, is_complete=page.begins is None)
        for account, page in pages.items()
        if page.next_page is None
    }


__all__ = [
    "TIMEOUT_EXTRA_S",
    "Agreement",
    "CustomerRun",
    "Done",
    "SessionLine",
    "accounts_touched",
    "ask_everywhere",
    "execute",
    "record_ends",
]
