"""Accounts in memory: those that are newer than the tables, and those that were asked for of late.

Decides what is remembered of accounts, and for how long. Must not know how a table is read or written.
Proof: tests/store/test_rows.py, tests/store/test_checkpoints.py.

What is clean is kept by generations: a row that is asked for comes into the young one; when that is full it
becomes the old one, and what was the old one is forgotten. A hit costs one lookup, where a list in the order
of use would have to be changed at each.
"""

from collections.abc import Callable, Collection, Mapping
from typing import cast

from bankbook.core.ports import Changes, Holding, Row
from bankbook.core.types import AccountId, Origin

Read = Callable[[Collection[AccountId]], dict[AccountId, Row]]
"""Reads the rows of those of the accounts that the tables have."""

_NONE: dict[Origin, Holding] = {}


class Rows:
    """The rows of accounts, as of the last commit."""

    def __init__(self, read: Read, clean_max: int) -> None:
        """`clean_max`: of each generation; about 1 kB each, less where few logs touched an account."""
        self._read = read
        self._clean_max = clean_max
        self.dirty: dict[AccountId, Row] = {}
        """What the tables do not have yet: to be asked before `clean`."""
        self.frozen: dict[AccountId, Row] = {}
        """What is being written into the tables; newer ones may be dirty meanwhile."""
        self._young: dict[AccountId, Row] = {}
        """As the tables have them, or will; an account that they do not have may be here too."""
        self._old: dict[AccountId, Row] = {}

    def clean(self, account: AccountId) -> Row:
        """Return what is known of an account that is not dirty. Raises StoreError."""
        row = self._young.get(account)
        if row is None:
            self.load((account,))
            row = self._young[account]
        return row

    def rows(self, accounts: Collection[AccountId]) -> dict[AccountId, Row]:
        """Return the rows of all these accounts. Raises StoreError."""
        dirty, young = self.dirty, self._young
        found = {account: dirty.get(account) or young.get(account) for account in accounts}
        if None not in found.values():
            return cast("dict[AccountId, Row]", found)
        self.load(accounts)
        return {account: dirty.get(account) or self._young[account] for account in accounts}

    def load(self, accounts: Collection[AccountId]) -> None:
        """Have the rows of all these accounts in memory. Raises StoreError."""
        if len(self._young) > self._clean_max:
            self._old, self._young = self._young, {}
        dirty, young, old = self.dirty, self._young, self._old
        missing = [account for account in accounts if account not in dirty and account not in young]
        for known in (old, self.frozen):
            young.update((account, known[account]) for account in missing if account in known)
        cold = [account for account in missing if account not in young]
        if cold:
            found = self._read(cold)
            young.update((account, found.get(account) or (None, {})) for account in cold)

    def changed(self, changes: Changes) -> dict[AccountId, Row]:
        """Return the rows of all accounts that `changes` change, as they are afterwards. Raises StoreError.

        Nothing of it is remembered yet: the commit may fail.
        """
        assert changes.accounts.keys() >= changes.holdings.keys(), "an account that is touched has a state"
        try:
            return self._merged(changes)
        except KeyError:  # rare: whoever decided the changes has just read these accounts
            self.load(changes.accounts)
            return self._merged(changes)

    def _merged(self, changes: Changes) -> dict[AccountId, Row]:
        holdings, dirty, young = changes.holdings, self.dirty, self._young
        # A new mapping instead of the old one changed: whoever has read that goes on having it as it was.
        return {
            account: (state, {**(dirty.get(account) or young[account])[1], **holdings.get(account, _NONE)})
            for account, state in changes.accounts.items()
        }

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
