"""Any history at all, in every store there is, against a twin that only remembers the entries."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.history import (
    ACCOUNTS,
    FOR_EVER,
    GENESIS,
    ORIGINS,
    SILENT,
    START,
    Twin,
    changes_by,
    entry_of,
    granted,
    moved,
    opened,
    reserved,
    settled,
)
from store.stores import STORES, NewStore

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry, Record, RecordKind
from bankbook.core.types import MONEY_MAX, AccountId, EntryId, Key, Money, Origin, Seq
from bankbook.store.base import Store

# What an entry of a random history does. A draft says what it would do; what cannot be done in the state
# reached, such as to settle a reservation where none is open, becomes a refusal.
KEYS = tuple(Key(key) for key in ("order-1", "order-2", "3/order-1"))
ACCOUNT = st.sampled_from(ACCOUNTS)
MONEY = st.integers(-MONEY_MAX, MONEY_MAX)
AMOUNT = st.integers(1, MONEY_MAX)
EXPIRES_MS = st.none() | st.integers(0, 3)
LEGS = st.lists(st.tuples(ACCOUNT, MONEY), min_size=1, max_size=2)
RESERVATION = st.builds(reserved, ACCOUNT, st.just(0) | AMOUNT, st.none() | ACCOUNT, EXPIRES_MS)
GRANT = st.builds(granted, ACCOUNT, st.sampled_from((*ORIGINS, SILENT)), AMOUNT)
OPENING = st.builds(opened, ACCOUNT, st.none() | st.integers(-MONEY_MAX, 0), st.sampled_from(["", "EUR"]))
MOVE = st.builds(lambda legs: moved(*legs), LEGS)
FENCE = st.builds(lambda branch: Record(RecordKind.FENCE, fence=branch), st.sampled_from(GENESIS.branches))
REJOINING = st.just(Record(RecordKind.REJOINING))


class Settling(NamedTuple):
    """A draft of settling whichever reservation is open."""

    kind: RecordKind
    which: int
    quarters: int
    is_last: bool


SETTLING = st.builds(
    Settling,
    st.sampled_from([RecordKind.CAPTURE, RecordKind.RELEASE, RecordKind.EXPIRY]),
    st.integers(0, 9),
    st.integers(1, 4),
    st.booleans(),
)
BATCH = st.lists(MOVE | RESERVATION, min_size=1, max_size=3)
DRAFT = BATCH | SETTLING | GRANT | OPENING | FENCE | REJOINING
COMMITS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(ORIGINS), DRAFT, st.sampled_from(("", "", *KEYS)), st.booleans()),
        max_size=6,
    ),
    max_size=8,
)


def decide(twin: Twin, origin: Origin, draft: object, key: str, is_apart: bool) -> Entry:
    """Return the entry that comes of a draft, and have the twin remember it.

    A branch that is apart has not heard of the others for a while, so its clock may be behind theirs; but
    whoever opens an account, settles a reservation or begins anew knows what that follows from.
    """
    records = records_by(twin, origin, draft)
    seq = twin.applied()[origin] + 1
    clock = HybridTime(clock_before(twin, origin, is_apart and isinstance(draft, list)) + 1)
    fingerprint = "f"
    if records[0].fence:
        key, fingerprint = key or KEYS[0], ""
    entry = entry_of(origin, seq, *records, key=key, fingerprint=fingerprint, clock=clock)
    twin.history.append(entry)
    return entry


def clock_before(twin: Twin, origin: Origin, is_apart: bool) -> HybridTime:
    """Return the latest clock of what a branch knows: its own log, and every account that was opened."""
    known = [
        entry.clock
        for entry in twin.history
        if not is_apart or entry.origin == origin or entry.records[0].opening
    ]
    return max(known, default=HybridTime(0))


def records_by(twin: Twin, origin: Origin, draft: object) -> list[Record]:
    """Return what comes of a draft in the state that the twin has."""
    match draft:
        case list():
            return draft
        case Settling():
            return settlements(twin, draft)
        case Record(opening=opening) if opening and twin.account(opening.account):
            return [Record(RecordKind.REFUSAL)]
        case Record(kind=RecordKind.REJOINING):
            ended = tuple(
                EntryId(o, s) for o, s in twin.applied() if o.branch == origin.branch and o != origin
            )
            return [Record(RecordKind.REJOINING, ended=ended) if ended else Record(RecordKind.REFUSAL)]
        case Record():
            return [draft]
    raise AssertionError(draft)


def settlements(twin: Twin, draft: Settling) -> list[Record]:
    open_ones = [(name, made) for name, made in sorted(twin.reservations().items()) if made.left]
    if not open_ones:
        return [Record(RecordKind.REFUSAL)]
    name, made = open_ones[draft.which % len(open_ones)]
    amount = max(made.left * draft.quarters // 4, 1)
    records = [settled(draft.kind, name, made, amount)]
    if draft.is_last and amount < made.left:
        rest = made._replace(left=Money(made.left - amount))
        records.append(settled(RecordKind.RELEASE, name, rest, rest.left))
    return records


def compare(store: Store, twin: Twin, after: int, limit: int) -> None:
    assert store.applied() == twin.applied()
    assert store.clock() == twin.clock()
    assert store.ended() == twin.ended()
    for origin in ORIGINS:
        assert store.entries(origin, Seq(after), limit) == twin.entries(origin, Seq(after), limit)
        assert store.expiring(origin.branch, limit) == twin.expiring(origin.branch, limit)
    for key in KEYS:
        assert store.key(key) == twin.key(key)
    for name, made in twin.reservations().items():
        assert store.reservation(name) == made
    for account in ACCOUNTS:
        assert store.account(account) == twin.account(account)
        assert store.holdings(account) == twin.holdings(account)
        compare_statements(store, twin, account, after, limit)


def compare_statements(store: Store, twin: Twin, account: AccountId, after: int, limit: int) -> None:
    whole = twin.postings(account, START, FOR_EVER, 9999)
    assert store.postings(account, START, FOR_EVER, 9999) == whole
    for position in (posting.position for posting in whole[after : after + 1]):
        until = HybridTime(after + limit)
        assert store.postings(account, position, until, limit) == twin.postings(
            account, position, until, limit
        )
        assert store.moved_from(account, position) == twin.moved_from(account, position)


@pytest.mark.parametrize("new_store", STORES)
@settings(max_examples=100)
@given(history=COMMITS, after=st.integers(0, 6), limit=st.integers(0, 6))
def test_any_history_reads_as_a_list_of_its_entries_would(
    new_store: NewStore,
    history: list[list[tuple[Origin, object, str, bool]]],
    after: int,
    limit: int,
) -> None:
    twin = Twin()
    with TemporaryDirectory() as folder, closing(new_store(Path(folder))) as store:
        for drafts in history:
            fresh = [decide(twin, *draft) for draft in drafts]
            store.commit(changes_by(store, *fresh))
            compare(store, twin, after, limit)
