"""A process to be killed: it commits five entries at a time, and says so once they are durable."""

import sys
from pathlib import Path

from store.history import HERE, THERE, changes_by, entry_of, moved, posting_entry, reserved
from store.stores import open_sqlite

from bankbook.store.sums import Bounds

# Whoever forgets to kill it has it end by itself, within some ten seconds.
COMMITS_MAX = 20_000


def main(path: Path) -> None:
    store = open_sqlite(path, Bounds(replay_max=350, slice_rows=1))
    print("open", flush=True)  # noqa: T201
    first = store.applied()[THERE] + 1
    for number in range(first, first + COMMITS_MAX):
        seqs = range(4 * number - 3, 4 * number + 1)
        own = [posting_entry(HERE, seq, ("alice", -1), ("bob", 1), key=f"order-{seq}") for seq in seqs]
        their = entry_of(THERE, number, moved(("alice", 4)), reserved("bob", 1, expires_ms=number))
        store.commit(changes_by(store, *own, their))
        print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
