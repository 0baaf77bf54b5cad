"""The policy of rights: whom to ask, what to give, and that it comes to rest."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.rights import ACCOUNTS_MAX, ByUse, Holder, Usage, shares_by_use
from bankbook.core.types import AccountId, BranchId, Money

ANNA = AccountId("anna")
POLICY = ByUse()
branches = st.integers(2, 6)
amounts = st.integers(0, 10_000)


@st.composite
def banks(draw: st.DrawFn) -> tuple[dict[BranchId, Money], dict[BranchId, int]]:
    """Return the rights to one account and its use, of each branch."""
    numbers = [BranchId(number) for number in range(1, draw(branches) + 1)]
    rights = {number: Money(draw(amounts)) for number in numbers}
    return rights, {number: draw(amounts) for number in numbers if draw(st.booleans())}


def pass_on_until_rest(
    rights: dict[BranchId, Money], used: Mapping[BranchId, int], *, is_at_leisure: bool
) -> int:
    """Let one branch after the other pass on what it will; return how many grants it took."""
    for grants in range(1000):
        passed = ((own, POLICY.to_pass_on(own, rights, used, is_at_leisure=is_at_leisure)) for own in rights)
        move = next(((own, grant) for own, grant in passed if grant is not None), None)
        if move is None:
            return grants
        own, (to, amount) = move
        assert own != to
        assert 0 < amount <= rights[own]
        rights[own], rights[to] = Money(rights[own] - amount), Money(rights[to] + amount)
    raise AssertionError("rights are passed on for ever")


@given(banks())
def test_shares_sum_to_no_more_than_there_is(bank: tuple[dict[BranchId, Money], dict[BranchId, int]]) -> None:
    rights, used = bank
    shares = shares_by_use(rights, used)
    assert min(shares.values()) >= 0
    assert sum(rights.values()) - 4 * len(rights) <= sum(shares.values()) <= sum(rights.values())


@given(banks(), amounts)
def test_nobody_gives_more_than_it_has_nor_less_than_it_could_of_what_is_wanted(
    bank: tuple[dict[BranchId, Money], dict[BranchId, int]], wanted: int
) -> None:
    rights, used = bank
    own, asker = BranchId(1), BranchId(2)
    given_away = POLICY.to_grant(own, asker, Money(wanted), rights, used)
    assert min(wanted, rights[own]) <= given_away <= rights[own]


@given(banks(), st.booleans())
def test_passing_on_comes_to_rest_soon_with_nobody_in_need(
    bank: tuple[dict[BranchId, Money], dict[BranchId, int]],
    is_at_leisure: bool,
) -> None:
    rights, used = bank
    total = sum(rights.values())
    grants = pass_on_until_rest(rights, used, is_at_leisure=is_at_leisure)
    assert sum(rights.values()) == total
    assert grants <= 4 * len(rights) ** 2
    shares, part = shares_by_use(rights, used), 0.95 if is_at_leisure else 0.75
    if any(used.values()):
        enough = {each: min(part * shares[each], 4 * used.get(each, 0)) for each in rights}
        assert all(rights[each] >= enough[each] - 4 * len(rights) for each in rights)


def test_who_has_many_times_what_it_lately_used_is_given_nothing_unasked() -> None:
    rights = {BranchId(1): Money(1_000_000), BranchId(2): Money(100)}
    for used, is_needy in ((20, False), (30, True)):
        passed = POLICY.to_pass_on(BranchId(1), rights, {BranchId(2): used}, is_at_leisure=False)
        assert (passed is not None) == is_needy


@given(banks(), amounts, amounts)
def test_what_is_asked_covers_what_is_missing_wherever_the_others_can(
    bank: tuple[dict[BranchId, Money], dict[BranchId, int]], missing: int, unreachable: int
) -> None:
    rights, _ = bank
    others = {each: Holder(money, each % 7 != unreachable % 7) for each, money in rights.items()}
    plan = POLICY.to_ask(Money(missing), others)
    assert all(others[each].rights > 0 and wanted > 0 for each, wanted in plan.items())
    covered = sum(min(rights[each], wanted) for each, wanted in plan.items())
    assert covered == min(missing, sum(rights.values()))


def test_the_richest_that_can_be_reached_is_asked_first_and_nobody_without_need() -> None:
    others = {
        BranchId(2): Holder(Money(10), is_reachable=True),
        BranchId(3): Holder(Money(30), is_reachable=True),
        BranchId(4): Holder(Money(90), is_reachable=False),
    }
    assert POLICY.to_ask(Money(30), others) == {3: 30}
    assert POLICY.to_ask(Money(35), others) == {3: 35, 2: 5}
    assert POLICY.to_ask(Money(50), others) == {3: 50, 2: 20, 4: 10}
    assert POLICY.to_ask(Money(0), others) == {}


def test_while_nothing_was_used_nothing_is_passed_on() -> None:
    rights = {BranchId(1): Money(1000), BranchId(2): Money(0)}
    for used in ({}, {BranchId(2): 0}):
        assert POLICY.to_pass_on(BranchId(1), rights, used, is_at_leisure=True) is None


@pytest.mark.parametrize("used", [1, 100, 10_000])
def test_the_share_of_who_uses_all_is_nearly_all_and_never_quite(used: int) -> None:
    rights = {BranchId(1): Money(800), BranchId(2): Money(800)}
    assert shares_by_use(rights, {BranchId(2): used}) == {1: 25, 2: 1575}


def test_what_was_used_long_ago_is_forgotten_by_halves() -> None:
    usage = Usage()
    for _ in range(4):
        usage.note(ANNA, BranchId(1), Money(1000), Money(1000))
    for _ in range(200):
        usage.note(ANNA, BranchId(2), Money(100), Money(1000))
    used = usage.of(ANNA)
    assert used[BranchId(1)] < 0.1 * used[BranchId(2)]
    assert sum(used.values()) <= 5000


def test_a_customer_who_takes_something_out_at_each_branch_in_turn_moves_no_rights_ahead_of_it() -> None:
    usage = Usage()
    for branch in range(1, 11):
        for _ in range(2):
            usage.note(ANNA, BranchId(branch), Money(10), Money(100))
        assert usage.of(ANNA) == {}
    usage.note(ANNA, BranchId(3), Money(10), Money(100))
    assert list(usage.of(ANNA)) == [3], "the third time is a habit"


def test_of_a_hundred_thousand_accounts_the_busiest_lately_are_remembered() -> None:
    usage = Usage()
    for number in range(10 * ACCOUNTS_MAX):
        usage.note(AccountId(f"a{number}"), BranchId(1), Money(1), Money(1))
        if number % 100 == 0:
            usage.note(ANNA, BranchId(1), Money(1), Money(1))
    assert len(usage._uses) == ACCOUNTS_MAX
    assert usage.of(ANNA)
    assert usage.of(AccountId("a0")) == {}
