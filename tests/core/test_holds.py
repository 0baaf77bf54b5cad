"""Requests that wait: who is woken, in which order, and that waiting for ever costs nothing."""

from bankbook.core.commands import ReadBalance, Request, RequestId
from bankbook.core.holds import Held, Holds, Watchers
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, Gap, VersionVector

HERE, THERE = (Origin(BranchId(branch), Incarnation(1)) for branch in (1, 2))


def gap(origin: Origin, needs: int, has: int = 0) -> Gap:
    return Gap(origin, Seq(has), Seq(needs))


def held(number: int, deadline_us: int = 100, needs: VersionVector = NOTHING) -> Held:
    request = Request(RequestId(number), ReadBalance(AccountId("a")), deadline_us, CustomerId("anna"))
    return Held(request, since_us=0, deadline_us=deadline_us, first_question=0, needs=needs)


def numbers_of(ended: list[Held]) -> list[int]:
    return [each.request.id for each in ended]


def everybody_waits(_waiter: int) -> bool:
    return True


def kept_by(watchers: Watchers[int]) -> int:
    return sum(len(watchers.still_watching(origin)) for origin in watchers._heaps)


def test_those_who_wait_for_less_are_woken_first_and_equals_in_order_of_arrival() -> None:
    watchers = Watchers(everybody_waits)
    for waiter, needs in ((1, 3), (2, 2), (3, 3), (4, 9)):
        watchers.watch(gap(THERE, needs), waiter)
    assert list(watchers.reached(THERE, Seq(1))) == []
    assert list(watchers.reached(HERE, Seq(9))) == []
    assert list(watchers.reached(THERE, Seq(8))) == [2, 1, 3]
    assert list(watchers.reached(THERE, Seq(8))) == []
    assert watchers.still_watching(THERE) == [4]


def test_one_who_is_woken_may_watch_for_more_while_the_others_are_woken() -> None:
    watchers = Watchers(everybody_waits)
    for waiter in range(200):
        watchers.watch(gap(THERE, 1), waiter)
    woken = []
    for waiter in watchers.reached(THERE, Seq(1)):
        woken.append(waiter)
        watchers.watch(gap(THERE, 2), waiter)
    assert woken == list(range(200))
    assert list(watchers.reached(THERE, Seq(2))) == list(range(200))


def test_a_hundred_thousand_who_gave_up_on_an_unreachable_branch_are_forgotten() -> None:
    waiting: set[int] = set()
    watchers: Watchers[int] = Watchers(waiting.__contains__)
    for waiter in range(100_000):
        waiting.add(waiter)
        watchers.watch(gap(THERE, waiter + 1), waiter)
        if waiter >= 10:
            waiting.discard(waiter)
    assert kept_by(watchers) < 200
    assert list(watchers.reached(THERE, Seq(10))) == list(range(10))


def test_those_who_gave_up_on_made_up_lives_of_a_branch_are_forgotten_too() -> None:
    watchers: Watchers[int] = Watchers(lambda _waiter: False)
    for number in range(1, 10_000):
        watchers.watch(gap(Origin(BranchId(2), Incarnation(number)), 1), number)
    assert kept_by(watchers) < 200
    assert len(watchers._heaps) < 200


def test_a_branch_that_nobody_waits_for_any_more_keeps_nothing() -> None:
    watchers = Watchers(everybody_waits)
    watchers.watch(gap(THERE, 1), 1)
    assert list(watchers.reached(THERE, Seq(1))) == [1]
    assert watchers._heaps == {}


def test_each_who_waits_is_looked_at_once_and_only_suspects_again() -> None:
    """To look at 100,000 each time another branch tells how far it is takes a tenth of a second."""
    watchers: Watchers[int] = Watchers(everybody_waits)
    looked_at: list[int] = []

    def is_suspect(waiter: int) -> bool:
        looked_at.append(waiter)
        return waiter == 2

    for waiter in (1, 2, 3):
        watchers.watch(gap(HERE, 5), waiter)
    assert watchers.any_fresh(HERE, is_suspect)
    watchers.watch(gap(HERE, 5), 4)
    watchers.watch(gap(THERE, 5), 5)
    assert watchers.any_fresh(HERE, is_suspect)
    assert watchers.any_fresh(HERE, is_suspect)
    assert looked_at == [1, 2, 3, 2, 4, 2]
    assert list(watchers.reached(HERE, Seq(5))) == [1, 2, 3, 4]
    assert not watchers.any_fresh(HERE, is_suspect)
    assert looked_at == [1, 2, 3, 2, 4, 2]


def test_those_who_were_not_looked_at_and_are_gone_are_forgotten() -> None:
    waiting: set[int] = set()
    watchers: Watchers[int] = Watchers(waiting.__contains__)
    watchers.watch(gap(HERE, 10**6), -1)
    for seq in range(1, 10_000):
        waiting.add(seq)
        watchers.watch(gap(HERE, seq), seq)
        waiting.difference_update(watchers.reached(HERE, Seq(seq)))
    assert kept_by(watchers) < 100
    assert len(watchers._fresh[HERE]) < 100


def test_holds_end_when_their_deadline_has_come_the_earliest_first() -> None:
    holds = Holds()
    for number, deadline_us in ((1, 30), (2, 10), (3, 20), (4, 40)):
        holds.add(held(number, deadline_us))
    assert holds.next_deadline_us() == 10
    assert numbers_of(list(holds.overdue(9))) == []
    assert numbers_of(list(holds.overdue(30))) == [2, 3, 1]
    assert [each.request.id for each in holds] == [4]
    assert holds.next_deadline_us() == 40


def test_a_hold_that_ended_is_not_overdue_later_and_ends_only_once() -> None:
    holds = Holds()
    holds.add(held(1))
    assert holds.end(RequestId(1)) is not None
    assert holds.end(RequestId(1)) is None
    assert holds.get(RequestId(1)) is None
    assert list(holds.overdue(1000)) == []


def test_holds_can_be_shortened_but_not_lengthened() -> None:
    holds = Holds()
    holds.add(held(1, 50))
    holds.add(held(2, 500))
    holds.shorten(100)
    holds.shorten(300)
    assert numbers_of(list(holds.overdue(99))) == [1]
    assert numbers_of(list(holds.overdue(100))) == [2]


def test_a_hundred_thousand_cancelled_holds_leave_nothing_behind() -> None:
    holds = Holds()
    holds.add(held(0, 10**9))
    for number in range(1, 100_000):
        holds.add(held(number, 10**9 + number))
        holds.end(RequestId(number))
    assert len(holds) == 1
    assert len(holds._deadlines) < 200


def test_deadlines_stay_in_order_when_the_ended_ones_are_cleared_out_on_the_way() -> None:
    holds = Holds()
    for number in range(1000):
        holds.add(held(number, 1000 - number))
    for number in range(0, 1000, 10):
        holds.end(RequestId(number))
    ended = [each.deadline_us for each in holds.overdue(1000)]
    assert ended == [deadline_us for deadline_us in range(1, 1001) if deadline_us % 10 != 0]
    assert holds.next_deadline_us() is None


def test_a_hold_remembers_every_gap_as_it_was_when_first_seen() -> None:
    waiting = held(1, needs=VersionVector([(HERE, Seq(5)), (THERE, Seq(2))]))
    waiting.note(VersionVector([(HERE, Seq(1))]))
    waiting.needs = waiting.needs.raised(HERE, Seq(9))
    waiting.note(VersionVector([(HERE, Seq(6)), (THERE, Seq(2))]))
    assert waiting.awaited == {HERE: gap(HERE, 9, has=1), THERE: gap(THERE, 2)}
