"""`bankbook branches`: a scenario's branches, until stopped.

Decides where the branches listen and keep their stores. Proof: tests/cli/test_branches.py.
"""

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from bankbook.cli import options
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, end_like_ctrl_c, fail
from bankbook.core.types import Money
from bankbook.scenario.branches import BankOptions, branch_configs, supervise
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.parse import read_scenario
from bankbook.server.launcher import Launcher, LaunchError
from bankbook.server.signals import set_on_signals
from bankbook.server.tasks import first_of


@click.command()
@options.input_argument
@options.opening_balance_option
@options.bank_options(log_level="info")
@options.place_options
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the branches' stores in DIR, and go on from what is there. [default: a temporary one]",
)
def branches(
    input_path: Path,
    opening_balance: Money | None,
    bank: BankOptions,
    host: str,
    port_base: int,
    data: Path | None,
) -> None:
    """Start the branches of INPUT, each a process of its own, and let them serve until Ctrl-C.

    They serve `bankbook customers` and every client of bankbook.v1 and of the original protocol, at
    port 50050 plus the branch's number. A branch that dies is started again from its store.
    """
    try:
        scenario = read_scenario(input_path, opening_balance=opening_balance)
    except BadFileError as error:
        fail(str(error), BAD_INPUT, as_json=False)
    end_like_ctrl_c()
    placed = replace(bank, host=host, port_base=port_base)
    try:
        with ExitStack() as stack:
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bankbook-")))
            launcher = stack.enter_context(
                Launcher(branch_configs(scenario, placed, folder, is_temporary=data is None))
            )
            launcher.start()
            asyncio.run(_until_stopped(launcher))
            click.echo("stopping the branches", err=True)
    except LaunchError as error:
        fail(str(error), COULD_NOT_RUN, as_json=False)


def _tell_ready(launcher: Launcher) -> None:
    for branch, address in launcher.addresses.items():
        click.echo(f"branch {branch} at {address}, process {launcher.pid(branch)}")
    click.echo(f"all {len(launcher.addresses)} branches are ready; Ctrl-C stops them")
    sys.stdout.flush()


async def _until_stopped(launcher: Launcher) -> None:
    stop = asyncio.Event()
    set_on_signals(stop)
    _tell_ready(launcher)  # not before: whoever reads it may press Ctrl-C at once
    await first_of(
        _wait(stop), supervise(launcher, lambda message: click.echo(f"bankbook: {message}", err=True))
    )


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
