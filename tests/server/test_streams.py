"""The streams between branches: who is let in, what happens when they break, and how long entries take."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from branches_in_one_loop import FOREVER_S, BankInOneLoop, impatient, open_bank
from structlog.testing import capture_logs

from bankbook.client import LOCAL, HoldTimeoutError
from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Posting, Record, RecordKind
from bankbook.core.messages import AskHead, Entries, Head, Message, Subscribe
from bankbook.core.ports import Changes
from bankbook.core.replication import IN_FLIGHT_MAX
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.server import branch, streams
from bankbook.server.branch import open_store
from bankbook.server.config import BranchConfig, Delay
from bankbook.store.base import Store
from bankbook.wire.peers import (
    PROTOCOL_VERSION,
    Greeting,
    decode_from_publisher,
    encode_for_publisher,
    encode_for_subscriber,
)
from bankbook.wire.v1 import replication_pb2_grpc
from bankbook.wire.v1.replication_pb2 import PublisherMessages, SubscriberMessage, SubscriberMessages

THERE = Origin(BranchId(2), Incarnation(0xB0B))
HOUR = Delay(3_600_000_000, 3_600_000_000)
TENTH = Delay(100_000, 100_000)
SECOND = Delay(1_000_000, 1_000_000)


def greeting_of(bank: BankInOneLoop, origin: Origin = THERE) -> Greeting:
    genesis = bank.genesis
    return Greeting(PROTOCOL_VERSION, genesis.cluster, genesis.fingerprint(), origin, NOTHING)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(streams, "_BACKOFF_LAST_S", 0.002)


# The publisher's side: whom it serves.


class Subscriber:
    """A hand-made subscriber of one branch."""

    def __init__(self, bank: BankInOneLoop, branch: int = 1) -> None:
        stub: replication_pb2_grpc.ReplicationAsyncStub
        stub = replication_pb2_grpc.ReplicationStub(bank.channel(branch))
        self.call = stub.Replicate(None)

    async def say(self, *messages: Message | Greeting) -> None:
        await self.call.write(SubscriberMessages(messages=[encode_for_publisher(each) for each in messages]))

    async def hear(self) -> Message | Greeting:
        """Return the next message; each comes in a batch of its own while a test goes step by step."""
        batch = await asyncio.wait_for(self.call.read(), FOREVER_S)
        assert isinstance(batch, PublisherMessages), await self.call.details()
        return decode_from_publisher(batch.messages[0])

    async def hear_of(self, kind: type[Message]) -> Message | Greeting:
        while not isinstance(message := await self.hear(), kind):
            pass
        return message

    async def enter(self, bank: BankInOneLoop) -> Origin:
        """Greet, and return the other end's origin once the stream is one of those it serves."""
        await self.say(greeting_of(bank))
        greeting = await self.hear()
        assert isinstance(greeting, Greeting)
        await self.say(AskHead(1))
        await self.hear_of(Head)
        return greeting.origin

    async def refusal(self) -> tuple[grpc.StatusCode, str]:
        return await asyncio.wait_for(self.call.code(), FOREVER_S), await self.call.details() or ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: replace(g, version=1), "speaks version 1"),
        (lambda g: replace(g, cluster="bank-of-others"), "is of bank 'bank-of-others'"),
        (lambda g: replace(g, genesis="other"), "other branches or another opening balance"),
        (lambda g: replace(g, origin=Origin(BranchId(1), Incarnation(7))), "calls itself branch 1"),
        (lambda g: replace(g, origin=Origin(BranchId(3), Incarnation(7))), "calls itself branch 3"),
    ],
)
async def test_a_subscriber_that_is_no_other_branch_of_this_bank_is_refused_in_words(
    change: Callable[[Greeting], Greeting], words: str
) -> None:
    async with open_bank(2, joined=False) as bank:
        subscriber = Subscriber(bank)
        await subscriber.say(change(greeting_of(bank)))
        code, details = await subscriber.refusal()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert words in details
        assert (await bank.client().session("anna").deposit(5, branch=1)).balance == 5, "the branch lives"


async def test_a_subscriber_that_does_not_greet_first_is_refused() -> None:
    async with open_bank(2, joined=False) as bank:
        for garbage in (
            SubscriberMessages(),
            SubscriberMessages(messages=[SubscriberMessage()]),
            SubscriberMessages(messages=[encode_for_publisher(Subscribe(THERE, Seq(0)))]),
        ):
            subscriber = Subscriber(bank)
            await subscriber.call.write(garbage)
            assert (await subscriber.refusal())[0] is grpc.StatusCode.INVALID_ARGUMENT
        silent = Subscriber(bank)
        await silent.call.done_writing()
        assert (await silent.refusal())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_subscriber_that_says_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_GREETING_TIMEOUT_S", 0.01)
    async with open_bank(2, joined=False) as bank:
        assert await Subscriber(bank).refusal() == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "no greeting came in time",
        )


async def test_a_subscriber_that_turns_to_garbage_is_cut_off_and_the_branch_lives() -> None:
    async with open_bank(2, joined=False) as bank:
        subscriber = Subscriber(bank)
        await subscriber.say(greeting_of(bank))
        assert isinstance(await subscriber.hear(), Greeting)
        await subscriber.call.write(SubscriberMessages(messages=[SubscriberMessage()]))
        assert (await subscriber.refusal())[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert (await bank.client().session("anna").deposit(5, branch=1)).balance == 5


async def test_a_subscriber_that_connects_again_replaces_its_stale_stream() -> None:
    async with open_bank(2, joined=False) as bank:
        stale, fresh = Subscriber(bank), Subscriber(bank)
        origin = await stale.enter(bank)
        assert await fresh.enter(bank) == origin
        assert (await stale.refusal())[0] is grpc.StatusCode.OK
        await fresh.say(Subscribe(origin, Seq(0)))
        await bank.client().session("anna").deposit(5, branch=1)
        run = await fresh.hear_of(Entries)
        assert isinstance(run, Entries)
        assert [entry.seq for entry in run.entries] == [1]


async def test_a_branch_that_greets_says_what_it_has_on_its_disk_and_nothing_more() -> None:
    async with open_bank(2, joined=False) as bank:
        await bank.client().session("anna").deposit(5, branch=1)
        subscriber = Subscriber(bank)
        await subscriber.say(greeting_of(bank))
        greeting = await subscriber.hear()
        assert isinstance(greeting, Greeting)
        assert greeting.applied == VersionVector([(greeting.origin, Seq(1))])


# The subscriber's side: whom it believes, and how it comes back.


class Publisher(replication_pb2_grpc.ReplicationServicer):
    """A hand-made branch 2, that says what the test has it say."""

    def __init__(self, greeting: PublisherMessages, *, hangs_up: bool) -> None:
        self.streams = 0
        self.said: asyncio.Queue[SubscriberMessage] = asyncio.Queue()
        self._greeting = greeting
        self._hangs_up = hangs_up
        self._enough: dict[int, asyncio.Event] = {}

    async def Replicate(  # type: ignore[override]  # noqa: N802  (gRPC's generated code names the method)
        self,
        requests: AsyncIterator[SubscriberMessages],
        context: grpc.aio.ServicerContext[SubscriberMessages, PublisherMessages],
    ) -> None:
        self.streams += 1
        for count, event in self._enough.items():
            if self.streams >= count:
                event.set()
        await anext(requests)
        await context.write(self._greeting)
        if self._hangs_up:
            return
        async for batch in requests:
            for message in batch.messages:
                self.said.put_nowait(message)

    async def until_asked(self, times: int) -> None:
        """Wait until so many streams were opened."""
        event = self._enough.setdefault(times, asyncio.Event())
        if self.streams < times:
            await asyncio.wait_for(event.wait(), FOREVER_S)


@asynccontextmanager
async def publisher_for(
    bank: BankInOneLoop, *said: Message | Greeting, hangs_up: bool = False
) -> AsyncIterator[Publisher]:
    """Serve as branch 2 of `bank`, for its branch 1 to fetch from."""
    batch = PublisherMessages(messages=[encode_for_subscriber(each) for each in said])
    publisher = Publisher(batch, hangs_up=hangs_up)
    server = grpc.aio.server()
    replication_pb2_grpc.add_ReplicationServicer_to_server(publisher, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    bank.branches[1].streams.connect({BranchId(2): f"127.0.0.1:{port}"})
    try:
        yield publisher
    finally:
        await bank.branches[1].streams.close()
        await server.stop(None)


@asynccontextmanager
async def open_branch_1_of_2() -> AsyncIterator[BankInOneLoop]:
    async with open_bank(2, joined=False) as bank:
        await bank.stop(2)
        yield bank


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: replace(g, version=1), "speaks version 1"),
        (lambda g: replace(g, cluster="bank-of-others"), "is of bank 'bank-of-others'"),
        (lambda g: replace(g, genesis="other"), "other branches or another opening balance"),
        (lambda g: replace(g, origin=Origin(BranchId(1), Incarnation(7))), "calls itself branch 1"),
        (lambda g: replace(g, origin=Origin(BranchId(3), Incarnation(7))), "calls itself branch 3"),
    ],
)
async def test_an_address_where_no_such_branch_answers_is_named_in_the_log_and_tried_again(
    change: Callable[[Greeting], Greeting], words: str
) -> None:
    with capture_logs() as lines:
        async with (
            open_branch_1_of_2() as bank,
            publisher_for(bank, change(greeting_of(bank))) as publisher,
        ):
            await publisher.until_asked(3)
            assert not (await bank.status(1)).peers[0].is_connected
    refused = [line for line in lines if line["event"] == "link.refused"]
    assert refused
    assert all(words in line["error"] and line["log_level"] == "error" for line in refused)


async def test_a_publisher_that_does_not_greet_first_is_not_believed() -> None:
    with capture_logs() as lines:
        async with (
            open_branch_1_of_2() as bank,
            publisher_for(bank, Head(1, THERE, Seq(9), Seq(9), NOTHING)) as publisher,
        ):
            await publisher.until_asked(3)
            assert not (await bank.status(1)).peers[0].is_connected
    assert any("begins with a greeting" in line.get("error", "") for line in lines)


async def test_a_publisher_that_hangs_up_in_the_middle_of_a_sentence_is_called_again_every_time() -> None:
    async with (
        open_branch_1_of_2() as bank,
        publisher_for(bank, greeting_of(bank), hangs_up=True) as publisher,
    ):
        await publisher.until_asked(300)


async def test_a_disk_that_failed_closes_the_streams_and_they_are_opened_anew() -> None:
    async with open_branch_1_of_2() as bank, publisher_for(bank, greeting_of(bank)) as publisher:
        await bank.until(1, lambda status: status.peers[0].is_connected)
        bank.branches[1].streams.reset()
        await publisher.until_asked(2)
        await bank.until(1, lambda status: status.peers[0].is_connected)


async def test_a_branch_that_failed_to_commit_closes_the_streams_of_its_subscribers_too() -> None:
    async with open_bank(2, joined=False) as bank:
        subscriber = Subscriber(bank)
        await subscriber.enter(bank)
        bank.branches[1].streams.reset()
        assert (await subscriber.refusal())[0] is grpc.StatusCode.OK


# Whole branches.


async def test_a_branch_fetches_what_it_missed_once_the_other_one_is_back() -> None:
    async with open_bank(3) as bank:
        session = bank.client().session("anna")
        await session.deposit(5, branch=1)
        await session.balance(branch=2)
        await bank.stop(2)
        await session.deposit(7, branch=1)
        await bank.start(2)
        await bank.join(2, 1)
        await bank.join(2, 3)
        assert (await session.balance(branch=2)).balance == 12
        paid = await session.deposit(1, branch=2)
        assert (await session.balance(branch=3)).balance == paid.balance == 13


async def test_what_one_branch_cannot_fetch_from_its_origin_comes_through_another_branch() -> None:
    async with open_bank(3, joined=False) as bank:
        await bank.join(2, 1)
        await bank.join(3, 2)
        session = bank.client().session("anna")
        await session.deposit(5, branch=1)
        assert (await session.balance(branch=3)).balance == 5


async def test_entries_take_the_time_that_was_configured_for_their_link() -> None:
    def slow_to_2(config: BranchConfig) -> BranchConfig:
        return replace(config, delays={BranchId(1): SECOND} if config.branch == 2 else {})

    async with open_bank(3, configure=slow_to_2) as bank:
        session = bank.client().session("anna")
        await session.deposit(5, branch=1)
        quick, slow = await session.balance(branch=3), await session.balance(branch=2)
        assert (quick.balance, slow.balance) == (5, 5)
        assert slow.info.awaited != ()
        assert (await bank.client().session("stranger").balance(branch=2)).held_us == 0


async def test_a_delay_holds_up_entries_and_not_the_questions_of_how_far_somebody_is() -> None:
    async with open_bank(2, configure=lambda config: impatient(replace(config, delay=HOUR))) as bank:
        session = bank.client().session("anna")
        await session.deposit(5, branch=1)
        with pytest.raises(HoldTimeoutError) as error:
            await session.balance(branch=2)
        assert [(gap.has, gap.needs) for gap in error.value.awaited] == [(0, 1)]
        assert (await session.balance(branch=2, freshness=LOCAL)).balance == 0


async def test_a_branch_far_behind_in_several_logs_at_once_catches_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One step answers all that was asked for at once, which is more than one gRPC message may hold."""
    logs = [Origin(BranchId(3), Incarnation(life + 1)) for life in range(8)]

    def open_store_of_much(config: BranchConfig) -> Store:
        store = open_store(config)
        store.commit(Changes(has_joined=True))
        if config.branch == 1:
            for origin in logs:
                entries = [long_entry(origin, seq) for seq in range(1, IN_FLIGHT_MAX + 1)]
                store.commit(Changes(entries, clock=entries[-1].clock))
        return store

    monkeypatch.setattr(branch, "open_store", open_store_of_much)
    async with open_bank(3, joined=False, new=False) as bank:
        await bank.join(2, 1)
        await bank.until(
            2, lambda status: [c.seq for c in status.applied.components] == [IN_FLIGHT_MAX] * len(logs)
        )


def long_entry(origin: Origin, seq: int) -> Entry:
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(seq << 16),
        dependencies=NOTHING,
        customer=CustomerId("c" * 64),
        records=(Record(RecordKind.DEPOSIT, (Posting(AccountId("a" * 64), Money(1)),), memo="m" * 140),),
    )


async def test_a_link_that_meets_a_bug_of_ours_ends_the_branch_and_does_not_fall_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(_link: streams.Link) -> None:
        raise ZeroDivisionError

    async with open_bank(2, joined=False) as bank:
        monkeypatch.setattr(streams.Link, "run", run)
        bank.branches[1].connect({BranchId(2): bank.addresses[2]})
        with pytest.raises(ZeroDivisionError):
            await bank.branches[1].ended()


async def test_closing_ends_every_stream_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with open_bank(3) as bank:
        await asyncio.gather(*(branch.streams.close() for branch in bank.branches.values()))
        links = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("link")}
        assert not links
