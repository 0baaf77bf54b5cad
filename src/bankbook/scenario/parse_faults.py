"""From one object of a file's `faults` to a fault, or to one clear error.

Decides what a well-formed fault is. Must not know how a bank is made to suffer it.
Proof: tests/scenario/test_parse_faults.py.
"""

from enum import StrEnum
from typing import TypeVar

from bankbook.core.types import BranchId, CustomerId
from bankbook.scenario.durations import parse_duration_us
from bankbook.scenario.faults import (
    MOMENTARY,
    SHARES,
    SIDES,
    WEATHER,
    CommitFault,
    CrashPoint,
    Fault,
    FaultKind,
)
from bankbook.scenario.json_text import Fields, Node
from bankbook.scenario.parse_events import Check, Whole, branch_of, duration_us

Word = TypeVar("Word", bound=StrEnum)

_OWN: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.DELAY: ("delay",),
    **dict.fromkeys(SHARES, ("percent",)),
    FaultKind.CLOCK_JUMP: ("by",),
    FaultKind.CRASH_POINT: ("point",),
    FaultKind.COMMIT_FAILURE: ("how",),
    FaultKind.CUSTOMER_CUT_OFF: ("customer", "direction"),
}
_DIRECTIONS = ("requests", "answers")


def read_fault(node: Node, checks: list[Check]) -> Fault:
    """Read a fault; what is to be looked at once the whole file is known is added to `checks`."""
    fields = node.fields("an object that describes a fault")
    kind = FaultKind(fields.need("kind").one_of(FaultKind))
    general = ("kind", "at", *(() if kind in MOMENTARY else ("for",)))
    fields.allow(*general, *(() if kind in WEATHER else ("branches",)), *_OWN.get(kind, ()))
    at, lasts = fields.get("at"), fields.get("for")
    customer = fields.need("customer") if kind is FaultKind.CUSTOMER_CUT_OFF else None
    return Fault(
        kind=kind,
        at_us=0 if at is None else duration_us(at),
        for_us=None if lasts is None else duration_us(lasts),
        branches=() if kind in WEATHER else _branches(fields, kind, checks),
        delay_us=_range_us(fields.need("delay")) if kind is FaultKind.DELAY else None,
        percent=fields.need("percent").integer("a share in percent, from 1 to 100", 1, 100)
        if kind in SHARES
        else None,
        by_us=_jump_us(fields.need("by")) if kind is FaultKind.CLOCK_JUMP else None,
        point=_word(fields.need("point"), CrashPoint) if kind is FaultKind.CRASH_POINT else None,
        how=_word(fields.need("how"), CommitFault) if kind is FaultKind.COMMIT_FAILURE else None,
        customer=None if customer is None else _customer(customer, checks),
        is_to_customer=customer is not None
        and fields.need("direction").one_of(_DIRECTIONS) == _DIRECTIONS[1],
    )


def _branches(fields: Fields, kind: FaultKind, checks: list[Check]) -> tuple[BranchId, ...]:
    node = fields.need("branches")
    branches = tuple(
        branch_of(each, checks) for each in node.items("branch", "an array of branches' numbers")
    )
    if not branches:
        node.fail("`branches` is empty. Name at least one.")
    if len(set(branches)) < len(branches):
        node.fail("`branches` names one of them twice. Remove one of the two.")
    if kind is FaultKind.BROKEN_STREAM and len(branches) != 2:  # noqa: PLR2004  (a stream has two ends)
        node.fail("a stream is between two branches: name the one that fetches, and then from whom.")
    if kind in SIDES:
        checks.append(lambda whole: _check_side(node, kind, branches, whole))
    return branches


def _check_side(node: Node, kind: FaultKind, side: tuple[BranchId, ...], whole: Whole) -> None:
    if len(side) == len(whole.branches):
        node.fail(f"a {kind} is between some branches and all others; here are no others. Name fewer.")


def _customer(node: Node, checks: list[Check]) -> CustomerId:
    customer, _ = node.customer_id()

    def check(whole: Whole) -> None:
        if customer not in whole.events:
            node.fail(f"there is no customer {customer}.")

    checks.append(check)
    return customer


def _range_us(node: Node) -> tuple[int, int]:
    low, dots, high = node.text('a delay such as "200ms" or "50ms..1.5s"').partition("..")
    try:
        found = parse_duration_us(low), parse_duration_us(high if dots else low)
    except ValueError as error:
        node.fail(f"`delay`: {error}.")
    if found[0] > found[1]:
        node.fail("`delay` ends before it begins. Write the shorter one first.")
    return found


def _jump_us(node: Node) -> int:
    text = node.text('a duration, with - for a jump back, such as "-90s"')
    try:
        jump_us = parse_duration_us(text.removeprefix("-"))
    except ValueError as error:
        node.fail(f"`by`: {error}.")
    return -jump_us if text.startswith("-") else jump_us


def _word(node: Node, words: type[Word]) -> Word:
    return words(node.one_of([word.value for word in words]))
