"""What a customer types at a shell, and what the bank answers."""

import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli.commands import BANKBOOK, bankbook, complaint_of, started, wait_for_end
from cli.own_bank import OwnBank
from server.processes import PATIENCE_S, wait_until


def told(bank: OwnBank, *arguments: object) -> dict[str, Any]:
    document = json.loads(bank.says(*arguments, "--json"))
    assert isinstance(document, dict)
    return document


def test_the_life_of_an_account(bank: OwnBank) -> None:
    assert bank.says("open", "life", "--currency", "eur") == "opened life in EUR"
    assert bank.says("deposit", "life", "112.50", "EUR") == "deposited 112.50 EUR; life has 112.50 EUR"
    assert bank.says("withdraw", "life", "12.5EUR") == "withdrew 12.50 EUR; life has 100.00 EUR"
    bank.says("open", "other", "--currency", "EUR")
    said = bank.says("transfer", "life", "other", "40", "--memo", "rent")
    assert said == "transferred 40.00 EUR to other; life has 60.00 EUR"
    assert bank.says("balance", "other") == "other has 40.00 EUR"


def test_money_that_is_set_aside(bank: OwnBank) -> None:
    bank.says("open", "guest", "--currency", "EUR")
    bank.says("open", "hotel", "--currency", "EUR")
    bank.says("deposit", "guest", 100)
    said = bank.says("reserve", "guest", 60, "--to", "hotel", "--lifetime", "7d")
    found = re.fullmatch(
        r"reserved 60\.00 EUR as (\S+); guest has 100\.00 EUR \(40\.00 EUR available\)", said
    )
    assert found is not None, said
    name = found[1]
    captured = bank.says("capture", name, "20 EUR", "--keep-rest", "--branch", 2)
    assert captured == f"captured 20.00 EUR of {name}; its account has 80.00 EUR (40.00 EUR available)"
    released = bank.says("release", name, "10.00", "--branch", 3)
    assert released == f"released 10.00 EUR of {name}; its account has 80.00 EUR (50.00 EUR available)"
    rest = bank.says("capture", name)
    assert rest == f"captured what was left of {name}; its account has 50.00 EUR"
    assert bank.says("balance", "hotel") == "hotel has 50.00 EUR"
    assert complaint_of(bank.types("release", name), 4).startswith(
        f"bankbook: reservation {name} was captured"
    )


def test_a_part_of_a_reservation_in_another_currency_takes_nothing(bank: OwnBank) -> None:
    bank.says("open", "tokyo", "--currency", "JPY")
    bank.says("deposit", "tokyo", 5000)
    name = told(bank, "reserve", "tokyo", 1000)["reservation"]
    for amount, expected in (("5 EUR", "counts JPY, not EUR"), ("5.00", "JPY has no decimals; write 5 JPY")):
        for command in ("capture", "release"):
            assert expected in complaint_of(bank.types(command, name, amount), 2)
    assert bank.says("balance", "tokyo") == "tokyo has 5000 JPY (4000 JPY available)"
    assert "tokyo" not in bank.says("statement", "tokyo"), "what was asked for the currency moved nothing"
    assert bank.says("statement", "tokyo").count("\n") == 3


@pytest.mark.parametrize(
    ("options", "told_at_opening", "lowest"),
    [
        (("--credit-line", "500.00"), " with a credit line of 500.00 EUR", -500),
        (("--no-floor",), " without a floor", -90_000),
        ((), "", 0),
    ],
)
def test_how_far_an_account_may_fall(
    bank: OwnBank, options: tuple[str, ...], told_at_opening: str, lowest: int
) -> None:
    account = f"floor{abs(lowest)}"
    said = bank.says("open", account, "--currency", "EUR", *options)
    assert said == f"opened {account} in EUR{told_at_opening}"
    if lowest:
        balance = bank.says("withdraw", account, abs(lowest)).partition("; ")[2]
        assert balance.startswith(f"{account} has {lowest}.00 EUR")
    if "--no-floor" not in options:
        complaint = complaint_of(bank.types("withdraw", account, "0.01"), 4)
        assert f"{account} has {lowest}.00 EUR" in complaint
        assert complaint.endswith("; 0.01 EUR is more. Nothing happened.")


def test_an_account_without_a_currency_counts_plain_units(bank: OwnBank) -> None:
    assert bank.says("open", "points") == "opened points in plain units"
    assert bank.says("deposit", "points", 7) == "deposited 7; points has 7"
    assert "points counts plain units; write 7" in complaint_of(bank.types("deposit", "points", "7.5"), 2)


def test_an_amount_that_is_wrong_changes_nothing(bank: OwnBank) -> None:
    bank.says("open", "wrong", "--currency", "EUR")
    for amount, expected in (
        (["12.505"], "EUR has 2 decimals; write 12.50 EUR"),
        (["12", "USD"], "counts EUR, not USD; write an amount such as 12.00 EUR"),
        (["12,50"], "write digits, a point before the decimals"),
        (["a", "lot"], "write digits, a point before the decimals"),
    ):
        assert expected in complaint_of(bank.types("deposit", "wrong", *amount), 2)
    assert bank.says("balance", "wrong") == "wrong has 0.00 EUR"


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("balance", "nobody"), 4, "there is no account nobody"),
        (("balance", "no body"), 2, "an account id has"),
        (("balance", "nobody", "--latest", "--local"), 2, "--latest or --local, not both"),
        (("balance", "nobody", "--timeout", "soon"), 2, "is not a duration"),
        (("balance", "nobody", "--as", "no body"), 2, "a customer's name has"),
        (("deposit", "nobody"), 2, "Missing argument 'AMOUNT [CURRENCY]'"),
        (("deposit", "nobody", "5", "--key", "no key"), 2, "a key is"),
        (("deposit", "nobody", "5", "--memo", "x" * 141), 2, "a memo is one line of at most 140"),
        (("deposit", "nobody", "5", "--memo", "two\nlines"), 2, "a memo is one line of at most 140"),
        (("open", "nobody", "--no-floor", "--credit-line", "5"), 2, "--credit-line or --no-floor"),
        (("open", "nobody", "--credit-line", "5.5"), 2, "plain units; write 5"),
        (("capture", "my-reservation"), 2, "a reservation is named as its receipt told"),
        (("capture", "1.00000001-1-0"), 4, "reservation"),
    ],
)
def test_what_is_refused_is_told_with_its_status(
    bank: OwnBank, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    assert expected in complaint_of(bank.types(*arguments), status)


def test_an_account_is_opened_once(bank: OwnBank) -> None:
    bank.says("open", "once")
    done = bank.types("open", "once", "--json")
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert (document["outcome"], document["exit_status"]) == ("ACCOUNT_EXISTS", 4)
    assert done.stderr == f"bankbook: {document['error']}\n"


def test_a_program_is_told_amounts_as_text_and_in_minor_units(bank: OwnBank) -> None:
    bank.says("open", "exact", "--currency", "KWD")
    document = told(bank, "deposit", "exact", "1.5", "--key", "exact-1", "--branch", 1)
    assert re.fullmatch(r"1\.[0-9a-f]{8}#\d+", document.pop("entry"))
    assert document.pop("held_us") >= 0
    assert document == {
        "account": "exact",
        "currency": "KWD",
        "amount": "1.500",
        "amount_minor": 1500,
        "balance": "1.500",
        "balance_minor": 1500,
        "available": "1.500",
        "available_minor": 1500,
        "branch": 1,
        "key": "exact-1",
        "is_replayed": False,
    }


def test_the_same_key_takes_effect_once_at_any_branch(bank: OwnBank) -> None:
    bank.says("open", "keyed")
    for branch in (1, 2, 3):
        document = told(bank, "deposit", "keyed", 5, "--key", "pay-1", "--branch", branch)
        assert (document["balance_minor"], document["is_replayed"]) == (5, branch > 1)
    assert "was carried out before" in bank.says("deposit", "keyed", 5, "--key", "pay-1")
    assert "KEY_REUSED" in bank.types("deposit", "keyed", 6, "--key", "pay-1", "--json").stdout
    assert bank.says("balance", "keyed", "--latest") == "keyed has 5"


def test_a_write_can_wait_for_other_disks(bank: OwnBank) -> None:
    bank.says("open", "careful")
    assert bank.says("deposit", "careful", 5, "--durable", 2) == "deposited 5; careful has 5"
    assert "0 to 2 other branches" in complaint_of(bank.types("deposit", "careful", 5, "--durable", 3), 2)


def test_what_was_deposited_at_one_branch_is_there_at_the_next(bank: OwnBank) -> None:
    bank.says("open", "walker")
    for balance in range(1, 4):
        bank.says("deposit", "walker", 1, "--branch", 1 + balance % 3)
        assert bank.says("balance", "walker", "--branch", 1 + (balance + 1) % 3) == f"walker has {balance}"


def test_two_commands_at_once_lose_neither_ones_token(bank: OwnBank) -> None:
    bank.says("open", "crowd")
    deposits = [
        subprocess.Popen(
            [BANKBOOK, "deposit", "crowd", "1", "--branch", str(1 + number % 3)],
            env=bank.env,
            stdout=subprocess.DEVNULL,
        )
        for number in range(4)
    ]
    assert [each.wait(PATIENCE_S) for each in deposits] == [0] * 4
    for branch in (1, 2, 3):
        assert bank.says("balance", "crowd", "--branch", branch) == "crowd has 4"


def test_the_token_is_private_and_can_be_forgotten(bank: OwnBank) -> None:
    bank.says("open", "secret", "--as", "bob")
    path = bank.token_path.with_name("bob.token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bank.says("forget", "--as", "bob") == f"forgot {path}"
    assert bank.says("forget", "--as", "bob") == f"there is no {path}"


def test_a_token_may_be_kept_elsewhere(bank: OwnBank, tmp_path: Path) -> None:
    path = tmp_path / "here" / "token"
    bank.says("open", "elsewhere", "--token-file", path)
    assert path.exists()
    bank.says("balance", "elsewhere", "--token-file", path, "--branch", 2)


def test_a_token_that_the_bank_does_not_take_is_told_with_how_to_forget_it(bank: OwnBank) -> None:
    bank.says("open", "forged")
    path = bank.token_path.with_name("eve.token")
    path.write_text("AAAA\n")
    complaint = complaint_of(bank.types("balance", "forged", "--as", "eve"), 4)
    assert "`bankbook forget` or --new-session" in complaint
    assert str(path) in complaint
    assert bank.says("balance", "forged", "--as", "eve", "--new-session") == "forged has 0"
    path.write_text("%%%")
    assert "bankbook forget" in complaint_of(bank.types("balance", "forged", "--as", "eve"), 3)
    bank.says("forget", "--as", "eve")
    assert bank.says("balance", "forged", "--as", "eve") == "forged has 0"


def test_a_token_that_cannot_be_kept_does_not_hide_that_the_money_moved(
    bank: OwnBank, tmp_path: Path
) -> None:
    bank.says("open", "lasting")
    (tmp_path / "occupied").write_text("")
    done = bank.types("deposit", "lasting", 5, "--token-file", tmp_path / "occupied" / "token")
    assert done.returncode in (0, 3)
    if done.returncode == 0:
        assert done.stdout == "deposited 5; lasting has 5\n"
        assert "warning" in done.stderr
    else:
        assert bank.says("balance", "lasting", "--latest") == "lasting has 0", (
            "it was told before anything moved"
        )


def test_a_customer_who_has_no_name_is_asked_for_one(bank: OwnBank) -> None:
    env = {name: value for name, value in bank.env.items() if name != "BANKBOOK_CUSTOMER"}
    complaint = complaint_of(bankbook("balance", "x", env=env | {"LOGNAME": "no name"}), 2)
    assert "--as NAME" in complaint


def test_a_bank_that_is_not_there_is_told_with_its_own_status(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path)
    complaint = complaint_of(bank.types("deposit", "anna", 5, "--timeout", "500ms"), 5)
    assert "is it running?" in complaint


def test_a_default_currency_stands_in_the_file(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1, defaults='currency = "CHF"')
    with bank.up():
        assert bank.says("open", "anna") == "opened anna in CHF"
        assert bank.says("open", "loyalty", "--currency", "") == "opened loyalty in plain units"


def test_ctrl_c_while_a_request_is_held_says_how_to_find_out(bank: OwnBank) -> None:
    """A branch that stands still: nobody knows whether it has the request."""
    bank.says("open", "patient")
    command = ("deposit", "patient", 5, "--branch", 1, "--durable", 2, "--key", "1/patient")
    os.kill(bank.pids[2], signal.SIGSTOP)
    try:
        with started(BANKBOOK, *command, env=bank.env) as program:
            wait_until(lambda: held_at(bank, 1) > 0, "it waits for the other disk")
            program.send_signal(signal.SIGINT)
            assert wait_for_end(program) == 130
            assert program.stderr is not None
            assert "--key 1/patient" in program.stderr.read()
    finally:
        os.kill(bank.pids[2], signal.SIGCONT)
    assert "carried out before" in bank.says(*command)


def held_at(bank: OwnBank, number: int) -> int:
    branches = json.loads(bank.types("status", "--json").stdout)["branches"]
    return int(branches[number - 1].get("held", 0))
