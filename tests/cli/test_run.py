"""`bankbook run`, as a person or a script runs it."""

import json
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pexpect
import pytest
from cli.commands import (
    BANKBOOK,
    EXAMPLES,
    bankbook,
    complaint_of,
    deposit,
    expected_of,
    query,
    results_in,
    started,
    transfer,
    wait_for_end,
    withdraw,
    write_scenario,
)
from server.processes import PATIENCE_S, processes_of_session, wait_until

ESCAPE = "\x1b["


# What the original system's inputs come to.


def test_the_small_example(tmp_path: Path) -> None:
    output = tmp_path / "output.json"
    done = bankbook("run", EXAMPLES / "input.json", "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(output.read_text()) == [
        {"id": 1, "recv": [{"interface": "deposit", "branch": 1, "result": "success"}]},
        {"id": 1, "recv": [{"interface": "query", "branch": 1, "balance": 400}]},
        {"id": 1, "recv": [{"interface": "query", "branch": 2, "balance": 400}]},
    ]
    for words in ("all 2 branches agree on account 1: 400", "PASS", f"3 records in {output}"):
        assert words in done.stdout


def test_the_big_example_reads_every_write_at_every_branch(tmp_path: Path) -> None:
    done = bankbook("run", EXAMPLES / "input_big.json", "-o", tmp_path / "output.json")
    assert done.returncode == 0, done.stderr
    results = results_in(tmp_path / "output.json")
    assert len(results) == 60
    assert results == expected_of(EXAMPLES / "input_big.json")
    assert [each for each in results if isinstance(each, int)][-1] == 0
    assert "all 10 branches agree on account 1: 0" in done.stdout


@pytest.mark.parametrize("delay", ["0.5s", "400ms..0.6s"])
def test_what_a_propagation_delay_holds_is_told_in_the_table(tmp_path: Path, delay: str) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [deposit(400, 1), query(2)])
    done = bankbook("run", path, "-o", tmp_path / "output.json", "--propagation-delay", delay)
    assert done.returncode == 0, done.stderr
    assert results_in(tmp_path / "output.json") == ["success", 400]
    row = re.search(r"query .*2 .*balance 400 .* (\d\.\d{3}) s .* entry 1 of branch 1 \(had 0\)", done.stdout)
    assert row is not None, done.stdout
    assert float(row[1]) > 0
    assert "held       1 of 2 requests" in done.stdout


def test_a_program_is_told_all_of_it_as_json(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [deposit(400, 1), query(2), withdraw(500, 2), query(7)])
    done = bankbook("run", path, "-o", tmp_path / "o.json", "--json", "--propagation-delay", "0.5s")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"] == "PASS"
    assert told["branches_agree"] is True
    assert told["balances"] == {"1": {"1": 400, "2": 400}}
    assert told["output"] == str(tmp_path / "o.json")
    (customer,) = told["customers"]
    assert (customer["id"], customer["account"]) == (1, "1")
    first, held, poor, lost = customer["events"]
    assert first == {
        "number": 1, "interface": "deposit", "branch": 1, "money": 400, "result": "success", "held_us": 0,
        "held_for": [],
    }  # fmt: skip
    assert held["balance"] == 400
    assert held["held_us"] > 0
    assert held["held_for"] == [{"branch": 1, "has": 0, "needs": 1}]
    assert (poor["result"], poor["reason"]) == ("fail", "INSUFFICIENT_FUNDS")
    assert (lost["result"], lost["reason"]) == ("fail", "UNKNOWN_BRANCH")
    assert lost["detail"] == "there is no branch 7; there are 1, 2"


def test_customers_with_an_account_each_do_not_see_each_others_money(tmp_path: Path) -> None:
    path = write_scenario(
        tmp_path / "input.json",
        3,
        [deposit(10, 1), query(2)],
        [deposit(20, 2), query(3)],
        [query(1)],
        balance=5,
    )
    assert bankbook("run", path, "-o", tmp_path / "o.json").returncode == 0
    assert results_in(tmp_path / "o.json") == ["success", 15, "success", 25, 5]


def test_customers_who_share_an_account_see_each_others_money_in_the_end(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 3, [deposit(10, 1)], [deposit(20, 2)], [deposit(40, 3)])
    done = bankbook("run", path, "-o", tmp_path / "o.json", "--accounts", "shared")
    assert done.returncode == 0, done.stderr
    assert "all 3 branches agree on account shared: 70" in done.stdout


def test_a_transfer_moves_money_and_a_refused_one_does_not(tmp_path: Path) -> None:
    path = write_scenario(
        tmp_path / "input.json",
        2,
        [deposit(100, 1), transfer(30, 2, to=2), query(1), transfer(71, 1, to=2), transfer(70, 1, to=9)],
        [],
    )
    done = bankbook("run", path, "-o", tmp_path / "o.json", "--json")
    assert done.returncode == 0, done.stderr
    assert results_in(tmp_path / "o.json") == ["success", "success", 70, "INSUFFICIENT_FUNDS", "success"]
    balances = json.loads(done.stdout)["balances"]
    assert balances == {"1": {"1": 0, "2": 0}, "2": {"1": 30, "2": 30}, "9": {"1": 70, "2": 70}}


def test_many_customers_at_once(tmp_path: Path) -> None:
    customers = [
        [deposit(each, 1 + each % 3), query(1 + (each + 1) % 3), withdraw(each, 1 + (each + 2) % 3)]
        for each in range(1, 101)
    ]
    path = write_scenario(tmp_path / "input.json", 3, *customers)
    done = bankbook("run", path, "-o", tmp_path / "o.json")
    assert done.returncode == 0, done.stderr
    expected = [result for each in range(1, 101) for result in ("success", each, "success")]
    assert results_in(tmp_path / "o.json") == expected


def test_an_event_at_an_unknown_branch_fails_alone(tmp_path: Path) -> None:
    path = write_scenario(
        tmp_path / "input.json", 2, [deposit(5, 1), deposit(6, 77), withdraw(6, 2), query(2), query(-3)]
    )
    done = bankbook("run", path, "-o", tmp_path / "o.json")
    assert done.returncode == 0, done.stderr
    reasons = ["success", "UNKNOWN_BRANCH", "INSUFFICIENT_FUNDS", 5, "UNKNOWN_BRANCH"]
    assert results_in(tmp_path / "o.json") == reasons
    assert "fail: UNKNOWN_BRANCH" in done.stdout
    assert "fail: INSUFFICIENT_FUNDS" in done.stdout


def test_one_more_than_32_bits_is_exact(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [deposit(2**31 - 1, 1), deposit(1, 2), query(1)])
    assert bankbook("run", path, "-o", tmp_path / "o.json").returncode == 0
    assert results_in(tmp_path / "o.json") == ["success", "success", 2**31]


def test_an_opening_balance_settles_unequal_ones(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(
        '[{"id": 1, "type": "branch", "balance": 1}, {"id": 2, "type": "branch", "balance": 2},'
        '{"id": 1, "type": "customer", "events": [{"interface": "query", "branch": 2}]}]'
    )
    complaint = complaint_of(bankbook("run", path, "-o", tmp_path / "o.json"), 2)
    assert "1 → 1, 2 → 2" in complaint
    assert bankbook("run", path, "-o", tmp_path / "o.json", "--opening-balance", 7).returncode == 0
    assert results_in(tmp_path / "o.json") == [7]


def test_one_branch_alone_is_a_bank_too(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 1, [withdraw(5, 1), query(1)], balance=5)
    done = bankbook("run", path, "-o", tmp_path / "o.json", "--propagation-delay", "1s")
    assert done.returncode == 0, done.stderr
    assert results_in(tmp_path / "o.json") == ["success", 0]


def test_what_is_held_too_long_fails_by_name_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 2, [deposit(5, 1), query(2), query(1)])
    delay = ("--propagation-delay", "0.6s", "--hold-limit", "0.1s")
    done = bankbook("run", path, "-o", tmp_path / "o.json", *delay)
    assert done.returncode == 0, done.stderr
    assert results_in(tmp_path / "o.json") == ["success", "HOLD_TIMEOUT", 5]
    assert "all 2 branches agree on account 1: 5" in done.stdout


# Bad input: status 2, a sentence or two, and no file that looks new.

BRANCH = '{"id": 1, "type": "branch", "balance": 0}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[", "line 1, column 2: this is not JSON"),
        ('[\n{"id": 1;}]', "line 2, column 9"),
        ("{}", "an array"),
        ("[]", "there is no branch"),
        (f"[{BRANCH}]", "there is no customer"),
        (f"[{BRANCH}, {BRANCH}]", "twice"),
        ('[{"id": 1, "typ": "branch"}]', "`type` is missing"),
        ('[{"id": 1, "type": "branch", "balanc": 0}]', "Did you mean balance?"),
        ('[{"id": 1, "type": "teller"}]', "`type` must be one of"),
        ('[{"id": 0, "type": "branch", "balance": 0}]', "from 1 to 256"),
        ('[{"id": 1, "type": "branch", "balance": -1}]', "`balance` must be an integer from 0"),
    ],
)
def test_a_file_that_is_no_scenario(tmp_path: Path, text: str, words: str) -> None:
    path, output = tmp_path / "input.json", tmp_path / "output.json"
    path.write_text(text)
    assert words in complaint_of(bankbook("run", path, "-o", output), 2)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ('{"interface": "deposit", "money": -50, "branch": 1}', "not -50"),
        ('{"interface": "deposit", "money": 1.5, "branch": 1}', "not 1.5"),
        ('{"interface": "deposit", "money": 9007199254740992, "branch": 1}', "not 9007199254740992"),
        ('{"interface": "deposit", "money": "5", "branch": 1}', "without the quotation marks"),
        ('{"interface": "deposit", "branch": 1}', "`money` is missing"),
        ('{"interface": "depsit", "money": 5, "branch": 1}', "Did you mean deposit?"),
        ('{"interface": "deposit", "money": 5, "brunch": 1}', "Did you mean branch?"),
        ('{"interface": "transfer", "money": 5, "branch": 1}', "`to` is missing"),
        ('{"interface": "query", "branch": "one"}', "`branch` must be"),
    ],
)
def test_an_event_that_is_none(tmp_path: Path, event: str, words: str) -> None:
    path, output = tmp_path / "input.json", tmp_path / "output.json"
    path.write_text(f'[{BRANCH}, {{"id": 1, "type": "customer", "events": [{event}]}}]')
    complaint = complaint_of(bankbook("run", path, "-o", output), 2)
    assert words in complaint
    assert "record 2, event 1" in complaint


def test_no_file_a_directory_and_no_text(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_bytes(b"[\xff]")
    for path, words in (
        (tmp_path / "none.json", "there is no such file"),
        (tmp_path, "this is a directory"),
        (tmp_path / "input.json", "not UTF-8"),
    ):
        assert words in complaint_of(bankbook("run", path, "-o", tmp_path / "output.json"), 2)


def test_a_complaint_is_json_too_where_json_was_asked_for(tmp_path: Path) -> None:
    done = bankbook("run", tmp_path / "none.json", "--json")
    told = json.loads(done.stdout)
    assert complaint_of(done, 2) == f"bankbook: {told['error']}"
    assert told["exit_status"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--propagation-delay", "fast"),
        ("--propagation-delay", "2s..1s"),
        ("--hold-limit", "-1s"),
        ("--hold-limit", "0"),
        ("--opening-balance", "-1"),
        ("--opening-balance", "1.5"),
        ("--accounts", "mine"),
        ("--no-such-option",),
    ],
)
def test_a_mistyped_option_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = bankbook("run", EXAMPLES / "input.json", "-o", tmp_path / "o.json", *arguments)
    assert complaint_of(done, 2).startswith("Error: ")
    assert list(tmp_path.iterdir()) == []


# The output: whole or not at all, and never an old one that looks new.


def test_an_old_output_is_gone_as_soon_as_the_run_cannot_make_a_new_one(tmp_path: Path) -> None:
    output = tmp_path / "output.json"
    output.write_text("[]")
    log_file = tmp_path / "no such folder" / "log"
    done = bankbook("run", EXAMPLES / "input.json", "-o", output, "--log-file", log_file)
    assert "the log file" in complaint_of(done, 3)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_told_before_the_bank_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output, words in (
        (tmp_path, "this is a directory"),
        (tmp_path / "file" / "output.json", "Not a directory"),
        (tmp_path / ("o" * 300), "File name too long"),
        ("/dev/full", "no plain file"),
        ("/proc/output.json", "cannot be written"),
    ):
        assert words in complaint_of(bankbook("run", EXAMPLES / "input.json", "-o", output), 2)


def test_the_input_is_not_taken_for_an_old_output(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 1, [query(1)])
    before = path.read_text()
    assert "this is the input" in complaint_of(bankbook("run", path, "-o", path), 2)
    assert path.read_text() == before


def test_the_folders_of_an_output_are_made_and_may_have_any_name(tmp_path: Path) -> None:
    output = tmp_path / "année" / "[bold] 銀行.json"
    done = bankbook("run", EXAMPLES / "input.json", "-o", output)
    assert done.returncode == 0, done.stderr
    assert results_in(output) == ["success", 400, 400]
    assert str(output) in done.stdout.replace("\n", "")


# The surroundings: few variables, no listeners, no room.


def test_a_run_needs_nothing_of_its_environment(tmp_path: Path) -> None:
    done = bankbook("run", EXAMPLES / "input.json", "-o", tmp_path / "o.json", env={})
    assert done.returncode == 0, done.stderr


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    with (
        started(BANKBOOK, "run", EXAMPLES / "input_big.json", "-o", tmp_path / "a.json") as one,
        started(BANKBOOK, "run", EXAMPLES / "input_big.json", "-o", tmp_path / "b.json") as two,
    ):
        for program in (one, two):
            told, complaint = program.communicate(timeout=PATIENCE_S)
            assert program.returncode == 0, complaint
            assert "all 10 branches agree on account 1: 0" in told


def shell(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "B": str(BANKBOOK), "I": str(EXAMPLES / "input.json")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("form", ["", "--json"])
def test_closed_standard_streams_change_nothing(tmp_path: Path, closed: str, form: str) -> None:
    done = shell(f"$B run $I -o o.json {form} {closed}", tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert results_in(tmp_path / "o.json") == ["success", 400, 400]


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_full_disk_behind_standard_output_is_told(tmp_path: Path, form: str) -> None:
    done = shell(f"$B run $I -o o.json {form} > /dev/full", tmp_path)
    assert "No space left" in complaint_of(done, 3)
    done = shell("$B check o.json --input $I > /dev/full", tmp_path)
    assert "No space left" in complaint_of(done, 3)
    done = shell("$B run --help > /dev/full", tmp_path)
    assert "No space left" in complaint_of(done, 3)


def test_whoever_reads_only_the_first_line_gets_it_and_the_status_is_the_runs(tmp_path: Path) -> None:
    done = shell("{ $B run $I -o o.json; echo status $? >&2; } | head -1", tmp_path)
    assert done.stdout.startswith("customer 1")
    assert done.stderr == "status 0\n"


# A branch that dies, a person who stops it, and what is left behind.


def test_a_branch_that_dies_in_a_run_is_started_again_and_the_run_ends_well(tmp_path: Path) -> None:
    events = [event for round_ in range(8) for event in (deposit(1, 1), query(2))]
    path = write_scenario(tmp_path / "input.json", 2, events)
    log = tmp_path / "log"
    options = ("--propagation-delay", "0.25s", "--log-file", log, "--log-level", "info")
    with started(BANKBOOK, "run", path, "-o", tmp_path / "o.json", *options) as program:
        victim = process_of_branch(program, log, 2)
        os.kill(victim, signal.SIGKILL)
        told, complaint = program.communicate(timeout=PATIENCE_S)
        assert "branch 2 was killed by SIGKILL; starting it again from its store" in complaint
        assert program.returncode == 0, complaint + told
    results = results_in(tmp_path / "o.json")
    assert results[0::2] == ["success"] * 8
    for number, result in enumerate(results[1::2], start=1):
        assert result in (number, "BRANCH_UNREACHABLE"), results


def process_of_branch(program: subprocess.Popen[str], log: Path, branch: int) -> int:
    """Find a branch's process in the log, once the first deposit was made."""
    wait_until(lambda: log.exists() and '"Deposit"' in log.read_text(), "the first deposit is made")
    said = [json.loads(line) for line in log.read_text().splitlines()]
    (pid,) = [each["pid"] for each in said if (each["event"], each["branch"]) == ("branch.listening", branch)]
    assert pid in processes_of_session(program.pid)
    return int(pid)


def slow_scenario(tmp_path: Path) -> Path:
    """Write a scenario whose query is held for as long as a test may take."""
    return write_scenario(tmp_path / "input.json", 3, [deposit(5, 1), query(2)])


def test_ctrl_c_in_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "output.json"
    output.write_text("[]")
    arguments = ["run", str(slow_scenario(tmp_path)), "-o", str(output), "--propagation-delay", "60s"]
    terminal = pexpect.spawn(str(BANKBOOK), arguments, encoding="utf-8", timeout=PATIENCE_S, cwd=tmp_path)
    try:
        terminal.expect(r"1/2")
        terminal.sendintr()
        terminal.expect("interrupted; the bank was stopped and no output written")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 130
        wait_until(lambda: processes_of_session(terminal.pid) == [], "every process ends")
        assert not output.exists()
    finally:
        end(terminal)


def end(terminal: "pexpect.spawn[str]") -> None:
    for pid in processes_of_session(terminal.pid):
        os.kill(pid, signal.SIGKILL)
    terminal.close(force=True)


def test_kill_9_of_a_run_leaves_no_branch_and_no_output(tmp_path: Path) -> None:
    output, log = tmp_path / "output.json", tmp_path / "log"
    options = ("--propagation-delay", "60s", "--log-file", log, "--log-level", "info")
    command = (BANKBOOK, "run", slow_scenario(tmp_path), "-o", output, *options)
    with (
        # Not in tmp_path: the name of a socket in there would be too long for the system.
        tempfile.TemporaryDirectory() as folder,
        started(*command, env={**os.environ, "TMPDIR": folder}) as program,
    ):
        wait_until(lambda: log.exists() and '"Deposit"' in log.read_text(), "the first deposit is made")
        assert len(processes_of_session(program.pid)) >= 4
        assert list(Path(folder).glob("bankbook-*"))
        program.kill()
        wait_for_end(program)
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
        assert not output.exists()
        assert list(Path(folder).glob("bankbook-*")) == [], "the last branch to end clears up"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_told_to_stop_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    output, log = tmp_path / "output.json", tmp_path / "log"
    options = ("--propagation-delay", "60s", "--log-file", log, "--log-level", "info")
    command = (BANKBOOK, "run", slow_scenario(tmp_path), "-o", output, *options)
    with (
        # Not in tmp_path: the name of a socket in there would be too long for the system.
        tempfile.TemporaryDirectory() as folder,
        started(*command, env={**os.environ, "TMPDIR": folder}) as program,
    ):
        temporary = Path(folder)
        wait_until(lambda: log.exists() and '"Deposit"' in log.read_text(), "the first deposit is made")
        assert list(temporary.glob("bankbook-*"))
        program.send_signal(number)
        _, complaint = program.communicate(timeout=PATIENCE_S)
        assert complaint == "bankbook: interrupted; the bank was stopped and no output written\n"
        assert program.returncode == 130
        wait_until(lambda: processes_of_session(program.pid) == [], "every process ends")
        assert not output.exists()
        assert list(temporary.glob("bankbook-*")) == []


# What a person sees on a terminal.


def test_a_terminal_gets_colours_and_progress_and_a_pipe_does_not(tmp_path: Path) -> None:
    arguments = ["run", str(EXAMPLES / "input.json"), "-o", str(tmp_path / "o.json")]
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    told = pexpect.run(
        f"{BANKBOOK} {' '.join(arguments)}",
        encoding="utf-8",
        timeout=PATIENCE_S,
        env=env,
        withexitstatus=False,
    )
    assert ESCAPE in told
    assert "events" in told, "the progress bar"
    done = bankbook(*arguments)
    assert ESCAPE not in done.stdout + done.stderr
    assert "━━" in done.stdout, "a table is a table in a pipe too"
