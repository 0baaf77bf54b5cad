"""`bankbook export`: what an auditor gets of a bank that runs, and of one that is stopped."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, bankbook, complaint_of, wait_for_end
from cli.own_bank import OwnBank
from journal.books import audit
from server.processes import PATIENCE_S, processes_of_session, wait_until
from store.history import FOR_EVER, HERE, changes_by, opening_entry, posting_entry
from store.stores import open_sqlite

from bankbook.client.sync import Bank
from bankbook.core.ports import Changes, Drop
from bankbook.core.types import MONEY_MAX, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.server.branch import STORE_FILE
from bankbook.store.sums import Bounds

BEAN_CHECK = Path(sys.executable).with_name("bean-check")

MEMO = 'for "rent" \\ ünï ✓'


def bean_check(path: Path) -> int:
    done = subprocess.run([BEAN_CHECK, path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.returncode


def do_everything(own: OwnBank) -> dict[str, int]:
    """Have customers do all that moves money, and some that does not; return what is in each account."""
    accounts = {"anna": "EUR", "Anna": "EUR", "x@y.eu": "EUR", "till_1": "btc", "yen": "JPY", "units": ""}
    with Bank({number: f"127.0.0.1:{own.base + number}" for number in (1, 2, 3)}) as bank:
        anna = bank.session("anna")
        for account, currency in accounts.items():
            anna.open_account(account, currency=currency, floor=None if account == "till_1" else 0)
        anna.deposit(100_00, account="anna", branch=1, memo=MEMO, key="2/order-17")
        anna.deposit(0, account="yen", branch=2)
        anna.deposit(MONEY_MAX, account="units", branch=3)
        anna.withdraw(1, account="anna", branch=2)
        anna.transfer("Anna", 20_00, account="anna", branch=3)
        anna.submit([("anna", -3), ("Anna", 2), ("x@y.eu", 1), ("till_1", 0)], branch=1)
        leaving = anna.reserve(10_00, account="anna", branch=1).reservation
        staying = anna.reserve(5_00, account="anna", to="x@y.eu", branch=2).reservation
        assert leaving is not None
        assert staying is not None
        anna.capture(leaving, 7_00)
        anna.capture(staying)
        with pytest.raises(Exception, match="account Anna"):
            anna.withdraw(99_99, account="Anna")
        return {account: anna.balance(account=account, branch=1).balance for account in accounts}


def test_the_books_of_a_bank_that_runs_and_of_one_that_is_stopped_are_the_same_and_right(
    tmp_path: Path,
) -> None:
    own = OwnBank(tmp_path)
    running, other, stopped = (tmp_path / name for name in ("running.bean", "other.bean", "stopped.bean"))
    store = tmp_path / "data" / "branch-3"
    with own.up() as program:
        balances = do_everything(own)
        own.says("balance", "anna", "--latest", "--branch", 3)
        assert own.says("export", "-o", running) == ""
        own.says("export", "--branch", 1, "--output", other)
        refused = complaint_of(own.types("export", "--data", store), 3)
        assert "in use by another process" in refused
        assert "--config and --branch" in refused
        program.send_signal(signal.SIGINT)
        assert wait_for_end(program) == 0
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
    own.says("export", "--data", store, "-o", stopped)
    assert bean_check(running) == 0
    assert running.read_bytes() == other.read_bytes()
    text = stopped.read_text(encoding="utf-8")
    assert own.types("export", "--data", store).stdout == text
    for path in (running, stopped):
        assert audit(path.read_text(encoding="utf-8")).balances == balances
    assert 'key: "2/order-17"' in text
    assert '"anna" "for \\"rent\\" \\\\ ünï ✓"' in text
    stopped.write_text(text.replace("-100.00 EUR", "-100.01 EUR"), encoding="utf-8")
    assert bean_check(stopped) != 0, "so the check can fail"


def test_the_journal_takes_the_place_of_an_older_one_only_once_it_is_whole(tmp_path: Path) -> None:
    own = OwnBank(tmp_path, branches=1)
    path = tmp_path / "books.bean"
    path.write_text("older")
    assert "is the bank running?" in complaint_of(own.types("export", "-o", path), 5)
    assert path.read_text() == "older"
    with own.up():
        own.says("open", "anna")
        own.says("export", "-o", path)
    assert 'id: "anna"' in path.read_text()
    assert {each.name for each in tmp_path.iterdir()} <= {"bank.toml", "data", "state", "books.bean"}


def test_a_store_whose_accounts_contradict_its_log_is_not_exported(tmp_path: Path) -> None:
    own = OwnBank(tmp_path, branches=1)
    with own.up() as program:
        own.says("open", "anna")
        own.says("deposit", "anna", 5)
        program.send_signal(signal.SIGINT)
        assert wait_for_end(program) == 0
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
    store = tmp_path / "data" / "branch-1"
    with sqlite3.connect(store / "bank.sqlite") as connection:
        connection.execute("UPDATE account SET balance = 6")
    connection.close()
    told = complaint_of(own.types("export", "--data", store, "-o", tmp_path / "books.bean"), 3)
    assert "its log has account anna at 5 and its table of accounts at 6" in told
    assert not (tmp_path / "books.bean").exists()


def test_who_reads_only_the_beginning_is_not_bothered_with_the_rest(tmp_path: Path) -> None:
    own = OwnBank(tmp_path, branches=1)
    with own.up():
        shell = f"'{BANKBOOK}' export | head -n 1"
        done = subprocess.run(
            ["bash", "-c", shell],
            env=own.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout == "; The books of the bank ours, written by `bankbook export`.\n"


def test_bad_input_is_told(tmp_path: Path) -> None:
    config = tmp_path / "bank.toml"
    assert "bankbook init" in complaint_of(bankbook("export", "--config", config), 2)
    own = OwnBank(tmp_path, branches=2)
    assert "there is no branch 3; there are 1, 2" in complaint_of(own.types("export", "--branch", 3), 2)
    for more in (("--branch", 1), ("--config", own.config)):
        done = own.types("export", "--data", tmp_path, *more)
        assert "a stopped branch's store" in complaint_of(done, 2)
    told = complaint_of(own.types("export", "--data", tmp_path), 3)
    assert "name the folder of one branch, such as data/branch-1" in told
    assert "is a directory" in complaint_of(own.types("export", "-o", tmp_path), 3)
    assert {each.name for each in tmp_path.iterdir()} == {"bank.toml"}


def test_another_bank_at_the_address_is_not_taken_for_ours(tmp_path: Path) -> None:
    own = OwnBank(tmp_path, branches=1)
    with own.up():
        text = own.config.read_text().replace('cluster = "ours"', 'cluster = "theirs"')
        own.config.write_text(text)
        told = complaint_of(own.types("export"), 5)
        assert "is branch 1 of ours instead of branch 1 of theirs" in told


def test_books_of_which_the_first_entries_were_dropped_begin_with_balances_brought_forward(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "branch-1"
    path = folder / STORE_FILE
    for everywhere in (NOTHING, VersionVector([(HERE, Seq(3))])):
        with closing(open_sqlite(path, Bounds())) as store:
            if not everywhere:
                opened_and_moved = [
                    opening_entry(HERE, 1, "till", None, "EUR"),
                    posting_entry(HERE, 2, ("till", 5)),
                    posting_entry(HERE, 3, ("alice", 5)),
                    posting_entry(HERE, 4, ("till", 2)),
                    posting_entry(HERE, 5, ("bob", -1), ("zoe", 1)),
                ]
                store.commit(changes_by(store, *opened_and_moved))
            store.commit(Changes(drop=Drop(FOR_EVER, everywhere), clock=store.clock()))
    output = tmp_path / "books.bean"
    assert bankbook("export", "--data", folder, "-o", output).returncode == 0
    assert bean_check(output) == 0
    text = output.read_text()
    assert text.count("Brought forward") == 3, "alice is left out: nothing has moved there since"
    assert "up to: 1.000a11ce#3" in text
    assert audit(text).balances == {"till": 7, "bob": 99, "zoe": 101}
