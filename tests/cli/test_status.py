"""`bankbook status`: what each branch of the bank says of itself, once or again and again."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli.commands import BANKBOOK, started, wait_for_end
from cli.own_bank import CLUSTER, OwnBank
from server.processes import PATIENCE_S, processes_of_session, wait_until


def branches_of(bank: OwnBank, *options: object) -> list[dict[str, Any]]:
    document = json.loads(bank.types("status", "--json", *options).stdout)
    assert document["cluster"] == CLUSTER
    found = document["branches"]
    assert isinstance(found, list)
    return found


def test_every_branch_says_how_it_is(bank: OwnBank) -> None:
    bank.says("open", "seen", "--currency", "EUR")
    bank.says("deposit", "seen", "30", "--branch", 1, "--durable", 2)
    first = branches_of(bank)[0]
    assert re.fullmatch(r"[0-9a-f]{8}", first.pop("incarnation"))
    assert first.pop("head") >= 1
    assert first.pop("entries_kept") >= 2
    assert first == {
        "branch": 1,
        "address": f"127.0.0.1:{bank.base + 1}",
        "is_reachable": True,
        "is_catching_up": False,
        "lags": {"2": 0, "3": 0},
        "held": 0,
        "holds": [],
        "inbox": 0,
        "cannot_reach": [],
        "dropped": 0,
        "entries_dropped": 0,
    }
    table = bank.types("status").stdout
    for number in (1, 2, 3):
        assert re.search(
            rf"^ +{number} +127\.0\.0\.1:{bank.base + number} +serving +{number}\.", table, re.MULTILINE
        )


def test_what_each_branch_knows_of_an_account(bank: OwnBank) -> None:
    bank.says("open", "watched", "--currency", "EUR", "--credit-line", "10")
    bank.says("deposit", "watched", "30", "--durable", 2)
    bank.says("reserve", "watched", "5", "--durable", 2)
    wait_until(lambda: len(set(map(str, known(bank, "watched")))) == 1, "all branches know the same")
    account = known(bank, "watched")[0]
    rights = account.pop("rights_minor")
    assert sum(rights.values()) == 3500, "what can be taken out is divided among the branches"
    assert set(rights) <= {"1", "2", "3"}
    assert account == {
        "currency": "EUR",
        "balance": "30.00",
        "balance_minor": 3000,
        "available_minor": 3500,
        "reserved_minor": 500,
    }
    table = bank.says("status", "--account", "watched")
    assert re.search(r" 1 +30\.00 EUR +35\.00 EUR +5\.00 EUR +1: \d+\.\d\d, 2: ", table)
    assert known(bank, "nobody") == [{"complaint": "there is no account nobody"}] * 3
    assert "there is no account nobody" in bank.says("status", "--account", "nobody")


def known(bank: OwnBank, account: str) -> list[dict[str, Any]]:
    return [each["account"] for each in branches_of(bank, "--account", account)]


def test_a_branch_that_is_missing_is_told_by_itself_and_by_the_others(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    with bank.up():
        os.kill(bank.pids[2], signal.SIGKILL)
        wait_until(
            lambda: [each.get("cannot_reach") for each in branches_of(bank)] == [[2], None, [2]],
            "the others find it gone",
        )
        done = bank.types("status")
        assert done.returncode == 5
        assert "no answer (UNAVAILABLE)" in done.stdout
        assert branches_of(bank)[1] == {
            "branch": 2,
            "address": f"127.0.0.1:{bank.base + 2}",
            "is_reachable": False,
            "complaint": "no answer (UNAVAILABLE)",
        }


def test_what_others_lack_and_who_waits_is_told(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    with bank.up():
        bank.says("open", "anna")
        os.kill(bank.pids[3], signal.SIGSTOP)
        try:
            command = ("deposit", "anna", 5, "--branch", 1, "--durable", 2, "--timeout", "30s")
            with started(BANKBOOK, *command, env=bank.env) as program:
                wait_until(lambda: branches_of(bank)[0]["held"] == 1, "it waits for the other disk")
                first = branches_of(bank)[0]
                assert first["lags"]["3"] >= 1
                assert [(each["customer"], each["account"]) for each in first["holds"]] == [("anna", "anna")]
                os.kill(bank.pids[3], signal.SIGCONT)
                assert wait_for_end(program) == 0
        finally:
            os.kill(bank.pids[3], signal.SIGCONT)
        wait_until(lambda: branches_of(bank)[0]["lags"] == {"2": 0, "3": 0}, "it has caught up")


def test_a_branch_of_another_bank_at_the_address_is_not_taken_for_ours(bank: OwnBank, tmp_path: Path) -> None:
    other = OwnBank(tmp_path)
    text = bank.config.read_text()
    other.config.write_text(text.replace(f'"{CLUSTER}"', '"theirs"'))
    document = json.loads(other.types("status", "--json").stdout)
    assert {each["complaint"] for each in document["branches"]} == {
        f"another branch is there: branch {number} of {CLUSTER}" for number in (1, 2, 3)
    }


def test_watching_on_a_terminal_redraws_until_ctrl_c(bank: OwnBank) -> None:
    terminal = pexpect.spawn(
        str(BANKBOOK),
        ["status", "--watch"],
        env=bank.env,
        encoding="utf-8",
        timeout=PATIENCE_S,
        dimensions=(24, 80),
    )
    try:
        for _ in range(2):
            terminal.expect(f"127.0.0.1:{bank.base + 3}")
        assert "\x1b[" in terminal.before, "it is drawn over what was there"
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0
        assert "Traceback" not in terminal.before
    finally:
        for pid in processes_of_session(terminal.pid):
            os.kill(pid, signal.SIGKILL)
        terminal.close(force=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_into_a_pipe_prints_again_and_again(bank: OwnBank, number: signal.Signals) -> None:
    with started(BANKBOOK, "status", "--watch", "--json", env=bank.env) as program:
        assert program.stdout is not None
        for _ in range(2):
            assert len(json.loads(program.stdout.readline())["branches"]) == 3
        program.send_signal(number)
        assert wait_for_end(program) == 0
        assert program.stderr is not None
        assert program.stderr.read() == ""
    with started(BANKBOOK, "status", "--watch", env=bank.env) as program:
        assert program.stdout is not None
        titles = 0
        for line in program.stdout:
            titles += line.startswith(f"bank {CLUSTER}")
            if titles == 2:
                break
        program.send_signal(number)
        assert wait_for_end(program) == 0
