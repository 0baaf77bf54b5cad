"""How a line of a trace is taken apart: by the usage that describes its command.

Decides what an argument may look like, and what is said where one is wrong. Must not know what a command
does. Proof: tests/core/test_traces.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from bank_in_one_thread import SECOND
from traces.bank import Chatter, DiesAt, Link
from traces.words import named_origin, named_reservation

from bankbook.core.commands import LATEST, LOCAL, SESSION, Freshness, Level
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import is_id, is_key

Arguments = dict[str, Any]


class TraceError(Exception):
    """This line of a trace cannot be carried out; the message says why and what would be right."""


class Usage(NamedTuple):
    """One command of the language."""

    text: str
    """Its name, then what it takes: PLACE by its place, name=KIND by its name; in [] what may be left out."""
    meaning: str
    do: Callable[..., None]


def parse(described: Usage, words: list[str]) -> Arguments:
    """Return the arguments that `words` give a command. Raises TraceError."""
    places, names = _taken(described)
    arguments: Arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            if name not in names:
                raise TraceError(f"there is no {name}=; the usage is: {described.text}")
            kind = names[name][0]
        else:
            left = [place for place in places if place.lower() not in arguments]
            if not left:
                raise TraceError(f"{word!r} is too much; the usage is: {described.text}")
            name, kind, value = left[0].lower(), left[0], word
        if name in arguments:
            raise TraceError(f"{name}= stands twice")
        arguments[name] = _convert(kind, value)
    needed = [place for place, is_needed in places.items() if is_needed and place.lower() not in arguments]
    needed += [f"{name}=" for name, (_, is_needed) in names.items() if is_needed and name not in arguments]
    if needed:
        raise TraceError(f"{needed[0]} is missing; the usage is: {described.text}")
    return arguments


def _taken(described: Usage) -> tuple[dict[str, bool], dict[str, tuple[str, bool]]]:
    """Return what is taken by place, and by name with its kind; of each, whether it is needed."""
    places: dict[str, bool] = {}
    names: dict[str, tuple[str, bool]] = {}
    for word in described.text.split()[1:]:
        is_needed, bare = not word.startswith("["), word.strip("[]")
        name, equals, kind = bare.partition("=")
        if equals:
            names[name] = (kind, is_needed)
        else:
            places[bare] = is_needed
    return places, names


def _convert(kind: str, value: str) -> object:
    try:
        return _KINDS[kind](value)
    except (ValueError, KeyError) as error:
        raise TraceError(f"{value!r} is no {kind}: {_RULES.get(kind) or error}") from error


def _duration(text: str) -> int:
    number, unit = (text[:-2], 1000) if text.endswith("ms") else (text[:-1], SECOND)
    if not text.endswith("s"):
        raise ValueError(text)
    return int(float(number) * unit)


def _link(text: str, sign: str = "->") -> Link:
    sender, receiver = (int(part) for part in text.split(sign))
    if sender == receiver:
        raise ValueError(text)
    return Link(sender, receiver)


def _name(text: str) -> str:
    if not is_id(text):
        raise ValueError(text)
    return text


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError(text)
    return text


def _level(text: str) -> Freshness:
    name, colon, bound = text.partition(":")
    if colon:
        return Freshness({"BOUNDED": Level.BOUNDED}[name], _duration(bound))
    return {"LOCAL": LOCAL, "SESSION": SESSION, "LATEST": LATEST}[name]


def _guarantees(text: str) -> Guarantee:
    found = Guarantee.NONE
    for name in text.split("+"):
        found |= Guarantee[name]
    return found


def _floor(text: str) -> int | None:
    return None if text == "none" else int(text)


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


_KINDS: dict[str, Callable[[str], object]] = {
    "ACCOUNT": _name,
    "AMOUNT": int,
    "BALANCE": _floor,
    "BRANCH": int,
    "CHATTER": lambda text: frozenset(Chatter(name) for name in text.split("+")),
    "COUNT": _positive,
    "CUSTOMER": _name,
    "DESTINATION": _name,
    "DURATION": _duration,
    "GUARANTEES": _guarantees,
    "KEY": _key,
    "LEVEL": _level,
    "LINE": lambda text: Link(*sorted(_link(text, "-"))),
    "LINK": _link,
    "NAME": str,
    "MOMENT": DiesAt,
    "NO": {"no": False}.__getitem__,
    "NUMBER": _positive,
    "RESERVATION": named_reservation,
    "SOURCE": _name,
    "STORE": named_origin,
    "SUBJECT": str,
    "TOKEN": str,
    "YES": {"yes": True}.__getitem__,
}
_RULES = {
    "AMOUNT": "it is a number, such as 50",
    "BALANCE": "it is a number, or none",
    "BRANCH": "it is the number of a branch, such as 2",
    "CHATTER": f"it is one or more of {'+'.join(each.value for each in Chatter)}",
    "COUNT": "it is a number from 1 on",
    "NUMBER": "it is a number from 1 on",
    "DURATION": "it is such as 500ms or 2s",
    "GUARANTEES": f"it is one or more of {'+'.join(str(each.name) for each in Guarantee)}, or NONE or ALL",
    "KEY": "it is such as rent, or 1/rent with the branch of its birth",
    "LEVEL": "it is LOCAL, SESSION, LATEST, or such as BOUNDED:2s",
    "LINE": "it is such as 1-3, for both directions",
    "LINK": "it is such as 1->3, for one direction",
    "MOMENT": f"it is {' or '.join(each.value for each in DiesAt)}",
    "NO": "it is no, or left out",
    "YES": "it is yes, or left out",
}
