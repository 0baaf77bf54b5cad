"""A session: one customer's line of work, whichever branches it visits.

Decides what each of its methods asks for. Must not know how a request gets its answer (asking.py).
Proof: tests/client/test_bank.py, tests/client/test_failover.py.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bankbook.client.asking import Asking, refused
from bankbook.client.calls import Calls, Manner
from bankbook.client.statement import Statement
from bankbook.client.token import SessionToken
from bankbook.core.commands import (
    LINES_MAX,
    SESSION,
    Capture,
    Deposit,
    Freshness,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    batch_of,
)
from bankbook.core.entry import EXPIRES_MS_MAX, Opening, Posting
from bankbook.core.guarantees import Guarantee
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, Money, ReservationId
from bankbook.wire.replies import EPOCH, BatchReceipt, Receipt, StatementPage


class Session(Asking):
    """One customer's line of work, whichever branches it visits; it carries the token for the caller.

    Requests may be under way at the same time; each sees what had been answered when it was sent.
    """

    def __init__(
        self, calls: Calls, customer: str, account: str, token: SessionToken, guarantees: Guarantee
    ) -> None:
        super().__init__(calls, customer, token, guarantees)
        self._account = account

    @property
    def token(self) -> SessionToken:
        """What this session knows by now; save it, and the customer can go on anywhere."""
        return self._token

    def merge(self, token: SessionToken) -> None:
        """Let this session know what another one knows, too."""
        self._token = self._token.merge(token)

    async def balance(
        self,
        *,
        account: str | None = None,
        at: datetime | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Read a balance, now or as it was at a moment. Raises BankbookError."""
        command = ReadBalance(AccountId(account or self._account), None if at is None else _ms(at))
        return await self._receipt(command, Manner(branch, timeout, freshness))

    async def deposit(
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
        command = Deposit(AccountId(account or self._account), Money(amount), memo)
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def withdraw(
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
        command = Withdraw(AccountId(account or self._account), Money(amount), memo)
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def transfer(
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
        command = Transfer(AccountId(account or self._account), AccountId(to), Money(amount), memo)
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def submit(
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
        legs = postings.items() if isinstance(postings, Mapping) else postings
        command = Submit(tuple(Posting(AccountId(name), Money(amount)) for name, amount in legs), memo)
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def reserve(
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
        command = Reserve(
            AccountId(account or self._account),
            Money(amount),
            None if to is None else AccountId(to),
            None if lifetime is None else _lifetime_ms(lifetime),
            memo,
        )
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def capture(
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
        command = Capture(ReservationId(reservation), _money(amount), is_final, memo)
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def release(
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
        command = Release(ReservationId(reservation), _money(amount))
        return await self._receipt(command, Manner(branch, timeout, freshness, key, durable))

    async def batch(
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
        command = batch_of(commands, is_atomic=is_atomic)
        answer = await self._carry_out(command, Manner(branch, timeout, freshness, key, durable))
        assert isinstance(answer, BatchReceipt), "the method answers with it"
        return answer

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
        """Return what moved on an account from `start` until before `end`, to be read by `async for`."""

        async def read(page: Position | None) -> StatementPage:
            return await self.statement_page(
                page,
                account=account,
                start=start,
                end=end,
                page_lines=page_lines,
                branch=branch,
                timeout=timeout,
                freshness=freshness,
            )

        return Statement(read)

    async def statement_page(
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
        command = ReadStatement(
            AccountId(account or self._account),
            0 if start is None else _ms(start),
            EXPIRES_MS_MAX if end is None else _ms(end),
            page,
            page_lines,
        )
        answer = await self._carry_out(command, Manner(branch, timeout, freshness))
        assert isinstance(answer, StatementPage), "the method answers with it"
        return answer

    async def open_account(
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
        terms = Opening(AccountId(account or self._account), _money(floor), currency)
        return await self._receipt(OpenAccount(terms), Manner(branch, timeout, SESSION, key, durable))


def _money(amount: int | None) -> Money | None:
    return None if amount is None else Money(amount)


def _ms(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    if moment.tzinfo is None:
        raise refused(f"a moment needs a time zone, such as datetime.UTC; {moment.isoformat()} has none")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _lifetime_ms(seconds: float) -> int:
    if not 0 <= seconds < math.inf:
        raise refused(f"a lifetime is a number of seconds from 0 on; this one is {seconds}")
    return math.ceil(seconds * 1000)
