"""A scenario in the bank's own words: branches, customers and what each of them does.

Decides what a scenario consists of. Must not know how a file spells
it (parse.py) nor what came of it (output.py, checker.py).
Proof: tests/scenario/test_parse.py.
"""

from dataclasses import dataclass
from enum import StrEnum

from bankbook.core.types import BranchId, CustomerId, Money

# The reason of an event at a branch that does not exist. No branch tells it, since there is none to ask.
UNKNOWN_BRANCH = "UNKNOWN_BRANCH"


class Interface(StrEnum):
    """What a customer can ask of a branch."""

    QUERY = "query"
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class Event:
    """One request of one customer at one branch."""

    interface: Interface
    branch: BranchId
    """As the file has it. It may name no branch of the scenario: then this event alone fails."""
    money: Money | None
    """None for a query, and only there."""
    to: CustomerId | None
    """Who receives a transfer; None for everything else."""
    number: int
    """From 1: the place in the order in which the file gives this customer's events."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One session: its events happen one after the other."""

    id: CustomerId
    output_id: int | str
    """The id as the file has it, so that the output can say the same."""
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A bank and its customers, who all act at the same time."""

    branches: tuple[BranchId, ...]
    """Sorted, each once, at least one."""
    opening_balance: Money
    """What every account starts with."""
    customers: tuple[Customer, ...]
    """In order of first appearance, each once, at least one."""
