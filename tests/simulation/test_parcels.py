"""Messages between simulated branches travel as bytes; what cannot be said, or understood, is found."""

import pytest

from bankbook.core.commands import Deposit
from bankbook.core.messages import Answer, AskHead, Forward, Message, Subscribe
from bankbook.core.outcome import Outcome
from bankbook.core.token import Token
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Key, Money, Origin, Seq
from bankbook.simulation import streams
from bankbook.simulation.parcels import pack_down, pack_up, sorted_out, unpack_down, unpack_up
from bankbook.simulation.promises import Promise
from bankbook.simulation.run import simulate
from bankbook.wire.basics import MessageDamagedError

ORIGIN = Origin(BranchId(1), Incarnation(7))
ANSWER = Answer(5, None, Outcome.HOLD_TIMEOUT, "too late", BranchId(2))


def forward(wait_us: int) -> Forward:
    command = Deposit(AccountId("anna"), Money(5))
    return Forward(3, CustomerId("anna"), command, Key("2/order"), Token(), wait_us)


def test_what_is_packed_is_unpacked_at_the_other_end() -> None:
    up: list[Message] = [Subscribe(ORIGIN, Seq(4)), AskHead(9, AccountId("anna")), forward(wait_us=17)]
    assert list(unpack_up(pack_up(up))) == up
    assert list(unpack_down(pack_down([ANSWER]))) == [ANSWER]


def test_each_message_goes_over_the_stream_that_carries_its_kind() -> None:
    subscribe = Subscribe(ORIGIN, Seq(4))
    assert sorted_out([ANSWER, subscribe]) == ([subscribe], [ANSWER])


def test_nobody_can_say_that_he_waits_less_than_no_time() -> None:
    with pytest.raises(ValueError, match="out of range"):
        pack_up([forward(wait_us=-1)])


def test_what_means_nothing_is_not_understood() -> None:
    with pytest.raises(MessageDamagedError, match="an origin is a branch"):
        list(unpack_up(pack_up([Subscribe(Origin(BranchId(0), Incarnation(7)), Seq(4))])))


def test_a_seed_fails_under_which_a_branch_says_what_no_other_understands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mumble(messages: object) -> bytes:
        assert isinstance(messages, list)
        origins = [each for each in messages if isinstance(each, Subscribe)]
        nobody = Origin(BranchId(0), Incarnation(7))
        return pack_up([*messages, *(Subscribe(nobody, each.after) for each in origins)])

    monkeypatch.setattr(streams, "pack_up", mumble)
    violation = simulate(0).violation
    assert violation is not None
    assert violation.promise == Promise.NO_CRASH
    assert "an origin is a branch" in violation.words
