"""Version vectors are a lattice: the laws, by example and at random."""

from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, Gap, VersionVector

ONE, TWO, THREE = (Origin(BranchId(branch), Incarnation(1)) for branch in (1, 2, 3))

# Few origins and small numbers, so that vectors often share components and often differ in one.
origins = st.builds(Origin, st.integers(1, 3).map(BranchId), st.integers(1, 2).map(Incarnation))
vectors = st.dictionaries(origins, st.integers(0, 4).map(Seq)).map(lambda parts: VersionVector(parts.items()))


def vector(*seqs: int) -> VersionVector:
    return VersionVector(zip((ONE, TWO, THREE), map(Seq, seqs), strict=False))


def test_a_component_of_0_is_no_component() -> None:
    assert vector(0, 0) == NOTHING
    assert len(vector(0, 3)) == 1
    assert vector(0, 3)[ONE] == 0


def test_one_component_behind_is_enough_not_to_dominate() -> None:
    assert not vector(9, 9, 1).dominates(vector(1, 1, 2))
    assert not vector(9).dominates(vector(0, 1))


def test_two_lives_of_a_branch_are_two_components() -> None:
    later = Origin(ONE.branch, Incarnation(2))
    assert not vector(5).dominates(VersionVector([(later, Seq(1))]))


def test_the_gaps_name_what_is_there_and_what_is_needed() -> None:
    assert list(vector(1, 5).behind(vector(3, 5, 2))) == [
        Gap(ONE, Seq(1), Seq(3)),
        Gap(THREE, Seq(0), Seq(2)),
    ]


def test_a_vector_is_told_in_the_order_of_its_origins() -> None:
    assert repr(VersionVector([(TWO, Seq(2)), (ONE, Seq(1))])) == "{1.00000001: 1, 2.00000001: 2}"


@given(vectors, vectors)
def test_dominates_is_a_partial_order(one: VersionVector, other: VersionVector) -> None:
    assert one.dominates(one)
    assert one.dominates(NOTHING)
    assert (one.dominates(other) and other.dominates(one)) == (one == other)


@given(vectors, vectors, vectors)
def test_merge_is_the_least_vector_that_dominates_both(
    one: VersionVector, other: VersionVector, third: VersionVector
) -> None:
    merged = one.merge(other)
    assert merged.dominates(one)
    assert merged.dominates(other)
    assert third.dominates(merged) == (third.dominates(one) and third.dominates(other))


@given(vectors, vectors, vectors)
def test_merge_may_come_in_any_order_and_more_than_once(
    one: VersionVector, other: VersionVector, third: VersionVector
) -> None:
    assert one.merge(other) == other.merge(one)
    assert one.merge(other.merge(third)) == one.merge(other).merge(third)
    assert one.merge(one) == one
    assert hash(one.merge(other)) == hash(other.merge(one))


@given(vectors, vectors, vectors)
def test_floor_is_the_greatest_vector_that_both_dominate(
    one: VersionVector, other: VersionVector, third: VersionVector
) -> None:
    floor = one.floor(other)
    assert floor.dominates(third) == (one.dominates(third) and other.dominates(third))


@given(vectors, vectors)
def test_there_is_a_gap_exactly_where_a_vector_does_not_dominate(
    one: VersionVector, other: VersionVector
) -> None:
    gaps = list(one.behind(other))
    assert (gaps == []) == one.dominates(other)
    assert (one.first_gap(other) in gaps) == bool(gaps)
    assert all(one[gap.origin] == gap.has < gap.needs == other[gap.origin] for gap in gaps)


@given(vectors, vectors)
def test_what_is_beyond_another_vector_and_that_vector_make_the_whole(
    one: VersionVector, other: VersionVector
) -> None:
    beyond = one.beyond(other)
    assert one.dominates(beyond)
    assert other.merge(beyond) == other.merge(one)
    assert all(other[origin] < seq for origin, seq in beyond)


@given(vectors, origins, st.integers(0, 6).map(Seq))
def test_raising_a_component_is_merging_it(one: VersionVector, origin: Origin, seq: Seq) -> None:
    assert one.raised(origin, seq) == one.merge(VersionVector([(origin, seq)]))


@given(vectors, vectors)
def test_no_operation_changes_a_vector(one: VersionVector, other: VersionVector) -> None:
    before = repr(one), repr(other)
    one.merge(other)
    one.floor(other)
    one.beyond(other)
    one.raised(THREE, Seq(9))
    assert (repr(one), repr(other)) == before
