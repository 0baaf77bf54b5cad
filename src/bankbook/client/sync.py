"""The synchronous twin: the same bank and sessions, for programs without an event loop.

    with Bank({1: "127.0.0.1:50051", 2: "127.0.0.1:50052"}) as bank:
        session = bank.session("ada")
        session.deposit(400, branch=1)
        print(session.balance(branch=2).balance)

Decides nothing: an event loop in a thread of its own does the work. Safe for several threads.
Proof: tests/client/test_sync.py, which also holds the two signatures together.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from bankbook.client import bank as asynchronous
from bankbook.client import statement as statements
from bankbook.client.attempts import ClosedError
from bankbook.client.bank import DEFAULT_TIMEOUT_S
from bankbook.client.recorder import Recorder
from bankbook.client.session import Session as AsyncSession
from bankbook.client.token import SessionToken
from bankbook.core.commands import LINES_MAX, SESSION, Freshness, SingleWrite
from bankbook.core.guarantees import Guarantee
from bankbook.core.ports import Position
from bankbook.core.types import BranchId, Money
from bankbook.wire.replies import BatchReceipt, Receipt, StatementLine, StatementPage

Result = TypeVar("Result")


class Bank:
    """See bankbook.client.Bank. Use it with `with`: leaving it closes every channel and the thread."""

    def __init__(
        self,
        addresses: Mapping[BranchId, str] | Mapping[int, str] | Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: bool = True,
        history: Path | str | Recorder | None = None,
    ) -> None:
        self._bank = asynchronous.Bank(addresses, timeout=timeout, retries=retries, history=history)
        self._is_closed = False
        self._lock = threading.Lock()
        """Nothing is handed to the loop once it is going to stop: nobody would ever answer."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bankbook", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def recorder(self) -> Recorder | None:
        """See bankbook.client.Bank.recorder; safe for several threads."""
        return self._bank.recorder

    @property
    def branches(self) -> tuple[int, ...]:
        """The numbers of the branches, in ascending order."""
        return self._bank.branches

    def close(self) -> None:
        """Close every channel, and end the thread. Closing twice is harmless."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            closing = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        closing.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Close every channel, and let all who wait in other threads know."""
        await self._bank.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def session(
        self,
        customer: str,
        *,
        account: str | None = None,
        token: SessionToken | None = None,
        guarantees: Guarantee = Guarantee.ALL,
    ) -> "Session":
        """See bankbook.client.Bank.session."""
        session = self._bank.session(customer, account=account, token=token, guarantees=guarantees)
        return Session(self, session)

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` in the bank's event loop, and wait for it. Raises RuntimeError where it is closed."""
        with self._lock:
            if self._is_closed:
                work.close()
                raise ClosedError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()


class Statement:
    """See bankbook.client.Statement; read it with `for`."""

    def __init__(self, bank: Bank, statement: statements.Statement) -> None:
        self._bank = bank
        self._statement = statement

    @property
    def opening(self) -> Money | None:
        """The balance before the first line; None until the first page has been read."""
        return self._statement.opening

    @property
    def closing(self) -> Money | None:
        """The balance after the last line; None until the last page has been read."""
        return self._statement.closing

    def page_after(self, page: StatementPage | None) -> StatementPage | None:
        """See bankbook.client.Statement.page_after."""
        return self._bank.wait_for(self._statement.page_after(page))

    def __iter__(self) -> Iterator[StatementLine]:
        page = self.page_after(None)
        while page is not None:
            yield from page.lines
            page = self.page_after(page)


class Session:
    """See bankbook.client.Session."""

    def __init__(self, bank: Bank, session: AsyncSession) -> None:
        self._bank = bank
        self._session = session

    @property
    def token(self) -> SessionToken:
        """What this session knows by now."""
        return self._session.token

    def merge(self, token: SessionToken) -> None:
        """Let this session know what another one knows, too."""
        self._session.merge(token)

    def balance(
        self,
        *,
        account: str | None = None,
        at: datetime | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Read a balance, now or as it was at a moment. Raises BankbookError."""
        work = self._session.balance(
            account=account, at=at, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def deposit(
        self,
        amount: int,
        *,
        account: str | None = None,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Add `amount`, in minor units. Raises BankbookError."""
        work = self._session.deposit(
            amount,
            account=account,
            memo=memo,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def withdraw(
        self,
        amount: int,
        *,
        account: str | None = None,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Take out `amount`, in minor units. Raises BankbookError."""
        work = self._session.withdraw(
            amount,
            account=account,
            memo=memo,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def transfer(
        self,
        to: str,
        amount: int,
        *,
        account: str | None = None,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Move `amount`, in minor units, to the account `to`, in one entry. Raises BankbookError."""
        work = self._session.transfer(
            to,
            amount,
            account=account,
            memo=memo,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def submit(
        self,
        postings: Mapping[str, int] | Iterable[tuple[str, int]],
        *,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Carry out all postings, account → amount in minor units, or none; they sum to zero.

        Raises BankbookError. The receipt tells the first account's balance.
        """
        work = self._session.submit(
            postings, memo=memo, key=key, durable=durable, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def reserve(
        self,
        amount: int,
        *,
        account: str | None = None,
        to: str | None = None,
        lifetime: float | None = None,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Set `amount` aside, to be captured for the account `to`, or to leave the bank.

        `lifetime` is in seconds; then it expires by itself. The receipt's `reservation` is its name. Raises
        BankbookError.
        """
        work = self._session.reserve(
            amount,
            account=account,
            to=to,
            lifetime=lifetime,
            memo=memo,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def capture(
        self,
        reservation: str,
        amount: int | None = None,
        *,
        is_final: bool = True,
        memo: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Take out what was set aside, or `amount` of it. Raises BankbookError.

        What is left then is released; unless it `is_final`, it stays set aside.
        """
        work = self._session.capture(
            reservation,
            amount,
            is_final=is_final,
            memo=memo,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def release(
        self,
        reservation: str,
        amount: int | None = None,
        *,
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Free what was set aside, or `amount` of it. Raises BankbookError."""
        work = self._session.release(
            reservation, amount, key=key, durable=durable, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def batch(
        self,
        commands: Iterable[SingleWrite],
        *,
        is_atomic: bool = False,
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> BatchReceipt:
        """Carry out many commands at once, each with an outcome of its own. Raises BankbookError.

        If it `is_atomic`, all are refused where one is: raised is why, and `command` says which.
        """
        work = self._session.batch(
            commands,
            is_atomic=is_atomic,
            key=key,
            durable=durable,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def statement(
        self,
        *,
        account: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        page_lines: int = LINES_MAX,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Statement:
        """Return what moved on an account from `start` until before `end`, to be read by `for`."""
        return Statement(
            self._bank,
            self._session.statement(
                account=account,
                start=start,
                end=end,
                page_lines=page_lines,
                branch=branch,
                timeout=timeout,
                freshness=freshness,
            ),
        )

    def statement_page(
        self,
        page: Position | None = None,
        *,
        account: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        page_lines: int = LINES_MAX,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> StatementPage:
        """Read one page of a statement: the first one, or that of another page's `next_page`.

        Raises BankbookError.
        """
        work = self._session.statement_page(
            page,
            account=account,
            start=start,
            end=end,
            page_lines=page_lines,
            branch=branch,
            timeout=timeout,
            freshness=freshness,
        )
        return self._bank.wait_for(work)

    def open_account(
        self,
        account: str | None = None,
        *,
        floor: int | None = 0,
        currency: str = "",
        key: str | None = None,
        durable: int = 0,
        branch: int | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Open an account with a balance of 0. Raises BankbookError.

        `floor` is in minor units: 0, or a credit line below it, or None for no floor at all.
        """
        work = self._session.open_account(
            account, floor=floor, currency=currency, key=key, durable=durable, branch=branch, timeout=timeout
        )
        return self._bank.wait_for(work)
