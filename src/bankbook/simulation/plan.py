"""What a seed draws before anything happens: a bank, what its customers do, and what goes wrong.

Decides what is worth trying, and how often. It is a scenario like any other: it can be written into a file.
Must not know what comes of it, nor which faults come together (troubles.py). Whatever moves on an account
moves by amounts of which no two sets have the same sum, so that a balance alone tells which writes it counts.
Proof: tests/simulation/test_plan.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import heapify, heapreplace
from random import Random
from typing import NamedTuple

from bankbook.core.commands import LATEST, LOCAL, SESSION, Freshness, bounded
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.faults import Fault, FaultKind
from bankbook.scenario.model import Account, Customer, Event, Interface, Leg, Manner, Scenario
from bankbook.simulation.amounts import Amounts
from bankbook.simulation.stories import Author, Story
from bankbook.simulation.troubles import planned_faults

# What a customer is thought to wait for an answer: there are to be about as many events as there is time for.
_ANSWER_S = 0.15

# How far back customers go to ask again.
_RECENT = 5

# How long before a branch loses its disk, and after it is back, customers come to ask there and elsewhere.
_AROUND_S = 4.0

_READS = frozenset({Interface.QUERY, Interface.STATEMENT})
_NO_WRITES = _READS | {Interface.BEGIN, Interface.LEARN, Interface.AGAIN}


class Incident(NamedTuple):
    """A branch loses its disk, and is back after a while with an empty one. Times are in seconds."""

    branch: BranchId
    at_s: float
    back_s: float

    def is_near(self, at_s: float) -> bool:
        """Whether it is about that time."""
        return self.at_s - _AROUND_S < at_s < self.back_s + _AROUND_S


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
        self.incidents: list[Incident] = []
        """What customers are drawn to."""

    def scenario(self, customers: int, duration_s: float, kinds: Iterable[FaultKind]) -> Scenario:
        """Return what is drawn for so many customers, in so much time."""
        drawn = [
            PlannedCustomer(self, CustomerId(f"customer-{number}"), self._chance(f"customer-{number} acts"))
            for number in range(1, customers + 1)
        ]
        names = [each.name for each in drawn]
        duration_ms = int(1000 * duration_s)
        faults = tuple(
            planned_faults(self._chance("faults"), self.branches, names, sorted(kinds), duration_ms)
        )
        # The only branch there is loses no disk: nobody would know anything.
        self.incidents = list(_incidents(faults)) if len(self.branches) > 1 else []
        turns = [(each.pause_s(), place, each) for place, each in enumerate(drawn)]
        heapify(turns)
        while turns and turns[0][0] < duration_s:
            at_s, place, customer = turns[0]
            took_s = customer.plan(names, at_s, duration_s)
            heapreplace(turns, (at_s + took_s + customer.pause_s(), place, customer))
        return Scenario(
            self.branches,
            Money(self._opening_balance or 0),
            tuple(Customer(each.name, each.name, tuple(each.events)) for each in drawn),
            self._openings() if self._opening_balance is None else (),
            faults,
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

    def plan(self, customers: list[CustomerId], at_s: float, until_s: float) -> float:
        """Draw what they do next, at that time; return how long that is thought to take, in seconds."""
        incident = self._incident(at_s)
        if incident is None:
            return self._go_on(customers, until_s - at_s)
        return self._ask_around(incident, at_s, until_s)

    def _incident(self, at_s: float) -> Incident | None:
        """Return what draws them near; not all, and not always."""
        near = [each for each in self._plan.incidents if each.is_near(at_s)]
        return self._draw.choice(near) if near and self._draw.random() < 0.5 else None  # noqa: PLR2004

    def _ask_around(self, incident: Incident, at_s: float, until_s: float) -> float:
        """Pay in where a disk is about to be lost; or elsewhere, on all disks, the new one included."""
        account, branches = self._account(), self._plan.branches
        amount = self._plan.amounts.take(account, is_large=True)
        there = self._draw.choice([each for each in branches if each != incident.branch])
        if amount is None:
            return self._go_on([self.name], until_s - at_s)
        pay_in = Event(Interface.DEPOSIT, there, amount, None, self._number, account)
        if at_s < incident.at_s and self._draw.random() < 0.8:  # noqa: PLR2004
            pay_in = replace(pay_in, branch=incident.branch)
            return self._look_for_what_may_be_lost(pay_in, there, incident, at_s, until_s)
        self._add(replace(pay_in, manner=replace(self._patient(), durable=len(branches) - 1)), self._pause_ms)
        return _ANSWER_S

    def _look_for_what_may_be_lost(
        self, pay_in: Event, there: BranchId, incident: Incident, at_s: float, until_s: float
    ) -> float:
        """Pay in just before a disk is lost, and see elsewhere what became of that.

        As somebody who was told nothing, and by asking again under the same key, too.
        """
        draw, patient, account = self._draw, self._patient(), pay_in.account
        assert account is not None, "a deposit has one"
        wait_s = max(draw.uniform(incident.at_s - 1.5, incident.at_s) - at_s, 0.0)
        hasty = Manner(timeout_us=draw.choice([300, 2_000]) * 1000, patience_us=300_000)
        self._add(replace(pay_in, manner=hasty), self._pause_ms + int(1000 * wait_s))
        self._add(Event(Interface.BEGIN, None, None, None, self._number), 0)
        later_s = max(min(draw.uniform(incident.at_s, incident.back_s + 1), until_s) - at_s - wait_s, 0.0)
        look = replace(self._query(account), manner=replace(patient, freshness=LATEST))
        less = self._plan.amounts.take(account, below=pay_in.money, is_large=True)
        if draw.random() < 0.5:  # noqa: PLR2004
            look = Event(Interface.AGAIN, None, None, None, self._number, event=pay_in.number, manner=patient)
        elif less is not None and draw.random() < 0.5:  # noqa: PLR2004
            look = Event(Interface.WITHDRAW, None, less, None, self._number, account, manner=patient)
        self._add(replace(look, branch=there), int(1000 * later_s))
        return wait_s + later_s + 2 * _ANSWER_S

    def _patient(self) -> Manner:
        return Manner(timeout_us=self._draw.choice([8_000, 20_000]) * 1000)

    def _go_on(self, customers: list[CustomerId], left_s: float) -> float:
        """Draw what they do where nothing draws them near; it fits into the time that is left."""
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


def _incidents(faults: Iterable[Fault]) -> Iterator[Incident]:
    for fault in faults:
        if fault.kind is FaultKind.LOST_DISK:
            at_s = fault.at_us / 1e6
            yield Incident(fault.branches[0], at_s, at_s + (fault.for_us or 0) / 1e6)
