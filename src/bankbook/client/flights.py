"""One batch of several callers' movements, from its departure to the last question about it.

Decides what each caller is told of a batch, and what the key is good for that a caller in doubt is given: it
stands for one place in one batch, so whoever asks again with it has the whole batch asked for again, under
the batch's own key. Must not know when batches go (coalescing). Proof: tests/client/test_coalescing.py.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

from bankbook.client.attempts import ClosedError
from bankbook.client.calls import Manner
from bankbook.client.errors import BankbookError, error_for
from bankbook.client.sending import Sender
from bankbook.core.bounds import fits_in_log
from bankbook.core.commands import Batch, Deposit, Result, Transfer, Withdraw, batch_of
from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import CustomerId, Key
from bankbook.wire.replies import BatchReceipt, Receipt
from bankbook.wire.status import Failure

if TYPE_CHECKING:
    from bankbook.client.retries import Plan

# So much later than at its own deadline a caller is told what the batch as a whole comes to: its deadline is
# that of the last to board, some milliseconds later, and what it comes to may well be certain.
GRACE_S = 0.25

# In no key that a branch takes.
_SHARED_MARK = "#"
_SHARED_KEY = re.compile(rf"[0-9]+/[0-9a-f]{{32}}{_SHARED_MARK}[0-9]+")

Told = Receipt | BankbookError
"""What a caller's future holds; an error as its result means: send it again, by itself."""


class Call:
    """One caller's movement."""

    __slots__ = ("answer", "command", "deadline", "flight")

    def __init__(
        self, command: Deposit | Withdraw | Transfer, deadline: float, answer: "asyncio.Future[Told]"
    ) -> None:
        self.command = command
        self.deadline = deadline
        """By the loop's clock."""
        self.answer = answer
        self.flight: Flight | None = None
        """The batch it went with; None while it gathers."""


class SharedKey(str):
    """The key of one call that went with others: good as this object, for whoever has it.

    As text it is none that a branch would take, since no branch knows it: it must not be taken for the key of
    a request by itself, which would take effect once more. It cannot be pickled nor kept beyond the process
    either, since it has the whole batch with it: who needs that gives each call a key of its own.
    """

    __slots__ = ("flight", "place")
    flight: "Flight"
    place: int

    @classmethod
    def of(cls, flight: "Flight", place: int) -> Key:
        """Return the key of the call at this place, from 0."""
        key = cls(f"{flight.key}{_SHARED_MARK}{place + 1}")
        key.flight, key.place = flight, place
        return Key(key)


def is_text_of_shared_key(key: str) -> bool:
    """Whether a key is the text of one that is good only as an object."""
    return not isinstance(key, SharedKey) and _SHARED_KEY.fullmatch(key) is not None


class Flight:
    """A batch that is under way, has ended, or is in doubt."""

    def __init__(self, calls: Sequence[Call], batch: Batch, customer: CustomerId) -> None:
        self.calls = calls
        """Those who may still wait for it; none once it has ended."""
        self._overdue = 0
        """How many of the first ones have been told that their time is over, or were told before."""
        self._aboard = len(calls)
        """Those who were not cancelled."""
        self.batch = batch
        self.customer = customer
        self._plan: Plan | None = None
        self._receipt: BatchReceipt | None = None
        self._is_in_doubt = False
        self._has_ended = asyncio.Event()
        self._asking = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None

    @classmethod
    def of(cls, calls: Sequence[Call], customer: CustomerId) -> Self:
        """Return a batch of these calls, or of as many of the first ones as one entry of a log can have."""
        batch = batch_of(call.command for call in calls)
        while not fits_in_log(batch):
            calls = calls[: len(calls) // 2]
            batch = batch_of(call.command for call in calls)
        flight = cls(calls, batch, customer)
        for call in calls:
            call.flight = flight
        return flight

    @property
    def key(self) -> Key:
        """The key that it goes under; another one after an attempt that certainly changed nothing."""
        assert self._plan is not None, "it has departed"
        assert self._plan.key is not None, "it is a write"
        return self._plan.key

    # Under way.

    async def fly(self, sender: Sender, manner: Manner, on_missed: Callable[[], None]) -> None:
        """Go, and tell every caller what comes of it; `on_missed` is told where it takes a second attempt."""
        loop = asyncio.get_running_loop()
        first, last = self.calls[0].deadline, self.calls[-1].deadline
        manner = manner._replace(timeout=last - loop.time(), at_hand=True)
        self._task, self._plan = asyncio.current_task(), sender.plan(self.batch, manner)
        if last - first > GRACE_S:
            self._timer = loop.call_at(first + GRACE_S, self._expire)
        self._is_in_doubt = True  # until it is told; also where this task is cancelled
        try:
            receipt = await sender.ask(self.batch, manner, self._plan, on_missed)
            assert isinstance(receipt, BatchReceipt), "the method answers with it"
            self._receipt, self._is_in_doubt = receipt, False
            self._tell(receipt)
        except BankbookError as error:
            self._is_in_doubt = error.outcome.certainty is Certainty.UNKNOWN
            self._fail_all(error)
        except Exception as error:  # noqa: BLE001  (whatever it is, it belongs to the callers)
            for call in self._waiting():
                call.answer.set_exception(_own(error))
        finally:
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for call in self._waiting():
            call.answer.cancel()  # this task was
        self.calls, self._task = (), None
        self._has_ended.set()

    def left(self) -> None:
        """Go on for the others where a caller is gone, and give up where all are."""
        self._aboard -= 1
        if self._task is not None and not self._aboard:
            self._task.cancel()

    def _waiting(self) -> list[Call]:
        return [call for call in self.calls if not call.answer.done()]

    def _expire(self) -> None:
        """Tell those whose time is over that they are in doubt, and wait for the next one's deadline."""
        loop, self._timer = asyncio.get_running_loop(), None
        assert self._plan is not None, "it has departed"
        while self._overdue < len(self.calls):
            call = self.calls[self._overdue]
            if not call.answer.done():
                if call.deadline + GRACE_S > loop.time():
                    self._timer = loop.call_at(call.deadline + GRACE_S, self._expire)
                    return
                call.answer.set_exception(self._doubt_at(self._overdue, self._plan.branch))
            self._overdue += 1

    # What callers are told.

    def _tell(self, receipt: BatchReceipt) -> None:
        for place, (call, result) in enumerate(zip(self.calls, receipt.results, strict=True)):
            if call.answer.done():
                continue
            told = self._told(receipt, result, place)
            if isinstance(told, Receipt) or told.outcome is Outcome.RIGHTS_UNREACHABLE:
                call.answer.set_result(told)
            else:
                call.answer.set_exception(told)

    def _told(self, receipt: BatchReceipt, result: Result, place: int) -> Told:
        """Return what a call by itself would be told, where the batch tells this of it."""
        outcome, detail, balance, available, _, currency = result
        if outcome is Outcome.OK:
            assert balance is not None, "what was carried out tells a balance"
            return Receipt(
                balance, receipt.entry, receipt.info, available, None, receipt.is_replayed, currency
            )
        failure = Failure(outcome, detail, receipt.info, balance=balance, available=available)
        return error_for(failure, SharedKey.of(self, place))

    def _fail_all(self, error: BankbookError) -> None:
        for place, call in enumerate(self.calls):
            if not call.answer.done():
                own = error_for(error.failure, SharedKey.of(self, place))
                own.__cause__ = error.__cause__
                call.answer.set_exception(own)

    def _doubt_at(self, place: int, branch: int) -> BankbookError:
        detail = f"branch {branch} gave no answer in this call's time"
        return error_for(Failure(Outcome.OUTCOME_UNKNOWN, detail, branch=branch), SharedKey.of(self, place))

    # Asked for again.

    async def settle(
        self, key: SharedKey, command: object, manner: Manner, sender: Sender
    ) -> Receipt | Manner:
        """Return what became of one call; or, where it is to be sent by itself, in which manner.

        Raises BankbookError, ClosedError, OSError.
        """
        if (self.customer, self.batch.commands[key.place]) != (sender.customer, command):
            detail = f"the key {key} was used for another request"
            raise error_for(Failure(Outcome.KEY_REUSED, detail), Key(key))
        deadline = sender.calls.deadline(manner)
        await self._until_it_is_free(key, deadline)
        try:
            if self._is_in_doubt or (manner.durable and self._receipt is not None):
                await self._ask_again(key, manner._replace(timeout=_until(deadline)), sender)
        finally:
            self._asking.release()
        # By itself it has a key that is the same whenever it is asked for with this one.
        alone = manner._replace(key=f"{self.key}.{key.place + 1}", timeout=_until(deadline))
        if self._receipt is None:
            return alone
        sender.learn(self._receipt.info.token)
        told = self._told(self._receipt, self._receipt.results[key.place], key.place)
        if isinstance(told, Receipt):
            return told
        if told.outcome is Outcome.RIGHTS_UNREACHABLE:
            return alone
        raise told

    async def _until_it_is_free(self, key: SharedKey, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._has_ended.wait()
                await self._asking.acquire()
        except TimeoutError:
            assert self._plan is not None, "it has departed"
            raise self._doubt_at(key.place, self._plan.branch) from None

    async def _ask_again(self, key: SharedKey, manner: Manner, sender: Sender) -> None:
        try:
            answer = await sender.send(self.batch, manner._replace(key=self.key, at_hand=True))
        except BankbookError as error:
            raise error_for(error.failure, Key(key)) from error.__cause__
        assert isinstance(answer, BatchReceipt), "the method answers with it"
        self._receipt, self._is_in_doubt = answer, False


def _until(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


def _own(error: Exception) -> Exception:
    """Return one caller's own: whoever raises an error adds to its traceback."""
    if not isinstance(error, ClosedError | OSError):
        return error  # a bug, of which nobody knows how it is made
    own = copy(error)
    own.__cause__ = error
    return own
