"""A prepared store is what a branch that had lived through all that would have."""

import multiprocessing
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from bankbook.bench.accounts import account_name
from bankbook.bench.prepare import OPENING
from bankbook.core.encoding import decode_entry, make_entry
from bankbook.core.ports import Changes
from bankbook.core.state import State
from bankbook.core.types import Seq
from bankbook.core.vector import NOTHING
from bankbook.server.branch import STORE_FILE
from bankbook.store.sqlite import SqliteStore
from bankbook.store.sums import Bounds
from benchmarks.growth import prepare


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(prepare.open_store(tmp_path)) as opened:
        yield opened


def test_a_transfer_is_encoded_as_the_core_encodes_it(store: SqliteStore) -> None:
    for entry in prepare.transfers(store, 20, 7, Random(1)).entries:
        made = make_entry(
            origin=entry.origin,
            seq=entry.seq,
            clock=entry.clock,
            dependencies=NOTHING,
            records=entry.records,
            customer=entry.customer,
            keyed=entry.keyed,
        )
        assert made == entry == decode_entry(entry.encoded)


def test_a_commit_is_what_the_core_makes_of_its_entries(store: SqliteStore) -> None:
    chance = Random(2)
    for _ in range(3):  # on top of nothing, and of what came before
        prepared = prepare.transfers(store, 50, 7, chance)
        assert prepared == by_the_core(store, prepared)
        store.commit(prepared)


def by_the_core(store: SqliteStore, prepared: Changes) -> Changes:
    state = State(store, prepare.GENESIS)
    for entry in prepared.entries:
        state.apply(entry)
    return state.take_changes(prepared.clock)


def test_every_account_has_a_row_and_a_statement(tmp_path: Path) -> None:
    prepare.touch_accounts(tmp_path, 4_100)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file:
        assert file.execute("SELECT count(*), sum(balance) FROM account").fetchone() == (
            4_100,
            4_100 * OPENING,
        )
        assert file.execute("SELECT count(DISTINCT account) FROM statement").fetchone() == (4_100,)


def test_a_history_goes_on_where_it_ended(tmp_path: Path) -> None:
    for entries in (30, 12):
        prepare.add_history(tmp_path, entries, 7)
    with closing(prepare.open_store(tmp_path)) as store:
        found = store.entries(prepare.ORIGIN, Seq(0), 100)
        assert len(found) == 42
        assert len({entry.keyed for entry in found}) == 42
        assert sorted(entry.clock for entry in found) == [entry.clock for entry in found]
        assert sum(row.balance for n in range(7) if (row := store.account(account_name(n)))) == 7 * OPENING


def test_a_store_that_was_killed_has_all_and_its_tables_have_nothing_of_it(tmp_path: Path) -> None:
    prepare.add_history(tmp_path, 10, 7)
    process = multiprocessing.get_context("spawn").Process(
        target=prepare.die_with_history, args=(tmp_path, 20, 7)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file:
        assert file.execute("SELECT applied, summed FROM origin").fetchone() == (30, 10)


@pytest.mark.parametrize("accounts", [1_000, 10_000, 100_000, 1_000_000])
def test_what_is_left_to_replay_is_nearly_half_more_than_makes_the_tables_due(accounts: int) -> None:
    bounds, chance = Bounds(), Random(3)
    drawn: set[int] = set()
    due = 0
    while 11 * due + 3 * len(drawn) < bounds.replay_max:
        drawn |= {int(chance.random() * accounts), int(chance.random() * accounts)}
        due += 1
    assert 1.3 * due < prepare.unsummed_transfers(accounts) < 1.5 * due
