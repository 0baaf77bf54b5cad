"""`bankbook run`: a scenario from its start to its verdict.

Decides the order: nothing old is left looking new before anything starts, and the output is written
whole once all is known. Proof: tests/cli/test_run.py.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bankbook.checkers import Kind as CheckerKind
from bankbook.checkers import check as check_history
from bankbook.cli import options
from bankbook.cli.ending import (
    BAD_INPUT,
    COULD_NOT_RUN,
    INTERRUPTED,
    VIOLATION,
    end_like_ctrl_c,
    fail,
    run_interruptibly,
)
from bankbook.cli.report import RunReport, print_json, progress_console, run_as_json, tell_run
from bankbook.client import Bank, BankbookError, Recorder
from bankbook.core.types import BranchId, Money
from bankbook.history.fields import HistoryError
from bankbook.history.file import read_history
from bankbook.history.record import FaultKind, Header, History, Latest, Terms
from bankbook.history.writer import HistoryFile
from bankbook.history.writer import Kept as HistoryInMemory
from bankbook.scenario.branches import CLUSTER, BankOptions, KeptDown, branch_configs, supervise
from bankbook.scenario.checker import Kind, Verdict, judge
from bankbook.scenario.execute import (
    TIMEOUT_EXTRA_S,
    Agreement,
    CustomerRun,
    ask_everywhere,
    execute,
    record_ends,
)
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.model import Scenario
from bankbook.scenario.ordeal import Ordeal, what_is_left_out
from bankbook.scenario.output import OutputError, parse_output, remove_stale, render, write_whole
from bankbook.scenario.parse import ScenarioError, read_scenario
from bankbook.server.config import AccountMode
from bankbook.server.launcher import Launcher, LaunchError
from bankbook.server.tasks import first_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What one command line asks of the customers."""

    scenario: Scenario
    accounts: AccountMode
    timeout_s: float
    """For each request."""
    settle_s: float
    """For all branches to agree at the end."""
    history_path: Path | None = None
    """Where all that is asked and told is written down."""


@click.command()
@options.input_argument
@options.output_option
@options.history_option
@options.opening_balance_option
@options.bank_options(log_level="warning")
@options.json_option
def run(
    input_path: Path,
    output_path: Path,
    history_path: Path | None,
    opening_balance: Money | None,
    bank: BankOptions,
    as_json: bool,
) -> None:
    """Start a bank, carry out INPUT, check the results, stop the bank.

    Every branch is a process of its own at a free port; every customer is one session, and all
    customers act at the same time. Exit status: 0 done and consistent, 1 a violation, 2 bad input,
    3 the bank could not run.
    """
    try:
        # First: whatever comes of this, an earlier output must not be taken for its own.
        remove_stale(output_path, input_path=input_path)
        remove_stale_history(history_path, input_path, output_path)
        scenario = read_scenario(input_path, opening_balance=opening_balance)
        demand_suitable(scenario, bank.accounts, input_path)
    except BadFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    plan = replace(plan_for(scenario, bank), history_path=history_path)
    for words in what_is_left_out(scenario.faults):
        _warn(words)
    end_like_ctrl_c()
    try:
        with tempfile.TemporaryDirectory(prefix="bankbook-") as data:
            configs = branch_configs(scenario, bank, Path(data), is_temporary=True)
            with Launcher(configs) as launcher:
                launcher.start()
                carried_out = run_interruptibly(_supervised(launcher, plan, output_path, Path(data)))
        report = judged(carried_out, plan, output_path)
    except (LaunchError, BankbookError, OutputError, HistoryError, OSError) as error:
        fail(f"{error} ({what_is_there(output_path)})", COULD_NOT_RUN, as_json)
    except KeyboardInterrupt:
        fail(f"interrupted; the bank was stopped and {what_is_there(output_path)}", INTERRUPTED, as_json)
    finish(report, as_json)


def demand_suitable(scenario: Scenario, accounts: AccountMode, input_path: Path) -> None:
    """Refuse one account for all where events name accounts of their own. Raises ScenarioError."""
    if accounts is AccountMode.SHARED and not scenario.is_plain:
        raise ScenarioError(
            f"{input_path}: --accounts shared is for what the original system's customers do; this file has "
            "more. Leave it out: a file can name one `account` in every event."
        )


def remove_stale_history(history_path: Path | None, input_path: Path, output_path: Path) -> None:
    """Remove an earlier history. Raises OutputError."""
    if history_path is None:
        return
    if history_path.absolute() == output_path.absolute():
        raise OutputError(f"{history_path}: this is the output; the history needs a file of its own.")
    remove_stale(history_path, input_path=input_path)


def recorder_for(plan: Plan, now_ns: Callable[[], int] = time.monotonic_ns) -> Recorder | None:
    """Return what writes down all that is asked and told. Raises OSError."""
    if plan.history_path is None:
        return None
    return Recorder(HistoryFile(plan.history_path), header_of(plan.scenario), now_ns)


def header_of(scenario: Scenario) -> Header:
    """Return what a scenario's bank is when its customers begin."""
    others = None if scenario.accounts else Terms(scenario.opening_balance)
    return Header(CLUSTER, max(scenario.branches), others, latest=Latest.RECENT)


def plan_for(scenario: Scenario, bank: BankOptions) -> Plan:
    """Return what is asked of the customers, with timeouts that suit the bank's delays."""
    timeout_s = bank.hold_limit_us / 1e6 + TIMEOUT_EXTRA_S
    settle_s = 2 * bank.delay.high_us / 1e6 + timeout_s
    return Plan(scenario, bank.accounts, timeout_s, settle_s)


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What came of the events, before anybody judged it."""

    runs: tuple[CustomerRun, ...]
    text: str
    agreement: Agreement
    elapsed_s: float
    history: History | None = None
    """All that was asked and told, where the output does not tell enough to judge it."""


async def carry_out(
    plan: Plan, addresses: dict[BranchId, str], output_path: Path, ordeal: Ordeal | None = None
) -> CarriedOut:
    """Carry out a scenario at branches that run; write the output; ask whether all branches agree.

    Raises OutputError, BankbookError, OSError.
    """
    kept = None if plan.scenario.is_plain or plan.history_path is not None else HistoryInMemory()
    recorder = recorder_for(plan) if kept is None else Recorder(kept, header_of(plan.scenario))
    async with Bank(addresses, history=recorder) as bank:
        started = time.monotonic()
        if ordeal is None:
            runs = await _with_progress(plan, bank)
        else:
            if recorder is not None:
                ordeal.on_lost_disk = lambda branch: recorder.fault(FaultKind.DISK_LOST, branch)
            runs = await first_of(_with_progress(plan, bank), ordeal.suffer(plan.scenario.faults))
            ordeal.mend()
        elapsed_s = time.monotonic() - started
        text = render(run.results() for run in runs)
        write_whole(output_path, text)
        agreement = await ask_everywhere(plan.scenario, bank, plan.accounts, plan.settle_s)
        await record_ends(bank, agreement)
    return CarriedOut(runs, text, agreement, elapsed_s, None if kept is None else kept.history())


def judged(done: CarriedOut, plan: Plan, output_path: Path) -> RunReport:
    """Judge what came of the events. May take seconds: not for an event loop. Raises HistoryError."""
    if plan.scenario.is_plain:
        verdict = judge(plan.scenario, parse_output(done.text, source=str(output_path)), plan.accounts)
    else:
        verdict = _judged_by_history(done, plan)
    branch_count = len(plan.scenario.branches)
    return RunReport(
        done.runs, verdict, done.agreement, branch_count, output_path, done.elapsed_s, plan.history_path
    )


def _judged_by_history(done: CarriedOut, plan: Plan) -> Verdict:
    """Judge what the original system's output has no words for: keys, reservations, freshness, ..."""
    history = done.history
    if history is None:
        assert plan.history_path is not None, "all is recorded, in memory or in a file"
        history = read_history(plan.history_path)
    report = check_history(history)
    failed = [each for each in report.verdicts if each.kind is CheckerKind.FAIL]
    undecided = [each.name for each in report.verdicts if each.undecided]
    summary = f"{report.operations} operations were judged by every checker of histories."
    if undecided:
        summary += f" Not all could be told of {', '.join(undecided)}."
    witness = f"{failed[0].name}: {failed[0].in_words()}" if failed else None
    return Verdict(Kind(report.kind), summary, witness)


def finish(report: RunReport, as_json: bool) -> NoReturn:
    """Tell of a run, and exit."""
    if as_json:
        print_json(run_as_json(report))
    else:
        tell_run(report)
    is_violated = report.verdict.kind is Kind.FAIL or report.agreement.disagreeing()
    sys.exit(VIOLATION if is_violated else 0)


def what_is_there(output_path: Path) -> str:
    """Tell whether there is an output."""
    # An earlier output was removed when the run began.
    return f"the output is in {output_path}" if output_path.exists() else "no output written"


async def _supervised(launcher: Launcher, plan: Plan, output_path: Path, data: Path) -> CarriedOut:
    kept = KeptDown()
    ordeal = Ordeal(launcher, kept, data) if plan.scenario.faults else None
    try:
        return await first_of(
            carry_out(plan, launcher.addresses, output_path, ordeal), supervise(launcher, _warn, kept)
        )
    finally:
        if ordeal is not None:
            ordeal.mend()


def _warn(message: str) -> None:
    click.echo(f"bankbook: {message}", err=True)


async def _with_progress(plan: Plan, bank: Bank) -> tuple[CustomerRun, ...]:
    total = sum(len(customer.events) for customer in plan.scenario.customers)
    console = progress_console()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        bar = progress.add_task("events", total=total)
        return await execute(
            plan.scenario, bank, plan.accounts, plan.timeout_s, lambda _: progress.advance(bar)
        )
