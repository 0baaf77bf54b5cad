"""Logs on their way between branches that lose, double, reorder and fall silent.

    branch 1 ──── branch 2 ──── branch 3
        └──────────── × ───────────┘

Where the link between 1 and 3 is cut, 3 fetches the log of 1 from 2.
"""

from dataclasses import replace

import pytest
from bank_in_one_thread import ANNA, SECOND, BankInOneThread

from bankbook.core.clock import HybridTime
from bankbook.core.commands import Deposit, ReadBalance
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry, Posting, Record, RecordKind
from bankbook.core.messages import Acknowledge, Entries, Head, Received, Subscribe, Unsubscribe
from bankbook.core.peers import Peer
from bankbook.core.replica import Settings
from bankbook.core.replication import (
    ENTRIES_PER_MESSAGE_MAX,
    IN_FLIGHT_BYTES,
    IN_FLIGHT_MAX,
    Inbox,
    Outbox,
    Subscriptions,
)
from bankbook.core.types import BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

ONE, TWO, THREE = (Origin(BranchId(branch), Incarnation(1)) for branch in (1, 2, 3))
FIVE = Money(5)


LARGE_BYTES = 1_000_000


def entry(seq: int, origin: Origin = ONE) -> Entry:
    return make_entry(
        origin=origin,
        seq=Seq(seq),
        clock=HybridTime(seq),
        dependencies=NOTHING,
        customer=CustomerId("anna"),
        records=(Record(RecordKind.DEPOSIT, (Posting(ANNA, FIVE),)),),
    )


def at(seq: int, origin: Origin = ONE) -> VersionVector:
    return VersionVector([(origin, Seq(seq))])


class LongLog:
    """A log that never ends, of entries that are made when they are read."""

    def dropped(self) -> VersionVector:
        return NOTHING

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        return [entry(seq, origin) for seq in range(after + 1, after + 1 + limit)]


class LargeLog:
    """The same, of entries as large as a batch makes them."""

    def dropped(self) -> VersionVector:
        return NOTHING

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        made = LongLog().entries(origin, after, limit)
        return [replace(each, encoded=b"x" * LARGE_BYTES) for each in made]


def settled_bank(count: int = 3, settings: Settings = Settings()) -> BankInOneThread:  # noqa: B008
    bank = BankInOneThread(count, settings=settings)
    bank.deliver_all()
    return bank


def balances(bank: BankInOneThread) -> list[Money | None]:
    return [bank.do(branch, ReadBalance(ANNA)).balance for branch in bank.branches]


def sources(bank: BankInOneThread, branch: int) -> dict[int, int]:
    """Return, for each log that a branch fetches, from which branch it does."""
    return {origin.branch: source for origin, source in bank.replicas[branch].status().sources.items()}


# The inbox.


def test_the_inbox_gives_entries_back_in_the_order_of_the_log() -> None:
    inbox = Inbox()
    for seq in (3, 1, 2, 3, 1):
        inbox.offer(entry(seq), NOTHING)
    for seq in (1, 2, 3):
        found = inbox.next(ONE, at(seq - 1))
        assert found == entry(seq)
        inbox.remove(entry(seq))
    assert inbox.next(ONE, at(3)) is None
    assert len(inbox) == 0


def test_the_inbox_drops_what_is_applied_and_what_is_beyond_the_window() -> None:
    inbox = Inbox()
    for seq in (4, 5, 5 + IN_FLIGHT_MAX + 1):
        inbox.offer(entry(seq), at(5))
    assert len(inbox) == 0
    inbox.offer(entry(5 + IN_FLIGHT_MAX), at(5))
    assert len(inbox) == 1


# The outbox.


def sent(outbox: Outbox, head: int) -> list[int]:
    return [each.seq for _, run in outbox.due(LongLog(), at(head)) for each in run.entries]


def test_no_more_is_on_its_way_than_the_window_until_it_is_acknowledged() -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(10)))
    runs = list(outbox.due(LongLog(), at(100_000)))
    lengths = [len(run.entries) for _, run in runs]
    assert sum(lengths) == IN_FLIGHT_MAX
    assert max(lengths) == ENTRIES_PER_MESSAGE_MAX
    assert runs[0][1].entries[0].seq == 11
    assert sent(outbox, 100_000) == []
    outbox.acknowledge(BranchId(2), at(13))
    assert sent(outbox, 100_000) == [10 + IN_FLIGHT_MAX + each for each in (1, 2, 3)]


def test_of_large_entries_fewer_are_on_their_way() -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(0)))
    first, *later = [run.entries for _, run in outbox.due(LargeLog(), at(100_000))]
    assert all(len(entries) == 1 for entries in later), "each fills a message"
    assert len(first) + len(later) <= IN_FLIGHT_BYTES // LARGE_BYTES
    outbox.acknowledge(BranchId(2), at(len(first)))
    again = [run.entries for _, run in outbox.due(LargeLog(), at(100_000))]
    assert [len(entries) for entries in again] == [1] * len(first)


def test_an_acknowledgement_that_comes_late_or_twice_does_not_widen_the_window() -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(0)))
    sent(outbox, 100_000)
    outbox.acknowledge(BranchId(2), at(5))
    assert len(sent(outbox, 100_000)) == 5
    for late in (5, 3, 0):
        outbox.acknowledge(BranchId(2), at(late))
    assert sent(outbox, 100_000) == []


def test_a_subscriber_who_got_entries_elsewhere_is_not_sent_them_again() -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(0)))
    outbox.acknowledge(BranchId(2), at(7))
    assert sent(outbox, 9) == [8, 9]


def test_a_subscriber_who_is_ahead_of_the_relay_is_sent_nothing_until_the_relay_catches_up() -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(5)))
    assert sent(outbox, 3) == []
    assert sent(outbox, 6) == [6]


@pytest.mark.parametrize("how", ["unsubscribed", "gone"])
def test_who_unsubscribed_or_is_gone_is_sent_nothing(how: str) -> None:
    outbox = Outbox()
    outbox.subscribe(BranchId(2), Subscribe(ONE, Seq(0)))
    if how == "gone":
        outbox.drop(BranchId(2))
    else:
        outbox.unsubscribe(BranchId(2), ONE)
    assert sent(outbox, 9) == []
    outbox.acknowledge(BranchId(2), at(1))
    outbox.unsubscribe(BranchId(3), ONE)
    outbox.drop(BranchId(3))


# From whom a log is fetched.


def peer(origin: Origin, applied: VersionVector = NOTHING) -> Peer:
    return Peer(origin.branch, is_connected=True, origin=origin, applied=applied)


def planned(
    subscriptions: Subscriptions,
    peers: list[Peer],
    has: int,
    now_us: int = 0,
    blocked: tuple[Origin, ...] = (),
) -> list[tuple[int, str]]:
    """Return what branch 3 says about the log of branch 1."""
    return [
        (branch, type(message).__name__)
        for branch, message in subscriptions.plan(peers, at(has), blocked, {}, now_us)
        if message.origin == ONE
    ]


def test_a_log_is_fetched_from_its_origin_and_where_that_is_gone_from_whoever_is_furthest() -> None:
    subscriptions = Subscriptions(THREE, resend_us=10)
    two, four = peer(TWO, at(5)), peer(Origin(BranchId(4), Incarnation(1)), at(7))
    assert planned(subscriptions, [two, peer(ONE, at(9)), four], 3) == [(1, "Subscribe")]
    subscriptions.lost(BranchId(1))
    assert planned(subscriptions, [two, four], 3) == [(4, "Subscribe")]


def test_the_origin_is_returned_to_and_the_relay_told() -> None:
    subscriptions = Subscriptions(THREE, resend_us=10)
    assert planned(subscriptions, [peer(TWO, at(5))], 3) == [(2, "Subscribe")]
    back = [peer(ONE, at(5)), peer(TWO, at(5))]
    assert planned(subscriptions, back, 3) == [(2, "Unsubscribe"), (1, "Subscribe")]
    assert planned(subscriptions, back, 3) == []


def test_a_relay_without_news_is_left_for_one_that_has_some_and_not_before() -> None:
    subscriptions = Subscriptions(THREE, resend_us=1000)
    two, four = peer(TWO, at(3)), peer(Origin(BranchId(4), Incarnation(1)), at(3))
    assert planned(subscriptions, [two, four], 3) == [(2, "Subscribe")]
    assert planned(subscriptions, [two, four], 3) == []
    four.applied = at(4)
    assert planned(subscriptions, [two, four], 3) == [(2, "Unsubscribe"), (4, "Subscribe")]
    two.applied = at(9)
    assert planned(subscriptions, [two, four], 3) == []
    assert planned(subscriptions, [two, four], 4) == [(4, "Unsubscribe"), (2, "Subscribe")]


def test_a_log_that_should_move_and_does_not_is_asked_for_again_in_time() -> None:
    subscriptions = Subscriptions(THREE, resend_us=10)
    ahead = [peer(ONE, at(5))]
    assert planned(subscriptions, ahead, 3, now_us=0) == [(1, "Subscribe")]
    assert planned(subscriptions, ahead, 3, now_us=9) == []
    assert planned(subscriptions, ahead, 3, now_us=10) == [(1, "Subscribe")]
    assert planned(subscriptions, ahead, 4, now_us=20) == []
    assert planned(subscriptions, ahead, 4, now_us=29) == []
    assert planned(subscriptions, ahead, 4, now_us=30) == [(1, "Subscribe")]


def test_a_log_that_is_level_with_its_source_is_not_asked_for_again() -> None:
    subscriptions = Subscriptions(THREE, resend_us=10)
    level = [peer(ONE, at(3))]
    assert planned(subscriptions, level, 3) == [(1, "Subscribe")]
    assert [planned(subscriptions, level, 3, now_us) for now_us in (10, 50, 500)] == [[], [], []]


def test_a_log_whose_next_entry_is_here_and_waits_for_another_log_is_not_asked_for_again() -> None:
    subscriptions = Subscriptions(THREE, resend_us=10)
    ahead = [peer(ONE, at(5))]
    assert planned(subscriptions, ahead, 3) == [(1, "Subscribe")]
    assert planned(subscriptions, ahead, 3, now_us=50, blocked=(ONE,)) == []
    assert planned(subscriptions, ahead, 3, now_us=59) == []
    assert planned(subscriptions, ahead, 3, now_us=60) == [(1, "Subscribe")]


def test_a_branch_does_not_fetch_its_own_log() -> None:
    subscriptions = Subscriptions(ONE, resend_us=10)
    assert planned(subscriptions, [peer(TWO, at(9))], 3) == []


# Whole branches.


def test_entries_in_any_order_and_doubled_are_applied_once_each() -> None:
    bank = settled_bank(2)
    for _ in range(3):
        bank.do(1, Deposit(ANNA, FIVE))
    letters = bank.letters(1, 2, Entries)
    for letter in letters:
        bank.duplicate(letter)
    for letter in reversed(bank.letters(1, 2, Entries)):
        bank.deliver(letter)
    assert balances(bank) == [15, 15]
    assert bank.replicas[2].status().inbox == 0


def test_lost_entries_are_asked_for_again() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.drop(*bank.letters(1, 2, Entries))
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    assert balances(bank) == [10, 0]
    bank.pass_time(8 * SECOND)
    assert balances(bank) == [10, 10]


def test_every_message_of_a_minute_is_lost_and_the_next_minute_makes_up_for_it() -> None:
    bank = settled_bank(3)
    for _ in range(60):
        bank.do(1, Deposit(ANNA, FIVE))
        bank.pass_time(SECOND, deliver=False)
        bank.under_way.clear()
    bank.pass_time(15 * SECOND)
    assert balances(bank) == [300, 300, 300]


def test_a_log_longer_than_the_window_arrives_whole() -> None:
    bank = BankInOneThread(2)
    bank.cut_link(1, 2)
    for _ in range(IN_FLIGHT_MAX + 10):
        bank.do(1, Deposit(ANNA, Money(1)))
    bank.mend_link(1, 2)
    bank.deliver_all()
    assert balances(bank) == [IN_FLIGHT_MAX + 10] * 2


def test_where_the_origin_is_out_of_reach_its_log_comes_by_way_of_another_branch() -> None:
    bank = settled_bank(3)
    bank.cut_link(1, 3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(2 * SECOND)
    assert sources(bank, 3) == {1: 2, 2: 2}
    assert balances(bank) == [5, 5, 5]


def test_the_log_of_a_dead_branch_comes_from_whoever_has_it() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.crash(1)
    bank.pass_time(2 * SECOND)
    assert bank.do(3, ReadBalance(ANNA)).balance == 5


def test_once_the_origin_is_back_its_log_comes_from_it_again() -> None:
    bank = settled_bank(3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.cut_link(1, 3)
    assert sources(bank, 3)[1] == 2
    bank.mend_link(1, 3)
    assert sources(bank, 3)[1] == 1
    assert len(bank.letters(3, 2, Unsubscribe)) == 1
    bank.deliver_all()
    bank.do(1, Deposit(ANNA, FIVE))
    bank.hold_back(1, 3)
    bank.deliver_all()
    assert balances(bank) == [10, 10, 5]


def test_a_branch_that_only_keeps_silent_is_gone_round_too() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(6 * SECOND)
    assert sources(bank, 3)[1] == 2
    assert bank.do(3, ReadBalance(ANNA)).balance == 5


def test_a_branch_that_still_asks_and_no_longer_answers_is_gone_round_too() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3, Entries)
    bank.hold_back(1, 3, Head)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.pass_time(6 * SECOND)
    assert sources(bank, 3)[1] == 2
    assert bank.do(3, ReadBalance(ANNA)).balance == 5


def test_two_branches_that_fetch_a_dead_ones_log_from_each_other_still_find_the_third() -> None:
    bank = settled_bank(4)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.hold_back(1, 2)
    bank.hold_back(1, 3)
    bank.cut_link(2, 4)
    bank.cut_link(3, 4)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.crash(1)
    bank.pass_time(3 * SECOND)
    assert (sources(bank, 2)[1], sources(bank, 3)[1]) == (3, 2)
    bank.mend_link(2, 4)
    bank.pass_time(5 * SECOND)
    assert [bank.do(branch, ReadBalance(ANNA)).balance for branch in (2, 3, 4)] == [10, 10, 10]


def test_a_branch_resumes_each_log_after_a_restart_where_its_disk_ends() -> None:
    bank = settled_bank(2)
    for _ in range(3):
        bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.crash(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.restart(2)
    (asked,) = bank.letters(2, 1, Subscribe)
    assert asked.message == Subscribe(bank.stores[1].identity.origin, Seq(3))
    bank.deliver_all()
    assert balances(bank) == [20, 20]


def test_the_first_entry_after_a_restart_declares_all_that_it_depends_on() -> None:
    bank = settled_bank(3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.do(2, Deposit(ANNA, FIVE))
    bank.crash(2)
    bank.restart(2)
    bank.do(2, Deposit(ANNA, FIVE))
    store = bank.stores[2]
    first, second = store.entries(store.identity.origin, Seq(0), 9)
    assert first.dependencies == second.dependencies == at(1, bank.stores[1].identity.origin)


def test_an_entry_waits_for_what_it_depends_on_however_often_it_is_sent() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.hold_back(2, 3)
    bank.do(2, Deposit(ANNA, FIVE))
    (letter,) = bank.letters(2, 3, Entries)
    for _ in range(1000):
        bank.step(3, Received(BranchId(2), letter.message))
    watching = bank.replicas[3]._logs.watchers.still_watching(bank.stores[1].identity.origin)
    assert len(watching) == 1
    bank.let_go()
    bank.deliver_all()
    assert balances(bank) == [10, 10, 10]


def test_a_lost_acknowledgement_is_made_good_by_the_next_heartbeat() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver(*bank.letters(1, 2, Entries))
    bank.drop(*bank.letters(2, 1, Acknowledge))
    bank.pass_time(SECOND, deliver=False)
    (letter,) = bank.letters(2, 1, Acknowledge)
    assert letter.message == Acknowledge(bank.stores[2].identity.origin, bank.stores[2].applied())


def test_a_branch_that_comes_back_says_at_once_what_it_has() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.crash(1)
    bank.restart(1)
    (letter,) = bank.letters(2, 1, Acknowledge)
    assert letter.message == Acknowledge(bank.stores[2].identity.origin, bank.stores[2].applied())


def test_entries_that_wait_for_a_slow_link_are_not_sent_again_and_again() -> None:
    bank = settled_bank(3)
    bank.hold_back(1, 3, Entries)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.do(2, Deposit(ANNA, FIVE))
    bank.deliver_all()
    bank.hold_back(2, 3, Entries)
    bank.pass_time(20 * SECOND)
    assert bank.letters(2, 3, Entries) == []
    bank.let_go()
    bank.deliver_all()
    assert balances(bank) == [10, 10, 10]


def test_nothing_is_read_for_a_subscriber_who_is_gone() -> None:
    bank = settled_bank(2)
    bank.cut_link(1, 2)
    bank.do(1, Deposit(ANNA, FIVE))
    assert "Entries(" not in bank.transcript[-1]


def test_what_a_branch_acknowledges_is_on_its_disk() -> None:
    bank = settled_bank(2)
    bank.do(1, Deposit(ANNA, FIVE))
    bank.deliver(*bank.letters(1, 2, Entries))
    (letter,) = bank.letters(2, 1, Acknowledge)
    assert letter.message == Acknowledge(bank.stores[2].identity.origin, bank.stores[2].applied())
