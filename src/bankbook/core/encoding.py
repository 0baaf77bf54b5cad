"""The encoding of entries, which is the same on the disk and on its way between branches.

Decides it, and what is no entry. Made once and forwarded as it is. Must not know what an entry does.
Proof: tests/core/test_entry.py, tests/core/test_entry_text.py.

One compact JSON object, because a person who opens the store can then read the log, and because orjson
reads and writes that faster than pure Python a denser format (docs/decisions/0002-entries-are-json.md).
"""

from collections.abc import Sequence
from typing import Any

import orjson

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.columns import Columns
from bankbook.core.entry import (
    DETAIL_CHARACTERS_MAX,
    ENTRY_BYTES_MAX,
    EXPIRES_MS_MAX,
    Entry,
    Grant,
    Keyed,
    MoveRecords,
    Opening,
    Posting,
    Record,
    RecordKind,
    Reservation,
    Settlement,
    Verdict,
)
from bankbook.core.outcome import Outcome
from bankbook.core.types import (
    BALANCE_MAX,
    BRANCHES_MAX,
    INCARNATION_MAX,
    MONEY_MAX,
    SEQ_MAX,
    AccountId,
    BranchId,
    CustomerId,
    EntryId,
    Incarnation,
    Key,
    Money,
    Origin,
    ReservationId,
    Seq,
    is_id,
    is_key,
    is_memo,
    reserving_branch,
)
from bankbook.core.vector import VersionVector


class EntryDamagedError(ValueError):
    """These bytes are not an entry; the message says why."""


def make_entry(
    *,
    origin: Origin,
    seq: Seq,
    clock: HybridTime,
    dependencies: VersionVector,
    records: Sequence[Record],
    customer: CustomerId | None = None,
    keyed: Keyed | None = None,
) -> Entry:
    """Return a new entry, encoded. Raises EntryDamagedError where nobody could decode it."""
    fields: dict[str, object] = {
        "origin": origin,
        "seq": seq,
        "clock": clock,
        "after": [(o.branch, o.incarnation, s) for o, s in dependencies],
    }
    if customer is not None:
        fields["customer"] = customer
    if keyed is not None:
        fields["key"] = keyed
    if isinstance(records, MoveRecords):
        fields["moves"] = _encode_moves(records)
    else:
        fields["records"] = [_encode_record(record) for record in records]
    encoded = orjson.dumps(fields, default=tuple)  # what has names, as a plain list
    _check_size(encoded)  # a request's bounds keep its entry below that
    return Entry(origin, seq, clock, dependencies, customer, keyed, records, encoded)


def _encode_moves(moves: MoveRecords) -> dict[str, object]:
    columns = moves.columns
    fields: dict[str, object] = {
        "accounts": columns.accounts,
        "from": columns.sources,
        "to": columns.destinations,
        "amounts": columns.amounts,
        "balances": moves.balances,
        "kept": moves.kept,
    }
    if columns.memos:
        fields["memos"] = columns.memos
    if moves.refused:
        refused = ((place, outcome.name, *told) for place, (outcome, *told) in moves.refused.items())
        fields["refused"] = list(refused)
    return fields


def _encode_record(record: Record) -> dict[str, object]:
    fields: dict[str, object] = {"kind": record.kind}
    for name in ("postings", "memo", "opening", "reservation", "settlement", "grant", "fence"):
        value = getattr(record, name)
        if value:
            fields[name] = value
    if record.ended:
        fields["ended"] = [(o.branch, o.incarnation, s) for o, s in record.ended]
    if record.verdict is not None:
        outcome, balance, available, detail = record.verdict
        fields["verdict"] = (outcome.name, balance, available, detail)
    return fields


def decode_entry(encoded: bytes) -> Entry:
    """Return the entry that `encoded` stands for, checked.

    Raises EntryDamagedError where the bytes are not an entry that `make_entry` could have made.
    """
    _check_size(encoded)
    try:
        fields = orjson.loads(encoded)
        entry = Entry(
            origin=_origin(*fields["origin"]),
            seq=_seq(fields["seq"]),
            clock=HybridTime(_integer(fields["clock"], 0, HYBRID_TIME_MAX)),
            dependencies=VersionVector(_entry_id(*component) for component in _list(fields["after"])),
            customer=CustomerId(_id(fields["customer"])) if "customer" in fields else None,
            keyed=_keyed(*fields["key"]) if "key" in fields else None,
            records=_decode_records(fields),
            encoded=encoded,
        )
    except EntryDamagedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EntryDamagedError(f"not an entry: {error!r}") from error
    if not len(entry.records) or entry.dependencies[entry.origin]:
        raise EntryDamagedError("an entry has a record, and does not depend on its own log")
    return entry


def _check_size(encoded: bytes) -> None:
    if len(encoded) > ENTRY_BYTES_MAX:
        raise EntryDamagedError(f"an entry has at most {ENTRY_BYTES_MAX} bytes, this one {len(encoded)}")


def _decode_records(fields: dict[str, Any]) -> Sequence[Record]:
    if "moves" in fields:
        return _decode_moves(fields["moves"])
    return tuple(_decode_record(record) for record in _list(fields["records"]))


def _decode_moves(fields: dict[str, Any]) -> MoveRecords:
    names = ("accounts", "from", "to", "amounts")
    accounts, sources, destinations, amounts = (tuple(_list(fields[name])) for name in names)
    columns = Columns(accounts, sources, destinations, amounts, tuple(_list(fields.get("memos", []))))
    complaint = columns.complaint()
    if complaint is not None or not columns.are_plain():
        raise EntryDamagedError(complaint or "a name, an amount or a memo is malformed")
    refused = {
        _integer(place, 0, columns.size - 1): _verdict(*told)
        for place, *told in _list(fields.get("refused", []))
    }
    moves = MoveRecords(columns, tuple(_list(fields["balances"])), tuple(_list(fields["kept"])), refused)
    if len(moves.balances) != columns.size or len(moves.kept) != len(columns.accounts):
        raise EntryDamagedError("the columns of movements are not of one length")
    told = [*moves.balances, *(amount for amount in moves.kept if amount is not None)]
    # The types first: a set would take 1.0 for 1.
    if set(map(type, told)) != {int} or min(told) < -BALANCE_MAX or max(told) > BALANCE_MAX:
        raise EntryDamagedError("what movements leave in an account is an integer, and a balance")
    return moves


_PARTS = {
    # What a record of each kind must have, and of these parts may have no other.
    RecordKind.DEPOSIT: {"postings"},
    RecordKind.WITHDRAWAL: {"postings"},
    RecordKind.TRANSFER: {"postings"},
    RecordKind.OPENING: {"opening"},
    RecordKind.RESERVATION: {"reservation"},
    RecordKind.CAPTURE: {"postings", "settlement"},
    RecordKind.RELEASE: {"settlement"},
    RecordKind.EXPIRY: {"settlement"},
    RecordKind.REFUSAL: set[str](),
    RecordKind.GRANT: {"grant"},
    RecordKind.FENCE: {"fence"},
    RecordKind.REJOINING: {"ended"},
}
_ALL_PARTS = {"postings", "opening", "reservation", "settlement", "grant", "fence", "ended"}


def _decode_record(fields: dict[str, Any]) -> Record:
    kind = RecordKind(fields["kind"])
    if _ALL_PARTS.intersection(fields) != _PARTS[kind]:
        raise EntryDamagedError(f"a record of kind {kind} has {sorted(_PARTS[kind])}, not {sorted(fields)}")
    return Record(
        kind=kind,
        postings=tuple(_posting(*leg) for leg in _list(fields.get("postings", []))),
        memo=_memo(fields.get("memo", "")),
        opening=_opening(*fields["opening"]) if "opening" in fields else None,
        reservation=_reservation(*fields["reservation"]) if "reservation" in fields else None,
        settlement=_settlement(*fields["settlement"]) if "settlement" in fields else None,
        grant=_grant(*fields["grant"]) if "grant" in fields else None,
        fence=_branch(fields["fence"]) if "fence" in fields else None,
        ended=tuple(_entry_id(*component) for component in _list(fields.get("ended", []))),
        verdict=_verdict(*fields["verdict"]) if "verdict" in fields else None,
    )


def _integer(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise EntryDamagedError(f"expected an integer from {low} to {high}, found {value!r}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise EntryDamagedError(f"expected a list, found {value!r}")
    return value


def _id(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise EntryDamagedError(f"expected an id, found {value!r}")
    return value


def _memo(value: Any) -> str:
    if not isinstance(value, str) or not is_memo(value):
        raise EntryDamagedError(f"expected a memo, found {value!r}")
    return value


def _branch(value: Any) -> BranchId:
    return BranchId(_integer(value, 1, BRANCHES_MAX))


def _seq(value: Any) -> Seq:
    return Seq(_integer(value, 1, SEQ_MAX))


def _origin(branch: Any, incarnation: Any) -> Origin:
    return Origin(_branch(branch), Incarnation(_integer(incarnation, 1, INCARNATION_MAX)))


def _entry_id(branch: Any, incarnation: Any, seq: Any) -> EntryId:
    return EntryId(_origin(branch, incarnation), _seq(seq))


def _account(value: Any) -> AccountId:
    return AccountId(_id(value))


def _money(value: Any, low: int = 0) -> Money:
    return Money(_integer(value, low, MONEY_MAX))


def _balance(value: Any) -> Money | None:
    return None if value is None else Money(_integer(value, -BALANCE_MAX, BALANCE_MAX))


def _keyed(key: Any, fingerprint: Any) -> Keyed:
    if not isinstance(key, str) or not is_key(key):
        raise EntryDamagedError(f"expected a key, found {key!r}")
    return Keyed(Key(key), "" if fingerprint == "" else _id(fingerprint))


def _posting(account: Any, amount: Any) -> Posting:
    return Posting(_account(account), _money(amount, -MONEY_MAX))


def _opening(account: Any, floor: Any, currency: Any) -> Opening:
    if not isinstance(currency, str) or (currency and not is_id(currency)):
        raise EntryDamagedError(f"expected a currency, found {currency!r}")
    lowest = None if floor is None else Money(_integer(floor, -MONEY_MAX, 0))
    return Opening(_account(account), lowest, currency)


def _reservation(account: Any, amount: Any, destination: Any, expires_ms: Any) -> Reservation:
    to = None if destination is None else _account(destination)
    end = None if expires_ms is None else _integer(expires_ms, 0, EXPIRES_MS_MAX)
    return Reservation(_account(account), _money(amount), to, end)


def _settlement(reservation: Any, account: Any, amount: Any, left: Any) -> Settlement:
    if not isinstance(reservation, str) or reserving_branch(ReservationId(reservation)) is None:
        raise EntryDamagedError(f"expected a reservation, found {reservation!r}")
    return Settlement(ReservationId(reservation), _account(account), _money(amount), _money(left))


def _grant(account: Any, to: Any, amount: Any) -> Grant:
    return Grant(_account(account), _origin(*to), _money(amount, 1))


def _verdict(outcome: Any, balance: Any, available: Any, detail: Any) -> Verdict:
    if not isinstance(detail, str) or len(detail) > DETAIL_CHARACTERS_MAX:
        raise EntryDamagedError(f"expected a sentence, found {detail!r}")
    detail.encode()  # half of a surrogate pair, which JSON may have, no message could carry
    return Verdict(Outcome[outcome], _balance(balance), _balance(available), detail)
