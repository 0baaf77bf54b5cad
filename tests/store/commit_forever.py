"""A process to be killed: it commits five entries at a time, and says so once they are durable."""

import sys
from pathlib import Path

from store.history import GENESIS, HERE, THERE, changes_by, posting_entry

from bankbook.store.sqlite import SqliteStore

# Whoever forgets to kill it has it end by itself, within some ten seconds.
COMMITS_MAX = 20_000


def main(path: Path) -> None:
    store = SqliteStore.create_or_open(path, GENESIS, HERE.branch, HERE.incarnation)
    print("open", flush=True)  # noqa: T201
    first = store.applied()[THERE] + 1
    for number in range(first, first + COMMITS_MAX):
        own = [posting_entry(HERE, 4 * (number - 1) + i, ("alice", -1), ("bob", 1)) for i in (1, 2, 3, 4)]
        store.commit(changes_by(store, *own, posting_entry(THERE, number, ("alice", 4))))
        print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
