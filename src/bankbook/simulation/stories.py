"""Short stories: a few events of one customer, right behind each other, where the moment is what matters.

Decides which moments are worth it: just behind a write, and around the end of what is set aside. A random
walk would hardly ever be there in time. Must not know what goes wrong meanwhile, nor what comes of it.
Proof: tests/simulation/test_plan.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import NamedTuple

from bankbook.core.commands import LATEST, LOCAL, SESSION, bounded
from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.model import Event, Interface, Manner
from bankbook.simulation.amounts import Amounts

# How far behind its end somebody still tries to have what was set aside, on average: a branch whose disk has
# just failed leaves things as they are for a second.
_TOO_LATE_MS = 400


class Part(NamedTuple):
    """One event of a story."""

    event: Event
    pause_ms: int = 0
    """How long the customer waits before it; the first one comes when its turn has come."""


Story = list[Part]
"""Empty where there are no amounts left to tell it with."""


@dataclass(frozen=True, slots=True)
class Author:
    """Draws the stories of one customer."""

    draw: Random
    customer: CustomerId
    branches: Sequence[BranchId]
    accounts: Sequence[CustomerId]
    amounts: Amounts

    def look_elsewhere(self, number: int) -> Story:
        """Pay in at one branch, and look for it at another one, as somebody who was told nothing."""
        draw, account, take = self.draw, self.draw.choice(self.accounts), self.amounts.take
        here, there = draw.sample(self.branches, 2)
        amount = take(account, is_large=True)
        less = None if amount is None else take(account, below=amount, is_large=True)
        if amount is None or less is None:
            return []
        bound_ms = draw.choice([0, 0, 0, 200, 500, 1_500])
        manner = Manner(timeout_us=8_000_000)
        if bound_ms or draw.random() < 0.5:  # noqa: PLR2004  (a coin)
            freshness = bounded(bound_ms / 1000) if bound_ms else LATEST
            manner = replace(manner, freshness=freshness)
            look = Event(Interface.QUERY, there, None, None, number + 2, account, manner=manner)
        else:
            look = Event(Interface.WITHDRAW, there, less, None, number + 2, account, manner=manner)
        return [
            Part(Event(Interface.DEPOSIT, here, amount, None, number, account)),
            Part(Event(Interface.BEGIN, None, None, None, number + 1)),
            Part(look, bound_ms),
        ]

    def write_on_the_way(self, number: int) -> Story:
        """Write or read at one branch, and write at the next one before anybody has told it."""
        draw, take = self.draw, self.amounts.take
        story: Story = []
        for place, branch in enumerate(draw.sample(self.branches, 2)):
            one, other = draw.sample(self.accounts, 2)
            amount = take(one, other)
            if amount is None:
                return []
            freshness = draw.choice([LOCAL, LOCAL, LOCAL, SESSION])
            manner = Manner(freshness=freshness, timeout_us=draw.choice([2_000, 8_000]) * 1000)
            interface, to = draw.choice([(Interface.DEPOSIT, None), (Interface.TRANSFER, other)])
            if place == 0 and draw.random() < 0.3:  # noqa: PLR2004  (less often)
                manner = replace(manner, freshness=LATEST)
                event = Event(Interface.QUERY, branch, None, None, number, one, manner=manner)
            else:
                event = Event(interface, branch, amount, to, number + place, one, manner=manner)
            story.append(Part(event, draw.choice([1, 20])))
        return story

    def have_it_in_time(self, number: int) -> Story:
        """Set money aside for a moment, and try to have it around the end of that, here and elsewhere."""
        draw, take = self.draw, self.amounts.take
        one, other = draw.sample(self.accounts, 2)
        here = draw.choice(self.branches)
        paid = take(one, is_large=True)
        amount = None if paid is None else take(one, other, below=paid)
        if paid is None or amount is None:
            return []
        lifetime_ms = draw.choice([200, 700, 1_500, 5_000])
        reserve = Event(
            Interface.RESERVE,
            here,
            amount,
            draw.choice([None, other]),
            number + 1,
            one,
            lifetime_us=lifetime_ms * 1000,
        )
        story = [Part(Event(Interface.DEPOSIT, here, paid, None, number, one)), Part(reserve)]
        tries = [self._moment_ms(lifetime_ms) for _ in range(draw.randint(1, 3))]
        for before_ms, at_ms in pairwise([0, *sorted(tries)]):
            branch, pause_ms = draw.choice(self.branches), at_ms - before_ms
            if (less := take(one)) is not None and draw.random() < 0.3:  # noqa: PLR2004  (less often)
                # What their session has written there, the branch that decides does not have yet.
                story.append(
                    Part(Event(Interface.DEPOSIT, branch, less, None, len(story) + number, one), pause_ms)
                )
                pause_ms = 1
            event = self.settling(len(story) + number, self.customer, reserve)
            story.append(Part(replace(event, branch=branch), pause_ms))
        if draw.random() < 0.5:  # noqa: PLR2004  (a coin)
            again, branch = story[-1].event.number, draw.choice(self.branches)
            story.append(Part(Event(Interface.AGAIN, branch, None, None, len(story) + number, event=again)))
        return story

    def settling(self, number: int, customer: CustomerId, reserve: Event) -> Event:
        """Draw how something ends that was set aside: all that is left, or bit by bit, by amounts.

        What is captured is never the unknown rest of something else: a balance would not tell it any more.
        """
        draw = self.draw
        amount, is_bit_by_bit = reserve.money or Money(1), reserve.number % 2 == 0
        part, is_final = None, True
        if draw.random() < 0.4:  # noqa: PLR2004  (less often)
            interface = Interface.RELEASE
            if is_bit_by_bit:
                part = draw.choice([None, Money(max(amount // 4, 1))])
        else:
            interface = Interface.CAPTURE
            if is_bit_by_bit:
                whose = [each for each in (reserve.account, reserve.to) if each]
                part = draw.choice([amount, self.amounts.take(*whose, below=amount) or amount])
                is_final = draw.random() < 0.5  # noqa: PLR2004  (a coin)
        birth = draw.choice(["", *(f"{branch}/" for branch in self.branches)])
        key = draw.choice([None, f"{birth}key-{self.customer}-{number}"])
        manner = Manner(key=key, timeout_us=draw.choice([300, 2_000, 8_000]) * 1000)
        return Event(
            interface,
            None,
            part,
            None,
            number,
            manner=manner,
            event=reserve.number,
            customer=customer,
            is_final=is_final,
        )

    def _moment_ms(self, lifetime_ms: int) -> int:
        """Draw when somebody tries: a little before the end, or a little too late."""
        draw = self.draw
        if draw.random() < 0.5:  # noqa: PLR2004  (a coin)
            return int(lifetime_ms * draw.uniform(0.5, 1))
        return lifetime_ms + int(draw.expovariate(1 / _TOO_LATE_MS))
