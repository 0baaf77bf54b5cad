"""All entries of a store in the order of statements, each behind what it depends on."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.history import HERE, ORIGINS, THERE, changes_by, moved
from store.stores import STORES, NewStore, new_memory

from bankbook.core.clock import HybridTime
from bankbook.core.encoding import make_entry
from bankbook.core.entry import Entry
from bankbook.core.types import Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.store import history as rooms
from bankbook.store.base import Store
from bankbook.store.history import BATCH_ENTRIES_MAX, history, next_batch


def write(store: Store, origin: Origin, clock: int, dependencies: VersionVector = NOTHING) -> Entry:
    """Put one more entry of a log into the store."""
    entry = make_entry(
        origin=origin,
        seq=Seq(store.applied()[origin] + 1),
        clock=HybridTime(clock),
        dependencies=dependencies,
        records=(moved(("alice", 1)),),
    )
    store.commit(changes_by(store, entry))
    return entry


@pytest.mark.parametrize("new", STORES)
def test_logs_are_merged_by_clock_and_by_origin_where_two_clocks_are_alike(
    new: NewStore, tmp_path: Path
) -> None:
    store = new(tmp_path)
    # As they arrived here: what the other branch wrote at 2 and 3 came late.
    places = [(HERE, 1), (HERE, 3), (HERE, 9), (THERE, 2), (THERE, 3)]
    entries = [write(store, origin, clock) for origin, clock in places]
    found = [entry.id for entry in history(store, NOTHING, store.applied())]
    assert found == [entries[place].id for place in (0, 3, 1, 4, 2)]
    store.close()


def test_only_what_is_behind_one_vector_and_up_to_the_other_is_told(tmp_path: Path) -> None:
    store = new_memory(tmp_path)
    entries = [write(store, origin, clock) for clock, origin in enumerate((HERE, THERE) * 3, start=1)]
    until = VersionVector([(HERE, Seq(2)), (THERE, Seq(3))])
    after = VersionVector([(HERE, Seq(1)), (THERE, Seq(1))])
    assert [entry.id for entry in history(store, after, until)] == [entries[n].id for n in (2, 3, 5)]
    assert list(history(store, until, until)) == []
    beyond = until.raised(HERE, Seq(2**40))
    assert [entry.id for entry in history(store, beyond, store.applied())] == []


def test_what_is_committed_while_the_history_is_read_does_not_disturb_it(tmp_path: Path) -> None:
    store = new_memory(tmp_path)
    first = [write(store, HERE, 1), write(store, HERE, 2)]
    entries = history(store, NOTHING, store.applied())
    assert next(entries) == first[0]
    write(store, HERE, 3)
    write(store, THERE, 1)
    assert list(entries) == first[1:]


def test_a_batch_is_bounded_by_its_entries_and_by_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_memory(tmp_path)
    for clock in range(BATCH_ENTRIES_MAX + 3):
        write(store, HERE, clock)
    entries = history(store, NOTHING, store.applied())
    assert [len(next_batch(entries)) for _ in range(3)] == [BATCH_ENTRIES_MAX, 3, 0]
    entry = write(store, THERE, 2**40)
    monkeypatch.setattr(rooms, "BATCH_BYTES", 2 * len(entry.encoded))
    entries = iter([entry] * 5)
    assert [len(next_batch(entries)) for _ in range(4)] == [2, 2, 1, 0]


def test_of_large_entries_few_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by reading: a branch that gave a copy read 512 batches at once, of up to 8,192 movements each."""
    store = new_memory(tmp_path)
    size = max(len(write(store, HERE, clock).encoded) for clock in range(40))
    limits, entries = list[int](), store.entries

    def read(origin: Origin, after: Seq, limit: int) -> Sequence[Entry]:
        limits.append(limit)
        return entries(origin, after, limit)

    monkeypatch.setattr(store, "entries", read)
    monkeypatch.setattr(rooms, "_AHEAD_BYTES", 3 * size)
    assert len(list(history(store, NOTHING, store.applied()))) == 40
    assert max(limits) == 3
    monkeypatch.setattr(rooms, "_AHEAD_BYTES", size - 1)
    limits.clear()
    assert len(list(history(store, NOTHING, store.applied()))) == 40
    assert set(limits) == {1}


class Bank:
    """Branches that write, and fetch from each other, when they are told to."""

    def __init__(self) -> None:
        self.store = new_memory(Path())
        self.known = dict.fromkeys(ORIGINS, NOTHING)
        self.clocks = dict.fromkeys(ORIGINS, 0)

    def write(self, origin: Origin, pause: int) -> None:
        self.clocks[origin] += pause
        others = VersionVector(each for each in self.known[origin] if each[0] != origin)
        entry = write(self.store, origin, self.clocks[origin], others)
        self.known[origin] = self.known[origin].raised(origin, entry.seq)

    def fetch(self, origin: Origin, source: Origin) -> None:
        self.known[origin] = self.known[origin].merge(self.known[source])
        self.clocks[origin] = max(self.clocks[origin], self.clocks[source])


origins = st.sampled_from(ORIGINS)


@given(st.lists(st.tuples(origins, st.integers(1, 3) | origins), max_size=40), st.integers(1, 8))
def test_every_entry_comes_once_and_behind_all_that_it_depends_on(
    steps: list[tuple[Origin, int | Origin]], ahead: int
) -> None:
    bank = Bank()
    for origin, what in steps:
        if isinstance(what, Origin):
            bank.fetch(origin, what)
        else:
            bank.write(origin, what)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "_AHEAD_MAX", ahead)
        entries = list(history(bank.store, NOTHING, bank.store.applied()))
    seen = NOTHING
    for entry in entries:
        assert seen.dominates(entry.dependencies)
        assert entry.seq == seen[entry.origin] + 1
        seen = seen.raised(entry.origin, entry.seq)
    assert seen == bank.store.applied()
    places = [(entry.clock, entry.origin, entry.seq) for entry in entries]
    assert places == sorted(places)
