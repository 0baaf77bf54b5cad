"""The file of a history, as it is read: JSON lines, one at a time. docs/history.md describes it.

Decides names and order of what stands in the file, and refuses what cannot be meant. Must not know what is
right in a bank (checkers/), nor how lines are written (lines.py). Proof: tests/history/test_file.py; the
example in the docs is executed there.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from sys import intern

from bankbook.core.commands import SESSION, Batch, Freshness, Level
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import BRANCHES_MAX
from bankbook.history.commands import read_command
from bankbook.history.fields import Fields, HistoryError, parse_line
from bankbook.history.lines import GUARANTEES
from bankbook.history.record import (
    FORMAT,
    Fault,
    FaultKind,
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

HEADER = frozenset({"bankbook_history", "cluster", "branches", "others", "accounts", "latest"})
_ASKED = ("session", "customer", "branch", "call_us", "command", "freshness", "bound_us", "guarantees")
ASKED = frozenset({"asked", *_ASKED, "key", "durable"})
TERMS = frozenset({"balance", "floor"})
OPERATION = frozenset(
    {
        *("op", *_ASKED, "key", "durable", "return_us", "outcome", "balance", "available", "entry"),
        *("replayed", "reservation", "results", "statement"),
    }
)
TOLD = frozenset({"outcome", "balance", "available", "reservation"})
STATED = frozenset({"lines", "opening", "closing", "complete"})
LINE = frozenset({"amount", "balance", "entry", "memo"})
FAULT = frozenset({"fault", "branch", "other", "at_us", "until_us"})
FINAL = frozenset({"final", "balances", "statements"})

_FAULTS = tuple(FaultKind)
_LATEST = tuple(Latest)
_OUTCOMES = {outcome.name: outcome for outcome in Outcome}
_FRESHNESS = {level.name: Freshness(level) for level in Level}


def read_history(path: Path, tell: Callable[[str], None] = lambda _: None) -> History:
    """Open a file; its items are read as they are asked for, once. Raises HistoryError, then and now.

    `tell` is told what was left out: a last line that its writer did not live to end.
    """
    return parse_history(_lines_of(path, tell), str(path))


def _lines_of(path: Path, tell: Callable[[str], None]) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            before = 0
            for number, line in enumerate(file, start=1):
                if number > 1 and not line.endswith(b"\n") and not _is_json(line):
                    tell(f"{path}: line {number} was cut off while it was written, and is left out.")
                    return
                yield _decoded(line, path, before)
                before += len(line)
    except FileNotFoundError:
        raise HistoryError(f"{path}: there is no such file. Check the path.") from None
    except OSError as problem:
        raise HistoryError(f"{path}: cannot be read: {problem.strerror}.") from None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(line: bytes, path: Path, before: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as problem:
        raise HistoryError(f"{path}: byte {before + problem.start + 1} is not UTF-8 text.") from None


def parse_history(lines: Iterable[str], source: str) -> History:
    """Read a history from its lines; `source` is what to call them in messages."""
    numbered = enumerate(lines, start=1)
    first = next(numbered, None)
    if first is None:
        raise HistoryError(f"{source}: the file is empty; the first line must be a header.")
    header = _read_header(parse_line(first[1], source, 1))
    return History(header, _items(numbered, header, source))


def _read_header(fields: Fields) -> Header:
    if "bankbook_history" not in fields:
        fields.fail("bankbook_history", "is missing: the first line of a history is its header.")
    fields.allow(HEADER)
    if fields.integer("bankbook_history") != FORMAT:
        fields.fail("bankbook_history", f"must be {FORMAT}, the only version of the format so far.")
    accounts = fields.inner("accounts") if "accounts" in fields else None
    return Header(
        fields.text_or("cluster", "") or "",
        fields.integer("branches", 1, BRANCHES_MAX),
        _read_terms(fields.inner("others")) if "others" in fields else None,
        {} if accounts is None else {name: _read_terms(accounts.inner(name)) for name in accounts.names()},
        Latest(fields.word("latest", _LATEST)) if "latest" in fields else Latest.LINEARIZABLE,
    )


def _read_terms(fields: Fields) -> Terms:
    fields.allow(TERMS)
    floor = fields.integer_or("floor", None) if "floor" in fields else 0
    return Terms(fields.integer_or("balance", 0) or 0, floor)


def _items(lines: Iterable[tuple[int, str]], header: Header, source: str) -> Iterator[Item]:
    numbers: set[int] = set()
    ended: set[int] = set()
    asked: dict[int, Operation] = {}
    for line, text in lines:
        fields = parse_line(text, source, line)
        if "op" in fields:
            _refuse_after_the_end(fields, "op", ended)
            operation = _read_operation(fields, header)
            _refuse_twice(fields, "op", operation.number, numbers)
            asked.pop(operation.number, None)
            yield operation
        elif "asked" in fields:
            _refuse_after_the_end(fields, "asked", ended)
            operation = _read_asked(fields, header)
            if operation.number in numbers or operation.number in asked:
                _refuse_twice(fields, "asked", operation.number, {operation.number})
            asked[operation.number] = operation
        elif "fault" in fields:
            yield _read_fault(fields, header)
        elif "final" in fields:
            final = _read_final(fields, header)
            if final.branch in ended:
                fields.fail("final", f"must be another branch each time; {final.branch} came before.")
            ended.add(final.branch)
            yield final
        else:
            fields.fail(
                "op",
                "is missing, and so are `asked`, `fault` and `final`: every line after the first has one.",
            )
    # Whose end nobody wrote down.
    yield from asked.values()


def _refuse_after_the_end(fields: Fields, name: str, ended: set[int]) -> None:
    if ended:
        fields.fail(name, "comes after the final section. Record what the branches held at the end last.")


def _refuse_twice(fields: Fields, name: str, number: int, numbers: set[int]) -> None:
    if number in numbers:
        fields.fail(name, f"must be unique; {number} stands on an earlier line, too.")
    numbers.add(number)


def _read_asked(fields: Fields, header: Header) -> Operation:
    """Read a request that was going to be sent."""
    fields.allow(ASKED)
    return _request(fields, "asked", header)


def _request(fields: Fields, number: str, header: Header) -> Operation:
    """Read what stands in a line before anything is answered."""
    return Operation(
        number=fields.integer(number, 1),
        session=intern(fields.text("session")),
        branch=fields.integer("branch", 1, header.branches),
        call_us=fields.integer("call_us", 0),
        command=read_command(fields.inner("command")),
        customer=intern(fields.text_or("customer", "") or ""),
        freshness=_read_freshness(fields),
        guarantees=_read_guarantees(fields),
        key=fields.text("key") if "key" in fields else None,
        durable=fields.integer("durable", 0) if "durable" in fields else 0,
    )


def _read_operation(fields: Fields, header: Header) -> Operation:
    fields.allow(OPERATION)
    call_us = fields.integer("call_us", 0)
    return_us = fields.integer("return_us", call_us) if "return_us" in fields else None
    outcome = _OUTCOMES[fields.word("outcome", _OUTCOMES)] if "outcome" in fields else None
    if (outcome is None) is not (return_us is None):
        there, lacking = ("return_us", "outcome") if outcome is None else ("outcome", "return_us")
        fields.fail(there, f"needs `{lacking}` beside it; leave out both where no answer came.")
    operation = Operation(
        number=fields.integer("op", 1),
        session=intern(fields.text("session")),
        branch=fields.integer("branch", 1, header.branches),
        call_us=call_us,
        command=read_command(fields.inner("command")),
        return_us=return_us,
        outcome=outcome,
        customer=intern(fields.text_or("customer", "") or ""),
        freshness=_read_freshness(fields),
        guarantees=_read_guarantees(fields),
        key=fields.text("key") if "key" in fields else None,
        durable=fields.integer("durable", 0) if "durable" in fields else 0,
        balance=fields.integer_or("balance", None),
        available=fields.integer_or("available", None),
        entry=fields.text_or("entry", None),
        is_replayed=fields.truth("replayed", False),
        reservation=fields.text_or("reservation", None),
        results=tuple(map(_read_told, fields.objects("results"))) if "results" in fields else (),
        statement=_read_stated(fields.inner("statement")) if "statement" in fields else None,
    )
    command = operation.command
    if (
        isinstance(command, Batch)
        and outcome is Outcome.OK
        and len(command.commands) != len(operation.results)
    ):
        fields.fail("results", f"must have one result for each of the {len(command.commands)} commands.")
    return operation


def _read_freshness(fields: Fields) -> Freshness:
    if "freshness" not in fields:
        return SESSION
    freshness = _FRESHNESS[fields.word("freshness", _FRESHNESS)]
    if freshness.level is not Level.BOUNDED:
        return freshness
    return Freshness(Level.BOUNDED, fields.integer("bound_us", 0))


def _read_guarantees(fields: Fields) -> Guarantee:
    if "guarantees" not in fields:
        return Guarantee.ALL
    found = Guarantee.NONE
    for name in fields.words("guarantees", GUARANTEES):
        found |= GUARANTEES[name]
    return found


def _read_told(fields: Fields) -> Told:
    fields.allow(TOLD)
    return Told(
        _OUTCOMES[fields.word("outcome", _OUTCOMES)],
        fields.integer_or("balance", None),
        fields.integer_or("available", None),
        fields.text_or("reservation", None),
    )


def _read_stated(fields: Fields) -> Stated:
    fields.allow(STATED)
    return Stated(
        tuple(map(_read_line, fields.objects("lines"))),
        fields.integer_or("opening", None),
        fields.integer_or("closing", None),
        fields.truth("complete", True),
    )


def _read_line(fields: Fields) -> StatedLine:
    fields.allow(LINE)
    return StatedLine(
        fields.integer("amount"),
        fields.integer_or("balance", None),
        fields.text_or("entry", None),
        fields.text_or("memo", "") or "",
    )


def _read_fault(fields: Fields, header: Header) -> Fault:
    fields.allow(FAULT)
    at_us = fields.integer("at_us", 0)
    return Fault(
        FaultKind(fields.word("fault", _FAULTS)),
        fields.integer("branch", 1, header.branches),
        at_us,
        fields.integer_or("until_us", None, at_us),
        fields.integer("other", 1, header.branches) if "other" in fields else None,
    )


def _read_final(fields: Fields, header: Header) -> Final:
    fields.allow(FINAL)
    balances = fields.inner("balances")
    statements = fields.inner("statements") if "statements" in fields else None
    told = (
        {}
        if statements is None
        else {name: _read_stated(statements.inner(name)) for name in statements.names()}
    )
    for name in told:
        if name not in balances:
            fields.fail("statements", f"tells of {name}, whose balance `balances` does not tell.")
    return Final(
        fields.integer("final", 1, header.branches),
        {intern(name): balances.integer(name) for name in balances.names()},
        told,
    )
