"""All entries of a branch that runs, for whoever audits it."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, open_bank

from bankbook.core.encoding import decode_entry
from bankbook.core.entry import Entry
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import history
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc, bank_pb2, replication_pb2
from bankbook.wire.vectors import decode_vector, encode_vector


def ask(
    bank: BankInOneLoop, branch: int = 1, after: replication_pb2.VersionVector | None = None
) -> AsyncIterator[admin_pb2.EntryBatch]:
    stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(bank.channel(branch))
    return aiter(stub.ReadEntries(admin_pb2.ReadEntriesRequest(after=after), timeout=FOREVER_S))


async def read(
    bank: BankInOneLoop, branch: int = 1, after: VersionVector = NOTHING
) -> tuple[VersionVector, list[list[Entry]]]:
    """Return up to where the branch sends its entries, and them, batch by batch."""
    head, *batches = [batch async for batch in ask(bank, branch, encode_vector(after))]
    assert not head.entries
    assert not any(batch.HasField("until") for batch in batches)
    return decode_vector(head.until), [[decode_entry(each) for each in batch.entries] for batch in batches]


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BATCH_ENTRIES_MAX", 3)


@pytest.mark.usefixtures("_small_batches")
async def test_every_branch_sends_the_same_entries_each_behind_what_it_depends_on() -> None:
    async with open_bank(2) as bank:
        session = bank.client().session("anna")
        for number in range(10):
            await session.deposit(number, branch=1 + number % 2)
        token = await session.balance(branch=1)
        await session.balance(branch=2)
        assert token.balance == sum(range(10))
        (until, batches), other = await read(bank, 1), await read(bank, 2)
        assert (until, batches) == other
        assert max(len(batch) for batch in batches) == 3
        entries = [entry for batch in batches for entry in batch]
        deposits = [entry.postings[0].amount for entry in entries if entry.postings]
        assert deposits == list(range(10)), "one session's writes follow each other"
        seen = NOTHING
        for entry in entries:
            assert seen.dominates(entry.dependencies)
            seen = seen.raised(entry.origin, entry.seq)
        assert seen == until


@pytest.mark.usefixtures("_small_batches")
async def test_what_is_written_meanwhile_is_not_among_it_and_comes_behind_it() -> None:
    async with open_bank(1) as bank:
        session = bank.client().session("anna")
        for _ in range(7):
            await session.deposit(1)
        batches = ask(bank)
        head, first = await anext(batches), await anext(batches)
        await session.deposit(2, timeout=FOREVER_S)  # the branch serves, with the stream half read
        rest = [batch async for batch in batches]
        entries = [decode_entry(each) for batch in (first, *rest) for each in batch.entries]
        assert [entry.postings[0].amount for entry in entries if entry.postings] == [1] * 7
        _, more = await read(bank, after=decode_vector(head.until))
        assert [entry.postings[0].amount for batch in more for entry in batch] == [2]


async def test_who_has_everything_is_sent_nothing() -> None:
    async with open_bank(1) as bank:
        until, batches = await read(bank)
        assert sum(len(batch) for batch in batches) == sum(seq for _, seq in until)
        assert await read(bank, after=until) == (until, [])


async def test_a_vector_that_cannot_be_is_refused() -> None:
    async with open_bank(1) as bank:
        bad = replication_pb2.VersionVector(
            components=[replication_pb2.Component(origin=bank_pb2.Origin(branch=0, incarnation=1), seq=1)]
        )
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await anext(ask(bank, after=bad))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "an origin is a branch from 1" in str(refusal.value.details())


async def test_who_hangs_up_in_the_middle_leaves_nothing_behind() -> None:
    """`open_bank` sees that no task is left."""
    async with open_bank(1) as bank:
        session = bank.client().session("anna")
        await asyncio.gather(*(session.deposit(1) for _ in range(20)))
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(bank.channel(1))
        call = stub.ReadEntries(admin_pb2.ReadEntriesRequest(), timeout=FOREVER_S)
        await anext(aiter(call))
        call.cancel()
        assert (await session.deposit(1)).balance == 21
