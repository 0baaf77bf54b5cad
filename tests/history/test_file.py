"""What is written is read again unchanged, and what cannot be meant is refused by line and field."""

import io
import json
from pathlib import Path

import pytest

from bankbook.core.clock import HybridTime
from bankbook.core.commands import (
    LATEST,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import Opening, Posting
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Position
from bankbook.core.types import AccountId, BranchId, Incarnation, Money, Origin, ReservationId, Seq
from bankbook.history.fields import HistoryError
from bankbook.history.file import parse_history, read_history
from bankbook.history.lines import header_line, item_line, write_history
from bankbook.history.record import (
    Fault,
    FaultKind,
    Final,
    Header,
    History,
    Item,
    Operation,
    Stated,
    StatedLine,
    Terms,
    Told,
)

X, Y = AccountId("x"), AccountId("y")
R = ReservationId("1.00000001-1-0")
AFTER = Position(HybridTime(77), Origin(BranchId(1), Incarnation(2)), Seq(3), 4)
COMMANDS: list[Command] = [
    ReadBalance(X),
    ReadBalance(X, 12),
    ReadStatement(X),
    ReadStatement(X, 5, 9, AFTER, 20),
    Deposit(X, Money(5), "rent"),
    Withdraw(X, Money(5)),
    Transfer(X, Y, Money(5)),
    Submit((Posting(X, Money(-5)), Posting(Y, Money(5)))),
    Reserve(X, Money(5)),
    Reserve(X, Money(5), Y, 1000, "hotel"),
    Capture(R),
    Capture(R, Money(2), is_final=False),
    Release(R),
    Release(R, Money(2)),
    OpenAccount(Opening(X, None, "EUR")),
    OpenAccount(Opening(X, Money(-100), "")),
    Batch((Deposit(X, Money(1)), Withdraw(Y, Money(2))), is_atomic=True),
]
FULL = Operation(
    number=7,
    session="anna's",
    branch=2,
    call_us=10,
    command=Batch((Reserve(X, Money(1)), Deposit(Y, Money(2)))),
    return_us=20,
    outcome=Outcome.OK,
    customer="anna",
    freshness=Freshness(Level.BOUNDED, 500),
    guarantees=Guarantee.MONOTONIC_READS | Guarantee.READ_YOUR_WRITES,
    key="1/k",
    durable=1,
    balance=-3,
    available=0,
    entry="1.00000001#4",
    is_replayed=True,
    reservation="r",
    results=(Told(Outcome.OK, 1, 2, "r"), Told(Outcome.BATCH_ABORTED)),
    statement=Stated((StatedLine(1, 2, "e", "m"), StatedLine(-1)), 1, 1, is_complete=False),
)
HEADER = Header("c", 3, Terms(5, None), {"x": Terms(1, -2)})
ITEMS: list[Item] = [
    FULL,
    *(Operation(100 + at, "s", 1, at, command) for at, command in enumerate(COMMANDS)),
    Operation(8, "s", 1, 0, ReadBalance(X), 0, Outcome.HOLD_TIMEOUT, freshness=LATEST),
    Operation(9, "s", 1, 0, ReadBalance(X), guarantees=Guarantee.NONE),
    Fault(FaultKind.PARTITION, 1, 5, 9, 2),
    Fault(FaultKind.DISK_LOST, 1, 5),
    Final(1, {"x": 1, "y": -2}, {"x": Stated((StatedLine(1),))}),
    Final(2, {}),
]


def test_everything_written_is_read_again_unchanged() -> None:
    file = io.StringIO()
    write_history(History(HEADER, ITEMS), file)
    read = parse_history(file.getvalue().splitlines(), "h")
    assert read.header == HEADER
    assert list(read.items) == ITEMS


def test_the_header_of_a_bank_whose_accounts_are_opened() -> None:
    header = Header("", 1)
    assert parse_history([header_line(header)], "h").header == header
    assert header.terms("x") == Terms(0, 0)


def test_items_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(header_line(HEADER) + item_line(FULL) + "nonsense\n", encoding="utf-8")
    items = iter(read_history(path).items)
    assert next(items) == FULL
    with pytest.raises(HistoryError, match=r"h.jsonl: line 3, column 1: this is not JSON"):
        next(items)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no such file"):
        read_history(tmp_path / "h.jsonl")
    with pytest.raises(HistoryError, match="cannot be read"):
        read_history(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"\xe9"')
    with pytest.raises(HistoryError, match="byte 3 is not UTF-8"):
        read_history(tmp_path / "latin")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the first line of a history is its header"),
        ('{"bankbook_history": 2, "branches": 1}', "`bankbook_history` must be 1"),
        ('{"bankbook_history": 1}', "`branches` is missing"),
        ('{"bankbook_history": 1, "branches": 0}', "`branches` must be an integer from 1"),
        ('{"bankbook_history": 1, "branch": 1}', "`branch` is not a field here. Did you mean branches?"),
        ('{"bankbook_history": 1, "branches": 1, "branches": 1}', "`branches` stands in one object twice"),
        ('{"bankbook_history": 1, "branches": 1, "others": {"floor": "0"}}', "`others.floor` must be an int"),
        ('{"bankbook_history": 1, "branches": 1, "accounts": {"x": 3}}', "`accounts.x` must be an object"),
    ],
)
def test_a_bad_header(line: str, message: str) -> None:
    with pytest.raises(HistoryError, match=r"^h: line 1") as caught:
        parse_history([line or "{}"], "h")
    assert message in str(caught.value)


def test_an_empty_file() -> None:
    with pytest.raises(HistoryError, match="h: the file is empty; the first line must be a header"):
        parse_history([], "h")


GOOD = {"op": 1, "session": "s", "branch": 1, "call_us": 5, "command": {"kind": "read", "account": "x"}}


def broken(**changes: object) -> str:
    fields = {**GOOD, **changes}
    return json.dumps({name: value for name, value in fields.items() if value != "left out"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "each line must be an object, not []"),
        ("{}", "`op` is missing, and so are `asked`, `fault` and `final`"),
        ("[" * 100_000, "this cannot be read"),
        ('{"op": ' + "9" * 5000 + "}", "this cannot be read"),
        (broken(call_us=float("nan")), "`call_us` must be an integer"),
        (broken(session="left out"), "`session` is missing"),
        (broken(session=""), "`session` must be a string that is not empty"),
        (broken(op=True), "`op` must be an integer from 1"),
        (broken(op=1.5), "`op` must be an integer from 1"),
        (broken(branch=4), "`branch` must be an integer from 1 to 3, not 4"),
        (broken(outcome="OK"), "`outcome` needs `return_us` beside it"),
        (broken(return_us=9), "`return_us` needs `outcome` beside it"),
        (broken(return_us=4, outcome="OK"), "`return_us` must be an integer from 5"),
        (broken(return_us=9, outcome="Ok"), 'not "Ok". Did you mean OK?'),
        (broken(freshness="LATESTS"), "Did you mean LATEST?"),
        (broken(freshness="BOUNDED"), "`bound_us` is missing"),
        (broken(guarantees="ALL"), "`guarantees` must be an array"),
        (broken(guarantees=["READ"]), "`guarantees` may name READ_YOUR_WRITES, MONOTONIC_READS"),
        (broken(guarantees=[{}]), "`guarantees` may name READ_YOUR_WRITES, MONOTONIC_READS"),
        (broken(replayed=1), "`replayed` must be true or false, not 1"),
        (broken(balanse=1), "`balanse` is not a field here. Did you mean balance?"),
        (broken(command={"kind": "deposit", "account": "x"}), "`command.amount` is missing"),
        (broken(command={"kind": "deposite"}), "`command.kind` must be one of read, statement"),
        (broken(command={"kind": "read", "account": "x", "amount": 1}), "`command.amount` is not a field"),
        (broken(command={"kind": "submit", "postings": []}), "must name at least one account"),
        (broken(command={"kind": "batch", "commands": [{"kind": "read"}]}), "`command.commands[0].kind`"),
        (broken(command={"kind": "statement", "account": "x", "after": [1]}), "array of 5 integers"),
        (
            broken(command={"kind": "batch", "commands": [{"kind": "deposit", "account": "x", "amount": 1}]},
                   return_us=9, outcome="OK"),
            "`results` must have one result for each of the 1 commands",
        ),
        (broken(statement={"lines": [{"amount": "1"}]}), "`statement.lines[0].amount` must be an integer"),
        ('{"fault": "fire", "branch": 1, "at_us": 5}', "`fault` must be one of crash, disk_lost, partition"),
        ('{"fault": "crash", "branch": 1, "at_us": 5, "until_us": 4}', "`until_us` must be an integer"),
        ('{"final": 1}', "`balances` is missing"),
        ('{"final": 1, "balances": {"x": null}}', "`balances.x` must be an integer"),
        ('{"final": 1, "balances": {}, "statements": {"x": {"lines": []}}}', "whose balance"),
    ],
)  # fmt: skip
def test_a_bad_line(line: str, message: str) -> None:
    history = parse_history([header_line(HEADER), line], "h")
    with pytest.raises(HistoryError, match=r"^h: line 2") as caught:
        list(history.items)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((broken(), broken()), "`op` must be unique; 1 stands on an earlier line"),
        (('{"final": 1, "balances": {}}', broken()), "`op` comes after the final section"),
        (('{"final": 1, "balances": {}}',) * 2, "`final` must be another branch each time"),
    ],
)
def test_lines_that_do_not_go_together(lines: tuple[str, ...], message: str) -> None:
    history = parse_history([header_line(HEADER), *lines], "h")
    with pytest.raises(HistoryError, match=r"^h: line 3: ") as caught:
        list(history.items)
    assert message in str(caught.value)
