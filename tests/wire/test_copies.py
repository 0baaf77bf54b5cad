"""Parts of a copy, over the wire and back; and what no store may be given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import accounts, anything, entries, entry_ids, origins, seqs, vectors

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.entry import EXPIRES_MS_MAX, Reservation
from bankbook.core.messages import AskCopy, CopyPart
from bankbook.core.ports import (
    Account,
    CopyEnd,
    Holding,
    Portion,
    ReservationRecord,
    ReservationState,
    row_of,
)
from bankbook.core.types import BALANCE_MAX, MONEY_MAX, Money, reservation_id
from bankbook.core.vector import NOTHING
from bankbook.wire.basics import MessageDamagedError
from bankbook.wire.copies import decode_copy_part
from bankbook.wire.peers import (
    decode_from_publisher,
    decode_from_subscriber,
    encode_for_publisher,
    encode_for_subscriber,
)
from bankbook.wire.v1 import replication_pb2

numbers = st.integers(0, 2**64 - 1)
parts = st.integers(0, 2**32 - 1)
balances = st.integers(-BALANCE_MAX, BALANCE_MAX).map(Money)
rows = st.builds(
    row_of,
    st.builds(
        Account,
        balances,
        st.none() | st.integers(-MONEY_MAX, 0).map(Money),
        st.just("") | accounts.map(str),
        st.integers(0, BALANCE_MAX).map(Money),
    ),
    st.dictionaries(origins, st.builds(Holding, seqs, balances), max_size=3),
)
reserved = st.integers(0, MONEY_MAX).flatmap(
    lambda amount: st.builds(
        ReservationRecord,
        st.builds(
            Reservation,
            accounts,
            st.just(Money(amount)),
            st.none() | accounts,
            st.none() | st.integers(0, EXPIRES_MS_MAX),
        ),
        st.integers(0, amount).map(Money),
        st.sampled_from(ReservationState),
    )
)
times = st.integers(0, HYBRID_TIME_MAX).map(HybridTime)
ends = vectors.flatmap(
    lambda applied: st.builds(
        CopyEnd,
        st.just(applied),
        st.sampled_from([NOTHING, applied]),
        st.sampled_from([{}, dict(applied)]),
        times,
        times,
    )
)
portions = st.builds(
    Portion,
    st.dictionaries(accounts, rows, max_size=3),
    st.dictionaries(st.builds(reservation_id, entry_ids, st.integers(0, 9)), reserved, max_size=3),
    st.lists(st.tuples(origins, seqs.filter(bool)).flatmap(lambda each: entries(*each)), max_size=3).map(
        tuple
    ),
    st.none() | ends,
)


@given(st.builds(CopyPart, numbers, parts, st.none() | portions))
def test_a_part_arrives_as_it_was_sent(part: CopyPart) -> None:
    sent = encode_for_subscriber(part).SerializeToString()
    assert decode_from_publisher(replication_pb2.PublisherMessage.FromString(sent)) == part


@given(st.builds(AskCopy, numbers, parts))
def test_a_question_for_a_part_arrives_as_it_was_asked(ask: AskCopy) -> None:
    sent = encode_for_publisher(ask).SerializeToString()
    assert decode_from_subscriber(replication_pb2.SubscriberMessage.FromString(sent)) == ask


@given(anything(replication_pb2.CopyPart))
def test_whatever_comes_is_a_part_or_is_refused(message: replication_pb2.CopyPart) -> None:
    try:
        part = decode_copy_part(message)
    except MessageDamagedError:
        return
    assert decode_from_publisher(encode_for_subscriber(part)) == part


ROW = {"account": "anna", "balance": 5}
RESERVED = {"reservation": "1.0000000b-1-0", "account": "anna", "amount": 5, "left": 5, "state": "open"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": [{**ROW, "account": "an na"}]},
        {"accounts": [{**ROW, "reserved": -1}]},
        {"accounts": [{**ROW, "floor": 1}]},
        {"accounts": [{**ROW, "currency": "\n"}]},
        {"accounts": [{**ROW, "holdings": [{"origin": {"branch": 0, "incarnation": 1}}]}]},
        {"reservations": [{**RESERVED, "reservation": "of-mine"}]},
        {"reservations": [{**RESERVED, "left": 6}]},
        {"reservations": [{**RESERVED, "left": -1}]},
        {"reservations": [{**RESERVED, "state": "forgotten"}]},
        {"reservations": [{**RESERVED, "destination": ""}]},
        {"reservations": [{**RESERVED, "expires_ms": -1}]},
        {"entries": [b"{}"]},
        {"end": {"clock": -1}},
        {"end": {"stated_from": -1}},
        {"end": {"dropped": {"components": [{"origin": {"branch": 1, "incarnation": 1}, "seq": 1}]}}},
        {"end": {"ended": {"components": [{"origin": {"branch": 1, "incarnation": 1}, "seq": 1}]}}},
    ],
    ids=str,
)
def test_what_no_store_may_be_given_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MessageDamagedError):
        decode_copy_part(replication_pb2.CopyPart(**wrong))  # type: ignore[arg-type]
