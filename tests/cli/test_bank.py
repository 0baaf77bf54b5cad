"""`bankbook init`, `branch` and `up`: a bank of one's own, from its file to its branches."""

import os
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pexpect
import pytest
from cli.commands import BANKBOOK, bankbook, complaint_of, lines_until, started, wait_for_end
from cli.own_bank import OwnBank
from server.processes import PATIENCE_S, processes_of_session, wait_until


def test_a_new_file_says_where_the_branches_are_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "bank.toml"
    done = bankbook("init", "--config", path, "--branches", 2, "--port", 9000)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"wrote {path}: 2 branches at 127.0.0.1, ports 9001 to 9002\n"
        f"start the bank with: bankbook up --config {path}\n"
    )
    text = path.read_text()
    assert text.count("[[branch]]") == 2
    assert "is there already" in complaint_of(bankbook("init", "--config", path, "--branches", 9), 2)
    assert path.read_text() == text


def test_a_bank_is_called_what_its_folder_is_called(tmp_path: Path) -> None:
    for folder, cluster in ((tmp_path / "savings", "savings"), (tmp_path / "my bank", "bank")):
        folder.mkdir()
        bankbook("init", "--config", folder / "bank.toml")
        assert f'cluster = "{cluster}"' in (folder / "bank.toml").read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--cluster", "../x"), "cluster: expected a name"),
        (("--host", "no host"), '"host:port"'),
        (("--branches", 0), "1<=x<=256"),
        (("--port", 65_500), "not in the range"),
    ],
)
def test_a_bank_that_cannot_be_is_not_written(
    tmp_path: Path, options: tuple[object, ...], expected: str
) -> None:
    path = tmp_path / "bank.toml"
    assert expected in complaint_of(bankbook("init", "--config", path, *options), 2)
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    told = complaint_of(bankbook("init", "--config", tmp_path / "nowhere" / "bank.toml"), 3)
    assert "No such file or directory" in told


@pytest.mark.parametrize("command", [("up",), ("branch", "--id", 1), ("status",), ("balance", "anna")])
def test_every_command_tells_what_is_wrong_with_the_file(tmp_path: Path, command: tuple[object, ...]) -> None:
    path = tmp_path / "bank.toml"
    assert "bankbook init" in complaint_of(bankbook(*command, "--config", path), 2)
    path.write_text('cluster = "ours"\nbrunch = 1\n')
    assert f"{path}: brunch: there is no such setting" in complaint_of(
        bankbook(*command, "--config", path), 2
    )
    assert list(tmp_path.iterdir()) == [path]


def test_money_is_still_there_after_the_bank_was_stopped(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    for balance in (5, 10):
        with bank.up() as program:
            if balance == 5:
                bank.says("open", "anna")
            assert bank.says("deposit", "anna", 5) == f"deposited 5; anna has {balance}"
            program.send_signal(signal.SIGINT)
            assert wait_for_end(program) == 0
            wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["branch-1", "branch-2", "branch-3"]


def test_branches_that_are_started_one_by_one_are_the_same_bank(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=2)
    with bank.up("--data", tmp_path / "stores") as program:
        bank.says("open", "anna", "--currency", "EUR")
        bank.says("deposit", "anna", 5)
        program.send_signal(signal.SIGTERM)
        assert wait_for_end(program) == 0
    with (
        bank.branch(1, "--data", tmp_path / "stores"),
        bank.branch(2, "--data", tmp_path / "stores") as second,
    ):
        assert bank.says("deposit", "anna", 5, "--branch", 1) == "deposited 5.00 EUR; anna has 10.00 EUR"
        assert bank.says("balance", "anna", "--branch", 2) == "anna has 10.00 EUR"
        second.send_signal(signal.SIGINT)
        assert wait_for_end(second) == 0
        assert second.stderr is not None
        assert "stopping the branch" in second.stderr.read()


def test_a_second_signal_ends_a_branch_at_once(tmp_path: Path) -> None:
    """Nobody takes what it decided: it drains for as long as it may, which is an hour."""
    bank = OwnBank(tmp_path, branches=2, defaults="drain_s = 3600")
    with bank.branch(1) as program:
        with bank.branch(2) as second:
            bank.says("open", "anna")
            second.kill()
        bank.says("deposit", "anna", 5, "--branch", 1)
        program.send_signal(signal.SIGINT)
        assert program.stderr is not None
        assert program.stderr.readline() == "stopping the branch\n"
        program.send_signal(signal.SIGINT)
        assert wait_for_end(program) == -signal.SIGINT


def test_ctrl_c_ends_a_branch_at_once_that_brings_its_store_up_to_date(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    bank.config.write_text(bank.config.read_text().replace('"error"', '"warning"'))
    with bank.branch(1) as program:
        program.send_signal(signal.SIGTERM)
        assert wait_for_end(program) == 0
    store = tmp_path / "data" / "branch-1" / "bank.sqlite"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE meta SET value = 5 WHERE name = 'schema version'")
        connection.commit()
    # It says so first, and waits for who reads that: whatever it does then takes as long as we like.
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"\n" * 4096)
    os.set_blocking(theirs, True)
    try:
        with subprocess.Popen(
            [BANKBOOK, "branch", "--id", "1"],
            env=bank.env,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as program_that_waits:
            try:
                files = Path(f"/proc/{program_that_waits.pid}/fd")
                wait_until(lambda: store in {each.resolve() for each in files.iterdir()}, "the store is open")
                program_that_waits.send_signal(signal.SIGINT)
                assert program_that_waits.wait(PATIENCE_S) == -signal.SIGINT
            finally:
                program_that_waits.kill()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_branch_logs_json_lines_into_its_file(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    bank.config.write_text(bank.config.read_text().replace('"error"', '"info"'))
    log = tmp_path / "log"
    with bank.branch(1, "--log-file", log) as program:
        program.send_signal(signal.SIGTERM)
        assert wait_for_end(program) == 0
    lines = log.read_text().splitlines()
    assert any('"branch.listening"' in line for line in lines)
    assert all(line.startswith("{") and '"branch": 1' in line for line in lines)


def test_a_branch_that_the_file_does_not_name(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    assert "there is no branch 4; there are 1, 2, 3" in complaint_of(bank.types("branch", "--id", 4), 2)
    assert "there is no branch 4; there are 1, 2, 3" in complaint_of(
        bank.types("balance", "anna", "--branch", 4), 2
    )


@pytest.mark.parametrize("command", [("up",), ("branch", "--id", 2)])
def test_a_port_that_is_taken(tmp_path: Path, command: tuple[object, ...]) -> None:
    bank = OwnBank(tmp_path)
    with socket.create_server(("127.0.0.1", bank.base + 2)):
        assert f"127.0.0.1:{bank.base + 2}" in complaint_of(bank.types(*command), 3)


def test_a_branch_that_dies_is_told_of_and_the_others_serve_on(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    with bank.up() as program:
        bank.says("open", "anna")
        os.kill(bank.pids[2], signal.SIGKILL)
        assert program.stderr is not None
        told = program.stderr.readline()
        assert "branch 2 was killed by SIGKILL" in told
        again = told.strip().rpartition("with: bankbook ")[2].split()
        assert bank.says("deposit", "anna", 5, "--branch", 1) == "deposited 5; anna has 5"
        assert bank.types("balance", "anna", "--branch", 2).returncode == 5
        with started(BANKBOOK, *again, env=bank.env) as second:
            lines_until(second, "branch 2 at ")
            assert bank.says("balance", "anna", "--branch", 2) == "anna has 5", "as it was told to do"
        os.kill(bank.pids[1], signal.SIGKILL)
        os.kill(bank.pids[3], signal.SIGKILL)
        assert wait_for_end(program) == 3
        assert "no branch is left" in program.stderr.read()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_terminal_stops_the_bank(tmp_path: Path, times: int) -> None:
    bank = OwnBank(tmp_path)
    terminal = pexpect.spawn(str(BANKBOOK), ["up"], env=bank.env, encoding="utf-8", timeout=PATIENCE_S)
    try:
        terminal.expect("all 3 branches of ours are ready; Ctrl-C stops them")
        for _ in range(times):
            terminal.sendintr()
        terminal.expect(pexpect.EOF)
        terminal.wait()
        told = {each for each in terminal.before.replace("^C", "").split("\r\n") if each}
        if times == 1:
            assert (terminal.exitstatus, told) == (0, {"stopping the branches"})
        else:
            assert terminal.exitstatus in (0, 130, None), "None: it ended by the second signal"
            assert told <= {"stopping the branches", "bankbook: interrupted"}
        wait_until(lambda: processes_of_session(terminal.pid) == [], "every process ends")
    finally:
        for pid in processes_of_session(terminal.pid):
            os.kill(pid, signal.SIGKILL)
        terminal.close(force=True)
