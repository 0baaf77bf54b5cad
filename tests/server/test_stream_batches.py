"""What one step sends to one branch, in messages that gRPC takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import ENTRY_BYTES_MAX, Entry, Posting, Record, RecordKind
from bankbook.core.messages import Entries, Head
from bankbook.core.types import AccountId, BranchId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.server import streams
from bankbook.wire import basics
from bankbook.wire.basics import BATCH_BYTES, MESSAGE_BYTES_MAX, batches
from bankbook.wire.v1 import replication_pb2

HERE = Origin(BranchId(1), Incarnation(1))


def entries(size: int) -> replication_pb2.PublisherMessage:
    return replication_pb2.PublisherMessage(entries=replication_pb2.Entries(entries=[b"x" * size]))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    for room in (basics, streams):
        monkeypatch.setattr(room, "BATCH_BYTES", 1000)
    return 1000


@pytest.mark.usefixtures("small_batches")
def test_a_branch_that_missed_much_gets_it_in_several_messages() -> None:
    missed = [entries(400) for _ in range(5)]
    assert [len(batch) for batch in batches(missed)] == [2, 2, 1]


@pytest.mark.usefixtures("small_batches")
def test_a_message_that_is_larger_than_a_batch_goes_alone() -> None:
    missed = [entries(10), entries(5000), entries(10)]
    assert [len(batch) for batch in batches(missed)] == [1, 1, 1]


@given(st.lists(st.integers(0, 3 * BATCH_BYTES // 4), max_size=12))
def test_nothing_is_lost_reordered_or_too_large(sizes: list[int]) -> None:
    messages = [entries(size) for size in sizes]
    sent = list(batches(messages))
    assert [message for batch in sent for message in batch] == messages
    assert all(sum(each.ByteSize() for each in batch) <= BATCH_BYTES for batch in sent)


def entry(seq: int, memo_characters: int) -> Entry:
    memo = "x" * memo_characters
    records = (Record(RecordKind.DEPOSIT, (Posting(AccountId("anna"), Money(1)),), memo),)
    return make_entry(origin=HERE, seq=Seq(seq), clock=HybridTime(seq), dependencies=NOTHING, records=records)


@pytest.mark.usefixtures("small_batches")
def test_a_run_of_entries_is_split_where_it_is_too_large_for_one_message() -> None:
    run = tuple(entry(seq, 140) for seq in range(1, 21))
    split = list(streams.parts(Entries(HERE, run)))
    assert len(split) > 1
    assert [each for part in split if isinstance(part, Entries) for each in part.entries] == list(run)
    for part in split:
        assert isinstance(part, Entries)
        assert part.entries
        assert sum(len(each.encoded) for each in part.entries) <= basics.BATCH_BYTES


@pytest.mark.usefixtures("small_batches")
def test_an_entry_that_is_larger_than_a_batch_goes_by_itself() -> None:
    records = (Record(RecordKind.DEPOSIT, (Posting(AccountId("anna"), Money(1)),)),) * 50
    large = make_entry(origin=HERE, seq=Seq(2), clock=HybridTime(2), dependencies=NOTHING, records=records)
    run = (entry(1, 0), large, entry(3, 0))
    split = [part.entries for part in streams.parts(Entries(HERE, run)) if isinstance(part, Entries)]
    assert split == [(run[0],), (large,), (run[2],)]


def test_the_largest_entry_there_can_be_is_a_message_that_grpc_takes() -> None:
    message = replication_pb2.PublisherMessages(messages=[entries(ENTRY_BYTES_MAX)])
    assert message.ByteSize() + BATCH_BYTES < MESSAGE_BYTES_MAX


def test_what_is_no_run_of_entries_goes_as_it_is() -> None:
    head = Head(1, HERE, Seq(0), Seq(0), NOTHING)
    assert list(streams.parts(head)) == [head]


def test_a_step_that_says_nothing_sends_nothing() -> None:
    assert list(batches([entries(0)][:0])) == []
