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
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

from bankbook.client import bank as asynchronous
from bankbook.client.bank import DEFAULT_TIMEOUT_S
from bankbook.client.token import SessionToken
from bankbook.core.commands import SESSION, Freshness
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId
from bankbook.wire.requests import Receipt

Result = TypeVar("Result")


class Bank:
    """See bankbook.client.Bank. Use it with `with`: leaving it closes every channel and the thread."""

    def __init__(
        self,
        addresses: Mapping[BranchId, str] | Mapping[int, str] | Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._bank = asynchronous.Bank(addresses, timeout=timeout)
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
                raise RuntimeError(asynchronous.CLOSED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()


class Session:
    """See bankbook.client.Session."""

    def __init__(self, bank: Bank, session: asynchronous.Session) -> None:
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
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Read a balance. Raises BankbookError."""
        work = self._session.balance(account=account, branch=branch, timeout=timeout, freshness=freshness)
        return self._bank.wait_for(work)

    def deposit(
        self,
        amount: int,
        *,
        account: str | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Add `amount`, in minor units. Raises BankbookError."""
        work = self._session.deposit(
            amount, account=account, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def withdraw(
        self,
        amount: int,
        *,
        account: str | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Take out `amount`, in minor units. Raises BankbookError."""
        work = self._session.withdraw(
            amount, account=account, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def transfer(
        self,
        to: str,
        amount: int,
        *,
        account: str | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Move `amount`, in minor units, to the account `to`, in one entry. Raises BankbookError."""
        work = self._session.transfer(
            to, amount, account=account, branch=branch, timeout=timeout, freshness=freshness
        )
        return self._bank.wait_for(work)

    def open_account(
        self,
        account: str | None = None,
        *,
        floor: int | None = 0,
        currency: str = "",
        timeout: float | None = None,
    ) -> Receipt:
        """Open an account at its home branch, with a balance of 0. Raises BankbookError."""
        work = self._session.open_account(account, floor=floor, currency=currency, timeout=timeout)
        return self._bank.wait_for(work)
