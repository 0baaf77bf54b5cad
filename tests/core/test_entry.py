"""Entries travel as they were written, and what is not an entry is told apart from one."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry, make_entry
from bankbook.core.entry import (
    DETAIL_CHARACTERS_MAX,
    ENTRY_BYTES_MAX,
    EXPIRES_MS_MAX,
    Entry,
    Grant,
    Keyed,
    Opening,
    Posting,
    Record,
    RecordKind,
    Reservation,
    Settlement,
    Verdict,
)
from bankbook.core.outcome import Outcome
from bankbook.core.types import (
    BALANCE_MAX,
    BRANCHES_MAX,
    ID_CHARACTERS_MAX,
    INCARNATION_MAX,
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
from bankbook.core.vector import NOTHING, VersionVector

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,63}", fullmatch=True)
origins = st.builds(
    Origin,
    st.integers(1, BRANCHES_MAX).map(BranchId),
    st.integers(1, INCARNATION_MAX).map(Incarnation),
)
seqs = st.integers(1, SEQ_MAX).map(Seq)
amounts = st.integers(-MONEY_MAX, MONEY_MAX).map(Money)
accounts = ids.map(AccountId)
branches = st.integers(1, BRANCHES_MAX).map(BranchId)
money = st.integers(0, MONEY_MAX).map(Money)
memos = st.text(st.characters(exclude_categories=("C", "Z")), max_size=140)
postings = st.lists(st.builds(Posting, accounts, amounts), min_size=1, max_size=3).map(tuple)
entry_ids = st.builds(EntryId, origins, seqs)
openings = st.builds(Opening, accounts, st.none() | st.integers(-MONEY_MAX, 0).map(Money), st.just("") | ids)
reservations = st.builds(
    Reservation, accounts, money, st.none() | accounts, st.none() | st.integers(0, EXPIRES_MS_MAX)
)
settlements = st.builds(
    Settlement,
    st.builds(reservation_id, entry_ids, st.integers(0, 99_999)),
    accounts,
    money,
    money,
)
balances = st.none() | st.integers(-BALANCE_MAX, BALANCE_MAX).map(Money)
verdicts = st.builds(
    Verdict, st.sampled_from(Outcome), balances, balances, st.text(max_size=DETAIL_CHARACTERS_MAX)
)
keys = ids.map(Key) | st.builds(lambda branch, name: Key(f"{branch}/{name}"), branches, ids)

PARTS: dict[RecordKind, dict[str, st.SearchStrategy[Any]]] = {
    RecordKind.DEPOSIT: {"postings": postings},
    RecordKind.WITHDRAWAL: {"postings": postings},
    RecordKind.TRANSFER: {"postings": postings},
    RecordKind.OPENING: {"opening": openings},
    RecordKind.RESERVATION: {"reservation": reservations},
    RecordKind.CAPTURE: {"postings": postings, "settlement": settlements},
    RecordKind.RELEASE: {"settlement": settlements},
    RecordKind.EXPIRY: {"settlement": settlements},
    RecordKind.REFUSAL: {},
    RecordKind.GRANT: {"grant": st.builds(Grant, accounts, origins, st.integers(1, MONEY_MAX).map(Money))},
    RecordKind.FENCE: {"fence": branches},
    RecordKind.REJOINING: {"ended": st.lists(entry_ids, min_size=1, max_size=3).map(tuple)},
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(RecordKind))
    parts = {name: draw(part) for name, part in PARTS[kind].items()}
    return Record(kind, **parts, memo=draw(memos), verdict=draw(st.none() | verdicts))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    origin = draw(origins)
    others = draw(st.dictionaries(origins.filter(lambda other: other != origin), seqs, max_size=5))
    return make_entry(
        origin=origin,
        seq=draw(seqs),
        clock=draw(st.integers(0, HYBRID_TIME_MAX).map(HybridTime)),
        dependencies=VersionVector(others.items()),
        customer=draw(st.none() | ids.map(CustomerId)),
        keyed=draw(st.none() | st.builds(Keyed, keys, st.just("") | ids)),
        records=tuple(draw(st.lists(records(), min_size=1, max_size=3))),
    )


EXAMPLE = make_entry(
    origin=Origin(BranchId(1), Incarnation(7)),
    seq=Seq(3),
    clock=HybridTime(99),
    dependencies=VersionVector([(Origin(BranchId(2), Incarnation(8)), Seq(4))]),
    customer=CustomerId("anna"),
    keyed=Keyed(Key("1/order-17"), "f00d"),
    records=(
        Record(
            RecordKind.TRANSFER,
            (Posting(AccountId("a"), Money(-5)), Posting(AccountId("b"), Money(5))),
            memo="rent",
            verdict=Verdict(Outcome.OK, Money(3), Money(2), ""),
        ),
    ),
)


@given(entries())
def test_an_entry_arrives_as_it_was_written(entry: Entry) -> None:
    assert decode_entry(entry.encoded) == entry


def test_a_person_can_read_an_entry() -> None:
    assert EXAMPLE.encoded == (
        b'{"origin":[1,7],"seq":3,"clock":99,"after":[[2,8,4]],"customer":"anna","key":["1/order-17","f00d"],'
        b'"records":[{"kind":"transfer","postings":[["a",-5],["b",5]],"memo":"rent",'
        b'"verdict":["OK",3,2,""]}]}'
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
        customer=CustomerId(longest),
        records=(
            Record(
                RecordKind.TRANSFER,
                (Posting(AccountId(longest), Money(-MONEY_MAX)), Posting(AccountId(longest), MONEY_MAX)),
            ),
        ),
    )
    assert decode_entry(entry.encoded) == entry


def test_what_no_branch_would_take_is_not_written_either() -> None:
    """Nobody could ever read it again: not this branch from its own disk, nor any other one."""
    record = Record(RecordKind.DEPOSIT, (Posting(AccountId("a"), Money(5)),), "x" * ENTRY_BYTES_MAX)
    with pytest.raises(EntryDamagedError, match=f"an entry has at most {ENTRY_BYTES_MAX} bytes, this one"):
        make_entry(
            origin=EXAMPLE.origin,
            seq=Seq(1),
            clock=HybridTime(1),
            dependencies=NOTHING,
            records=(record,),
        )


def test_an_entry_touches_the_account_it_opens_and_those_of_its_legs() -> None:
    assert EXAMPLE.accounts == ("a", "b")


WRONG: list[Any] = [None, True, 1.5, {}, {"a": 1}, [[]], [[1]], [None], "\ud800", "", -1, float("nan")]


def damaged(**changes: Any) -> bytes:
    """Return the example with other fields; `...` for none at all."""
    return changed(json.loads(EXAMPLE.encoded), changes)


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> bytes:
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def damaged_record(**changes: Any) -> bytes:
    """Return the example with other fields in its record."""
    fields = json.loads(EXAMPLE.encoded)
    fields["records"] = [json.loads(changed(fields["records"][0], changes))]
    return json.dumps(fields).encode()


def other_record(kind: str, **parts: Any) -> bytes:
    """Return the example with another record."""
    return damaged(records=[{"kind": kind, **parts}])


def movements(**changes: Any) -> bytes:
    """Return the example with two deposits as columns, and other fields in these."""
    columns = {"accounts": ["a"], "from": [0, 0], "to": [1, 1], "amounts": [1, 1]}
    columns |= {"balances": [1, 2], "kept": [0], "memos": ["", "x"], "refused": []}
    return damaged(records=..., moves=json.loads(changed(columns, changes)))


def test_movements_as_columns_are_an_entry() -> None:
    assert len(decode_entry(movements()).records) == 2


OPTIONAL = {"customer", "key"}
A_SETTLEMENT = ["1.00000007-3-0", "a", 5, 0]


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
        *(damaged(**{field: ...}) for field in json.loads(EXAMPLE.encoded) if field not in OPTIONAL),
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
        damaged(customer="an na"),
        damaged(key=["1/order-17"]),
        damaged(key=["no key", "f00d"]),
        damaged(key=["1/order-17", "no fingerprint"]),
        damaged(key=["1/order-17", 7]),
        *(damaged(key=["1/order-17", json.loads(nothing)]) for nothing in ("null", "0", "false", "[]", "{}")),
        damaged(records=[]),
        damaged(records=[[]]),
        *(damaged_record(**{field: ...}) for field in ("kind", "postings")),
        *(
            damaged_record(**{field: wrong})
            for field in ("kind", "postings", "memo", "verdict")
            for wrong in WRONG
            if (field, wrong) != ("memo", "")
        ),
        damaged_record(kind="gift"),
        damaged_record(kind=["transfer"]),
        damaged_record(kind="opening"),
        damaged_record(memo="two\nlines"),
        damaged_record(memo="x" * 141),
        damaged_record(postings=[["a", MONEY_MAX + 1]]),
        damaged_record(postings=[["a", -MONEY_MAX - 1]]),
        damaged_record(postings=[["a", 1, 1]]),
        damaged_record(postings=[["a", "1"]]),
        damaged_record(opening=["c", 0, "EUR"]),
        damaged_record(grant=["a", [1, 7], 5]),
        damaged_record(verdict=["FINE", 3, 2, ""]),
        damaged_record(verdict=["OK", BALANCE_MAX + 1, 2, ""]),
        damaged_record(verdict=["OK", 3, 2]),
        damaged_record(verdict=["OK", 3, 2, "\ud800"]),
        damaged_record(verdict=["OK", 3, 2, "x" * (DETAIL_CHARACTERS_MAX + 1)]),
        other_record("opening", opening=["c", 1, "EUR"]),
        other_record("opening", opening=["c", 0, 7]),
        other_record("opening", opening=["c", 0]),
        other_record("opening", opening=None),
        other_record("reservation", reservation=["a", -1, None, None]),
        other_record("reservation", reservation=["a", 1, None, -1]),
        other_record("reservation", reservation=["a", 1, "?", None]),
        other_record("reservation", reservation=["a", 1, None, EXPIRES_MS_MAX + 1]),
        other_record("release", settlement=["no name", *A_SETTLEMENT[1:]]),
        other_record("release", settlement=[*A_SETTLEMENT[:2], -1, 0]),
        other_record("release", settlement=[*A_SETTLEMENT[:3], -1]),
        other_record("capture", settlement=A_SETTLEMENT),
        other_record("grant", grant=["a", [1, 7], 0]),
        other_record("grant", grant=["a", [0, 7], 5]),
        other_record("grant", grant=["a", 1, 5]),
        other_record("fence", fence=0),
        other_record("fence", fence="1"),
        other_record("rejoining", ended=[[1, 7, 0]]),
        other_record("rejoining", ended=[[1, 7]]),
        other_record("rejoining"),
        other_record("refusal", fence=1),
        *(movements(**{field: ...}) for field in ("accounts", "from", "to", "amounts", "balances", "kept")),
        *(
            movements(**{field: wrong})
            for field in ("accounts", "from", "to", "amounts", "balances", "kept", "memos", "refused")
            for wrong in (*WRONG, [None, None], [1, 1.0], [1, True], [2**63, 2**63], [[], "x"], [{}, {}], [1])
            if (field, wrong) not in (("kept", [None]), ("kept", [1]))
        ),
        damaged(
            records=...,
            moves={name: [] for name in ("accounts", "from", "to", "amounts", "balances", "kept")},
        ),
        movements(refused=[[2, "OK", None, None, ""]]),
        movements(refused=[[0, "OK", None, None]]),
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
        records=(Record(RecordKind.OPENING, opening=Opening(AccountId("c"), None, "")),),
    )
    assert decode_entry(entry.encoded).dependencies == NOTHING
    assert entry.accounts == ("c",)
