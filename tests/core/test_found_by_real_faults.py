"""What customers of real processes met while everything went wrong (tests/faults)."""

from bank_in_one_thread import ANNA, BankInOneThread

from bankbook.core.commands import Capture, Reserve
from bankbook.core.messages import Forward
from bankbook.core.outcome import Outcome
from bankbook.core.types import Money
from bankbook.wire.peers import encode_for_publisher

TEN = Money(10)


def test_a_request_whose_time_was_over_when_it_came_is_sent_on_in_words_that_can_be_sent() -> None:
    """Nobody waits for less than no time; the branch that could not say so ended."""
    bank = BankInOneThread(2, opening_balance=100)
    bank.deliver_all()
    reservation = bank.do(1, Reserve(ANNA, TEN)).reservation
    assert reservation is not None
    bank.deliver_all()
    late = bank.ask(2, Capture(reservation), key="2/late", within_us=-1)
    for letter in bank.letters(2, 1, Forward):
        assert isinstance(letter.message, Forward)
        assert encode_for_publisher(letter.message).forward.wait_us == 0
    bank.deliver_all()
    assert bank.reply(late).outcome is Outcome.OUTCOME_UNKNOWN
    again = bank.do(1, Capture(reservation), key="2/late")
    assert (again.outcome, again.balance) == (Outcome.OK, 90)
