"""`bankbook check`: a verdict on an output, from the two files alone; and on what a run should never give."""

import json
import os
import signal
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, EXAMPLES, bankbook, complaint_of, deposit, query, started, write_scenario
from server.processes import PATIENCE_S

from bankbook.cli.report import RunReport
from bankbook.cli.run import finish
from bankbook.core.types import AccountId, BranchId, Money
from bankbook.scenario.checker import Kind, Verdict
from bankbook.scenario.execute import Agreement

SMALL = EXAMPLES / "input.json"


def outcome(result: object) -> dict[str, object]:
    return {"balance": result} if isinstance(result, int) else {"result": result}


def write_output(path: Path, *results: object) -> Path:
    """Write an output for the small example: a deposit at branch 1, a query at 1, a query at 2."""
    events = (("deposit", 1), ("query", 1), ("query", 2))
    records = [
        {"id": 1, "recv": [{"interface": interface, "branch": branch, **outcome(result)}]}
        for (interface, branch), result in zip(events, results, strict=True)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_a_right_output_passes(tmp_path: Path) -> None:
    done = bankbook("check", write_output(tmp_path / "o.json", "success", 400, 400), "--input", SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "check      PASS Every result is explained; 2 of them depend on earlier writes.\n"


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (("success", 400, 0), "customer 1, event 3"),
        (("success", 0, 0), "customer 1, event 2"),
        (("success", 400, 800), "customer 1, event 3"),
        (("success", 400, -400), "no account goes below 0"),
    ],
)
def test_a_doctored_output_fails_with_its_witness(
    tmp_path: Path, results: tuple[object, ...], words: str
) -> None:
    output = write_output(tmp_path / "o.json", *results)
    done = bankbook("check", output, "--input", SMALL)
    assert done.returncode == 1, done.stderr
    assert "FAIL" in done.stdout
    assert words in done.stdout
    told = json.loads(bankbook("check", output, "--input", SMALL, "--json").stdout)
    assert told["verdict"] == "FAIL"
    assert words in told["witness"]


def test_an_output_that_is_all_zeros_never_passes(tmp_path: Path) -> None:
    """The original's checker gave it full marks."""
    records = [
        {"id": 1, "recv": [{"interface": e["interface"], "branch": e["branch"], **outcome(
            0 if e["interface"] == "query" else "success")}]}
        for each in json.loads((EXAMPLES / "input_big.json").read_text())
        if each["type"] == "customer"
        for e in each["events"]
    ]  # fmt: skip
    (tmp_path / "o.json").write_text(json.dumps(records))
    assert bankbook("check", tmp_path / "o.json", "--input", EXAMPLES / "input_big.json").returncode == 1


def test_an_output_that_proves_nothing_is_unknown(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 1, [query(1)])
    (tmp_path / "o.json").write_text(
        '[{"id": 1, "recv": [{"interface": "query", "branch": 1, "balance": 0}]}]'
    )
    done = bankbook("check", tmp_path / "o.json", "--input", path)
    assert done.returncode == 2
    assert "UNKNOWN" in done.stdout


def test_an_output_with_a_record_too_few_fails(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text(
        '[{"id": 1, "recv": [{"interface": "deposit", "branch": 1, "result": "success"}]}]'
    )
    done = bankbook("check", tmp_path / "o.json", "--input", SMALL)
    assert done.returncode == 1
    assert "has no record" in done.stdout


def test_what_customers_share_is_judged_as_shared_and_with_its_opening_balance(tmp_path: Path) -> None:
    path = write_scenario(tmp_path / "input.json", 1, [deposit(5, 1)], [query(1)])
    output = tmp_path / "o.json"
    output.write_text(
        '[{"id": 1, "recv": [{"interface": "deposit", "branch": 1, "result": "success"}]},'
        '{"id": 2, "recv": [{"interface": "query", "branch": 1, "balance": 5}]}]'
    )
    assert bankbook("check", output, "--input", path).returncode == 1
    assert bankbook("check", output, "--input", path, "--accounts", "shared").returncode == 0
    shared = ("--accounts", "shared", "--opening-balance", 3)
    assert bankbook("check", output, "--input", path, *shared).returncode == 1


@pytest.mark.parametrize("text", ["", "[", "[3]", '[{"id": 1}]', "\ufeff\ufeff["])
def test_files_that_cannot_be_judged_end_with_status_3(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(text, encoding="utf-8")
    output = write_output(tmp_path / "o.json", "success", 400, 400)
    assert str(broken) in complaint_of(bankbook("check", broken, "--input", SMALL), 3)
    assert str(broken) in complaint_of(bankbook("check", output, "--input", broken), 3)


def test_a_mistyped_command_line_is_no_verdict(tmp_path: Path) -> None:
    output = write_output(tmp_path / "o.json", "success", 400, 400)
    for arguments in (("check", output), ("check",), ("check", output, "--input", SMALL, "--inptu")):
        assert complaint_of(bankbook(*arguments), 3).startswith("Error: ")


def test_a_check_that_is_interrupted_is_no_verdict(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "o.json")
    with started(BANKBOOK, "check", tmp_path / "o.json", "--input", SMALL) as program:
        with (tmp_path / "o.json").open("w"):  # opens once the command reads, and waits for more
            program.send_signal(signal.SIGINT)
            _, complaint = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, complaint) == (130, "bankbook: interrupted\n")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("kind", "at_branch_2", "status"),
    [(Kind.PASS, 5, 0), (Kind.UNKNOWN, 5, 0), (Kind.FAIL, 5, 1), (Kind.PASS, 6, 1)],
)
def test_a_run_that_violates_what_was_promised_ends_with_status_1(
    kind: Kind, at_branch_2: int, status: int, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {AccountId("1"): {BranchId(1): Money(5), BranchId(2): Money(at_branch_2)}}
    report = RunReport((), Verdict(kind, "So it is."), Agreement(told), 2, Path("o.json"), 0.1)
    with pytest.raises(SystemExit) as end:
        finish(report, as_json)
    assert end.value.code == status
    said = capsys.readouterr().out
    if as_json:
        assert json.loads(said)["branches_agree"] is (at_branch_2 == 5)
    elif at_branch_2 == 6:
        assert "disagree: account 1: branch 1 says 5, branch 2 says 6" in said
