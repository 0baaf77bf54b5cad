"""What branches say to each other, between protocol buffers and the core's types.

Decides nothing. Everything that comes from outside is checked before the core sees it.
Proof: tests/wire/test_peers.py.
"""

from dataclasses import dataclass

from bankbook.core.bounds import complaint_about, complaint_about_customer
from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import Entry
from bankbook.core.messages import (
    Acknowledge,
    Answer,
    AskCopy,
    AskHead,
    AskKey,
    CopyPart,
    Entries,
    Forward,
    Head,
    Message,
    Subscribe,
    Unsubscribe,
)
from bankbook.core.token import Token
from bankbook.core.types import (
    MONEY_MAX,
    AccountId,
    BranchId,
    CustomerId,
    Key,
    Money,
    Origin,
    is_branch_number,
    is_id,
    is_key,
)
from bankbook.core.vector import VersionVector
from bankbook.wire.basics import (
    MessageDamagedError,
    decode_entry_id,
    decode_origin,
    decode_seq,
    encode_entry_id,
    encode_origin,
)
from bankbook.wire.commands import decode_write, encode_write
from bankbook.wire.copies import decode_copy_part, encode_copy_part
from bankbook.wire.replies import decode_outcome
from bankbook.wire.requests import decode_freshness, encode_freshness
from bankbook.wire.v1 import replication_pb2
from bankbook.wire.vectors import decode_vector, encode_vector

# 3: which stores were replaced by newer ones. 4: copies, without which a new store would wait for ever for
# entries that were dropped.
PROTOCOL_VERSION = 4


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
    over: tuple[Origin, ...] = ()
    """The stores, of whichever branch, that it knows to be replaced by newer ones."""


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
        case Acknowledge(origin, applied):
            acknowledge = replication_pb2.Acknowledge(
                applied=encode_vector(applied), origin=encode_origin(origin)
            )
            return replication_pb2.SubscriberMessage(acknowledge=acknowledge)
        case AskHead(question, account, wanted, since, joining):
            ask_head = replication_pb2.AskHead(
                question=question,
                account=account,
                wanted=wanted,
                since=since,
                joining=None if joining is None else encode_origin(joining),
            )
            return replication_pb2.SubscriberMessage(ask_head=ask_head)
        case AskKey(question, key):
            return replication_pb2.SubscriberMessage(
                ask_key=replication_pb2.AskKey(question=question, key=key)
            )
        case Forward():
            return replication_pb2.SubscriberMessage(forward=_encode_forward(message))
        case AskCopy(copy, part):
            return replication_pb2.SubscriberMessage(ask_copy=replication_pb2.AskCopy(copy=copy, part=part))
        case _:
            raise AssertionError(f"{type(message).__name__} is not a subscriber's message")


def encode_for_subscriber(message: Message | Greeting) -> replication_pb2.PublisherMessage:
    """Return the message that a publisher sends down a stream."""
    match message:
        case Greeting():
            return replication_pb2.PublisherMessage(greeting=_encode_greeting(message))
        case Entries(origin, entries, is_awaited):
            run = replication_pb2.Entries(
                origin=encode_origin(origin),
                entries=[entry.encoded for entry in entries],
                is_awaited=is_awaited,
            )
            return replication_pb2.PublisherMessage(entries=run)
        case Head():
            head = replication_pb2.Head(
                question=message.question,
                origin=encode_origin(message.origin),
                head=message.head,
                last_write=message.last_write,
                applied=encode_vector(message.applied),
                over=map(encode_origin, message.over),
                dropped=encode_vector(message.dropped) if message.dropped else None,
            )
            return replication_pb2.PublisherMessage(head=head)
        case Answer():
            return replication_pb2.PublisherMessage(answer=_encode_answer(message))
        case CopyPart():
            return replication_pb2.PublisherMessage(copy_part=encode_copy_part(message))
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
            acknowledge = message.acknowledge
            return Acknowledge(decode_origin(acknowledge.origin), decode_vector(acknowledge.applied))
        case "ask_head":
            return _decode_ask_head(message.ask_head)
        case "ask_key":
            return AskKey(message.ask_key.question, _decode_key(message.ask_key.key))
        case "forward":
            return _decode_forward(message.forward)
        case "ask_copy":
            return AskCopy(message.ask_copy.copy, message.ask_copy.part)
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
                tuple(map(decode_origin, message.head.over)),
                decode_vector(message.head.dropped),
            )
        case "answer":
            return _decode_answer(message.answer)
        case "copy_part":
            return decode_copy_part(message.copy_part)
        case _:
            raise MessageDamagedError("a publisher's message says nothing that this version knows")


def _encode_greeting(greeting: Greeting) -> replication_pb2.Greeting:
    return replication_pb2.Greeting(
        version=greeting.version,
        cluster=greeting.cluster,
        genesis=greeting.genesis,
        origin=encode_origin(greeting.origin),
        applied=encode_vector(greeting.applied),
        over=map(encode_origin, greeting.over),
    )


def _decode_greeting(message: replication_pb2.Greeting) -> Greeting:
    return Greeting(
        message.version,
        message.cluster,
        message.genesis,
        decode_origin(message.origin),
        decode_vector(message.applied),
        tuple(map(decode_origin, message.over)),
    )


def _decode_ask_head(message: replication_pb2.AskHead) -> AskHead:
    if not 0 <= message.wanted <= MONEY_MAX or not 0 <= message.since <= HYBRID_TIME_MAX:
        raise MessageDamagedError(f"nobody wants {message.wanted} since {message.since}")
    account = None
    if message.HasField("account"):
        account = AccountId(message.account)
        if not is_id(account):
            raise MessageDamagedError(f"{account[:80]!r} is not an account's id")
    joining = decode_origin(message.joining) if message.HasField("joining") else None
    return AskHead(message.question, account, Money(message.wanted), HybridTime(message.since), joining)


def _decode_key(key: str) -> Key:
    if not is_key(key):
        raise MessageDamagedError(f"{key[:80]!r} is not an idempotency key")
    return Key(key)


def _encode_forward(forward: Forward) -> replication_pb2.Forward:
    message = replication_pb2.Forward(
        question=forward.question,
        customer=forward.customer,
        key=forward.key,
        read=encode_vector(forward.token.read),
        written=encode_vector(forward.token.write),
        wait_us=forward.wait_us,
        **encode_write(forward.command),  # type: ignore[arg-type]
    )
    encode_freshness(forward.freshness, message.freshness)
    return message


def _decode_forward(message: replication_pb2.Forward) -> Forward:
    command, customer = decode_write(message), CustomerId(message.customer)
    complaint = complaint_about(command) or complaint_about_customer(customer)
    if complaint is not None:
        raise MessageDamagedError(f"a forwarded request is malformed: {complaint}")
    token = Token(decode_vector(message.read), decode_vector(message.written))
    key, freshness = _decode_key(message.key), decode_freshness(message.freshness)
    return Forward(message.question, customer, command, key, token, message.wait_us, freshness)


def _encode_answer(answer: Answer) -> replication_pb2.Answer:
    return replication_pb2.Answer(
        question=answer.question,
        entry=None if answer.entry is None else encode_entry_id(answer.entry),
        outcome=answer.outcome.name,
        detail=answer.detail,
        branch=answer.branch,
        is_replayed=answer.is_replayed,
    )


def _decode_answer(message: replication_pb2.Answer) -> Answer:
    branch = BranchId(message.branch) if message.HasField("branch") else None
    if branch is not None and not is_branch_number(branch):
        raise MessageDamagedError(f"no bank has a branch {branch}")
    return Answer(
        message.question,
        decode_entry_id(message.entry) if message.HasField("entry") else None,
        decode_outcome(message.outcome),
        message.detail,
        branch,
        message.is_replayed,
    )


def _decode_entries(message: replication_pb2.Entries) -> Entries:
    origin = decode_origin(message.origin)
    try:
        entries = tuple(decode_entry(encoded) for encoded in message.entries)
    except EntryDamagedError as error:
        raise MessageDamagedError(f"an entry of {origin} is damaged: {error}") from error
    if not entries or any(not _follows(entry, origin, entries[0], n) for n, entry in enumerate(entries)):
        raise MessageDamagedError(f"not a run of the log of {origin}")
    return Entries(origin, entries, message.is_awaited)


def _follows(entry: Entry, origin: Origin, first: Entry, place: int) -> bool:
    return entry.origin == origin and entry.seq == first.seq + place
