"""One line of a history as checked fields, with errors that name the line and the field.

Decides shapes: objects, integers, words. Must not know what any field means (file.py).
Proof: tests/history/test_file.py.
"""

import difflib
import json
from collections.abc import Collection, Iterable
from typing import Any, NoReturn

# An int64, as Bankbook's own balances; whatever other systems count fits too.
INTEGER_MAX = 2**63 - 1

# Longer values are cut in messages: a message is to be read.
SHOWN_CHARACTERS_MAX = 60


class HistoryError(ValueError):
    """A history cannot be read. The message says where, what was expected, what is there, what to do."""


class Fields:
    """One JSON object of a line."""

    __slots__ = ("_line", "_source", "_values", "_where")

    def __init__(self, values: dict[str, Any], source: str, line: int, where: tuple[str, ...] = ()) -> None:
        self._values = values
        self._source = source
        self._line = line
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def fail(self, name: str, message: str) -> NoReturn:
        """Refuse a field."""
        place = ".".join((*self._where, name))
        raise HistoryError(f"{self._source}: line {self._line}: `{place}` {message}")

    def _missing(self, name: str) -> NoReturn:
        there = ", ".join(f"`{other}`" for other in self._values) or "nothing"
        self.fail(name, f"is missing; there is {there}.")

    def allow(self, known: frozenset[str]) -> None:
        """Refuse every field that is not `known`."""
        if self._values.keys() <= known:
            return
        name = next(name for name in self._values if name not in known)
        hint = did_you_mean(name, known)
        self.fail(name, f"is not a field here.{hint} Known are {', '.join(sorted(known))}.")

    def integer(self, name: str, low: int = -INTEGER_MAX, high: int = INTEGER_MAX) -> int:
        """Read an integer that must be there."""
        value = self._values.get(name)
        if type(value) is int and low <= value <= high:
            return value
        if name not in self._values:
            self._missing(name)
        return self.fail(name, f"must be an integer from {low} to {high}, not {shown(value)}.")

    def integer_or(self, name: str, default: int | None, low: int = -INTEGER_MAX) -> int | None:
        """Read an integer that may be missing or null."""
        return default if self._values.get(name) is None else self.integer(name, low)

    def text(self, name: str) -> str:
        """Read a string that must be there, and not be empty."""
        value = self._values.get(name)
        if type(value) is str and value:
            return value
        if name not in self._values:
            self._missing(name)
        return self.fail(name, f"must be a string that is not empty, not {shown(value)}.")

    def text_or(self, name: str, default: str | None) -> str | None:
        """Read a string that may be missing or null."""
        value = self._values.get(name)
        if value is None:
            return default
        if type(value) is not str:
            self.fail(name, f"must be a string, not {shown(value)}.")
        return value

    def word(self, name: str, known: Collection[str]) -> str:
        """Read a string that is one of the `known` ones."""
        value = self._values.get(name)
        if type(value) is str and value in known:
            return value
        if name not in self._values:
            self._missing(name)
        hint = did_you_mean(value, known)
        return self.fail(name, f"must be one of {', '.join(known)}, not {shown(value)}.{hint}")

    def truth(self, name: str, default: bool) -> bool:
        """Read true or false; it may be missing."""
        value = self._values.get(name, default)
        if type(value) is not bool:
            self.fail(name, f"must be true or false, not {shown(value)}.")
        return value

    def inner(self, name: str) -> "Fields":
        """Read an object that must be there."""
        if name not in self._values:
            self._missing(name)
        return self._open(self._values[name], name)

    def objects(self, name: str) -> list["Fields"]:
        """Read an array of objects."""
        value = self._values.get(name, [])
        if type(value) is not list:
            self.fail(name, f"must be an array, not {shown(value)}.")
        return [self._open(each, f"{name}[{index}]") for index, each in enumerate(value)]

    def words(self, name: str, known: Collection[str]) -> list[str]:
        """Read an array of `known` strings."""
        value = self._values.get(name)
        if type(value) is not list:
            self.fail(name, f"must be an array, not {shown(value)}.")
        for each in value:
            if type(each) is not str or each not in known:
                hint = did_you_mean(each, known)
                self.fail(name, f"may name {', '.join(known)}, and not {shown(each)}.{hint}")
        return value

    def integers(self, name: str, count: int) -> list[int]:
        """Read an array of so many integers."""
        value = self._values.get(name)
        if type(value) is not list or len(value) != count or any(type(each) is not int for each in value):
            self.fail(name, f"must be an array of {count} integers, not {shown(value)}.")
        return value

    def names(self) -> Iterable[str]:
        """Return the names of all fields."""
        return self._values

    def _open(self, value: object, name: str) -> "Fields":
        if type(value) is not dict:
            self.fail(name, f"must be an object, not {shown(value)}.")
        return Fields(value, self._source, self._line, (*self._where, name))


class _TwiceError(Exception):
    pass


def parse_line(text: str, source: str, line: int) -> Fields:
    """Parse one line. Raises HistoryError."""
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as problem:
        where = f"{source}: line {line}, column {problem.colno}"
        raise HistoryError(f"{where}: this is not JSON: {problem.msg}.") from None
    except _TwiceError as problem:
        raise HistoryError(f"{source}: line {line}: `{problem}` stands in one object twice.") from None
    except (RecursionError, ValueError) as problem:
        raise HistoryError(f"{source}: line {line}: this cannot be read: {problem}.") from None
    if type(value) is not dict:
        raise HistoryError(f"{source}: line {line}: each line must be an object, not {shown(value)}.")
    return Fields(value, source, line)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return members


_decoder = json.JSONDecoder(object_pairs_hook=_members)


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """Name the known word most like `value`, in a sentence; nothing if none is."""
    if not isinstance(value, str):
        return ""
    spellings = {name.lower(): name for name in known}
    alike = difflib.get_close_matches(value.lower(), spellings, n=1)
    return f" Did you mean {spellings[alike[0]]}?" if alike else ""


def shown(value: object) -> str:
    """Show a value in a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."
