"""Ids, money and their bounds: the words every other module is written in.

Decides what a well-formed id or amount is. Must not know what is done with them.
Proof: tests/core/test_types.py.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, NewType
from zlib import crc32

BranchId = NewType("BranchId", int)
"""The number of a branch, from 1."""

Incarnation = NewType("Incarnation", int)
"""One life of a branch's store: a random 32-bit number, drawn when the store is created."""

Seq = NewType("Seq", int)
"""The place of an entry in its origin's log, contiguous from 1; 0 is before the first."""

AccountId = NewType("AccountId", str)
CustomerId = NewType("CustomerId", str)

Money = NewType("Money", int)
"""An integer number of minor units. No float ever comes near it."""


class Origin(NamedTuple):
    """The writer of one log: a branch in one of its incarnations."""

    branch: BranchId
    incarnation: Incarnation

    def __str__(self) -> str:
        return f"{self.branch}.{self.incarnation:08x}"

    @property
    def code(self) -> int:
        """It as one int64, which is ordered as origins are."""
        return _code_of(self.branch, self.incarnation)

    @classmethod
    def of_code(cls, code: int) -> "Origin":
        """Return the origin with this code."""
        return cls(branch_of_code(code), Incarnation(code & INCARNATION_MAX))


INCARNATION_BITS = 32
"""Of an origin's code: the others, in front of them, are its branch."""

# More logs than a bank has. Thousands of rows have the same few numbers, which are compared at each change:
# where they are the same objects too, that takes no look at a memory that is in no cache.
_CODES_REMEMBERED = 4096


@lru_cache(_CODES_REMEMBERED)
def _code_of(branch: int, incarnation: int) -> int:
    return branch << INCARNATION_BITS | incarnation


def branch_of_code(code: int) -> BranchId:
    """Return the branch of the origin with this code."""
    return code >> INCARNATION_BITS  # type: ignore[return-value]  # no call for each of thousands


class EntryId(NamedTuple):
    """The place of one entry in the bank."""

    origin: Origin
    seq: Seq

    def __str__(self) -> str:
        return f"{self.origin}#{self.seq}"


Key = NewType("Key", str)
"""An idempotency key: the client's name for one request, kept before it is sent (see KEY_RULE)."""

ReservationId = NewType("ReservationId", str)
"""The name of a reservation; its branch can be read from it (see `reservation_id`)."""


# The largest integer that every JSON reader keeps exact (RFC 8259, section 6). One branch never takes
# an account beyond it. Branches that decide at the same time, without seeing each other, can together
# reach at most (number of branches) times it, which stays within int64 as long as BRANCHES_MAX <= 511.
MONEY_MAX = Money(2**53 - 1)

# The largest balance that bankbook.v1 can tell: an int64. Above MONEY_MAX it can only get by deposits at
# branches that did not see each other; it is told and can be taken out all the same.
BALANCE_MAX = Money(2**63 - 1)

# Every branch keeps a stream to every other one: 256 branches are 65,280 streams, more than anybody
# runs, and far below what MONEY_MAX allows.
BRANCHES_MAX = 256

INCARNATION_MAX = 2**32 - 1

# One more than a log of a million entries a second for 290,000 years.
SEQ_MAX = 2**63 - 1

# Long enough for a UUID with a prefix or an e-mail address, short enough to be a key in an index.
ID_CHARACTERS_MAX = 64

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*")
_IDS = re.compile(rf"(?:[A-Za-z0-9][A-Za-z0-9._:@+-]{{0,{ID_CHARACTERS_MAX - 1}}}\n)*")

ID_RULE = (
    f"1 to {ID_CHARACTERS_MAX} characters: letters, digits and . _ : @ + -, "
    "the first of them a letter or a digit"
)


def is_id(text: str) -> bool:
    """Whether `text` can name an account or a customer (see ID_RULE)."""
    return len(text) <= ID_CHARACTERS_MAX and _ID.fullmatch(text) is not None


def are_ids(texts: Sequence[str]) -> bool:
    """Whether each can name an account or a customer: one expression for thousands of them."""
    lines = "\n".join([*texts, ""])
    return lines.count("\n") == len(texts) and _IDS.fullmatch(lines) is not None


# A key is an id, behind the number of the branch where it was born if whoever made it knew one.
KEY_CHARACTERS_MAX = ID_CHARACTERS_MAX + len(f"{BRANCHES_MAX}/")

KEY_RULE = f"an id ({ID_RULE}), with or without the number of a branch and / before it, such as 2/order-17"


def is_key(text: str) -> bool:
    """Whether `text` can be an idempotency key (see KEY_RULE)."""
    before, slash, name = text.rpartition("/")
    return is_id(name) and (not slash or (_is_number(before) and is_branch_number(int(before))))


# Of a key that nobody made up: when, in milliseconds by any clock that only rises, and what was drawn, enough
# that no two are the same and none can be guessed. As many hexadecimal digits together as a UUID has.
_MADE_BITS, KEY_DRAWN_BITS = 48, 80


def new_key(branch: int, made_ms: int, drawn: int) -> Key:
    """Return a key of a branch; `drawn` is a number of KEY_DRAWN_BITS.

    Keys that are made one after the other stand one after the other in a store, which keeps them in their
    order: a commit writes one page of them. Drawn altogether, each would be on a page of its own, of more and
    more that are not in memory.

    Source: Davis, Peabody and Leach, "Universally Unique IDentifiers" (RFC 9562), section 5.7.
    """
    return Key(f"{branch}/{made_ms % 2**_MADE_BITS:012x}{drawn:020x}")


def birth_branch(key: Key, branches: tuple[BranchId, ...]) -> BranchId:
    """Return the branch where `key` was born: the one it names, or else the one its checksum falls on.

    So a caller who makes up a key and names no branch comes to the same one from every process.
    """
    before, slash, _ = key.rpartition("/")
    if slash and BranchId(int(before)) in branches:
        return BranchId(int(before))
    return chosen_branch(key, branches)


def chosen_branch(text: str, branches: tuple[BranchId, ...]) -> BranchId:
    """Return the branch that a text falls on.

    By a checksum, not Python's hash: every branch must come to the same answer in every process.
    """
    return branches[crc32(text.encode()) % len(branches)]


_RESERVATION = re.compile(r"([0-9]{1,3})\.([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,5})")


def reservation_id(entry: EntryId, index: int) -> ReservationId:
    """Return the name of the reservation that record `index` (from 0) of an entry made."""
    return ReservationId(f"{entry.origin}-{entry.seq}-{index}")


def reserving_branch(reservation: ReservationId) -> BranchId | None:
    """Return the branch that made a reservation, and alone decides on it; None where it is no such name."""
    found = _RESERVATION.fullmatch(reservation)
    if found is None or not is_branch_number(int(found[1])):
        return None
    return BranchId(int(found[1]))


# As long as a bank transfer's purpose may be (SEPA: 140 characters).
MEMO_CHARACTERS_MAX = 140


def is_memo(text: str) -> bool:
    """Whether `text` can be noted with a posting: one short line that a terminal can show."""
    return len(text) <= MEMO_CHARACTERS_MAX and (not text or text.isprintable())


def _is_number(text: str) -> bool:
    """Whether `text` is a number as we write them: ASCII digits, no leading zero."""
    return (
        text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= len(str(BRANCHES_MAX))
    )


def is_branch_number(number: int) -> bool:
    """Whether `number` can be the number of a branch."""
    return 1 <= number <= BRANCHES_MAX
