"""One attempt at one request, at one branch.

Decides what may be concluded from a call that got no answer. Must not know what happens then.
Proof: tests/client/test_bank.py.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from bankbook.client.multiplexing import CallStream, StreamEndedError
from bankbook.core.commands import Batch, Command, ReadBalance, ReadStatement
from bankbook.core.outcome import Outcome
from bankbook.core.token import TOKEN_BYTES_MAX
from bankbook.wire.basics import MESSAGE_OPTIONS, MessageDamagedError
from bankbook.wire.commands import AnyRequest
from bankbook.wire.replies import Answer, AnyReceipt, BatchReceipt, Receipt, StatementPage, decode_answer
from bankbook.wire.requests import Envelope, encode_request
from bankbook.wire.status import Failure, decode_failure
from bankbook.wire.v1 import bank_pb2, bank_pb2_grpc

_CHANNEL_OPTIONS = (
    *MESSAGE_OPTIONS,
    # A branch that was down is found again soon after it is back; gRPC's own default waits for a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A failure's status travels in the headers, and the session's token in it.
    ("grpc.max_metadata_size", 2 * TOKEN_BYTES_MAX),
    # A machine that is gone without a word is found out while a request is under way, and half of the usual
    # timeout is left to ask elsewhere. Twice as seldom as branches allow.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
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

CLOSED = "this bank is closed; make another one, and use its sessions inside its `with`"


_CLOSED_MEANWHILE = "the bank was closed meanwhile"


class ClosedError(RuntimeError):
    """The bank is closed."""

    def __init__(self, why: str = CLOSED) -> None:
        super().__init__(why)


class Missed(NamedTuple):
    """An attempt that did not end well."""

    failure: Failure
    was_sent: bool
    """Whether the request left this process; where it did not, it has certainly changed nothing."""
    cause: Exception | None = None


class Attempts(Protocol):
    """How a request is sent once: over gRPC, or as the simulator does it."""

    closed: asyncio.Event

    async def close(self) -> None:
        """Give up what is under way."""
        ...

    async def attempt(
        self, command: Command, envelope: Envelope, branch: int, deadline: float, wait_s: float | None
    ) -> Answer | Missed:
        """Send a request once, and return what came of it; raises ClosedError."""
        ...


class Channels:
    """The channels to a bank's branches, each opened when it is first used."""

    def __init__(self, addresses: Mapping[int, str]) -> None:
        self._addresses = addresses
        self._lines: dict[int, Line] = {}
        self.closed = asyncio.Event()

    async def close(self) -> None:
        """Close every channel; what is under way gets no answer. Closing twice is harmless."""
        self.closed.set()
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.close()

    async def attempt(
        self, command: Command, envelope: Envelope, branch: int, deadline: float, wait_s: float | None
    ) -> Answer | Missed:
        """Send a request once, and return what came of it; raises ClosedError.

        A connection is waited for until `wait_s` seconds are over; None: only as long as nothing speaks
        against it.
        """
        line = await self._connect(branch, deadline, wait_s)
        if line is None:
            detail = f"branch {branch} at {self._addresses[branch]} could not be reached; is it running?"
            return Missed(Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch), was_sent=False)
        try:
            answer = decode_answer(await line.ask(*encode_request(command, envelope), deadline))
            return checked(answer, command)
        except asyncio.CancelledError:
            if not self.closed.is_set() or _is_cancelled():
                raise
            # gRPC cancels the calls of a channel that is closed; whoever waits for one is not cancelled.
            return Missed(no_answer(command, branch, _CLOSED_MEANWHILE), was_sent=True)
        except grpc.aio.UsageError as error:  # the channel was closed before a second attempt at it
            return Missed(no_answer(command, branch, _CLOSED_MEANWHILE), was_sent=True, cause=error)
        except StreamEndedError as error:
            why = f"branch {branch} gave no answer ({error})"
            if self.closed.is_set():
                why = _CLOSED_MEANWHILE
            return Missed(no_answer(command, branch, why), was_sent=True, cause=error)
        except grpc.aio.AioRpcError as error:
            return Missed(_failure(error, command, branch), was_sent=True, cause=error)
        except MessageDamagedError as error:
            return Missed(no_answer(command, branch, str(error)), was_sent=True, cause=error)

    async def _connect(self, branch: int, deadline: float, wait_s: float | None) -> "Line | None":
        """Return a line that is up: whatever fails before that has certainly changed nothing."""
        if self.closed.is_set():
            raise ClosedError
        line = self._lines.get(branch)
        if line is None:
            line = self._lines[branch] = Line(self._addresses[branch])
        try:
            is_up = await _is_up_in_time(line.channel, deadline, wait_s)
        except grpc.aio.UsageError as error:
            raise ClosedError from error
        return line if is_up else None


class Line:
    """The channel to one branch, and on it the stream that calls travel on."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, _CHANNEL_OPTIONS)
        self._stub = bank_pb2_grpc.BankStub(self.channel)
        self._stream: CallStream | None = None
        self._streams_from = 0.0
        """When, by the loop's clock, it is asked for a stream: a branch of an older version has none."""

    async def ask(self, method: str, message: AnyRequest, deadline: float) -> AnyReceipt:
        """Return what the branch tells.

        Raises grpc.aio.AioRpcError, StreamEndedError, MessageDamagedError.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._streams_from and not _is_large(message):
            if self._stream is None or self._stream.is_over:
                self._stream = CallStream(self._stub.Multiplex(None))
            try:
                return await self._stream.ask(message, deadline)
            except StreamEndedError as error:
                if not error.is_unknown:
                    raise
                self._streams_from = now + _ASKED_AGAIN_S
        answer: AnyReceipt = await getattr(self._stub, method)(message, timeout=_until(deadline))
        return answer

    async def close(self) -> None:
        """Close the channel; what is under way gets no answer."""
        await self.channel.close(None)
        if self._stream is not None:
            await self._stream.close()


# A request that is larger than this, or whose answer may be, goes by itself, so that it keeps nobody waiting.
_LARGE_BYTES = 64 * 1024


# A branch that has no streams is asked for one again so much later: it may be a newer one by then.
_ASKED_AGAIN_S = 60.0


def _is_large(message: AnyRequest) -> bool:
    return isinstance(message, bank_pb2.GetStatementRequest) or message.ByteSize() > _LARGE_BYTES


# How long nothing needs to speak against a connection until another branch is tried: far longer than any
# handshake between two continents.
DOUBTFUL_S = 1.0


async def _is_up_in_time(channel: grpc.aio.Channel, deadline: float, wait_s: float | None) -> bool:
    """Return whether the channel comes up in `wait_s` seconds, and before the deadline."""
    try:
        # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes just as what it
        # waits for is done, and the caller who was cancelled goes on waiting for the answer.
        async with asyncio.timeout(min(_until(deadline), DOUBTFUL_S if wait_s is None else wait_s)):
            return await _comes_up(channel, is_doubted=wait_s is None)
    except TimeoutError:
        # It may be this process that was late: of 20,000 calls that are the first ones, the last are told
        # that the channel is up when their time is over. They must not blame the branch.
        return _until(deadline) > 0 and channel.get_state() is grpc.ChannelConnectivity.READY


async def _comes_up(channel: grpc.aio.Channel, *, is_doubted: bool) -> bool:
    """Return once the channel is up; if it is doubted, also once an attempt to connect has failed."""
    while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.SHUTDOWN:
            raise ClosedError
        if is_doubted and state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
        await channel.wait_for_state_change(state)
    return True


def checked(answer: Answer, command: Command) -> Answer:
    """Return the answer if it fits the command; raises MessageDamagedError."""
    kind: type[Answer] = Receipt
    if isinstance(command, Batch):
        kind = BatchReceipt
    elif isinstance(command, ReadStatement):
        kind = StatementPage
    if not isinstance(answer, kind):
        raise MessageDamagedError(f"a {type(command).__name__} was answered with a {type(answer).__name__}")
    if isinstance(command, Batch) and isinstance(answer, BatchReceipt):
        told = len(answer.results)
        if told != len(command.commands):
            raise MessageDamagedError(f"a batch of {len(command.commands)} was answered with {told} results")
    return answer


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
    return no_answer(command, branch, detail)


def no_answer(command: Command, branch: int, detail: str) -> Failure:
    """Return what may be concluded where a request was sent and no answer came."""
    if isinstance(command, ReadBalance | ReadStatement):
        return Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch)
    return Failure(Outcome.OUTCOME_UNKNOWN, detail, branch=branch)


def _told_by(error: grpc.aio.AioRpcError) -> Failure | None:
    try:
        return decode_failure(rpc_status.from_call(cast("grpc.Call", error)))
    except (DecodeError, ValueError):  # details that are damaged, or contradict the status they came with
        return None
