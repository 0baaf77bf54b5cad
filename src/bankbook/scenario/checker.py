"""Whether an output can be right, judged from the input and the output alone.

Decides PASS, FAIL or UNKNOWN. Must not know anything of the run that made the output.
Proof: tests/scenario/test_checker.py, against a brute-force twin and a simulated bank.

FAIL is certain: no execution that keeps the four session guarantees and the floor gives this output.
PASS means that such an execution was found, and that the output proves something. UNKNOWN is the rest.

Each customer is one session, and nothing is known of the order between customers. A balance is judged
by the set of writes that it reveals, never by the balance before it. The ladder, first to last:

1. every event has its record and no other (in the customer's order; the order of customers is free);
2. no result is impossible by itself: a negative balance, a deposit refused for lack of funds, a success
   at a branch that does not exist;
3. no account ends below zero;
4. some execution explains all results together (search.py); if none does, witness.py says why;
5. at least one result would have been different at a branch that had none of what it must have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from bankbook.core.types import AccountId, CustomerId
from bankbook.scenario.history import (
    INSUFFICIENT_FUNDS,
    OUTCOME_UNKNOWN,
    UNKNOWN_BRANCH,
    Bound,
    Exchange,
    History,
    Read,
    Session,
    effects_of,
    histories,
    outcomes,
)
from bankbook.scenario.model import Event, Interface, Scenario
from bankbook.scenario.output import Record
from bankbook.scenario.search import SETS_PER_SEARCH_MAX, Search
from bankbook.scenario.witness import event_in_words, find_conflict, tell
from bankbook.server.config import AccountMode


class Kind(StrEnum):
    """The three verdicts."""

    PASS = "PASS"  # noqa: S105 (no password)
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Undecided:
    """A customer whose results were neither explained nor refuted."""

    customer: CustomerId
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of an output."""

    kind: Kind
    summary: str
    """One sentence."""
    witness: str | None = None
    """For FAIL: what cannot be, and why."""
    undecided: tuple[Undecided, ...] = ()
    """For UNKNOWN: the customers that were too hard. Empty if the output merely proves nothing."""


def judge(scenario: Scenario, records: Sequence[Record], mode: AccountMode) -> Verdict:
    """Say whether `records` can be what `scenario` gave."""
    witness = _difference(scenario, records)
    if witness:
        return Verdict(Kind.FAIL, "The output does not have the input's events.", witness)
    sessions = _sessions(scenario, records)
    witness = _impossible_result(scenario, sessions)
    if witness:
        return Verdict(Kind.FAIL, "A result is impossible.", witness)
    witness = _overdrawn_account(scenario, sessions, mode)
    if witness:
        return Verdict(Kind.FAIL, "An account is overdrawn.", witness)
    return _judge_reads(histories(scenario, sessions, mode))


def _judge_reads(groups: Sequence[History]) -> Verdict:
    undecided: list[Undecided] = []
    for history in groups:
        reads = history.reads()
        if Search(history, reads).run():
            continue
        conflict = find_conflict(history)
        if conflict:
            summary = "A result contradicts what its customer must be able to see."
            return Verdict(Kind.FAIL, summary, tell(history, conflict))
        undecided.extend(_undecided(reads))
    if undecided:
        names = ", ".join(each.customer for each in undecided)
        return Verdict(Kind.UNKNOWN, f"Too hard to decide for customer {names}.", None, tuple(undecided))
    proofs = sum(_proves_something(history, read) for history in groups for read in history.reads())
    if not proofs:
        return Verdict(Kind.UNKNOWN, "No result depends on an earlier write, so the output proves nothing.")
    return Verdict(Kind.PASS, f"Every result is explained; {proofs} of them depend on earlier writes.")


def _undecided(reads: Sequence[Read]) -> Iterator[Undecided]:
    reason = f"no explanation and no contradiction found in a search of {SETS_PER_SEARCH_MAX} steps"
    for customer in dict.fromkeys(read.customer for read in reads):
        yield Undecided(customer, reason)


def _proves_something(history: History, read: Read) -> bool:
    """Whether a branch that had seen no write at all could have answered otherwise."""
    if read.distance(history.opening):
        return True
    return read.bound is Bound.EXACTLY and bool(history.own_writes_before(read))


def _difference(scenario: Scenario, records: Sequence[Record]) -> str | None:
    """Find the first place where the output does not have the input's events."""
    by_customer: dict[CustomerId, list[Record]] = {customer.id: [] for customer in scenario.customers}
    for record in records:
        if record.customer not in by_customer:
            return f"{record.place}: the input has no customer {record.customer}"
        by_customer[record.customer].append(record)
    for customer in scenario.customers:
        for event, record in zip_longest(customer.events, by_customer[customer.id]):
            difference = _event_difference(customer.id, event, record)
            if difference:
                return difference
    return None


def _event_difference(customer: CustomerId, event: Event | None, record: Record | None) -> str | None:
    if event is None:
        assert record is not None
        return f"{record.place}: an extra record; customer {customer} has no event left for it"
    name = event_in_words(customer, event)
    if record is None:
        return f"{name} has no record"
    if (record.interface, record.branch) != (event.interface, event.branch):
        return f"{record.place} is a {record.interface} at branch {record.branch}, in the place of {name}"
    return None


def _sessions(scenario: Scenario, records: Sequence[Record]) -> list[Session]:
    by_customer: dict[CustomerId, list[Record]] = {customer.id: [] for customer in scenario.customers}
    for record in records:
        by_customer[record.customer].append(record)
    return [
        Session(customer.id, tuple(map(Exchange, customer.events, by_customer[customer.id])))
        for customer in scenario.customers
    ]


def _impossible_result(scenario: Scenario, sessions: Sequence[Session]) -> str | None:
    """Find the first result that no bank at all could give."""
    for session in sessions:
        for exchange in session.exchanges:
            problem = _impossibility(scenario, exchange)
            if problem:
                return f"{event_in_words(session.customer, exchange.event)} {problem}"
    return None


def _impossibility(scenario: Scenario, exchange: Exchange) -> str | None:
    event, record = exchange.event, exchange.record
    if event.branch not in scenario.branches:
        return None if record.reason else "succeeded, but there is no such branch"
    if record.reason == UNKNOWN_BRANCH:
        return f"failed with {UNKNOWN_BRANCH}, but there is such a branch"
    if record.reason == INSUFFICIENT_FUNDS and event.interface in {Interface.QUERY, Interface.DEPOSIT}:
        return f"failed with {INSUFFICIENT_FUNDS}, but it takes no money out"
    if record.balance is not None and record.balance < 0:
        return f"read {record.balance}, but no account goes below 0"
    return None


def _overdrawn_account(scenario: Scenario, sessions: Sequence[Session], mode: AccountMode) -> str | None:
    """Find an account from which more was taken than can ever have been there."""
    most: dict[AccountId, int] = {}
    for session in sessions:
        for event, reason, _ in outcomes(session, scenario):
            for account, amount in effects_of(event, session.customer, mode):
                if reason is None or (reason == OUTCOME_UNKNOWN and amount > 0):
                    most[account] = most.get(account, scenario.opening_balance) + amount
    for account, balance in most.items():
        if balance < 0:
            return f"all that succeeded leaves account {account} at {balance}, but no account goes below 0"
    return None
