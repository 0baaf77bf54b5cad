"""`bankbook customers`: a scenario's customers, at branches that run already.

Decides nothing that `bankbook run` does not; the branches say which accounts they keep.
Proof: tests/cli/test_branches.py.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import click
import grpc
import grpc.aio

from bankbook.cli import options
from bankbook.cli.ending import (
    BAD_INPUT,
    COULD_NOT_RUN,
    INTERRUPTED,
    end_like_ctrl_c,
    fail,
    run_interruptibly,
)
from bankbook.cli.run import CarriedOut, Plan, carry_out, finish, judged, plan_for, what_is_there
from bankbook.client import BankbookError
from bankbook.core.types import Money
from bankbook.scenario.branches import BankOptions, original_addresses
from bankbook.scenario.checker import Kind, Verdict
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.model import Scenario
from bankbook.scenario.output import OutputError, remove_stale
from bankbook.scenario.parse import ScenarioError, read_scenario
from bankbook.server.config import DEFAULT_HOST, ORIGINAL_PORT_BASE, AccountMode, Delay
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc

# For the first branch to say what it is; it is either there or not.
_STATUS_TIMEOUT_S = 5.0


# An output is judged from the opening balance on, and these customers did not find it.
NOT_NEW = Verdict(
    Kind.UNKNOWN,
    "These branches had served other customers before, so the balances do not start from the opening "
    "balance. Start the branches anew to have the results judged.",
)


class NoBankError(Exception):
    """There is no bank for these customers; the message says what to do."""


@click.command()
@options.input_argument
@options.output_option
@options.place_options
@options.json_option
def customers(input_path: Path, output_path: Path, host: str, port_base: int, as_json: bool) -> None:
    """Carry out the customers' events of INPUT at the branches that `bankbook branches` has started.

    The accounts and the opening balance are those that the branches were started with. Exit status as
    of `bankbook run`.
    """
    try:
        remove_stale(output_path, input_path=input_path)
        scenario = read_scenario(input_path, opening_balance=Money(0))
        if not scenario.is_plain:
            raise ScenarioError(
                f"{input_path}: here customers do what those of the original system can; this file has more. "
                f"Carry it out with its own branches: bankbook run {input_path}"
            )
    except BadFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    end_like_ctrl_c()
    try:
        carried_out, plan, is_new = run_interruptibly(
            _carry_out(scenario, input_path, output_path, host, port_base)
        )
        report = judged(carried_out, plan, output_path)
    except (NoBankError, BankbookError, OutputError) as error:
        fail(str(error), COULD_NOT_RUN, as_json)
    except KeyboardInterrupt:
        fail(f"interrupted; {what_is_there(output_path)}", INTERRUPTED, as_json)
    finish(report if is_new else replace(report, verdict=NOT_NEW), as_json)


async def _carry_out(
    scenario: Scenario, input_path: Path, output_path: Path, host: str, port_base: int
) -> tuple[CarriedOut, Plan, bool]:
    addresses = original_addresses(scenario, host, port_base)
    start = f"bankbook branches {input_path}"
    if host != DEFAULT_HOST:
        start += f" --host {host}"
    if port_base != ORIGINAL_PORT_BASE:
        start += f" --port-base {port_base}"
    status, *others = await _statuses_of(list(addresses.values()), start)
    if not status.HasField("opening_balance"):
        raise NoBankError(f"the bank at {addresses[scenario.branches[0]]} was not made from a scenario")
    is_new = not any(each.applied.components for each in (status, *others))
    scenario = replace(scenario, opening_balance=Money(status.opening_balance))
    slowest_us = max(each.delay_us for each in (status, *others))
    delay = Delay(slowest_us, slowest_us)
    bank = BankOptions(AccountMode(status.accounts), delay=delay, hold_limit_us=status.hold_limit_us)
    plan = plan_for(scenario, bank)
    return await carry_out(plan, addresses, output_path), plan, is_new


async def _statuses_of(addresses: list[str], start: str) -> list[admin_pb2.BranchStatus]:
    """Ask every branch; raise NoBankError for the first, by number, that is not there."""
    asked = (_status_of(address, start) for address in addresses)
    told = await asyncio.gather(*asked, return_exceptions=True)
    for each in told:
        if isinstance(each, BaseException):
            raise each
    return [each for each in told if not isinstance(each, BaseException)]


async def _status_of(address: str, start: str) -> admin_pb2.BranchStatus:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
        try:
            return await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_STATUS_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise NoBankError(
                f"there is no branch at {address} ({error.code().name}). "
                f"Start all branches of this scenario first, in another terminal: {start}"
            ) from error
