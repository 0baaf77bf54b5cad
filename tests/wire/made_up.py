"""Made-up ids, vectors and entries, and messages of any type whose fields hold anything at all."""

from string import ascii_letters, digits
from typing import TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.entry import Entry, EntryKind, Opening, Posting, make_entry
from bankbook.core.types import (
    BRANCHES_MAX,
    ID_CHARACTERS_MAX,
    INCARNATION_MAX,
    MONEY_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Money,
    Origin,
    Seq,
)
from bankbook.core.vector import Gap, VersionVector

AnyMessage = TypeVar("AnyMessage", bound=Message)

_FIRST = ascii_letters + digits
ids = st.builds(
    lambda first, rest: first + rest,
    st.sampled_from(_FIRST),
    st.text(_FIRST + "._:@+-", max_size=ID_CHARACTERS_MAX - 1),
)
accounts = ids.map(AccountId)
customers = ids.map(CustomerId)
amounts = st.integers(0, MONEY_MAX).map(Money)
origins = st.builds(
    Origin,
    st.integers(1, BRANCHES_MAX).map(BranchId),
    st.integers(1, INCARNATION_MAX).map(Incarnation),
)
seqs = st.integers(0, SEQ_MAX).map(Seq)
vectors = st.dictionaries(origins, seqs, max_size=5).map(lambda seq_of: VersionVector(seq_of.items()))
gaps = st.builds(Gap, origins, seqs, seqs)
openings = st.builds(Opening, accounts, st.none() | st.integers(-MONEY_MAX, 0).map(Money), st.just("") | ids)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Entry, ...]:
    """A run of one log, in order and without gaps."""
    origin = draw(origins)
    count = draw(st.integers(1, 4))
    first = draw(st.integers(1, SEQ_MAX - count))
    return tuple(draw(entries(origin, Seq(first + place))) for place in range(count))


@st.composite
def entries(draw: st.DrawFn, origin: Origin, seq: Seq) -> Entry:
    """An entry that a branch could have made."""
    kind = draw(st.sampled_from(EntryKind))
    opening = draw(openings) if kind is EntryKind.OPENING else None
    legs = {EntryKind.OPENING: 0, EntryKind.TRANSFER: 2}.get(kind, 1)
    dependencies = draw(vectors)
    return make_entry(
        origin=origin,
        seq=seq,
        clock=HybridTime(draw(st.integers(0, HYBRID_TIME_MAX))),
        dependencies=VersionVector((each, at) for each, at in dependencies if each != origin),
        kind=kind,
        customer=draw(customers),
        postings=tuple(Posting(draw(accounts), draw(amounts)) for _ in range(legs)),
        opening=opening,
    )


_EDGES = [
    0,
    1,
    255,
    256,
    257,
    2**31 - 1,
    2**32 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -1,
    -(2**31),
    -(2**63),
]

_RANGES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}


def anything(kind: type[AnyMessage]) -> st.SearchStrategy[AnyMessage]:
    """A message of this type in which any field may hold anything that protocol buffers allow.

    It goes over the wire once, so it is what a hostile peer can send, and nothing else.
    """
    return st.composite(_fill)(kind).map(lambda message: kind.FromString(message.SerializeToString()))


def _fill(draw: st.DrawFn, kind: type[AnyMessage]) -> AnyMessage:
    message = kind()
    for field in _fields(kind):
        if not draw(st.booleans()):
            continue
        if field.is_repeated:
            for _ in range(draw(st.integers(0, 3))):
                _add(draw, field, message)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            inner.CopyFrom(_fill(draw, type(inner)))
        else:
            setattr(message, field.name, draw(_scalars(field)))
    return message


def _fields(kind: type[Message]) -> list[FieldDescriptor]:
    return cast("list[FieldDescriptor]", list(kind.DESCRIPTOR.fields))


def _add(draw: st.DrawFn, field: FieldDescriptor, message: Message) -> None:
    values = getattr(message, field.name)
    if field.message_type is not None:
        inner = values.add()
        inner.CopyFrom(_fill(draw, type(inner)))
    else:
        values.append(draw(_scalars(field)))


def _scalars(field: FieldDescriptor) -> st.SearchStrategy[int] | st.SearchStrategy[str | bytes]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return ids | st.text(max_size=80)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=40)
    low, high = _RANGES[field.type]
    return st.sampled_from([edge for edge in _EDGES if low <= edge <= high]) | st.integers(low, high)
