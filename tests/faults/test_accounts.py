"""Amounts tell what a balance counts."""

from random import Random

from faults.accounts import POWERS, Account, Accounts

from bankbook.core.types import BALANCE_MAX


def accounts(count: int) -> Accounts:
    found = Accounts(Random(1))  # noqa: S311  (amounts, no secrets)
    found.open += [Account(f"account-{each}", 0) for each in range(count)]
    return found


def test_no_amount_comes_twice_on_any_account() -> None:
    bank = accounts(3)
    taken: dict[str, list[int]] = {"account-0": [], "account-1": [], "account-2": []}
    while some := bank.some(2):
        amount = bank.take(some)
        if amount is None:
            break
        for account in some:
            taken[account.name].append(amount)
    for amounts in taken.values():
        assert len(set(amounts)) == len(amounts) > POWERS // 2
        assert sum(amounts) < BALANCE_MAX


def test_whoever_goes_for_all_gets_the_largest_amount_that_is_covered() -> None:
    bank = accounts(1)
    assert [bank.take(bank.open, 80) for _ in range(4)] == [27, 9, 3, 1]
    beyond = bank.take(bank.open, 80)
    assert beyond is not None
    assert beyond > 80


def test_an_account_that_is_used_up_makes_room_for_another_one() -> None:
    bank = accounts(7)
    assert bank.open[6] not in bank.in_use()
    while bank.open[0] in bank.in_use():
        assert bank.take([bank.open[0]]) is not None
    assert bank.in_use() == bank.open[1:]
