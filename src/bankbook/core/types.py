"""Ids, money and their bounds: the words every other module is written in.

Decides what a well-formed id or amount is. Must not know what is done with them.
Proof: tests/core/test_types.py.
"""

import re
from typing import NamedTuple, NewType

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

ID_RULE = (
    f"1 to {ID_CHARACTERS_MAX} characters: letters, digits and . _ : @ + -, "
    "the first of them a letter or a digit"
)


def is_id(text: str) -> bool:
    """Whether `text` can name an account or a customer (see ID_RULE)."""
    return len(text) <= ID_CHARACTERS_MAX and _ID.fullmatch(text) is not None


def is_branch_number(number: int) -> bool:
    """Whether `number` can be the number of a branch."""
    return 1 <= number <= BRANCHES_MAX
