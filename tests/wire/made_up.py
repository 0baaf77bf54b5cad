"""Made-up ids, vectors and entries, and messages of any type whose fields hold anything at all."""

from string import ascii_letters, digits
from typing import TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from bankbook.core.bounds import LIFETIME_MS_MAX
from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.commands import (
    LATEST,
    LINES_MAX,
    LOCAL,
    SESSION,
    Capture,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    batch_of,
)
from bankbook.core.encoding import make_entry
from bankbook.core.entry import EXPIRES_MS_MAX, Entry, Opening, Posting, Record, RecordKind
from bankbook.core.ports import Position
from bankbook.core.types import (
    BRANCHES_MAX,
    ID_CHARACTERS_MAX,
    INCARNATION_MAX,
    MEMO_CHARACTERS_MAX,
    MONEY_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    Seq,
    reservation_id,
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
_in_milliseconds = st.integers(0, 2**32 - 1).map(lambda ms: Freshness(Level.BOUNDED, ms * 1000))
freshnesses = st.sampled_from([LOCAL, SESSION, LATEST]) | _in_milliseconds
amounts = st.integers(0, MONEY_MAX).map(Money)
origins = st.builds(
    Origin,
    st.integers(1, BRANCHES_MAX).map(BranchId),
    st.integers(1, INCARNATION_MAX).map(Incarnation),
)
seqs = st.integers(0, SEQ_MAX).map(Seq)
vectors = st.dictionaries(origins, seqs, max_size=5).map(lambda seq_of: VersionVector(seq_of.items()))
gaps = st.builds(Gap, origins, seqs, seqs)
entry_ids = st.builds(EntryId, origins, seqs)
positions = st.builds(
    Position,
    st.integers(0, HYBRID_TIME_MAX).map(HybridTime),
    origins,
    seqs,
    st.integers(0, 2**32 - 1),
)
keys = st.builds(
    lambda branch, name: Key(f"{branch}/{name}" if branch else name), st.integers(0, BRANCHES_MAX), ids
)
memos = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=MEMO_CHARACTERS_MAX)
reservations = st.builds(reservation_id, entry_ids, st.integers(0, 99_999))
openings = st.builds(Opening, accounts, st.none() | st.integers(-MONEY_MAX, 0).map(Money), st.just("") | ids)


moments = st.integers(0, EXPIRES_MS_MAX)
postings = st.builds(Posting, accounts, st.integers(-MONEY_MAX, MONEY_MAX).map(Money))
single_writes: st.SearchStrategy[SingleWrite] = st.one_of(
    st.builds(Deposit, accounts, amounts, memos),
    st.builds(Withdraw, accounts, amounts, memos),
    st.builds(Transfer, accounts, accounts, amounts, memos),
    st.builds(Submit, st.lists(postings, min_size=2, max_size=4).map(tuple), memos),
    st.builds(
        Reserve, accounts, amounts, st.none() | accounts, st.none() | st.integers(0, LIFETIME_MS_MAX), memos
    ),
)
writes: st.SearchStrategy[Command] = st.one_of(
    single_writes,
    st.builds(OpenAccount, openings),
    st.builds(Capture, reservations, st.none() | amounts, st.booleans(), memos),
    st.builds(Release, reservations, st.none() | amounts),
    st.builds(
        lambda commands, is_atomic: batch_of(commands, is_atomic=is_atomic),
        st.lists(single_writes, min_size=1, max_size=3),
        st.booleans(),
    ),
)
reads: st.SearchStrategy[Command] = st.one_of(
    st.builds(ReadBalance, accounts, st.none() | moments),
    st.builds(
        lambda account, span, after, lines: ReadStatement(account, min(span), max(span), after, lines),
        accounts,
        st.tuples(moments, moments),
        st.none() | positions,
        st.integers(1, LINES_MAX),
    ),
)


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
    kind = draw(st.sampled_from([RecordKind.DEPOSIT, RecordKind.TRANSFER, RecordKind.OPENING]))
    opening = draw(openings) if kind is RecordKind.OPENING else None
    legs = {RecordKind.OPENING: 0, RecordKind.TRANSFER: 2}.get(kind, 1)
    postings = tuple(Posting(draw(accounts), draw(amounts)) for _ in range(legs))
    dependencies = draw(vectors)
    return make_entry(
        origin=origin,
        seq=seq,
        clock=HybridTime(draw(st.integers(0, HYBRID_TIME_MAX))),
        dependencies=VersionVector((each, at) for each, at in dependencies if each != origin),
        records=(Record(kind, postings=postings, opening=opening),),
        customer=draw(customers),
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
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
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
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    low, high = _RANGES[field.type]
    return st.sampled_from([edge for edge in _EDGES if low <= edge <= high]) | st.integers(low, high)
