"""What branches say to each other, as the bytes that gRPC would carry.

Decides nothing: packs and unpacks by the real encodings (wire.peers), as server.streams does. Must not know
what becomes of a parcel under way. What cannot be said is a bug of who says it; what cannot be understood is
one of either; both end the simulation.
Proof: tests/simulation/test_parcels.py.
"""

from collections.abc import Iterable, Iterator
from typing import get_args

from bankbook.core.messages import Message, ToPublisher
from bankbook.wire.peers import (
    Greeting,
    decode_from_publisher,
    decode_from_subscriber,
    encode_for_publisher,
    encode_for_subscriber,
)
from bankbook.wire.v1 import replication_pb2

_GO_UP = frozenset(get_args(ToPublisher))


def sorted_out(messages: Iterable[Message]) -> tuple[list[Message], list[Message]]:
    """Return what goes up the stream to a publisher, and what comes down to a subscriber."""
    up: list[Message] = []
    down: list[Message] = []
    for message in messages:
        (up if type(message) in _GO_UP else down).append(message)
    return up, down


def pack_up(messages: Iterable[Message | Greeting]) -> bytes:
    """Return what a subscriber sends up its stream. Raises ValueError where something cannot be said."""
    encoded = [encode_for_publisher(message) for message in messages]
    return replication_pb2.SubscriberMessages(messages=encoded).SerializeToString()


def unpack_up(parcel: bytes) -> Iterator[Message | Greeting]:
    """Yield what a subscriber said. Raises MessageDamagedError."""
    return map(decode_from_subscriber, replication_pb2.SubscriberMessages.FromString(parcel).messages)


def pack_down(messages: Iterable[Message | Greeting]) -> bytes:
    """Return what a publisher sends down a stream. Raises ValueError where something cannot be said."""
    encoded = [encode_for_subscriber(message) for message in messages]
    return replication_pb2.PublisherMessages(messages=encoded).SerializeToString()


def unpack_down(parcel: bytes) -> Iterator[Message | Greeting]:
    """Yield what a publisher said. Raises MessageDamagedError."""
    return map(decode_from_publisher, replication_pb2.PublisherMessages.FromString(parcel).messages)
