"""A scenario in the bank's own words: branches, customers, what each of them does, and what goes wrong.

Decides what a scenario consists of. Must not know how a file spells
it (parse.py, render.py) nor what came of it (output.py, checker.py).
Proof: tests/scenario/test_parse.py, tests/scenario/test_render.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bankbook.core.commands import SESSION, Freshness
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.faults import Fault

# The reason of an event at a branch that does not exist. No branch tells it, since there is none to ask.
UNKNOWN_BRANCH = "UNKNOWN_BRANCH"

# The reasons of an event whose customer waits no longer, and of one that asks nothing: what it goes back to,
# a reservation or a key, is not there. No branch tells these either.
GAVE_UP = "GAVE_UP"
NOT_ASKED = "NOT_ASKED"


ANYWHERE = "any"
"""What files have in the place of a branch's number: whichever can be reached."""


class Interface(StrEnum):
    """What a customer can do."""

    QUERY = "query"
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    TRANSFER = "transfer"
    SUBMIT = "submit"
    RESERVE = "reserve"
    CAPTURE = "capture"
    RELEASE = "release"
    BATCH = "batch"
    STATEMENT = "statement"
    """Read what moved on an account: all of it, a page, or what goes on behind an earlier statement."""
    AGAIN = "again"
    """Ask once more what an earlier event asked, under the same key."""
    LEARN = "learn"
    """Know what another customer knows: take over the token."""
    BEGIN = "begin"
    """Forget everything, as who starts a new session."""


ORIGINAL = frozenset({Interface.QUERY, Interface.DEPOSIT, Interface.WITHDRAW, Interface.TRANSFER})
"""What the original system's customers can do."""

SINGLE_WRITES = frozenset(
    {Interface.DEPOSIT, Interface.WITHDRAW, Interface.TRANSFER, Interface.SUBMIT, Interface.RESERVE}
)
"""What a batch may consist of."""

WRITES = SINGLE_WRITES | {Interface.BATCH, Interface.CAPTURE, Interface.RELEASE}
"""What may have a key."""

SETTLING = frozenset({Interface.CAPTURE, Interface.RELEASE})

BY_THEMSELVES = frozenset({Interface.LEARN, Interface.BEGIN})
"""What no branch is asked for."""


GUARANTEES: dict[str, Guarantee] = {str(each.name): each for each in Guarantee.ALL}
"""By their names."""


class Leg(NamedTuple):
    """What a submitted transaction does to one account."""

    account: CustomerId
    money: Money


@dataclass(frozen=True, slots=True)
class Manner:
    """How an event is asked for; as it is, the way in which the original system's customers ask."""

    pause_us: int = 0
    """Before it."""
    freshness: Freshness = SESSION
    key: str | None = None
    durable: int = 0
    timeout_us: int | None = None
    """How long the request may take. None: as long as the command line says."""
    patience_us: int | None = None
    """After so long the customer hangs up, and does not know what came of it. None: never."""
    also_at: BranchId | None = None
    """The customer's second session asks for the same there, under the same key, at the same time."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that one customer does; mostly a request at one branch."""

    interface: Interface
    branch: BranchId | None
    """As the file has it. It may name no branch of the scenario: then this event alone fails. None: whichever
    can be reached, or none is asked."""
    money: Money | None
    """None for a query, for what has amounts of its own or none, and for settling all that is left."""
    to: CustomerId | None
    """Who receives a transfer, or what is set aside; None for everything else."""
    number: int
    """From 1: the place in the order in which the file gives this customer's events."""
    account: CustomerId | None = None
    """Whose account it is. None: the customer's own."""
    legs: tuple[Leg, ...] = ()
    """Of what is submitted."""
    commands: tuple["Event", ...] = ()
    """Of a batch."""
    is_atomic: bool = False
    """Of a batch."""
    is_final: bool = True
    """Of a capture: whether what it leaves is free again."""
    guarantees: Guarantee = Guarantee.ALL
    """What a session that begins asks for."""
    lifetime_us: int | None = None
    """Of a reservation."""
    event: int | None = None
    """The number of an earlier event: the one that is asked again, that set aside what is settled, or that
    read the statement which this one goes back to."""
    customer: CustomerId | None = None
    """Whose event that is; or whose token is learnt. None: the customer's own."""
    lines_max: int | None = None
    """Of a statement: how many lines are read at once. None: as many as a branch tells."""
    is_within: bool = False
    """Of a statement: it is of the time of the earlier one's lines, and not what goes on behind them."""
    manner: Manner = Manner()

    @property
    def is_plain(self) -> bool:
        """Whether the original system's customers can do it."""
        is_as_they_ask = self.manner == Manner() and self.account is None and self.branch is not None
        return self.interface in ORIGINAL and is_as_they_ask


@dataclass(frozen=True, slots=True)
class Customer:
    """One session: its events happen one after the other."""

    id: CustomerId
    output_id: int | str
    """The id as the file has it, so that the output can say the same."""
    events: tuple[Event, ...]


class Account(NamedTuple):
    """An account that is opened, with nothing in it, before anything else happens."""

    id: CustomerId
    floor: Money | None = Money(0)
    """None: it has none."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A bank and its customers, who all act at the same time."""

    branches: tuple[BranchId, ...]
    """Sorted, each once, at least one."""
    opening_balance: Money
    """What every account starts with."""
    customers: tuple[Customer, ...]
    """In order of first appearance, each once, at least one."""
    accounts: tuple[Account, ...] = ()
    """Where there are any, there are no others."""
    faults: tuple[Fault, ...] = ()

    @property
    def genesis_balance(self) -> Money | None:
        """What every possible account starts with; None where accounts have to be opened."""
        return None if self.accounts else self.opening_balance

    @property
    def is_plain(self) -> bool:
        """Whether the original system can carry it out."""
        events = (event for customer in self.customers for event in customer.events)
        return not self.accounts and not self.faults and all(event.is_plain for event in events)
