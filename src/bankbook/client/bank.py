"""Bank and Session for asyncio: the customer's side of bankbook.v1.

Decides which token a request carries, and what may be concluded from a call that got no answer. Must
not know how branches do what they do. Proof: tests/client/test_bank.py, tests/server/test_processes.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from bankbook.client.errors import BankbookError, NotHomeError, error_for
from bankbook.client.token import SessionToken
from bankbook.core.commands import (
    SESSION,
    Command,
    Deposit,
    Freshness,
    OpenAccount,
    ReadBalance,
    Transfer,
    Withdraw,
    complaint_about,
    complaint_about_customer,
    complaint_about_freshness,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.ledger import home_branch
from bankbook.core.outcome import Outcome
from bankbook.core.token import TOKEN_BYTES_MAX
from bankbook.core.types import AccountId, BranchId, CustomerId, Money
from bankbook.wire.requests import (
    Envelope,
    MessageDamagedError,
    Receipt,
    decode_receipt,
    encode_request,
)
from bankbook.wire.status import Failure, decode_failure
from bankbook.wire.v1 import bank_pb2_grpc

DEFAULT_TIMEOUT_S = 30.0

# How long to try for a connection: a branch that is being restarted is back by then, and one that is
# gone is found out in a time that a person still waits.
CONNECT_TIMEOUT_S = 5.0

# A branch that was down is found again soon after it is back; gRPC's own default waits for a second.
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A failure's status travels in the headers, and the session's token in it.
    ("grpc.max_metadata_size", 2 * TOKEN_BYTES_MAX),
)

# The call may have been carried out although no answer came.
_NO_ANSWER = {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # an answer that was too large, among others
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
}

# Each request under way can bring a token of its own, of up to about 500 bytes in a bank of twenty branches,
# and the session's next request takes them all along: 64 kB hold 128 of these. A session that asks for more
# at once waits for its own earlier requests.
REQUESTS_UNDER_WAY_MAX = 128

CLOSED = "this bank is closed; make another one, and use its sessions inside its `with`"


class Bank:
    """A bank's branches, by their numbers. Use it with `async with`: leaving it closes every channel."""

    def __init__(
        self,
        addresses: Mapping[BranchId, str] | Mapping[int, str] | Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Name the branches: number → "host:port", or a list of these, numbered from 1.

        `timeout` is in seconds, for every call that does not name its own.
        """
        if isinstance(addresses, str):
            raise TypeError(f"a bank is {{1: {addresses!r}}} or [{addresses!r}], not one address by itself")
        if isinstance(addresses, Mapping):
            self._addresses = {int(number): address for number, address in addresses.items()}
        else:
            self._addresses = dict(enumerate(addresses, start=1))
        if not self._addresses:
            raise ValueError("a bank has at least one branch; name its address")
        self._timeout = timeout
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def branches(self) -> tuple[int, ...]:
        """The numbers of the branches, in ascending order."""
        return tuple(sorted(self._addresses))

    async def close(self) -> None:
        """Close every channel; what is under way gets no answer. Closing twice is harmless."""
        self._is_closed = True
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close(None)

    def session(
        self,
        customer: str,
        *,
        account: str | None = None,
        token: SessionToken | None = None,
        guarantees: Guarantee = Guarantee.ALL,
    ) -> "Session":
        """Return a session of `customer`, who has `account` (by default one named like the customer).

        With a `token`, it continues where the token's session was.
        """
        return Session(self, customer, account or customer, token or SessionToken(), guarantees)

    async def call(
        self, command: Command, envelope: Envelope, branch: int | None, timeout: float | None
    ) -> Receipt:
        """Send one request; raises BankbookError, and RuntimeError where the bank is closed."""
        number = self.branches[0] if branch is None else branch
        if number not in self._addresses:
            names = ", ".join(str(each) for each in self.branches)
            detail = f"there is no branch {number}; there are {names}"
            raise error_for(Failure(Outcome.INVALID_REQUEST, detail))
        complaint = (
            complaint_about(command)
            or complaint_about_customer(envelope.customer)
            or complaint_about_freshness(envelope.freshness)
        )
        if complaint is not None:
            raise error_for(Failure(Outcome.INVALID_REQUEST, complaint))
        method, message = encode_request(command, envelope)
        deadline = asyncio.get_running_loop().time() + (self._timeout if timeout is None else timeout)
        channel = await self._connect(number, deadline)
        stub = bank_pb2_grpc.BankStub(channel)
        try:
            reply = await getattr(stub, method)(message, timeout=_until(deadline))
            return decode_receipt(reply)
        except asyncio.CancelledError:
            if not self._is_closed or _is_cancelled():
                raise
            # gRPC cancels the calls of a channel that is closed; whoever waits for one is not cancelled.
            raise error_for(_no_answer(command, number, "the bank was closed meanwhile")) from None
        except grpc.aio.AioRpcError as error:
            raise error_for(_failure(error, command, number)) from error
        except MessageDamagedError as error:
            raise error_for(_no_answer(command, number, str(error))) from error

    async def _connect(self, branch: int, deadline: float) -> grpc.aio.Channel:
        """Return a channel that is up: whatever fails before that has certainly changed nothing."""
        if self._is_closed:
            raise RuntimeError(CLOSED)
        channel = self._channels.get(branch)
        if channel is None:
            channel = grpc.aio.insecure_channel(self._addresses[branch], _CHANNEL_OPTIONS)
            self._channels[branch] = channel
        if channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            try:
                # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes just as what it
                # waits for is done, and the caller who was cancelled goes on waiting for the answer.
                async with asyncio.timeout(min(_until(deadline), CONNECT_TIMEOUT_S)):
                    await channel.channel_ready()
            except TimeoutError as error:
                address = self._addresses[branch]
                detail = f"branch {branch} at {address} could not be reached; is it running?"
                raise error_for(Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch)) from error
            except grpc.aio.UsageError as error:
                raise RuntimeError(CLOSED) from error
        return channel


class Session:
    """One customer's line of work, whichever branches it visits; it carries the token for the caller.

    Requests may be under way at the same time; each sees what had been answered when it was sent.
    """

    def __init__(
        self, bank: Bank, customer: str, account: str, token: SessionToken, guarantees: Guarantee
    ) -> None:
        self._bank = bank
        self._customer = CustomerId(customer)
        self._account = account
        self._token = token
        self._guarantees = guarantees
        self._under_way = asyncio.Semaphore(REQUESTS_UNDER_WAY_MAX)

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
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Read a balance. Raises BankbookError."""
        command = ReadBalance(AccountId(account or self._account))
        return await self._call(command, branch, timeout, freshness)

    async def deposit(
        self,
        amount: int,
        *,
        account: str | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Add `amount`, in minor units. Raises BankbookError."""
        command = Deposit(AccountId(account or self._account), Money(amount))
        return await self._call(command, branch, timeout, freshness)

    async def withdraw(
        self,
        amount: int,
        *,
        account: str | None = None,
        branch: int | None = None,
        timeout: float | None = None,
        freshness: Freshness = SESSION,
    ) -> Receipt:
        """Take out `amount`, in minor units. Raises BankbookError."""
        command = Withdraw(AccountId(account or self._account), Money(amount))
        return await self._call(command, branch, timeout, freshness)

    async def transfer(
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
        command = Transfer(AccountId(account or self._account), AccountId(to), Money(amount))
        return await self._call(command, branch, timeout, freshness)

    async def open_account(
        self,
        account: str | None = None,
        *,
        floor: int | None = 0,
        currency: str = "",
        timeout: float | None = None,
    ) -> Receipt:
        """Open an account at its home branch, with a balance of 0. Raises BankbookError.

        `floor` is in minor units: 0, or a credit line below it, or None for no floor at all.
        """
        terms = Opening(
            AccountId(account or self._account), None if floor is None else Money(floor), currency
        )
        home = home_branch(terms.account, tuple(BranchId(each) for each in self._bank.branches))
        try:
            return await self._call(OpenAccount(terms), home, timeout, SESSION)
        except NotHomeError as error:
            # This bank was told of some of the branches only, and so came to another home.
            if error.branch not in self._bank.branches:
                raise
            return await self._call(OpenAccount(terms), error.branch, timeout, SESSION)

    async def _call(
        self, command: Command, branch: int | None, timeout: float | None, freshness: Freshness
    ) -> Receipt:
        async with self._under_way:
            sent = self._token
            envelope = Envelope(self._customer, bytes(sent), self._guarantees, freshness)
            try:
                receipt = await self._bank.call(command, envelope, branch, timeout)
            except BankbookError as error:
                if error.failure.info is not None:
                    self._learn(sent, error.failure.info.token)
                raise
            self._learn(sent, receipt.info.token)
            return receipt

    def _learn(self, sent: SessionToken, replied: bytes) -> None:
        """Put the reply's token in the place of what it covers: all that was sent, and no more.

        Other requests may have been answered meanwhile; what they taught is kept.
        """
        self._token = SessionToken((self._token.parts - sent.parts) | {replied})


def _until(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure(error: grpc.aio.AioRpcError, command: Command, branch: int) -> Failure:
    told = _told_by(error)
    if told is not None:
        return told
    detail = f"branch {branch} gave no answer ({error.code().name}: {error.details()})"
    if error.code() not in _NO_ANSWER:
        return Failure(Outcome.INVALID_REQUEST, detail)
    return _no_answer(command, branch, detail)


def _no_answer(command: Command, branch: int, detail: str) -> Failure:
    if isinstance(command, ReadBalance):
        return Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch)
    return Failure(Outcome.OUTCOME_UNKNOWN, detail, branch=branch)


def _told_by(error: grpc.aio.AioRpcError) -> Failure | None:
    try:
        return decode_failure(rpc_status.from_call(cast("grpc.Call", error)))
    except (DecodeError, ValueError):  # details that are damaged, or contradict the status they came with
        return None
