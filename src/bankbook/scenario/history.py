"""What a checker can reason about: sessions of reads and writes, without branches and reasons.

Decides which results count as reads, which as writes, and which customers can have influenced each
other. Must not know what is legal (search.py) nor how to say it (witness.py).
Proof: tests/scenario/test_checker.py.

A lane is a line of writes that become visible in their order: one for each session, and one for each
write whose outcome is unknown, which may have become visible at any time after it was asked for, or
never. A set of visible writes is then a vector: how many writes of each lane.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import gcd
from typing import TypeAlias

from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, CustomerId
from bankbook.scenario.model import Event, Interface, Scenario
from bankbook.scenario.output import Record
from bankbook.server.config import AccountMode, account_of

INSUFFICIENT_FUNDS = Outcome.INSUFFICIENT_FUNDS.name
OUTCOME_UNKNOWN = Outcome.OUTCOME_UNKNOWN.name


class Bound(StrEnum):
    """What a result says of the balance that was visible."""

    EXACTLY = "exactly"
    """A query read it."""
    AT_LEAST = "at least"
    """Money was taken out: there was enough."""
    BELOW = "below"
    """Money was refused: there was not enough, but no less than nothing."""


@dataclass(frozen=True, slots=True)
class Read:
    """A result that reveals something of a balance."""

    session: int
    customer: CustomerId
    event: Event
    account: AccountId
    bound: Bound
    amount: int
    floor: tuple[int, int] | None = None
    """(lane, count): writes that the read shall be taken to have seen. Only witnesses ask for it."""

    def distance(self, balance: int) -> int:
        """By how much `balance` misses what the read says; 0 if it fits."""
        match self.bound:
            case Bound.EXACTLY:
                return abs(self.amount - balance)
            case Bound.AT_LEAST:
                return max(0, self.amount - balance)
            case Bound.BELOW:
                return -balance if balance < 0 else max(0, balance - self.amount + 1)


@dataclass(frozen=True, slots=True)
class Write:
    """An event that moved money, or may have."""

    session: int
    customer: CustomerId
    event: Event
    lane: int
    count: int
    """Its place in its lane, from 1: the smallest vector component that includes it."""
    after: int
    """How many writes of its session's lane came before it."""
    effects: tuple[tuple[AccountId, int], ...]

    def effect(self, account: AccountId) -> int:
        """By how much it changes `account`."""
        return sum(amount for touched, amount in self.effects if touched == account)

    @property
    def is_certain(self) -> bool:
        """Whether it succeeded, so that its own session must see it."""
        return self.lane == self.session


Step: TypeAlias = Read | Write


@dataclass(frozen=True, slots=True)
class Track:
    """What one lane does to one account."""

    lane: int
    sums: tuple[int, ...]
    """By how much the lane's first n writes change the account, for n = 0, 1, ..."""
    following: tuple[int, ...]
    """The smallest count above n at which the account has changed again; 0 if it never does."""
    highest: tuple[int, ...]
    """The largest of the sums from n on."""
    lowest: tuple[int, ...]
    """The smallest of the sums from n on."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """Everything that can happen to one account."""

    tracks: tuple[Track, ...]
    step: int
    """Every balance differs from the opening balance by a multiple of this; 0 if it never changes."""


@dataclass(frozen=True, slots=True)
class History:
    """Sessions that may have influenced each other, and nobody else's."""

    opening: int
    sessions: tuple[tuple[Step, ...], ...]
    lanes: tuple[tuple[Write, ...], ...]
    """Those of the sessions, in the same order, then one for each write of unknown outcome."""
    accounts: dict[AccountId, Tracks]

    def reads(self, session: int | None = None) -> list[Read]:
        """List the reads of one session, or of all."""
        chosen = self.sessions if session is None else (self.sessions[session],)
        return [step for steps in chosen for step in steps if isinstance(step, Read)]

    def own_writes_before(self, read: Read) -> list[Write]:
        """List what the read's own session had certainly written to the account by then."""
        return [
            write
            for write in self.lanes[read.session]
            if write.event.number < read.event.number and write.effect(read.account)
        ]


@dataclass(frozen=True, slots=True)
class Exchange:
    """An event and the record of what came of it."""

    event: Event
    record: Record


@dataclass(frozen=True, slots=True)
class Session:
    """A customer's events, each with its record, all of them possible on their own."""

    customer: CustomerId
    exchanges: tuple[Exchange, ...]


def effects_of(event: Event, customer: CustomerId, mode: AccountMode) -> tuple[tuple[AccountId, int], ...]:
    """Say what an event does to accounts when it succeeds."""
    account = account_of(mode, customer)
    money = event.money or 0
    match event.interface:
        case Interface.DEPOSIT:
            return ((account, money),)
        case Interface.WITHDRAW:
            return ((account, -money),)
        case Interface.TRANSFER if mode is AccountMode.OWN and event.to is not None:
            return ((account, -money), (account_of(mode, event.to), money))
        case _:
            return ()


def outcomes(session: Session, scenario: Scenario) -> Iterator[tuple[Event, str | None, int]]:
    """Go through what may have had an effect: the event, its reason if it failed, what a query read."""
    for exchange in session.exchanges:
        if exchange.event.branch in scenario.branches:
            yield exchange.event, exchange.record.reason, exchange.record.balance or 0


def histories(scenario: Scenario, sessions: Sequence[Session], mode: AccountMode) -> list[History]:
    """Split the sessions into groups that cannot have influenced each other."""
    return [_history(scenario, group, mode) for group in _groups(scenario, sessions, mode)]


def _groups(scenario: Scenario, sessions: Sequence[Session], mode: AccountMode) -> list[list[Session]]:
    if mode is AccountMode.SHARED:
        return [list(sessions)]
    leader = {session.customer: session.customer for session in sessions}

    def find(customer: CustomerId) -> CustomerId:
        while leader[customer] != customer:
            leader[customer] = customer = leader[leader[customer]]
        return customer

    for session in sessions:
        for event, reason, _ in outcomes(session, scenario):
            if event.to in leader and reason in {None, OUTCOME_UNKNOWN}:
                leader[find(session.customer)] = find(event.to)
    groups: dict[CustomerId, list[Session]] = {}
    for session in sessions:
        groups.setdefault(find(session.customer), []).append(session)
    return list(groups.values())


def _history(scenario: Scenario, group: Sequence[Session], mode: AccountMode) -> History:
    lanes: list[list[Write]] = [[] for _ in group]
    steps = tuple(tuple(_steps(index, session, scenario, mode, lanes)) for index, session in enumerate(group))
    watched = {step.account for session in steps for step in session if isinstance(step, Read)}
    return History(
        opening=scenario.opening_balance,
        sessions=steps,
        lanes=tuple(tuple(lane) for lane in lanes),
        accounts=_tracks(lanes, watched),
    )


def _steps(
    index: int, session: Session, scenario: Scenario, mode: AccountMode, lanes: list[list[Write]]
) -> Iterator[Step]:
    customer, account = session.customer, account_of(mode, session.customer)
    for event, reason, balance in outcomes(session, scenario):
        effects = effects_of(event, customer, mode)
        if event.interface is Interface.QUERY and reason is None:
            yield Read(index, customer, event, account, Bound.EXACTLY, balance)
        elif reason == INSUFFICIENT_FUNDS and effects:
            yield Read(index, customer, event, account, Bound.BELOW, event.money or 0)
        elif effects and reason in {None, OUTCOME_UNKNOWN}:
            if reason is None and event.interface is not Interface.DEPOSIT:
                yield Read(index, customer, event, account, Bound.AT_LEAST, event.money or 0)
            lane = index
            if reason is not None:
                lane = len(lanes)
                lanes.append([])
            write = Write(index, customer, event, lane, len(lanes[lane]) + 1, len(lanes[index]), effects)
            lanes[lane].append(write)
            yield write


def _tracks(lanes: Sequence[Sequence[Write]], watched: set[AccountId]) -> dict[AccountId, Tracks]:
    touching: dict[AccountId, list[Track]] = {account: [] for account in watched}
    for index, lane in enumerate(lanes):
        touched = {account for write in lane for account, amount in write.effects if amount}
        for account in sorted(touched & watched):
            touching[account].append(_track(index, [write.effect(account) for write in lane]))
    return {account: Tracks(tuple(tracks), _step(tracks)) for account, tracks in touching.items()}


def _track(lane: int, effects: list[int]) -> Track:
    sums = [0, *accumulate(effects)]
    following, next_change = [0], 0
    for count in range(len(effects), 0, -1):
        next_change = count if effects[count - 1] else next_change
        following.append(next_change)
    return Track(
        lane,
        sums=tuple(sums),
        following=tuple(reversed(following)),
        highest=tuple(reversed([*accumulate(reversed(sums), max)])),
        lowest=tuple(reversed([*accumulate(reversed(sums), min)])),
    )


def _step(tracks: Sequence[Track]) -> int:
    return gcd(*(amount for track in tracks for amount in track.sums))
