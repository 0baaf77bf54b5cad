"""Floors: no account is ever below its floor, in any state a branch can be in.

Decides whether a balance that was told, or one that some branch may have had, is below the floor. Must not
know rights or grants. Proof: tests/checkers/test_anomalies.py, test_floors.py (against all
states).

Sources: O'Neil, "The escrow transactional method" (TODS 1986), section 3, and Balegas et al., "Extending
eventually consistent cloud databases for enforcing numeric invariants" (SRDS 2015), section III: the
invariant holds in every state that can be reached by applying operations in an order that keeps causality.

A withdrawal whose answer told the balance shows exactly which writes to the account its branch had. So the
account's reachable states are at least the sets of writes that hold, with each such withdrawal, all that it
was decided on. One of them is below the floor exactly if the money that was there and the deposits cannot be
assigned to the withdrawals so that each is paid by deposits it was decided on: a maximum flow (Picard,
"Maximal closure of a graph", Management Science 1976).
"""

from collections import deque
from functools import partial
from typing import NamedTuple

from bankbook.checkers.effects import Standing
from bankbook.checkers.evidence import Account, Evidence, Read, bits_of
from bankbook.checkers.once import FINAL
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import named, names_of, numbered


class Payment(NamedTuple):
    """A withdrawal and what its branch had of the account when it decided."""

    bit: int
    amount: int
    had: int
    """Bitset of writes, its own left out."""


def check_floors(evidence: Evidence) -> Verdict:
    """Judge every account that has a floor."""
    tally = Tally("floors", "nothing was taken out of an account that has a floor")
    for account in evidence.by_index:
        if account.terms.floor is None:
            continue
        for read in (*account.reads, *account.unexplained):
            _check_told(account.terms.floor, read, tally)
        if any(amount < 0 for amount in account.amounts):
            _check_states(evidence, account, account.terms.floor, tally)
    for snapshot in evidence.snapshots:
        for name, balance in snapshot.final.balances.items():
            floor = evidence.accounts[name].terms.floor
            if floor is not None and balance < floor:
                where = f"At the end branch {snapshot.final.branch} has {balance} on {name}"
                tally.break_(FINAL, partial(Witness, f"{where}, below its floor of {floor}."))
    return tally.verdict()


def _check_told(floor: int, read: Read, tally: Tally) -> None:
    available = read.operation.available
    if read.balance is not None and read.balance < floor:
        what = f"the balance {read.balance}"
    elif available is not None and available < 0:
        what = f"that {available} can be taken out"
    else:
        return
    story = f"{named(read.operation)} was told {what} of {read.account.id}, whose floor is {floor}."
    tally.break_(read.place, partial(Witness, story, numbered(read)))


def _check_states(evidence: Evidence, account: Account, floor: int, tally: Tally) -> None:
    if not account.is_known:
        tally.leave_open(f"the history does not tell what each write to {account.id} moves.")
        return
    payments = [
        payment for bit in range(len(account.writes)) if (payment := _payment(evidence, account, bit))
    ]
    below = state_below(account.amounts, account.terms.balance - floor, payments)
    if below:
        tally.break_(
            account.writes[below.bit_length() - 1].asked_at,
            partial(_witness, evidence, account, floor, below),
        )
    else:
        tally.hold(len(payments))


def _payment(evidence: Evidence, account: Account, bit: int) -> Payment | None:
    """Return a withdrawal that happened; if it does not tell what it was decided on, assume the best."""
    write, amount = account.writes[bit], account.amounts[bit]
    if amount >= 0 or write.standing is not Standing.ACKNOWLEDGED:
        return None
    had = ((1 << len(account.writes)) - 1) & ~(1 << bit)
    for read in evidence.results[write.told_at]:
        if read.account is account:
            had &= read.may
    return Payment(bit, -amount, had)


def state_below(amounts: list[int], spare: int, payments: list[Payment]) -> int:
    """Find a set of writes below the floor that holds, with each payment, what it had; 0 if there is none.

    `spare` is what was there above the floor at first. A payment that is in another one's `had` comes along
    with it, and so does what that one had.
    """
    flow = Flow(amounts, spare, payments)
    for index in range(len(payments)):
        reached = flow.pay(index)
        if reached:
            state = 0
            for each in reached:
                state |= payments[each].had | 1 << payments[each].bit
            return state
    return 0


class Flow:
    """Which deposit pays for which withdrawal; they are paid one after the other.

    What was there at first counts as one more deposit, which every withdrawal was decided on.
    """

    def __init__(self, amounts: list[int], spare: int, payments: list[Payment]) -> None:
        self._first = 1 << len(amounts)
        self._needs = [payment.amount for payment in payments]
        self._had = [payment.had | self._first for payment in payments]
        self._left = {bit: amount for bit, amount in enumerate([*amounts, spare]) if amount > 0}
        self._deposits = sum(1 << bit for bit in self._left)
        self._full = self._deposits
        """Bitset of the deposits of which something is left."""
        self._paid: dict[int, dict[int, int]] = {bit: {} for bit in self._left}
        """Deposit to payment to how much."""

    def pay(self, index: int) -> set[int]:
        """Pay for a withdrawal; return the withdrawals that cannot all be paid, none if they can."""
        need = self._needs[index]
        while need > 0:
            way, reached = self._find(index)
            if not way:
                return reached
            need -= self._push(way, need)
        return set()

    def _find(self, index: int) -> tuple[list[int], set[int]]:
        """Find a way to something left: payment, deposit, another payment that gives it up, deposit, ...

        Returns it, or no way and all payments that were come by.
        """
        came_from: dict[int, tuple[int, int]] = {}
        queue, reached, tried = deque([index]), {index}, 0
        while queue:
            payment = queue.popleft()
            had = self._had[payment] & self._deposits
            # The latest first, which the fewest others were decided on; what all had comes last.
            left = (had & self._full & ~self._first) or had & self._full
            if left:
                return _way(index, payment, left.bit_length() - 1, came_from), reached
            for deposit in bits_of(had & ~tried):
                for other in self._paid[deposit]:
                    if other not in reached:
                        reached.add(other)
                        came_from[other] = (payment, deposit)
                        queue.append(other)
            tried |= had
        return [], reached

    def _push(self, way: list[int], need: int) -> int:
        """Move as much as possible along a way."""
        last = way[-1]
        amount = min(need, self._left[last])
        for at in range(1, len(way) - 1, 2):
            amount = min(amount, self._paid[way[at]][way[at + 1]])
        for at in range(0, len(way), 2):
            self._move(way[at + 1], way[at], amount)
            if at + 2 < len(way):
                self._move(way[at + 1], way[at + 2], -amount)
        self._left[last] -= amount
        if not self._left[last]:
            self._full &= ~(1 << last)
        return amount

    def _move(self, deposit: int, payment: int, amount: int) -> None:
        paid = self._paid[deposit]
        paid[payment] = paid.get(payment, 0) + amount
        if not paid[payment]:
            del paid[payment]


def _way(index: int, payment: int, last: int, came_from: dict[int, tuple[int, int]]) -> list[int]:
    way = [last, payment]
    while payment != index:
        payment, deposit = came_from[payment]
        way += [deposit, payment]
    return way[::-1]


def _witness(evidence: Evidence, account: Account, floor: int, below: int) -> Witness:
    for bit in bits_of(below):
        fewer = below & ~(1 << bit)
        if _is_closed(evidence, account, fewer) and _sum_of(account, fewer) < floor:
            below = fewer
    story = (
        f"A branch that had exactly {names_of(account, below)} would have {_sum_of(account, below)} on "
        f"{account.id}, whose floor is {floor}; everything these were decided on is among them."
    )
    return Witness(story, tuple(account.writes[bit].number for bit in bits_of(below)))


def _sum_of(account: Account, mask: int) -> int:
    return account.terms.balance + sum(account.amounts[bit] for bit in bits_of(mask))


def _is_closed(evidence: Evidence, account: Account, mask: int) -> bool:
    payments = (_payment(evidence, account, bit) for bit in bits_of(mask))
    return all(not payment.had & ~mask for payment in payments if payment)
