"""What branches say to each other, over the wire and back; and what a hostile branch can send."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from wire.made_up import (
    accounts,
    amounts,
    anything,
    customers,
    entries,
    entry_ids,
    freshnesses,
    keys,
    origins,
    runs,
    seqs,
    vectors,
    writes,
)

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.commands import ReadBalance
from bankbook.core.entry import Entry
from bankbook.core.messages import (
    Acknowledge,
    Answer,
    AskHead,
    AskKey,
    Entries,
    Forward,
    Head,
    Message,
    Subscribe,
    Unsubscribe,
)
from bankbook.core.outcome import Outcome
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Key, Origin, Seq
from bankbook.core.vector import VersionVector
from bankbook.wire.basics import MessageDamagedError, encode_origin
from bankbook.wire.peers import (
    Greeting,
    decode_from_publisher,
    decode_from_subscriber,
    encode_for_publisher,
    encode_for_subscriber,
)
from bankbook.wire.v1 import bank_pb2, replication_pb2
from bankbook.wire.v1.replication_pb2 import PublisherMessage, SubscriberMessage
from bankbook.wire.vectors import decode_vector, encode_vector

HERE, THERE = (Origin(BranchId(branch), Incarnation(0xB0B)) for branch in (1, 2))

questions = st.integers(0, 2**64 - 1)
greetings = st.builds(
    Greeting,
    st.integers(0, 2**32 - 1),
    st.text(max_size=20),
    st.text(max_size=16),
    origins,
    vectors,
    st.lists(origins, max_size=3).map(tuple),
)
from_subscribers: st.SearchStrategy[Message | Greeting] = st.one_of(
    greetings,
    st.builds(Subscribe, origins, seqs),
    st.builds(Unsubscribe, origins),
    st.builds(Acknowledge, origins, vectors),
    st.builds(
        AskHead,
        questions,
        st.none() | accounts,
        amounts,
        st.integers(0, HYBRID_TIME_MAX).map(HybridTime),
        st.none() | origins,
    ),
    st.builds(AskKey, questions, keys),
    st.builds(
        Forward,
        questions,
        customers,
        writes,
        keys,
        st.builds(Token, vectors, vectors),
        st.integers(0, 2**64 - 1),
        freshnesses,
    ),
)
from_publishers: st.SearchStrategy[Message | Greeting] = st.one_of(
    greetings,
    st.builds(lambda run, is_awaited: Entries(run[0].origin, run, is_awaited), runs(), st.booleans()),
    st.builds(Head, questions, origins, seqs, seqs, vectors, st.lists(origins, max_size=3).map(tuple)),
    st.builds(
        Answer,
        questions,
        st.none() | entry_ids,
        st.sampled_from(Outcome),
        st.text(st.characters(codec="utf-8"), max_size=60),
        st.none() | st.integers(1, 256).map(BranchId),
        st.booleans(),
    ),
)


def run_of(*entries: Entry, origin: Origin = HERE) -> PublisherMessage:
    run = replication_pb2.Entries(origin=encode_origin(origin), entries=[entry.encoded for entry in entries])
    return PublisherMessage(entries=run)


@given(from_subscribers)
def test_everything_a_subscriber_says_arrives_as_it_was_sent(message: Message | Greeting) -> None:
    sent = encode_for_publisher(message).SerializeToString()
    assert decode_from_subscriber(SubscriberMessage.FromString(sent)) == message


@given(from_publishers)
def test_everything_a_publisher_says_arrives_as_it_was_sent(message: Message | Greeting) -> None:
    sent = encode_for_subscriber(message).SerializeToString()
    assert decode_from_publisher(PublisherMessage.FromString(sent)) == message


@given(vectors)
def test_a_vector_arrives_as_it_was_sent(vector: VersionVector) -> None:
    assert decode_vector(encode_vector(vector)) == vector


@given(from_subscribers)
def test_what_only_a_subscriber_says_cannot_be_sent_by_a_publisher(message: Message | Greeting) -> None:
    if not isinstance(message, Greeting):
        with pytest.raises(AssertionError):
            encode_for_subscriber(message)


@given(from_publishers)
def test_what_only_a_publisher_says_cannot_be_sent_by_a_subscriber(message: Message | Greeting) -> None:
    if not isinstance(message, Greeting):
        with pytest.raises(AssertionError):
            encode_for_publisher(message)


def test_a_message_that_says_nothing_or_what_a_later_version_says_is_called_damaged() -> None:
    later = b"\xfa\x01\x02\x08\x01"  # field 31, of a kind that does not exist yet
    for said in (b"", later):
        with pytest.raises(MessageDamagedError, match="says nothing that this version knows"):
            decode_from_subscriber(SubscriberMessage.FromString(said))
        with pytest.raises(MessageDamagedError, match="says nothing that this version knows"):
            decode_from_publisher(PublisherMessage.FromString(said))


@given(anything(SubscriberMessage))
def test_whatever_a_hostile_subscriber_sends_is_a_message_or_is_called_damaged(
    message: SubscriberMessage,
) -> None:
    with suppress(MessageDamagedError):
        decode_from_subscriber(message)


@given(anything(PublisherMessage))
def test_whatever_a_hostile_publisher_sends_is_a_message_or_is_called_damaged(
    message: PublisherMessage,
) -> None:
    with suppress(MessageDamagedError):
        decode_from_publisher(message)


@given(st.binary(max_size=80))
def test_bytes_that_happen_to_parse_are_a_message_or_are_called_damaged(noise: bytes) -> None:
    with suppress(DecodeError, MessageDamagedError):
        decode_from_subscriber(SubscriberMessage.FromString(noise))
    with suppress(DecodeError, MessageDamagedError):
        decode_from_publisher(PublisherMessage.FromString(noise))


@given(runs(), st.data())
def test_an_entry_in_which_a_byte_was_turned_is_an_entry_or_is_called_damaged(
    run: tuple[Entry, ...], data: st.DataObject
) -> None:
    damaged = bytearray(run[0].encoded)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    message = replication_pb2.Entries(origin=encode_origin(run[0].origin), entries=[bytes(damaged)])
    with suppress(MessageDamagedError):
        decode_from_publisher(PublisherMessage(entries=message))


@given(st.data())
def test_a_run_with_a_gap_a_repetition_or_out_of_order_is_called_damaged(data: st.DataObject) -> None:
    one, two, three = (data.draw(entries(HERE, Seq(seq))) for seq in (1, 2, 3))
    for run in ((one, three), (one, one), (two, one), (one, two, two), (three, two, one)):
        with pytest.raises(MessageDamagedError, match="not a run of the log"):
            decode_from_publisher(run_of(*run))
    assert decode_from_publisher(run_of(two, three)) == Entries(HERE, (two, three))


@given(st.data())
def test_a_run_in_which_another_branch_or_another_life_had_a_hand_is_called_damaged(
    data: st.DataObject,
) -> None:
    reborn = Origin(HERE.branch, Incarnation(HERE.incarnation + 1))
    mine = data.draw(entries(HERE, Seq(1)))
    for origin in (THERE, reborn):
        foreign = data.draw(entries(origin, Seq(2)))
        with pytest.raises(MessageDamagedError, match="not a run of the log"):
            decode_from_publisher(run_of(mine, foreign))
        with pytest.raises(MessageDamagedError, match="not a run of the log"):
            decode_from_publisher(run_of(mine, origin=origin))


def test_an_empty_run_is_called_damaged() -> None:
    with pytest.raises(MessageDamagedError, match="not a run of the log"):
        decode_from_publisher(run_of())


@given(runs())
def test_a_run_of_nobody_is_called_damaged(run: tuple[Entry, ...]) -> None:
    message = replication_pb2.Entries(entries=[entry.encoded for entry in run])
    with pytest.raises(MessageDamagedError, match="an origin is a branch"):
        decode_from_publisher(PublisherMessage(entries=message))


@pytest.mark.parametrize("seq", [2**63, 2**64 - 1])
def test_a_seq_that_no_log_can_reach_is_called_damaged_wherever_it_stands(seq: int) -> None:
    origin = encode_origin(HERE)
    vector = replication_pb2.VersionVector(components=[replication_pb2.Component(origin=origin, seq=seq)])
    for from_subscriber in (
        SubscriberMessage(subscribe=replication_pb2.Subscribe(origin=origin, after=seq)),
        SubscriberMessage(acknowledge=replication_pb2.Acknowledge(applied=vector, origin=origin)),
        SubscriberMessage(greeting=replication_pb2.Greeting(origin=origin, applied=vector)),
    ):
        with pytest.raises(MessageDamagedError, match="a seq is at most"):
            decode_from_subscriber(from_subscriber)
    for head in (
        replication_pb2.Head(origin=origin, head=seq),
        replication_pb2.Head(origin=origin, last_write=seq),
        replication_pb2.Head(origin=origin, applied=vector),
    ):
        with pytest.raises(MessageDamagedError, match="a seq is at most"):
            decode_from_publisher(PublisherMessage(head=head))


@pytest.mark.parametrize("account", ["", "-", "a b", "a" * 65, "konto\n", "\u00e4"])
def test_a_question_about_what_cannot_be_an_account_is_called_damaged(account: str) -> None:
    question = replication_pb2.AskHead(question=1, account=account)
    with pytest.raises(MessageDamagedError, match="not an account's id"):
        decode_from_subscriber(SubscriberMessage(ask_head=question))


def test_a_question_about_no_account_is_one_about_the_whole_log() -> None:
    question = SubscriberMessage(ask_head=replication_pb2.AskHead(question=7))
    assert decode_from_subscriber(question) == AskHead(7, None)


def test_a_branch_number_beyond_any_bank_is_called_damaged() -> None:
    origin = bank_pb2.Origin(branch=257, incarnation=1)
    with pytest.raises(MessageDamagedError, match="an origin is a branch"):
        decode_from_subscriber(SubscriberMessage(unsubscribe=replication_pb2.Unsubscribe(origin=origin)))


def deposit(**fields: object) -> bank_pb2.DepositRequest:
    return bank_pb2.DepositRequest(**{"account": "anna", "amount": 5, **fields})  # type: ignore[arg-type]


FORWARDS = [
    (replication_pb2.Forward(customer="anna", key="a"), "a command is missing"),
    (replication_pb2.Forward(customer="", key="a", deposit=deposit()), "a customer id has"),
    (replication_pb2.Forward(customer="anna", key="", deposit=deposit()), "not an idempotency key"),
    (replication_pb2.Forward(customer="anna", key="257/a", deposit=deposit()), "not an idempotency key"),
    (replication_pb2.Forward(customer="anna", key="a", deposit=deposit(amount=-1)), "an amount is"),
    (replication_pb2.Forward(customer="anna", key="a", deposit=deposit(key="b")), "has no key of its own"),
    (
        replication_pb2.Forward(
            customer="anna",
            key="a",
            submit_batch=bank_pb2.SubmitBatchRequest(commands=[bank_pb2.BatchCommand()]),
        ),
        "a command is missing",
    ),
]


@pytest.mark.parametrize(("forward", "words"), FORWARDS)
def test_a_forwarded_request_that_a_customer_could_not_have_sent_is_called_damaged(
    forward: replication_pb2.Forward, words: str
) -> None:
    with pytest.raises(MessageDamagedError, match=words):
        decode_from_subscriber(SubscriberMessage(forward=forward))


def test_a_read_is_never_forwarded() -> None:
    forward = Forward(1, CustomerId("anna"), ReadBalance(AccountId("anna")), Key("a"), EMPTY, 0)
    with pytest.raises(AssertionError):
        encode_for_publisher(forward)


@pytest.mark.parametrize("key", ["", "-", "a b", "/a", "0/a", "257/a", "01/a", "a" * 65])
def test_a_question_about_what_cannot_be_a_key_is_called_damaged(key: str) -> None:
    with pytest.raises(MessageDamagedError, match="not an idempotency key"):
        decode_from_subscriber(SubscriberMessage(ask_key=replication_pb2.AskKey(key=key)))


@pytest.mark.parametrize(("wanted", "since"), [(-1, 0), (2**53, 0), (0, -1)])
def test_rights_that_nobody_can_want_are_called_damaged(wanted: int, since: int) -> None:
    question = replication_pb2.AskHead(question=1, account="anna", wanted=wanted, since=since)
    with pytest.raises(MessageDamagedError, match="nobody wants"):
        decode_from_subscriber(SubscriberMessage(ask_head=question))


def test_an_answer_with_an_outcome_or_a_branch_that_nobody_knows_is_called_damaged() -> None:
    for answer in (
        replication_pb2.Answer(question=1),
        replication_pb2.Answer(question=1, outcome="NEVER_HEARD_OF"),
        replication_pb2.Answer(question=1, outcome="OK", branch=0),
        replication_pb2.Answer(question=1, outcome="OK", branch=257),
    ):
        with pytest.raises(MessageDamagedError):
            decode_from_publisher(PublisherMessage(answer=answer))
