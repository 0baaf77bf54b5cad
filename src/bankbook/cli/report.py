"""What a person, or a program, is told of a run.

Decides the words and the tables. Must not know how a run is made. Proof: tests/cli/test_report.py.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bankbook.checkers import Report
from bankbook.cli import discard_standard_output
from bankbook.core.types import CustomerId
from bankbook.core.vector import Gap
from bankbook.scenario.checker import Kind, Verdict
from bankbook.scenario.execute import Agreement, CustomerRun, Done
from bankbook.scenario.model import ANYWHERE, BY_THEMSELVES, Event

# So many rows, of all customers together, are still read; of more, only what was held or failed is shown.
ROWS_MAX = 100

# So many balances are told one by one; of more, only that they agree.
BALANCES_MAX = 20

# So many customers, or rows of customers with successive numbers, are named; of more, how many there are.
NAMES_MAX = 5

# Where standard output is no terminal: wide enough that no cell of a table is broken.
_WIDTH = 120

_STYLES = {Kind.PASS: "bold green", Kind.FAIL: "bold red", Kind.UNKNOWN: "bold yellow"}


@dataclass(frozen=True, slots=True)
class RunReport:
    """All there is to tell of one run."""

    runs: tuple[CustomerRun, ...]
    verdict: Verdict
    agreement: Agreement
    branch_count: int
    output_path: Path
    elapsed_s: float
    history_path: Path | None = None


def console() -> Console:
    """Return where a person is told: standard output, with colours only on a terminal."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


@contextmanager
def telling() -> Iterator[Console]:
    """Collect what a person is told, and then tell it in one piece."""
    out = console()
    with out.capture() as told:
        yield out
    write(told.get())


def write(text: str) -> None:
    """Write to standard output. Raises OSError where that is impossible, but not where nobody listens."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # They have read enough, as `head` does. Our exit status is still what came of the run.
        discard_standard_output()


def progress_console() -> Console:
    """Return where progress is shown: standard error."""
    return Console(stderr=True, highlight=False)


def tell_run(report: RunReport) -> None:
    """Tell a person of a run."""
    with telling() as out:
        _tell_run(report, out)


def _tell_run(report: RunReport, out: Console) -> None:
    _tell_events(report.runs, out)
    records = sum(len(run.done) for run in report.runs)
    _say(out, "held", _holds_in_words(report.runs))
    _say(out, "branches", _agreement_in_words(report.agreement, report.branch_count))
    tell_verdict(report.verdict, out)
    _say(out, "output", f"{_count(records, 'record')} in {escape(str(report.output_path))}")
    if report.history_path is not None:
        path = escape(str(report.history_path))
        _say(out, "history", f"in {path}; judge it with: bankbook check {path}")
    _say(out, "took", f"{report.elapsed_s:.2f} s from first request to last answer")


def _tell_events(runs: tuple[CustomerRun, ...], out: Console) -> None:
    is_long = sum(len(run.done) for run in runs) > ROWS_MAX
    quiet = left_out = 0
    rows_left = ROWS_MAX
    for run in runs:
        shown = [each for each in run.done if not is_long or _is_remarkable(each)]
        left_out += max(len(shown) - rows_left, 0)
        if is_long and not shown:
            quiet += 1
        elif rows_left:
            out.print(_table_of(run, shown[:rows_left], len(run.done) - len(shown)))
        rows_left = max(rows_left - len(shown), 0)
    if left_out:
        out.print(f"{left_out} more were held or failed; --json tells of each", soft_wrap=True)
    if quiet:
        out.print(f"{_count(quiet, 'customer')} with nothing but success at once", soft_wrap=True)


def tell_verdict(verdict: Verdict, out: Console) -> None:
    """Tell a person a verdict, and its witness."""
    style = _STYLES[verdict.kind]
    _say(out, "check", f"[{style}]{verdict.kind}[/] {escape(verdict.summary)}")
    if verdict.witness is not None:
        _say(out, "", escape(verdict.witness))
    for reason in dict.fromkeys(each.reason for each in verdict.undecided):
        names = _customers_in_words([each.customer for each in verdict.undecided if each.reason == reason])
        _say(out, "", f"{escape(names)}: {escape(reason)}")


def tell_report(report: Report, out: Console) -> None:
    """Tell a person the verdicts on a history."""
    out.print(f"[{_STYLES[Kind(report.kind)]}]{report.kind}[/]: {_count(report.operations, 'operation')}.")
    for verdict in report.verdicts:
        kind = f"[{_STYLES[Kind(verdict.kind)]}]{verdict.kind:<7}[/]"
        out.print(f"  {kind}  {verdict.name}: {escape(verdict.in_words())}", soft_wrap=True)


def _say(out: Console, subject: str, words: str) -> None:
    out.print(f"{subject:11}{words}", soft_wrap=True)


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for a program."""
    return {
        "verdict": verdict.kind.value,
        "summary": verdict.summary,
        "witness": verdict.witness,
        "alone": list(verdict.alone),
        "undecided": [{"customer": each.customer, "reason": each.reason} for each in verdict.undecided],
    }


def run_as_json(report: RunReport) -> dict[str, Any]:
    """Return a run for a program."""
    return {
        **verdict_as_json(report.verdict),
        "output": str(report.output_path),
        "history": None if report.history_path is None else str(report.history_path),
        "elapsed_s": round(report.elapsed_s, 6),
        "branches_agree": not report.agreement.disagreeing(),
        "balances": {
            account: {str(branch): balance for branch, balance in told.items()}
            for account, told in report.agreement.balances.items()
        },
        "customers": [
            {
                "id": run.customer.output_id,
                "account": run.account,
                "events": [_done_as_json(each) for each in run.done],
            }
            for run in report.runs
        ],
    }


def print_json(document: dict[str, Any]) -> None:
    """Tell a program, on standard output."""
    write(json.dumps(document, indent=2) + "\n")


def _done_as_json(done: Done) -> dict[str, Any]:
    event = done.result.event
    said: dict[str, Any] = {
        "number": event.number,
        "interface": event.interface.value,
        "branch": _branch_as_json(event),
        "money": event.money,
        "to": event.to,
        "result": "success" if done.result.reason is None else "fail",
        "balance": done.result.balance,
        "reason": done.result.reason,
        "detail": done.detail or None,
        "held_us": done.held_us,
        "asked": done.asked or None,
        "held_for": [
            {"branch": gap.origin.branch, "has": gap.has, "needs": gap.needs} for gap in done.awaited
        ],
    }
    return {name: value for name, value in said.items() if value is not None}


def _branch_as_json(event: Event) -> int | str | None:
    is_anywhere = event.branch is None and event.interface not in BY_THEMSELVES
    return ANYWHERE if is_anywhere else event.branch


def _table_of(run: CustomerRun, shown: Sequence[Done], left_out: int) -> Table:
    title = f"customer {run.customer.id}, account {run.account}: {_count(len(run.done), 'event')}"
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        caption=f"{left_out} more succeeded at once" if left_out else None,
        caption_justify="left",
    )
    table.add_column("event", justify="right")
    table.add_column("what")
    table.add_column("branch", justify="right")
    table.add_column("result")
    table.add_column("held", justify="right")
    table.add_column("for")
    for each in shown:
        table.add_row(*_row_of(each))
    return table


def _is_remarkable(done: Done) -> bool:
    return done.result.reason is not None or done.was_held


def _row_of(done: Done) -> tuple[str, ...]:
    event = done.result.event
    held = _seconds(done.held_us) if done.was_held else ""
    return (
        str(event.number),
        escape(_event_in_words(event)),
        _branch_in_words(event),
        _result_in_words(done),
        held,
        _gaps_in_words(done.awaited),
    )


def _event_in_words(event: Event) -> str:
    parts = (
        (event.interface.value, True),
        (str(event.money), event.money is not None),
        (f"of {event.account}", event.account is not None),
        (f"to {event.to}", event.to is not None),
        (_count(len(event.legs), "posting"), bool(event.legs)),
        (_count(len(event.commands), "command"), bool(event.commands)),
        (f"event {event.event}", event.event is not None),
        (f"of customer {event.customer}", event.customer is not None),
    )
    return " ".join(words for words, is_said in parts if is_said)


def _branch_in_words(event: Event) -> str:
    if event.branch is not None:
        return str(event.branch)
    return "" if event.interface in BY_THEMSELVES else ANYWHERE


def _result_in_words(done: Done) -> str:
    if done.result.reason is not None:
        return f"[red]fail: {escape(done.result.reason)}[/]"
    return "success" if done.result.balance is None else f"balance {done.result.balance}"


def _gaps_in_words(gaps: tuple[Gap, ...]) -> str:
    return ", ".join(f"entry {gap.needs} of branch {gap.origin.branch} (had {gap.has})" for gap in gaps)


def _holds_in_words(runs: tuple[CustomerRun, ...]) -> str:
    done = [each for run in runs for each in run.done]
    held = [each.held_us for each in done if each.was_held]
    if not held:
        return f"none of {_count(len(done), 'request')}"
    return (
        f"{len(held)} of {_count(len(done), 'request')}, {_seconds(sum(held))} in all, "
        f"the longest {_seconds(max(held))}"
    )


def _seconds(us: int) -> str:
    return f"{us / 1e6:.3f} s" if us >= 1000 else "<0.001 s"  # noqa: PLR2004  (a millisecond)


def _agreement_in_words(agreement: Agreement, branch_count: int) -> str:
    disagreeing = agreement.disagreeing()
    if disagreeing:
        told = "; ".join(
            f"account {account}: "
            + ", ".join(f"branch {b} says {n}" for b, n in agreement.balances[account].items())
            for account in disagreeing[:BALANCES_MAX]
        )
        return f"[bold red]disagree[/]: {escape(told)}"
    balances = {account: next(iter(told.values())) for account, told in agreement.balances.items()}
    who = "the branch has" if branch_count == 1 else f"all {branch_count} branches agree on"
    if len(balances) > BALANCES_MAX:
        return f"{who} all {len(balances)} accounts"
    return f"{who} " + ", ".join(f"account {a}: {n}" for a, n in balances.items())


def _customers_in_words(customers: Sequence[CustomerId]) -> str:
    """Name customers: `customers 1 to 40, 57, alice and 7 more`."""
    rows: list[list[CustomerId]] = []
    for customer in customers:
        if rows and _is_next(rows[-1][-1], customer):
            rows[-1].append(customer)
        else:
            rows.append([customer])
    names = [row[0] if len(row) == 1 else f"{row[0]} to {row[-1]}" for row in rows[:NAMES_MAX]]
    more = sum(map(len, rows[NAMES_MAX:]))
    noun = "customer" if len(customers) == 1 else "customers"
    return f"{noun} {', '.join(names)}" + (f" and {more} more" if more else "")


def _is_next(customer: CustomerId, other: CustomerId) -> bool:
    return customer.isdecimal() and other == str(int(customer) + 1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
