"""Whether an output can be right, judged from the input and the output alone.

Decides PASS, FAIL or UNKNOWN. Must not know anything of the run that made the output.
Proof: tests/scenario/test_checker.py, against a brute-force twin and a simulated bank.

FAIL is certain: no execution that keeps the four session guarantees and the floor gives this output.
PASS means that such an execution was found, and that the output proves something. Where one execution for
all customers is too hard to find, PASS says that every customer's results were explained by themselves:
of the four guarantees, writes follow reads was then not judged. UNKNOWN is the rest.

Each customer is one session, and nothing is known of the order between customers. A balance is judged
by the set of writes that it reveals, never by the balance before it. The ladder, first to last:

1. every event has its record and no other (in the customer's order; the order of customers is free);
2. no result is impossible by itself: a negative balance, a deposit refused for lack of funds, a success
   at a branch that does not exist;
3. no account ends below zero;
4. some execution explains all results together (search.py), or, if that is too hard to tell, the results
   of each customer (chain.py); if none does, witness.py says why;
5. at least one result would have been different at a branch that had none of what it must have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from bankbook.core.types import AccountId, CustomerId
from bankbook.scenario.history import (
    INSUFFICIENT_FUNDS,
    OUTCOME_UNKNOWN,
    Bound,
    Exchange,
    History,
    Read,
    Session,
    effects_of,
    histories,
    outcomes,
)
from bankbook.scenario.model import UNKNOWN_BRANCH, Event, Interface, Scenario
from bankbook.scenario.output import Record
from bankbook.scenario.search import SETS_PER_SEARCH_MAX, Search
from bankbook.scenario.witness import Questions, event_in_words, find_conflict, tell
from bankbook.server.config import AccountMode

# Customers who cannot have influenced each other are judged one after the other; these bounds are for all
# of them, a few seconds' worth. An output that has used them up is judged by what needs no search.
SETS_PER_VERDICT_MAX = 60_000
SHIFTS_PER_VERDICT_MAX = 10_000_000

TOO_HARD = "neither explained nor refuted, even by itself, within the bounds of the search"


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
    """A sentence or two, of bounded length."""
    witness: str | None = None
    """For FAIL: what cannot be, and why."""
    undecided: tuple[Undecided, ...] = ()
    """For UNKNOWN: the customers that were too hard. Empty if the output merely proves nothing."""
    alone: tuple[CustomerId, ...] = ()
    """For PASS: customers each explained by itself, since all of them together were too hard."""


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
    alone: list[CustomerId] = []
    sets_left, shifts_left = SETS_PER_VERDICT_MAX, SHIFTS_PER_VERDICT_MAX
    for history in groups:
        search = Search(history, history.reads(), min(sets_left, SETS_PER_SEARCH_MAX))
        together = search.run()
        sets_left -= min(sets_left, SETS_PER_SEARCH_MAX) - search.sets_left
        if together:
            continue
        questions = Questions(history, sets_left, shifts_left)
        answers = _each_by_itself(questions)
        sets_left, shifts_left = questions.sets_left, questions.shifts_left
        refuted = [session for session, answer in answers.items() if answer is False]
        if refuted or together is False:
            summary = "A result contradicts what its customer must be able to see."
            return Verdict(Kind.FAIL, summary, tell(history, find_conflict(history, refuted)))
        for session, answer in answers.items():
            customer = history.reads(session)[0].customer
            if answer:
                alone.append(customer)
            else:
                undecided.append(Undecided(customer, TOO_HARD))
    if undecided:
        customers = "1 customer" if len(undecided) == 1 else f"{len(undecided)} customers"
        return Verdict(Kind.UNKNOWN, f"Too hard to decide for {customers}.", undecided=tuple(undecided))
    proofs = sum(_proves_something(history, read) for history in groups for read in history.reads())
    if not proofs:
        return Verdict(Kind.UNKNOWN, "No result depends on an earlier write, so the output proves nothing.")
    return Verdict(Kind.PASS, _explained(proofs, len(alone)), alone=tuple(alone))


def _each_by_itself(questions: Questions) -> dict[int, bool | None]:
    """Say of every session that read something whether it can be right, whatever the others read."""
    sessions = dict.fromkeys(read.session for read in questions.history.reads())
    return {session: questions.ask_of_session(questions.history.reads(session)) for session in sessions}


def _explained(proofs: int, alone: int) -> str:
    explained = f"Every result is explained; {proofs} of them depend on earlier writes."
    if not alone:
        return explained
    return (
        f"{explained} Those of {alone} customers are explained for each customer alone: "
        "whether one order explains them all together was too hard to decide."
    )


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
