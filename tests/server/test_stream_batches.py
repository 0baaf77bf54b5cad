"""What one step sends to one branch, in messages that gRPC takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.server import streams
from bankbook.wire.v1 import replication_pb2


def entries(size: int) -> replication_pb2.PublisherMessage:
    return replication_pb2.PublisherMessage(entries=replication_pb2.Entries(entries=[b"x" * size]))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(streams, "BATCH_BYTES", 1000)
    return 1000


@pytest.mark.usefixtures("small_batches")
def test_a_branch_that_missed_much_gets_it_in_several_messages() -> None:
    missed = [entries(400) for _ in range(5)]
    assert [len(batch) for batch in streams.batches(missed)] == [2, 2, 1]


@pytest.mark.usefixtures("small_batches")
def test_a_message_that_is_larger_than_a_batch_goes_alone() -> None:
    missed = [entries(10), entries(5000), entries(10)]
    assert [len(batch) for batch in streams.batches(missed)] == [1, 1, 1]


@given(st.lists(st.integers(0, 3 * streams.BATCH_BYTES // 4), max_size=12))
def test_nothing_is_lost_reordered_or_too_large(sizes: list[int]) -> None:
    messages = [entries(size) for size in sizes]
    batches = list(streams.batches(messages))
    assert [message for batch in batches for message in batch] == messages
    assert all(sum(each.ByteSize() for each in batch) <= streams.BATCH_BYTES for batch in batches)


def test_a_step_that_says_nothing_sends_nothing() -> None:
    assert list(streams.batches([entries(0)][:0])) == []
