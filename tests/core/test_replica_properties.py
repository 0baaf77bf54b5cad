"""Random weeks at a bank, checked against a twin that knows nothing but sets.

Every write moves a power of two of its own, so a balance decodes to exactly the writes that it shows.
The twin is integers used as sets of such powers: what each branch has, what each session knows. It has
no vectors, no tokens and no logs, and says of every commit and every reply whether it may be so.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from random import Random

import pytest
from bank_in_one_thread import ANNA, BERT, SECOND, BankInOneThread, CommitFailure, Letter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bankbook.core.commands import (
    SESSION,
    Cancel,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    Reply,
    RequestId,
    Transfer,
    Withdraw,
    accounts_of,
)
from bankbook.core.entry import Opening
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Changes
from bankbook.core.replica import Effects, Settings
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import AccountId, BranchId, EntryId, Money, chosen_branch

WRITES_MAX = 50
"""So that all the powers of two stay below MONEY_MAX."""


class Act(Enum):
    """What can happen next; what exactly is drawn from the number beside it."""

    ASK = 1
    DELIVER = 2
    DELIVER_LINK = 3
    DELIVER_ALL = 4
    DROP = 5
    DUPLICATE = 6
    CRASH = 7
    RESTART = 8
    CUT = 9
    MEND = 10
    FAIL_COMMIT = 11
    PASS_TIME = 12
    CANCEL = 13
    SHARE_TOKEN = 14


# The quiet acts are listed several times, so that most weeks get something done.
ACTS = [*Act, Act.ASK, Act.ASK, Act.ASK, Act.DELIVER, Act.DELIVER, Act.DELIVER_LINK, Act.DELIVER_LINK]
ACTS += [Act.ASK, Act.DELIVER, Act.DELIVER, Act.DELIVER_ALL, Act.MEND, Act.RESTART]

Schedule = list[tuple[Act, int]]


@dataclass
class Session:
    """A customer: the token they hold, and the sets it has to stand for."""

    token: Token = EMPTY
    wrote: int = 0
    saw: int = 0


@dataclass(frozen=True)
class Asked:
    """One request, and what the twin knew when it was asked."""

    session: Session
    command: Command
    token: Token
    freshness: Freshness
    guarantees: Guarantee
    write: int
    wrote: int
    saw: int
    acknowledged: int
    acknowledged_by_bound: int
    shown_by_latest: int
    is_keyed: bool


@dataclass
class Twin:
    """What is where, as sets."""

    moved: dict[AccountId, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """For each account, the writes that touch it, and the sign of what they do."""
    kept: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """For each branch, what is on its disk."""
    past: dict[int, int] = field(default_factory=dict)
    """For each write, what was on its branch's disk before it."""
    causes: dict[EntryId, int] = field(default_factory=dict)
    """The same for each entry, also for those that move nothing: fences, refusals, openings."""
    clocks: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """For each branch, the highest clock reading of an entry there."""
    acknowledged_us: dict[int, int] = field(default_factory=dict)
    refused: int = 0
    shown_by_latest: dict[AccountId, int] = field(default_factory=lambda: defaultdict(int))

    def acknowledged(self, until_us: int) -> int:
        return sum(write for write, at_us in self.acknowledged_us.items() if at_us <= until_us)

    def touching(self, account: AccountId) -> int:
        return sum(self.moved[account])

    def shown(self, account: AccountId, balance: int) -> int:
        """Decode a balance to the writes it shows."""
        taken = sum(write for write, sign in self.moved[account].items() if sign < 0)
        shown = (balance + taken) ^ taken
        assert shown & ~self.touching(account) == 0, f"a balance of {balance} is no sum of writes"
        return shown


class WatchedBank(BankInOneThread):
    """A bank whose every commit and reply the twin judges."""

    def __init__(self, count: int) -> None:
        self.twin = Twin()
        self.asked: dict[RequestId, Asked] = {}
        super().__init__(count, opening_balance=None, settings=Settings(held_max=12))
        for account in (ANNA, BERT):
            home = chosen_branch(account, tuple(BranchId(branch) for branch in self.branches))
            assert self.do(home, OpenAccount(Opening(account, None, ""))).outcome is Outcome.OK
        self.deliver_all()

    def ask_as(
        self,
        session: Session,
        branch: int,
        command: Command,
        *,
        write: int = 0,
        freshness: Freshness = SESSION,
        guarantees: Guarantee = Guarantee.ALL,
        key: str | None = None,
    ) -> None:
        """Ask in a session; `write` is the power of two that the command moves, 0 where it moves none."""
        twin, account = self.twin, accounts_of(command)[0]
        asked = Asked(
            session,
            command,
            session.token,
            freshness,
            guarantees,
            write,
            session.wrote,
            session.saw,
            twin.acknowledged(self.now_us),
            twin.acknowledged(self.now_us - freshness.bound_us),
            twin.shown_by_latest[account],
            key is not None,
        )
        self.asked[RequestId(self._requests + 1)] = asked
        self.ask(branch, command, session.token, freshness=freshness, guarantees=guarantees, key=key)

    def commit(self, branch: int, changes: Changes) -> None:
        twin = self.twin
        for entry in changes.entries:
            write = abs(entry.postings[0].amount) if entry.postings else 0
            if entry.origin.branch == branch:
                twin.causes[entry.id] = twin.kept[branch]
                twin.past[write] = twin.kept[branch] if write else 0
                assert entry.clock > twin.clocks[branch], "a decision is later than what it knows of"
            twin.clocks[branch] = max(twin.clocks[branch], entry.clock)
            assert write & twin.kept[branch] == 0, "nothing is applied twice"
            assert write & twin.refused == 0, "what was refused never happens"
            assert twin.causes[entry.id] & ~twin.kept[branch] == 0, "causes come before effects"
            twin.kept[branch] |= write
        super().commit(branch, changes)
        for account in (ANNA, BERT):
            state = self.stores[branch].account(account)
            shown = twin.shown(account, state.balance) if state is not None else 0
            assert shown == twin.kept[branch] & twin.touching(account), "an entry is applied whole"

    def release(self, branch: int, effects: Effects) -> None:
        super().release(branch, effects)
        for reply in effects.replies:
            if reply.request in self.asked:
                self._judge(self.asked[reply.request], reply)

    def _judge(self, asked: Asked, reply: Reply) -> None:
        twin, session, account = self.twin, asked.session, accounts_of(asked.command)[0]
        self._check_pruning(asked.token, reply.token)
        session.token = reply.token if session.token == asked.token else session.token.merge(reply.token)
        if reply.outcome is not Outcome.OK:
            may_be = (Outcome.HOLD_TIMEOUT, Outcome.BRANCH_UNREACHABLE, Outcome.TOO_MANY_HELD)
            if asked.is_keyed and reply.outcome is Outcome.OUTCOME_UNKNOWN:
                return
            assert reply.outcome in may_be, reply
            twin.refused |= asked.write
            return
        assert reply.balance is not None
        shown = twin.shown(account, reply.balance)
        hidden = twin.touching(account) & ~shown
        for write, past in twin.past.items():
            assert not (write & shown and past & hidden), "a balance shows a cause with its effect"
        assert asked.write & hidden == 0, "a write's reply shows the write"
        if asked.freshness.level is not Level.LOCAL:
            self._check_guarantees(asked, hidden)
        if asked.freshness.level is Level.BOUNDED:
            assert asked.acknowledged_by_bound & hidden == 0, "BOUNDED"
        if asked.freshness.level is Level.LATEST:
            assert asked.acknowledged & hidden == 0, "LATEST shows all that was acknowledged"
            assert asked.shown_by_latest & hidden == 0, "LATEST never goes back"
            twin.shown_by_latest[account] |= shown
        session.saw |= shown
        if asked.write:
            session.wrote |= asked.write
            twin.acknowledged_us[asked.write] = self.now_us

    def _check_guarantees(self, asked: Asked, hidden: int) -> None:
        if Guarantee.READ_YOUR_WRITES in asked.guarantees:
            assert asked.wrote & hidden == 0, "read your writes"
        if Guarantee.MONOTONIC_READS in asked.guarantees:
            assert asked.saw & hidden == 0, "monotonic reads"
        if asked.write and Guarantee.MONOTONIC_WRITES in asked.guarantees:
            assert asked.wrote & ~self.twin.past[asked.write] == 0, "monotonic writes"
        if asked.write and Guarantee.WRITES_FOLLOW_READS in asked.guarantees:
            assert asked.saw & ~self.twin.past[asked.write] == 0, "writes follow reads"

    def _check_pruning(self, sent: Token, returned: Token) -> None:
        for before, after in ((sent.read, returned.read), (sent.write, returned.write)):
            for gap in after.behind(before):
                assert all(store.applied()[gap.origin] >= gap.needs for store in self.stores.values()), (
                    "only what every branch has on its disk leaves a token"
                )


class Week:
    """Carries out a schedule."""

    def __init__(self, count: int = 3) -> None:
        self.bank = WatchedBank(count)
        self.sessions = [Session() for _ in range(3)]
        self.writes = 0

    def act(self, act: Act, number: int) -> None:  # noqa: C901, PLR0912  (one case for each act)
        draw, bank = Random(number), self.bank  # noqa: S311  (the schedule decides, not chance)
        running = sorted(bank.replicas)
        match act:
            case Act.ASK if running:
                self._ask(draw, draw.choice(running))
            case Act.DELIVER if bank.under_way:
                bank.deliver(draw.choice(bank.under_way))
            case Act.DELIVER_LINK:
                sender, receiver = draw.sample(bank.branches, 2)
                for letter in bank.letters(sender, receiver):
                    self._deliver_if_under_way(letter)
            case Act.DELIVER_ALL:
                bank.deliver_all()
            case Act.DROP if bank.under_way:
                bank.drop(draw.choice(bank.under_way))
            case Act.DUPLICATE if bank.under_way:
                bank.duplicate(draw.choice(bank.under_way))
            case Act.CRASH if running:
                bank.crash(draw.choice(running))
            case Act.RESTART:
                self._restart_all()
            case Act.CUT:
                bank.cut_link(*draw.sample(bank.branches, 2))
            case Act.MEND:
                for one, other in map(sorted, bank.cut.copy()):
                    bank.mend_link(one, other)
            case Act.FAIL_COMMIT:
                bank.failing[draw.choice(bank.branches)] = draw.choice(list(CommitFailure))
            case Act.PASS_TIME:
                bank.pass_time(draw.choice([1, 1000, SECOND // 2, 2 * SECOND, 6 * SECOND]), deliver=False)
            case Act.CANCEL if bank.waiting:
                request = draw.choice(list(bank.waiting))
                bank.step(bank.waiting.pop(request), Cancel(request))
            case Act.SHARE_TOKEN:
                receiving, giving = draw.sample(self.sessions, 2)
                receiving.token = receiving.token.merge(giving.token)
                receiving.wrote |= giving.wrote
                receiving.saw |= giving.saw

    def finish(self) -> None:
        """Mend everything, and see that all of it comes to rest in the same state."""
        bank, twin = self.bank, self.bank.twin
        bank.failing.clear()
        self._restart_all()
        for one, other in map(sorted, bank.cut.copy()):
            bank.mend_link(one, other)
        bank.pass_time(12 * SECOND)
        assert not bank.waiting, "every held request ends"
        acknowledged = twin.acknowledged(bank.now_us)
        for branch in bank.branches:
            assert twin.kept[branch] == twin.kept[1], "every branch has the same"
            assert acknowledged & ~twin.kept[branch] == 0, "no acknowledged write is lost"
            assert bank.replicas[branch].status().inbox == 0
            for session in self.sessions:
                bank.ask_as(session, branch, ReadBalance(ANNA))
        assert not bank.waiting, "where every branch has the same, nothing is held"

    def _ask(self, draw: Random, branch: int) -> None:
        accounts = [ANNA, BERT]
        draw.shuffle(accounts)
        level = draw.choice([*Level, Level.SESSION, Level.SESSION])
        bound_us = draw.choice([0, 1, SECOND, 3 * SECOND]) if level is Level.BOUNDED else 0
        guarantees = draw.choice([*Guarantee, *[Guarantee.ALL] * 8])
        command: Command = ReadBalance(accounts[0])
        write = 0
        if draw.random() < 0.5 and self.writes < WRITES_MAX:
            write = 1 << self.writes
            self.writes += 1
            command = self._write(draw.randrange(3), accounts, write)
        self.bank.ask_as(
            draw.choice(self.sessions),
            branch,
            command,
            write=write,
            freshness=Freshness(level, bound_us),
            guarantees=guarantees,
            key=f"write-{self.writes}" if write and draw.random() < 0.3 else None,
        )

    def _write(self, kind: int, accounts: list[AccountId], write: int) -> Command:
        moved, (one, other) = self.bank.twin.moved, accounts
        if kind == 0:
            moved[one][write] = 1
            return Deposit(one, Money(write))
        moved[one][write] = -1
        if kind == 1:
            return Withdraw(one, Money(write))
        moved[other][write] = 1
        return Transfer(one, other, Money(write))

    def _deliver_if_under_way(self, letter: Letter) -> None:
        if letter in self.bank.under_way:
            self.bank.deliver(letter)

    def _restart_all(self) -> None:
        for branch in self.bank.branches:
            if branch not in self.bank.replicas:
                self.bank.restart(branch)


def live(schedule: Schedule, count: int = 3) -> WatchedBank:
    week = Week(count)
    for act, number in schedule:
        week.act(act, number)
    week.finish()
    return week.bank


def long_schedule(seed: int, length: int) -> Schedule:
    draw = Random(seed)  # noqa: S311
    return [(draw.choice(ACTS), draw.getrandbits(32)) for _ in range(length)]


schedules = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**16)), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedules)
def test_a_short_week_with_all_its_mishaps_breaks_no_promise(schedule: Schedule) -> None:
    live(schedule)


@pytest.mark.parametrize("seed", range(80))
def test_a_long_week_with_all_its_mishaps_breaks_no_promise(seed: int) -> None:
    live(long_schedule(seed, 400), count=2 + seed % 4)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_week_gives_the_same_effects_to_the_byte(seed: int) -> None:
    first, second = (live(long_schedule(seed, 200)).transcript for _ in range(2))
    assert first == second
