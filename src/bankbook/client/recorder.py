"""What customers ask and are told, written down as it happens: the history that docs/history.md describes.

    async with Bank(addresses, history="monday.jsonl") as bank:
        ...                                     # and then: bankbook check monday.jsonl

Calls that travel together (bankbook.client.coalescing) are written down as the batch that they are, one
operation with one key, one entry and the moments at which it was really sent and answered: that is what
happened, and what the checkers know to judge. What is sent again by itself is another operation.

Decides what of a request and its answer stands in a history, and by which clock. Must not know whether any of
it is right (bankbook.checkers), nor how a line is written (bankbook.history).
Proof: tests/client/test_recorder.py.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from bankbook.client.retries import Plan
from bankbook.core.commands import Command, Freshness, ReadStatement, Result
from bankbook.core.entry import EXPIRES_MS_MAX
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.history.record import (
    Fault,
    FaultKind,
    Final,
    Header,
    Operation,
    Stated,
    StatedLine,
    Told,
)
from bankbook.history.writer import Sink
from bankbook.wire.replies import Answer, BatchReceipt, Receipt, StatementPage
from bankbook.wire.status import Failure


class Recorder:
    """Writes down every request of one client's sessions, and how it ended."""

    def __init__(
        self, sink: Sink, header: Header | None = None, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Without a `header`, it has to `begin` before the first request.

        `now_ns` is the recorder's one clock, in nanoseconds; it never goes back.
        """
        self.sink = sink
        self._now_ns = now_ns
        self._asked = 0
        self._sessions = Counter[str]()
        self.has_begun = self.has_ended = False
        if header is not None:
            self.begin(header)

    def begin(self, header: Header) -> None:
        """Write what the bank is. Raises OSError."""
        self.sink.begin(header)
        self.has_begun = True

    def close(self) -> None:
        """Write nothing any more."""
        self.sink.close()

    def session(self, customer: str, guarantees: Guarantee) -> "SessionRecorder":
        """Return what writes down a new session of `customer`."""
        self._sessions[customer] += 1
        number = self._sessions[customer]
        name = customer if number == 1 else f"{customer} ({number})"
        return SessionRecorder(self, name, customer, guarantees)

    def fault(
        self,
        kind: FaultKind,
        branch: int,
        *,
        other: int | None = None,
        at_us: int | None = None,
        until_us: int | None = None,
    ) -> None:
        """Write down that something went wrong, now or at a moment of the recorder's clock."""
        moment_us = self.now_us() if at_us is None else at_us
        self.sink.write(Fault(kind, branch, moment_us, until_us, other))

    def final(
        self, branch: int, balances: Mapping[str, int], statements: Mapping[str, Stated] | None = None
    ) -> None:
        """Write down what a branch holds once all has arrived everywhere: once for each, at the end."""
        self.has_ended = True
        self.sink.write(Final(branch, dict(balances), dict(statements or {})))

    def now_us(self) -> int:
        """Return the time by the recorder's clock, in microseconds."""
        return self._now_ns() // 1000

    def after_now_us(self) -> int:
        """Return the first microsecond that has not begun before now."""
        return -(-self._now_ns() // 1000)

    def next_number(self) -> int:
        """Return the number of the next operation."""
        self._asked += 1
        return self._asked


class SessionRecorder:
    """Writes down one session."""

    def __init__(self, recorder: Recorder, name: str, customer: str, guarantees: Guarantee) -> None:
        self._recorder = recorder
        self._name = name
        self._customer = customer
        self._guarantees = guarantees
        self._newest: Operation | None = None

    def ask(self, command: Command, plan: Plan, freshness: Freshness, durable: int) -> "Asked":
        """Write down a request that is going to be sent.

        Raises OSError where it cannot be written down, RuntimeError where the end is written down already:
        then it must not be sent.
        """
        if self._recorder.has_ended:
            raise RuntimeError("the history has its end already; ask for everything before its finals")
        request = Operation(
            self._recorder.next_number(),
            self._name,
            plan.branch,
            self._recorder.now_us(),
            command,
            customer=self._customer,
            freshness=freshness,
            guarantees=self._guarantees,
            key=plan.key,
            durable=durable,
        )
        self._recorder.sink.ask(request)
        self._newest = request
        return Asked(self, request, plan)

    def end(self, operation: Operation) -> None:
        """Write down an operation that was answered, just now."""
        newest = self._newest
        assert newest is not None, "it was asked"
        # What was asked while this was under way did not know the answer, though it was in the same
        # microsecond; so the answer is dated after it.
        earliest_us = newest.call_us + (newest.number > operation.number)
        return_us = max(self._recorder.after_now_us(), earliest_us)
        self._recorder.sink.write(operation._replace(return_us=return_us))

    def leave(self, operation: Operation) -> None:
        """Write down an operation of which nobody will be told the end."""
        self._recorder.sink.write(operation)


class Asked:
    """One request that is under way."""

    def __init__(self, session: SessionRecorder, request: Operation, plan: Plan) -> None:
        self._session = session
        self._request = request
        self._plan = plan

    def told(self, answer: Answer) -> None:
        """Note an answer."""
        request = self._request._replace(branch=answer.info.branch, key=self._plan.key, outcome=Outcome.OK)
        self._session.end(_with_answer(request, answer))

    def failed(self, failure: Failure) -> None:
        """Note that it was not carried out, or that nobody knows."""
        self._session.end(
            self._request._replace(
                branch=self._plan.branch if failure.info is None else failure.info.branch,
                key=self._plan.key,
                outcome=failure.outcome,
                balance=failure.balance,
                available=failure.available,
            )
        )

    def left(self) -> None:
        """Note that nobody waits for the answer any more."""
        self._session.leave(self._request._replace(branch=self._plan.branch, key=self._plan.key))


def _with_answer(request: Operation, answer: Answer) -> Operation:
    match answer:
        case Receipt():
            return request._replace(
                balance=answer.balance,
                available=answer.available,
                entry=None if answer.entry is None else str(answer.entry),
                is_replayed=answer.is_replayed,
                reservation=answer.reservation,
            )
        case BatchReceipt():
            return request._replace(
                entry=None if answer.entry is None else str(answer.entry),
                is_replayed=answer.is_replayed,
                results=tuple(map(_told, answer.results)),
            )
        case StatementPage():
            command = request.command
            assert isinstance(command, ReadStatement), "pages are told to those alone who ask for them"
            is_to_the_end = answer.next_page is None and command.to_ms == EXPIRES_MS_MAX
            is_from_the_start = command.after is None and not command.from_ms and answer.begins is None
            is_whole = is_from_the_start and is_to_the_end
            # Behind the last line of all, what a statement says is the account's balance.
            balance = answer.closing if is_to_the_end else None
            return request._replace(balance=balance, statement=stated(answer, is_complete=is_whole))


def _told(result: Result) -> Told:
    return Told(result.outcome, result.balance, result.available, result.reservation)


def stated(page: StatementPage, *, is_complete: bool) -> Stated:
    """Return a page of a statement as a history has it."""
    lines = tuple(StatedLine(line.amount, line.balance, str(line.entry), line.memo) for line in page.lines)
    return Stated(lines, page.opening, page.closing, is_complete)
