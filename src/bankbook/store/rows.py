"""Accounts in memory: those that are newer than the tables, and those that were asked for of late.

Decides what is remembered of accounts, and for how long. Must not know how a table is read or written.
Proof: tests/store/test_rows.py, tests/store/test_checkpoints.py.

What is clean is kept by generations: a row that is asked for comes into the young one; when that is full it
becomes the old one, and what was the old one is forgotten. A hit costs one lookup, where a list in the order
of use would have to be changed at each.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from bankbook.core.ports import Row
from bankbook.core.types import AccountId

Read = Callable[[Collection[AccountId]], dict[AccountId, Row]]
"""Reads the rows of those of the accounts that the tables have."""


class Rows:
    """The rows of accounts, as of the last commit."""

    def __init__(self, read: Read, clean_max: int) -> None:
        """`clean_max`: of each generation; some 300 bytes each, and 100 more for each log that touched it."""
        self._read = read
        self._clean_max = clean_max
        self.dirty: dict[AccountId, Row] = {}
        """What the tables do not have yet: to be asked before what is clean."""
        self.frozen: dict[AccountId, Row] = {}
        """What is being written into the tables; newer ones may be dirty meanwhile."""
        self._young: dict[AccountId, Row | None] = {}
        """As the tables have them, or will; None: they do not have it."""
        self._old: dict[AccountId, Row | None] = {}

    def row(self, account: AccountId) -> Row | None:
        """Return an account's row; None where it has none. Raises StoreError."""
        found = self.dirty.get(account)
        if found is not None:
            return found
        return self._young[account] if account in self._young else self.rows((account,))[0]

    def rows(self, accounts: Collection[AccountId]) -> Sequence[Row | None]:
        """Return the row of each of these accounts; None where it has none. Raises StoreError."""
        found: list[Row | None] = list(map(self.dirty.get, accounts))
        if all(found):
            return found
        self._load(account for account, row in zip(accounts, found, strict=True) if row is None)
        young = self._young
        return [row or young[account] for account, row in zip(accounts, found, strict=True)]

    def _load(self, accounts: Iterable[AccountId]) -> None:
        """Have the rows of all these accounts, none of which is dirty, in memory. Raises StoreError."""
        if len(self._young) > self._clean_max:
            self._old, self._young = self._young, {}
        young, old = self._young, self._old
        missing = [account for account in accounts if account not in young]
        for known in (old, self.frozen):
            young.update((account, known[account]) for account in missing if account in known)
        cold = [account for account in missing if account not in young]
        if cold:
            found = self._read(cold)
            young.update((account, found.get(account)) for account in cold)

    def keep(self, rows: Mapping[AccountId, Row]) -> None:
        """Take over rows that are newer than the tables."""
        self.dirty.update(rows)

    def freeze(self) -> None:
        """Begin to write what is dirty."""
        self.frozen, self.dirty = self.dirty, {}
        self._young.update(self.frozen)

    def settle(self) -> None:
        """Be told that the tables have all that was frozen."""
        self.frozen = {}
