"""`bankbook statement`: what moved on an account, line by line, to the end.

Decides how a line looks, and which moments a date stands for. Proof: tests/cli/test_statement.py.

Lines are printed page by page as they come: an account with a million of them is told in little memory.
"""

import json
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import click

from bankbook.cli import options
from bankbook.cli.amounts import decimal_text
from bankbook.cli.ending import RETRYABLE, fail
from bankbook.cli.report import write
from bankbook.cli.teller import Visit, visiting
from bankbook.client import Session, StatementChangedError, StatementLine, StatementPage
from bankbook.core.commands import Freshness

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

# A date and its time; amounts up to ten millions with two decimals. A larger one widens its own line.
_TIME_WIDTH, _AMOUNT_WIDTH, _WHAT_WIDTH = 19, 13, 20


class MomentType(click.ParamType[datetime | date]):
    """A day, or a moment of it."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | date:
        """Return a date where only a day was written."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value) if _DATE.fullmatch(value) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a date; write 2026-01-31, or 2026-01-31T18:00, or with an offset, "
                "2026-01-31T18:00+01:00",
                param,
                ctx,
            )


@click.command()
@click.argument("account", metavar="ACCOUNT")
@click.option(
    "--from",
    "since",
    type=MomentType(),
    metavar="DATE",
    help="Begin with this day or moment. [default: the first]",
)
@click.option(
    "--to",
    "until",
    type=MomentType(),
    metavar="DATE",
    help="End with this day, or before this moment. [default: now]",
)
@click.option("--utc", is_flag=True, help="Write and read dates in UTC, not in local time.")
@options.freshness_options
@visiting(writes=False)
def statement(
    visit: Visit,
    account: str,
    since: datetime | date | None,
    until: datetime | date | None,
    utc: bool,
    freshness: Freshness,
) -> None:
    """Tell what moved on ACCOUNT, with the balance after each line.

    Where lines are asked for that the bank keeps no longer, it begins with the balance brought forward. With
    --json, one JSON object on each line.
    """
    zone = UTC if utc else None
    asked = {
        "account": account,
        "start": None if since is None else _moment(since, zone),
        "end": None if until is None else _moment(_end_of(until), zone),
        "freshness": freshness,
        **visit.at,
    }
    try:
        visit.make(lambda session: _tell_all(session, asked, zone, visit.as_json))
    except StatementChangedError as error:
        fail(str(error), RETRYABLE, visit.as_json)


async def _tell_all(session: Session, asked: dict[str, Any], zone: tzinfo | None, as_json: bool) -> None:
    lines = session.statement(**asked)
    page = await lines.page_after(None)
    if not as_json and page is not None:
        write(_heading(page, zone))
    elif page is not None and page.begins is not None:
        write(_beginning_as_json(page, page.begins, zone))
    while page is not None:
        write(_page_as_json(page, zone) if as_json else _page_as_text(page, zone))
        page = await lines.page_after(page)


def _heading(page: StatementPage, zone: tzinfo | None) -> str:
    names = _row("date", "amount", "balance", "", f"in {page.currency}" if page.currency else "")
    opening = decimal_text(page.opening, page.currency)
    if page.begins is None:
        return names + _row("", "", opening, "balance before")
    return names + _row(_moment_text(page.begins, zone), "", opening, "brought forward")


def _page_as_text(page: StatementPage, zone: tzinfo | None) -> str:
    lines = [_line(each, page.currency, zone) for each in page.lines]
    if page.next_page is None:
        lines.append(_row("", "", decimal_text(page.closing, page.currency), "balance after"))
    return "".join(lines)


def _line(line: StatementLine, currency: str, zone: tzinfo | None) -> str:
    others = f" {'to' if line.amount < 0 else 'from'} {', '.join(line.others)}" if line.others else ""
    sign = "+" if line.amount > 0 else ""
    return _row(
        _moment_text(line.time, zone),
        sign + decimal_text(line.amount, currency),
        decimal_text(line.balance, currency),
        f"{line.kind.value}{others}",
        line.memo,
    )


def _moment_text(moment: datetime, zone: tzinfo | None) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _row(moment: str, amount: str, balance: str, what: str, memo: str = "") -> str:
    start = f"{moment:<{_TIME_WIDTH}} {amount:>{_AMOUNT_WIDTH}} {balance:>{_AMOUNT_WIDTH}}"
    return f"{start}  {what:<{_WHAT_WIDTH}}  {memo}".rstrip() + "\n"


def _beginning_as_json(page: StatementPage, begins: datetime, zone: tzinfo | None) -> str:
    told = {
        "time": begins.astimezone(zone).isoformat(timespec="milliseconds"),
        "kind": "brought forward",
        "balance": decimal_text(page.opening, page.currency),
        "balance_minor": page.opening,
        "currency": page.currency,
    }
    return json.dumps(told) + "\n"


def _page_as_json(page: StatementPage, zone: tzinfo | None) -> str:
    return "".join(json.dumps(_line_as_json(line, page.currency, zone)) + "\n" for line in page.lines)


def _line_as_json(line: StatementLine, currency: str, zone: tzinfo | None) -> dict[str, Any]:
    return {
        "time": line.time.astimezone(zone).isoformat(timespec="milliseconds"),
        "kind": line.kind.value,
        "amount": decimal_text(line.amount, currency),
        "amount_minor": line.amount,
        "balance": decimal_text(line.balance, currency),
        "balance_minor": line.balance,
        "currency": currency,
        "memo": line.memo,
        "customer": line.customer,
        "others": list(line.others),
        "entry": str(line.entry),
        "leg": line.leg,
    }


def _end_of(until: datetime | date) -> datetime | date:
    """Return the first moment that is not meant any more: a day is meant to its end."""
    return until if isinstance(until, datetime) else until + timedelta(days=1)


def _moment(moment: datetime | date, zone: tzinfo | None) -> datetime:
    """Return a moment with its time zone; where none was written, `zone`, or local time."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()
