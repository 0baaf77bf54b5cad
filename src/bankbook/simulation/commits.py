"""What must be true of every disk: each commit is held against books that only add up.

Decides what is a violation there. Looks at the disks, and trusts the core for nothing. Must not know what an
entry comes to (books.py), nor what anybody was told of it (checks.py). Proof that it finds anything:
tests/simulation/test_saboteurs.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from bankbook.core.commands import Capture, Command, Release, accounts_of
from bankbook.core.entry import Entry, RecordKind
from bankbook.core.ports import Account, Changes, KeyRecord, StatedPosting
from bankbook.core.types import AccountId, EntryId, Key, Origin, ReservationId
from bankbook.core.vector import VersionVector
from bankbook.simulation.books import Books, has
from bankbook.simulation.clock import VirtualLoop
from bankbook.simulation.decisions import Decisions
from bankbook.simulation.disk import SimulatedDisk
from bankbook.simulation.operations import Intent, State
from bankbook.simulation.promises import Promise, demand
from bankbook.simulation.statements import Sheets


class DiskJudge:
    """Watches every disk of one simulated bank."""

    def __init__(self, loop: VirtualLoop, branches: tuple[int, ...], opening_balance: int | None) -> None:
        self._loop = loop
        self._branches = branches
        self._opening_balance = opening_balance
        self.books: dict[Origin, Books] = {}
        self.written: dict[EntryId, tuple[Entry, int]] = {}
        """Every entry that its own branch committed, and when."""
        self.gone: set[EntryId] = set()
        """What may have been on no disk but one that was lost."""
        self._decisions = Decisions(self.gone)
        self._knew: dict[tuple[Origin, Key], int] = {}
        """Since when a disk has had the end of a key."""
        self._joined: set[Origin] = set()
        """The disks of branches that serve: one that has not joined yet looks up no key."""
        self.present: dict[int, Origin] = {}
        """Which disk each branch has."""
        self._sheets = Sheets(opening_balance or 0)
        self._by_account: dict[AccountId, list[EntryId]] = defaultdict(list)
        self._had: dict[EntryId, set[Origin]] = defaultdict(set)
        self._effects: dict[str, EntryId] = {}
        """The entry in which each memo took effect."""
        self._decided: dict[Key, EntryId] = {}
        self._never: set[str] = set()
        """Whose request was refused for good: customers were told so (checks.py)."""
        self._over: dict[Origin, tuple[frozenset[Origin], frozenset[Origin]]] = {}
        """Which disks each disk had noted to be replaced, before its last commit and with it."""
        self._lost_disks = 0
        self.droppable_ms = -1
        """Up to when entries may be dropped, by any clock."""
        self.expiries: Counter[AccountId] = Counter()
        """How many reservations of each account have ended by themselves."""
        self.judged: Counter[str] = Counter()
        """How often each promise was put to the test."""

    @property
    def has_lost_disks(self) -> bool:
        """Whether any disk was ever lost."""
        return self._lost_disks > 0

    # Commits.

    def on_disk(self, disk: SimulatedDisk) -> None:
        """Take note of a branch's new, empty disk."""
        origin = disk.identity.origin
        before = self.present.get(origin.branch)
        if before is not None:
            self._lost_disks += 1
            kept = [self.books[each].applied for each in self.present.values() if each != before]
            lost = [each for each in self.written if self._is_on(before, each)]
            self.gone.update(each for each in lost if not any(has(applied, each) for applied in kept))
        self.present[origin.branch] = origin
        self.books[origin] = Books(self._opening_balance)
        self._over[origin] = frozenset(), frozenset()

    def on_commit(self, disk: SimulatedDisk, changes: Changes) -> None:
        """Judge what has just become durable. Raises ViolationError."""
        origin = disk.identity.origin
        books = self.books[origin]
        books.lately.clear()
        # A new store has just learned what its former one had set aside.
        is_busy = disk.is_quiet or not books.applied[origin]
        _, before = self._over[origin]
        self._over[origin] = before, before | {life for life, is_over in changes.lives.items() if is_over}
        for entry in changes.entries:
            if entry.origin == origin:
                self._decisions.on_own(entry, books, disk.decided_us, is_busy=is_busy)
                self._judge_own(entry)
            else:
                self._judge_foreign(entry, origin)
                self._decisions.on_foreign(entry, books)
            books.apply(entry)
            self._had[entry.id].add(origin)
            if entry.keyed is not None and entry.records[0].fence is None:
                self._knew.setdefault((origin, entry.keyed.key), self._loop.now_us)
        if changes.portion is not None and changes.portion.end is not None:
            self._judge_copy(disk, changes.portion.end.applied)
        for account in sorted({account for entry in changes.entries for account in entry.accounts}):
            self._judge_account(disk, books, account)
        self._judge_dropped(disk)
        if disk.has_joined():
            self._joined.add(origin)

    def _judge_copy(self, disk: SimulatedDisk, applied: VersionVector) -> None:
        """Judge that a copy has what the entries come to that it says it has."""
        origin = disk.identity.origin
        books = self.books[origin] = Books(self._opening_balance)
        known = [entry for entry, _ in self.written.values() if has(applied, entry.id)]
        for entry in sorted(known, key=lambda each: (each.clock, each.origin, each.seq)):
            books.apply(entry)
            self._had[entry.id].add(origin)
            self.gone.discard(entry.id)
            if entry.keyed is not None and entry.records[0].fence is None:
                self._knew.setdefault((origin, entry.keyed.key), self._loop.now_us)
        demand(books.applied == applied, Promise.BOOKS, f"a copy has {applied}, which nobody wrote")
        for account in sorted({account for entry in known for account in entry.accounts}):
            self._judge_account(disk, books, account)
        self.judged[Promise.COPIES] += 1

    def _judge_dropped(self, disk: SimulatedDisk) -> None:
        """Judge that each branch has what is dropped anywhere, or begins with a copy."""
        for origin, seq in disk.dropped():
            entry = self.written[EntryId(origin, seq)][0]
            demand(entry.clock >> 16 <= self.droppable_ms, Promise.COPIES, f"{entry.id} was dropped too soon")
            for present in self.present.values():
                applied = self.books[present].applied
                is_there = not applied or has(applied, entry.id)
                words = f"{disk.identity.origin} dropped {entry.id}, which {present} lacks"
                demand(is_there, Promise.COPIES, words)

    def _judge_foreign(self, entry: Entry, origin: Origin) -> None:
        promise = Promise.RELEASED_ONCE_DURABLE
        demand(entry.id in self.written, promise, f"{entry.id} reached {origin} before its own disk had it")
        demand(self.written[entry.id][0] == entry, promise, f"{entry.id} is another entry at {origin}")
        self.gone.discard(entry.id)

    def _judge_own(self, entry: Entry) -> None:
        self.written[entry.id] = (entry, self._loop.now_us)
        self._sheets.add(entry)
        for account in entry.accounts:
            self._by_account[account].append(entry.id)
        if entry.keyed is not None and entry.records[0].fence is None:
            self._judge_once(self._decided, entry.keyed.key, entry)
        for record in entry.records:
            self.judged[Promise.RESERVATIONS] += record.settlement is not None
            if record.kind is RecordKind.EXPIRY:
                self.expiries.update(record.accounts)
            if record.memo and record.kind is not RecordKind.REFUSAL and record.verdict is not None:
                demand(
                    record.memo not in self._never,
                    Promise.REFUSED_MEANS_NEVER,
                    f"{record.memo} was refused, and took effect in {entry.id}",
                )
                if record.kind is not RecordKind.CAPTURE:
                    self._judge_once(self._effects, record.memo, entry)

    def _judge_once(self, effects: dict[Key, EntryId] | dict[str, EntryId], name: str, entry: Entry) -> None:
        known = effects.get(name)  # type: ignore[call-overload]  # a Key is a str
        self.judged[Promise.EXACTLY_ONCE] += 1
        demand(
            known is None or known in self.gone,
            Promise.EXACTLY_ONCE,
            f"{name} took effect twice: in {known} and in {entry.id}",
        )
        effects[name] = entry.id  # type: ignore[index]

    def _judge_account(self, disk: SimulatedDisk, books: Books, account: AccountId) -> None:
        state, where = disk.account(account), f"{account} at {disk.identity.origin}"
        demand(state is not None, Promise.BOOKS, f"{where} was touched and is not there")
        assert state is not None, "demanded"
        balance, reserved = books.balance(account), books.reserved(account)
        demand(state.balance == balance, Promise.BOOKS, f"{where} has {state.balance}, not {balance}")
        demand(
            state.reserved == reserved >= 0,
            Promise.BOOKS,
            f"{where} sets aside {state.reserved}, not {reserved}",
        )
        self.judged[Promise.BOOKS] += 1
        if state.floor is not None:
            self._judge_floor(disk, account, state, where)

    def _judge_floor(self, disk: SimulatedDisk, account: AccountId, state: Account, where: str) -> None:
        assert state.floor is not None, "the caller looked"
        demand(
            state.balance >= state.floor,
            Promise.FLOORS,
            f"{where} is at {state.balance}, below its floor of {state.floor}",
        )
        self.judged[Promise.FLOORS] += 1
        rights = self._rights(disk, account)
        demand(
            min(rights.values()) >= 0,
            Promise.RIGHTS,
            f"{where}: a branch took what it had no right to: {rights}",
        )
        free = state.balance - state.floor - state.reserved
        demand(
            sum(rights.values()) == free,
            Promise.RIGHTS,
            f"{where}: the rights {rights} are not the {free} that are free",
        )
        self.judged[Promise.RIGHTS] += 1

    def _rights(self, disk: SimulatedDisk, account: AccountId) -> dict[int, int]:
        share, rest = divmod(self._opening_balance or 0, len(self._branches))
        rights = {branch: share + (place < rest) for place, branch in enumerate(self._branches)}
        for origin, holding in disk.holdings(account).items():
            rights[origin.branch] += holding.rights
        return rights

    def _kept_keys(self, disk: SimulatedDisk) -> dict[Key, KeyRecord]:
        """Return the keys that have to be remembered."""
        known = disk._keys.items()  # noqa: SLF001  (judged behind its back)
        return {key: record for key, record in known if record.clock >> 16 > self.droppable_ms}

    def _kept_postings(self, disk: SimulatedDisk) -> dict[AccountId, list[StatedPosting]]:
        """Return the lines that have to be there."""
        found = {
            account: [each for each in stated if each.position.clock >> 16 > self.droppable_ms]
            for account, stated in disk._postings.items()  # noqa: SLF001
        }
        return {account: stated for account, stated in found.items() if stated}

    def _is_on(self, origin: Origin, entry: EntryId) -> bool:
        return has(self.books[origin].applied, entry)

    # What is on a disk.

    def known_lost(self, branch: int) -> frozenset[Origin]:
        """Return which disks a branch knew to be replaced, before its last commit."""
        return self._over[self.present[branch]][0]

    def states(self, branch: int, command: Command) -> list[State]:
        """Return what a branch's disk has of whatever account is told of, newest first.

        That is what it has now, and what it had between the entries of its last commit.
        """
        books = self.books[self.present[branch]]
        if isinstance(command, Capture | Release):
            known = books.left.get(command.reservation)
            return [] if known is None else books.states(known[0].account)
        return books.states(accounts_of(command)[0])

    def overdue(self, branch: int, now_us: int) -> list[ReservationId]:
        """Return what a branch has set aside, and should have freed by itself before then."""
        return self.books[self.present[branch]].overdue(branch, now_us // 1000)

    # The end.

    def judge_end(self, disks: list[SimulatedDisk], intents: Iterable[Intent]) -> None:
        """Judge that all have come to rest in the same state. Raises ViolationError."""
        first = disks[0]
        for disk in disks[1:]:
            there = f"{disk.identity.origin} and {first.identity.origin}"
            same = f"{there} have not the same: {disk.applied()} {first.applied()}"
            demand(disk.applied() == first.applied(), Promise.CONVERGENCE, same)
            for name in ("_rows", "_reservations", "_ended"):
                is_same = getattr(disk, name) == getattr(first, name)
                demand(is_same, Promise.CONVERGENCE, f"{there} differ in {name}")
            is_same = self._kept_keys(disk) == self._kept_keys(first)
            demand(is_same, Promise.CONVERGENCE, f"{there} differ in keys")
            is_same = self._kept_postings(disk) == self._kept_postings(first)
            demand(is_same, Promise.CONVERGENCE, f"{there} differ in statements")
        for intent in intents:
            if intent.entry is not None and intent.entry not in self.gone:
                self.judged[Promise.ACKNOWLEDGED_IS_THERE] += 1
                lost = f"{intent.name} was acknowledged, and {intent.entry} is lost"
                demand(has(first.applied(), intent.entry), Promise.ACKNOWLEDGED_IS_THERE, lost)
