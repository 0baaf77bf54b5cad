"""The checkers against a dumb twin that tries every execution, on tiny random histories.

The twin gives every operation a state: any set of writes called before it returned. An execution is right if
each answer fits its state, a state that has a write has all that the write's own state had, and a session's
states only grow. Which checker finds what is wrong is not its concern; whether anything is wrong is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

from checkers.histories import deposit, read, transfer, withdraw
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bankbook.checkers import Kind, Report, check
from bankbook.core.commands import LATEST, Command, Deposit, Transfer, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.history.lines import item_line
from bankbook.history.record import Header, History, Operation, Terms

SESSION_CHECKERS = (
    "read your writes",
    "monotonic reads",
    "monotonic writes",
    "writes follow reads",
    "causal consistency",
    "half-visible transfers",
    "conservation",
)


def effect(operation: Operation, account: str) -> int:
    match operation.command:
        case Deposit(name, amount):
            return amount if name == account else 0
        case Withdraw(name, amount):
            return -amount if name == account else 0
        case Transfer(source, destination, amount):
            return amount * ((account == destination) - (account == source))
        case _:
            return 0


def is_write(operation: Operation) -> bool:
    return any(effect(operation, account) for account in "xy")


def first_account(operation: Operation) -> str:
    command = operation.command
    return command.source if isinstance(command, Transfer) else command.account  # type: ignore[union-attr]


def end_of(operation: Operation) -> int:
    return 10**9 if operation.return_us is None else operation.return_us


@dataclass
class Twin:
    """Tries every state of every operation."""

    operations: list[Operation]

    def explains(self) -> bool:
        return any(True for _ in self._extend({}))

    def _extend(self, states: dict[int, frozenset[int]]) -> Iterator[dict[int, frozenset[int]]]:
        if len(states) == len(self.operations):
            yield states
            return
        operation = self.operations[len(states)]
        for state in self._states(operation):
            more = {**states, operation.number: state}
            if self._is_right(more):
                yield from self._extend(more)

    def _states(self, operation: Operation) -> Iterator[frozenset[int]]:
        writes = [each for each in self.operations if is_write(each) and each.call_us <= end_of(operation)]
        account = first_account(operation)
        for size in range(len(writes) + 1):
            for chosen in combinations(writes, size):
                state = frozenset(each.number for each in chosen)
                total = sum(effect(each, account) for each in chosen)
                is_itself_there = operation.number in state or not is_write(operation)
                if is_itself_there and operation.balance in {None, total}:
                    yield state

    def _is_right(self, states: dict[int, frozenset[int]]) -> bool:
        for second in self.operations:
            for first in self.operations:
                if first.number not in states or second.number not in states:
                    continue
                is_before = first.session == second.session and first.number < second.number
                follows = is_before and first.return_us is not None and first.return_us <= second.call_us
                is_there = first.number in states[second.number]
                if (follows or is_there) and not states[first.number] <= states[second.number]:
                    return False
        return True


def is_linearizable(operations: list[Operation]) -> bool:
    """Whether some order of all that is acknowledged, and some of the rest, explains it."""
    lost = [each for each in operations if each.return_us is None]
    done = [each for each in operations if each.return_us is not None]
    for size in range(len(lost) + 1):
        for some in combinations(lost, size):
            if any(map(_explains, permutations([*done, *some]))):
                return True
    return False


def _explains(order: tuple[Operation, ...]) -> bool:
    balance = 0
    for place, operation in enumerate(order):
        balance += effect(operation, "x")
        if not is_write(operation) and operation.balance != balance:
            return False
        if any(end_of(later) < operation.call_us for later in order[place + 1 :]):
            return False
    return True


@st.composite
def histories(draw: st.DrawFn, accounts: str = "xy", *, is_exact: bool = True) -> list[Operation]:
    """A few operations of three sessions, told balances that one set of writes or another gives."""
    ends: dict[str, int] = {}
    operations: list[Operation] = []
    for number in range(1, draw(st.integers(2, 5)) + 1):
        session = draw(st.sampled_from("ABC"))
        # Calls at even moments, returns at odd ones: what is called just as something returns has no order.
        call_us = ends.get(session, -1) + 1 + 2 * draw(st.integers(0, 3))
        return_us = call_us + 1 + 2 * draw(st.integers(0, 4))
        ends[session] = return_us
        amount = 2**number if is_exact else draw(st.integers(1, 2))
        commands: list[Command] = [
            read(draw(st.sampled_from(accounts))),
            deposit(amount, draw(st.sampled_from(accounts))),
        ]
        commands += [withdraw(amount, "x")]
        commands += [transfer(amount)] if len(accounts) > 1 else []
        command = draw(st.sampled_from(commands))
        operation = Operation(number, session, 1, call_us, command, return_us, Outcome.OK)
        if is_write(operation) and draw(st.integers(0, 5)) == 0:
            operation = operation._replace(return_us=None, outcome=None)
        operations.append(operation)
    return [_told(draw, operation, operations) for operation in operations]


def _told(draw: st.DrawFn, operation: Operation, operations: list[Operation]) -> Operation:
    if operation.return_us is None or (is_write(operation) and draw(st.booleans())):
        return operation
    account = first_account(operation)
    # Mostly what a branch could have, or hardly any history would be right.
    had = [each for each in operations if is_write(each) and each.call_us <= end_of(operation)]
    chosen = [each for each in had if each.number == operation.number or draw(st.integers(0, 3))]
    return operation._replace(balance=sum(effect(each, account) for each in chosen))


def tell(operations: list[Operation], report: Report) -> str:
    """Show an example as it would stand in a file."""
    return "\n" + "".join(map(item_line, operations)) + report.in_words()


def judge(operations: list[Operation]) -> History:
    # No floor: what may be taken out is another checker's concern.
    return History(Header("twin", 3, Terms(0, None)), operations)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_something_fails_exactly_where_no_execution_explains_the_history(operations: list[Operation]) -> None:
    report = check(judge(operations))
    fails = any(report.verdict(name).kind is Kind.FAIL for name in SESSION_CHECKERS)
    event("fails" if fails else "holds")
    assert fails is not Twin(operations).explains(), tell(operations, report)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(is_exact=False))
def test_doubtful_balances_are_never_called_a_fault_that_is_none(operations: list[Operation]) -> None:
    report = check(judge(operations))
    verdicts = [report.verdict(name) for name in SESSION_CHECKERS]
    if any(verdict.kind is Kind.FAIL for verdict in verdicts):
        assert not Twin(operations).explains(), tell(operations, report)
    elif not any(verdict.undecided for verdict in verdicts):
        assert Twin(operations).explains(), tell(operations, report)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories("x"))
def test_latest_fails_exactly_where_no_order_explains_the_history(operations: list[Operation]) -> None:
    latest = [
        each._replace(freshness=LATEST, balance=None if is_write(each) else each.balance)
        for each in operations
    ]
    report = check(judge(latest))
    names = ("linearizability of LATEST", "conservation")
    fails = any(report.verdict(name).kind is Kind.FAIL for name in names)
    event("fails" if fails else "holds")
    assert fails is not is_linearizable(latest), tell(operations, report)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_every_witness_is_wrong_by_itself(operations: list[Operation]) -> None:
    report = check(judge(operations))
    for verdict in report.verdicts:
        if verdict.witness is None or verdict.name in {"conservation", "exactly once"}:
            continue
        named = set(verdict.witness.operations)
        alone = [_without_noise(each, operations, named) for each in operations if each.number in named]
        assert check(judge(alone)).verdict(verdict.name).kind is Kind.FAIL, verdict


def _without_noise(operation: Operation, operations: list[Operation], kept: set[int]) -> Operation:
    """Take out of a told balance what the witness does not name."""
    if operation.balance is None:
        return operation
    account = first_account(operation)
    writes = [each for each in operations if effect(each, account)]
    for size in range(len(writes) + 1):
        for chosen in combinations(writes, size):
            if sum(effect(each, account) for each in chosen) == operation.balance:
                left = sum(effect(each, account) for each in chosen if each.number in kept)
                return operation._replace(balance=left)
    raise AssertionError("every told balance is the sum of some writes")
