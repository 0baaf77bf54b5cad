"""`bankbook init`, `branch` and `up`: a bank of one's own, from its file to its branches.

Decides where the stores are, and that nobody's file is overwritten. Must not know what stands in the file.
Proof: tests/cli/test_bank.py.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import click

from bankbook.cli import options
from bankbook.cli.completion import complete_branches
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, end_like_ctrl_c, fail
from bankbook.core.types import BRANCHES_MAX, BranchId, is_id
from bankbook.server.bank_file import (
    FILE_NAME,
    PORT_MAX,
    BankFile,
    BankFileError,
    new_bank_file,
    parse_bank_file,
    read_bank_file,
)
from bankbook.server.branch import Branch, PortTakenError
from bankbook.server.config import DEFAULT_HOST, BranchConfig
from bankbook.server.launcher import Launcher, LaunchError
from bankbook.server.logs import configure_logs
from bankbook.server.machine import collect_rarely
from bankbook.server.signals import on_signals, set_on_signals
from bankbook.server.tasks import first_of
from bankbook.store.base import StoreError

_DATA = "data"

_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep branch n's store in DIR/branch-n, and go on from what is there. "
    "[default: data, beside the bank's file]",
)


@click.command()
@options.config_option
@click.option(
    "--branches",
    type=click.IntRange(1, BRANCHES_MAX),
    default=3,
    show_default=True,
    metavar="N",
    help="How many branches the bank has.",
)
@click.option(
    "--cluster", metavar="NAME", help="What the bank is called. [default: the name of the file's folder]"
)
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="The branches' address.")
@click.option(
    "--port",
    type=click.IntRange(1, PORT_MAX - BRANCHES_MAX),
    default=7000,
    show_default=True,
    help="Branch n is at this port plus n.",
)
def init(config: Path, branches: int, cluster: str | None, host: str, port: int) -> None:
    """Write a bank.toml that says where the branches of a new bank are.

    A file that is there already is never overwritten. Edit it as you like, and start the bank with
    `bankbook up`.
    """
    text = new_bank_file(cluster or _cluster_for(config), host, port, branches)
    try:
        parse_bank_file(text.encode(), config)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json=False)
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(
            f"{config} is there already, and was left as it is; name another with --config",
            BAD_INPUT,
            as_json=False,
        )
    except OSError as error:
        fail(f"{config} cannot be written: {error.strerror}", COULD_NOT_RUN, as_json=False)
    named = "" if config == Path(FILE_NAME) else f" --config {config}"
    click.echo(f"wrote {config}: {_counted(branches)} at {host}, ports {port + 1} to {port + branches}")
    click.echo(f"start the bank with: bankbook up{named}")


@click.command()
@options.config_option
@click.option(
    "--id",
    "number",
    type=int,
    required=True,
    metavar="N",
    shell_complete=complete_branches,
    help="The number of the branch in the file.",
)
@_data_option
@options.log_file_option
def branch(config: Path, number: int, data: Path | None, log_file: Path | None) -> None:
    """Run one branch of the bank, until Ctrl-C.

    Each machine has the same file, and runs its own branches. Stopping lets what is held end, and the other
    branches take what they lack; a second Ctrl-C ends at once. What was acknowledged is on the disk.
    """
    bank = _read(config)
    try:
        mine = bank.config_of(number, _folder(data, config), log_file)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json=False)
    try:
        configure_logs(mine.log_level, mine.log_file, mine.branch)
    except OSError as error:
        fail(f"the log file {log_file} cannot be opened: {error.strerror}", COULD_NOT_RUN, as_json=False)
    try:
        asyncio.run(_serve(mine, bank.addresses))
    except (PortTakenError, StoreError) as error:
        fail(str(error), COULD_NOT_RUN, as_json=False)


async def _serve(config: BranchConfig, addresses: dict[BranchId, str]) -> None:
    collect_rarely()
    # An old store takes minutes to be brought up to date, in which nothing else would be heard; there is
    # nothing to be tidied up yet.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    serving = Branch(config)
    stop = asyncio.Event()
    on_signals(stop)
    try:
        await serving.start()
        serving.connect(addresses)
        _say(f"branch {config.branch} at {addresses[config.branch]}, process {os.getpid()}; Ctrl-C stops it")
        await first_of(_set(stop), serving.ended())
        click.echo("stopping the branch", err=True)
    finally:
        await serving.stop(config.drain_us)


@click.command()
@options.config_option
@_data_option
@options.log_file_option
def up(config: Path, data: Path | None, log_file: Path | None) -> None:
    """Run all branches of the bank on this machine, until Ctrl-C.

    Each is a process of its own. A branch that dies is told of and not started again: the others serve on.
    """
    bank = _read(config)
    try:
        configs = bank.configs(_folder(data, config), log_file)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json=False)
    end_like_ctrl_c()
    try:
        with Launcher(configs) as launcher:
            launcher.start()
            if not asyncio.run(_until_stopped(launcher, bank)):
                fail("no branch is left", COULD_NOT_RUN, as_json=False)
            click.echo("stopping the branches", err=True)
    except LaunchError as error:
        fail(str(error), COULD_NOT_RUN, as_json=False)


async def _until_stopped(launcher: Launcher, bank: BankFile) -> bool:
    """Wait until told to stop; return whether any branch was left by then."""
    stop = asyncio.Event()
    set_on_signals(stop)
    for branch, address in bank.addresses.items():  # not before: whoever reads it may press Ctrl-C at once
        click.echo(f"branch {branch} at {address}, process {launcher.pid(branch)}")
    _say(f"all {_counted(len(bank.places))} of {bank.cluster} are ready; Ctrl-C stops them")
    return await first_of(_set(stop), _tell_who_ends(launcher, bank.path))


async def _set(event: asyncio.Event) -> bool:
    return await event.wait()


async def _tell_who_ends(launcher: Launcher, path: Path) -> bool:
    """Tell of each branch that ends; return, false, when none is left."""
    left = set(launcher.addresses)
    while left:
        await _one_ends([launcher.sentinel(branch) for branch in left])
        for branch, how in launcher.ended().items():
            if branch in left:
                left.discard(branch)
                again = f"bankbook branch --config {path} --id {branch}"
                click.echo(
                    f"bankbook: branch {branch} {how}; start it again, from its store, with: {again}",
                    err=True,
                )
    return False


async def _one_ends(sentinels: list[int]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sentinel in sentinels:
        loop.add_reader(sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        for sentinel in sentinels:
            loop.remove_reader(sentinel)


def _read(config: Path) -> BankFile:
    try:
        return read_bank_file(config)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json=False)


def _folder(data: Path | None, config: Path) -> Path:
    return data or config.parent / _DATA


def _cluster_for(config: Path) -> str:
    name = config.absolute().parent.name
    return name if is_id(name) else "bank"


def _counted(branches: int) -> str:
    return f"{branches} branch{'' if branches == 1 else 'es'}"


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
