"""The table of the four guarantees is that of the paper."""

import pytest

from bankbook.core.guarantees import RULES, Access, Guarantee, awaited_vector
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

ONE, TWO = (Origin(BranchId(branch), Incarnation(1)) for branch in (1, 2))
READ = VersionVector([(ONE, Seq(5)), (TWO, Seq(1))])
WRITTEN = VersionVector([(ONE, Seq(3)), (TWO, Seq(2))])
TOKEN = Token(read=READ, write=WRITTEN)


@pytest.mark.parametrize(
    ("guarantee", "before_a_read", "before_a_write"),
    [
        (Guarantee.NONE, NOTHING, NOTHING),
        (Guarantee.READ_YOUR_WRITES, WRITTEN, NOTHING),
        (Guarantee.MONOTONIC_READS, READ, NOTHING),
        (Guarantee.MONOTONIC_WRITES, NOTHING, WRITTEN),
        (Guarantee.WRITES_FOLLOW_READS, NOTHING, READ),
    ],
)
def test_each_guarantee_waits_for_the_vector_that_the_paper_names(
    guarantee: Guarantee, before_a_read: VersionVector, before_a_write: VersionVector
) -> None:
    assert awaited_vector(TOKEN, guarantee, Access.READ) == before_a_read
    assert awaited_vector(TOKEN, guarantee, Access.WRITE) == before_a_write


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE, Access.READ | Access.WRITE])
def test_all_four_together_wait_for_both_vectors(access: Access) -> None:
    assert awaited_vector(TOKEN, Guarantee.ALL, access) == READ.merge(WRITTEN)


def test_a_session_that_did_nothing_waits_for_nothing() -> None:
    assert awaited_vector(EMPTY, Guarantee.ALL, Access.READ | Access.WRITE) == NOTHING


def test_the_table_has_every_guarantee_once_and_says_it_in_words() -> None:
    assert [rule.guarantee for rule in RULES] == list(Guarantee)
    assert all(rule.in_words for rule in RULES)
