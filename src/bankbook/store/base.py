"""What every store does: the core's reading port, and commit.

Decides the Protocol, the errors, and what must be true of changes before they are written. Must not know
any particular store. Proof: tests/store/test_contract.py.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Protocol

from bankbook.core.ports import Changes, Identity, Reader, ReservationState, Row, logs_in
from bankbook.core.types import AccountId, Origin, Seq
from bankbook.core.vector import VersionVector

# As many as are forgotten in a few ten milliseconds, so that no commit of a branch that was idle for long,
# or has just been told to keep keys for a shorter time, keeps its customers waiting.
KEYS_FORGOTTEN_MAX = 10_000

# What a balance can be: PostgreSQL's and SQLite's largest integer.
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class StoreError(Exception):
    """A store could not be used; the message says why and what to do."""


class StoreMismatchError(StoreError):
    """This store belongs to another bank, another branch, or another version of the program."""


class StoreInUseError(StoreError):
    """Another process has this store: a branch that runs."""


class CommitRefusedError(StoreError):
    """The commit failed, and certainly left nothing behind."""


class CommitUnknownError(StoreError):
    """The commit failed in a way that may have left all of it on the disk, or nothing."""


class Store(Reader, Protocol):
    """A branch's state. Not safe for two threads at once; the driver never does that."""

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        ...

    def commit(self, changes: Changes) -> None:
        """Persist `changes`, all or nothing; on return they are durable.

        Of keys that are to be forgotten, it forgets at most KEYS_FORGOTTEN_MAX, the oldest; the rest goes
        with later commits that ask for it. So it is with entries that are to be dropped (see dropping.py), of
        which it keeps those that it needs itself, and all that are not older than the oldest key.

        Raises CommitRefusedError or CommitUnknownError; afterwards the store may be read, and shows
        what the disk has.
        """
        ...

    def close(self) -> None:
        """Let go of everything. Closing twice is harmless."""
        ...


def applied_after(applied: VersionVector, changes: Changes) -> VersionVector:
    """Return what is applied once `changes` are committed on top of `applied`.

    Asserts, before anything is written, that they follow it: a gap in a log could never be mended, and a
    write set beyond the log would hold its readers for ever.
    """
    last: dict[Origin, Seq] = dict(applied)
    for entry in changes.entries:
        after = last.get(entry.origin, 0)
        assert entry.seq == after + 1, f"{entry.origin}#{entry.seq} does not follow #{after}"
        assert entry.clock <= changes.clock, f"{entry.id} is later than the clock, {changes.clock}"
        last[entry.origin] = entry.seq
    _check_rows(last, changes.rows)
    for reservation, record in changes.reservations.items():
        assert 0 <= record.left <= record.terms.amount, f"{reservation}: {record}"
        assert record.left == 0 or record.state is ReservationState.OPEN, f"{reservation}: {record}"
    for key, known in changes.keys.items() if changes.portion is None else ():
        assert known.entry.seq <= last.get(known.entry.origin, 0), f"{key}: {known.entry} is not applied"
    if changes.portion is not None:
        assert not last, "only a store that has nothing takes a copy"
        last.update(changes.portion.end.applied if changes.portion.end is not None else ())
    after_all = VersionVector(last.items())
    assert changes.drop is None or after_all.dominates(changes.drop.everywhere), "every branch: this one too"
    assert after_all.dominates(VersionVector(changes.ended.items())), f"not applied: {changes.ended}"
    return after_all


def _check_rows(last: Mapping[Origin, Seq], rows: Mapping[AccountId, Row]) -> None:
    """Assert that every amount is one that a database can hold, and every entry there."""
    ends = {origin.code: seq for origin, seq in last.items()}
    if not _are_fine(rows.values(), ends):
        faults = ((account, _fault_of(row, ends)) for account, row in rows.items())
        raise AssertionError(next(f"{account}: {fault}" for account, fault in faults if fault))


def _are_fine(rows: Collection[Row], ends: Mapping[int, Seq]) -> bool:
    """Whether no row has a fault: thousands of them, at one look."""
    if not rows:
        return True
    balances, _, _, reserved, holdings = zip(*rows, strict=True)
    held = list(chain.from_iterable(holdings))
    applied = set(zip(held[::3], held[1::3], strict=True))
    return (
        _are_within(_INT64_MIN, balances)
        and _are_within(0, reserved)
        and _are_within(_INT64_MIN, held[2::3])
        and all(seq <= ends.get(code, 0) for code, seq in applied)
    )


def _are_within(low: int, amounts: Sequence[int]) -> bool:
    return not amounts or (low <= min(amounts) and max(amounts) <= _INT64_MAX)


def _fault_of(row: Row, ends: Mapping[int, Seq]) -> str | None:
    balance, _, _, reserved, holdings = row
    if not _are_within(_INT64_MIN, [balance]) or not _are_within(0, [reserved]):
        return f"an amount that cannot be in {row}"
    for code, seq, rights in logs_in(holdings):
        if not _are_within(_INT64_MIN, [rights]):
            return f"rights that cannot be in {row}"
        if seq > ends.get(code, 0):
            return f"not applied, what {row} tells of {Origin.of_code(code)}"
    return None
