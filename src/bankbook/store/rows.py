"""Accounts in memory: those that are newer than the tables, and those that were asked for of late.

Decides what is remembered of accounts, and for how long. Must not know how a table is read or written.
Proof: tests/store/test_rows.py, tests/store/test_checkpoints.py.

What is clean is kept by generations: a row that is asked for comes into the young one; when that is full it
becomes the old one, and what was the old one is forgotten. A hit costs one lookup, where a list in the order
of use would have to be changed at each.
"""

from collections.abc import Callable, Collection, Mapping

from bankbook.core.ports import Account, Changes, Holding
from bankbook.core.types import AccountId, Origin

Row = tuple[Account | None, Mapping[Origin, Holding]]
"""All that is known of one account, as its readers get it; never changed, only replaced."""

Read = Callable[[Collection[AccountId]], dict[AccountId, Row]]
"""Reads the rows of those of the accounts that the tables have."""


class Rows:
    """The rows of accounts, as of the last commit."""

    def __init__(self, read: Read, clean_max: int) -> None:
        """`clean_max`: of each generation; about 1 kB each, less where few logs touched an account."""
        self._read = read
        self._clean_max = clean_max
        self.dirty: dict[AccountId, Row] = {}
        """What the tables do not have yet."""
        self.hot: dict[AccountId, Row] = {}
        """The young generation, and all that is dirty; an account that does not exist may be here too."""
        self._old: dict[AccountId, Row] = {}

    def row(self, account: AccountId) -> Row:
        """Return what is known of an account; where it is in `hot`, look there first. Raises StoreError."""
        row = self.hot.get(account)
        if row is None:
            self.load((account,))
            row = self.hot[account]
        return row

    def load(self, accounts: Collection[AccountId]) -> None:
        """Bring the rows of all these accounts into `hot`. Raises StoreError."""
        self._make_room()
        missing = [account for account in accounts if account not in self.hot]
        cold = []
        for account in missing:
            row = self._old.get(account)
            if row is None:
                cold.append(account)
            else:
                self.hot[account] = row
        if cold:
            found = self._read(cold)
            self.hot.update((account, found.get(account) or (None, {})) for account in cold)

    def changed(self, changes: Changes) -> dict[AccountId, Row]:
        """Return the rows of all accounts that `changes` change, as they are afterwards. Raises StoreError.

        Nothing of it is remembered yet: the commit may fail.
        """
        accounts, holdings = changes.accounts, changes.holdings
        assert accounts.keys() >= holdings.keys(), "an account that is touched has a state"
        self.load(accounts)
        rows: dict[AccountId, Row] = {}
        hot = self.hot
        for account, state in accounts.items():
            # A new mapping instead of the old one changed: whoever has read that goes on having it as it was.
            rows[account] = state, {**hot[account][1], **holdings.get(account, {})}
        return rows

    def keep(self, rows: Mapping[AccountId, Row]) -> None:
        """Take over rows that are newer than the tables."""
        self.hot.update(rows)
        self.dirty.update(rows)

    def settle(self) -> None:
        """Be told that the tables have all that was dirty."""
        self.dirty = {}

    def _make_room(self) -> None:
        if len(self.hot) - len(self.dirty) > self._clean_max:
            self._old = self.hot
            self.hot = dict(self.dirty)
