"""What is written down of who asked."""

from bankbook.core.commands import Deposit
from bankbook.core.types import AccountId, Key, Money
from bankbook.simulation.operations import Intent


def test_a_decision_may_have_been_for_another_session_that_had_asked_before_it_was_written() -> None:
    intent = Intent("pay", Deposit(AccountId("anna"), Money(1)), Key("1/pay"))
    intent.asked_us["phone"] = 10
    assert not intent.was_asked_by_another("phone", 30)
    intent.asked_us["desk"] = 20
    assert intent.was_asked_by_another("phone", 30)
    assert not intent.was_asked_by_another("phone", 20)
