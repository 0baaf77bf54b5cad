"""From the text of a scenario to the scenario, or to one clear error.

Decides what a well-formed scenario is, in every spelling that is known of the original format. Must not
know how it is executed: a branch that does not exist is somebody else's business.
Proof: tests/scenario/test_parse.py; of events and faults, see parse_events.py and parse_faults.py.
"""

from dataclasses import dataclass, field
from pathlib import Path

from bankbook.core.types import BRANCHES_MAX, MONEY_MAX, BranchId, CustomerId, Money
from bankbook.scenario.faults import Fault
from bankbook.scenario.json_text import BadFileError, Document, Fields, Node, parse_json, read_json
from bankbook.scenario.model import Account, Customer, Event, Scenario
from bankbook.scenario.parse_events import MONEY, Check, Whole, money_of, read_event
from bankbook.scenario.parse_faults import read_fault

_CUSTOMER_TYPES = ("customer", "client")
_BRANCH_TYPES = ("branch", "bank")
_OTHER_TYPES = ("account", "faults")

_FLOOR = f"0, or a credit line down to {-MONEY_MAX}, or null for no floor at all"
_BRANCH_NUMBER = f"the number of a branch, from 1 to {BRANCHES_MAX}"

# More balances than this are counted, not listed: the message is to be read.
_BALANCES_SHOWN_MAX = 10


class ScenarioError(BadFileError):
    """The scenario cannot be used."""


def parse_scenario(text: str, *, source: str, opening_balance: Money | None = None) -> Scenario:
    """Read a scenario from its text; `source` is what messages call it.

    `opening_balance` overrides the branches' own balances. Raises ScenarioError.
    """
    return _scenario(parse_json(text, Document(source, ScenarioError)), opening_balance)


def read_scenario(path: Path, *, opening_balance: Money | None = None) -> Scenario:
    """Read a scenario from a file. Raises ScenarioError."""
    return _scenario(read_json(path, ScenarioError), opening_balance)


@dataclass(slots=True)
class _Session:
    """A customer whose events are still being collected."""

    output_id: int | str
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    """What has been read so far."""

    balances: dict[BranchId, Money | None] = field(default_factory=dict)
    sessions: dict[CustomerId, _Session] = field(default_factory=dict)
    accounts: dict[CustomerId, Account] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    """What can be told only once everything has been read."""


def _scenario(root: Node, opening_balance: Money | None) -> Scenario:
    if opening_balance is not None and not 0 <= opening_balance <= MONEY_MAX:
        raise ScenarioError(f"--opening-balance must be {MONEY}, not {opening_balance}.")
    draft = _Draft()
    for record in root.items("record", "an array of customers and branches"):
        _read_record(record, draft)
    if not draft.balances:
        root.fail('there is no branch. Add one: {"id": 1, "type": "branch", "balance": 0}.')
    if not draft.sessions:
        root.fail('there is no customer. Add one: {"id": 1, "type": "customer", "events": []}.')
    branches = tuple(sorted(draft.balances))
    settled_balance = _settled_balance(root, draft, opening_balance)
    whole = Whole(
        branches, {each: session.events for each, session in draft.sessions.items()}, set(draft.accounts)
    )
    for check in draft.checks:
        check(whole)
    return Scenario(
        branches=branches,
        opening_balance=settled_balance,
        customers=tuple(
            Customer(customer, session.output_id, tuple(session.events))
            for customer, session in draft.sessions.items()
        ),
        accounts=tuple(draft.accounts.values()),
        faults=tuple(draft.faults),
    )


def _settled_balance(root: Node, draft: _Draft, opening_balance: Money | None) -> Money:
    if draft.accounts:
        given = opening_balance is not None or any(each is not None for each in draft.balances.values())
        if given:
            root.fail(
                "an account of the file begins with nothing, and there are no others. Remove every `balance` "
                "(and --opening-balance), or every account."
            )
        return Money(0)
    return _opening_balance(root, draft.balances) if opening_balance is None else opening_balance


def _read_record(record: Node, draft: _Draft) -> None:
    fields = record.fields("an object that describes a customer or a branch")
    kind = fields.need("type").one_of((*_CUSTOMER_TYPES, *_BRANCH_TYPES, *_OTHER_TYPES))
    if kind in _BRANCH_TYPES:
        _read_branch(fields, draft)
    elif kind in _CUSTOMER_TYPES:
        _read_customer(fields, draft)
    elif kind == "account":
        _read_account(fields, draft)
    else:
        fields.allow("type", "faults")
        for node in fields.need("faults").items("fault", "an array of faults"):
            draft.faults.append(read_fault(node, draft.checks))


def _read_branch(fields: Fields, draft: _Draft) -> None:
    fields.allow("id", "type", "balance")
    node = fields.need("id")
    branch = BranchId(node.integer(_BRANCH_NUMBER, 1, BRANCHES_MAX))
    if branch in draft.balances:
        node.fail(f"branch {branch} stands in the file twice. Remove one of the two.")
    balance = fields.get("balance")
    draft.balances[branch] = None if balance is None else money_of(balance)


def _opening_balance(root: Node, balances: dict[BranchId, Money | None]) -> Money:
    values = {balance for balance in balances.values() if balance is not None}
    settle = "or settle it with --opening-balance N"
    missing = [branch for branch, balance in balances.items() if balance is None]
    if missing:
        root.fail(f"branch {missing[0]} has no `balance`. Give it one, {settle}.")
    if len(values) > 1:
        root.fail(
            f"the branches open with different balances ({_listed(balances)}), but they are copies of the "
            f"same accounts. Make the balances equal, {settle}."
        )
    return values.pop()


def _listed(balances: dict[BranchId, Money | None]) -> str:
    pairs = [f"{branch} → {balance}" for branch, balance in sorted(balances.items())]
    left_out = len(pairs) - _BALANCES_SHOWN_MAX
    more = [f"and {left_out} more"] if left_out > 0 else []
    return "branch → balance: " + ", ".join(pairs[:_BALANCES_SHOWN_MAX] + more)


def _read_customer(fields: Fields, draft: _Draft) -> None:
    fields.allow("id", "type", "events")
    customer, output_id = fields.need("id").customer_id()
    session = draft.sessions.setdefault(customer, _Session(output_id))
    for node in fields.need("events").items("event", "an array of events"):
        session.events.append(read_event(node, customer, len(session.events) + 1, draft.checks))


def _read_account(fields: Fields, draft: _Draft) -> None:
    fields.allow("id", "type", "floor")
    account, _ = fields.need("id").customer_id()
    if account in draft.accounts:
        fields.need("id").fail(f"account {account} stands in the file twice. Remove one of the two.")
    node, floor = fields.get("floor"), Money(0)
    if node is not None and node.value is not None:
        floor = Money(node.integer(_FLOOR, -MONEY_MAX, 0))
    has_none = node is not None and node.value is None
    draft.accounts[account] = Account(account, None if has_none else floor)
