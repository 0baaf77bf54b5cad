"""The replica: all of the core as one deterministic machine.

    effects = replica.step(inputs, now)

The caller's duties, in this order:

1. Hand over every input once, in the order of arrival, and never call `step` while effects are pending.
2. Commit `effects.changes`, all or nothing, and wait until they are durable. If that fails: release
   nothing, tell everybody who waits that it failed, drop this object and build another from the store.
3. Only then release `effects.replies` and send `effects.messages`; a message may be lost.
4. Call `step` again when there is input, and at `effects.wake_at_us` at the latest.

Because replies wait for the commit of their own step, a read never shows what a crash could take back.

Decides everything that happens at one branch. Must not know asyncio, gRPC, SQL, clocks, randomness or
threads. Proof: tests/core/test_replica.py (single branch), tests/core/test_sessions.py (several
branches under every order of messages), tests/core/test_replica_properties.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from bankbook.core.admission import Desk, never_decided, refusal_at_sight, stopping, why_overdue
from bankbook.core.clock import HybridClock, Instant
from bankbook.core.commands import (
    Cancel,
    Drain,
    EntryId,
    Level,
    Reply,
    Request,
    RequestId,
    access_of,
    account_of,
    accounts_of,
)
from bankbook.core.entry import Entry, make_entry
from bankbook.core.freshness import Question, Questions, branches_to_ask, heads_known
from bankbook.core.guarantees import Access, awaited_vector
from bankbook.core.holds import Held, Holds, Watchers
from bankbook.core.ledger import Decision, Draft, Ledger
from bankbook.core.messages import (
    Acknowledge,
    AskHead,
    Connected,
    Disconnected,
    Entries,
    Head,
    Message,
    Received,
    Subscribe,
    SubscriberGone,
    Unsubscribe,
)
from bankbook.core.outcome import Outcome
from bankbook.core.peers import Peer, Peers
from bankbook.core.ports import Changes, Identity, Reader
from bankbook.core.replication import Inbox, Outbox, Subscriptions
from bankbook.core.token import Token
from bankbook.core.types import BranchId, Origin, Seq
from bankbook.core.vector import VersionVector


class Settings(NamedTuple):
    """The bounds of one replica. Times are in microseconds."""

    hold_limit_us: int = 30_000_000
    """No request is held longer, whatever its deadline."""
    held_max: int = 100_000
    """About 200 MB of requests; beyond it a request that would have to wait is refused."""
    heartbeat_us: int = 1_000_000
    """How often the others are asked for their head. BOUNDED requests ask on their own if need be."""
    silence_us: int = 3_500_000
    """A branch that said nothing for so long counts as unreachable: three heartbeats and some slack."""
    resend_us: int = 5_000_000
    """A log that should have moved and has not for so long is asked for again. Above any link's delay."""


class Status(NamedTuple):
    """What one branch knows of itself and the others, at the end of a step."""

    origin: Origin
    applied: VersionVector
    stable: VersionVector
    held: tuple[Held, ...]
    inbox: int
    peers: tuple[Peer, ...]
    sources: dict[Origin, BranchId]


@dataclass(slots=True)
class Effects:
    """What the caller has to do; the order matters (see the module)."""

    changes: Changes
    """To be durable before anything else happens."""
    replies: list[Reply] = field(default_factory=list)
    """To be released once `changes` are durable."""
    messages: list[tuple[BranchId, Message]] = field(default_factory=list)
    """To be sent once `changes` are durable; each may be lost."""
    wake_at_us: int = 0
    """When to call `step` again if nothing comes in before."""


Input = Request | Cancel | Drain | Received | Connected | Disconnected | SubscriberGone

_Waiter = Origin | RequestId
"""What waits for an entry: a log whose next entry depends on it, or a held request."""


class Replica:
    """One branch. Everything durable is in the store behind `reader`; the rest is rebuilt from it."""

    def __init__(
        self, identity: Identity, reader: Reader, settings: Settings, now: Instant, first_question: int
    ) -> None:
        """Start from the store's last commit.

        `first_question` numbers this life's questions to other branches: any number that no earlier
        life of this branch came near, such as a random one of 48 bits.
        """
        self._origin = identity.origin
        self._branches = identity.genesis.branches
        self._settings = settings
        self._now = now
        self._applied = reader.applied()
        self._clock = HybridClock(reader.clock())
        self._ledger = Ledger(reader, identity.genesis, identity.origin.branch)
        self._declared = VersionVector([(self._origin, self._applied[self._origin])])
        """What the own log is known to have declared: the base of the next entry's dependencies. After a
        start nothing is, so the first entry declares all there is."""
        self._peers = Peers(branch for branch in self._branches if branch != identity.origin.branch)
        self._questions = Questions(first_question)
        self._holds = Holds()
        self._watchers: Watchers[_Waiter] = Watchers(self._is_waiting)
        self._blocked: set[Origin] = set()
        """The logs whose next entry is here and watches for one that it depends on."""
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._subscriptions = Subscriptions(identity.origin, settings.resend_us)
        self._heartbeat_at_us = now.monotonic_us
        self._drain_deadline_us: int | None = None
        self._drain_since_us = now.monotonic_us
        self._effects = Effects(Changes())
        self._handlers: dict[type, Callable[..., None]] = {
            Request: self._on_request,
            Cancel: self._on_cancel,
            Drain: self._on_drain,
            Received: self._on_received,
            Connected: self._on_connected,
            Disconnected: self._on_disconnected,
            SubscriberGone: lambda gone: self._outbox.drop(gone.branch),
            Subscribe: self._outbox.subscribe,
            Unsubscribe: lambda sender, message: self._outbox.unsubscribe(sender, message.origin),
            Acknowledge: self._on_acknowledge,
            AskHead: self._on_ask_head,
            Entries: self._on_entries,
            Head: self._on_head,
        }

    def step(self, inputs: Iterable[Input], now: Instant) -> Effects:
        """Take in `inputs`, in order, and return what is to be done about them."""
        assert now.monotonic_us >= self._now.monotonic_us, "a monotonic clock does not run backwards"
        self._now = now
        self._effects = Effects(Changes())
        before = self._applied
        for each in inputs:
            self._handlers[type(each)](each)
        self._expire()
        if now.monotonic_us >= self._heartbeat_at_us:
            self._heartbeat()
        self._acknowledge(before)
        self._effects.messages.extend(self._outbox.due(self._ledger, self._applied))
        self._effects.changes = self._ledger.take_changes(self._clock.last)
        self._effects.wake_at_us = self._next_wake_us()
        return self._effects

    def status(self) -> Status:
        """Return what this branch knows, as of the last step."""
        return Status(
            self._origin,
            self._applied,
            self._peers.stable(self._applied),
            tuple(self._holds),
            len(self._inbox),
            tuple(self._peers),
            self._subscriptions.sources(),
        )

    def is_drained(self) -> bool:
        """Whether nothing is held here, and this branch and every reachable one have the same.

        So that a whole bank can stop at once: if whoever decided nothing left first, nobody would be there
        to take what the others did decide.
        """
        return not self._holds and all(self._is_even_with(peer) for peer in self._reachable())

    def _is_even_with(self, peer: Peer) -> bool:
        was_asked = peer.head_asked_us is not None and peer.head_asked_us >= self._drain_since_us
        has_ours = peer.applied[self._origin] >= self._applied[self._origin]
        return was_asked and has_ours and self._applied.dominates(peer.applied)

    # Requests: admitted, held or carried out, answered.

    def _on_request(self, request: Request) -> None:
        refusal = refusal_at_sight(request, self._desk())
        if refusal is not None:
            self._answer(request, refusal)
            return
        held = Held(
            request,
            since_us=self._now.monotonic_us,
            deadline_us=min(request.deadline_us, self._now.monotonic_us + self._settings.hold_limit_us),
            needs=self._needs(request),
            first_question=self._questions.next,
            unanswered=branches_to_ask(request.freshness, self._peers, self._now.monotonic_us),
        )
        if held.unanswered or not self._applied.dominates(held.needs):
            self._hold(held)
        else:
            self._carry_out(held)

    def _desk(self) -> Desk:
        is_draining = self._drain_deadline_us is not None
        return Desk(self._origin, self._branches, self._applied, is_draining)

    def _needs(self, request: Request) -> VersionVector:
        access = access_of(request.command)
        if request.freshness.level is Level.LOCAL:
            # LOCAL says what may be read. What is written stays in its order, or every branch would
            # show it before what its session wrote or read first.
            access &= Access.WRITE
        session = awaited_vector(request.token, request.guarantees, access)
        return session.merge(heads_known(request.freshness, self._peers, self._now.monotonic_us))

    def _hold(self, held: Held) -> None:
        if len(self._holds) >= self._settings.held_max:
            detail = f"branch {self._origin.branch} holds {len(self._holds)} requests, which is all it may"
            self._answer(held.request, Decision(Outcome.TOO_MANY_HELD, detail))
            return
        held.note(self._applied)
        self._holds.add(held)
        if held.unanswered:
            self._ask(held)
        else:
            self._wait_or_carry_out(held)

    def _ask(self, held: Held) -> None:
        account = account_of(held.request.command) if held.request.freshness.level is Level.LATEST else None
        question = Question(account, self._now.monotonic_us, held.request.id, set(held.unanswered))
        message = self._questions.ask(question)
        held.question = message.question
        held.asked = len(held.unanswered)
        for branch in sorted(held.unanswered):
            self._send(branch, message)

    def _wait_or_carry_out(self, held: Held) -> None:
        if held.unanswered:
            return
        gap = self._applied.first_gap(held.needs)
        if gap is not None:
            held.note(self._applied)
            self._watchers.watch(gap, held.request.id)
        else:
            self._end_hold(held)
            self._carry_out(held)

    def _carry_out(self, held: Held) -> None:
        request = held.request
        decision = self._ledger.decide(request.command, request.balance_max)
        entry = self._write(request, decision.draft) if decision.draft is not None else None
        self._answer(request, decision, held, entry, self._token_after(request, entry))

    def _token_after(self, request: Request, entry: Entry | None) -> Token:
        # A refusal is a read too: "the account is open already" must not be followed by "no such account".
        read, write = request.token.read, request.token.write
        for account in accounts_of(request.command):
            read = read.merge(self._ledger.write_set(account))
        return Token(read, write if entry is None else write.raised(entry.origin, entry.seq))

    def _write(self, request: Request, draft: Draft) -> Entry:
        entry = make_entry(
            origin=self._origin,
            seq=Seq(self._applied[self._origin] + 1),
            clock=self._clock.tick(self._now.wall_us),
            dependencies=self._applied.beyond(self._declared),
            kind=draft.kind,
            customer=request.customer,
            postings=draft.postings,
            opening=draft.opening,
        )
        for freed in self._apply(entry):
            self._advance(freed)
        self._declared = self._declared.merge(entry.dependencies).raised(entry.origin, entry.seq)
        return entry

    def _answer(
        self,
        request: Request,
        decision: Decision,
        held: Held | None = None,
        entry: Entry | None = None,
        token: Token | None = None,
    ) -> None:
        self._effects.replies.append(
            Reply(
                request=request.id,
                outcome=decision.outcome,
                token=(token or request.token).beyond(self._peers.stable(self._applied)),
                detail=decision.detail,
                balance=decision.balance,
                entry=EntryId(entry.origin, entry.seq) if entry is not None else None,
                held_us=self._now.monotonic_us - held.since_us if held is not None else 0,
                asked=held.asked if held is not None else 0,
                awaited=tuple(held.awaited[origin] for origin in sorted(held.awaited)) if held else (),
                branch=decision.branch,
            )
        )

    def _end_hold(self, held: Held) -> None:
        self._holds.end(held.request.id)
        if held.question is not None:
            self._questions.forget(held.question)

    def _on_cancel(self, cancel: Cancel) -> None:
        held = self._holds.get(cancel.request)
        if held is not None:
            self._end_hold(held)

    def _on_drain(self, drain: Drain) -> None:
        self._drain_deadline_us = drain.deadline_us
        self._drain_since_us = self._heartbeat_at_us = self._now.monotonic_us
        self._holds.shorten(drain.deadline_us)

    def _expire(self) -> None:
        for held in self._holds.overdue(self._now.monotonic_us):
            self._end_hold(held)
            self._answer(held.request, self._why_overdue(held), held)

    def _why_overdue(self, held: Held) -> Decision:
        if self._drain_deadline_us is not None and self._now.monotonic_us >= self._drain_deadline_us:
            return stopping(self._origin.branch)
        if not held.unanswered:
            held.awaited = {gap.origin: gap for gap in self._applied.behind(held.needs)}
        return why_overdue(held, self._desk())

    # Entries: in from the other branches, applied once what they depend on is here.

    def _on_received(self, received: Received) -> None:
        assert received.sender in self._peers, f"this bank has no branch {received.sender}"
        if isinstance(received.message, Entries | Head):
            # What comes up the other stream says nothing of whether this one still carries entries.
            self._peers[received.sender].heard_us = self._now.monotonic_us
        self._handlers[type(received.message)](received.sender, received.message)

    def _on_entries(self, _sender: BranchId, message: Entries) -> None:
        for entry in message.entries:
            self._inbox.offer(entry, self._applied)
        self._advance(message.origin)

    def _advance(self, origin: Origin) -> None:
        """Apply what has become applicable of this log, and all that follows from it."""
        ready = [origin]
        while ready:
            current = ready.pop()
            if current in self._blocked:
                continue
            while (entry := self._inbox.next(current, self._applied)) is not None:
                gap = self._applied.first_gap(entry.dependencies)
                if gap is not None:
                    self._blocked.add(current)
                    self._watchers.watch(gap, current)
                    break
                self._inbox.remove(entry)
                ready.extend(self._apply(entry))

    def _apply(self, entry: Entry) -> list[Origin]:
        """Apply one entry; return the logs that waited for it, and wake the requests that did."""
        assert self._applied[entry.origin] == entry.seq - 1, "a log is applied without gaps"
        self._ledger.apply(entry)
        self._clock.observe(entry.clock)
        self._applied = self._applied.raised(entry.origin, entry.seq)
        freed: list[Origin] = []
        for waiter in self._watchers.reached(entry.origin, entry.seq):
            if isinstance(waiter, Origin):
                self._blocked.discard(waiter)
                freed.append(waiter)
            else:
                self._wake(waiter)
        return freed

    def _wake(self, request: RequestId) -> None:
        held = self._holds.get(request)
        if held is not None:
            self._wait_or_carry_out(held)

    def _is_waiting(self, waiter: _Waiter) -> bool:
        return isinstance(waiter, Origin) or self._holds.get(waiter) is not None

    def _acknowledge(self, before: VersionVector) -> None:
        gained = self._applied.beyond(before)
        if not gained:
            return
        sources = set(self._subscriptions.sources().values())
        for branch in sorted(sources):
            self._send(branch, Acknowledge(gained))

    # The other branches: who is there, what they have, from whom to fetch which log.

    def _on_connected(self, connected: Connected) -> None:
        self._peers.connect(connected.branch, connected.origin, self._now.monotonic_us)
        self._peers.learn(connected.branch, connected.applied)
        self._subscriptions.lost(connected.branch)
        self._plan_subscriptions()
        self._send(connected.branch, Acknowledge(self._applied))
        for message in self._questions.unanswered_by(connected.branch, self._now.monotonic_us):
            self._send(connected.branch, message)

    def _on_disconnected(self, disconnected: Disconnected) -> None:
        self._peers[disconnected.branch].is_connected = False
        self._subscriptions.lost(disconnected.branch)
        self._plan_subscriptions()

    def _on_acknowledge(self, sender: BranchId, message: Acknowledge) -> None:
        self._outbox.acknowledge(sender, message.applied)
        self._peers.learn(sender, message.applied)

    def _on_ask_head(self, sender: BranchId, message: AskHead) -> None:
        head = self._applied[self._origin]
        account = message.account
        last_write = head if account is None else self._ledger.last_write(account, self._origin)
        self._send(sender, Head(message.question, self._origin, head, last_write, self._applied))

    def _on_head(self, sender: BranchId, head: Head) -> None:
        peer = self._peers[sender]
        if head.origin != peer.origin:
            return  # late, from an earlier life of its store; the present one was asked anew on connecting
        self._peers.learn(sender, head.applied)
        question = self._questions.answer(sender, head)
        if question is None:
            return
        if peer.head_asked_us is None or question.asked_us >= peer.head_asked_us:
            peer.head, peer.head_asked_us = head.head, question.asked_us
        if question.request is not None:
            self._on_answer(question.request, sender, head)
        else:
            # Only at heartbeats: it looks at everybody held for this log, and LATEST asks often.
            self._refuse_what_was_never_decided(head)

    def _on_answer(self, request: RequestId, sender: BranchId, head: Head) -> None:
        held = self._holds.get(request)
        if held is None:
            return
        held.unanswered.discard(sender)
        held.needs = held.needs.raised(head.origin, head.last_write)
        self._wait_or_carry_out(held)

    def _refuse_what_was_never_decided(self, head: Head) -> None:
        """Refuse the requests whose token names more than its origin had ever issued.

        Only the token's own components count, and only tokens that were here before the question was
        asked: a token may well name what its origin decided after it answered. The questions' numbers
        tell which came first; a clock does not, where both came in the same microsecond.
        """
        for waiter in self._watchers.still_watching(head.origin):
            held = None if isinstance(waiter, Origin) else self._holds.get(waiter)
            if held is None or held.first_question > head.question:
                continue
            token = held.request.token
            named = max(token.read[head.origin], token.write[head.origin])
            if named > head.head:
                self._end_hold(held)
                self._answer(held.request, never_decided(head.origin, named, head.head), held)

    def _heartbeat(self) -> None:
        now_us = self._now.monotonic_us
        self._heartbeat_at_us = now_us + self._settings.heartbeat_us
        connected = self._peers.connected()
        if connected:
            message = self._questions.ask(Question(None, now_us, None, set(connected)))
            for branch in connected:
                self._send(branch, Acknowledge(self._applied))
                self._send(branch, message)
                for overdue in self._questions.unanswered_by(branch, now_us - self._settings.resend_us):
                    self._send(branch, overdue)
        self._plan_subscriptions()

    def _plan_subscriptions(self) -> None:
        reachable = self._reachable()
        if reachable:
            plan = self._subscriptions.plan(reachable, self._applied, self._blocked, self._now.monotonic_us)
            for branch, message in plan:
                self._send(branch, message)

    def _reachable(self) -> list[Peer]:
        now_us, silence_us = self._now.monotonic_us, self._settings.silence_us
        return self._peers.reachable(now_us, silence_us)

    def _send(self, branch: BranchId, message: Message) -> None:
        self._effects.messages.append((branch, message))

    def _next_wake_us(self) -> int:
        deadline = self._holds.next_deadline_us()
        return self._heartbeat_at_us if deadline is None else min(deadline, self._heartbeat_at_us)
