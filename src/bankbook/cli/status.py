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
from typing import Any, NoReturn

import click
import grpc
import grpc.aio
from rich.console import Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from bankbook.cli import options
from bankbook.cli.amounts import decimal_text, in_words
from bankbook.cli.ending import BAD_INPUT, RETRYABLE, end_like_ctrl_c, fail, run_interruptibly
from bankbook.cli.report import console, print_json, telling, write
from bankbook.client import LOCAL, Bank, BankbookError
from bankbook.server.bank_file import BankFile, BankFileError, BranchPlace, read_bank_file
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc, replication_pb2

# For a branch to say what it is; it is either there or not.
_TIMEOUT_S = 2.0

# As often as a person reads figures.
_WATCH_PERIOD_S = 1.0

# As whom an account's currency is asked for; it stands in the branches' logs.
_OPERATOR = "bankbook-status"


@dataclass(frozen=True, slots=True)
class AccountReport:
    """What one branch said of one account, or why it said nothing."""

    rights: admin_pb2.AccountRights | None
    currency: str = ""
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What all branches are asked."""

    bank: BankFile
    account: str | None


@dataclass(frozen=True, slots=True)
class BranchReport:
    """What one branch said, or why it said nothing."""

    place: BranchPlace
    status: admin_pb2.BranchStatus | None = None
    complaint: str = ""
    account: "AccountReport | None" = None
    """What it said of an account, where it was asked about one."""

    @property
    def head(self) -> int:
        """The last entry of its own log."""
        assert self.status is not None, "a branch that said nothing has no head"
        return self._own(self.status.applied)

    @property
    def dropped(self) -> int:
        """The last entry of its own log that it keeps no longer."""
        assert self.status is not None, "a branch that said nothing has no log"
        return self._own(self.status.dropped)

    def _own(self, vector: replication_pb2.VersionVector) -> int:
        assert self.status is not None, "a branch that said nothing has no log"
        own = self.status.origin
        return next((each.seq for each in vector.components if each.origin == own), 0)

    @property
    def unreachable(self) -> list[int]:
        """The branches that it cannot reach."""
        assert self.status is not None, "a branch that said nothing reaches nobody"
        return [peer.branch for peer in self.status.peers if not peer.is_connected]


@click.command()
@options.config_option
@click.option(
    "--account",
    metavar="ACCOUNT",
    help="Tell also what each branch knows of it, and who may take out how much.",
)
@click.option("--watch", is_flag=True, help="Tell it again every second, until Ctrl-C.")
@options.json_option
def status(config: Path, account: str | None, watch: bool, as_json: bool) -> None:
    """Tell how each branch of the bank is: whether it serves, how long its log is, who lacks what of it.

    Exit status 0 where every branch answers, 5 where one does not; of --watch, 0.
    """
    try:
        bank = read_bank_file(config)
    except BankFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    question = Question(bank, account)
    end_like_ctrl_c()
    if watch:
        _watch(question, as_json)
        return
    reports = run_interruptibly(_ask_all(question))
    if as_json:
        print_json(_as_json(question, reports))
    else:
        with telling() as out:
            out.print(_as_tables(question, reports))
    sys.exit(0 if all(report.status for report in reports) else RETRYABLE)


def _watch(question: Question, as_json: bool) -> None:
    try:
        if as_json or not sys.stdout.isatty():
            run_interruptibly(_print_for_ever(question, as_json))
        with Live(console=console(), auto_refresh=False) as live:
            run_interruptibly(_redraw_for_ever(question, live))
    except KeyboardInterrupt:
        return


async def _print_for_ever(question: Question, as_json: bool) -> NoReturn:
    while True:
        reports = await _ask_all(question)
        if as_json:
            write(json.dumps(_as_json(question, reports)) + "\n")
        else:
            with telling() as out:
                out.print(_as_tables(question, reports))
        await asyncio.sleep(_WATCH_PERIOD_S)


async def _redraw_for_ever(question: Question, live: Live) -> NoReturn:
    while True:
        live.update(_as_tables(question, await _ask_all(question)), refresh=True)
        await asyncio.sleep(_WATCH_PERIOD_S)


async def _ask_all(question: Question) -> list[BranchReport]:
    return list(await asyncio.gather(*(_ask(question, place) for place in question.bank.places)))


async def _ask(question: Question, place: BranchPlace) -> BranchReport:
    cluster = question.bank.cluster
    async with grpc.aio.insecure_channel(place.address) as channel:
        stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
        try:
            status = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return BranchReport(place, complaint=f"no answer ({error.code().name})")
        if (status.cluster, status.origin.branch) != (cluster, place.branch):
            found = f"branch {status.origin.branch} of {status.cluster}"
            return BranchReport(place, complaint=f"another branch is there: {found}")
        account = None if question.account is None else await _ask_about(question.account, stub, place)
        return BranchReport(place, status, account=account)


async def _ask_about(
    account: str, stub: "admin_pb2_grpc.AdminAsyncStub", place: BranchPlace
) -> AccountReport:
    try:
        rights = await stub.GetRights(admin_pb2.GetRightsRequest(account=account), timeout=_TIMEOUT_S)
        async with Bank({place.branch: place.address}, timeout=_TIMEOUT_S) as bank:
            receipt = await bank.session(_OPERATOR).balance(account=account, freshness=LOCAL)
    except grpc.aio.AioRpcError as error:
        return AccountReport(None, complaint=error.details() or error.code().name)
    except BankbookError as error:
        return AccountReport(None, complaint=error.failure.detail)
    return AccountReport(rights, receipt.currency)


def _as_tables(question: Question, reports: list[BranchReport]) -> RenderableType:
    tables = [_bank_as_table(question.bank, reports)]
    if question.account is not None:
        tables.append(_account_as_table(question.account, reports))
    return Group(*tables)


def _table(title: str, columns: str) -> Table:
    """Return a table without rows. A column whose name begins with > is one of numbers; ... ends a list.

    Only lists are broken into several lines: it is to fit a terminal of 80 characters.
    """
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns.split(", "):
        name = column.strip(">.")
        side: JustifyMethod = "right" if column.startswith(">") else "left"
        table.add_column(name, justify=side, no_wrap=not column.endswith("..."))
    return table


def _bank_as_table(bank: BankFile, reports: list[BranchReport]) -> Table:
    table = _table(
        f"bank {bank.cluster}",
        ">branch, address, state, log, not yet at..., >holds, >inbox, cannot reach...",
    )
    for report in reports:
        table.add_row(*_row_of(report))
    return table


def _account_as_table(account: str, reports: list[BranchReport]) -> Table:
    table = _table(f"account {account}", ">branch, >balance, >available, >reserved, may take out...")
    for report in reports:
        if report.account is not None:
            table.add_row(str(report.place.branch), *_account_row_of(report.account))
    return table


def _account_row_of(report: AccountReport) -> Iterable[str]:
    rights, currency = report.rights, report.currency
    if rights is None:
        return ("", "", "", f"[red]{escape(report.complaint)}[/]")
    return (
        in_words(rights.balance, currency),
        in_words(rights.available, currency) if rights.HasField("available") else "no floor",
        in_words(rights.reserved, currency),
        ", ".join(f"{each.branch}: {decimal_text(each.amount, currency)}" for each in rights.rights),
    )


def _row_of(report: BranchReport) -> Iterable[str]:
    place, status = report.place, report.status
    start = (str(place.branch), escape(place.address))
    if status is None:
        return (*start, f"[red]{escape(report.complaint)}[/]")
    lacking = (f"{peer.branch}: {peer.lag}" for peer in status.peers if peer.lag)
    unreachable = ", ".join(str(number) for number in report.unreachable)
    return (
        *start,
        _state_of(status),
        f"{place.branch}.{status.origin.incarnation:08x}#{_kept_in_words(report)}",
        ", ".join(lacking),
        str(status.held),
        str(status.inbox),
        f"[red]{unreachable}[/]" if unreachable else "",
    )


def _kept_in_words(report: BranchReport) -> str:
    return f"{report.dropped + 1}-{report.head}" if report.dropped else str(report.head)


def _state_of(status: admin_pb2.BranchStatus) -> str:
    return "[yellow]catching up[/]" if status.is_catching_up else "[green]serving[/]"


def _as_json(question: Question, reports: list[BranchReport]) -> dict[str, Any]:
    return {"cluster": question.bank.cluster, "branches": [_branch_as_json(report) for report in reports]}


def _branch_as_json(report: BranchReport) -> dict[str, Any]:
    place, status = report.place, report.status
    said: dict[str, Any] = {"branch": place.branch, "address": place.address}
    if status is None:
        return {**said, "is_reachable": False, "complaint": report.complaint}
    if report.account is not None:
        said["account"] = _account_as_json(report.account)
    return {
        **said,
        "is_reachable": True,
        "is_catching_up": status.is_catching_up,
        "incarnation": f"{status.origin.incarnation:08x}",
        "head": report.head,
        "dropped": report.dropped,
        "entries_kept": _entries(status.applied) - _entries(status.dropped),
        "entries_dropped": _entries(status.dropped),
        "lags": {str(peer.branch): peer.lag for peer in status.peers},
        "held": status.held,
        "holds": [_hold_as_json(hold) for hold in status.holds],
        "inbox": status.inbox,
        "cannot_reach": report.unreachable,
    }


def _entries(vector: replication_pb2.VersionVector) -> int:
    return sum(each.seq for each in vector.components)


def _account_as_json(report: AccountReport) -> dict[str, Any]:
    rights, currency = report.rights, report.currency
    if rights is None:
        return {"complaint": report.complaint}
    return {
        "currency": currency,
        "balance": decimal_text(rights.balance, currency),
        "balance_minor": rights.balance,
        "available_minor": rights.available if rights.HasField("available") else None,
        "reserved_minor": rights.reserved,
        "rights_minor": {str(each.branch): each.amount for each in rights.rights},
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
