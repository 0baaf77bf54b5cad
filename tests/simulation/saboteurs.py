"""Small bugs, each of a kind that a tired engineer writes, to be applied to the running code.

A simulator that does not find them within a few seeds proves nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import bankbook.core.freshness as freshness_module
import bankbook.core.requests as requests_module
from bankbook.core.commands import Level, accounts_of
from bankbook.core.entry import RecordKind
from bankbook.core.gathering import Gatherings
from bankbook.core.logs import Logs
from bankbook.core.replication import Inbox
from bankbook.core.requests import Requests
from bankbook.core.state import Layer
from bankbook.core.types import BranchId
from bankbook.core.vector import NOTHING
from bankbook.server.driver import Driver
from bankbook.simulation.branch import SimulatedBranch

Sabotage = Callable[[pytest.MonkeyPatch], None]


def release_before_persist(patch: pytest.MonkeyPatch) -> None:
    async def step(self: Any) -> None:
        self._arrived.clear()
        inputs, self._inputs = self._inputs, []
        effects = self._replica.step(inputs, self._machine.read_clocks())
        self._release(effects)
        await self._commit(effects)
        self._wake_at(effects.wake_at_us)

    patch.setattr(Driver, "_step", step)


def failed_commit_is_released(patch: pytest.MonkeyPatch) -> None:
    commit = Driver._commit

    async def always(self: Any, effects: Any) -> bool:
        await commit(self, effects)
        return True

    patch.setattr(Driver, "_commit", always)


def dependency_skipped(patch: pytest.MonkeyPatch) -> None:
    def advance(self: Any, origin: Any) -> None:
        while (entry := self._inbox.next(origin, self._context.applied)) is not None:
            self._inbox.remove(entry)
            for freed in self._apply(entry):
                self.advance(freed)

    patch.setattr(Logs, "advance", advance)


def applied_again_after_reconnecting(patch: pytest.MonkeyPatch) -> None:
    def offer(self: Any, entry: Any, applied: Any) -> None:
        ahead = entry.seq - applied[entry.origin]
        if ahead >= 0:
            self._waiting.setdefault(entry.origin, {}).setdefault(entry.seq, entry)

    def following(self: Any, origin: Any, applied: Any) -> Any:
        waiting = self._waiting.get(origin, {})
        return waiting.get(applied[origin]) or waiting.get(applied[origin] + 1)

    def apply(self: Any, entry: Any) -> Any:
        if self._context.applied[entry.origin] == entry.seq:
            self._context.state.apply(entry)
            return []
        return once(self, entry)

    once = Logs._apply
    patch.setattr(Inbox, "offer", offer)
    patch.setattr(Inbox, "next", following)
    patch.setattr(Logs, "_apply", apply)


def grant_takes_nothing_from_the_giver(patch: pytest.MonkeyPatch) -> None:
    apply_record = Layer.apply_record

    def apply(self: Any, entry: Any, index: int, record: Any) -> None:
        apply_record(self, entry, index, record)
        if record.kind is RecordKind.GRANT and len(self._genesis.branches) > 0:
            account = record.grant.account
            held = dict(self.holdings(account))
            mine = held[entry.origin]
            held[entry.origin] = mine._replace(rights=mine.rights + record.grant.amount)
            self._changes.holdings[account] = held

    patch.setattr(Layer, "apply_record", apply)


def grant_remembered_but_not_logged(patch: pytest.MonkeyPatch) -> None:
    """What was passed on is noted in memory only: after a crash it is the giver's once more."""

    def write(self: Any, account: Any, to: BranchId, amount: Any) -> None:
        own = self._context.state.rights(account)[self._context.branch]
        origin = self._context.peers[to].origin
        if min(amount, own) > 0 and origin is not None:
            layer = (
                self._context.state._layer if hasattr(self._context.state, "_layer") else self._context.state
            )
            held = dict(layer.holdings(account))
            for each, sign in ((self._context.origin, -1), (origin, 1)):
                known = held.get(each)
                if known is None:
                    return
                held[each] = known._replace(rights=known.rights + sign * min(amount, own))
            layer._changes.holdings[account] = held

    patch.setattr(Gatherings, "_write_grant", write)


def refusal_without_asking_anybody(patch: pytest.MonkeyPatch) -> None:
    real = Requests._waits_for_freshness

    def waits(self: Any, held: Any) -> bool:
        held.heard.update(accounts_of(held.request.command))
        return real(self, held)

    patch.setattr(Requests, "_waits_for_freshness", waits)


def key_looked_up_on_arrival_only(patch: pytest.MonkeyPatch) -> None:
    was_decided, waits_for_key = Requests._was_decided, Requests._waits_for_key

    def decided(self: Any, held: Any) -> bool:
        return not held.awaited and held.asked == 0 and was_decided(self, held)

    def waits(self: Any, held: Any) -> bool:
        if held.asked:
            held.had_key, held.owner = True, None
            return False
        return waits_for_key(self, held)

    patch.setattr(Requests, "_was_decided", decided)
    patch.setattr(Requests, "_waits_for_key", waits)


def latest_ignores_unreachable_branches(patch: pytest.MonkeyPatch) -> None:
    def ask(freshness: Any, peers: Any, now_us: int) -> set[BranchId]:
        everybody = real(freshness, peers, now_us)
        if freshness.level is Level.LATEST:
            return {peer.branch for peer in peers if peer.is_connected} & everybody
        return everybody

    real = freshness_module.branches_to_ask
    patch.setattr(requests_module, "branches_to_ask", ask)


def token_waits_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requests_module, "awaited_vector", lambda *_: NOTHING)


def token_forgets_what_was_read(patch: pytest.MonkeyPatch) -> None:
    release = Requests._release

    def forget(self: Any, reply: Any) -> None:
        release(self, replace(reply, token=replace(reply.token, read=NOTHING)))

    patch.setattr(Requests, "_release", forget)


def incarnation_reused(patch: pytest.MonkeyPatch) -> None:
    """A lost disk begins with its old log's name."""
    create = SimulatedBranch.create_disk

    def again(self: Any) -> None:
        before = getattr(self, "disk", None)
        create(self)
        if before is not None:
            self.disk._identity = before.identity

    patch.setattr(SimulatedBranch, "create_disk", again)


def durable_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    def finish(self: Any, held: Any) -> None:
        held.request = replace(held.request, durable=0)
        real(self, held)

    real = Requests._finish
    patch.setattr(Requests, "_finish", finish)


SABOTEURS: list[Sabotage] = [
    release_before_persist,
    failed_commit_is_released,
    dependency_skipped,
    applied_again_after_reconnecting,
    grant_takes_nothing_from_the_giver,
    grant_remembered_but_not_logged,
    refusal_without_asking_anybody,
    key_looked_up_on_arrival_only,
    latest_ignores_unreachable_branches,
    token_waits_for_nothing,
    token_forgets_what_was_read,
    incarnation_reused,
    durable_does_not_wait,
]
