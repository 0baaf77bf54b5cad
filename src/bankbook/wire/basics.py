"""What every message is made of: origins, entries, gaps; and what gRPC may carry at once.

Decides the largest message, and how many go together. Must not know who sends what.
Proof: tests/wire/test_requests.py, tests/server/test_stream_batches.py.
"""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

from bankbook.core.types import (
    BRANCHES_MAX,
    INCARNATION_MAX,
    SEQ_MAX,
    BranchId,
    EntryId,
    Incarnation,
    Origin,
    Seq,
)
from bankbook.core.vector import Gap
from bankbook.wire.v1 import bank_pb2

# gRPC itself takes 4 MiB. The largest entry has 3 MiB, the largest batch of requests as much, and the answer
# to it, with a sentence for every command that was refused, 6 MiB at the most.
MESSAGE_BYTES_MAX = 8 * 1024 * 1024

MESSAGE_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)
"""For every server and every channel."""

# What goes into one message of a stream: the fewer, the cheaper, up to here. A branch that comes back may be
# sent a whole window of every log in one step; all in one message, that would be more than gRPC takes, and
# the stream would break again and again.
BATCH_BYTES = 1024 * 1024

Single = TypeVar("Single", bound=Message)


class MessageDamagedError(ValueError):
    """A message is well-formed protocol buffers and means nothing all the same; says why."""


def batches(messages: list[Single]) -> Iterator[list[Single]]:
    """Yield the messages in their order, as many together as one message of a stream should carry."""
    batch: list[Single] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if batch and size > BATCH_BYTES:
            yield batch
            batch, size = [], message.ByteSize()
        batch.append(message)
    if batch:
        yield batch


def encode_gap(gap: Gap) -> bank_pb2.Gap:
    """Return the message for a gap."""
    return bank_pb2.Gap(origin=encode_origin(gap.origin), has=gap.has, needs=gap.needs)


def decode_gap(message: bank_pb2.Gap) -> Gap:
    """Return a gap; raises MessageDamagedError."""
    return Gap(decode_origin(message.origin), decode_seq(message.has), decode_seq(message.needs))


def encode_entry_id(entry: EntryId) -> bank_pb2.EntryId:
    """Return the message for the place of an entry."""
    return bank_pb2.EntryId(origin=encode_origin(entry.origin), seq=entry.seq)


def decode_entry_id(message: bank_pb2.EntryId) -> EntryId:
    """Return the place of an entry; raises MessageDamagedError."""
    return EntryId(decode_origin(message.origin), decode_seq(message.seq))


def encode_origin(origin: Origin) -> bank_pb2.Origin:
    """Return the message for an origin."""
    return bank_pb2.Origin(branch=origin.branch, incarnation=origin.incarnation)


def decode_origin(message: bank_pb2.Origin) -> Origin:
    """Return an origin; raises MessageDamagedError."""
    if not 1 <= message.branch <= BRANCHES_MAX or not 1 <= message.incarnation <= INCARNATION_MAX:
        raise MessageDamagedError(
            f"an origin is a branch from 1 to {BRANCHES_MAX} and an incarnation above 0, "
            f"not {message.branch} and {message.incarnation}"
        )
    return Origin(BranchId(message.branch), Incarnation(message.incarnation))


def decode_seq(number: int) -> Seq:
    """Return a seq; raises MessageDamagedError."""
    if number > SEQ_MAX:
        raise MessageDamagedError(f"a seq is at most {SEQ_MAX}, not {number}")
    return Seq(number)
