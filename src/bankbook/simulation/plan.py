"""What a seed draws before anything happens: a bank, what its customers do, and what goes wrong meanwhile.

Decides what is worth trying, and how often. It is a scenario like any other: it can be written into a file.
Must not know what comes of it. Whatever moves on an account moves by amounts of which no two sets have the
same sum, so that a balance alone tells which writes it counts. Proof: tests/simulation/test_plan.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import heapify, heapreplace
from random import Random

from bankbook.core.commands import LATEST, LOCAL, SESSION, Freshness, bounded
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId, CustomerId, Money
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
from bankbook.scenario.model import Account, Customer, Event, Interface, Leg, Manner, Scenario
from bankbook.simulation.amounts import Amounts
from bankbook.simulation.stories import Author, Story

# What a customer is thought to wait for an answer: there are to be about as many events as there is time for.
_ANSWER_S = 0.15

# How far back customers go to ask again.
_RECENT = 5

_MINUTE_MS = 60_000

_READS = frozenset({Interface.QUERY, Interface.STATEMENT})
_NO_WRITES = _READS | {Interface.BEGIN, Interface.LEARN, Interface.AGAIN}


class Plan:
    """Draws one scenario."""

    def __init__(self, seed: int, branches: int | None, accounts: int) -> None:
        self._seed = seed
        draw = self._chance("simulation")
        count = branches or draw.choice([1, 2, 2, 3, 3, 3, 4, 5])
        self.branches = tuple(BranchId(number) for number in range(1, count + 1))
        self._opening_balance = draw.choice([None, 0, 1 << 16, 1 << 40])
        self.accounts = [CustomerId(f"a{number}") for number in range(1, accounts + 1)]
        self.amounts = Amounts(self._chance("amounts"))
        self.reserving: list[tuple[CustomerId, int, Event]] = []
        """The events so far that set money aside: whose, their numbers, and what they set aside first."""

    def scenario(self, customers: int, duration_s: float, kinds: Iterable[FaultKind]) -> Scenario:
        """Return what is drawn for so many customers, in so much time."""
        drawn = [
            PlannedCustomer(self, CustomerId(f"customer-{number}"), self._chance(f"customer-{number} acts"))
            for number in range(1, customers + 1)
        ]
        names = [each.name for each in drawn]
        turns = [(each.pause_s(), place, each) for place, each in enumerate(drawn)]
        heapify(turns)
        while turns and turns[0][0] < duration_s:
            at_s, place, customer = turns[0]
            took_s = customer.plan(names, duration_s - at_s)
            heapreplace(turns, (at_s + took_s + customer.pause_s(), place, customer))
        faults = planned_faults(
            self._chance("faults"), self.branches, names, sorted(kinds), int(1000 * duration_s)
        )
        return Scenario(
            self.branches,
            Money(self._opening_balance or 0),
            tuple(Customer(each.name, each.name, tuple(each.events)) for each in drawn),
            self._openings() if self._opening_balance is None else (),
            tuple(faults),
        )

    def _chance(self, name: str) -> Random:
        return Random(f"{self._seed}/{name}")  # noqa: S311  (a seed, not a secret)

    def _openings(self) -> tuple[Account, ...]:
        floors = (Money(0), Money(-(1 << 12)), None)
        return tuple(
            Account(account, floors[place % len(floors)]) for place, account in enumerate(self.accounts)
        )


class PlannedCustomer:
    """Somebody who is going to walk from branch to branch."""

    def __init__(self, plan: Plan, name: CustomerId, draw: Random) -> None:
        self.name = name
        self.events: list[Event] = []
        self._plan = plan
        self._draw = draw
        self._mean_pause_s = draw.choice([0.2, 0.6, 1.5])
        self._reading = draw.choice([0.1, 0.3, 0.8])
        """The share of reads in what they ask."""
        self._author = Author(draw, name, plan.branches, plan.accounts, plan.amounts)
        self._writes: list[Event] = []
        self._statements: list[int] = []
        self._pause_ms = 0

    def pause_s(self) -> float:
        """Draw how long they pause before what they do next."""
        self._pause_ms = max(1, int(1000 * self._draw.expovariate(1 / self._mean_pause_s)))
        return self._pause_ms / 1000

    def plan(self, customers: list[CustomerId], left_s: float) -> float:
        """Draw what they do next; return how long that takes them, of the time that is left."""
        kind = self._draw.random()
        if self._writes and kind < 0.20:  # noqa: PLR2004  (shares of what they do)
            earlier = self._draw.choice(self._writes[-_RECENT:])
            event = self._asked(Event(Interface.AGAIN, None, None, None, self._number, event=earlier.number))
        elif kind < 0.25:  # noqa: PLR2004
            event = Event(
                Interface.LEARN, None, None, None, self._number, customer=self._draw.choice(customers)
            )
        elif kind < 0.31:  # noqa: PLR2004
            event = self._new(is_at_once=True)
        elif kind < 0.33:  # noqa: PLR2004
            event = self._begin()
        elif kind < 0.51 and (story := self._story(kind)):  # noqa: PLR2004
            took_s = _ANSWER_S * len(story) + sum(part.pause_ms for part in story) / 1000
            if took_s <= left_s:
                self._tell(story)
                return took_s
            event = self._new()
        else:
            event = self._new()
        self._add(event, self._pause_ms)
        return _ANSWER_S

    def _story(self, kind: float) -> Story:
        if kind < 0.39 and len(self._plan.branches) > 1:  # noqa: PLR2004
            return self._author.look_elsewhere(self._number)
        if kind < 0.45 and len(self._plan.branches) > 1:  # noqa: PLR2004
            return self._author.write_on_the_way(self._number)
        return self._author.have_it_in_time(self._number)

    def _tell(self, story: Story) -> None:
        for place, (event, pause_ms) in enumerate(story):
            self._add(event, pause_ms if place else self._pause_ms)
            if event.interface not in _NO_WRITES:
                self._writes.append(event)
            if event.interface is Interface.RESERVE:
                self._plan.reserving.append((self.name, event.number, event))

    def _add(self, event: Event, pause_ms: int) -> None:
        self.events.append(replace(event, manner=replace(event.manner, pause_us=pause_ms * 1000)))

    def _begin(self) -> Event:
        """Draw a new session; each guarantee has to hold by itself, too."""
        guarantees = self._draw.choice([Guarantee.ALL] * 3 + list(Guarantee.ALL))
        return Event(Interface.BEGIN, None, None, None, self._number, guarantees=guarantees)

    @property
    def _number(self) -> int:
        return len(self.events) + 1

    def _new(self, *, is_at_once: bool = False) -> Event:
        event = self._what()
        if event.interface in _READS:
            return self._asked(event)
        self._writes.append(event)
        reserves = [each for each in (event, *event.commands) if each.interface is Interface.RESERVE]
        if reserves:
            self._plan.reserving.append((self.name, event.number, reserves[0]))
        event = self._asked(event)
        draw, branches = self._draw, self._plan.branches
        durable = min(draw.choice([0, 0, 0, 0, 1, len(branches) - 1]), len(branches) - 1)
        key = None
        if is_at_once or draw.random() < 0.5:  # noqa: PLR2004
            birth = draw.choice(["", *(f"{branch}/" for branch in branches)])
            key = f"{birth}key-{self.name}-{event.number}"
        also_at = draw.choice(branches) if is_at_once else None
        return replace(event, manner=replace(event.manner, key=key, durable=durable, also_at=also_at))

    def _asked(self, event: Event) -> Event:
        """Draw where, how soon, and how patiently they ask."""
        draw = self._draw
        manner = Manner(
            freshness=self._freshness(event.interface),
            timeout_us=draw.choice([300, 2_000, 8_000, 20_000]) * 1000,
            patience_us=draw.choice([None, None, None, 300_000, 2_000_000]),
        )
        return replace(event, branch=draw.choice([None, *self._plan.branches]), manner=manner)

    def _freshness(self, interface: Interface) -> Freshness:
        if interface in _READS:
            levels = [LOCAL, SESSION, SESSION, LATEST, LATEST, *map(bounded, (0, 0, 0.3, 3))]
            return self._draw.choice(levels)
        return self._draw.choice([LATEST, LOCAL, *[SESSION] * 8])

    def _what(self) -> Event:
        if self._draw.random() < self._reading:
            return self._query(self._account()) if self._draw.random() < 0.7 else self._statement()  # noqa: PLR2004
        kind = self._draw.randrange(14)
        if kind in (0, 2) and self._plan.reserving:
            return self._settling()
        if kind == 1:
            some = [self._single(place) for place in range(1, self._draw.randint(1, 4) + 1)]
            writes = [each for each in some if each.interface is not Interface.QUERY]
            if writes:
                commands = tuple(replace(each, number=place) for place, each in enumerate(writes, start=1))
                is_atomic = self._draw.random() < 0.5  # noqa: PLR2004
                return Event(
                    Interface.BATCH, None, None, None, self._number, commands=commands, is_atomic=is_atomic
                )
        return self._single(self._number)

    def _settling(self) -> Event:
        """Draw how something ends that was set aside lately."""
        customer, number, reserve = self._draw.choice(self._plan.reserving[-_RECENT:])
        return self._author.settling(self._number, customer, replace(reserve, number=number))

    def _single(self, number: int) -> Event:
        draw, take = self._draw, self._plan.amounts.take
        one, other, third = draw.sample(self._plan.accounts, 3)
        kind = draw.randrange(10)
        touched = (one,) if kind < 5 else (one, other) if kind < 9 else (one, other, third)  # noqa: PLR2004
        amount = take(*touched)
        if amount is None:
            return self._query(one)
        if kind < 5:  # noqa: PLR2004
            interface = Interface.DEPOSIT if kind < 3 else Interface.WITHDRAW  # noqa: PLR2004
            return Event(interface, None, amount, None, number, one)
        if kind < 7:  # noqa: PLR2004
            return Event(Interface.TRANSFER, None, amount, other, number, one)
        if kind < 9:  # noqa: PLR2004
            lifetime_ms = draw.choice([None, 700, 5_000, 20_000])
            lifetime_us = None if lifetime_ms is None else lifetime_ms * 1000
            return Event(Interface.RESERVE, None, amount, other, number, one, lifetime_us=lifetime_us)
        more = take(*touched) or Money(0)
        legs = [Leg(one, Money(-amount - more)), Leg(other, amount), Leg(third, more)]
        return Event(Interface.SUBMIT, None, None, None, number, legs=tuple(leg for leg in legs if leg.money))

    def _statement(self) -> Event:
        """Read all of an account, a page of it, what goes on behind a page, or the time of it."""
        event = Event(Interface.STATEMENT, None, None, None, self._number, self._account())
        kind = self._draw.randrange(4)
        if kind > 1 and self._statements:
            earlier = self._draw.choice(self._statements[-_RECENT:])
            event = replace(event, account=None, event=earlier, is_within=kind == 2)  # noqa: PLR2004
        elif kind:
            event = replace(event, lines_max=self._draw.randint(1, 2))
        self._statements.append(event.number)
        return event

    def _query(self, account: CustomerId) -> Event:
        return Event(Interface.QUERY, None, None, None, self._number, account)

    def _account(self) -> CustomerId:
        return self._draw.choice(self._plan.accounts)


# What goes wrong.


def planned_faults(
    draw: Random,
    branches: tuple[BranchId, ...],
    customers: list[CustomerId],
    kinds: list[FaultKind],
    duration_ms: int,
) -> Iterator[Fault]:
    """Draw what goes wrong: how often each kind, when, where, and for how long."""
    some = [kind for kind in kinds if draw.random() < 0.6] or kinds  # noqa: PLR2004
    yield from (_weather(draw, kind) for kind in some if kind in WEATHER)
    events = [kind for kind in some if kind not in WEATHER]
    if len(branches) == 1:
        events = [kind for kind in events if kind not in SIDES | {FaultKind.BROKEN_STREAM}]
    # A disk is lost but once, and most of what can go wrong then takes more than that.
    events += [kind for kind in events if kind is FaultKind.LOST_DISK] * 2
    mean_pause_s = draw.choice([0.5, 1.5, 4.0])
    at_ms = 0
    while events:
        at_ms += max(1, int(1000 * draw.expovariate(1 / mean_pause_s)))
        if at_ms > duration_ms:
            return
        fault = _strike(draw, draw.choice(events), at_ms, branches, customers)
        yield fault
        if fault.kind is FaultKind.LOST_DISK and {fault.kind, FaultKind.SLOW_LINK} <= set(events):
            yield _slowly_told(fault, branches)


def _slowly_told(lost: Fault, branches: tuple[BranchId, ...]) -> Fault:
    """Return what makes the new store wait for what the others know."""
    others = tuple(branch for branch in branches if branch not in lost.branches)
    return replace(lost, kind=FaultKind.SLOW_LINK, branches=others, for_us=(lost.for_us or 0) + 8_000_000)


def _weather(draw: Random, kind: FaultKind) -> Fault:
    if kind in SHARES:
        shares = {FaultKind.BROKEN_CALL: [2, 10], FaultKind.DUPLICATION: [1, 10, 30]}
        return Fault(kind, percent=draw.choice(shares.get(kind, [1, 10])))
    low, high = draw.choice([(100, 50_000), (100, 400_000), (50_000, 1_500_000)])
    return Fault(kind, delay_us=(low, high))


def _strike(
    draw: Random,
    kind: FaultKind,
    at_ms: int,
    branches: tuple[BranchId, ...],
    customers: list[CustomerId],
) -> Fault:
    lasts_ms = int(1000 * draw.choice([0.2, 2.0, 8.0, 25.0]) * draw.uniform(0.5, 1.5))
    fault = Fault(
        kind,
        1000 * at_ms,
        None if kind in MOMENTARY else 1000 * lasts_ms,
        (draw.choice(branches),),
    )
    match kind:
        case FaultKind.SLOW_LINK | FaultKind.PARTITION | FaultKind.ONE_WAY_PARTITION:
            side = draw.sample(branches, draw.randint(1, len(branches) - 1))
            return replace(fault, branches=tuple(sorted(side)))
        case FaultKind.BROKEN_STREAM:
            return replace(fault, branches=tuple(draw.sample(branches, 2)))
        case FaultKind.CUSTOMER_CUT_OFF:
            is_to_customer = draw.random() < 0.5  # noqa: PLR2004
            return replace(fault, customer=draw.choice(customers), is_to_customer=is_to_customer)
        case FaultKind.CLOCK_JUMP:
            jump_ms = draw.choice([-60, -1, 1, 60]) * draw.randint(1, _MINUTE_MS)
            return replace(fault, by_us=1000 * jump_ms)
        case FaultKind.CRASH_POINT:
            return replace(fault, point=draw.choice(list(CrashPoint)))
        case FaultKind.COMMIT_FAILURE:
            return replace(fault, how=draw.choice(list(CommitFault)))
        case FaultKind.PAUSE:
            # Nobody does anything meanwhile: a long one is a crash without a restart.
            return replace(fault, for_us=min(1000 * lasts_ms, 12_000_000))
        case _:
            return fault
