"""The logs of this branch: its own, which it writes, and those of the others, which it applies.

Decides when an entry may be applied, and who waits for it. Must not know what entries mean, beyond where a
log ends for ever. Proof: tests/core/test_replication.py, tests/core/test_sessions.py.
"""

from collections.abc import Callable, Sequence

from bankbook.core.commands import RequestId
from bankbook.core.context import Context
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Keyed, Record
from bankbook.core.holds import Watchers
from bankbook.core.messages import Entries
from bankbook.core.replication import Inbox
from bankbook.core.types import AccountId, BranchId, CustomerId, EntryId, Origin, Seq
from bankbook.core.vector import Gap, VersionVector

Waiter = Origin | RequestId | AccountId | None
"""What waits for an entry: a log whose next entry depends on it, a held request, the gathering of rights to
an account, or a branch that joins (None)."""


class Logs:
    """Applies entries once, whole, and after everything they depend on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        own = context.origin
        self._declared = VersionVector([(own, context.applied[own])])
        """What the own log is known to have declared: the base of the next entry's dependencies. After a
        start nothing is, so the first entry declares all there is."""
        self._inbox = Inbox()
        self.blocked: set[Origin] = set()
        """The logs whose next entry is here and watches for one that it depends on."""
        self.watchers: Watchers[Waiter] = Watchers(self._is_waiting)
        self.on_applied: list[Callable[[Entry], None]] = []
        """Who is told of every entry, after it was applied."""
        self.wake: dict[type, Callable[..., None]] = {}
        """How each kind of waiter is woken."""
        self.is_waiting: dict[type, Callable[..., bool]] = {}
        """Whether a waiter still waits."""

    def __len__(self) -> int:
        """Return how many entries have arrived and wait for others."""
        return len(self._inbox)

    @property
    def next_entry(self) -> EntryId:
        """Where the next entry of the own log will stand."""
        own = self._context.origin
        return EntryId(own, Seq(self._context.applied[own] + 1))

    def write(
        self,
        records: Sequence[Record],
        customer: CustomerId | None = None,
        keyed: Keyed | None = None,
    ) -> Entry:
        """Append an entry to the own log, and apply it."""
        context = self._context
        entry = make_entry(
            origin=context.origin,
            seq=self.next_entry.seq,
            clock=context.clock.tick(context.now.wall_us),
            dependencies=context.applied.beyond(self._declared),
            customer=customer,
            keyed=keyed,
            records=records,
        )
        self._declared = self._declared.merge(entry.dependencies).raised(entry.origin, entry.seq)
        for freed in self._apply(entry):
            self.advance(freed)
        return entry

    def watch(self, gap: Gap, waiter: Waiter) -> None:
        """Wake `waiter` once the gap is closed."""
        self.watchers.watch(gap, waiter)

    def offer(self, sender: BranchId, message: Entries) -> None:
        """Take in entries of another log from `sender`, and apply what has become applicable."""
        last = self._last_to_take(sender, message.origin)
        for entry in message.entries:
            if last is None or entry.seq <= last:
                self._inbox.offer(entry, self._context.applied)
        self.advance(message.origin)

    def _last_to_take(self, sender: BranchId, origin: Origin) -> Seq | None:
        """Return up to where a log is taken from `sender`; None where as far as it goes.

        Of a store that was replaced, only what the new one has itself, or says to be all that was saved: what
        comes to light elsewhere after the new one has asked would be spent twice (docs/model.md).
        """
        context = self._context
        end = context.state.ended(origin) or self._said_to_end(origin)
        if end is not None:
            return end
        is_needed = not context.has_joined if origin.branch == context.branch else sender == origin.branch
        return context.applied[origin] if context.state.is_over(origin) and not is_needed else None

    def _said_to_end(self, origin: Origin) -> Seq | None:
        """Return where a log ends by the first entry of a later one, which has arrived and waits."""
        for later in self._inbox.origins():
            if later.branch != origin.branch or later == origin:
                continue
            first = self._inbox.next(later, self._context.applied)
            if first is not None:
                found = next((end.seq for end in first.ended if end.origin == origin), None)
                if found is not None:
                    return found
        return None

    def forget_lives_before(self, present: Origin) -> None:
        """Take nothing any more that an earlier life of a branch had under way, as long as nobody has it.

        The present life asks everybody what there is of the earlier logs. An entry that came to light later
        would spend rights once more. What somebody has applied is fetched from there.
        """
        for origin in self._inbox.origins():
            if origin.branch == present.branch and origin != present:
                self._inbox.forget(origin)
                self.blocked.discard(origin)

    def advance(self, origin: Origin) -> None:
        """Apply what has become applicable of this log, and all that follows from it."""
        ready = [origin]
        while ready:
            current = ready.pop()
            if current in self.blocked:
                continue
            while (entry := self._inbox.next(current, self._context.applied)) is not None:
                gap = self._context.applied.first_gap(entry.dependencies)
                if gap is not None:
                    self.blocked.add(current)
                    self.watch(gap, current)
                    break
                self._inbox.remove(entry)
                ready.extend(self._apply(entry))

    def _apply(self, entry: Entry) -> list[Origin]:
        """Apply one entry; return the logs that waited for it, and wake whoever else did."""
        context = self._context
        assert context.applied[entry.origin] == entry.seq - 1, "a log is applied without gaps"
        context.state.apply(entry)
        context.clock.observe(entry.clock)
        context.applied = context.applied.raised(entry.origin, entry.seq)
        freed: list[Origin] = []
        # All of them first: who is woken may write an entry of its own, and so come here again.
        reached = list(self.watchers.reached(entry.origin, entry.seq))
        for listener in self.on_applied:
            listener(entry)
        for waiter in reached:
            if isinstance(waiter, Origin):
                self.blocked.discard(waiter)
                freed.append(waiter)
            else:
                self.wake[type(waiter)](waiter)
        return freed

    def _is_waiting(self, waiter: Waiter) -> bool:
        return isinstance(waiter, Origin) or self.is_waiting[type(waiter)](waiter)

    def lives_of(self, branch: BranchId) -> list[EntryId]:
        """Return the logs of a branch that are known here, each with the last entry that was applied."""
        return [EntryId(origin, seq) for origin, seq in self._context.applied if origin.branch == branch]
