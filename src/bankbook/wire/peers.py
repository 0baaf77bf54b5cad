"""What branches say to each other, between protocol buffers and the core's types.

Decides nothing. Everything that comes from outside is checked before the core sees it.
Proof: tests/wire/test_peers.py.
"""

from dataclasses import dataclass

from bankbook.core.entry import Entry, EntryDamagedError, decode_entry
from bankbook.core.messages import Acknowledge, AskHead, Entries, Head, Message, Subscribe, Unsubscribe
from bankbook.core.types import AccountId, Origin, is_id
from bankbook.core.vector import VersionVector
from bankbook.wire.requests import MessageDamagedError, decode_origin, decode_seq, encode_origin
from bankbook.wire.v1 import replication_pb2

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first message of either side of a stream."""

    version: int
    cluster: str
    genesis: str
    """The fingerprint of the bank's genesis."""
    origin: Origin
    applied: VersionVector
    """What the greeting branch has on its disk."""


def encode_for_publisher(message: Message | Greeting) -> replication_pb2.SubscriberMessage:
    """Return the message that a subscriber sends up its stream."""
    match message:
        case Greeting():
            return replication_pb2.SubscriberMessage(greeting=_encode_greeting(message))
        case Subscribe(origin, after):
            subscribe = replication_pb2.Subscribe(origin=encode_origin(origin), after=after)
            return replication_pb2.SubscriberMessage(subscribe=subscribe)
        case Unsubscribe(origin):
            unsubscribe = replication_pb2.Unsubscribe(origin=encode_origin(origin))
            return replication_pb2.SubscriberMessage(unsubscribe=unsubscribe)
        case Acknowledge(applied):
            acknowledge = replication_pb2.Acknowledge(applied=encode_vector(applied))
            return replication_pb2.SubscriberMessage(acknowledge=acknowledge)
        case AskHead(question, account):
            ask_head = replication_pb2.AskHead(question=question, account=account)
            return replication_pb2.SubscriberMessage(ask_head=ask_head)
        case _:
            raise AssertionError(f"{type(message).__name__} is not a subscriber's message")


def encode_for_subscriber(message: Message | Greeting) -> replication_pb2.PublisherMessage:
    """Return the message that a publisher sends down a stream."""
    match message:
        case Greeting():
            return replication_pb2.PublisherMessage(greeting=_encode_greeting(message))
        case Entries(origin, entries):
            run = replication_pb2.Entries(
                origin=encode_origin(origin), entries=[entry.encoded for entry in entries]
            )
            return replication_pb2.PublisherMessage(entries=run)
        case Head():
            head = replication_pb2.Head(
                question=message.question,
                origin=encode_origin(message.origin),
                head=message.head,
                last_write=message.last_write,
                applied=encode_vector(message.applied),
            )
            return replication_pb2.PublisherMessage(head=head)
        case _:
            raise AssertionError(f"{type(message).__name__} is not a publisher's message")


def decode_from_subscriber(message: replication_pb2.SubscriberMessage) -> Message | Greeting:
    """Return what a subscriber said; raises MessageDamagedError."""
    match message.WhichOneof("kind"):
        case "greeting":
            return _decode_greeting(message.greeting)
        case "subscribe":
            return Subscribe(decode_origin(message.subscribe.origin), decode_seq(message.subscribe.after))
        case "unsubscribe":
            return Unsubscribe(decode_origin(message.unsubscribe.origin))
        case "acknowledge":
            return Acknowledge(decode_vector(message.acknowledge.applied))
        case "ask_head":
            return _decode_ask_head(message.ask_head)
        case _:
            raise MessageDamagedError("a subscriber's message says nothing that this version knows")


def decode_from_publisher(message: replication_pb2.PublisherMessage) -> Message | Greeting:
    """Return what a publisher said; raises MessageDamagedError."""
    match message.WhichOneof("kind"):
        case "greeting":
            return _decode_greeting(message.greeting)
        case "entries":
            return _decode_entries(message.entries)
        case "head":
            return Head(
                message.head.question,
                decode_origin(message.head.origin),
                decode_seq(message.head.head),
                decode_seq(message.head.last_write),
                decode_vector(message.head.applied),
            )
        case _:
            raise MessageDamagedError("a publisher's message says nothing that this version knows")


def encode_vector(vector: VersionVector) -> replication_pb2.VersionVector:
    """Return the message for a version vector."""
    return replication_pb2.VersionVector(
        components=[
            replication_pb2.Component(origin=encode_origin(origin), seq=seq) for origin, seq in vector
        ]
    )


def decode_vector(message: replication_pb2.VersionVector) -> VersionVector:
    """Return a version vector; raises MessageDamagedError."""
    return VersionVector((decode_origin(c.origin), decode_seq(c.seq)) for c in message.components)


def _encode_greeting(greeting: Greeting) -> replication_pb2.Greeting:
    return replication_pb2.Greeting(
        version=greeting.version,
        cluster=greeting.cluster,
        genesis=greeting.genesis,
        origin=encode_origin(greeting.origin),
        applied=encode_vector(greeting.applied),
    )


def _decode_greeting(message: replication_pb2.Greeting) -> Greeting:
    return Greeting(
        message.version,
        message.cluster,
        message.genesis,
        decode_origin(message.origin),
        decode_vector(message.applied),
    )


def _decode_ask_head(message: replication_pb2.AskHead) -> AskHead:
    if not message.HasField("account"):
        return AskHead(message.question)
    if not is_id(message.account):
        raise MessageDamagedError(f"{message.account[:80]!r} is not an account's id")
    return AskHead(message.question, AccountId(message.account))


def _decode_entries(message: replication_pb2.Entries) -> Entries:
    origin = decode_origin(message.origin)
    try:
        entries = tuple(decode_entry(encoded) for encoded in message.entries)
    except EntryDamagedError as error:
        raise MessageDamagedError(f"an entry of {origin} is damaged: {error}") from error
    if not entries or any(not _follows(entry, origin, entries[0], n) for n, entry in enumerate(entries)):
        raise MessageDamagedError(f"not a run of the log of {origin}")
    return Entries(origin, entries)


def _follows(entry: Entry, origin: Origin, first: Entry, place: int) -> bool:
    return entry.origin == origin and entry.seq == first.seq + place
