"""Saboteurs of persistence: something leaves before it is durable, or a crash takes back what was told."""

from dataclasses import replace
from typing import Any

import pytest
from simulation.saboteurs.kit import Gang

from bankbook.core import context as context_module
from bankbook.core.clock import HybridClock, HybridTime
from bankbook.core.logs import Logs
from bankbook.core.ports import Changes
from bankbook.core.requests import Requests
from bankbook.server import driver as driver_module
from bankbook.server.driver import Driver
from bankbook.simulation.disk import SimulatedDisk
from bankbook.store.base import CommitUnknownError
from bankbook.store.memory import MemoryStore

gang = Gang("persistence")


@gang
def release_before_persist(patch: pytest.MonkeyPatch) -> None:
    """Replies and messages leave before the commit that they rest on."""

    async def step(self: Any) -> None:
        self._arrived.clear()
        inputs, self._inputs = self._inputs, []
        effects = self._replica.step(inputs, self._machine.read_clocks())
        self._release(effects)
        await self._commit(effects)
        self._wake_at(effects.wake_at_us)

    patch.setattr(Driver, "_step", step)


def _release_early(patch: pytest.MonkeyPatch, early: Any) -> None:
    """Let what `early` picks of a step's effects leave before the commit, and the rest after it."""

    async def commit(self: Any, effects: Any) -> bool:
        first = early(effects)
        self._release(replace(first, changes=Changes()))
        effects.replies = [each for each in effects.replies if each not in first.replies]
        effects.messages = [] if first.messages else effects.messages
        return await real(self, effects)

    real = Driver._commit
    patch.setattr(Driver, "_commit", commit)


@gang
def messages_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Only customers wait for the commit: other branches are sent an entry that may never be durable."""
    _release_early(patch, lambda effects: replace(effects, replies=[]))


@gang
def reads_are_answered_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A read writes nothing, so it is answered at once, with what a crash can take back."""
    _release_early(
        patch,
        lambda effects: replace(
            effects, messages=[], replies=[each for each in effects.replies if each.entry is None]
        ),
    )


@gang
def failed_commit_is_released(patch: pytest.MonkeyPatch) -> None:
    """Whether the commit succeeded is not looked at."""

    async def always(self: Any, effects: Any) -> bool:
        await commit(self, effects)
        return True

    commit = Driver._commit
    patch.setattr(Driver, "_commit", always)


@gang
def doubtful_commit_is_told_as_refused(patch: pytest.MonkeyPatch) -> None:
    """A commit that may be on the disk is told as one that is not."""

    class NeverRaisedError(Exception):
        pass

    patch.setattr(driver_module, "CommitUnknownError", NeverRaisedError)


@gang
def replica_is_kept_after_a_failed_commit(patch: pytest.MonkeyPatch) -> None:
    """The replica goes on with what its disk never got."""

    def start_over(self: Any, effects: Any, error: Any) -> None:
        replica = self._replica
        real(self, effects, error)
        self._replica = replica

    real = Driver._start_over
    patch.setattr(Driver, "_start_over", start_over)


@gang
def doubtful_entry_is_written_once_more(patch: pytest.MonkeyPatch) -> None:
    """What a doubtful commit had decided is written again, under a new number; it may be there already."""

    def start_over(self: Any, effects: Any, error: Any) -> None:
        real(self, effects, error)
        for entry in effects.changes.entries if isinstance(error, CommitUnknownError) else ():
            if entry.origin == self._store.identity.origin:
                self._replica._logs.write(entry.records, entry.customer, entry.keyed)

    real = Driver._start_over
    patch.setattr(Driver, "_start_over", start_over)


@gang
def durable_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """A write is acknowledged without waiting for the other disks that it was to be on."""

    def finish(self: Any, held: Any) -> None:
        held.request = replace(held.request, durable=0)
        real(self, held)

    real = Requests._finish
    patch.setattr(Requests, "_finish", finish)


@gang
def durable_counts_this_disk_too(patch: pytest.MonkeyPatch) -> None:
    """Of the other disks that were asked for, one is this branch's own."""

    def finish(self: Any, held: Any) -> None:
        held.request = replace(held.request, durable=max(held.request.durable - 1, 0))
        real(self, held)

    real = Requests._finish
    patch.setattr(Requests, "_finish", finish)


@gang
def first_entry_after_a_restart_declares_nothing(patch: pytest.MonkeyPatch) -> None:
    """The first entry after a restart depends on nothing that came before the crash."""

    def init(self: Any, context: Any) -> None:
        real(self, context)
        self._declared = context.applied

    real = Logs.__init__
    patch.setattr(Logs, "__init__", init)


@gang
def clock_is_forgotten_on_a_restart(patch: pytest.MonkeyPatch) -> None:
    """The hybrid clock begins anew after a restart, though the wall clock may have jumped back."""
    patch.setattr(context_module, "HybridClock", lambda _last: HybridClock(HybridTime(0)))


@gang
def keys_are_written_a_commit_later(patch: pytest.MonkeyPatch) -> None:
    """Keys are in another table, which is written with the next commit."""

    def keep_later(self: Any, keys: Any) -> None:
        keep(self, self.__dict__.pop("late", {}))
        self.late = dict(keys)

    def lose(self: Any, *, keeps_unsynced: bool) -> None:
        self.__dict__.pop("late", None)
        crash(self, keeps_unsynced=keeps_unsynced)

    keep, crash = MemoryStore._keep_keys, SimulatedDisk.crash
    patch.setattr(MemoryStore, "_keep_keys", keep_later)
    patch.setattr(SimulatedDisk, "crash", lose)
