"""A session: one customer's line of work, whichever branches it visits.

Decides which command each method is, and what is malformed in it. Must not know how requests go out
(bankbook.client.sending), nor which of them go together (coalescing). Proof: tests/client/test_bank.py.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bankbook.client.calls import Calls, Manner, complaint_about_timeout
from bankbook.client.coalescing import Coalescer, may_go_with_others
from bankbook.client.errors import BankbookError, error_for
from bankbook.client.flights import SharedKey, is_text_of_shared_key
from bankbook.client.sending import Sender
from bankbook.client.statement import Statement
from bankbook.client.token import SessionToken
from bankbook.core.bounds import (
    complaint_about,
    complaint_about_customer,
    complaint_about_freshness,
    complaint_about_key,
)
from bankbook.core.commands import (
    LINES_MAX,
    SESSION,
    Capture,
    Command,
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
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, CustomerId, Key, Money, ReservationId
from bankbook.wire.replies import EPOCH, Answer, BatchReceipt, Receipt, StatementPage
from bankbook.wire.requests import complaint_about_durable
from bankbook.wire.status import Failure


class Session:
    """One customer's line of work, whichever branches it visits; it carries the token for the caller.

    Requests may be under way at the same time; each sees what had been answered when it was sent. Deposits,
    withdrawals and transfers that are asked for at the same time travel together: see
    bankbook.client.coalescing.
    """

    def __init__(
        self, calls: Calls, customer: str, account: str, token: SessionToken, guarantees: Guarantee
    ) -> None:
        self._account = account
        self._sender = Sender(calls, CustomerId(customer), token, guarantees)
        self._coalescer = Coalescer(self._sender)

    @property
    def token(self) -> SessionToken:
        """What this session knows by now; save it, and the customer can go on anywhere."""
        return self._sender.token

    def merge(self, token: SessionToken) -> None:
        """Let this session know what another one knows, too."""
        self._sender.token = self._sender.token.merge(token)

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

    async def _carry_out(self, command: Command, manner: Manner) -> Answer:
        complaint = self._complaint(command, manner)
        if complaint is not None:
            raise _refused(complaint, manner.key)
        if may_go_with_others(command, manner):
            return await self._coalescer.carry_out(command, manner)
        if isinstance(manner.key, SharedKey):
            settled = await manner.key.flight.settle(manner.key, command, manner, self._sender)
            if isinstance(settled, Receipt):
                return settled
            manner = settled
        return await self._sender.send(command, manner)

    async def _receipt(self, command: Command, manner: Manner) -> Receipt:
        answer = await self._carry_out(command, manner)
        assert isinstance(answer, Receipt), "the method answers with it"
        return answer

    def _complaint(self, command: Command, manner: Manner) -> str | None:
        """Return what is malformed in a request, in words: it is said at once, without a branch."""
        return (
            self._sender.calls.complaint_about_branch(manner.branch)
            or complaint_about_timeout(manner.timeout)
            or complaint_about(command)
            or complaint_about_customer(self._sender.customer)
            or complaint_about_freshness(manner.freshness)
            or _complaint_about_key(manner.key)
            or complaint_about_durable(manner.durable)
        )


def _complaint_about_key(key: str | None) -> str | None:
    """Return what is malformed in a caller's key, in words; None where nothing is."""
    if key is None or isinstance(key, SharedKey):
        return None
    if is_text_of_shared_key(key):
        return (
            f"the key {key[:80]!r} is of a call that went together with others: it is good only as the "
            "object that the error had, in that process; a call that is asked for elsewhere needs its own"
        )
    return complaint_about_key(Key(key))


def _money(amount: int | None) -> Money | None:
    return None if amount is None else Money(amount)


def _ms(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    if moment.tzinfo is None:
        raise _refused(f"a moment needs a time zone, such as datetime.UTC; {moment.isoformat()} has none")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _lifetime_ms(seconds: float) -> int:
    if not 0 <= seconds < math.inf:
        raise _refused(f"a lifetime is a number of seconds from 0 on; this one is {seconds}")
    return math.ceil(seconds * 1000)


def _refused(complaint: str, key: str | None = None) -> BankbookError:
    return error_for(Failure(Outcome.INVALID_REQUEST, complaint), None if key is None else Key(key))
