"""The lines of a history, as they are written: JSON, what has its usual value left out.

Decides how each item stands in its line; docs/history.md describes it. Must not know where lines go
(writer.py), nor how they are read (file.py). Proof: tests/history/test_file.py, where what is written is
read again.
"""

import json
from typing import IO, Any

from bankbook.core.commands import Level
from bankbook.core.guarantees import Guarantee
from bankbook.history.commands import command_as_json
from bankbook.history.record import (
    FORMAT,
    Fault,
    Final,
    Header,
    History,
    Item,
    Latest,
    Operation,
    Stated,
    StatedLine,
    Terms,
    Told,
)

GUARANTEES = {
    guarantee.name: guarantee
    for guarantee in Guarantee
    if guarantee.name is not None and guarantee not in {Guarantee.NONE, Guarantee.ALL}
}


def write_history(history: History, file: IO[str]) -> None:
    """Write a whole history, a line at a time."""
    file.write(header_line(history.header))
    for item in history.items:
        file.write(item_line(item))


def header_line(header: Header) -> str:
    """Return the first line of a history."""
    accounts = {name: _terms(terms) for name, terms in header.accounts.items()}
    return _line(
        bankbook_history=FORMAT,
        cluster=header.cluster or None,
        branches=header.branches,
        others=None if header.others is None else _terms(header.others),
        accounts=accounts or None,
        latest=None if header.latest is Latest.LINEARIZABLE else header.latest,
    )


def item_line(item: Item) -> str:
    """Return the line of one operation, fault or end."""
    match item:
        case Operation():
            return _operation_line(item)
        case Fault():
            return _line(
                fault=item.kind,
                branch=item.branch,
                other=item.other,
                at_us=item.at_us,
                until_us=item.until_us,
            )
        case Final():
            statements = {name: _stated(stated) for name, stated in item.statements.items()}
            return _line(final=item.branch, balances=dict(item.balances), statements=statements or None)


def asked_line(operation: Operation) -> str:
    """Return the line of a request that is going to be sent."""
    return _line(asked=operation.number, **_request_as_json(operation))


def _operation_line(item: Operation) -> str:
    return _line(
        op=item.number,
        **_request_as_json(item),
        outcome=None if item.outcome is None else item.outcome.name,
        balance=item.balance,
        available=item.available,
        entry=item.entry,
        replayed=item.is_replayed or None,
        reservation=item.reservation,
        results=[_told(each) for each in item.results] or None,
        statement=None if item.statement is None else _stated(item.statement),
    )


def _request_as_json(item: Operation) -> dict[str, Any]:
    level, bound_us = item.freshness
    guarantees = [name for name, each in GUARANTEES.items() if each in item.guarantees]
    return {
        "session": item.session,
        "customer": item.customer or None,
        "branch": item.branch,
        "call_us": item.call_us,
        "return_us": item.return_us,
        "command": command_as_json(item.command),
        "freshness": None if level is Level.SESSION else level.name,
        "bound_us": bound_us if level is Level.BOUNDED else None,
        "guarantees": None if item.guarantees == Guarantee.ALL else guarantees,
        "key": item.key,
        "durable": item.durable or None,
    }


def _terms(terms: Terms) -> dict[str, int | None]:
    return {"balance": terms.balance, "floor": terms.floor}


def _told(told: Told) -> dict[str, Any]:
    named = {"balance": told.balance, "available": told.available, "reservation": told.reservation}
    filled = {name: value for name, value in named.items() if value is not None}
    return {"outcome": told.outcome.name, **filled}


def _stated(stated: Stated) -> dict[str, Any]:
    named = {"opening": stated.opening, "closing": stated.closing}
    filled = {name: value for name, value in named.items() if value is not None}
    complete = {} if stated.is_complete else {"complete": False}
    return {"lines": [_stated_line(line) for line in stated.lines], **filled, **complete}


def _stated_line(line: StatedLine) -> dict[str, Any]:
    named = {"balance": line.balance, "entry": line.entry, "memo": line.memo or None}
    return {"amount": line.amount, **{name: value for name, value in named.items() if value is not None}}


def _line(**fields: Any) -> str:
    filled = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(filled, separators=(",", ":"), ensure_ascii=False) + "\n"
