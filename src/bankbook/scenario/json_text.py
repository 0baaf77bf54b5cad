"""From a JSON file to checked values, with errors that say where.

Decides what is readable: encoding, syntax, shapes, integers, names of fields. Must not know what any
field means. Both the scenario (parse.py) and the output (output.py) are read through it, so both speak
of a broken file in the same words.
Proof: tests/scenario/test_parse.py and tests/scenario/test_output.py.
"""

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from bankbook.core.types import ID_RULE, CustomerId, is_id

# Python itself refuses to read integers of more than 4,300 digits. Nothing here needs more than the 16
# digits of MONEY_MAX; up to this many, the error can name the field, beyond it only line and column.
INTEGER_DIGITS_MAX = 100

# Longer values are cut in messages: a message is to be read.
SHOWN_CHARACTERS_MAX = 60

# A name this much like a known one is worth a "did you mean" (difflib's own default).
LIKENESS_MIN = 0.6


class BadFileError(ValueError):
    """A file cannot be used. The message says where, what was expected, what is there, what to do.

    BadFileError
    ├── ScenarioError  (parse.py)   the input
    └── OutputError    (output.py)  the output
    """


@dataclass(frozen=True, slots=True)
class NotInteger:
    """A JSON number that is no integer, as it is written: 10.5, 1e3, NaN."""

    text: str


@dataclass(frozen=True, slots=True)
class _Members:
    """A JSON object before anybody asked for its fields."""

    pairs: tuple[tuple[str, "Json"], ...]


Json: TypeAlias = "bool | int | str | NotInteger | list[Json] | _Members | None"


@dataclass(frozen=True, slots=True)
class Document:
    """One text and how to complain about it."""

    source: str
    """What to call it in messages, usually its path."""
    error: type[BadFileError]


@dataclass(frozen=True, slots=True)
class Node:
    """One value and where it stands."""

    document: Document
    value: Json
    parent: "Node | None" = None
    label: str = ""
    """Its place within its parent: `record 3` or the name of a field."""
    is_field: bool = False

    @property
    def place(self) -> str:
        """Where to look: `record 3, event 2`, without the name of the field itself."""
        here = [] if self.is_field or not self.label else [self.label]
        above = self.parent.place if self.parent else ""
        return ", ".join([above, *here] if above else here)

    def fail(self, message: str) -> NoReturn:
        """Refuse this value."""
        where = f"{self.document.source}: {self.place}" if self.place else self.document.source
        raise self.document.error(f"{where}: {message}")

    def refuse(self, expected: str, advice: str = "") -> NoReturn:
        """Refuse this value, which is not what was `expected`."""
        name = f"`{self.label}`" if self.is_field else ("this" if self.parent else "the file")
        self.fail(f"{name} must be {expected}, not {shown(self.value)}.{' ' + advice if advice else ''}")

    def items(self, each: str, expected: str) -> Iterator["Node"]:
        """Go through an array, whose elements are called `each` 1, 2, ..."""
        if not isinstance(self.value, list):
            self.refuse(expected)
        for index, value in enumerate(self.value, start=1):
            yield Node(self.document, value, self, f"{each} {index}")

    def fields(self, expected: str) -> "Fields":
        """Open an object, in which no field may stand twice."""
        if not isinstance(self.value, _Members):
            self.refuse(expected)
        members: dict[str, Node] = {}
        for name, value in self.value.pairs:
            if name in members:
                self.fail(f"`{_cut(name)}` stands in one object twice. Remove one of the two.")
            members[name] = Node(self.document, value, self, name, True)
        return Fields(self, members)

    def integer(self, expected: str, low: int | None = None, high: int | None = None) -> int:
        """Read an integer between `low` and `high`, both included."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(expected, _integer_advice(value))
        if (low is not None and value < low) or (high is not None and value > high):
            self.refuse(expected)
        return value

    def text(self, expected: str) -> str:
        """Read a string."""
        if not isinstance(self.value, str):
            self.refuse(expected)
        return self.value

    def boolean(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            self.refuse("true or false")
        return self.value

    def one_of(self, known: Iterable[str]) -> str:
        """Read a string that is one of the `known` ones."""
        names = list(known)
        if not isinstance(self.value, str) or self.value not in names:
            self.refuse(f"one of {', '.join(names)}", did_you_mean(self.value, names))
        return self.value

    def customer_id(self) -> tuple[CustomerId, int | str]:
        """Read a customer's id, a number or a string: as the bank calls it, and as the file does."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | str) or not is_id(str(value)):
            self.refuse(f"a customer's id, a number or a string of {ID_RULE}")
        return CustomerId(str(value)), value


@dataclass(frozen=True, slots=True)
class Fields:
    """An object's fields, to be asked for by name."""

    node: Node
    _members: dict[str, Node]

    def get(self, name: str) -> Node | None:
        """Find a field that may be missing."""
        return self._members.get(name)

    def need(self, name: str) -> Node:
        """Find a field that must be there."""
        found = self._members.get(name)
        if found is None:
            self.node.fail(f"`{name}` is missing. {self._names()}")
        return found

    def allow(self, *known: str) -> None:
        """Refuse every field that is not `known`."""
        for name, field in self._members.items():
            if name not in known:
                hint = did_you_mean(name, known)
                field.fail(
                    f"unknown field `{name}`.{' ' + hint if hint else ''} Known are {', '.join(known)}."
                )

    def _names(self) -> str:
        if not self._members:
            return "The object is empty."
        return f"There is only {', '.join(f'`{name}`' for name in self._members)}."


def read_json(path: Path, error: type[BadFileError]) -> Node:
    """Read a file. Raises `error`."""
    return parse_json(read_text(path, error), Document(str(path), error))


def read_text(path: Path, error: type[BadFileError]) -> str:
    """Read a UTF-8 file, with or without a byte order mark. Raises `error`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise error(f"{path}: this is a directory; a JSON file is needed.") from None
    except UnicodeDecodeError as problem:
        raise error(f"{path}: byte {problem.start + 1} is not UTF-8 text. Save the file as UTF-8.") from None
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise error(f"{path}: cannot be read: {reason}.") from None


def parse_json(text: str, document: Document) -> Node:
    """Parse a whole JSON text."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise document.error(f"{document.source}: the file is empty; a JSON array is needed.")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=NotInteger,
            parse_constant=NotInteger,
        )
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise document.error(f"{document.source}: {where}: this is not JSON: {problem.msg}.") from None
    except _HugeIntegerError as problem:
        where = _line_and_column(text, text.find(str(problem)))
        raise document.error(
            f"{document.source}: {where}: a number of {len(str(problem))} characters is too large; "
            f"no number here needs more than {INTEGER_DIGITS_MAX}."
        ) from None
    except RecursionError:
        raise document.error(
            f"{document.source}: the brackets are nested too deeply; five levels are all that is needed."
        ) from None
    return Node(document, value)


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """Name the known word most like `value`, in a sentence; nothing if none is."""
    if not isinstance(value, str):
        return ""
    alike = difflib.get_close_matches(value.lower(), list(known), n=1, cutoff=LIKENESS_MIN)
    return f"Did you mean {alike[0]}?" if alike else ""


def shown(value: Json) -> str:
    """Show a value in a message."""
    match value:
        case _Members():
            return "an object"
        case list():
            return "an array"
        case NotInteger(text):
            return _cut(text)
        case _:
            return _cut(json.dumps(value, ensure_ascii=False))


class _HugeIntegerError(Exception):
    pass


def _members(pairs: list[tuple[str, Json]]) -> _Members:
    return _Members(tuple(pairs))


def _integer(text: str) -> int:
    if len(text) > INTEGER_DIGITS_MAX:
        raise _HugeIntegerError(text)
    return int(text)


def _integer_advice(value: Json) -> str:
    if isinstance(value, NotInteger):
        return _whole_part_advice(value.text)
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return f"Write {_cut(value.strip())} without the quotation marks."
    return ""


def _whole_part_advice(text: str) -> str:
    whole, _, fraction = text.partition(".")
    if fraction and not fraction.strip("0"):
        return f"Write {_cut(whole)}."
    return "Write it as an integer of the smallest unit (cents, not euros)." if fraction.isdecimal() else ""


def _line_and_column(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return f"line {line}, column {column}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."
