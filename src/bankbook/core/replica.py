"""The replica: all of the core as one deterministic machine.

    effects = replica.step(inputs, now)

The caller's duties, in this order:

1. Hand over every input once, in the order of arrival, and never call `step` while effects are pending.
2. Commit `effects.changes`, all or nothing, and wait until they are durable. If that fails: release
   nothing, tell everybody who waits that it failed, drop this object and build another from the store.
3. Only then release `effects.replies` and send `effects.messages`; a message may be lost.
4. Call `step` again when there is input, and at `effects.wake_at_us` at the latest.

Because replies wait for the commit of their own step, a read never shows what a crash could take back.

Decides which part of the machine takes which input, and in which order a step goes. Must not know asyncio,
gRPC, SQL, clocks, randomness or threads. Proof: tests/core/test_replica.py (single branch),
tests/core/test_sessions.py (several branches under every order of messages),
tests/core/test_replica_properties.py.

    requests    admitted, held, carried out, answered
    logs        entries, written and applied
    gathering   rights, asked for and given
    keys        what became of a request
    joining     a new store catches up
    copying     what it is given where logs do not begin at 1
    expiry      reservations that ended by themselves
    retention   what need not be kept any longer
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bankbook.core.clock import Instant
from bankbook.core.commands import Cancel, Drain, Request
from bankbook.core.context import Context, Effects, Settings
from bankbook.core.copying import Giver
from bankbook.core.entry import Entry
from bankbook.core.expiry import Expiry
from bankbook.core.holds import Held
from bankbook.core.joining import Joining
from bankbook.core.keys import answer_key
from bankbook.core.logs import Logs
from bankbook.core.messages import (
    Acknowledge,
    Answer,
    AskCopy,
    AskHead,
    AskKey,
    Connected,
    CopyPart,
    Disconnected,
    Entries,
    Forward,
    Head,
    Received,
    Subscribe,
    SubscriberGone,
    SubscriberHere,
    Unsubscribe,
)
from bankbook.core.peers import Peer
from bankbook.core.ports import Changes, Identity, Reader
from bankbook.core.replication import Outbox, Subscriptions
from bankbook.core.requests import Requests
from bankbook.core.retention import Retention
from bankbook.core.types import BranchId, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

__all__ = ["Effects", "Input", "Replica", "Settings", "Status"]

# What is told unasked answers this one.
_NO_QUESTION = 0

# While a store is new, of the questions of each other branch. They come again.
_POSTPONED_QUESTIONS_MAX = 10_000


class Status(NamedTuple):
    """What one branch knows of itself and the others, at the end of a step."""

    origin: Origin
    applied: VersionVector
    stable: VersionVector
    dropped: VersionVector
    held: tuple[Held, ...]
    inbox: int
    peers: tuple[Peer, ...]
    sources: dict[Origin, BranchId]
    catching_up_on: tuple[BranchId, ...] | None
    """Where the store is new: which branches have not said yet what they have. None where it has joined."""


Input = Request | Cancel | Drain | Received | Connected | Disconnected | SubscriberHere | SubscriberGone


class Replica:
    """One branch. Everything durable is in the store behind `reader`; the rest is rebuilt from it."""

    def __init__(
        self,
        identity: Identity,
        reader: Reader,
        settings: Settings,
        now: Instant,
        first_question: int,
        quiet_until_us: int = 0,
    ) -> None:
        """Start from the store's last commit.

        `first_question` numbers this life's questions to other branches: any number that no earlier
        life of this branch came near, such as a random one of 48 bits. Until `quiet_until_us` the branch
        writes nothing that no customer asked for.
        """
        context = Context(identity, reader, settings, now, first_question, quiet_until_us)
        self._context = context
        self._logs = Logs(context)
        self._requests = Requests(context, self._logs)
        self._gatherings = self._requests.gatherings
        self._expiry = Expiry(context, self._logs)
        self._retention = Retention(context)
        self._joining = Joining(context, self._logs, self._on_joined)
        self._giver = Giver(context)
        self._outbox = Outbox()
        self._acknowledged = context.applied
        """What the others were told to be on this disk."""
        self._acknowledge_at_us: int | None = None
        """When they are told what is new since; None where nothing is."""
        self._subscriptions = Subscriptions(identity.origin, settings.resend_us)
        self._postponed: dict[tuple[BranchId, int], AskHead | AskKey] = {}
        """Questions that can be answered only once this branch has joined, by who asked and its number: each
        comes again until it is answered, and is to be given rights for once."""
        self._heartbeat_at_us = now.monotonic_us
        self._drain_since_us = now.monotonic_us
        self._has_begun = False
        self._logs.on_applied = [
            self._on_applied,
            self._gatherings.on_applied,
            self._expiry.on_applied,
            self._requests.on_applied,
        ]
        self._logs.wake = {
            int: self._requests.wake,
            str: self._gatherings.wake,
            type(None): self._joining.wake,
        }
        self._logs.is_waiting = {
            int: self._requests.is_waiting,
            str: self._gatherings.is_waiting,
            type(None): self._joining.is_waiting,
        }
        self._handlers: dict[type, Callable[..., None]] = {
            Request: self._requests.on_request,
            Cancel: self._requests.on_cancel,
            Drain: self._on_drain,
            Received: self._on_received,
            Connected: self._on_connected,
            Disconnected: self._on_disconnected,
            SubscriberHere: self._on_subscriber_here,
            SubscriberGone: self._on_subscriber_gone,
            Subscribe: self._on_subscribe,
            Unsubscribe: lambda sender, message: self._outbox.unsubscribe(sender, message.origin),
            Acknowledge: self._on_acknowledge,
            AskHead: self._on_ask_head,
            AskKey: self._on_ask_key,
            Forward: self._on_forward,
            Entries: self._on_entries,
            AskCopy: self._giver.on_ask,
            CopyPart: self._joining.taker.on_part,
            Head: self._on_head,
            Answer: self._on_answer,
        }

    def step(self, inputs: Iterable[Input], now: Instant) -> Effects:
        """Take in `inputs`, in order, and return what is to be done about them."""
        context = self._context
        assert now.monotonic_us >= context.now_us, "a monotonic clock does not run backwards"
        context.now = now
        context.effects = Effects(Changes())
        self._begin_step()
        for each in inputs:
            self._handlers[type(each)](each)
        self._requests.expire()
        if now.monotonic_us >= self._heartbeat_at_us:
            self._heartbeat()
        self._gatherings.settle()
        self._retention.settle()
        self._acknowledge()
        is_awaited = self._requests.waits_for_disks
        context.effects.messages.extend(
            self._outbox.due(context.state, context.applied, is_awaited=is_awaited)
        )
        context.effects.changes = context.state.take_changes(context.clock.last)
        context.effects.wake_at_us = self._next_wake_us()
        return context.effects

    @property
    def has_joined(self) -> bool:
        """Whether this branch serves: its store is not new, or knows by now what the others know."""
        return self._context.has_joined

    @property
    def is_holding(self) -> bool:
        """Whether any request is held."""
        return bool(self._requests.holds)

    def status(self) -> Status:
        """Return what this branch knows, as of the last step."""
        context = self._context
        return Status(
            context.origin,
            context.applied,
            context.peers.stable(context.applied),
            context.state.dropped(),
            tuple(self._requests.holds),
            len(self._logs),
            tuple(context.peers),
            self._subscriptions.sources(),
            None if context.has_joined else tuple(sorted(self._joining.unanswered)),
        )

    def is_drained(self) -> bool:
        """Whether nothing is held here, and this branch and every reachable one have the same.

        So that a whole bank can stop at once: if whoever decided nothing left first, nobody would be there
        to take what the others did decide.
        """
        return not self.is_holding and all(self._is_even_with(peer) for peer in self._context.reachable())

    def _is_even_with(self, peer: Peer) -> bool:
        context = self._context
        was_asked = peer.head_asked_us is not None and peer.head_asked_us >= self._drain_since_us
        has_ours = peer.applied[context.origin] >= context.applied[context.origin]
        return was_asked and has_ours and context.applied.dominates(peer.applied)

    def _begin_step(self) -> None:
        """Do what needs the store as it is committed, before anything of this step is on top of it."""
        self._requests.begin_step()
        self._expiry.begin_step()
        self._gatherings.end_pauses()
        # Last: with it this branch may join, and who was held until then is answered in this step.
        if self._joining.taker.begin_step():
            self._plan_subscriptions()  # what came after the copy is in the logs, which it may read now
        if not self._has_begun and not self._joining.is_put_off:
            self._has_begun = True
            self._joining.begin()

    def _on_joined(self) -> None:
        postponed, self._postponed = self._postponed, {}
        for (sender, _), question in postponed.items():
            self._handlers[type(question)](sender, question)
        self._requests.wake_all()

    def _on_drain(self, drain: Drain) -> None:
        self._drain_since_us = self._heartbeat_at_us = self._context.now_us
        self._requests.on_drain(drain)

    # Messages of the other branches.

    def _on_received(self, received: Received) -> None:
        context, message = self._context, received.message
        assert received.sender in context.peers, f"this bank has no branch {received.sender}"
        peer = context.peers[received.sender]
        if isinstance(message, Entries | Head | Answer | CopyPart):
            if peer.link is None or peer.link != peer.origin:
                return  # an earlier life of its store had sent it, which is known to be over
            # What comes up the other stream says nothing of whether this one still carries entries.
            peer.heard_us = context.now_us
        elif peer.subscriber is None:
            self._tell_who_is_over(received.sender)
            return
        self._handlers[type(message)](received.sender, message)

    def _on_entries(self, sender: BranchId, message: Entries) -> None:
        if not self._joining.may_read_logs:
            self._subscriptions.lost(sender)  # to be asked for again, once it may be taken
        else:
            self._logs.offer(sender, message)
            if message.is_awaited:
                self._acknowledge_at_us = self._context.now_us

    def _on_ask_head(self, sender: BranchId, message: AskHead) -> None:
        if message.joining is not None:
            if not self._is_there(message.joining):
                return  # another store has greeted since; if this one is there, it asks again
            self._end_lives_before(message.joining)
            self._joining.disturb()
            self._plan_subscriptions()
        if self._context.has_joined or message.joining is not None:
            self._gatherings.answer_ask(sender, message)
        elif message.account is not None:
            self._postpone(sender, message)

    def _is_there(self, origin: Origin) -> bool:
        """Whether a store that asks was not followed by another one, as far as is known here.

        What it asks may come late: from a store that was lost before the next one answered this branch.
        """
        peer = self._context.peers[origin.branch]
        is_followed = peer.is_link_newer and peer.link not in (None, origin)
        return peer.subscriber == origin and not is_followed

    def _end_lives_before(self, present: Origin) -> None:
        """Note, before this branch answers, that the store which asks has taken the place of all before it.

        It greeted on the stream that it asks on, so it is there. A greeting alone proves nothing: it may come
        late, from a store that was lost before it joined.
        """
        branch = present.branch
        known = {*self._context.state.lives(), *(life.origin for life in self._logs.lives_of(branch))}
        self._end_lives(origin for origin in known if origin.branch == branch and origin != present)
        self._greet(present)
        self._logs.forget_lives_before(present)

    def _end_lives(self, over: Iterable[Origin]) -> None:
        """Note which stores were replaced by newer ones: should they come back, nobody listens to them."""
        context = self._context
        for origin in sorted(each for each in over if not context.state.is_over(each)):
            context.state.end_life(origin)
            self._joining.disturb()
            if origin == context.origin:
                self._requests.retire()
            elif origin.branch != context.branch:
                self._leave(origin)

    def _tell_who_is_over(self, branch: BranchId) -> None:
        """Tell a store that was replaced after it had greeted here."""
        context = self._context
        told = Head(_NO_QUESTION, context.origin, Seq(0), Seq(0), NOTHING, context.state.over())
        context.send(branch, told)

    def _leave(self, origin: Origin) -> None:
        peer = self._context.peers[origin.branch]
        if peer.subscriber == origin:
            self._on_subscriber_gone(SubscriberGone(origin.branch))
        if peer.link == origin:
            self._on_disconnected(Disconnected(origin.branch))
        self._context.peers.end_life(origin)

    def _on_applied(self, entry: Entry) -> None:
        self._end_lives(origin for origin, _ in entry.ended)

    def _on_ask_key(self, sender: BranchId, message: AskKey) -> None:
        if self._context.has_joined:
            answer_key(self._context, self._logs, sender, message)
        else:
            self._postpone(sender, message)

    def _on_forward(self, sender: BranchId, message: Forward) -> None:
        self._requests.on_forward(sender, message)

    def _postpone(self, sender: BranchId, question: AskHead | AskKey) -> None:
        if len(self._postponed) < _POSTPONED_QUESTIONS_MAX:
            self._postponed[sender, question.question] = question

    def _on_head(self, sender: BranchId, head: Head) -> None:
        context = self._context
        peer = context.peers[sender]
        if head.origin != peer.origin:
            return  # late, from an earlier life of its store; the present one was asked anew on connecting
        had_joined = context.has_joined
        self._end_lives(head.over)
        self._learn(sender, head.applied)
        peer.dropped = peer.dropped.merge(head.dropped)
        if context.has_joined and not context.applied.dominates(head.dropped):
            # It is dropped because this store had it: so this is an earlier state of it, from a backup.
            self._requests.retire()
        question = context.questions.answer(sender, head)
        if question is None:
            return
        if peer.head_asked_us is None or question.asked_us >= peer.head_asked_us:
            peer.head, peer.head_asked_us = head.head, question.asked_us
        if question.on_answer is not None:
            question.on_answer(sender, head)
        else:
            # Only at heartbeats: it looks at everybody held for this log, and LATEST asks often.
            self._requests.on_head(head)
        if not had_joined:
            self._plan_subscriptions()  # the last answer that a new store waits for lets it read the logs

    def _on_answer(self, sender: BranchId, answer: Answer) -> None:
        question = self._context.questions.answer(sender, answer)
        if question is not None and question.on_answer is not None:
            question.on_answer(sender, answer)

    def _on_subscribe(self, sender: BranchId, message: Subscribe) -> None:
        """Begin to send a log; who asks for what was dropped has it, and is told."""
        context = self._context
        dropped = context.state.dropped()
        if message.after >= dropped[message.origin]:
            self._outbox.subscribe(sender, message)
            return
        head = context.applied[context.origin]
        told = Head(_NO_QUESTION, context.origin, head, head, context.applied, dropped=dropped)
        context.send(sender, told)

    def _on_acknowledge(self, sender: BranchId, message: Acknowledge) -> None:
        self._outbox.acknowledge(sender, message.applied)
        if message.origin == self._context.peers[sender].origin:
            self._learn(sender, message.applied)

    def _learn(self, sender: BranchId, applied: VersionVector) -> None:
        if self._context.peers.learn(sender, applied):
            self._requests.on_disks()

    # The other branches: who is there, what they have, from whom to fetch which log.

    def _on_connected(self, connected: Connected) -> None:
        context = self._context
        self._end_lives(connected.over)
        if context.state.is_over(connected.origin):
            return  # a store that was replaced by a newer one is nobody any more
        self._greet(connected.origin)
        context.peers.connect(connected.branch, connected.origin, context.now_us)
        self._learn(connected.branch, connected.applied)
        self._subscriptions.lost(connected.branch)
        self._plan_subscriptions()
        context.send(connected.branch, Acknowledge(context.origin, context.applied))
        for message in context.questions.unanswered_by(connected.branch, context.now_us):
            context.send(connected.branch, message)

    def _on_disconnected(self, disconnected: Disconnected) -> None:
        peer = self._context.peers[disconnected.branch]
        peer.is_connected, peer.link = False, None
        self._subscriptions.lost(disconnected.branch)
        self._plan_subscriptions()
        self._gatherings.look_for_stalls()

    def _on_subscriber_here(self, here: SubscriberHere) -> None:
        self._end_lives(here.over)
        if self._context.state.is_over(here.origin):
            return
        peer = self._context.peers[here.origin.branch]
        peer.subscriber, peer.is_link_newer = here.origin, False
        if peer.link is None:
            self._greet(here.origin)  # else the stream from there says who is there: a greeting may come late

    def _greet(self, origin: Origin) -> None:
        """Note which life of its store a branch is in; with a new one, what the old one said is void."""
        peers = self._context.peers
        known = peers[origin.branch].origin
        self._context.state.note_life(origin)
        if known != origin:
            peers.greet(origin.branch, origin)
            self._logs.forget_lives_before(origin)
            self._joining.on_new_life(origin.branch)
            if known is not None:
                self._gatherings.ask_anew()

    def _on_subscriber_gone(self, gone: SubscriberGone) -> None:
        self._context.peers[gone.branch].subscriber = None
        self._outbox.drop(gone.branch)
        self._giver.forget_subscriber(gone.branch)
        self._gatherings.forget_subscriber(gone.branch)

    def _acknowledge(self) -> None:
        """Tell the others what is new on this disk: at once where somebody waits for it, or some time later.

        Each entry by itself would cost more than the entry: as many messages as there are pairs of branches.
        """
        context = self._context
        gained = context.applied.beyond(self._acknowledged)
        if not gained or context.is_alone:
            self._acknowledge_at_us = None
            return
        if self._acknowledge_at_us is None:
            self._acknowledge_at_us = context.now_us + context.settings.acknowledge_us
        if context.now_us < self._acknowledge_at_us:
            return
        self._acknowledged, self._acknowledge_at_us = context.applied, None
        for branch in sorted(set(self._subscriptions.sources().values())):
            context.send(branch, Acknowledge(context.origin, gained))

    def _heartbeat(self) -> None:
        context = self._context
        now_us, settings = context.now_us, context.settings
        self._heartbeat_at_us = now_us + settings.heartbeat_us
        connected = context.peers.connected()
        if connected:
            for branch in connected:
                context.send(branch, Acknowledge(context.origin, context.applied))
            context.ask(connected, lambda number, _: AskHead(number), None)
            for branch in connected:
                for overdue in context.questions.unanswered_by(branch, now_us - settings.resend_us):
                    context.send(branch, overdue)
        self._plan_subscriptions()
        self._gatherings.look_for_stalls()
        self._gatherings.pass_on_at_leisure()
        self._retention.at_heartbeat()
        self._joining.taker.at_heartbeat()
        self._giver.at_heartbeat()

    def _plan_subscriptions(self) -> None:
        context = self._context
        reachable = context.reachable()
        if reachable and self._joining.may_read_logs:
            blocked, successors = self._logs.blocked, self._successors()
            plan = self._subscriptions.plan(reachable, context.applied, blocked, successors, context.now_us)
            for branch, message in plan:
                context.send(branch, message)

    def _successors(self) -> dict[Origin, Peer]:
        """Return, of stores that were replaced, who took the place of each, and is asked for its log.

        Until the new one has said where that log ends, nobody else is believed about it (`Logs.offer`). So
        it is asked also where it is silent, as one is that has not joined: two that join would else wait for
        ever, each for what the other one would have told.
        """
        state, reachable = self._context.state, {peer.branch for peer in self._context.reachable()}
        others = (origin for origin in state.over() if origin.branch != self._context.branch)
        replaced = [(origin, self._context.peers[origin.branch]) for origin in others]
        return {
            origin: peer
            for origin, peer in replaced
            if peer.branch in reachable or (peer.is_connected and state.ended(origin) is None)
        }

    def _next_wake_us(self) -> int:
        due = (
            self._requests.next_wake_us(),
            self._gatherings.next_wake_us(),
            self._expiry.next_wake_us(),
            self._joining.taker.next_wake_us(),
            self._heartbeat_at_us,
            self._acknowledge_at_us,
        )
        return min(each for each in due if each is not None)
