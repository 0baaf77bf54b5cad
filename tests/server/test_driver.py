"""The loop around the core, over a store that commits when the test lets it, or fails."""

import asyncio
import gc
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from math import inf

import pytest

from bankbook.core.clock import HybridTime
from bankbook.core.commands import (
    Command,
    Deposit,
    ReadBalance,
    Release,
    Reply,
    Request,
    Transfer,
    fingerprint_of,
)
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Keyed, Posting, Record, RecordKind, Verdict
from bankbook.core.messages import (
    Acknowledge,
    AskHead,
    AskKey,
    Connected,
    Entries,
    Forward,
    Head,
    Message,
    Received,
    Subscribe,
    SubscriberHere,
)
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Changes, Genesis, Identity
from bankbook.core.replica import Settings
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import (
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
)
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.server.driver import Driver
from bankbook.server.group_commit import GroupCommit, Patience
from bankbook.server.machine import ThisMachine, collect_rarely, read_clocks
from bankbook.store.base import CommitRefusedError, CommitUnknownError
from bankbook.store.memory import MemoryStore

ANNA, BERT = AccountId("anna"), AccountId("bert")
FIVE, SEVEN = Money(5), Money(7)
HERE, THERE = (Origin(BranchId(branch), Incarnation(branch)) for branch in (1, 2))
SECOND = 1_000_000
NEVER_US = 3600 * SECOND
NEVER_S = 3600.0
FOREVER_S = 60.0
"""Longer than any test: what waits for it hangs."""


class SlowStore(MemoryStore):
    """A store whose commits wait for the test's verdict, once the test holds them up."""

    def __init__(self, branches: tuple[int, ...] = (1,)) -> None:
        genesis = Genesis("test", tuple(BranchId(each) for each in branches), Money(0))
        super().__init__(Identity(HERE, genesis))
        super().commit(Changes(has_joined=True))
        self.commits: list[Changes] = []
        self.is_slow = False
        self.is_closed = False
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Queue[Changes] = asyncio.Queue()
        self._verdicts: queue.Queue[Exception | None] = queue.Queue()

    def commit(self, changes: Changes) -> None:
        self.commits.append(changes)
        if self.is_slow:
            self._loop.call_soon_threadsafe(self._begun.put_nowait, changes)
            verdict = self._verdicts.get(timeout=FOREVER_S)
            if isinstance(verdict, KeptAndInDoubtError):
                super().commit(changes)
            if verdict is not None:
                raise verdict
        super().commit(changes)

    async def begun(self) -> Changes:
        """Wait until a commit is under way."""
        return await asyncio.wait_for(self._begun.get(), FOREVER_S)

    def let_go(self, verdict: Exception | None = None) -> None:
        """Let the commit under way end, well or with an error."""
        self._verdicts.put(verdict)

    def be_quick(self) -> None:
        """Let every commit from now on go through."""
        self.is_slow = False
        self.let_go()

    def close(self) -> None:
        self.is_closed = True


class KeptAndInDoubtError(CommitUnknownError):
    """The disk has it, and nobody said so."""


@dataclass
class Desk:
    """A driver, and all that it sent and was asked to reset."""

    store: SlowStore
    driver: Driver
    sent: list[tuple[BranchId, Message]] = field(default_factory=list)
    resets: int = 0

    def ask(
        self, command: Command, token: Token = EMPTY, *, within_us: int = NEVER_US
    ) -> asyncio.Task[Reply]:
        """Hand in a request; it has arrived once anything else is awaited."""
        deadline_us = read_clocks().monotonic_us + within_us
        request = Request(self.driver.next_request(), command, deadline_us, CustomerId("anna"), token)
        return asyncio.create_task(self.driver.ask(request))

    async def do(self, command: Command) -> Reply:
        return await asyncio.wait_for(self.ask(command), FOREVER_S)

    async def has_arrived(self, *asked: asyncio.Task[Reply]) -> None:
        """Let tasks begin, each of which hands in its request first thing."""
        await asyncio.sleep(0)
        assert not any(task.done() for task in asked)


@asynccontextmanager
async def open_desk(
    branches: tuple[int, ...] = (1,),
    settings: Settings = Settings(),  # noqa: B008
) -> AsyncIterator[Desk]:
    """Run a driver; end it, whatever happened, and see that it left nothing behind."""
    store = SlowStore(branches)
    desk: Desk

    def send(branch: BranchId, messages: list[Message]) -> None:
        desk.sent.extend((branch, message) for message in messages)

    def reset() -> None:
        desk.resets += 1

    desk = Desk(store, Driver(store, settings, send, reset, ThisMachine(threaded=inf)))
    running = asyncio.create_task(desk.driver.run())
    try:
        await desk.driver.status()
        store.commits.clear()  # what a branch does first of its own accord: forget old keys
        yield desk
        assert not running.done(), "the driver has ended"
    finally:
        store.be_quick()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await desk.driver.close()
    assert store.is_closed


async def test_a_deposit_is_not_acknowledged_before_it_is_on_the_disk() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        assert not deposit.done()
        assert desk.driver.committed[HERE] == 0
        desk.store.let_go()
        reply = await deposit
        assert (reply.outcome, reply.balance) == (Outcome.OK, 5)
        assert desk.driver.committed[HERE] == 1


async def test_a_query_that_comes_during_a_commit_waits_for_it_and_shows_nothing_that_could_be_lost() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        query = desk.ask(ReadBalance(ANNA))
        await desk.has_arrived(query)
        assert not query.done()
        desk.store.let_go()
        assert (await query).balance == 5
        assert deposit.done()


async def test_all_that_arrives_during_one_commit_shares_the_next() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        first = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        others = [desk.ask(Deposit(ANNA, FIVE)) for _ in range(50)]
        await desk.has_arrived(first, *others)
        desk.store.let_go()
        assert len((await desk.store.begun()).entries) == 50
        assert first.done()
        assert not any(task.done() for task in others)
        desk.store.let_go()
        replies = await asyncio.gather(*others)
        assert [reply.balance for reply in replies] == [5 * (n + 2) for n in range(50)]
        assert len(desk.store.commits) == 2


async def test_nothing_is_sent_to_another_branch_before_it_is_on_the_disk() -> None:
    async with open_desk((1, 2)) as desk:
        connect(desk, subscribed=True)
        await desk.driver.status()
        desk.sent.clear()
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        assert desk.sent == []
        desk.store.let_go()
        await deposit
        (entries,) = [message for _, message in desk.sent if isinstance(message, Entries)]
        assert [entry.seq for entry in entries.entries] == [1]


async def test_a_disk_that_refuses_a_write_is_told_as_such_and_nothing_happened() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        reply = await deposit
        assert (reply.outcome, reply.detail) == (Outcome.STORE_UNAVAILABLE, "the disk is full")
        assert reply.balance is None
        assert desk.resets == 1
        desk.store.be_quick()
        assert (await desk.do(ReadBalance(ANNA))).balance == 0
        assert (await desk.do(Deposit(ANNA, SEVEN))).balance == 7


@pytest.mark.parametrize(
    ("verdict", "balance"), [(CommitUnknownError("in doubt"), 0), (KeptAndInDoubtError("in doubt"), 5)]
)
async def test_a_commit_in_doubt_is_told_as_such_and_the_branch_goes_on_from_what_the_disk_has(
    verdict: Exception, balance: int
) -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        desk.store.let_go(verdict)
        assert (await deposit).outcome is Outcome.OUTCOME_UNKNOWN
        desk.store.be_quick()
        assert (await desk.do(ReadBalance(ANNA))).balance == balance
        assert desk.driver.committed[HERE] == balance // 5
        assert (await desk.do(Deposit(ANNA, SEVEN))).balance == balance + 7


async def test_of_a_commit_in_doubt_only_the_writes_it_held_are_in_doubt() -> None:
    async with open_desk((1, 2)) as desk:
        held = desk.ask(ReadBalance(ANNA), Token(read=VersionVector([(THERE, Seq(1))])))
        await until_held(desk, 1)
        desk.store.is_slow = True
        first = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        written, read = desk.ask(Deposit(ANNA, FIVE)), desk.ask(ReadBalance(ANNA))
        refused = desk.ask(Transfer(ANNA, ANNA, SEVEN))
        held_too = desk.ask(Deposit(ANNA, FIVE), Token(read=VersionVector([(THERE, Seq(1))])))
        await desk.has_arrived(written, read, refused, held_too)
        desk.store.let_go()
        await desk.store.begun()
        later = desk.ask(Deposit(ANNA, SEVEN))
        await desk.has_arrived(later)
        desk.store.let_go(CommitUnknownError("in doubt"))
        assert (await first).outcome is Outcome.OK
        assert (await written).outcome is Outcome.OUTCOME_UNKNOWN
        desk.store.be_quick()
        assert (await read).balance == 5, "read again, from what the disk has"
        assert (await refused).outcome is Outcome.SAME_ACCOUNT
        await until_held(desk, 2)
        assert not held.done()
        assert not held_too.done()
        assert (await later).balance == 12, "what came during the commit is carried out by the new replica"


async def test_a_full_disk_refuses_writes_and_serves_the_reads_that_come_with_them() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        for _ in range(10):
            write, read = desk.ask(Deposit(ANNA, FIVE)), desk.ask(ReadBalance(ANNA))
            await desk.store.begun()
            desk.store.let_go(CommitRefusedError("the disk is full"))
            assert (await write).outcome is Outcome.STORE_UNAVAILABLE
            assert (await read).balance == 0


async def test_who_hung_up_during_a_commit_that_failed_is_forgotten() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        deposit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deposit
        desk.store.let_go(CommitRefusedError("the disk is full"))
        desk.store.be_quick()
        assert (await desk.do(ReadBalance(ANNA))).balance == 0


async def test_a_branch_whose_disk_failed_has_forgotten_its_streams_and_takes_them_up_again() -> None:
    async with open_desk((1, 2)) as desk:
        connect(desk, subscribed=True)
        await desk.driver.status()
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        desk.driver.feed(Received(BranchId(2), Acknowledge(THERE, VersionVector())))
        desk.store.let_go(CommitRefusedError("the disk is full"))
        assert (await deposit).outcome is Outcome.STORE_UNAVAILABLE
        desk.store.be_quick()
        status = await desk.driver.status()
        assert (desk.resets, status.peers[0].is_connected) == (1, False)
        desk.sent.clear()
        connect(desk, subscribed=True)
        await desk.do(Deposit(ANNA, FIVE))
        assert [type(message) for _, message in desk.sent if isinstance(message, Subscribe | Entries)] == [
            Subscribe,
            Entries,
        ]


async def test_a_held_request_whose_caller_hung_up_is_held_no_longer() -> None:
    async with open_desk((1, 2)) as desk:
        held = desk.ask(ReadBalance(ANNA), Token(read=VersionVector([(THERE, Seq(1))])))
        await until_held(desk, 1)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        assert (await desk.driver.status()).held == ()
        assert desk.driver._waiting == {}


async def test_a_hold_ends_by_its_own_deadline_although_nothing_comes_in() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US)) as desk:
        token = Token(read=VersionVector([(THERE, Seq(1))]))
        reply = await asyncio.wait_for(desk.ask(ReadBalance(ANNA), token, within_us=1000), FOREVER_S)
        assert reply.outcome is Outcome.HOLD_TIMEOUT
        assert reply.held_us >= 1000


async def test_the_status_tells_only_what_is_on_the_disk_however_busy_the_branch_is() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposits = [desk.ask(Deposit(ANNA, FIVE))]
        await desk.store.begun()
        asked = asyncio.create_task(desk.driver.status())
        deposits.append(desk.ask(Deposit(ANNA, FIVE)))
        await desk.has_arrived(*deposits)
        desk.store.let_go()
        await desk.store.begun()
        told_early = asked.done()
        desk.store.be_quick()
        told = (await asked).applied[HERE]
        assert told == 1 if told_early else told == 2
        await asyncio.gather(*deposits)


async def test_whoever_reads_the_store_waits_for_the_commit_under_way() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        reading = asyncio.create_task(desk.driver.read(lambda store: (store.applied(), desk.store.is_slow)))
        await settle()
        assert not reading.done()
        desk.store.let_go()
        await deposit
        desk.store.be_quick()
        applied, _ = await reading
        assert applied == VersionVector([(HERE, Seq(1))])


async def test_a_drain_of_a_branch_that_holds_nothing_ends_at_once() -> None:
    async with open_desk() as desk:
        await asyncio.wait_for(desk.driver.drain(NEVER_US), FOREVER_S)
        assert (await desk.do(Deposit(ANNA, FIVE))).outcome is Outcome.SHUTTING_DOWN


async def test_a_drain_waits_for_what_is_being_written() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        first = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        second = desk.ask(Deposit(ANNA, FIVE))
        drain = asyncio.create_task(desk.driver.drain(NEVER_US))
        await desk.has_arrived(first, second)
        desk.store.let_go()
        await desk.store.begun()
        await settle()
        assert not drain.done(), "the second deposit is not on the disk yet"
        desk.store.be_quick()
        await asyncio.wait_for(drain, FOREVER_S)
        assert (await second).outcome is Outcome.OK


async def test_a_drain_lets_what_is_held_end_well() -> None:
    async with open_desk((1, 2)) as desk:
        held = desk.ask(ReadBalance(ANNA), Token(read=VersionVector([(THERE, Seq(1))])))
        await until_held(desk, 1)
        drain = asyncio.create_task(desk.driver.drain(NEVER_US))
        await settle()
        assert not drain.done()
        held.cancel()
        await asyncio.wait_for(drain, FOREVER_S)


async def test_a_drain_is_over_by_its_deadline_and_what_was_held_is_told_so() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US)) as desk:
        held = desk.ask(ReadBalance(ANNA), Token(read=VersionVector([(THERE, Seq(1))])))
        await until_held(desk, 1)
        await asyncio.wait_for(desk.driver.drain(1000), FOREVER_S)
        assert (await held).outcome is Outcome.SHUTTING_DOWN


async def test_a_drain_does_not_wait_beyond_its_deadline_for_a_branch_that_takes_nothing() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US, silence_us=NEVER_US)) as desk:
        connect(desk, subscribed=False)
        await desk.do(Deposit(ANNA, FIVE))
        await asyncio.wait_for(desk.driver.drain(1000), 5)


async def test_a_drain_ends_once_the_others_have_all_that_was_decided_here() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US, silence_us=NEVER_US)) as desk:
        connect(desk, subscribed=True)
        await desk.do(Deposit(ANNA, FIVE))
        drain = asyncio.create_task(desk.driver.drain(NEVER_US))
        await settle()
        assert not drain.done()
        desk.driver.feed(Received(BranchId(2), Acknowledge(THERE, VersionVector([(HERE, Seq(1))]))))
        await settle()
        assert not drain.done(), "nobody knows yet what the other one has"
        asked = [message for _, message in desk.sent if isinstance(message, AskHead)][-1]
        desk.driver.feed(Received(BranchId(2), Head(asked.question, THERE, Seq(0), Seq(0), NOTHING)))
        await asyncio.wait_for(drain, FOREVER_S)


async def test_a_disk_that_fails_while_the_branch_is_stopping_ends_no_hold_before_its_time() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US)) as desk:
        held = desk.ask(ReadBalance(ANNA), Token(read=VersionVector([(THERE, Seq(1))])))
        await until_held(desk, 1)
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        drain = asyncio.create_task(desk.driver.drain(NEVER_US))
        await settle()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        assert (await deposit).outcome is Outcome.STORE_UNAVAILABLE
        desk.store.be_quick()
        await until_held(desk, 1)
        assert not held.done()
        assert not drain.done()
        held.cancel()
        await asyncio.wait_for(drain, FOREVER_S)


async def test_a_branch_whose_disk_failed_writes_nothing_of_its_own_accord_for_a_moment() -> None:
    async with open_desk() as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        assert (await deposit).outcome is Outcome.STORE_UNAVAILABLE
        assert desk.driver._replica._context.is_quiet
        desk.store.be_quick()
        assert (await desk.do(Deposit(ANNA, FIVE))).balance == 5, "a customer's write is tried at once"


class FullStore(MemoryStore):
    """A new store that takes nothing; who tries for ever is found out."""

    def __init__(self) -> None:
        super().__init__(Identity(HERE, Genesis("test", (HERE.branch,), Money(0))))
        self.tried = 0

    def commit(self, changes: Changes) -> None:  # noqa: ARG002  (what it takes nothing of)
        self.tried += 1
        assert self.tried < 10, "the loop stands still meanwhile: nothing else would end this"
        raise CommitRefusedError("the disk is full")


async def test_nor_does_it_try_to_join_as_fast_as_a_full_disk_refuses() -> None:
    store = FullStore()
    driver = Driver(store, Settings(), lambda _branch, _messages: None, lambda: None)
    running = asyncio.create_task(driver.run())
    status = asyncio.create_task(driver.status())
    await asyncio.wait([running, status], timeout=FOREVER_S, return_when=asyncio.FIRST_COMPLETED)
    request = Request(
        driver.next_request(), Deposit(ANNA, FIVE), read_clocks().monotonic_us + NEVER_US, CustomerId("anna")
    )
    deposit = asyncio.create_task(driver.ask(request))
    await settle()
    assert not running.done(), running.exception()
    assert not deposit.done(), "held until it has joined"
    assert store.tried == 1
    for task in (deposit, running):
        task.cancel()
    await asyncio.gather(deposit, running, return_exceptions=True)
    await driver.close()


@pytest.mark.parametrize("durable", [0, 1])
async def test_whoever_wrote_under_a_key_as_the_disk_failed_is_told_so_however_long_they_would_wait(
    durable: int,
) -> None:
    async with open_desk((1, 2)) as desk:
        desk.store.is_slow = True
        request = Request(
            desk.driver.next_request(),
            Deposit(ANNA, FIVE),
            read_clocks().monotonic_us + NEVER_US,
            CustomerId("anna"),
            key=Key("1/order-17"),
            durable=durable,
        )
        deposit = asyncio.create_task(desk.driver.ask(request))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        reply = await asyncio.wait_for(deposit, FOREVER_S)
        assert reply.outcome is Outcome.STORE_UNAVAILABLE


async def test_what_a_key_was_told_before_is_told_although_the_disk_is_full() -> None:
    async with open_desk() as desk:
        deposit = Request(
            desk.driver.next_request(),
            Deposit(ANNA, FIVE),
            read_clocks().monotonic_us + NEVER_US,
            CustomerId("anna"),
            key=Key("1/order-17"),
        )
        first = await desk.driver.ask(deposit)
        desk.store.is_slow = True
        other = desk.ask(Deposit(ANNA, SEVEN))
        again = asyncio.create_task(desk.driver.ask(replace(deposit, id=desk.driver.next_request())))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        assert (await other).outcome is Outcome.STORE_UNAVAILABLE
        reply = await asyncio.wait_for(again, FOREVER_S)
        assert (reply.outcome, reply.entry, reply.is_replayed) == (Outcome.OK, first.entry, True)


async def test_a_disk_that_fails_does_not_deny_what_another_branch_has_done() -> None:
    """Else whoever asks under a new key, as one may after that answer, pays in twice."""
    async with open_desk((1, 2)) as desk:
        connect(desk, subscribed=False)
        key, command = Key("2/order-17"), Deposit(ANNA, FIVE)
        deadline_us = read_clocks().monotonic_us + NEVER_US
        request = Request(desk.driver.next_request(), command, deadline_us, CustomerId("anna"), key=key)
        deposit = asyncio.create_task(desk.driver.ask(request))
        await until_held(desk, 1)
        entry = make_entry(
            origin=THERE,
            seq=Seq(1),
            clock=HybridTime(1),
            dependencies=NOTHING,
            records=(Record(RecordKind.DEPOSIT, (Posting(ANNA, FIVE),), verdict=Verdict(Outcome.OK)),),
            customer=CustomerId("anna"),
            keyed=Keyed(key, fingerprint_of(CustomerId("anna"), command)),
        )
        desk.store.is_slow = True
        desk.driver.feed(Received(BranchId(2), Entries(THERE, (entry,))))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        desk.store.be_quick()
        await desk.driver.status()
        assert not deposit.done()
        connect(desk, subscribed=False)
        desk.driver.feed(Received(BranchId(2), Entries(THERE, (entry,))))
        reply = await asyncio.wait_for(deposit, FOREVER_S)
        assert (reply.outcome, reply.entry) == (Outcome.OK, entry.id)


async def test_a_disk_that_fails_to_give_a_key_away_does_not_deny_what_the_other_branch_may_do_next() -> None:
    async with open_desk((1, 2)) as desk:
        connect(desk, subscribed=True)
        key, deadline_us = Key("1/order-17"), read_clocks().monotonic_us + NEVER_US
        release = Release(ReservationId("2.00000002-1-0"))
        request = Request(desk.driver.next_request(), release, deadline_us, CustomerId("anna"), key=key)
        asked = asyncio.create_task(desk.driver.ask(request))
        await until_held(desk, 1)
        assert any(isinstance(message, Forward) for _, message in desk.sent)
        desk.store.is_slow = True
        desk.driver.feed(Received(BranchId(2), AskKey(7, key)))
        await desk.store.begun()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        desk.store.be_quick()
        await desk.driver.status()
        assert not asked.done()
        asked.cancel()


async def test_who_may_take_out_how_much_is_told_of_what_is_on_the_disk() -> None:
    async with open_desk() as desk:
        await desk.do(Deposit(ANNA, FIVE))
        state, rights = await desk.driver.rights(ANNA)
        assert state is not None
        assert (state.balance, rights) == (5, {1: 5})


async def test_a_disk_that_fails_while_the_branch_is_stopping_does_not_open_it_again() -> None:
    async with open_desk((1, 2), Settings(heartbeat_us=NEVER_US)) as desk:
        desk.store.is_slow = True
        deposit = desk.ask(Deposit(ANNA, FIVE))
        await desk.store.begun()
        drain = asyncio.create_task(desk.driver.drain(NEVER_US))
        await settle()
        desk.store.let_go(CommitRefusedError("the disk is full"))
        assert (await deposit).outcome is Outcome.STORE_UNAVAILABLE
        desk.store.be_quick()
        await asyncio.wait_for(drain, FOREVER_S)
        assert (await desk.do(Deposit(ANNA, FIVE))).outcome is Outcome.SHUTTING_DOWN


@pytest.mark.parametrize("bug", ["in the core", "in the store"])
async def test_a_bug_of_ours_ends_the_driver_loudly(bug: str) -> None:
    store = SlowStore()
    driver = Driver(store, Settings(), lambda _branch, _messages: None, lambda: None)
    running = asyncio.create_task(driver.run())
    if bug == "in the core":
        driver.feed(Received(BranchId(9), Acknowledge(THERE, VersionVector())))
        with pytest.raises(AssertionError, match="branch 9"):
            await asyncio.wait_for(running, FOREVER_S)
    else:
        store.is_slow = True
        request = Request(driver.next_request(), Deposit(ANNA, FIVE), NEVER_US, CustomerId("anna"))
        driver.feed(request)
        await store.begun()
        store.let_go(ZeroDivisionError("a bug"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(running, FOREVER_S)
    await driver.close()


async def test_closing_waits_for_the_commit_under_way_before_the_store_is_closed() -> None:
    store = SlowStore()
    driver = Driver(store, Settings(), lambda _branch, _messages: None, lambda: None)
    running = asyncio.create_task(driver.run())
    store.is_slow = True
    driver.feed(Request(driver.next_request(), Deposit(ANNA, FIVE), NEVER_US, CustomerId("anna")))
    await store.begun()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    closing = asyncio.create_task(driver.close())
    await settle()
    assert (closing.done(), store.is_closed) == (False, False)
    store.let_go()
    await closing
    assert store.is_closed
    assert store.applied()[HERE] == 1


async def expect_company(desk: Desk) -> asyncio.Task[Reply]:
    """Have a deposit wait for company, as the two before it had; return it."""
    await asyncio.gather(desk.do(Deposit(ANNA, FIVE)), desk.do(Deposit(ANNA, FIVE)))
    deposit = desk.ask(Deposit(ANNA, FIVE))
    await settle()
    assert not deposit.done()
    return deposit


async def open_patient_desk(stack: AsyncExitStack) -> Desk:
    """Open a desk of two branches where a step waits for company for as long as the test lasts."""
    desk = await stack.enter_async_context(open_desk((1, 2)))
    desk.driver._group = GroupCommit(Patience(NEVER_S, NEVER_S, NEVER_S))
    connect(desk, subscribed=True)
    await desk.driver.status()
    return desk


def first_entry_there(*, is_awaited: bool = False) -> Received:
    deposit = Record(RecordKind.DEPOSIT, (Posting(BERT, FIVE),), verdict=Verdict(Outcome.OK))
    entry = make_entry(
        origin=THERE,
        seq=Seq(1),
        clock=HybridTime(1),
        dependencies=NOTHING,
        records=(deposit,),
        customer=CustomerId("bert"),
    )
    return Received(BranchId(2), Entries(THERE, (entry,), is_awaited))


async def test_an_entry_does_not_wait_for_company_where_somebody_waits_for_it() -> None:
    async with AsyncExitStack() as stack:
        desk = await open_patient_desk(stack)
        read = desk.ask(ReadBalance(BERT), Token(VersionVector([(THERE, Seq(1))]), NOTHING))
        await until_held(desk, 1)
        deposit = await expect_company(desk)
        desk.driver.feed(first_entry_there())
        assert (await asyncio.wait_for(read, FOREVER_S)).balance == FIVE
        await asyncio.wait_for(deposit, FOREVER_S)


async def test_nor_does_what_another_branch_asks() -> None:
    async with AsyncExitStack() as stack:
        desk = await open_patient_desk(stack)
        deposit = await expect_company(desk)
        desk.driver.feed(Received(BranchId(2), AskHead(1, ANNA)))
        await asyncio.wait_for(deposit, FOREVER_S)
        assert any(isinstance(message, Head) for _, message in desk.sent)


async def test_nor_does_an_entry_whose_customer_waits_for_it_to_be_on_this_disk() -> None:
    async with AsyncExitStack() as stack:
        desk = await open_patient_desk(stack)
        deposit = await expect_company(desk)
        desk.driver.feed(first_entry_there(is_awaited=True))
        await asyncio.wait_for(deposit, FOREVER_S)
        told = [message.applied for _, message in desk.sent if isinstance(message, Acknowledge)]
        assert told[-1][THERE] == 1


async def test_an_entry_that_nobody_waits_for_goes_with_the_company() -> None:
    async with AsyncExitStack() as stack:
        desk = await open_patient_desk(stack)
        deposit = await expect_company(desk)
        desk.driver.feed(first_entry_there())
        await settle()
        assert not deposit.done()
        desk.driver.feed(Received(BranchId(2), AskHead(1, ANNA)))
        await asyncio.wait_for(deposit, FOREVER_S)
        assert desk.driver.committed[THERE] == 1


async def test_no_two_requests_have_the_same_number() -> None:
    async with open_desk() as desk:
        assert len({desk.driver.next_request() for _ in range(100)}) == 100


def connect(desk: Desk, *, subscribed: bool) -> None:
    """Let branch 2 come up, and have it fetch this branch's log if asked."""
    desk.driver.feed(SubscriberHere(THERE))
    desk.driver.feed(Connected(BranchId(2), THERE))
    if subscribed:
        desk.driver.feed(Received(BranchId(2), Subscribe(HERE, Seq(0))))


async def until_held(desk: Desk, count: int) -> None:
    """Wait until so many requests are held; every look is one step of the driver."""
    while len((await desk.driver.status()).held) < count:
        pass


async def settle() -> None:
    """Let everything happen that needs no more than the event loop."""
    for _ in range(50):
        await asyncio.sleep(0)


class Clock:
    """A clock that goes on as far as the test says."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class ThreadStore(MemoryStore):
    """A store that notes which thread commits, and takes time for it."""

    def __init__(self, clock: Clock, processor: Clock) -> None:
        super().__init__(Identity(HERE, Genesis("test", (HERE.branch,), Money(0))), has_joined=True)
        self.threads: list[int] = []
        self.works_s = self.waits_s = 0.0
        self.failure: Exception | None = None
        self._wall, self._processor = clock, processor

    def commit(self, changes: Changes) -> None:
        self.threads.append(threading.get_ident())
        self._processor.now_s += self.works_s
        self._wall.now_s += self.works_s + self.waits_s
        if self.failure is not None:
            raise self.failure
        super().commit(changes)


def clocked_store(monkeypatch: pytest.MonkeyPatch) -> ThreadStore:
    """Return a store with which alone the machine's clocks go on."""
    clock, processor = Clock(), Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(time, "thread_time", processor)
    return ThreadStore(clock, processor)


async def test_a_commit_needs_no_thread_unless_one_waited_for_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, machine, here = (
        clocked_store(monkeypatch),
        ThisMachine(quick_s=1.0, threaded=2),
        threading.get_ident(),
    )
    store.works_s, store.waits_s = 60.0, 0.5
    for _ in range(4):  # of which two before anything is known of the disk
        await machine.commit(store, Changes())
    store.waits_s = 2.0
    for _ in range(5):
        await machine.commit(store, Changes())
    store.waits_s = 0.5
    for _ in range(4):
        await machine.commit(store, Changes())
    on_the_loop = "".join("-L"[thread == here] for thread in store.threads)
    assert on_the_loop == "--LL" + "L--L-" + "-LLL"
    await machine.close()


async def test_a_commit_that_failed_tells_of_the_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store, machine, here = (
        clocked_store(monkeypatch),
        ThisMachine(quick_s=1.0, threaded=1),
        threading.get_ident(),
    )
    await machine.commit(store, Changes())
    store.waits_s, store.failure = 2.0, CommitRefusedError("the disk is full")
    with pytest.raises(CommitRefusedError):
        await machine.commit(store, Changes())
    with pytest.raises(CommitRefusedError):
        await machine.commit(store, Changes())
    assert [thread == here for thread in store.threads] == [False, True, False]
    await machine.close()


# To Python's search for garbage in cycles, with all that gRPC has of it.
OBJECTS_OF_A_HELD_REQUEST = 60


@pytest.fixture
def usual_collection() -> Iterator[None]:
    usual = gc.get_threshold()
    yield
    gc.set_threshold(*usual)
    gc.unfreeze()


@pytest.mark.usefixtures("usual_collection")
def test_a_crowd_of_held_requests_is_not_looked_through_for_garbage_at_once() -> None:
    """All that is held took two seconds, in which nobody was served, when there were 86,000."""
    collect_rarely()
    young, middle, old = gc.get_threshold()
    at_once = young * (middle + 2)
    assert young * (middle + 1) * old > Settings().held_max * OBJECTS_OF_A_HELD_REQUEST
    assert at_once <= 2_500 * OBJECTS_OF_A_HELD_REQUEST
