"""The loop around the core: gather, step, commit, release.

Decides nothing about banking. It carries out the caller's duties that stand in bankbook.core.replica:
inputs that arrive while a commit is syncing wait for the next step, so that one sync serves them all
(group commit); replies and messages leave only once what they rest on is durable.
Proof: tests/server/test_driver.py.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import structlog

from bankbook.core.commands import Cancel, Drain, Reply, Request, RequestId
from bankbook.core.entry import Entry
from bankbook.core.messages import Acknowledge, Entries, Message, Received
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Account, Reader, stores_over
from bankbook.core.replica import Effects, Input, Replica, Settings, Status
from bankbook.core.state import Layer
from bankbook.core.types import AccountId, BranchId, Money, Origin
from bankbook.core.vector import VersionVector
from bankbook.server.group_commit import GroupCommit
from bankbook.server.machine import Machine, ThisMachine
from bankbook.store.base import CommitUnknownError, Store, StoreError

Seen = TypeVar("Seen")

# For how long a branch writes nothing of its own accord after a commit failed: a disk that is full must not
# be tried for ever by a branch that has nothing else to do.
QUIET_US = 1_000_000

# Of the accounts of one entry, in the log: a batch has thousands.
_ACCOUNTS_LOGGED_MAX = 8


class Driver:
    """Owns the replica and its store; everything else talks to them through here."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        send: Callable[[BranchId, list[Message]], None],
        reset: Callable[[], None],
        machine: Machine | None = None,
    ) -> None:
        """Build the replica from the store.

        `send` is handed messages to another branch, and may lose them. `reset` is called when the
        replica had to be built anew: every stream, to and from here, is to be closed. `machine` is by default
        the one that this process runs on.
        """
        self._machine = machine or ThisMachine()
        self._store = store
        self._settings = settings
        self._send = send
        self._reset = reset
        self._log = structlog.get_logger().bind()  # once, and not with each line
        self._inputs: list[Input] = []
        self._group = GroupCommit()
        self._arrived = asyncio.Event()
        self._stepped = asyncio.Condition()
        self._waiting: dict[RequestId, tuple[Request, asyncio.Future[Reply]]] = {}
        self._drain: Drain | None = None
        self._timer: asyncio.TimerHandle | None = None
        """The next one; None where it has gone off."""
        self._timer_at_us = 0
        self._next_request = 0
        self._replica = self._build()

    @property
    def committed(self) -> VersionVector:
        """What this branch has on its disk."""
        return self._committed

    @property
    def over(self) -> tuple[Origin, ...]:
        """Which stores this branch has noted, on its disk, to be replaced by newer ones."""
        return stores_over(self._store.lives())

    def feed(self, each: Input) -> None:
        """Hand an input to the next step."""
        self._inputs.append(each)
        self._arrived.set()
        if self._is_urgent(each):
            self._group.hurry()

    def _is_urgent(self, each: Input) -> bool:
        """Whether somebody waits for what this may bring about: here, or where it comes from."""
        if isinstance(each, Request):
            return False  # it waits for company, if there is any
        return not _is_mere_news(each) or self._replica.is_holding

    def next_request(self) -> RequestId:
        """Return a number for one more request."""
        self._next_request += 1
        return RequestId(self._next_request)

    async def ask(self, request: Request) -> Reply:
        """Have a request carried out, or held and then carried out; return how it ended."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = (request, future)
        self._group.add()
        self.feed(request)
        try:
            return await future
        except asyncio.CancelledError:
            self.feed(Cancel(request.id))
            raise
        finally:
            self._waiting.pop(request.id, None)

    async def status(self) -> Status:
        """Return what the branch knows as of a step that is durable."""
        async with self._stepped:
            self._arrived.set()
            await self._stepped.wait()
            return self._replica.status()

    async def rights(self, account: AccountId) -> tuple[Account | None, dict[BranchId, Money]]:
        """Return an account's state, and what each branch may take out of it, as far as is known here.

        The account is None where it is not open. It is what the disk has after a step.
        """
        async with self._stepped:
            self._arrived.set()
            await self._stepped.wait()
            layer = Layer(self._store, self._store.identity.genesis)
            return layer.account(account), layer.rights(account)

    async def read(self, look: Callable[[Reader], Seen]) -> Seen:
        """Return what `look` finds in the store, between two commits; steps wait until it is done."""
        async with self._stepped:
            return look(self._store)

    async def joined(self) -> None:
        """Return once the branch serves; one with a new store has to know first what the others know."""
        async with self._stepped:
            while not self._replica.has_joined:
                await self._stepped.wait()

    async def drain(self, drain_us: int) -> None:
        """Refuse what is new; return once nothing is held or unpropagated, or after `drain_us`."""
        deadline_us = self._machine.read_clocks().monotonic_us + drain_us
        self._drain = Drain(deadline_us)
        self.feed(self._drain)
        # Where nothing is held and a branch takes nothing, no other step comes before a heartbeat.
        asyncio.get_running_loop().call_later(drain_us / 1e6, self._arrived.set)
        async with self._stepped:
            while not self._waiting_is_over(deadline_us):
                await self._stepped.wait()

    def _waiting_is_over(self, deadline_us: int) -> bool:
        is_drained = not self._inputs and self._replica.is_drained()
        return is_drained or self._machine.read_clocks().monotonic_us >= deadline_us

    async def run(self) -> None:
        """Step until cancelled. An error here is a bug of ours, and ends the branch."""
        while True:
            await self._arrived.wait()
            if self._inputs and not any(map(self._is_urgent, self._inputs)):
                await self._group.gather()
            # Locked until the commit is over: whoever looks at the replica sees what is durable, also
            # where the next inputs are here already and the next step begins without a pause.
            async with self._stepped:
                await self._step()
                self._stepped.notify_all()

    async def close(self) -> None:
        """Wait for a commit under way, and close the store."""
        await self._machine.close()
        self._store.close()

    async def _step(self) -> None:
        self._arrived.clear()
        inputs, self._inputs = self._inputs, []
        self._group.begin_step()
        effects = self._replica.step(inputs, self._machine.read_clocks())
        if await self._commit(effects):
            self._release(effects)
        own = self._store.identity.origin
        self._group.expect_back(sum(entry.origin == own for entry in effects.changes.entries))
        self._wake_at(effects.wake_at_us)

    def _build(self, quiet_us: int = 0) -> Replica:
        self._committed = self._store.applied()
        self._arrived.set()
        first_question = self._machine.first_question()
        now = self._machine.read_clocks()
        return Replica(
            self._store.identity,
            self._store,
            self._settings,
            now,
            first_question,
            quiet_until_us=now.monotonic_us + quiet_us,
        )

    async def _commit(self, effects: Effects) -> bool:
        if not effects.changes:
            return True
        try:
            await self._machine.commit(self._store, effects.changes)
        except StoreError as error:
            self._start_over(effects, error)
            return False
        for entry in effects.changes.entries:
            self._committed = self._committed.raised(entry.origin, entry.seq)
        if effects.changes.portion is not None:
            self._committed = self._store.applied()
        return True

    def _release(self, effects: Effects) -> None:
        for entry in effects.changes.entries:
            self._log_entry(entry)
        for reply in effects.replies:
            self._resolve(reply)
        outgoing: dict[BranchId, list[Message]] = {}
        for branch, message in effects.messages:
            outgoing.setdefault(branch, []).append(message)
        for branch, messages in outgoing.items():
            self._send(branch, messages)

    def _log_entry(self, entry: Entry) -> None:
        if not self._log.is_enabled_for(logging.INFO):
            return
        self._log.info(
            "entry.applied",
            entry=f"{entry.origin}#{entry.seq}",
            records={kind.value: count for kind, count in entry.kinds.items()},
            customer=entry.customer,
            key=entry.keyed.key if entry.keyed is not None else None,
            accounts=entry.accounts[:_ACCOUNTS_LOGGED_MAX],
        )

    def _resolve(self, reply: Reply) -> None:
        _, future = self._waiting.get(reply.request, (None, None))
        if future is not None and not future.done():
            future.set_result(reply)

    def _start_over(self, effects: Effects, error: StoreError) -> None:
        """Release nothing of this step; build the replica anew from the disk.

        Whoever wrote is told that it failed. Whoever read, or was held, is carried out again by the new
        replica: a disk that is full must not refuse reads because a write came at the same moment. So is who
        waits for what another branch decides, and may have decided: its entry, or the fence by which it asked
        for the key, was in this step, and nobody can say that nothing happened.
        """
        self._log.error("commit.failed", error=str(error))
        outcome = Outcome.STORE_UNAVAILABLE
        if isinstance(error, CommitUnknownError):
            outcome = Outcome.OUTCOME_UNKNOWN
        undecided = {each.id for each in self._inputs if isinstance(each, Request)}
        own = [
            each
            for each in effects.changes.entries
            if each.origin == self._store.identity.origin and each.records[0].fence is None
        ]
        entries, keys = {each.id for each in own}, {each.keyed.key for each in own if each.keyed is not None}
        # Not every reply that names an entry: one that is told again was written long ago.
        written = {reply.request for reply in effects.replies if reply.entry in entries}
        again: list[Input] = []
        for request, _ in list(self._waiting.values()):
            if request.id in written or request.key in keys:
                self._resolve(Reply(request.id, outcome, request.token, detail=str(error)))
            elif request.id not in undecided:
                again.append(request)
        if self._drain is not None:
            again.append(self._drain)  # behind what was held already, which may end well until the deadline
        self._inputs = again + [each for each in self._inputs if isinstance(each, Request | Cancel)]
        self._replica = self._build(QUIET_US)
        self._reset()

    def _wake_at(self, wake_at_us: int) -> None:
        if self._timer is not None:
            if wake_at_us == self._timer_at_us:
                return
            self._timer.cancel()
        self._timer_at_us = wake_at_us
        delay_us = wake_at_us - self._machine.read_clocks().monotonic_us
        self._timer = asyncio.get_running_loop().call_later(max(delay_us, 0) / 1e6, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._arrived.set()


def _is_mere_news(each: Input) -> bool:
    """Whether another branch tells this, and waits for nothing that comes of it."""
    if not isinstance(each, Received):
        return False
    message = each.message
    return isinstance(message, Acknowledge) or (isinstance(message, Entries) and not message.is_awaited)
