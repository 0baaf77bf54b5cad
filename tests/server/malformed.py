"""Requests that no well-behaved client sends, as bytes: wrong in every field, damaged, or nothing at all."""

import random
import struct
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bankbook.core.token import Token, TokenCodec
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import VersionVector

if TYPE_CHECKING:
    from collections.abc import Callable

# What a well-behaved client sends, so that what is wrong is met beyond the first check.
_GOOD_TEXTS = {
    "customer": ["ada", "bob"],
    "account": ["ada", "bob", "-7"],
    "source": ["ada"],
    "destination": ["bob"],
    "interface": ["query", "deposit", "withdraw"],
    "reservation": ["1.0badcafe-17-0", "2.0badcafe-17-0", "9.0badcafe-9999999999999999999-99999"],
    "key": ["", "1/a", "1/b", "c", "d"],
}
_GOOD_NUMBERS = [0, 1, 2, 1000, 2**53 - 1]
_FEW = {"durable", "guarantees", "lines_max", "milliseconds"}
# What a command inside of a batch has not.
_ENVELOPE = {"session", "freshness", "key", "durable"}

# Lists and strings of this size are rare, or nothing else would be sent.
_HUGE = 100_000
_HUGE_SHARE = 0.01

_TEXTS = [
    "",
    "ada",
    "bob",
    "a" * 64,
    "a" * 65,
    "1/a",
    "2/a",
    "0/a",
    "256/a",
    "257/a",
    "1/1/a",
    "\u0661/a",
    "\0",
    "a\0b",
    "line\nbreak",
    "\u202eadmin",
    "\U0001f4b0" * 40,
    "'; DROP TABLE account; --",
    "../../etc/passwd",
    "%s%n{0.__class__}",
    "1.00000000-0-0",
    "1.ffffffff-9223372036854775808-99999",
    "1.0badcafe-9999999999999999999-0",
    "2.0badcafe-17-0",
    "256.0badcafe-17-0",
    "999.0badcafe-17-0",
    "1.0badcafe-\u0661-0",
    "query",
    "withdraw",
    "propagate_deposit",
]
_NUMBERS = [
    0,
    1,
    2,
    7,
    255,
    1000,
    8192,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
_PAGE = struct.Struct(">BqHIqI")

_INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}


class Malformed:
    """Makes messages and bytes, the same ones from the same seed."""

    def __init__(self, seed: int, cluster: str) -> None:
        self.chance = random.Random(seed)  # noqa: S311  (a test's dice)
        self._good = 0.0
        """How many of a message's fields are well-formed."""
        self._has_huge = False
        """Whether a message has its one huge part already, or is to have none."""
        self._codecs = [TokenCodec(cluster), TokenCodec("foreign"), TokenCodec(cluster, b"a key of nobody's")]
        self._fields: dict[int, Callable[[], Any]] = {
            FieldDescriptor.TYPE_BYTES: self._blob,
            FieldDescriptor.TYPE_BOOL: lambda: self.chance.random() < 0.5,
        }

    def encoded(self, descriptor: Descriptor) -> bytes:
        """Return what is sent as a message of this type."""
        dice = self.chance.random()
        if dice < 0.1:
            return self.chance.randbytes(self.chance.choice([1, 3, 20, 300]))
        self._good = self.chance.choice([0.0, 0.9, 0.95, 1.0])
        self._has_huge = self.chance.random() > _HUGE_SHARE
        encoded = self.message(descriptor).SerializeToString()
        return self._damaged(encoded) if dice < 0.3 else encoded

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """Return a message of this type with anything in its fields."""
        message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            is_left_out = depth > 1 and field.name in _ENVELOPE and self._is_good()
            if self.chance.random() < 0.8 and not is_left_out:
                self._fill(message, field, depth)
        return message

    def _text(self, name: str) -> str:
        if self._is_good():
            return self.chance.choice(_GOOD_TEXTS.get(name, [""]))
        return "x" * _HUGE if self._turns_huge() else self.chance.choice(_TEXTS)

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if not field.is_repeated:
            value = self._value(field, depth)
            if isinstance(value, Message):
                getattr(message, field.name).CopyFrom(value)
            else:
                setattr(message, field.name, value)
        elif depth < 3:
            repeated = getattr(message, field.name)
            length = self._length(depth)
            repeated.extend([self._value(field, depth)] * length)

    def _length(self, depth: int) -> int:
        return _HUGE if depth == 0 and self._turns_huge() else self.chance.choice([0, 1, 2, 3])

    def _turns_huge(self) -> bool:
        """Return whether something is huge; at most one thing of a message, or it would be so squared."""
        turns, self._has_huge = not self._has_huge, True
        return turns

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            assert field.message_type is not None
            return self.message(field.message_type, depth + 1)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field.name)
        if field.type in self._fields:
            return self._fields[field.type]()
        if field.name in _FEW and self._is_good():
            return 1
        return self._number(*_INTEGERS[field.type])

    def _is_good(self) -> bool:
        return self.chance.random() < self._good

    def _number(self, low: int, high: int) -> int:
        if self._is_good():
            return min(self.chance.choice(_GOOD_NUMBERS), high)
        number = self.chance.choice(_NUMBERS) * self.chance.choice([1, 1, -1])
        return (
            number
            if low <= number <= high
            else self.chance.choice([low, high, self.chance.randint(low, high)])
        )

    def _damaged(self, encoded: bytes) -> bytes:
        place = self.chance.randrange(len(encoded) + 1)
        return self.chance.choice(
            [
                encoded[:place],
                encoded[:place] + self.chance.randbytes(3) + encoded[place:],
                encoded + encoded[:place],
            ]
        )

    def _blob(self) -> bytes:
        """Return something to stand where a token or the page of a statement should."""
        dice = self.chance.random()
        if dice < 0.3 or self._is_good():
            return b""
        if dice < 0.5:
            return self._page()
        if dice < 0.55:
            return self._token() * 1000
        token = self._token()
        return token if dice < 0.7 else self._damaged(token)

    def _token(self) -> bytes:
        codec = self.chance.choice(self._codecs)
        return codec.encode(Token(self._vector(), self._vector()))

    def _vector(self) -> VersionVector:
        length = self.chance.choice([0, 1, 2, 50])
        return VersionVector((self._origin(), Seq(self._number(1, 2**63 - 1))) for _ in range(length))

    def _origin(self) -> Origin:
        branch = self.chance.choice([1, 2, 3, 256])
        return Origin(BranchId(branch), Incarnation(self.chance.randint(1, 2**32 - 1)))

    def _page(self) -> bytes:
        """Return the page of a statement, with anything for clock, branch, incarnation, seq and leg."""
        numbers = [
            (-(2**63), 2**63 - 1),
            (0, 2**16 - 1),
            (0, 2**32 - 1),
            (-(2**63), 2**63 - 1),
            (0, 2**32 - 1),
        ]
        return _PAGE.pack(self.chance.choice([0, 1, 1, 1, 2]), *(self._number(*each) for each in numbers))
