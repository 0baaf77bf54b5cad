"""`bankbook branches` in one terminal, `bankbook customers` and the original's customer in another."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pexpect
import pytest
from cli.commands import (
    BANKBOOK,
    EXAMPLES,
    ROOT,
    bankbook,
    complaint_of,
    deposit,
    expected_of,
    lines_until,
    query,
    results_in,
    started,
    wait_for_end,
    write_scenario,
)
from ports import free_port_base
from server.processes import HOST, PATIENCE_S, processes_of_session, wait_until

from bankbook.wire.original import bank_pb2, bank_pb2_grpc

QUIET = ("--log-level", "error")


@contextmanager
def branches(
    path: Path, *options: object, command: tuple[object, ...] = (BANKBOOK, "branches")
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Have the branches of a scenario run at free ports; yield their command, and the port base."""
    base = free_port_base(10)
    with started(*command, path, "--port-base", base, *QUIET, *options) as program:
        lines_until(program, "branches are ready")
        yield program, base


def stop(program: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; return what it said on standard error."""
    program.send_signal(signal.SIGINT)
    _, complaint = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, complaint
    wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
    return complaint


class OriginalCustomer:
    """The original system's customer: a stub for each branch, each event one blocking MsgDelivery."""

    def __init__(self, number: int, events: list[dict[str, object]], port_base: int) -> None:
        self.number, self.events, self._port_base = number, events, port_base
        self._channels: dict[int, grpc.Channel] = {}

    def execute(self) -> list[object]:
        try:
            return [self._deliver(event) for event in self.events]
        finally:
            for channel in self._channels.values():
                channel.close()

    def _deliver(self, event: dict[str, object]) -> object:
        branch = int(str(event["branch"]))
        if branch not in self._channels:
            self._channels[branch] = grpc.insecure_channel(f"localhost:{self._port_base + branch}")
        response = bank_pb2_grpc.BankStub(self._channels[branch]).MsgDelivery(
            bank_pb2.BankRequest(
                interface=str(event["interface"]), money=int(str(event.get("money", 0))), id=self.number
            ),
            timeout=PATIENCE_S,
        )
        assert response.branch == branch
        return response.balance if event["interface"] == "query" else response.result


@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
@pytest.mark.parametrize("accounts", ["own", "shared"])
def test_an_unmodified_client_of_the_original_protocol_gets_right_answers(name: str, accounts: str) -> None:
    path = EXAMPLES / name
    (customer,) = (each for each in json.loads(path.read_text()) if each["type"] == "customer")
    with branches(path, "--propagation-delay", "0.02s", "--accounts", accounts) as (program, base):
        told = OriginalCustomer(customer["id"], customer["events"], base).execute()
        assert told == expected_of(path)
        assert stop(program) == "stopping the branches\n"


def test_the_original_protocol_tells_want_of_funds_and_refuses_the_rest(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [], balance=10)
    with branches(path) as (program, base):
        assert OriginalCustomer(345, [query(2)], base).execute() == [10], "a customer that no file names"
        for events, code in (
            ([{"interface": "propagate_deposit", "branch": 1, "money": 5}], grpc.StatusCode.INVALID_ARGUMENT),
            ([deposit(-50, 1)], grpc.StatusCode.INVALID_ARGUMENT),
            ([deposit(2**31 - 1, 1)], grpc.StatusCode.OUT_OF_RANGE),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                OriginalCustomer(345, events, base).execute()
            assert f"StatusCode.{code.name}" in str(refusal.value)
        poor: list[dict[str, object]] = [{"interface": "withdraw", "branch": 1, "money": 11}, query(2)]
        assert OriginalCustomer(345, poor, base).execute() == ["fail", 10]
        stop(program)


@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
def test_branches_in_one_terminal_and_customers_in_another(tmp_path: Path, name: str) -> None:
    with branches(EXAMPLES / name) as (program, base):
        output = tmp_path / "output.json"
        done = bankbook("customers", EXAMPLES / name, "-o", output, "--port-base", base)
        assert done.returncode == 0, done.stderr
        assert results_in(output) == expected_of(EXAMPLES / name)
        assert "PASS" in done.stdout
        again = bankbook("customers", EXAMPLES / name, "-o", output, "--port-base", base)
        assert "served other customers before" in again.stdout.replace("\n", " ")
        assert again.returncode == 0
        stop(program)


def test_the_scripts_of_the_original_systems_names_do_the_same(tmp_path: Path) -> None:
    path = EXAMPLES / "input.json"
    with branches(path, command=(sys.executable, ROOT / "run_branch.py")) as (program, base):
        done = subprocess.run(
            [sys.executable, ROOT / "run_customer.py", path, "--port-base", str(base)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert results_in(tmp_path / "output" / "output.json") == ["success", 400, 400]
        stop(program)


def test_customers_use_the_accounts_and_the_opening_balance_of_the_branches(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [deposit(1, 1), query(2)])
    with branches(path, "--accounts", "shared", "--opening-balance", 50) as (program, base):
        done = bankbook("customers", path, "-o", tmp_path / "o.json", "--port-base", base)
        assert done.returncode == 0, done.stderr
        assert "account shared: 51" in done.stdout
        stop(program)


@pytest.mark.parametrize("name", ["input.json", "input_big.json"])
def test_customers_without_branches_are_told_what_to_do(tmp_path: Path, name: str) -> None:
    output = tmp_path / "output.json"
    output.write_text("[]")
    base = free_port_base(10)
    done = bankbook("customers", EXAMPLES / name, "-o", output, "--port-base", base)
    complaint = complaint_of(done, 3)
    assert f"there is no branch at {HOST}:{base + 1}" in complaint
    assert f"bankbook branches {EXAMPLES / name}" in complaint
    assert not output.exists()


def test_customers_whose_second_branch_is_missing_are_told_so_too(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "small.json", 1, [])
    with branches(path) as (program, base):
        done = bankbook("customers", EXAMPLES / "input.json", "-o", tmp_path / "o.json", "--port-base", base)
        assert f"there is no branch at {HOST}:{base + 2}" in complaint_of(done, 3)
        stop(program)


def test_branches_say_where_they_are_and_when_all_are_ready() -> None:
    base = free_port_base(10)
    with started(BANKBOOK, "branches", EXAMPLES / "input.json", "--port-base", base, *QUIET) as program:
        said = lines_until(program, "ready")
        assert [re.sub(r"\d+$", "N", line.strip()) for line in said[:-1]] == [
            f"branch 1 at {HOST}:{base + 1}, process N",
            f"branch 2 at {HOST}:{base + 2}, process N",
        ]
        assert said[-1] == "all 2 branches are ready; Ctrl-C stops them\n"
        stop(program)


def test_a_second_bank_at_the_same_ports_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = EXAMPLES / "input.json"
    with branches(path) as (program, base):
        for _ in range(2):
            done = bankbook("branches", path, "--port-base", base, *QUIET)
            assert re.search(r"cannot listen at .* the port is taken", complaint_of(done, 3))
        done = bankbook("customers", path, "-o", tmp_path / "o.json", "--port-base", base)
        assert done.returncode == 0, done.stderr
        stop(program)


def test_a_port_that_somebody_else_has_is_told() -> None:
    base = free_port_base(2)
    with socket.create_server((HOST, base + 2)):
        done = bankbook("branches", EXAMPLES / "input.json", "--port-base", base, *QUIET)
        complaint = complaint_of(done, 3)
    assert f"branch 2 cannot listen at {HOST}:{base + 2}: the port is taken" in complaint


def test_a_data_folder_keeps_balances_over_kill_9(tmp_path: Path) -> None:
    path, data = EXAMPLES / "input.json", tmp_path / "data"
    with branches(path, "--data", data) as (program, base):
        assert OriginalCustomer(1, [deposit(5, 1), deposit(6, 2)], base).execute() == ["success"] * 2
        program.kill()
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
    with branches(path, "--data", data) as (program, base):
        assert OriginalCustomer(1, [query(1), query(2), deposit(1, 2), query(1)], base).execute() == [
            11, 11, "success", 12,
        ]  # fmt: skip
        stop(program)
    other = write_scenario(tmp_path / "other.json", 2, [], balance=1)
    complaint = complaint_of(bankbook("branches", other, "--data", data, "--port-base", base, *QUIET), 3)
    assert "opening balance" in complaint
    assert str(data) in complaint


def test_two_banks_never_use_one_data_folder_at_once(tmp_path: Path) -> None:
    path, data = EXAMPLES / "input.json", tmp_path / "data"
    with branches(path, "--data", data) as (program, base):
        done = bankbook("branches", path, "--data", data, "--port-base", free_port_base(2), *QUIET)
        assert str(data) in complaint_of(done, 3)
        assert OriginalCustomer(1, [deposit(5, 1), query(2)], base).execute() == ["success", 5]
        stop(program)


def test_a_branch_that_is_killed_is_started_again_from_its_store() -> None:
    base = free_port_base(2)
    with started(BANKBOOK, "branches", EXAMPLES / "input.json", "--port-base", base, *QUIET) as program:
        said = "".join(lines_until(program, "ready"))
        assert OriginalCustomer(1, [deposit(5, 1)], base).execute() == ["success"]
        (victim,) = re.findall(r"branch 1 at .* process (\d+)", said)
        os.kill(int(victim), signal.SIGKILL)
        assert program.stderr is not None
        told = program.stderr.readline()
        assert told == "bankbook: branch 1 was killed by SIGKILL; starting it again from its store\n"
        wait_until(lambda: _answers(base + 1), "branch 1 is back")
        assert OriginalCustomer(1, [query(1), query(2), deposit(1, 1), query(2)], base).execute() == [
            5, 5, "success", 6,
        ]  # fmt: skip
        stop(program)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_a_branch_that_dies_again_and_again_ends_the_bank() -> None:
    base = free_port_base(2)
    with started(BANKBOOK, "branches", EXAMPLES / "input.json", "--port-base", base, *QUIET) as program:
        lines_until(program, "ready")
        for _ in range(6):
            wait_until(lambda: _listener(program, base + 1) is not None, "branch 1 is up")
            victim = _listener(program, base + 1)
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            assert program.stderr is not None
            told = program.stderr.readline()
        assert "giving up" in told
        assert wait_for_end(program) == 3
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")


def _listener(program: subprocess.Popen[str], port: int) -> int | None:
    """Find the process that listens, by what the kernel says of its files."""
    tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    rows = [line.split() for line in tables.splitlines()]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    for pid in processes_of_session(program.pid):
        with contextlib.suppress(FileNotFoundError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                if str(file.readlink()) in sockets:
                    return pid
    return None


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_terminal_stops_all_branches(times: int) -> None:
    """On a terminal every process of the command gets the signal, the branches too."""
    base = free_port_base(10)
    arguments = ["branches", str(EXAMPLES / "input_big.json"), "--port-base", str(base), *QUIET]
    terminal = pexpect.spawn(str(BANKBOOK), arguments, encoding="utf-8", timeout=PATIENCE_S)
    try:
        terminal.expect("all 10 branches are ready; Ctrl-C stops them")
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


def test_ctrl_c_is_heard_while_a_branch_that_died_takes_long_to_start_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    base = free_port_base(2)
    arguments = ["branches", EXAMPLES / "input.json", "--port-base", base, "--log-file", log]
    with started(BANKBOOK, *arguments) as program:
        lines_until(program, "ready")
        # Who opens it to write waits for who reads it: the branch does nothing, and for ever.
        log.unlink()
        os.mkfifo(log)
        killed = _listener(program, base + 1)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert program.stderr is not None
        assert "starting it again from its store" in program.stderr.readline()
        program.send_signal(signal.SIGINT)
        assert wait_for_end(program) == 0
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")


def test_log_lines_are_coloured_on_a_terminal_and_json_in_a_pipe() -> None:
    base = free_port_base(2)
    arguments = ["branches", str(EXAMPLES / "input.json"), "--port-base", str(base)]
    with started(BANKBOOK, *arguments) as program:
        lines_until(program, "ready")
        program.send_signal(signal.SIGTERM)
        _, told = program.communicate(timeout=PATIENCE_S)
        assert program.returncode == 0
        *lines, last = told.splitlines()
        events = {json.loads(line)["event"] for line in lines if line.startswith("{")}
        assert {"branch.listening", "link.up", "branch.stopped"} <= events
        assert "stopping the branches" in (last, *lines)
    terminal = pexpect.spawn(str(BANKBOOK), arguments, encoding="utf-8", timeout=PATIENCE_S)
    try:
        terminal.expect("are ready")
        assert "\x1b[" in terminal.before
        assert '{"' not in terminal.before
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
    finally:
        for pid in processes_of_session(terminal.pid):
            os.kill(pid, signal.SIGKILL)
        terminal.close(force=True)


@pytest.mark.parametrize("command", ["branches", "customers"])
def test_bad_input_is_told_before_anything_starts(tmp_path: Path, command: str) -> None:
    path = tmp_path / "input.json"
    path.write_text("[{]")
    assert "line 1, column 3" in complaint_of(bankbook(command, path), 2)
    assert list(tmp_path.iterdir()) == [path]
