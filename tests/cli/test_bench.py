"""`bankbook bench`: what it takes, what it tells, and what it leaves: nothing."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pexpect
import pytest
from cli.commands import BANKBOOK, bankbook, complaint_of, started, wait_for_end
from cli.own_bank import OwnBank
from server.processes import processes_of_session, wait_until

SHORT = ("--operations", 60, "--warmup", "0s", "--callers", 4, "--accounts", 50, "--branches", 2)


def figures(*arguments: object) -> Any:
    done = bankbook("bench", *SHORT, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def test_it_tells_a_person_every_figure_and_leaves_nothing(tmp_path: Path) -> None:
    done = bankbook("bench", *SHORT, "--data", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        r"bank       bench, 2 branches, stores on \S+, where a sync takes [\d.]+ ms",
        r"load       transfers over 50 accounts \(uniform\), 15% elsewhere than usual, 4 callers, seed 0",
        r"durable    on the disk of the branch that answers",
        r"rate       as fast as it goes",
        r"rate       [\d,]+ operations are due each second",
        r"speed      [\d,]+ operations/s over [\d.]+ s; [\d,]+/s until all 2 branches had them",
        r"latency    p50 [\d.]+ ms  max [\d.]+ ms, from when it was due",
        r"service    p50 .* ms, from when it was sent",
        r"holds      (none|\d+) of 60 requests.*",
        r"branch 2   \d+% of a processor, \d+ MB",
        r"clients    1, \d+% of a processor; other programs \d+%",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), (line, done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_it_tells_a_program_the_same_and_what_was_asked_for() -> None:
    told = figures("--workload", "deposits", "--skew", "zipf", "--bulk", 5, "--durable", 1, "--seed", 7)
    assert told["bank"]["branches"] == 2
    first, second = told["measured"]
    assert first["load"] == {
        "workload": "deposits",
        "skew": "zipf",
        "accounts": 50,
        "bulk": 5,
        "remote": 0.15,
        "callers": 4,
        "sessions": None,
        "clients": 1,
        "rate": None,
        "durable": 1,
        "seed": 7,
    }
    assert first["outcomes"] == second["outcomes"] == {"OK": 60}
    assert first["requests"] == 12
    assert first["durability"] == "on the disk of the branch that answers and of another one"
    assert second["load"]["rate"] == pytest.approx(first["operations_per_s"] / 2, rel=0.001)
    assert second["latency_us"]["count"] == 12


@pytest.mark.parametrize(("rate", "expected"), [("max", None), ("250", 250.0)])
def test_a_rate_that_is_named_is_the_only_one(rate: str, expected: float | None) -> None:
    (only,) = figures("--rate", rate)["measured"]
    assert only["load"]["rate"] == expected


def test_a_bank_that_runs_is_measured_and_gets_accounts(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=2)
    options = (*SHORT[:-2], "--config", bank.config, "--rate", "max")
    with bank.up():
        done = bankbook("bench", *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "bank       ours, 2 branches\n" in done.stdout
        assert "branch 1" not in done.stdout  # whose processes they are is not known
        assert bank.says("balance", "bench-49").startswith("bench-49 has ")
        assert bankbook("bench", *options).returncode == 0


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "bench.svg"
    figures("--plot", path)
    assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314  (our own)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--durable", 3), "--durable: the bank has 3 branches, so 2 other disks at the most"),
        (("--branches", 1, "--durable", 1), "the bank has one branch, and no other one's disk"),
        (("--workload", "mixed", "--bulk", 2), "a batch has writes only"),
        (("--bulk", 8193), "8193 is not in the range 1<=x<=8192"),
        (("--rate", "fast"), "a rate is above 0 and up to 1,000,000 operations a second, or max; not 'fast'"),
        (("--rate", "0"), "a rate is above 0 and up to 1,000,000 operations a second, or max; not '0'"),
        (("--rate", "nan"), "a rate is above 0 and up to 1,000,000 operations a second, or max; not 'nan'"),
        (("--duration", "soon"), "'soon' is not a duration; write one like 2s"),
        (("--duration", "0s"), "nothing can be measured in no time"),
        (("--workload", "loans"), "'loans' is not one of 'deposits', 'transfers', 'mixed'"),
        (("--config", "x.toml", "--branches", 2), "--branches is of a bank that is started for the bench"),
        (("--config", "x.toml", "--data", "."), "--data is of a bank that is started for the bench"),
        (("--config", "missing.toml"), "there is no missing.toml; write one with `bankbook init`"),
        (("--plot", "/nowhere/at/all.svg"), "--plot: there is no folder /nowhere/at; make it first"),
        (("--data", "/nowhere/at/all"), "Directory '/nowhere/at/all' does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(arguments: tuple[object, ...], told: str) -> None:
    assert told in complaint_of(bankbook("bench", *arguments), 2)


def test_a_bank_that_does_not_run_is_told(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    told = complaint_of(bankbook("bench", "--config", bank.config), 3)
    assert re.search(r"branch 1 at 127\.0\.0\.1:\d+ gave no answer \(UNAVAILABLE\); is it running\?", told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_interrupted_leaves_no_process_and_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    with started(BANKBOOK, "bench", "--duration", "1h", "--warmup", "0s", "--data", tmp_path) as program:
        wait_until(lambda: len(processes_of_session(program.pid)) >= 6, "branches and a client are there")
        os.kill(program.pid, number)
        assert wait_for_end(program) == 130
        assert program.stderr is not None
        assert program.stderr.read() == "bankbook: interrupted; nothing was measured\n"
        wait_until(lambda: not processes_of_session(program.pid), "all processes have ended")
    assert list(tmp_path.iterdir()) == []


def test_who_is_killed_leaves_no_process(tmp_path: Path) -> None:
    with started(BANKBOOK, "bench", "--duration", "1h", "--data", tmp_path) as program:
        wait_until(lambda: len(processes_of_session(program.pid)) >= 6, "branches and a client are there")
        program.kill()
        wait_until(lambda: not processes_of_session(program.pid), "all processes have ended")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_progress_is_shown_on_a_terminal_and_the_figures_follow() -> None:
    arguments = ["bench", *map(str, SHORT), "--rate", "max"]
    with pexpect.spawn(str(BANKBOOK), arguments, encoding="utf-8", timeout=60) as terminal:
        terminal.expect("starting the bank")
        terminal.expect("speed ")
        terminal.expect(pexpect.EOF)
