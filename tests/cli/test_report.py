"""What a person and a program are told of a run."""

import json
from pathlib import Path

import pytest

from bankbook.cli.report import BALANCES_MAX, ROWS_MAX, RunReport, run_as_json, tell_run
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Money, Origin, Seq
from bankbook.core.vector import Gap
from bankbook.scenario.checker import Kind, Undecided, Verdict
from bankbook.scenario.execute import Agreement, CustomerRun, Done
from bankbook.scenario.model import Customer, Event, Interface
from bankbook.scenario.output import EventResult

ONE, TWO = BranchId(1), BranchId(2)
PASS = Verdict(Kind.PASS, "Every result is explained.")


def deposit(number: int, *, reason: str | None = None, held_us: int = 0) -> Done:
    event = Event(Interface.DEPOSIT, ONE, Money(5), None, number)
    awaited = (Gap(Origin(TWO, Incarnation(7)), Seq(1), Seq(3)),) if held_us else ()
    return Done(EventResult(event, None, reason), held_us=held_us, awaited=awaited)


def query(number: int, balance: int) -> Done:
    return Done(EventResult(Event(Interface.QUERY, TWO, None, None, number), Money(balance), None))


def run_of(*done: Done, customer: str = "ada") -> CustomerRun:
    events = tuple(each.result.event for each in done)
    return CustomerRun(Customer(CustomerId(customer), customer, events), AccountId(customer), done)


def agreement(accounts: int = 1, at_two: int = 5) -> Agreement:
    told = {ONE: Money(5), TWO: Money(at_two)}
    return Agreement({AccountId(f"account-{number}"): dict(told) for number in range(accounts)})


def told_of(
    capsys: pytest.CaptureFixture[str],
    *runs: CustomerRun,
    verdict: Verdict = PASS,
    agreed: Agreement | None = None,
) -> str:
    report = RunReport(runs, verdict, agreed or agreement(), 2, Path("output/[red]o.json"), 1.234)
    tell_run(report)
    return capsys.readouterr().out


def test_what_was_held_and_why_stands_beside_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, run_of(deposit(1, held_us=1_500_000), query(2, 5)))
    assert "customer ada, account ada: 2 events" in told
    assert "1.500 s" in told
    assert "entry 3 of branch 2 (had 1)" in told
    assert "held       1 of 2 requests, 1.500 s in all, the longest 1.500 s" in told
    assert "output     2 records in output/[red]o.json" in told, "a path is no markup"
    assert "took       1.23 s" in told


def test_a_refusal_stands_beside_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, run_of(deposit(1, reason="[bold]ODD")))
    assert "fail: [bold]ODD" in told
    assert "held       none of 1 request\n" in told


def test_of_a_long_table_only_what_is_remarkable_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    done = [deposit(number) for number in range(1, ROWS_MAX + 1)]
    told = told_of(capsys, run_of(*done, deposit(ROWS_MAX + 1, reason="POOR")))
    assert told.count("success") == 0
    assert "POOR" in told
    assert f"{ROWS_MAX} more succeeded at once" in told


def test_even_of_the_remarkable_a_person_is_shown_only_so_much(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, run_of(*(deposit(number, reason="POOR") for number in range(1, ROWS_MAX + 8))))
    assert told.count("POOR") == ROWS_MAX
    assert "7 more" in told


def test_branches_that_disagree_are_named_with_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, run_of(deposit(1)), agreed=agreement(at_two=6))
    assert "branches   disagree: account account-0: branch 1 says 5, branch 2 says 6" in told


def test_of_many_accounts_it_is_only_told_that_all_agree(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_of(capsys, run_of(deposit(1)), agreed=agreement(BALANCES_MAX + 1))
    assert f"all 2 branches agree on all {BALANCES_MAX + 1} accounts" in told


def test_a_verdict_comes_with_its_witness_and_with_what_is_undecided(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict(Kind.FAIL, "It cannot be.", "event 2 misses [event] 1")
    assert "check      FAIL It cannot be.\n           event 2 misses [event] 1\n" in told_of(
        capsys, run_of(deposit(1)), verdict=verdict
    )
    verdict = Verdict(Kind.UNKNOWN, "Too hard.", None, (Undecided(CustomerId("ada"), "too many ways"),))
    assert "customer ada: too many ways" in told_of(capsys, run_of(deposit(1)), verdict=verdict)


def test_no_colour_goes_to_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[" not in told_of(capsys, run_of(deposit(1, reason="POOR")))


def test_a_program_is_told_the_same() -> None:
    report = RunReport(
        (run_of(deposit(1, held_us=9), query(2, 5)),), PASS, agreement(), 2, Path("o.json"), 1.5
    )
    told = json.loads(json.dumps(run_as_json(report)))
    assert told["verdict"] == "PASS"
    assert told["branches_agree"] is True
    assert told["balances"] == {"account-0": {"1": 5, "2": 5}}
    assert told["customers"][0]["events"] == [
        {
            "number": 1,
            "interface": "deposit",
            "branch": 1,
            "money": 5,
            "result": "success",
            "held_us": 9,
            "held_for": [{"branch": 2, "has": 1, "needs": 3}],
        },
        {
            "number": 2,
            "interface": "query",
            "branch": 2,
            "result": "success",
            "balance": 5,
            "held_us": 0,
            "held_for": [],
        },
    ]
