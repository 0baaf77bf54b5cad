"""Entries travel as they were written, and what is not an entry is told apart from one."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.entry import (
    ENTRY_BYTES_MAX,
    Entry,
    EntryDamagedError,
    EntryKind,
    Opening,
    Posting,
    decode_entry,
    make_entry,
)
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
from bankbook.core.vector import NOTHING, VersionVector

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,63}", fullmatch=True)
origins = st.builds(
    Origin,
    st.integers(1, BRANCHES_MAX).map(BranchId),
    st.integers(1, INCARNATION_MAX).map(Incarnation),
)
seqs = st.integers(1, SEQ_MAX).map(Seq)
amounts = st.integers(-MONEY_MAX, MONEY_MAX).map(Money)
postings = st.builds(Posting, ids.map(AccountId), amounts)
openings = st.builds(
    Opening,
    ids.map(AccountId),
    st.none() | st.integers(-MONEY_MAX, 0).map(Money),
    st.just("") | ids,
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    origin = draw(origins)
    others = draw(st.dictionaries(origins.filter(lambda other: other != origin), seqs, max_size=5))
    kind = draw(st.sampled_from(EntryKind))
    legs = draw(st.lists(postings, min_size=1, max_size=2))
    return make_entry(
        origin=origin,
        seq=draw(seqs),
        clock=draw(st.integers(0, HYBRID_TIME_MAX).map(HybridTime)),
        dependencies=VersionVector(others.items()),
        kind=kind,
        customer=CustomerId(draw(ids)),
        postings=() if kind is EntryKind.OPENING else tuple(legs),
        opening=draw(openings) if kind is EntryKind.OPENING else None,
    )


EXAMPLE = make_entry(
    origin=Origin(BranchId(1), Incarnation(7)),
    seq=Seq(3),
    clock=HybridTime(99),
    dependencies=VersionVector([(Origin(BranchId(2), Incarnation(8)), Seq(4))]),
    kind=EntryKind.TRANSFER,
    customer=CustomerId("anna"),
    postings=(Posting(AccountId("a"), Money(-5)), Posting(AccountId("b"), Money(5))),
)


@given(entries())
def test_an_entry_arrives_as_it_was_written(entry: Entry) -> None:
    assert decode_entry(entry.encoded) == entry


def test_a_person_can_read_an_entry() -> None:
    assert EXAMPLE.encoded == (
        b'{"origin":[1,7],"seq":3,"clock":99,"after":[[2,8,4]],"kind":"transfer","customer":"anna",'
        b'"postings":[["a",-5],["b",5]]}'
    )


def test_the_largest_transfer_after_a_restart_of_the_largest_bank_fits() -> None:
    longest = "x" * ID_CHARACTERS_MAX
    everything = VersionVector(
        (Origin(BranchId(branch), Incarnation(INCARNATION_MAX)), Seq(10**12)) for branch in range(2, 257)
    )
    entry = make_entry(
        origin=Origin(BranchId(1), Incarnation(INCARNATION_MAX)),
        seq=Seq(SEQ_MAX),
        clock=HybridTime(HYBRID_TIME_MAX),
        dependencies=everything,
        kind=EntryKind.TRANSFER,
        customer=CustomerId(longest),
        postings=(Posting(AccountId(longest), Money(-MONEY_MAX)), Posting(AccountId(longest), MONEY_MAX)),
    )
    assert decode_entry(entry.encoded) == entry


def test_an_entry_touches_the_account_it_opens_and_those_of_its_legs() -> None:
    assert EXAMPLE.accounts == ("a", "b")


WRONG: list[Any] = [None, True, 1.5, {}, {"a": 1}, [[]], [[1]], [None], "\ud800", "", -1, float("nan")]


def damaged(**changes: Any) -> bytes:
    fields = json.loads(EXAMPLE.encoded)
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * ENTRY_BYTES_MAX,
        b'{"a":' * 800,
        b"9" * ENTRY_BYTES_MAX,
        EXAMPLE.encoded + b" " * ENTRY_BYTES_MAX,
        *(EXAMPLE.encoded[:length] for length in range(len(EXAMPLE.encoded))),
        *(damaged(**{field: ...}) for field in json.loads(EXAMPLE.encoded)),
        *(damaged(**{field: wrong}) for field in json.loads(EXAMPLE.encoded) for wrong in WRONG),
        damaged(origin=[0, 7]),
        damaged(origin=[BRANCHES_MAX + 1, 7]),
        damaged(origin=[1, 0]),
        damaged(origin=[1, INCARNATION_MAX + 1]),
        damaged(origin=[1, 7, 7]),
        damaged(seq=0),
        damaged(seq=SEQ_MAX + 1),
        damaged(clock=HYBRID_TIME_MAX + 1),
        damaged(after=[[1, 7, 2]]),
        damaged(after=[[2, 8, 0]]),
        damaged(kind="gift"),
        damaged(kind=["transfer"]),
        damaged(kind="opening"),
        damaged(customer="an na"),
        damaged(postings=[]),
        damaged(postings=[["a", MONEY_MAX + 1]]),
        damaged(postings=[["a", -MONEY_MAX - 1]]),
        damaged(postings=[["a", 1, 1]]),
        damaged(postings=[["a", "1"]]),
        damaged(opening=["c", 0, "EUR"]),
        damaged(kind="opening", postings=[], opening=["c", 1, "EUR"]),
        damaged(kind="opening", postings=[], opening=["c", 0, 7]),
        damaged(kind="opening", postings=[], opening=["c", 0]),
        damaged(kind="opening", postings=[], opening=None),
    ],
)
def test_what_is_no_entry_is_refused_as_damaged(encoded: bytes) -> None:
    with pytest.raises(EntryDamagedError):
        decode_entry(encoded)


def test_no_damage_whatsoever_raises_anything_but_entry_damaged() -> None:
    draw = Random(1)  # noqa: S311
    refused = 0
    for _ in range(20_000):
        encoded = bytearray(EXAMPLE.encoded)
        for _ in range(draw.randint(1, 4)):
            where = draw.randrange(len(encoded))
            match draw.randrange(3):
                case 0:
                    encoded[where] = draw.randrange(256)
                case 1:
                    del encoded[where : where + draw.randint(1, 9)]
                case _:
                    encoded[where:where] = draw.randbytes(3)
        try:
            decode_entry(bytes(encoded))
        except EntryDamagedError:
            refused += 1
    assert refused > 15_000


@given(st.binary(max_size=200))
def test_noise_is_no_entry(noise: bytes) -> None:
    with pytest.raises(EntryDamagedError):
        decode_entry(noise)


def test_an_entry_depends_on_nothing_where_its_branch_had_nothing() -> None:
    entry = make_entry(
        origin=EXAMPLE.origin,
        seq=Seq(1),
        clock=HybridTime(1),
        dependencies=NOTHING,
        kind=EntryKind.OPENING,
        customer=CustomerId("anna"),
        opening=Opening(AccountId("c"), None, ""),
    )
    assert decode_entry(entry.encoded).dependencies == NOTHING
    assert entry.accounts == ("c",)
