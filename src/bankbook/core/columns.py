"""Plain movements of money as columns: thousands of deposits and transfers, and no object for each.

Decides their form, the same in a request, in an entry and on the wire, and what they sum up to. Must not know
whether they may happen. Proof: tests/core/test_columns.py.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple, cast

from bankbook.core.types import MONEY_MAX, AccountId, Money, are_ids, is_memo


class Movement(NamedTuple):
    """One of them."""

    source: AccountId | None
    """None where it is paid in: a deposit."""
    destination: AccountId | None
    """None where it is paid out: a withdrawal."""
    amount: Money
    memo: str = ""


class Flows(NamedTuple):
    """What movements do together to each account that they touch."""

    accounts: tuple[AccountId, ...]
    nets: Sequence[Money]
    """What each one's balance changes by."""


class Uses(NamedTuple):
    """What movements take out of each account that they name, in the order of these."""

    amounts: Sequence[Money]
    """All together."""
    times: Sequence[int]
    """In how many of them."""


class Columns(NamedTuple):
    """Movements, in their order, as one column for each of their parts; place n of each belongs together."""

    accounts: tuple[AccountId, ...]
    """All accounts that are named, each once."""
    sources: Sequence[int]
    """Where in `accounts` the source stands, counted from 1; 0: there is none, it is paid in."""
    destinations: Sequence[int]
    """The same of the destination; 0: it is paid out."""
    amounts: Sequence[Money]
    memos: Sequence[str] = ()
    """Empty where no movement has any."""

    @classmethod
    def of(cls, movements: Iterable[Movement]) -> "Columns":
        """Return movements as columns."""
        places: dict[AccountId | None, int] = {None: 0}
        sources, destinations, amounts, memos = [], [], [], []
        for source, destination, amount, memo in movements:
            sources.append(places.setdefault(source, len(places)))
            destinations.append(places.setdefault(destination, len(places)))
            amounts.append(amount)
            memos.append(memo)
        accounts = tuple(account for account in places if account is not None)
        return cls(
            accounts, tuple(sources), tuple(destinations), tuple(amounts), tuple(memos) if any(memos) else ()
        )

    @property
    def size(self) -> int:
        """How many movements there are."""
        return len(self.amounts)

    def movement(self, place: int) -> Movement:
        """Return the movement at `place`, from 0."""
        return Movement(
            self._account(self.sources[place]),
            self._account(self.destinations[place]),
            self.amounts[place],
            self.memos[place] if self.memos else "",
        )

    def _account(self, number: int) -> AccountId | None:
        return self.accounts[number - 1] if number else None

    def flows(self, without: Collection[int] = ()) -> Flows:
        """Return what the movements do to the accounts they touch, but for those at the places `without`."""
        nets = [0] * (len(self.accounts) + 1)
        for source, destination, amount in self.moved(without):
            nets[source] -= amount
            nets[destination] += amount
        if not without:
            return Flows(self.accounts, cast("list[Money]", nets[1:]))
        ends = ((source, destination) for source, destination, _ in self.moved(without))
        touched = sorted({*chain.from_iterable(ends)} - {0})
        return Flows(
            tuple(self.accounts[number - 1] for number in touched),
            [Money(nets[number]) for number in touched],
        )

    def uses(self, without: Collection[int] = ()) -> Uses:
        """Return what the movements take out of accounts."""
        outs, times = [0] * (len(self.accounts) + 1), [0] * (len(self.accounts) + 1)
        for source, _, amount in self.moved(without):
            outs[source] += amount
            times[source] += 1
        return Uses(cast("list[Money]", outs[1:]), times[1:])

    def moved(self, without: Collection[int] = ()) -> Iterable[tuple[int, int, Money]]:
        """Return source, destination and amount of each movement, but for those at the places `without`."""
        moved = zip(self.sources, self.destinations, self.amounts, strict=True)
        return [each for place, each in enumerate(moved) if place not in without] if without else moved

    def complaint(self) -> str | None:
        """Return what no columns can be, in words; None where each movement can be made of these."""
        count, places = self.size, (*self.sources, *self.destinations)
        lengths = {len(self.sources), len(self.destinations), len(self.memos) or count}
        if lengths != {count}:
            return "the columns of movements are not of one length"
        if not set(map(type, places)) <= {int} or {0, *places} != set(range(len(self.accounts) + 1)):
            return "movements name accounts by their places, from 1 on, and each account is named by one"
        if len(set(self.accounts)) != len(self.accounts):
            return "an account stands twice among those that movements name"
        if (0, 0) in zip(self.sources, self.destinations, strict=True):
            return "a movement has neither a source nor a destination"
        return None

    def are_plain(self) -> bool:
        """Whether all names, amounts and memos are well-formed: thousands of them, at one look."""
        names, amounts = self.accounts, self.amounts
        return (
            set(map(type, names)) <= {str}
            and are_ids(names)
            and set(map(type, amounts)) <= {int}
            and min(amounts, default=0) >= 0
            and max(amounts, default=0) <= MONEY_MAX
            and set(map(type, self.memos)) <= {str}
            and all(map(is_memo, self.memos))
        )
