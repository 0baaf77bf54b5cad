"""Requests: admitted, held, carried out, answered.

Decides in which order a request passes what it may have to wait for, and what it is told. Each time something
that it waits for has happened, it passes the same ladder again from the top. Must not know how rights are
gathered, nor what a command does to accounts. Proof: tests/core/test_sessions.py, tests/core/test_keys.py,
tests/core/test_durability.py.
"""

from collections import OrderedDict
from dataclasses import replace

from bankbook.core.admission import (
    Desk,
    hopeless,
    refusal_at_sight,
    retired,
    stopping,
    why_overdue,
    writes_lost,
)
from bankbook.core.carrying_out import decide, reads_past, refusal_to, replay_to, reply_to, write
from bankbook.core.commands import (
    Batch,
    Cancel,
    Drain,
    Level,
    Reply,
    Request,
    RequestId,
    access_of,
    accounts_of,
    fingerprint_of,
)
from bankbook.core.context import Context
from bankbook.core.decision import Decision
from bankbook.core.entry import Entry
from bankbook.core.freshness import branches_to_ask, heads_known
from bankbook.core.gathering import Gatherings
from bankbook.core.guarantees import Access, awaited_vector
from bankbook.core.holds import Decided, Held, Holds
from bankbook.core.ledger import decider_of
from bankbook.core.logs import Logs
from bankbook.core.messages import Answer, AskHead, AskKey, Forward, Head
from bankbook.core.outcome import Outcome
from bankbook.core.ports import KeyRecord
from bankbook.core.types import BranchId, Key, birth_branch
from bankbook.core.vector import NOTHING

# How many answers to what other branches sent on are remembered, about 500 bytes each: far more than can be
# under way a second time.
_FORWARDS_MAX = 10_000


class Requests:
    """All requests of one branch."""

    def __init__(self, context: Context, logs: Logs) -> None:
        self._context = context
        self._logs = logs
        self.holds = Holds()
        self._gatherings = Gatherings(context, logs, self.holds, self.proceed)
        self._postponed: list[Held] = []
        """What can be read only once this step is committed."""
        self._undurable: dict[RequestId, Held] = {}
        """What waits for other branches' disks."""
        self._replies_to: dict[RequestId, tuple[BranchId, int]] = {}
        """Which other branch's question a request answers."""
        self._forwards: OrderedDict[tuple[BranchId, int], Answer | None] = OrderedDict()
        """What other branches sent on to here, lately: the answer, or None where it is under way."""
        self._forwarded = 0
        self._drain_deadline_us: int | None = None

    @property
    def gatherings(self) -> Gatherings:
        """The rights on their way."""
        return self._gatherings

    @property
    def is_draining(self) -> bool:
        """Whether this branch is stopping."""
        return self._drain_deadline_us is not None

    def is_waiting(self, request: RequestId) -> bool:
        """Whether a request is held."""
        return self.holds.get(request) is not None

    # In and out.

    def on_request(self, request: Request) -> None:
        """Take in a request of a customer, or one that another branch has carried out here."""
        refusal = refusal_at_sight(request, self._desk())
        held = Held(
            request,
            since_us=self._context.now_us,
            deadline_us=min(request.deadline_us, self._context.now_us + self._context.settings.hold_limit_us),
            first_question=self._context.questions.next,
            is_final=request.at_hand and isinstance(request.command, Batch),
        )
        if refusal is not None:
            self._refuse(held, refusal)
        else:
            self.proceed(held)

    def on_forward(self, sender: BranchId, forward: Forward) -> None:
        """Carry out what another branch must not decide."""
        source = (sender, forward.question)
        if source in self._forwards:
            # It was sent again. Who was told that nothing happened may have made a new key: so it must not
            # happen after all.
            told = self._forwards[source]
            if told is not None:
                self._context.send(sender, told)
            return
        self._forwards[source] = None
        self._forget_forwards()
        self._forwarded += 1
        number = RequestId(-self._forwarded)
        self._replies_to[number] = source
        deadline_us = self._context.now_us + forward.wait_us
        self.on_request(
            Request(
                number,
                forward.command,
                deadline_us,
                forward.customer,
                forward.token,
                freshness=forward.freshness,
                key=forward.key,
            )
        )

    def on_cancel(self, cancel: Cancel) -> None:
        """Forget a request whose caller is gone."""
        held = self.holds.get(cancel.request)
        if held is not None:
            self._end_hold(held)

    def on_drain(self, drain: Drain) -> None:
        """Let nothing be held beyond the drain's deadline, and refuse what is new."""
        self._drain_deadline_us = drain.deadline_us
        self.holds.shorten(drain.deadline_us)

    def begin_step(self) -> None:
        """Read what could not be read before the last step was committed."""
        postponed, self._postponed = self._postponed, []
        for held in postponed:
            if self.is_waiting(held.request.id):
                self.proceed(held)

    def expire(self) -> None:
        """End what is overdue."""
        for held in self.holds.overdue(self._context.now_us):
            command = held.request.command
            if held.short_of and isinstance(command, Batch) and not command.is_atomic:
                # Some of it can be done; and the key may have gone elsewhere meanwhile.
                held.is_final = True
                self._gatherings.leave(held)
                self.proceed(held)
                continue
            decision = self._why_overdue(held)
            self._end_hold(held)
            if held.decided is None:
                self._refuse(held, decision)
            else:
                held_us = self._context.now_us - held.since_us
                self._release_undurable(replace(held.decided.reply, held_us=held_us), decision)

    def next_wake_us(self) -> int | None:
        """Return when something here is due next; None where nothing is."""
        if self._postponed:
            return self._context.now_us + 1
        return self.holds.next_deadline_us()

    def wake(self, request: RequestId) -> None:
        """Go on with a request whose entry has come."""
        held = self.holds.get(request)
        if held is not None:
            self.proceed(held)

    def wake_all(self) -> None:
        """Go on with all that is held."""
        for held in list(self.holds):
            if self.is_waiting(held.request.id):
                self.proceed(held)

    # The ladder.

    def proceed(self, held: Held) -> None:
        """Go on with a request as far as it gets: answer it, or hold it for the first thing it lacks."""
        waits = (
            self._waits_for_disks(held)
            or self._is_out_of_use(held)
            or self._waits_for_joining(held)
            or self._was_decided(held)
            or self._waits_for_entries(held)
            or self._waits_for_key(held)
            or self._waits_for_freshness(held)
        )
        if not waits:
            self._carry_out(held)

    def _waits_for_disks(self, held: Held) -> bool:
        if held.decided is None:
            return False
        self._finish(held)
        return True

    def _is_out_of_use(self, held: Held) -> bool:
        """Refuse what came before this store learned that another one took its place."""
        if self._context.is_retired:
            # Another branch may have decided it meanwhile: only where none can is it safe to try a new key.
            why = self._why_overdue(held)
            is_in_doubt = why.outcome is Outcome.OUTCOME_UNKNOWN
            self._refuse(held, why if is_in_doubt else retired(self._context.branch))
        return self._context.is_retired

    def _waits_for_joining(self, held: Held) -> bool:
        if self._context.has_joined:
            return False
        self._holds(held)
        return True

    def _was_decided(self, held: Held) -> bool:
        """Tell what the key was told before; also to whoever still waits, having been sent a second time."""
        key = held.request.key
        known = None if key is None else self._context.state.key(key)
        if key is None or known is None or known.moved_to is not None:
            return False
        self._replay(held, key, known)
        return True

    def _waits_for_entries(self, held: Held) -> bool:
        if writes_lost(held.needs, self._context) is not None:
            token = held.request.token
            lost = writes_lost(token.read.merge(token.write), self._context)
            if lost is not None:
                self._refuse(held, lost)
                return True
            # Another branch had named it, and lost it with its disk. What is there now, it has to say anew.
            self._context.questions.forget(held.question)
            held.needs, held.unanswered, held.is_admitted = NOTHING, set(), False
        if held.unanswered:
            self._holds(held)
            return True
        gap = self._context.applied.first_gap(held.needs)
        if gap is None:
            return False
        held.note(self._context.applied)
        if self._holds(held):
            self._logs.watch(gap, held.request.id)
        return True

    def _waits_for_key(self, held: Held) -> bool:
        """Look the key up, before anything of the session is waited for; ask whoever may know it."""
        request = held.request
        known = None if request.key is None else self._context.state.key(request.key)
        decider = decider_of(request.command, self._context.branches)
        if decider is not None and decider not in self._context.branches:
            detail = f"this bank has no branch {decider} that could have reserved it"
            self._refuse(held, Decision(Outcome.UNKNOWN_RESERVATION, detail))
            return True
        if decider is not None and decider != self._context.branch:
            self._forward(held, decider)
            return True
        if request.key is None:
            return False
        owner = birth_branch(request.key, self._context.branches)
        if known is not None and known.moved_to is not None:
            owner = known.moved_to
        if owner == self._context.branch:
            held.had_key, held.owner = True, None
            return False
        if held.had_key:
            self._wait_for_new_owner(held, owner)
        else:
            self._ask_owner(held, owner, request.key)
        return True

    def _wait_for_new_owner(self, held: Held, owner: BranchId) -> None:
        """Wait for the decision of the branch that the key was given to meanwhile.

        Who asked for it back would be asked for it again: two branches that both lack rights would pass it to
        and fro as fast as they can write.
        """
        self._gatherings.leave(held)
        held.owner = owner
        self._holds(held)

    def _ask_owner(self, held: Held, owner: BranchId, key: Key) -> None:
        if self._holds(held):
            # It named what is known here already, so it has not heard yet that the key was given to it. Asked
            # at once, it would name that again, as fast as the network goes.
            is_behind = held.owner == owner and held.owner_told_nothing_new
            self._await(held, {owner}, lambda number, _: AskKey(number, key), is_patient=is_behind)
            held.owner = owner

    def _forward(self, held: Held, decider: BranchId) -> None:
        request = held.request
        if request.key is None:
            detail = f"branch {decider} decides this, so it needs an idempotency key to be sent on to there"
            self._refuse(held, Decision(Outcome.INVALID_REQUEST, detail))
            return
        if not self._holds(held):
            return
        # Its time may be over, and it ends with this step; but nobody waits for less than no time.
        key, wait_us = request.key, max(held.deadline_us - self._context.now_us, 0)
        customer, command, token, freshness = (
            request.customer,
            request.command,
            request.token,
            request.freshness,
        )
        # It named what is applied here already, with a key that is forgotten here, where the clock is ahead.
        # Asked at once, it would name that again, as fast as the network goes.
        is_behind = held.is_forwarded and held.owner == decider and held.owner_told_nothing_new
        self._await(
            held,
            {decider},
            lambda number, _: Forward(number, customer, command, key, token, wait_us, freshness),
            is_patient=is_behind,
        )
        held.owner, held.is_forwarded = decider, True

    def _waits_for_freshness(self, held: Held) -> bool:
        """Wait for what the session has seen, and for what else the answer has to include."""
        if held.is_admitted:
            return False
        held.is_admitted = True
        held.owner = None
        request, peers, now_us = held.request, self._context.peers, self._context.now_us
        access = access_of(request.command)
        if request.freshness.level is Level.LOCAL:
            # LOCAL says what may be read. What is written stays in its order, or every branch would
            # show it before what its session wrote or read first.
            access &= Access.WRITE
        session = awaited_vector(request.token, request.guarantees, access)
        held.needs = held.needs.merge(session).merge(heads_known(request.freshness, peers, now_us))
        unanswered = branches_to_ask(request.freshness, peers, now_us)
        if unanswered:
            if not self._holds(held):
                return True
            accounts = accounts_of(request.command) if request.freshness.level is Level.LATEST else ()
            account = accounts[0] if len(accounts) == 1 else None
            self._await(held, unanswered, lambda number, _: AskHead(number, account))
        if request.freshness.level is Level.LATEST:
            held.heard.update(accounts_of(request.command))
        return self._waits_for_entries(held)

    def _await(self, held: Held, branches: set[BranchId], make: object, *, is_patient: bool = False) -> None:
        """Ask other branches something that this request needs answered."""
        request = held.request.id
        held.unanswered = set(branches)
        held.asked += len(branches)
        held.question = self._context.ask(
            branches,
            make,  # type: ignore[arg-type]
            lambda sender, answer: self._on_answer(request, sender, answer),
            is_patient=is_patient,
        )

    def _on_answer(self, request: RequestId, sender: BranchId, answer: Head | Answer) -> None:
        held = self.holds.get(request)
        if held is None:
            return
        held.unanswered.discard(sender)
        if isinstance(answer, Head):
            held.needs = held.needs.raised(answer.origin, answer.last_write)
        elif answer.entry is not None:
            held.is_decided_for_it |= held.is_forwarded and not answer.is_replayed
            held.owner_told_nothing_new = self._context.applied[answer.entry.origin] >= answer.entry.seq
            held.needs = held.needs.raised(*answer.entry)
        else:
            self._refuse(held, Decision(answer.outcome, answer.detail, branch=answer.branch))
            return
        self.proceed(held)

    def _holds(self, held: Held) -> bool:
        """Hold a request, or refuse it where there is no room; return whether it is held."""
        if not self._has_room_for(held):
            self._refuse_hold(held)
            return False
        self.holds.add(held)
        return True

    def _has_room_for(self, held: Held) -> bool:
        return self.is_waiting(held.request.id) or len(self.holds) < self._context.settings.held_max

    def _refuse_hold(self, held: Held) -> None:
        detail = f"branch {self._context.branch} holds {len(self.holds)} requests, which is all it may"
        self._refuse(held, Decision(Outcome.TOO_MANY_HELD, detail))

    def _end_hold(self, held: Held) -> None:
        self.holds.end(held.request.id)
        self._undurable.pop(held.request.id, None)
        self._context.questions.forget(held.question)
        self._gatherings.leave(held)

    # What is decided here.

    def _carry_out(self, held: Held) -> None:
        if reads_past(held.request) and self._context.state.has_changes:
            if self._holds(held):
                self._postponed.append(held)
            return
        if held.request.durable and not self._has_room_for(held):
            self._refuse_hold(held)  # before anything is written: nothing has happened yet
            return
        decision = decide(self._context, self._logs, held)
        if decision.shorts and not held.is_final:
            if self._holds(held):
                for short in decision.shorts:
                    self._gatherings.join(held, short)
            return
        self._write_and_finish(held, decision)

    def _write_and_finish(self, held: Held, decision: Decision) -> None:
        """Write what was decided, and answer; or wait for other branches' disks first."""
        self._end_hold(held)
        entry = write(self._logs, held.request, decision)
        reply = reply_to(self._context, held, decision, entry)
        self._release_when_durable(held, reply, entry)

    def _release_when_durable(self, held: Held, reply: Reply, entry: Entry | None) -> None:
        """Answer at once, or once as many other disks have it as was asked."""
        if entry is None or held.request.durable == 0:
            self._release(reply)
        else:
            held.decided = Decided(reply, entry.id)
            self._finish(held)

    def _finish(self, held: Held) -> None:
        """Answer once as many other branches as was asked have the entry on their disks."""
        decided = held.decided
        assert decided is not None, "only what was decided can be finished"
        if self._context.peers.having(*decided.entry) >= held.request.durable:
            self._end_hold(held)
            self._release(replace(decided.reply, held_us=self._context.now_us - held.since_us))
        elif held.request.id not in self._undurable:
            self.holds.add(held)
            self._undurable[held.request.id] = held

    @property
    def waits_for_disks(self) -> bool:
        """Whether anybody waits until something is on other disks."""
        return bool(self._undurable)

    def on_disks(self) -> None:
        """Look who waited for what other branches have on their disks by now."""
        for held in list(self._undurable.values()):
            self._finish(held)

    def _replay(self, held: Held, key: Key, known: KeyRecord) -> None:
        """Tell what the key was told before."""
        request = held.request
        if known.fingerprint != fingerprint_of(request.customer, request.command):
            detail = f"the key {key} was used for another request, which {known.entry} decided"
            self._refuse(held, Decision(Outcome.KEY_REUSED, detail))
            return
        has_room = self._has_room_for(held)
        self._end_hold(held)
        entry = self._context.state.entry(known.entry)
        reply = replace(replay_to(self._context, held, entry), is_replayed=not held.is_decided_for_it)
        is_on_disks = self._context.peers.having(*entry.id) >= request.durable
        if is_on_disks or has_room:
            self._release_when_durable(held, reply, entry)
            return
        # Not TOO_MANY_HELD, which tells that nothing happened: it was decided.
        detail = f"{entry.id} is not yet on {request.durable} other disks, and there is no room to wait"
        self._release_undurable(reply, Decision(Outcome.DURABILITY_TIMEOUT, detail))

    def _release_undurable(self, reply: Reply, decision: Decision) -> None:
        """Answer though too few disks have it: `decision` says so, but a refusal stays one: nothing moved."""
        assert reply.entry is not None, "only an entry can be on disks"
        if self._context.state.entry(reply.entry).moves_money:
            reply = replace(reply, outcome=decision.outcome, detail=decision.detail)
        self._release(reply)

    def _refuse(self, held: Held, decision: Decision) -> None:
        """Hold a request no longer, and refuse it; it has looked at no account."""
        self._end_hold(held)
        self._release(refusal_to(self._context, held, decision))

    def _release(self, reply: Reply) -> None:
        """Answer the customer, or the branch that had this carried out."""
        source = self._replies_to.pop(reply.request, None)
        if source is None:
            self._context.effects.replies.append(reply)
            return
        sender, question = source
        answer = Answer(question, reply.entry, reply.outcome, reply.detail, reply.branch, reply.is_replayed)
        self._forwards[source] = answer
        self._context.send(sender, answer)

    def _forget_forwards(self) -> None:
        """Forget the oldest that were answered; what is under way is bounded as held requests are."""
        while len(self._forwards) > _FORWARDS_MAX + len(self._replies_to):
            source = next(iter(self._forwards))
            if self._forwards[source] is None:
                self._forwards.move_to_end(source)
            else:
                del self._forwards[source]

    # What is refused.

    def _why_overdue(self, held: Held) -> Decision:
        context = self._context
        known = None if held.request.key is None else context.state.key(held.request.key)
        if known is not None and known.moved_to not in (None, context.branch):
            held.owner = (
                known.moved_to
            )  # it was given away while this waited, and may be decided there by now
        is_over = self._drain_deadline_us is not None and context.now_us >= self._drain_deadline_us
        if is_over and held.owner is None and held.decided is None:
            return stopping(context.branch)
        if held.short_of:
            return self._gatherings.why_overdue(held)
        if not held.unanswered:
            held.awaited = {gap.origin: gap for gap in context.applied.behind(held.needs)}
        return why_overdue(held, context)

    def on_head(self, head: Head) -> None:
        """Refuse the requests whose token names what, after this answer, nobody will ever have."""
        for held, why in hopeless(head, self._context, self._logs, self.holds):
            self._refuse(held, why)

    def on_applied(self, entry: Entry) -> None:
        """Go on with who has the entry's key; refuse whoever waits for what a lost store took with it."""
        if entry.keyed is not None:
            for request in self.holds.with_key(entry.keyed.key):
                self.wake(request)
        for origin, _ in entry.ended:
            for waiter in self._logs.watchers.still_watching(origin):
                if isinstance(waiter, int):
                    self.wake(waiter)

    def retire(self) -> None:
        """Decide nothing any more: another store took this one's place, or it was set back."""
        self._context.is_retired = True
        self.wake_all()

    def _desk(self) -> Desk:
        context = self._context
        return Desk(context.origin, context.branches, context.applied, self.is_draining, context.is_retired)
