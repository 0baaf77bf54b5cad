"""States below the floor are found exactly where trying every state finds one."""

from hypothesis import given
from hypothesis import strategies as st

from bankbook.checkers.floors import Payment, state_below


def states(amounts: list[int], payments: list[Payment]) -> list[int]:
    """Every set of writes that holds, with each payment, what it had."""
    needs = {payment.bit: payment.had for payment in payments}
    return [
        state
        for state in range(1 << len(amounts))
        if all(not state >> bit & 1 or not had & ~state for bit, had in needs.items())
    ]


def total(amounts: list[int], state: int) -> int:
    return sum(amount for bit, amount in enumerate(amounts) if state >> bit & 1)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[list[int], list[Payment]]:
    amounts = draw(st.lists(st.integers(-6, 6).filter(bool), min_size=1, max_size=7))
    had = [draw(st.integers(0, (1 << bit) - 1)) for bit in range(len(amounts))]
    for bit in range(len(amounts)):
        # What a withdrawal had, had what it had itself.
        for other in range(bit):
            if had[bit] >> other & 1 and amounts[other] < 0:
                had[bit] |= had[other]
    payments = [Payment(bit, -amount, had[bit]) for bit, amount in enumerate(amounts) if amount < 0]
    return amounts, payments


@given(accounts(), st.integers(0, 8))
def test_a_state_below_the_floor_is_found_where_there_is_one(
    account: tuple[list[int], list[Payment]], spare: int
) -> None:
    amounts, payments = account
    possible = states(amounts, payments)
    found = state_below(amounts, spare, payments)
    assert bool(found) is any(spare + total(amounts, state) < 0 for state in possible)
    if found:
        assert found in possible
        assert spare + total(amounts, found) < 0


def test_money_paid_from_what_was_there_first_gives_way_to_who_has_nothing_else() -> None:
    # The second can only be paid from what was there at first; the first also from the deposit.
    payments = [Payment(1, 5, 0b001), Payment(2, 5, 0)]
    assert state_below([5, -5, -5], 5, payments) == 0
    assert state_below([5, -5, -5], 4, payments) == 0b100
