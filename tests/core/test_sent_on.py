"""Requests that another branch decides: they are sent on to it, and sent again until it has answered."""

from bank_in_one_thread import ANNA, BankInOneThread

from bankbook.core.commands import Capture, Deposit, ReadBalance, Reserve
from bankbook.core.messages import Entries, Forward
from bankbook.core.outcome import Outcome
from bankbook.core.replica import Settings
from bankbook.core.types import Money, ReservationId

TEN = Money(10)


def bank_with_little_room() -> tuple[BankInOneThread, ReservationId]:
    """Return a bank whose branches have room for one who waits, and what branch 1 has set aside."""
    bank = BankInOneThread(2, opening_balance=100, settings=Settings(held_max=1))
    bank.deliver_all()
    reservation = bank.do(1, Reserve(ANNA, TEN)).reservation
    assert reservation is not None
    bank.deliver_all()
    return bank, reservation


def test_what_was_refused_for_want_of_room_does_not_happen_when_it_arrives_once_more() -> None:
    """Who is told TOO_MANY_HELD may capture with a new key.

    No entry tells that it was refused, so its key does not stop it: only the branch's memory of what was sent
    on to it does.
    """
    bank, reservation = bank_with_little_room()
    bank.hold_back(2, 1, Entries)
    token = bank.do(2, Deposit(ANNA, TEN)).token
    waits = bank.ask(1, ReadBalance(ANNA), token)
    assert bank.is_held(waits)
    asked = bank.ask(2, Capture(reservation, Money(4), is_final=False), token, key="2/capture")
    (forward,) = bank.letters(2, 1, Forward)
    bank.duplicate(forward)
    bank.deliver(forward)
    bank.hold_back(2, 1, Forward)
    bank.deliver_all()
    assert bank.reply(asked).outcome is Outcome.TOO_MANY_HELD
    bank.let_go()
    bank.deliver_all()
    assert bank.reply(waits).balance == 110
    assert bank.do(1, Capture(reservation, Money(4), is_final=False), key="1/new").balance == 106
