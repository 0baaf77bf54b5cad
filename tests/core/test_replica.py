"""One branch by itself: what a step promises to its caller."""

import subprocess
import sys
from pathlib import Path

import pytest
from bank_in_one_thread import ANNA, SECOND, BankInOneThread

from bankbook.core.clock import Instant
from bankbook.core.commands import Deposit, Freshness, Level, ReadBalance, Request, RequestId, Withdraw
from bankbook.core.messages import Acknowledge, Entries, Received
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis, Identity
from bankbook.core.replica import Input, Replica, Settings
from bankbook.core.types import BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import NOTHING
from bankbook.store.memory import MemoryStore

HERE = Origin(BranchId(1), Incarnation(1))
FIVE = Money(5)
START = Instant(monotonic_us=SECOND, wall_us=1000 * SECOND)


def only_branch() -> tuple[Replica, MemoryStore]:
    store = MemoryStore(Identity(HERE, Genesis("test", (BranchId(1),), Money(0))), has_joined=True)
    return Replica(store.identity, store, Settings(), START, first_question=1), store


def request(number: int, command: Deposit | Withdraw | ReadBalance, deadline_us: int = 10**9) -> Request:
    return Request(RequestId(number), command, deadline_us, CustomerId("anna"))


def test_requests_of_one_step_are_carried_out_and_answered_in_their_order() -> None:
    replica, _ = only_branch()
    inputs: list[Input] = [
        request(1, ReadBalance(ANNA)),
        request(2, Deposit(ANNA, FIVE)),
        request(3, Withdraw(ANNA, Money(3))),
        request(4, ReadBalance(ANNA)),
    ]
    effects = replica.step(inputs, START)
    assert [(reply.request, reply.balance) for reply in effects.replies] == [(1, 0), (2, 5), (3, 2), (4, 2)]
    assert [entry.seq for entry in effects.changes.entries] == [1, 2]


def test_what_a_step_decided_reaches_the_store_only_by_its_changes() -> None:
    replica, store = only_branch()
    effects = replica.step([request(1, Deposit(ANNA, FIVE))], START)
    assert (store.applied(), store.account(ANNA)) == (NOTHING, None)
    store.commit(effects.changes)
    assert store.applied()[HERE] == 1


def test_a_step_that_writes_nothing_has_nothing_to_commit() -> None:
    replica, _ = only_branch()
    replica.step([], START)
    assert not replica.step([request(1, ReadBalance(ANNA))], START).changes


def test_a_restart_goes_on_with_the_next_number_and_a_later_clock() -> None:
    replica, store = only_branch()
    store.commit(replica.step([request(1, Deposit(ANNA, FIVE))], START).changes)
    earlier = Instant(monotonic_us=0, wall_us=0)
    reborn = Replica(store.identity, store, Settings(), earlier, first_question=2)
    store.commit(reborn.step([request(1, Deposit(ANNA, FIVE))], earlier).changes)
    first, second = store.entries(HERE, Seq(0), 9)
    assert second.seq == 2
    assert second.clock > first.clock


def test_a_bank_of_one_branch_waits_for_nobody() -> None:
    replica, _ = only_branch()
    inputs = [
        Request(RequestId(number), ReadBalance(ANNA), 10**9, CustomerId("anna"), freshness=Freshness(level))
        for number, level in enumerate(Level)
    ]
    assert [reply.outcome for reply in replica.step(inputs, START).replies] == [Outcome.OK] * len(Level)


def test_in_a_bank_of_one_branch_a_token_has_nothing_to_carry() -> None:
    replica, _ = only_branch()
    (reply,) = replica.step([request(1, Deposit(ANNA, FIVE))], START).replies
    assert (len(reply.token.read), len(reply.token.write)) == (0, 0)


def test_a_branch_asks_to_be_woken_for_the_earliest_deadline() -> None:
    bank = BankInOneThread(2, settings=Settings(heartbeat_us=SECOND))
    bank.cut_link(1, 2)
    query = bank.ask(1, ReadBalance(ANNA), freshness=Freshness(Level.LATEST), within_us=300)
    bank.pass_time(299)
    assert bank.is_held(query)
    bank.pass_time(1)
    assert bank.reply(query).outcome is Outcome.BRANCH_UNREACHABLE


def test_a_request_that_comes_after_its_deadline_is_not_held() -> None:
    bank = BankInOneThread(2)
    assert bank.do(1, ReadBalance(ANNA), freshness=Freshness(Level.LATEST), within_us=-1).held_us == 0


def test_a_request_that_can_be_answered_in_the_step_of_its_deadline_is() -> None:
    bank = BankInOneThread(2)
    bank.deliver_all()
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token, within_us=SECOND)
    (arriving,) = bank.letters(1, 2, Entries)
    bank.now_us += SECOND
    bank.deliver(arriving)
    assert bank.reply(query).outcome is Outcome.OK


def test_a_monotonic_clock_that_runs_backwards_is_the_callers_bug() -> None:
    replica, _ = only_branch()
    with pytest.raises(AssertionError, match="does not run backwards"):
        replica.step([], Instant(START.monotonic_us - 1, START.wall_us))


def test_a_message_of_a_branch_the_bank_does_not_have_is_the_callers_bug() -> None:
    replica, _ = only_branch()
    with pytest.raises(AssertionError, match="branch 9"):
        replica.step([Received(BranchId(9), Acknowledge(HERE, NOTHING))], START)


def test_what_a_branch_knows_can_be_looked_at() -> None:
    bank = BankInOneThread(2)
    bank.deliver_all()
    paid = bank.do(1, Deposit(ANNA, FIVE))
    query = bank.ask(2, ReadBalance(ANNA), paid.token)
    status = bank.replicas[2].status()
    assert [held.request.id for held in status.held] == [query]
    assert [peer.branch for peer in status.peers] == [1]
    assert status.origin.branch == 2
    assert (status.applied, status.inbox) == (NOTHING, 0)
    bank.pass_time(2 * SECOND)
    assert bank.replicas[1].status().stable == paid.token.write


def test_the_order_of_pythons_hashes_decides_nothing() -> None:
    week = "import test_replica_properties as p; print(p.live(p.long_schedule(3, 200)).transcript)"
    here = Path(__file__).parent
    path = f"{here}:{here.parent}"
    first, second = (
        subprocess.run(
            [sys.executable, "-c", week],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert len(first) > 10_000
    assert first == second
