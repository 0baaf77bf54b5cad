"""Where the rights to take money out should be: the policy, as pure functions of what one branch knows.

Decides how much is asked of whom, how much is granted, and what is passed on unasked. It cannot decide
anything unsafe: a branch grants only rights it has, whatever the policy says, so another policy may be put in
its place (Settings.policy). Must not know messages, logs or time. Proof: tests/core/test_rights.py.

The idea: rights belong where they are used. `Usage` counts what each branch lately took out of an account,
as every branch sees it in the logs. The share of an account's rights that a branch should have is its share
of that use. A branch that has less than it should is filled up by those that have more, when it asks and
also before it has to ask; so whoever is cut off later goes on with the share that it usually needs.

Sources: Balegas et al., "Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants"
(SRDS 2015), section 4.3, asks the richest first and moves rights ahead of need; the shares by use are ours.
"""

from collections.abc import Mapping
from math import isqrt
from typing import NamedTuple, Protocol

from bankbook.core.types import AccountId, BranchId, Money

# How many accounts' use is remembered: the busiest lately. About 500 bytes each; the rights to the others
# stay where they are until somebody asks.
ACCOUNTS_MAX = 10_000

# What was used before an account's funds turned over so often counts half, and so on: what happened lately
# decides, however busy the account is.
_TURNOVERS_REMEMBERED = 4

# The part of an account's rights that is shared out evenly whatever was used, one in so many: the first
# customer to walk into a branch that nobody used before is served at once too.
_EVEN_SHARE = 32

# The part that is shared out by the square roots of the use. What a branch needs in the next minute swings
# by about the root of what it needs on average: the less a branch is used, the more it has to have to spare
# in proportion: the square-root rule for safety stocks (Eppen, "Effects of Centralization on Expected Costs
# in a Multi-Location Newsboy Problem", Management Science 1979).
_SLACK_SHARE = 4

# So many times make a habit. A customer who walks from branch to branch and takes something out at each
# leaves no need behind; rights that hurried after would be missed at the branch where the customer goes next.
_HABIT_TIMES = 3

# Who has so many times what it lately used needs no more, whatever its share: where hardly anything is taken
# out, the shares go up and down with each withdrawal, and grants would cost more than the withdrawals.
_AMPLE_TIMES = 4

# Binary places of the roots, so that small numbers have different ones.
_PLACES = 16

# A branch is filled up at once when it has less than three quarters of its share; closer to the whole,
# ordinary chance would set off a grant at every withdrawal. At leisure, which is once in a heartbeat, it is
# filled up if it lacks a twentieth.
_NEEDY_BELOW_AT_ONCE = (3, 4)
_NEEDY_BELOW_AT_LEISURE = (19, 20)


class Holder(NamedTuple):
    """What one branch may take out of an account, as far as is known here."""

    rights: Money
    is_reachable: bool


class Policy(Protocol):
    """Who is asked for rights, and who is given how many."""

    def to_ask(self, missing: Money, others: Mapping[BranchId, Holder]) -> dict[BranchId, Money]:
        """Return how much to ask of whom, when this branch lacks `missing`.

        Where this does not cover what is missing, all branches are asked for all of it.
        """
        ...

    def to_grant(
        self,
        own: BranchId,
        asker: BranchId,
        wanted: Money,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
    ) -> Money:
        """Return how much of its rights the branch `own` gives to one that asks for `wanted`."""
        ...

    def to_pass_on(
        self,
        own: BranchId,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
        *,
        is_at_leisure: bool,
    ) -> tuple[BranchId, Money] | None:
        """Return to whom the branch `own` gives how much unasked; None where nobody needs it.

        It is asked after every step, of what was used in it, and at leisure once in a heartbeat.
        """
        ...


class ByUse:
    """The usual policy: each branch's share of the rights follows its share of the use."""

    def to_ask(self, missing: Money, others: Mapping[BranchId, Holder]) -> dict[BranchId, Money]:
        """Ask the richest first, those that can be reached before those that cannot."""
        asked: dict[BranchId, Money] = {}
        left = missing
        richest_first = sorted(
            others.items(), key=lambda each: (not each[1].is_reachable, -each[1].rights, each[0])
        )
        for branch, holder in richest_first:
            if left <= 0 or holder.rights <= 0:
                continue
            asked[branch] = left
            left = Money(left - holder.rights)
        return asked

    def to_grant(
        self,
        own: BranchId,
        asker: BranchId,
        wanted: Money,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
    ) -> Money:
        """Give what is wanted, and on top of it what the asker's use says it will want next."""
        shares = shares_by_use(rights, used)
        spare = max(rights[own] - wanted - shares[own], 0)
        gap = max(shares[asker] - rights[asker], 0)
        return Money(max(min(rights[own], wanted + min(spare, gap)), 0))

    def to_pass_on(
        self,
        own: BranchId,
        rights: Mapping[BranchId, Money],
        used: Mapping[BranchId, int],
        *,
        is_at_leisure: bool,
    ) -> tuple[BranchId, Money] | None:
        """Fill up the neediest branch, by this branch's part of what all have to spare.

        The others that have something to spare see much the same and give their parts, so that together
        they give what is needed once and not each for all.
        """
        if not any(used.values()):
            return None
        shares = shares_by_use(rights, used)
        spare = {branch: max(rights[branch] - shares[branch], 0) for branch in rights}
        below, whole = _NEEDY_BELOW_AT_LEISURE if is_at_leisure else _NEEDY_BELOW_AT_ONCE
        gaps = {
            branch: shares[branch] - rights[branch]
            for branch in rights
            if branch != own
            and rights[branch] < used.get(branch, 0) * _AMPLE_TIMES
            and rights[branch] * whole < shares[branch] * below
        }
        if not gaps or not spare[own]:
            return None
        neediest = max(gaps, key=lambda branch: (gaps[branch], -branch))
        part = Money(min(gaps[neediest] * spare[own] // sum(spare.values()), spare[own]))
        return (neediest, part) if part > 0 else None


def shares_by_use(rights: Mapping[BranchId, Money], used: Mapping[BranchId, int]) -> dict[BranchId, int]:
    """Return what each branch should have of all rights to one account; they sum to no more than all."""
    total, count = max(sum(rights.values()), 0), len(rights)
    if not any(used.get(branch, 0) for branch in rights):
        return dict.fromkeys(rights, total // count)
    even, slack = total // _EVEN_SHARE, total // _SLACK_SHARE
    steady = total - even - slack
    uses = {branch: used.get(branch, 0) for branch in rights}
    swings = {branch: isqrt(used << _PLACES) for branch, used in uses.items()}
    all_used, all_swings = sum(uses.values()), sum(swings.values())
    return {
        branch: even // count + slack * swings[branch] // all_swings + steady * uses[branch] // all_used
        for branch in rights
    }


class Usage:
    """What each branch lately took out of each account, again and again."""

    def __init__(self) -> None:
        self._uses: dict[AccountId, dict[BranchId, tuple[int, int]]] = {}
        """How much each branch took, and how often; whose use was noted last stands last."""

    def note(self, account: AccountId, branch: BranchId, amount: Money, funds: Money, times: int = 1) -> None:
        """Count what a branch took out, so many times, of an account that has `funds` left."""
        uses = self._uses.pop(account, None) or self._remember()
        self._uses[account] = uses
        used, often = uses.get(branch, (0, 0))
        uses[branch] = used + amount, often + times
        total = used + amount
        if len(uses) > 1:
            total = sum([each for each, _ in uses.values()])
        if total > _TURNOVERS_REMEMBERED * (max(funds, amount)):
            for each, (used, often) in uses.items():
                uses[each] = used // 2, often

    def _remember(self) -> dict[BranchId, tuple[int, int]]:
        """Return what begins without use; whose use is longest ago is forgotten where there are too many."""
        if len(self._uses) >= ACCOUNTS_MAX:
            del self._uses[next(iter(self._uses))]
        return {}

    def of(self, account: AccountId) -> Mapping[BranchId, int]:
        """Return what each branch took out that has done so some times; empty where none is remembered."""
        uses = self._uses.get(account, {})
        return {branch: used for branch, (used, often) in uses.items() if often >= _HABIT_TIMES}
