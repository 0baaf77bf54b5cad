"""Scenarios that are a little smaller or simpler than another one, and still make sense.

Decides what is smaller: fewer customers, events, faults, branches and accounts; shorter; plainer. Whatever
refers to what is no longer there goes too. Must not know which of them still fail (shrink.py).
Proof: tests/simulation/test_smaller.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from bankbook.core.commands import SESSION
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.faults import SIDES, Fault, FaultKind
from bankbook.scenario.model import (
    SETTLING,
    Customer,
    Event,
    Interface,
    Leg,
    Manner,
    Scenario,
)
from bankbook.scenario.parse_events import makes_reservation
from bankbook.scenario.requests import accounts_touched

# What a bank may as well begin with: nothing, or enough for most.
_PLAIN_BALANCES = (Money(0), Money(1 << 16))

# Shorter pauses tell nothing more.
_SHORTEST_MS = 10


class Spot(NamedTuple):
    """Where an event stands."""

    customer: CustomerId
    number: int


def spots_of(scenario: Scenario) -> list[Spot]:
    """Return where events stand."""
    return [Spot(each.id, event.number) for each in scenario.customers for event in each.events]


def size_of(scenario: Scenario) -> str:
    """Tell how large a scenario is."""
    counts = (
        (len(scenario.branches), "branches"),
        (len(scenario.customers), "customers"),
        (len(spots_of(scenario)), "events"),
        (len(scenario.faults), "faults"),
    )
    return ", ".join(f"{number} {name}" for number, name in counts)


def with_events(scenario: Scenario, spots: set[Spot]) -> Scenario:
    """Keep only these events, and what makes sense with them."""
    while True:
        left = {spot for spot in spots if _has_what_it_needs(scenario, spot, spots)}
        if left == spots:
            break
        spots = left
    places = {
        each.id: [event.number for event in each.events if Spot(each.id, event.number) in spots]
        for each in scenario.customers
    }
    customers = tuple(
        replace(each, events=tuple(_renumbered(each, places)))
        for each in scenario.customers
        if places[each.id]
    )
    customers = customers or (replace(scenario.customers[0], events=()),)
    return _tidied(replace(scenario, customers=customers))


def with_customers(scenario: Scenario, customers: list[CustomerId]) -> Scenario:
    """Keep only these customers."""
    return with_events(scenario, {spot for spot in spots_of(scenario) if spot.customer in customers})


def with_faults(scenario: Scenario, faults: list[Fault]) -> Scenario:
    """Keep only these faults."""
    return replace(scenario, faults=tuple(faults))


def _event_at(scenario: Scenario, spot: Spot) -> Event:
    customer = next(each for each in scenario.customers if each.id == spot.customer)
    return customer.events[spot.number - 1]


def _has_what_it_needs(scenario: Scenario, spot: Spot, spots: set[Spot]) -> bool:
    event = _event_at(scenario, spot)
    if event.interface is Interface.LEARN:
        return any(each.customer == event.customer for each in spots)
    if event.event is None:
        return True
    meant = Spot(event.customer or spot.customer, event.event)
    return meant in spots and (
        event.interface not in SETTLING or makes_reservation(_event_at(scenario, meant))
    )


def _renumbered(customer: Customer, places: dict[CustomerId, list[int]]) -> Iterator[Event]:
    for number, old in enumerate(places[customer.id], start=1):
        event = customer.events[old - 1]
        meant = event.event
        if meant is not None:
            meant = places[event.customer or customer.id].index(meant) + 1
        yield replace(event, number=number, event=meant)


def _tidied(scenario: Scenario) -> Scenario:
    """Remove faults of customers who are not there, and accounts that nobody touches."""
    names = {each.id for each in scenario.customers}
    faults = [each for each in scenario.faults if each.customer is None or each.customer in names]
    touched = _owners(scenario)
    accounts = [each for each in scenario.accounts if each.id in touched]
    return replace(scenario, faults=tuple(faults), accounts=tuple(accounts or scenario.accounts[:1]))


# Fewer branches.


def without_each_branch(scenario: Scenario) -> Iterator[Scenario]:
    """Yield the scenario without one of its branches; what was asked there is asked at another, or not."""
    for gone in reversed(scenario.branches):
        branches = tuple(branch for branch in scenario.branches if branch != gone)
        if not branches:
            return
        faults = tuple(
            fault for each in scenario.faults if (fault := _fault_without(each, gone, branches)) is not None
        )
        others = replace(scenario, branches=branches, faults=faults)
        yield _mapped(others, lambda event, gone=gone, to=branches: _moved(event, gone, to))  # type: ignore[misc]
        there = {
            Spot(each.id, event.number)
            for each in scenario.customers
            for event in each.events
            if event.branch == gone
        }
        fewer = with_events(others, set(spots_of(scenario)) - there)
        yield _mapped(fewer, lambda event, gone=gone, to=branches: _moved(event, gone, to))  # type: ignore[misc]


def _moved(event: Event, gone: BranchId, branches: tuple[BranchId, ...]) -> Event:
    manner = replace(
        event.manner,
        durable=min(event.manner.durable, len(branches) - 1),
        also_at=branches[0] if event.manner.also_at == gone else event.manner.also_at,
    )
    return replace(event, branch=branches[0] if event.branch == gone else event.branch, manner=manner)


def _fault_without(fault: Fault, gone: BranchId, branches: tuple[BranchId, ...]) -> Fault | None:
    if gone in fault.branches and fault.kind is FaultKind.BROKEN_STREAM:
        return None
    left = tuple(branch for branch in fault.branches if branch != gone)
    if fault.branches and not left:
        return None
    if fault.kind in SIDES and len(left) == len(branches):
        return None
    return replace(fault, branches=left)


def _mapped(scenario: Scenario, change: Callable[[Event], Event]) -> Scenario:
    customers = tuple(
        replace(each, events=tuple(change(event) for event in each.events)) for each in scenario.customers
    )
    return replace(scenario, customers=customers)


# A plainer bank.


def with_plainer_bank(scenario: Scenario) -> Iterator[Scenario]:
    """Yield the scenario with a bank that begins with something plainer, or with fewer accounts."""
    for balance in _PLAIN_BALANCES:
        if scenario.accounts or balance < scenario.opening_balance:
            yield replace(scenario, accounts=(), opening_balance=balance)
    owners = sorted(_owners(scenario))
    for gone in reversed(owners[1:]):
        yield _with_one_account_less(scenario, gone, owners[0])


def _owners(scenario: Scenario) -> set[CustomerId]:
    return {
        CustomerId(account)
        for customer in scenario.customers
        for event in customer.events
        for account in accounts_touched(event, customer.id)
    }


def _with_one_account_less(scenario: Scenario, gone: CustomerId, other: CustomerId) -> Scenario:
    """Let all that touched one account touch another one; what would pay to itself goes."""
    changed = _mapped(scenario, lambda event: _at_account(event, gone, other))
    sound = {
        Spot(each.id, event.number)
        for each in changed.customers
        for event in each.events
        if not any(one.to is not None and one.to == one.account for one in (event, *event.commands))
    }
    return with_events(changed, sound)


def _at_account(event: Event, gone: CustomerId, other: CustomerId) -> Event:
    def moved(name: CustomerId | None) -> CustomerId | None:
        return other if name == gone else name

    return replace(
        event,
        account=moved(event.account),
        to=moved(event.to),
        legs=tuple(Leg(other if leg.account == gone else leg.account, leg.money) for leg in event.legs),
        commands=tuple(_at_account(each, gone, other) for each in event.commands),
    )


# Plainer events.


def with_plainer_event(scenario: Scenario, spot: Spot) -> Iterator[Scenario]:
    """Yield the scenario with one event a little plainer."""
    for plainer in _plainer_events(_event_at(scenario, spot), scenario.branches):
        customers = tuple(
            replace(
                each,
                events=(*each.events[: spot.number - 1], plainer, *each.events[spot.number :]),
            )
            if each.id == spot.customer
            else each
            for each in scenario.customers
        )
        # What settled a reservation that is no longer made goes.
        yield with_events(replace(scenario, customers=customers), set(spots_of(scenario)))


def _plainer_events(event: Event, branches: tuple[BranchId, ...]) -> Iterator[Event]:
    yield from _plainer_commands(event)
    usual = replace(event, money=None, is_final=True) if event.interface in SETTLING else event
    usual = replace(usual, guarantees=Guarantee.ALL)
    if usual != event:
        yield usual
    yield from (replace(event, manner=manner) for manner in _plainer_manners(event))
    if event.branch is not None and event.branch in branches:
        yield from (replace(event, branch=each) for each in branches if each < event.branch)
    elif event.branch is None and event.interface not in (Interface.LEARN, Interface.BEGIN):
        yield from (replace(event, branch=each) for each in branches)


def _plainer_commands(event: Event) -> Iterator[Event]:
    if event.interface is Interface.BATCH:
        yield from _plainer_batches(event)
    if event.interface in (Interface.TRANSFER, Interface.RESERVE):
        yield replace(event, interface=Interface.WITHDRAW, to=None, lifetime_us=None)
    if event.interface is Interface.TRANSFER:
        yield replace(event, interface=Interface.DEPOSIT, to=None)
    if event.interface is Interface.RESERVE and event.to is not None:
        yield replace(event, to=None)
    if event.lifetime_us is not None:
        yield replace(event, lifetime_us=None)
    if event.lines_max is not None:
        yield replace(event, lines_max=None)
    if event.interface is Interface.SUBMIT:
        leg = event.legs[0]
        kind = Interface.WITHDRAW if leg.money < 0 else Interface.DEPOSIT
        yield replace(event, interface=kind, account=leg.account, money=Money(abs(leg.money)), legs=())
    if event.money and event.money > 1:
        yield replace(event, money=Money(1))
        yield replace(event, money=Money(event.money // 2))


def _plainer_batches(event: Event) -> Iterator[Event]:
    for command in event.commands:
        yield replace(command, number=event.number, branch=event.branch, manner=event.manner)
    for gone in event.commands if len(event.commands) > 1 else ():
        left = [each for each in event.commands if each is not gone]
        numbered = tuple(replace(each, number=place) for place, each in enumerate(left, start=1))
        yield replace(event, commands=numbered)
    if event.is_atomic:
        yield replace(event, is_atomic=False)


def _plainer_manners(event: Event) -> Iterator[Manner]:
    how = event.manner
    plain = Manner(pause_us=how.pause_us)
    if how != plain:
        yield plain
    if how.key is not None:
        yield replace(how, key=None, also_at=None)
    for name, value in (
        ("also_at", None),
        ("durable", 0),
        ("freshness", SESSION),
        ("timeout_us", None),
        ("patience_us", None),
    ):
        if getattr(how, name) != value:
            yield replace(how, **{name: value})  # type: ignore[arg-type]
    for pause_us in _shorter_us(how.pause_us):
        yield replace(how, pause_us=pause_us)


def _shorter_us(duration_us: int) -> Iterator[int]:
    """Yield shorter durations: none, and about half, in whole milliseconds, of not too many digits."""
    if duration_us:
        yield 0
    half_ms = duration_us // 2000
    if half_ms >= _SHORTEST_MS:
        digits = max(len(str(half_ms)) - 2, 0)
        yield 1000 * (half_ms // 10**digits * 10**digits)


# Plainer faults.


def with_plainer_fault(scenario: Scenario, place: int) -> Iterator[Scenario]:
    """Yield the scenario with one fault a little plainer."""
    faults = scenario.faults
    for plainer in _plainer_faults(faults[place]):
        yield replace(scenario, faults=(*faults[:place], plainer, *faults[place + 1 :]))


def _plainer_faults(fault: Fault) -> Iterator[Fault]:
    if fault.kind is FaultKind.CRASH_POINT:
        yield replace(fault, kind=FaultKind.CRASH, point=None)
    yield from (replace(fault, at_us=at_us) for at_us in _shorter_us(fault.at_us))
    if fault.for_us is not None:
        yield from (replace(fault, for_us=for_us) for for_us in _shorter_us(fault.for_us) if for_us)
    if fault.percent is not None and fault.percent < 100:  # noqa: PLR2004  (all of them)
        yield replace(fault, percent=100)
    if len(fault.branches) > 1 and fault.kind is not FaultKind.BROKEN_STREAM:
        yield from (replace(fault, branches=(branch,)) for branch in fault.branches)
