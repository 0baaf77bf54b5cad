"""Saboteurs of freshness and holds: an answer is staler than it was to be, or waits as nobody should."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import freshness as freshness_module
from bankbook.core import requests as requests_module
from bankbook.core.clock import Instant
from bankbook.core.commands import Freshness, Level
from bankbook.core.logs import Logs
from bankbook.core.messages import Head
from bankbook.core.replica import Replica
from bankbook.core.requests import Requests
from bankbook.core.types import BranchId, Seq
from bankbook.core.vector import NOTHING
from bankbook.simulation.clock import Clocks

gang = Gang("freshness and holds")


def _ask(patch: pytest.MonkeyPatch, level: Level, change: Any) -> None:
    def ask(freshness: Any, peers: Any, now_us: int) -> set[BranchId]:
        everybody = real(freshness, peers, now_us)
        return everybody & change(peers) if freshness.level is level else everybody

    real = freshness_module.branches_to_ask
    patch.setattr(requests_module, "branches_to_ask", ask)


@gang
def latest_ignores_an_unreachable_branch(patch: pytest.MonkeyPatch) -> None:
    """LATEST asks those that it can reach."""
    _ask(patch, Level.LATEST, lambda peers: {peer.branch for peer in peers if peer.is_connected})


@gang
def bounded_ignores_a_silent_branch(patch: pytest.MonkeyPatch) -> None:
    """BOUNDED asks those that it can reach."""
    _ask(patch, Level.BOUNDED, lambda peers: {peer.branch for peer in peers if peer.is_connected})


@gang
def bounded_is_a_second_too_stale(patch: pytest.MonkeyPatch) -> None:
    """A second of slack is added to the bound, for the heartbeats."""

    def slack(freshness: Freshness) -> Freshness:
        return freshness._replace(bound_us=freshness.bound_us + 1_000_000)

    def ask(freshness: Any, peers: Any, now_us: int) -> Any:
        return branches_to_ask(slack(freshness), peers, now_us)

    def heads(freshness: Any, peers: Any, now_us: int) -> Any:
        return heads_known(slack(freshness), peers, now_us)

    branches_to_ask, heads_known = freshness_module.branches_to_ask, freshness_module.heads_known
    patch.setattr(requests_module, "branches_to_ask", ask)
    patch.setattr(requests_module, "heads_known", heads)


@gang
def bounded_trusts_a_heartbeat_without_waiting_for_it(patch: pytest.MonkeyPatch) -> None:
    """A head that is fresh enough is known, and what it names is not waited for."""
    patch.setattr(requests_module, "heads_known", lambda *_: NOTHING)


@gang
def head_counts_from_its_arrival(patch: pytest.MonkeyPatch) -> None:
    """How fresh a head is counts from when it came, not from when it was asked for."""

    def on_head(self: Any, sender: Any, head: Any) -> None:
        peer = self._context.peers[sender]
        before = peer.head_asked_us
        real(self, sender, head)
        if peer.head_asked_us != before:
            peer.head_asked_us = self._context.now_us

    real = Replica._on_head
    patch.setattr(Replica, "_on_head", on_head)


@gang
def latest_is_answered_from_heartbeats(patch: pytest.MonkeyPatch) -> None:
    """LATEST takes a head of the last second for a fresh one."""

    def heads(freshness: Any, peers: Any, now_us: int) -> Any:
        return heads_known(nearly(freshness), peers, now_us)

    def ask(freshness: Any, peers: Any, now_us: int) -> Any:
        return branches_to_ask(nearly(freshness), peers, now_us)

    def nearly(freshness: Freshness) -> Freshness:
        is_latest = freshness.level is Level.LATEST
        return Freshness(Level.BOUNDED, 1_000_000) if is_latest else freshness

    branches_to_ask, heads_known = freshness_module.branches_to_ask, freshness_module.heads_known
    patch.setattr(requests_module, "branches_to_ask", ask)
    patch.setattr(requests_module, "heads_known", heads)


@gang
def latest_waits_for_answers_only(patch: pytest.MonkeyPatch) -> None:
    """LATEST asks every branch for its last entry, and does not wait until that is here."""

    def on_answer(self: Any, request: Any, sender: Any, answer: Any) -> None:
        if isinstance(answer, Head):
            answer = replace(answer, last_write=Seq(0))
        real(self, request, sender, answer)

    real = Requests._on_answer
    patch.setattr(Requests, "_on_answer", on_answer)


@gang
def hold_ends_by_its_deadline_with_an_answer(patch: pytest.MonkeyPatch) -> None:
    """When a hold's time is over, the request is answered with what there is."""

    def expire(self: Any) -> None:
        for held in self.holds.overdue(self._context.now_us):
            if held.request.key is None and held.decided is None:
                held.needs, held.unanswered, held.is_admitted = NOTHING, set(), True
                self._carry_out(held)
            else:
                self.holds.add(held)
                break
        real(self)

    real = Requests.expire
    patch.setattr(Requests, "expire", expire)


@gang
def wall_clock_is_used_for_timeouts(patch: pytest.MonkeyPatch) -> None:
    """Deadlines and heartbeats are counted by a clock that may jump by an hour."""

    def read(self: Any) -> Instant:
        wall_us = real(self).wall_us
        return Instant(wall_us, wall_us)

    real = Clocks.read
    patch.setattr(Clocks, "read", read)


@gang
def hold_for_several_entries_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Who lacks more than one entry of a log is not woken by the last of them."""

    def watch(self: Any, gap: Any, waiter: Any) -> None:
        if not isinstance(waiter, int) or gap.needs - gap.has == 1:
            real(self, gap, waiter)

    real = Logs.watch
    patch.setattr(Logs, "watch", watch)
