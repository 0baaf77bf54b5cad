"""From one object of a customer's `events` to an event, or to one clear error.

Decides what a well-formed event is. What refers to something else in the file, such as an earlier event, is
looked at again once all has been read. Must not know how events are carried out.
Proof: tests/scenario/test_parse.py, tests/scenario/test_parse_events.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from bankbook.core.bounds import (
    BOUND_US_MAX,
    LIFETIME_MS_MAX,
    complaint_about,
    complaint_about_key,
)
from bankbook.core.commands import LINES_MAX, SESSION, Freshness, Level
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BRANCHES_MAX, MONEY_MAX, BranchId, CustomerId, Key, Money, ReservationId
from bankbook.scenario.durations import parse_duration_us
from bankbook.scenario.json_text import Fields, Node
from bankbook.scenario.model import (
    ANYWHERE,
    BY_THEMSELVES,
    GUARANTEES,
    SETTLING,
    SINGLE_WRITES,
    WRITES,
    Event,
    Interface,
    Leg,
    Manner,
)
from bankbook.scenario.requests import accounts_touched, command_of

MONEY = f"an integer from 0 to {MONEY_MAX}"

_LEG_MONEY = f"an integer from -{MONEY_MAX} to {MONEY_MAX}"
_DURATION = 'a duration such as "2s" or "500ms"'
_LINES = f"how many lines are read at once, from 1 to {LINES_MAX}"
_NUMBER = "the number of an event: 1 is the customer's first one"

# The fields of every request, and what each interface has besides.
_PLACE = ("id", "interface", "branch", "dest", "pause")
_MANNER = ("freshness", "bound", "timeout", "patience")
_WRITING = ("key", "durable", "also_at")
_OWN: dict[Interface, tuple[str, ...]] = {
    # `money` of a query is ignored: files of the original system have it.
    Interface.QUERY: ("money", "account"),
    Interface.DEPOSIT: ("money", "account"),
    Interface.WITHDRAW: ("money", "account"),
    Interface.TRANSFER: ("money", "account", "to"),
    Interface.SUBMIT: ("postings",),
    Interface.RESERVE: ("money", "account", "to", "lifetime"),
    Interface.CAPTURE: ("event", "customer", "money", "final"),
    Interface.RELEASE: ("event", "customer", "money"),
    Interface.BATCH: ("commands", "atomic"),
    Interface.STATEMENT: ("account", "lines", "event", "customer", "within"),
    Interface.AGAIN: ("event",),
    Interface.LEARN: ("customer",),
    Interface.BEGIN: ("guarantees",),
}
_WITH_RECEIVER = (Interface.TRANSFER, Interface.RESERVE)


@dataclass(slots=True)
class Whole:
    """All there is in a file, for what refers to something else in it."""

    branches: tuple[BranchId, ...] = ()
    events: dict[CustomerId, list[Event]] = field(default_factory=dict)
    accounts: set[CustomerId] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    """Where each key stands first."""


Check = Callable[[Whole], None]


def read_event(node: Node, customer: CustomerId, number: int, checks: list[Check]) -> Event:
    """Read an event; what is to be looked at once the whole file is known is added to `checks`."""
    fields = node.fields("an object that describes an event")
    interface = Interface(fields.need("interface").one_of(Interface))
    _refuse_receiver(fields, interface)
    is_request = interface not in BY_THEMSELVES
    asking = (*_MANNER, *(_WRITING if interface in WRITES else ())) if is_request else ()
    place = _PLACE if is_request else ("id", "interface", "pause")
    fields.allow(*dict.fromkeys((*place[:2], *_OWN[interface], *place[2:], *asking)))
    event = _read(
        fields,
        interface,
        customer,
        number,
        _event_branch(fields, customer) if is_request else None,
        _manner(fields, checks),
    )
    checks.append(lambda whole: _check(node, fields, customer, event, whole))
    return event


def _read(
    fields: Fields,
    interface: Interface,
    customer: CustomerId,
    number: int,
    branch: BranchId | None,
    manner: Manner,
) -> Event:
    event = fields.get("event")
    if interface in SETTLING or interface is Interface.AGAIN:
        event = fields.need("event")
    made = Event(
        interface=interface,
        branch=branch,
        money=_event_money(fields, interface),
        to=_receiver(fields, interface, customer),
        number=number,
        account=_customer(fields, "account"),
        legs=_legs(fields) if interface is Interface.SUBMIT else (),
        commands=_commands(fields, customer) if interface is Interface.BATCH else (),
        is_atomic=(atomic := fields.get("atomic")) is not None and atomic.boolean(),
        is_final=(final := fields.get("final")) is None or final.boolean(),
        guarantees=_guarantees(fields),
        lifetime_us=_lifetime_us(fields),
        event=None if event is None else event.integer(_NUMBER, 1),
        customer=_customer(fields, "customer"),
        lines_max=None if (lines := fields.get("lines")) is None else lines.integer(_LINES, 1, LINES_MAX),
        is_within=(within := fields.get("within")) is not None and within.boolean(),
        manner=manner,
    )
    if interface is Interface.STATEMENT:
        _demand_one_account(fields)
    if interface is Interface.LEARN:
        fields.need("customer")
    _demand_carried_out(fields.node, made, customer)
    return made


def money_of(node: Node) -> Money:
    """Read an amount."""
    return Money(node.integer(MONEY, 0, MONEY_MAX))


def duration_us(node: Node) -> int:
    """Read a duration."""
    text = node.text(_DURATION)
    try:
        return parse_duration_us(text)
    except ValueError as error:
        node.fail(f"`{node.label}`: {error}.")


def _demand_carried_out(node: Node, event: Event, customer: CustomerId) -> None:
    """Refuse what every branch would refuse as malformed."""
    if event.interface not in SINGLE_WRITES | {Interface.BATCH}:
        return
    complaint = complaint_about(command_of(event, customer, ReservationId("")))
    if complaint is not None:
        node.fail(f"{complaint}.")


def _demand_one_account(fields: Fields) -> None:
    event, account = fields.get("event"), fields.get("account")
    if event is not None and account is not None:
        account.fail("a statement that goes back to another one is of the same account. Remove `account`.")
    for name in ("customer", "within"):
        node = fields.get(name)
        if node is not None and event is None:
            node.fail(f"`{name}` says something of the `event` that this goes back to. Name that, too.")


def _event_money(fields: Fields, interface: Interface) -> Money | None:
    if interface is Interface.QUERY or "money" not in _OWN[interface]:
        return None
    if interface in SETTLING and fields.get("money") is None:
        return None
    return money_of(fields.need("money"))


def _guarantees(fields: Fields) -> Guarantee:
    node = fields.get("guarantees")
    if node is None:
        return Guarantee.ALL
    asked = Guarantee.NONE
    for each in node.items("guarantee", "an array of guarantees"):
        asked |= GUARANTEES[each.one_of(list(GUARANTEES))]
    return asked


def _event_branch(fields: Fields, customer: CustomerId) -> BranchId | None:
    named = [node for name in ("branch", "dest") if (node := fields.get(name)) is not None]
    if len(named) > 1:
        fields.node.fail("`branch` and `dest` mean the same. Keep one of the two.")
    if named:
        is_any = named[0].value == ANYWHERE
        return None if is_any else BranchId(named[0].integer("the number of a branch"))
    if not customer.isdecimal():
        fields.node.fail(
            f"`branch` is missing, and the customer's id, {customer}, is not a number that could stand for "
            "it. Add a `branch`."
        )
    return BranchId(int(customer))


def _refuse_receiver(fields: Fields, interface: Interface) -> None:
    node = fields.get("to")
    if node is not None and interface not in _WITH_RECEIVER:
        node.fail(f"only a transfer and a reservation have `to`; this is a {interface}. Remove it.")


def _receiver(fields: Fields, interface: Interface, customer: CustomerId) -> CustomerId | None:
    _refuse_receiver(fields, interface)
    if interface is Interface.TRANSFER:
        fields.need("to")
    receiver = _customer(fields, "to")
    giver = _customer(fields, "account") or customer
    if receiver == giver:
        fields.need("to").fail(
            f"customer {giver} cannot transfer to the same account. Name another customer."
        )
    return receiver


def _customer(fields: Fields, name: str) -> CustomerId | None:
    node = fields.get(name)
    return None if node is None else node.customer_id()[0]


def _legs(fields: Fields) -> tuple[Leg, ...]:
    node = fields.need("postings")
    legs = []
    for each in node.items("posting", 'an array of postings such as {"account": 1, "money": -5}'):
        leg = each.fields("a posting")
        leg.allow("account", "money")
        account, _ = leg.need("account").customer_id()
        legs.append(
            Leg(account, Money(leg.need("money").integer(_LEG_MONEY, -MONEY_MAX, MONEY_MAX))),
        )
    surplus = sum(leg.money for leg in legs)
    if surplus:
        node.fail(f"the postings sum to {surplus}; they must sum to 0: what some give, others receive.")
    return tuple(legs)


def _commands(fields: Fields, customer: CustomerId) -> tuple[Event, ...]:
    return tuple(
        _command(node, customer, number)
        for number, node in enumerate(
            fields.need("commands").items("command", "an array of what the batch consists of"), start=1
        )
    )


def _command(node: Node, customer: CustomerId, number: int) -> Event:
    fields = node.fields("an object that describes a command of a batch")
    known = sorted(SINGLE_WRITES, key=list(Interface).index)
    interface = Interface(fields.need("interface").one_of(known))
    _refuse_receiver(fields, interface)
    fields.allow("interface", *_OWN[interface])
    return _read(fields, interface, customer, number, None, Manner())


def _lifetime_us(fields: Fields) -> int | None:
    node = fields.get("lifetime")
    if node is None:
        return None
    lifetime_us = duration_us(node)
    if lifetime_us > LIFETIME_MS_MAX * 1000 or lifetime_us % 1000:
        node.fail("a lifetime is counted in milliseconds. Write one like 700ms or 5s.")
    return lifetime_us


# How it is asked.


def _manner(fields: Fields, checks: list[Check]) -> Manner:
    key, durable, also_at = fields.get("key"), fields.get("durable"), fields.get("also_at")
    if also_at is not None and key is None:
        also_at.fail("what is asked at two branches at once needs a `key`, or it may happen twice. Add one.")
    return Manner(
        pause_us=_optional_us(fields, "pause") or 0,
        freshness=_freshness(fields),
        key=None if key is None else _key(key, checks),
        durable=0 if durable is None else _durable(durable, checks),
        timeout_us=_optional_us(fields, "timeout"),
        patience_us=_optional_us(fields, "patience"),
        also_at=None if also_at is None else branch_of(also_at, checks),
    )


def branch_of(node: Node, checks: list[Check]) -> BranchId:
    """Read the number of a branch that must be there."""
    branch = BranchId(node.integer("the number of a branch", 1, BRANCHES_MAX))

    def check(whole: Whole) -> None:
        if branch not in whole.branches:
            names = ", ".join(map(str, whole.branches))
            node.fail(f"`{node.label}`: there is no branch {branch}; there are {names}.")

    checks.append(check)
    return branch


def _optional_us(fields: Fields, name: str) -> int | None:
    node = fields.get(name)
    return None if node is None else duration_us(node)


def _freshness(fields: Fields) -> Freshness:
    node, bound = fields.get("freshness"), fields.get("bound")
    level = SESSION.level if node is None else Level(node.one_of([level.value for level in Level]))
    if level is not Level.BOUNDED:
        if bound is not None:
            bound.fail('`bound` belongs only to `"freshness": "BOUNDED"`.')
        return Freshness(level)
    bound_us = duration_us(fields.need("bound"))
    if bound_us > BOUND_US_MAX:
        fields.need("bound").fail(f"a bound of freshness is at most {BOUND_US_MAX // 1_000_000} seconds.")
    return Freshness(level, bound_us)


def _key(node: Node, checks: list[Check]) -> str:
    key = node.text("a text, the name of this request")
    complaint = complaint_about_key(Key(key))
    if complaint is not None:
        node.fail(f"{complaint}.")

    def check(whole: Whole) -> None:
        first = whole.keys.setdefault(key, node.place)
        if first != node.place:
            node.fail(
                f"the key {key} stands at {first}, too, and a key belongs to one request. Name another, or "
                'ask for the same again: {"interface": "again", "event": ...}.'
            )

    checks.append(check)
    return key


def _durable(node: Node, checks: list[Check]) -> int:
    durable = node.integer("how many other branches' disks it has to be on", 0, BRANCHES_MAX - 1)

    def check(whole: Whole) -> None:
        others = len(whole.branches) - 1
        if durable > others:
            node.fail(f"`durable` asks for {durable} other branches, and there are {others}.")

    checks.append(check)
    return durable


# What refers to something else.


def _check(node: Node, fields: Fields, customer: CustomerId, event: Event, whole: Whole) -> None:
    if event.interface is Interface.LEARN and event.customer not in whole.events:
        fields.need("customer").fail(f"there is no customer {event.customer} to learn from.")
    if event.event is not None:
        _check_reference(fields, customer, event, whole)
    if whole.accounts:
        for account in accounts_touched(event, customer):
            if CustomerId(account) not in whole.accounts:
                node.fail(
                    f"there is no account {account}. Add it, "
                    f'{{"id": "{account}", "type": "account"}}, or remove all accounts from the file: then '
                    "every possible one is there."
                )


def _check_reference(fields: Fields, customer: CustomerId, event: Event, whole: Whole) -> None:
    assert event.event is not None, "the caller looked"
    node, whose = fields.need("event"), event.customer or customer
    if whose not in whole.events:
        fields.need("customer").fail(f"there is no customer {whose}.")
    events = whole.events[whose]
    last = event.number - 1 if whose == customer else len(events)
    if event.event > last:
        node.fail(f"`event` must be that of an earlier event of customer {whose}, not {event.event}.")
    meant = events[event.event - 1]
    name = f"event {event.event} of customer {whose} is a {meant.interface}"
    if event.interface is Interface.AGAIN and meant.interface not in WRITES:
        node.fail(f"{name}; only what moves money or sets it aside can be asked again.")
    if event.interface is Interface.STATEMENT and meant.interface is not Interface.STATEMENT:
        node.fail(f"{name}, which reads no statement. Name one that does.")
    if event.interface in SETTLING and not makes_reservation(meant):
        node.fail(f"{name}, which makes no reservation. Name one that does.")


def makes_reservation(event: Event) -> bool:
    """Whether an event sets money aside."""
    return any(each.interface is Interface.RESERVE for each in (event, *event.commands))
