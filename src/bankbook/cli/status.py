"""`bankbook status`: what each branch of the bank says of itself.

Decides what an operator is shown. Must not know how a branch comes to its answers.
Proof: tests/cli/test_status.py.
"""

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import grpc
import grpc.aio
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bankbook.cli import options
from bankbook.cli.ending import BAD_INPUT, RETRYABLE, fail
from bankbook.cli.report import console, print_json, telling, write
from bankbook.server.bank_file import BankFile, BankFileError, BranchPlace, read_bank_file
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc

# For a branch to say what it is; it is either there or not.
_TIMEOUT_S = 2.0

_WATCH_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class BranchReport:
    """What one branch said, or why it said nothing."""

    place: BranchPlace
    status: admin_pb2.BranchStatus | None = None
    complaint: str = ""

    @property
    def head(self) -> int:
        """The last entry of its own log."""
        assert self.status is not None, "a branch that said nothing has no head"
        own = self.status.origin
        return next((each.seq for each in self.status.applied.components if each.origin == own), 0)

    @property
    def unreachable(self) -> list[int]:
        """The branches that it cannot reach."""
        assert self.status is not None, "a branch that said nothing reaches nobody"
        return [peer.branch for peer in self.status.peers if not peer.is_connected]


@click.command()
@options.config_option
@click.option("--watch", is_flag=True, help="Tell it again every second, until Ctrl-C.")
@options.json_option
def status(config: Path, watch: bool, as_json: bool) -> None:
    """Tell how each branch of the bank is: whether it serves, how long its log is, who lacks what of it.

    Exit status 0 where every branch answers, 5 where one does not; of --watch, 0.
    """
    try:
        bank = read_bank_file(config)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    if watch:
        _watch(bank, as_json)
        return
    reports = asyncio.run(_ask_all(bank))
    if as_json:
        print_json(_as_json(bank, reports))
    else:
        with telling() as out:
            out.print(_as_table(bank, reports))
    sys.exit(0 if all(report.status for report in reports) else RETRYABLE)


def _watch(bank: BankFile, as_json: bool) -> None:
    try:
        if as_json or not sys.stdout.isatty():
            asyncio.run(_print_for_ever(bank, as_json))
        with Live(console=console(), auto_refresh=False, screen=False) as live:
            asyncio.run(_redraw_for_ever(bank, live))
    except KeyboardInterrupt:
        return


async def _print_for_ever(bank: BankFile, as_json: bool) -> None:
    while True:
        reports = await _ask_all(bank)
        if as_json:
            write(json.dumps(_as_json(bank, reports)) + "\n")
        else:
            with telling() as out:
                out.print(_as_table(bank, reports))
        await asyncio.sleep(_WATCH_PERIOD_S)


async def _redraw_for_ever(bank: BankFile, live: Live) -> None:
    while True:
        live.update(_as_table(bank, await _ask_all(bank)), refresh=True)
        await asyncio.sleep(_WATCH_PERIOD_S)


async def _ask_all(bank: BankFile) -> list[BranchReport]:
    return list(await asyncio.gather(*(_ask(bank, place) for place in bank.places)))


async def _ask(bank: BankFile, place: BranchPlace) -> BranchReport:
    async with grpc.aio.insecure_channel(place.address) as channel:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
        try:
            status = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return BranchReport(place, complaint=f"no answer ({error.code().name})")
    if (status.cluster, status.origin.branch) != (bank.cluster, place.branch):
        found = f"branch {status.origin.branch} of {status.cluster}"
        return BranchReport(place, complaint=f"another branch is there: {found}")
    return BranchReport(place, status)


def _as_table(bank: BankFile, reports: list[BranchReport]) -> RenderableType:
    table = Table(title=escape(f"bank {bank.cluster}"), title_justify="left", title_style="bold")
    table.add_column("branch", justify="right")
    table.add_column("address")
    table.add_column("state")
    table.add_column("incarnation")
    table.add_column("log", justify="right")
    table.add_column("not yet at")
    table.add_column("holds", justify="right")
    table.add_column("inbox", justify="right")
    table.add_column("cannot reach")
    for report in reports:
        table.add_row(*_row_of(report))
    return Group(table)


def _row_of(report: BranchReport) -> Iterable[str]:
    place, status = report.place, report.status
    start = (str(place.branch), escape(place.address))
    if status is None:
        return (*start, f"[red]{escape(report.complaint)}[/]")
    lacking = (f"branch {peer.branch}: {peer.lag}" for peer in status.peers if peer.lag)
    unreachable = ", ".join(str(number) for number in report.unreachable)
    return (
        *start,
        _state_of(status),
        f"{status.origin.incarnation:08x}",
        str(report.head),
        ", ".join(lacking),
        str(status.held),
        str(status.inbox),
        f"[red]{unreachable}[/]" if unreachable else "",
    )


def _state_of(_status: admin_pb2.BranchStatus) -> str:
    return "[green]serving[/]"


def _as_json(bank: BankFile, reports: list[BranchReport]) -> dict[str, Any]:
    return {"cluster": bank.cluster, "branches": [_branch_as_json(report) for report in reports]}


def _branch_as_json(report: BranchReport) -> dict[str, Any]:
    place, status = report.place, report.status
    said: dict[str, Any] = {"branch": place.branch, "address": place.address}
    if status is None:
        return {**said, "is_reachable": False, "complaint": report.complaint}
    return {
        **said,
        "is_reachable": True,
        "incarnation": f"{status.origin.incarnation:08x}",
        "head": report.head,
        "lags": {str(peer.branch): peer.lag for peer in status.peers},
        "held": status.held,
        "holds": [_hold_as_json(hold) for hold in status.holds],
        "inbox": status.inbox,
        "cannot_reach": report.unreachable,
    }


def _hold_as_json(hold: admin_pb2.Hold) -> dict[str, Any]:
    return {
        "customer": hold.customer,
        "account": hold.account,
        "held_us": hold.held_us,
        "unanswered": list(hold.unanswered),
        "missing": [
            {"branch": gap.origin.branch, "has": gap.has, "needs": gap.needs} for gap in hold.missing
        ],
    }
