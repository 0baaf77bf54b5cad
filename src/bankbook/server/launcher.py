"""Many branches on this machine, each a process that never outlives the launcher.

Decides the order in which processes start and stop. Must not know what they serve.
Proof: tests/server/test_processes.py.

Processes are forked from one helper that has everything imported and nothing started (the standard
library's fork server), so that ten branches are up in the time of one. A pipe joins each branch to its
launcher. Orders travel over it; and when the launcher is gone, killed with -9 even, the operating
system closes it, and the branch ends.
"""

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple, NoReturn, Self

import structlog

from bankbook.core.types import BranchId
from bankbook.server.branch import Branch, PortTakenError
from bankbook.server.config import BranchConfig
from bankbook.server.logs import configure_logs
from bankbook.server.machine import collect_rarely
from bankbook.server.signals import on_signals
from bankbook.server.tasks import first_of
from bankbook.store.base import StoreError

# Ten branches take a third of a second to have met; this is for a machine in distress.
_MEETING_TIMEOUT_S = 60.0

# Beyond what a branch is given for draining: closing streams and files.
_STOP_EXTRA_S = 5.0


class LaunchError(Exception):
    """The bank could not be started; the message says why and what to do."""


class Listening(NamedTuple):
    """A branch serves at this port."""

    port: int


class Ready(NamedTuple):
    """A branch has a stream to every other one, and serves."""


class Failed(NamedTuple):
    """A branch could not start."""

    why: str


class Meet(NamedTuple):
    """The addresses of all branches: connect to them."""

    addresses: dict[BranchId, str]


class Stop(NamedTuple):
    """Drain, then end."""


@dataclass(slots=True)
class _Child:
    config: BranchConfig
    process: BaseProcess
    pipe: Connection
    address: str = ""


class Launcher:
    """The processes of one bank on this machine. Use it with `with`: leaving it stops them all."""

    def __init__(self, configs: Iterable[BranchConfig]) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._configs = list(configs)
        self._children: dict[BranchId, _Child] = {}
        self._given_up, self._giving_up = self._context.Pipe(duplex=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def addresses(self) -> dict[BranchId, str]:
        """Where each branch listens."""
        return {branch: child.address for branch, child in self._children.items()}

    def pid(self, branch: BranchId) -> int:
        """Return the process id of a branch."""
        pid = self._children[branch].process.pid
        assert pid is not None, "a child that was started has a process id"
        return pid

    def start(self) -> None:
        """Start every branch, and wait until each has a stream to every other one, and serves.

        Raises LaunchError; then nothing is left running.
        """
        try:
            for config in self._configs:
                self._children[config.branch] = self._spawn(config)
            self._await_listening(self._children)
            for child in self._children.values():
                self._introduce(child)
            self._await_ready(self._children)
        except BaseException:
            self.kill_all()
            raise

    def restart(self, *branches: BranchId) -> None:
        """Start branches that have ended again, at the ports they had. Raises LaunchError.

        It does not wait for their streams: if another branch has ended meanwhile, or is yet to be started
        again itself, there is no stream to wait for.
        """
        again: dict[BranchId, _Child] = {}
        for branch in branches:
            old = self._children[branch]
            old.process.join()
            old.pipe.close()
            again[branch] = self._spawn(replace(old.config, listen=old.address))
            again[branch].address = old.address
        self._children.update(again)
        self._await_listening(again)
        for child in again.values():
            with contextlib.suppress(OSError):  # one that has ended already is found among `ended`
                self._introduce(child)

    def give_up(self) -> None:
        """Let nobody wait any longer for branches to start: who does, in a thread, sees LaunchError."""
        self._giving_up.close()

    def kill(self, branch: BranchId) -> None:
        """End a branch with SIGKILL."""
        process = self._children[branch].process
        process.kill()
        process.join()

    def ended(self) -> dict[BranchId, str]:
        """Return the branches that have ended by themselves, and how."""
        return {
            branch: _how_it_ended(child.process.exitcode)
            for branch, child in self._children.items()
            if child.process.exitcode is not None
        }

    def died(self) -> dict[BranchId, str]:
        """Return the branches that have ended and were not told to, and how."""
        return {
            branch: how for branch, how in self.ended().items() if self._children[branch].process.exitcode
        }

    def sentinels(self) -> list[int]:
        """Return file descriptors, each of which can be read once its branch has ended; of no other one."""
        return [child.process.sentinel for child in self._children.values() if child.process.exitcode != 0]

    def sentinel(self, branch: BranchId) -> int:
        """Return a file descriptor that can be read once this branch has ended, and ever after."""
        return self._children[branch].process.sentinel

    def stop(self) -> None:
        """Stop every branch; whoever does not stop in time is killed. Stopping twice is harmless.

        An exception on the way, such as a second Ctrl-C, kills them all at once.
        """
        try:
            for child in self._children.values():
                with contextlib.suppress(OSError):  # it has ended already
                    child.pipe.send(Stop())
            until = time.monotonic() + _STOP_EXTRA_S
            for child in self._children.values():
                drain_s = child.config.drain_us / 1e6
                child.process.join(max(until + drain_s - time.monotonic(), 0))
        finally:
            self.kill_all()

    def kill_all(self) -> None:
        """End every branch at once."""
        for child in self._children.values():
            if child.process.is_alive():
                child.process.kill()
            child.process.join()
            child.process.close()
            child.pipe.close()
        self._children.clear()
        self._giving_up.close()
        self._given_up.close()

    def _spawn(self, config: BranchConfig) -> _Child:
        mine, theirs = self._context.Pipe()
        name = f"branch-{config.branch}"
        process = self._context.Process(target=run_child, args=(config, theirs), name=name)
        process.start()
        theirs.close()
        return _Child(config, process, mine)

    def _introduce(self, child: _Child) -> None:
        child.pipe.send(Meet(self.addresses))

    def _await_listening(self, children: dict[BranchId, _Child]) -> None:
        # However long it takes: an old store is brought up to date, and who gave up would begin that anew.
        for branch, message in self._replies(children, None):
            assert isinstance(message, Listening), f"branch {branch} said {message} before it listened"
            host = children[branch].config.listen.rpartition(":")[0]
            children[branch].address = f"{host}:{message.port}"

    def _await_ready(self, children: dict[BranchId, _Child]) -> None:
        for branch, message in self._replies(children, _MEETING_TIMEOUT_S):
            assert isinstance(message, Ready), f"branch {branch} said {message} before it was ready"

    def _replies(
        self, children: dict[BranchId, _Child], timeout_s: float | None
    ) -> list[tuple[BranchId, Listening | Ready]]:
        """Return one reply of each child, or raise LaunchError for the first that failed."""
        waiting = {child.pipe: branch for branch, child in children.items()}
        until = None if timeout_s is None else time.monotonic() + timeout_s
        replies = []
        while waiting:
            left_s = None if until is None else until - time.monotonic()
            ready = wait([*waiting, self._given_up], left_s)
            if self._given_up in ready:
                raise LaunchError(f"branch {min(waiting.values())} was not waited for")
            if not ready:
                raise LaunchError(
                    f"branch {min(waiting.values())} did not meet the others within {timeout_s:.0f} s"
                )
            for pipe in ready:
                assert isinstance(pipe, Connection)
                branch = waiting.pop(pipe)
                replies.append((branch, _reply_of(branch, pipe)))
        return replies


def _reply_of(branch: BranchId, pipe: Connection) -> Listening | Ready:
    try:
        message = pipe.recv()
    except (EOFError, OSError) as error:
        raise LaunchError(f"branch {branch} ended while it was starting; its log may say why") from error
    if isinstance(message, Failed):
        raise LaunchError(message.why)
    assert isinstance(message, Listening | Ready)
    return message


def _how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit status {exit_code}"


def run_child(config: BranchConfig, pipe: Connection) -> None:
    """Be one branch, joined to its launcher by `pipe`. Runs in a process of its own."""
    # A terminal's Ctrl-C is for the launcher, which then says stop; a branch that had it too might be
    # taken for one that died.
    os.setpgid(0, 0)
    collect_rarely()
    try:
        configure_logs(config.log_level, config.log_file, config.branch)
    except OSError as error:
        _end_with(pipe, f"the log file {config.log_file} cannot be opened: {error.strerror}")
    try:
        asyncio.run(_run_child(config, pipe))
    except (PortTakenError, StoreError) as error:
        _end_with(pipe, str(error))
    except (BrokenPipeError, KeyboardInterrupt):
        raise SystemExit(1) from None


def _end_with(pipe: Connection, why: str) -> NoReturn:
    """Tell the launcher why this branch cannot start; one that was interrupted meanwhile hears nothing."""
    with contextlib.suppress(OSError):
        pipe.send(Failed(why))
    raise SystemExit(1) from None


async def _run_child(config: BranchConfig, pipe: Connection) -> None:
    stop, orphaned = asyncio.Event(), asyncio.Event()
    on_signals(stop)
    branch = Branch(config)
    try:
        pipe.send(Listening(await branch.start()))
        await first_of(stop.wait(), branch.ended(), _take_orders(branch, pipe, orphaned))
    finally:
        if not orphaned.is_set():
            asyncio.get_running_loop().add_reader(pipe.fileno(), _end_if_orphaned, pipe, config)
        await branch.stop(0 if orphaned.is_set() else config.drain_us)
        if orphaned.is_set():
            _remove_temporary(config)


def _end_if_orphaned(pipe: Connection, config: BranchConfig) -> None:
    """End at once when the launcher is gone before a drain is over: all that was told is on the disk."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        _remove_temporary(config)
        os._exit(1)


def _remove_temporary(config: BranchConfig) -> None:
    """Remove the store, and with the last one the folder, that a killed launcher can no longer remove."""
    if config.is_temporary and config.data is not None:
        shutil.rmtree(config.data, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not empty: other branches are still there
            config.data.parent.rmdir()


async def _take_orders(branch: Branch, pipe: Connection, orphaned: asyncio.Event) -> None:
    """Do as the launcher says, until it says stop or is gone."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), readable.set)
    announcing: asyncio.Task[None] | None = None
    try:
        while True:
            await readable.wait()
            readable.clear()
            while pipe.poll():
                match pipe.recv():
                    case Meet(addresses):
                        branch.connect(addresses)
                        announcing = asyncio.create_task(_announce_ready(branch, pipe))
                    case Stop():
                        return
    except (EOFError, OSError):
        structlog.get_logger().warning("launcher.gone", pid=os.getpid())
        orphaned.set()
    finally:
        loop.remove_reader(pipe.fileno())
        if announcing is not None:
            announcing.cancel()


async def _announce_ready(branch: Branch, pipe: Connection) -> None:
    await branch.streams.all_connected()
    await branch.serves()
    pipe.send(Ready())
