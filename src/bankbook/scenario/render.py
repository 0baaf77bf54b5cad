"""From a scenario back to the text of a file that means the same.

Decides how a scenario is laid out: one line for each event, and nothing that is as it would be without.
Must not know how a file is read; what is written here and read by parse.py is the same scenario again.
Proof: tests/scenario/test_render.py.
"""

import json
from collections.abc import Iterable, Iterator

from bankbook.core.commands import SESSION, Level
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import CustomerId
from bankbook.scenario.durations import duration_in_words
from bankbook.scenario.faults import Fault, FaultKind
from bankbook.scenario.model import (
    ANYWHERE,
    BY_THEMSELVES,
    GUARANTEES,
    Account,
    Customer,
    Event,
    Interface,
    Manner,
    Scenario,
)

Members = dict[str, object]


def render_scenario(scenario: Scenario) -> str:
    """Return the text of a file with this scenario in it."""
    return "[\n" + ",\n".join(_records(scenario)) + "\n]\n"


def _records(scenario: Scenario) -> Iterator[str]:
    for branch in scenario.branches:
        balance = {} if scenario.accounts else {"balance": scenario.opening_balance}
        yield "  " + _line({"id": branch, "type": "branch", **balance})
    for account in scenario.accounts:
        yield "  " + _line(_account(account))
    for customer in scenario.customers:
        yield _listing({"id": customer.output_id, "type": "customer"}, "events", _events(customer))
    if scenario.faults:
        yield _listing({"type": "faults"}, "faults", map(_fault, scenario.faults))


def _listing(members: Members, name: str, lines: Iterable[Members]) -> str:
    """Return a record with a list in it, one line for each of its elements."""
    inner = ",\n".join("    " + _line(each) for each in lines)
    head = "  " + _line({**members, name: []})[:-2]
    return f"{head}\n{inner}\n  ]}}" if inner else f"{head}]}}"


def _line(members: Members) -> str:
    return json.dumps(members, ensure_ascii=False)


def _account(account: Account) -> Members:
    return {"id": account.id, "type": "account", **({} if account.floor == 0 else {"floor": account.floor})}


def _events(customer: Customer) -> Iterator[Members]:
    return (_event(event) for event in customer.events)


def _event(event: Event) -> Members:
    place: Members = {}
    if event.interface not in BY_THEMSELVES:
        place = {"branch": ANYWHERE if event.branch is None else event.branch}
    return {"id": event.number, **_what(event), **place, **_manner(event.manner)}


def _what(event: Event) -> Members:
    said: Members = {"interface": event.interface.value}
    if event.money is not None:
        said["money"] = event.money
    said |= _unless_none(account=event.account, to=event.to, event=event.event, customer=event.customer)
    said |= _unless_none(lines=event.lines_max) | ({"within": True} if event.is_within else {})
    if event.lifetime_us is not None:
        said["lifetime"] = duration_in_words(event.lifetime_us)
    if event.interface is Interface.SUBMIT:
        said["postings"] = [{"account": account, "money": money} for account, money in event.legs]
    if event.interface is Interface.BATCH:
        said["commands"] = [_what(each) for each in event.commands]
    if event.is_atomic:
        said["atomic"] = True
    if not event.is_final:
        said["final"] = False
    if event.guarantees != Guarantee.ALL:
        said["guarantees"] = [name for name, each in GUARANTEES.items() if event.guarantees & each]
    return said


def _manner(manner: Manner) -> Members:
    said: Members = {} if not manner.pause_us else {"pause": duration_in_words(manner.pause_us)}
    if manner.freshness != SESSION:
        said["freshness"] = manner.freshness.level.value
    if manner.freshness.level is Level.BOUNDED:
        said["bound"] = duration_in_words(manner.freshness.bound_us)
    said |= _unless_none(key=manner.key, durable=manner.durable or None, also_at=manner.also_at)
    for name, duration_us in (("timeout", manner.timeout_us), ("patience", manner.patience_us)):
        if duration_us is not None:
            said[name] = duration_in_words(duration_us)
    return said


def _fault(fault: Fault) -> Members:
    said: Members = {"kind": fault.kind.value, "at": duration_in_words(fault.at_us)}
    if fault.for_us is not None:
        said["for"] = duration_in_words(fault.for_us)
    if fault.branches:
        said["branches"] = list(fault.branches)
    if fault.delay_us is not None:
        said["delay"] = "..".join(map(duration_in_words, fault.delay_us))
    if fault.by_us is not None:
        said["by"] = ("-" if fault.by_us < 0 else "") + duration_in_words(abs(fault.by_us))
    said |= _unless_none(percent=fault.percent, point=fault.point, how=fault.how)
    if fault.kind is FaultKind.CUSTOMER_CUT_OFF:
        said |= {"customer": fault.customer, "direction": "answers" if fault.is_to_customer else "requests"}
    return said


def _unless_none(**members: CustomerId | str | int | None) -> Members:
    return {name: value for name, value in members.items() if value is not None}
