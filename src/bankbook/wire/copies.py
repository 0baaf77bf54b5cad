"""Parts of a copy of a store, between protocol buffers and the core's types.

Decides what is no such part: what comes from outside is checked before a store sees it. Must not know who
asked for it. Proof: tests/wire/test_copies.py.
"""

from bankbook.core.clock import HYBRID_TIME_MAX, HybridTime
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import EXPIRES_MS_MAX, Reservation
from bankbook.core.messages import CopyPart
from bankbook.core.ports import (
    Account,
    CopyEnd,
    Holding,
    Portion,
    ReservationRecord,
    ReservationState,
    Row,
    logs_in,
    row_of,
)
from bankbook.core.types import (
    BALANCE_MAX,
    MONEY_MAX,
    AccountId,
    Money,
    Origin,
    ReservationId,
    is_id,
    reserving_branch,
)
from bankbook.core.vector import VersionVector
from bankbook.wire.basics import MessageDamagedError, decode_origin, decode_seq, encode_origin
from bankbook.wire.v1 import replication_pb2
from bankbook.wire.vectors import decode_vector, encode_vector

_STATES = frozenset(state.value for state in ReservationState)


def encode_copy_part(part: CopyPart) -> replication_pb2.CopyPart:
    """Return the message for a part of a copy."""
    if part.portion is None:
        return replication_pb2.CopyPart(copy=part.copy, part=part.part, is_void=True)
    portion = part.portion
    return replication_pb2.CopyPart(
        copy=part.copy,
        part=part.part,
        accounts=[_encode_row(account, row) for account, row in portion.rows.items()],
        reservations=[_encode_reservation(name, record) for name, record in portion.reservations.items()],
        entries=[entry.encoded for entry in portion.entries],
        end=None if portion.end is None else _encode_end(portion.end),
    )


def decode_copy_part(message: replication_pb2.CopyPart) -> CopyPart:
    """Return a part of a copy; raises MessageDamagedError."""
    if message.is_void:
        return CopyPart(message.copy, message.part, None)
    try:
        entries = tuple(decode_entry(encoded) for encoded in message.entries)
    except EntryDamagedError as error:
        raise MessageDamagedError(f"an entry of a copy is damaged: {error}") from error
    portion = Portion(
        dict(map(_decode_row, message.accounts)),
        dict(map(_decode_reservation, message.reservations)),
        entries,
        _decode_end(message.end) if message.HasField("end") else None,
    )
    return CopyPart(message.copy, message.part, portion)


def _encode_row(account: AccountId, row: Row) -> replication_pb2.AccountRow:
    balance, floor, currency, reserved, holdings = row
    return replication_pb2.AccountRow(
        account=account,
        balance=balance,
        floor=floor,
        currency=currency,
        reserved=reserved,
        holdings=[
            replication_pb2.HoldingRow(
                origin=encode_origin(Origin.of_code(code)), last_seq=seq, rights=rights
            )
            for code, seq, rights in logs_in(holdings)
        ],
    )


def _decode_row(row: replication_pb2.AccountRow) -> tuple[AccountId, Row]:
    floor = Money(row.floor) if row.HasField("floor") else None
    is_plain = is_id(row.account) and (not row.currency or is_id(row.currency))
    if not is_plain or row.reserved < 0 or not -MONEY_MAX <= (floor or 0) <= 0:
        raise MessageDamagedError(f"a copy has an account that cannot be, {row.account[:80]!r}")
    holdings = {
        decode_origin(held.origin): Holding(decode_seq(held.last_seq), Money(held.rights))
        for held in row.holdings
    }
    account = Account(Money(row.balance), floor, row.currency, Money(row.reserved))
    return AccountId(row.account), row_of(account, holdings)


def _encode_reservation(
    reservation: ReservationId, record: ReservationRecord
) -> replication_pb2.ReservationRow:
    terms = record.terms
    return replication_pb2.ReservationRow(
        reservation=reservation,
        account=terms.account,
        amount=terms.amount,
        destination=terms.destination,
        expires_ms=terms.expires_ms,
        left=record.left,
        state=record.state.value,
    )


def _decode_reservation(
    row: replication_pb2.ReservationRow,
) -> tuple[ReservationId, ReservationRecord]:
    name = ReservationId(row.reservation)
    destination = AccountId(row.destination) if row.HasField("destination") else None
    expires_ms = row.expires_ms if row.HasField("expires_ms") else None
    is_plain = is_id(row.account) and (destination is None or is_id(destination))
    is_whole = 0 <= row.left <= row.amount <= BALANCE_MAX and 0 <= (expires_ms or 0) <= EXPIRES_MS_MAX
    if not is_plain or not is_whole or reserving_branch(name) is None or row.state not in _STATES:
        raise MessageDamagedError(f"a copy has a reservation that cannot be, {row.reservation[:80]!r}")
    terms = Reservation(AccountId(row.account), Money(row.amount), destination, expires_ms)
    return name, ReservationRecord(terms, Money(row.left), ReservationState(row.state))


def _encode_end(end: CopyEnd) -> replication_pb2.CopyEnd:
    return replication_pb2.CopyEnd(
        applied=encode_vector(end.applied),
        dropped=encode_vector(end.dropped),
        ended=encode_vector(VersionVector(end.ended.items())),
        stated_from=end.stated_from,
        clock=end.clock,
    )


def _decode_end(message: replication_pb2.CopyEnd) -> CopyEnd:
    applied, dropped, ended = map(decode_vector, (message.applied, message.dropped, message.ended))
    is_sound = 0 <= message.stated_from <= HYBRID_TIME_MAX and 0 <= message.clock <= HYBRID_TIME_MAX
    if not is_sound or not applied.dominates(dropped) or not applied.dominates(ended):
        raise MessageDamagedError("a copy ends with what it does not have")
    stated_from, clock = HybridTime(message.stated_from), HybridTime(message.clock)
    return CopyEnd(applied, dropped, dict(ended), stated_from, clock)
