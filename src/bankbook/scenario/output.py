"""What came of a scenario, in the original system's format: written whole or not at all, and read back.

Decides how results are spelled and when a file counts as written. Must not know whether a result can be
right (checker.py).
Proof: tests/scenario/test_output.py.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.scenario.json_text import BadFileError, Document, Fields, Node, parse_json, read_json
from bankbook.scenario.model import ANYWHERE, BY_THEMSELVES, Customer, Event, Interface


class OutputError(BadFileError):
    """The output cannot be written, removed or read."""


@dataclass(frozen=True, slots=True)
class EventResult:
    """What came of one event."""

    event: Event
    balance: Money | None
    """What a successful query read; None for everything else."""
    reason: str | None
    """Why it did not succeed, e.g. INSUFFICIENT_FUNDS; None if it did."""

    def __post_init__(self) -> None:
        assert (self.balance is not None) == (self.event.interface is Interface.QUERY and self.reason is None)


@dataclass(frozen=True, slots=True)
class CustomerResults:
    """What came of one customer's events, in their order."""

    customer: Customer
    results: tuple[EventResult, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One event's result as an output file has it."""

    customer: CustomerId
    interface: Interface
    branch: BranchId
    balance: Money | None
    """What a successful query read; None for everything else. May be negative: the file said so."""
    reason: str | None
    """Why it did not succeed; None if it did."""
    place: str
    """Where it stands in the file: `record 3, result 1`."""


def render(results: Iterable[CustomerResults]) -> str:
    """Spell results in the original format: a JSON array, one record per event, one record per line."""
    lines = [_line(each.customer, result) for each in results for result in each.results]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def write_whole(path: Path, text: str) -> None:
    """Put `text` at `path` in one step, whatever happens meanwhile; make the folder if need be.

    Raises OutputError, and then nothing has changed at `path`.
    """
    with writing_whole(path) as file:
        file.write(text)


@contextlib.contextmanager
def writing_whole(path: Path) -> Iterator[TextIO]:
    """Put what the caller writes at `path` in one step; make the folder if need be.

    Raises OutputError where that fails, also for an OSError or ValueError of the caller's; after any error
    nothing has changed at `path`.
    """
    complaint = _complaint_about(path, None)
    if complaint is not None:
        raise OutputError(f"{path}: {complaint}")
    with _temporary_beside(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        temporary.replace(path)


def remove_stale(path: Path, *, input_path: Path | None = None) -> None:
    """Remove an earlier output, so that it cannot be taken for a new one, and try whether one can be written.

    Neither the input nor what is no plain file, such as /dev/stdout, is taken for an earlier output.
    Raises OutputError.
    """
    try:
        complaint = _complaint_about(path, input_path)
        if complaint is None:
            path.unlink(missing_ok=True)
    except (OSError, ValueError) as problem:
        raise OutputError(
            f"{path}: the earlier output cannot be removed: {_because(problem)}. "
            "Remove it, or name another file."
        ) from None
    if complaint is not None:
        raise OutputError(f"{path}: {complaint}")
    with _temporary_beside(path) as temporary:
        temporary.write_text("")


def _complaint_about(path: Path, input_path: Path | None) -> str | None:
    if path.is_dir():
        return "this is a directory; the output needs the name of a file."
    if path.exists() and not path.is_file():
        return "this is no plain file; the output, which takes the place of an earlier one, needs one."
    if input_path is not None and path.exists() and input_path.exists() and path.samefile(input_path):
        return "this is the input, and would be lost; the output needs a name of its own."
    return None


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Name a file in the same folder, which is made if need be; nothing is left there. Raises OutputError."""
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as problem:
        raise OutputError(f"{path}: the output cannot be written: {_because(problem)}.") from None


def read_output(path: Path) -> tuple[Record, ...]:
    """Read an output file, one record per event or grouped per customer. Raises OutputError."""
    return _records(read_json(path, OutputError))


def parse_output(text: str, *, source: str) -> tuple[Record, ...]:
    """Read an output from its text; `source` is what messages call it. Raises OutputError."""
    return _records(parse_json(text, Document(source, OutputError)))


def _line(customer: Customer, result: EventResult) -> str:
    event = result.event
    said: dict[str, int | str] = {"interface": event.interface}
    if event.interface not in BY_THEMSELVES:
        said["branch"] = ANYWHERE if event.branch is None else event.branch
    if result.reason is not None:
        said |= {"result": "fail", "reason": result.reason}
    elif result.balance is not None:
        said["balance"] = result.balance
    else:
        said["result"] = "success"
    return json.dumps({"id": customer.output_id, "recv": [said]}, separators=(",", ":"))


def _because(problem: OSError | ValueError) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)


def _records(root: Node) -> tuple[Record, ...]:
    return tuple(
        record for node in root.items("record", "an array of records") for record in _customer_records(node)
    )


def _customer_records(node: Node) -> list[Record]:
    fields = node.fields('an object such as {"id": 1, "recv": [...]}')
    fields.allow("id", "recv")
    customer, _ = fields.need("id").customer_id()
    return [
        _record(result, customer) for result in fields.need("recv").items("result", "an array of results")
    ]


def _record(node: Node, customer: CustomerId) -> Record:
    fields = node.fields("an object that gives a result")
    fields.allow("interface", "branch", "result", "balance", "reason")
    interface = Interface(fields.need("interface").one_of(Interface))
    reason = _reason(fields)
    return Record(
        customer=customer,
        interface=interface,
        branch=BranchId(fields.need("branch").integer("the number of a branch")),
        balance=_balance(fields, interface, succeeded=reason is None),
        reason=reason,
        place=node.place,
    )


def _reason(fields: Fields) -> str | None:
    result, reason = fields.get("result"), fields.get("reason")
    if result is not None and result.one_of(("success", "fail")) == "fail":
        return fields.need("reason").text("a word such as INSUFFICIENT_FUNDS")
    if reason is not None:
        reason.fail('`reason` belongs only to `"result": "fail"`.')
    return None


def _balance(fields: Fields, interface: Interface, *, succeeded: bool) -> Money | None:
    if interface is Interface.QUERY and succeeded:
        return Money(fields.need("balance").integer("an integer"))
    unexpected = fields.get("balance")
    if unexpected is not None:
        unexpected.fail("`balance` belongs only to a query that succeeded.")
    if succeeded:
        fields.need("result")
    return None
