"""From the text of a scenario to the scenario, or to one clear error.

Decides what a well-formed scenario is, in every spelling that is known of the original format. Must not
know how it is executed: a branch that does not exist is somebody else's business.
Proof: tests/scenario/test_parse.py.
"""

from dataclasses import dataclass, field
from pathlib import Path

from bankbook.core.types import BRANCHES_MAX, MONEY_MAX, BranchId, CustomerId, Money
from bankbook.scenario.json_text import BadFileError, Document, Fields, Node, parse_json, read_json
from bankbook.scenario.model import Customer, Event, Interface, Scenario

_CUSTOMER_TYPES = ("customer", "client")
_BRANCH_TYPES = ("branch", "bank")

_MONEY = f"an integer from 0 to {MONEY_MAX}"
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


def _scenario(root: Node, opening_balance: Money | None) -> Scenario:
    if opening_balance is not None and not 0 <= opening_balance <= MONEY_MAX:
        raise ScenarioError(f"--opening-balance must be {_MONEY}, not {opening_balance}.")
    draft = _Draft()
    for record in root.items("record", "an array of customers and branches"):
        _read_record(record, draft)
    if not draft.balances:
        root.fail('there is no branch. Add one: {"id": 1, "type": "branch", "balance": 0}.')
    if not draft.sessions:
        root.fail('there is no customer. Add one: {"id": 1, "type": "customer", "events": []}.')
    return Scenario(
        branches=tuple(sorted(draft.balances)),
        opening_balance=_opening_balance(root, draft.balances)
        if opening_balance is None
        else opening_balance,
        customers=tuple(
            Customer(customer, session.output_id, tuple(session.events))
            for customer, session in draft.sessions.items()
        ),
    )


def _read_record(record: Node, draft: _Draft) -> None:
    fields = record.fields("an object that describes a customer or a branch")
    kind = fields.need("type").one_of((*_CUSTOMER_TYPES, *_BRANCH_TYPES))
    if kind in _BRANCH_TYPES:
        _read_branch(fields, draft)
    else:
        _read_customer(fields, draft)


def _read_branch(fields: Fields, draft: _Draft) -> None:
    fields.allow("id", "type", "balance")
    node = fields.need("id")
    branch = BranchId(node.integer(_BRANCH_NUMBER, 1, BRANCHES_MAX))
    if branch in draft.balances:
        node.fail(f"branch {branch} stands in the file twice. Remove one of the two.")
    balance = fields.get("balance")
    draft.balances[branch] = None if balance is None else _money(balance)


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
        session.events.append(_event(node, customer, len(session.events) + 1))


def _event(node: Node, customer: CustomerId, number: int) -> Event:
    fields = node.fields("an object that describes an event")
    fields.allow("id", "interface", "money", "branch", "dest", "to")
    interface = Interface(fields.need("interface").one_of(Interface))
    return Event(
        interface=interface,
        branch=_event_branch(fields, customer),
        money=None if interface is Interface.QUERY else _money(fields.need("money")),
        to=_receiver(fields, interface, customer),
        number=number,
    )


def _money(node: Node) -> Money:
    return Money(node.integer(_MONEY, 0, MONEY_MAX))


def _event_branch(fields: Fields, customer: CustomerId) -> BranchId:
    named = [node for name in ("branch", "dest") if (node := fields.get(name)) is not None]
    if len(named) > 1:
        fields.node.fail("`branch` and `dest` mean the same. Keep one of the two.")
    if named:
        return BranchId(named[0].integer("the number of a branch"))
    if not customer.isdecimal():
        fields.node.fail(
            f"`branch` is missing, and the customer's id, {customer}, is not a number that could stand for "
            "it. Add a `branch`."
        )
    return BranchId(int(customer))


def _receiver(fields: Fields, interface: Interface, customer: CustomerId) -> CustomerId | None:
    node = fields.get("to")
    if interface is not Interface.TRANSFER:
        if node is not None:
            node.fail(f"only a transfer has `to`; this is a {interface}. Remove it.")
        return None
    receiver, _ = fields.need("to").customer_id()
    if receiver == customer:
        fields.need("to").fail(
            f"customer {customer} cannot transfer to the same account. Name another customer."
        )
    return receiver
