"""The entry: one immutable, committed decision in an origin's log.

Decides the encoding, which is the same on the disk and on its way between branches, made once and
forwarded as it is. Must not know why the decision was made. Proof: tests/core/test_entry.py.

The encoding is one compact JSON object, because a person who opens the store can then read the log,
and because the standard library encodes JSON in C, faster than a denser format in pure Python
(docs/decisions/0002-entries-are-json.md).
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.types import (
    BRANCHES_MAX,
    INCARNATION_MAX,
    MONEY_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    CustomerId,
    Incarnation,
    Money,
    Origin,
    Seq,
    is_id,
)
from bankbook.core.vector import VersionVector

# A limit on what a peer may send as one entry. A transfer is about 400 bytes; the first entry after a restart
# declares every log there is, at most 38 bytes for each: under 10 kB in the largest bank, and as much again
# for earlier lives of its branches.
ENTRY_BYTES_MAX = 24 * 1024


class EntryKind(StrEnum):
    """What was decided."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    OPENING = "opening"


class Posting(NamedTuple):
    """One leg of an entry."""

    account: AccountId
    amount: Money
    """Signed: above 0 where the account receives."""


class Opening(NamedTuple):
    """The terms on which an account is opened."""

    account: AccountId
    floor: Money | None
    """The balance the account may not fall below; None where there is no floor."""
    currency: str
    """Empty where the account counts plain units."""


class EntryDamagedError(ValueError):
    """These bytes are not an entry; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, applied in one step everywhere."""

    origin: Origin
    seq: Seq
    clock: HybridTime
    dependencies: VersionVector
    """What the deciding branch had gained, of other origins, since its previous entry."""
    kind: EntryKind
    customer: CustomerId
    postings: tuple[Posting, ...]
    opening: Opening | None
    encoded: bytes
    """The entry as it is stored and sent."""

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """Every account this entry touches."""
        opened = (self.opening.account,) if self.opening else ()
        return opened + tuple(posting.account for posting in self.postings)


def make_entry(  # noqa: PLR0913  (an entry has that many parts, and each is needed)
    *,
    origin: Origin,
    seq: Seq,
    clock: HybridTime,
    dependencies: VersionVector,
    kind: EntryKind,
    customer: CustomerId,
    postings: tuple[Posting, ...] = (),
    opening: Opening | None = None,
) -> Entry:
    """Return a new entry, encoded."""
    fields: dict[str, object] = {
        "origin": origin,
        "seq": seq,
        "clock": clock,
        "after": [(o.branch, o.incarnation, s) for o, s in dependencies],
        "kind": kind,
        "customer": customer,
        "postings": postings,
    }
    if opening is not None:
        fields["opening"] = opening
    encoded = json.dumps(fields, separators=(",", ":")).encode()
    assert len(encoded) <= ENTRY_BYTES_MAX, "a command's bounds keep its entry below ENTRY_BYTES_MAX"
    return Entry(origin, seq, clock, dependencies, kind, customer, postings, opening, encoded)


def decode_entry(encoded: bytes) -> Entry:
    """Return the entry that `encoded` stands for, checked.

    Raises EntryDamagedError where the bytes are not an entry that `make_entry` could have made.
    """
    if len(encoded) > ENTRY_BYTES_MAX:
        raise EntryDamagedError(f"an entry has at most {ENTRY_BYTES_MAX} bytes, this one {len(encoded)}")
    try:
        # UTF-8 only: json.loads would take UTF-16 from a peer, which no store could keep as text.
        fields = json.loads(encoded.decode())
        entry = Entry(
            origin=_origin(fields["origin"]),
            seq=Seq(_integer(fields["seq"], 1, SEQ_MAX)),
            clock=HybridTime(_integer(fields["clock"], 0, HYBRID_TIME_MAX)),
            dependencies=VersionVector(
                (_origin((branch, incarnation)), Seq(_integer(seq, 1, SEQ_MAX)))
                for branch, incarnation, seq in _list(fields["after"])
            ),
            kind=EntryKind(fields["kind"]),
            customer=CustomerId(_text(fields["customer"])),
            postings=tuple(_posting(*leg) for leg in _list(fields["postings"])),
            opening=_opening(*fields["opening"]) if "opening" in fields else None,
            encoded=encoded,
        )
    except EntryDamagedError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EntryDamagedError(f"not an entry: {error!r}") from error
    if (
        not entry.accounts
        or entry.dependencies[entry.origin]
        or (entry.kind == "opening") != bool(entry.opening)
    ):
        raise EntryDamagedError("an entry touches an account, and does not depend on its own log")
    return entry


def _integer(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise EntryDamagedError(f"expected an integer from {low} to {high}, found {value!r}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise EntryDamagedError(f"expected a list, found {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise EntryDamagedError(f"expected an id, found {value!r}")
    return value


def _origin(value: Any) -> Origin:
    branch, incarnation = value
    return Origin(
        BranchId(_integer(branch, 1, BRANCHES_MAX)), Incarnation(_integer(incarnation, 1, INCARNATION_MAX))
    )


def _posting(account: Any, amount: Any) -> Posting:
    return Posting(AccountId(_text(account)), Money(_integer(amount, -MONEY_MAX, MONEY_MAX)))


def _opening(account: Any, floor: Any, currency: Any) -> Opening:
    if not isinstance(currency, str) or (currency and not is_id(currency)):
        raise EntryDamagedError(f"expected a currency, found {currency!r}")
    lowest = None if floor is None else Money(_integer(floor, -MONEY_MAX, 0))
    return Opening(AccountId(_text(account)), lowest, currency)
