"""A store in memory: gone with its process.

Decides nothing. Proof: tests/store/test_contract.py.
"""

from bankbook.core.clock import HybridTime
from bankbook.core.entry import Entry
from bankbook.core.ports import Account, Changes, Identity
from bankbook.core.types import AccountId, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store.base import applied_after


class MemoryStore:
    """See bankbook.store.base.Store."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._logs: dict[Origin, list[Entry]] = {}
        self._accounts: dict[AccountId, Account] = {}
        self._write_sets: dict[AccountId, VersionVector] = {}
        self._applied = NOTHING
        self._clock = HybridTime(0)

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        return self._identity

    def applied(self) -> VersionVector:
        """Return the last seq of every origin's log."""
        return self._applied

    def clock(self) -> HybridTime:
        """Return the hybrid clock's last reading."""
        return self._clock

    def account(self, account: AccountId) -> Account | None:
        """Return the account's state; None where no entry ever touched it."""
        return self._accounts.get(account)

    def write_set(self, account: AccountId) -> VersionVector:
        """Return the last entry of each origin that touched the account."""
        return self._write_sets.get(account, NOTHING)

    def last_write(self, account: AccountId, origin: Origin) -> Seq:
        """Return one component of the write set."""
        return self.write_set(account)[origin]

    def entries(self, origin: Origin, after: Seq, limit: int) -> list[Entry]:
        """Return at most `limit` entries of one log from behind `after`."""
        return self._logs.get(origin, [])[after : after + limit]

    def commit(self, changes: Changes) -> None:
        """Keep the changes; this cannot fail."""
        self._applied = applied_after(self._applied, changes)
        for entry in changes.entries:
            self._logs.setdefault(entry.origin, []).append(entry)
        self._accounts.update(changes.accounts)
        for account, last_writes in changes.last_writes.items():
            self._write_sets[account] = self.write_set(account).merge(VersionVector(last_writes.items()))
        self._clock = changes.clock

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
