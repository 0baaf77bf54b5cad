"""Postings on their way into the tables: their text, and how they are divided into rows."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.history import ALICE, BOB, HERE, THERE, entry_of, moved, posting_entry

from bankbook.core.clock import HybridTime
from bankbook.core.columns import Columns, Movement
from bankbook.core.encoding import make_entry
from bankbook.core.entry import MoveRecords, Verdict
from bankbook.core.outcome import Outcome
from bankbook.core.types import Money, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.fresh import (
    BLOCK_POSTINGS_MAX,
    ENTRY_WEIGHT,
    OTHER_WEIGHT,
    FreshPostings,
    blocks_of,
    parsed,
)

NEVER = HybridTime(-1)
REFUSED = Verdict(Outcome.INSUFFICIENT_FUNDS, Money(0), Money(0), "too little")


def test_postings_of_one_account_in_order_make_one_row() -> None:
    fresh = FreshPostings()
    fresh.add(entry_of(HERE, 1, moved(("alice", -3), ("bob", 3)), moved(("alice", 9))))
    fresh.add(posting_entry(HERE, 2, ("alice", 1)))
    (block,) = fresh.blocks(ALICE, NEVER)
    assert (block.account, block.until, block.moved) == (ALICE, 2 << 16, 7)
    writer = HERE.code
    expected = [[1 << 16, writer, 1, 0, -3], [1 << 16, writer, 1, 2, 9], [2 << 16, writer, 2, 0, 1]]
    assert parsed(block.postings) == expected == fresh.legs(ALICE)
    assert fresh.weight == 2 * ENTRY_WEIGHT + 4 * OTHER_WEIGHT


def test_what_the_table_may_have_something_of_makes_no_rows() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 5, ("alice", 1), ("bob", 1)))
    assert not fresh.blocks(BOB, HybridTime(5 << 16))
    fresh.add(posting_entry(THERE, 4, ("alice", 1)))
    assert not fresh.blocks(ALICE, HybridTime(4 << 16))


def test_what_came_late_stands_in_its_place() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 5, ("alice", 1)))
    fresh.add(posting_entry(THERE, 4, ("alice", 2)))
    (block,) = fresh.blocks(ALICE, HybridTime(3 << 16))
    assert (block.account, block.until, block.moved) == (ALICE, 5 << 16, 3)
    assert [leg[2] for leg in parsed(block.postings)] == [4, 5]


def test_many_postings_make_several_rows_but_not_those_of_one_moment() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 5, ("bob", 7)))
    fresh.add(entry_of(HERE, 6, *[moved(("bob", 1))] * BLOCK_POSTINGS_MAX))
    fresh.add(posting_entry(HERE, 7, ("bob", 5)))
    blocks = fresh.blocks(BOB, NEVER)
    assert [(block.until, block.moved) for block in blocks] == [
        (6 << 16, 7 + BLOCK_POSTINGS_MAX),
        (7 << 16, 5),
    ]


def test_late_postings_of_accounts_that_nothing_overtook_are_as_simple_as_ever() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 5, ("alice", 1)))
    fresh.add(posting_entry(THERE, 4, ("bob", 1)))
    fresh.add(posting_entry(THERE, 6, ("bob", 1)))
    assert fresh.blocks(BOB, HybridTime(3 << 16))
    assert fresh.blocks(ALICE, HybridTime(4 << 16))
    assert not fresh.blocks(BOB, HybridTime(4 << 16)), "the table may have something of that moment"


def test_of_one_moment_the_branch_with_the_lower_number_comes_first() -> None:
    fresh = FreshPostings()
    fresh.add(entry_of(THERE, 1, moved(("alice", 1)), clock=HybridTime(7)))
    fresh.add(entry_of(HERE, 1, moved(("alice", 2)), clock=HybridTime(7)))
    (block,) = fresh.blocks(ALICE, NEVER)
    assert [leg[-1] for leg in parsed(block.postings)] == [2, 1]


def test_plain_movements_count_once_however_many_postings_they_are() -> None:
    movements = [Movement(ALICE, BOB, Money(5)), Movement(None, BOB, Money(2)), Movement(BOB, None, Money(1))]
    records = MoveRecords(Columns.of(movements), (Money(5),) * 3, (Money(0),) * 2, {2: REFUSED})
    entry = make_entry(
        origin=HERE, seq=Seq(1), clock=HybridTime(1 << 16), dependencies=NOTHING, records=records
    )
    fresh = FreshPostings()
    fresh.add(entry)
    assert fresh.weight == ENTRY_WEIGHT + len(movements)
    assert [leg[3:] for leg in fresh.legs(BOB)] == [[1, 5], [2, 2]]
    assert [leg[3:] for leg in fresh.legs(ALICE)] == [[0, -5]]
    (block,) = fresh.blocks(BOB, NEVER)
    assert (block.until, block.moved) == (1 << 16, 7)


def test_of_an_entry_only_the_accounts_beyond_one_are_taken() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 1, ("alice", 1), ("bob", 2)), beyond=ALICE)
    assert fresh.legs(ALICE) == []
    assert fresh.legs(BOB) == [[1 << 16, HERE.code, 1, 1, 2]]


def test_what_the_tables_have_is_no_longer_fresh() -> None:
    fresh = FreshPostings()
    fresh.add(posting_entry(HERE, 1, ("alice", 1), ("bob", 2)))
    assert fresh.legs(ALICE)
    fresh.remove([ALICE])
    assert fresh.legs(ALICE) == []
    assert fresh.legs(BOB)


@given(clocks=st.lists(st.integers(0, 9), max_size=3 * BLOCK_POSTINGS_MAX))
def test_rows_have_all_postings_in_order_and_share_no_moment(clocks: list[int]) -> None:
    legs = [[clock, 1, 1, number, number] for number, clock in enumerate(sorted(clocks))]
    blocks = list(blocks_of(ALICE, legs))
    parts = [parsed(block.postings) for block in blocks]
    assert [leg for part in parts for leg in part] == legs
    for block, part in zip(blocks, parts, strict=True):
        assert (block.until, block.moved) == (part[-1][0], sum(leg[-1] for leg in part))
        assert len(part) - BLOCK_POSTINGS_MAX < [leg[0] for leg in part].count(block.until)
    for before, after in pairwise(parts):
        assert before[-1][0] < after[0][0]


@pytest.mark.parametrize("text", ["", "[", "[1]", "[[1,2,3,4]]", '[[1,2,3,4,"5"]]', "[[1,2,3,4,5.0]]", "7"])
def test_a_row_that_is_none_is_noticed(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parsed(text)


def test_texts_of_postings_make_a_row() -> None:
    assert parsed("[[1,2,3,4,5],[1,2,3,5,6]]") == [[1, 2, 3, 4, 5], [1, 2, 3, 5, 6]]
