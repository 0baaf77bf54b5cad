"""A history is on its way to the disk line by line, and its end may be missing."""

import errno
from pathlib import Path

import pytest

from bankbook.core.commands import Deposit, ReadBalance
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money
from bankbook.history.fields import HistoryError
from bankbook.history.file import parse_history, read_history
from bankbook.history.lines import asked_line, header_line, item_line
from bankbook.history.record import Fault, FaultKind, Final, Header, Item, Operation
from bankbook.history.writer import HistoryFile, Kept

X = AccountId("x")
HEADER = Header("c", 2)
DEPOSIT = Operation(1, "anna", 1, 5, Deposit(X, Money(1), "löhne"), key="1/k", durable=1)
READ = Operation(2, "anna", 2, 9, ReadBalance(X))
TOLD = Operation(2, "anna", 2, 9, ReadBalance(X), 12, Outcome.OK, balance=1)


def written(path: Path, *, begin: bool = True) -> HistoryFile:
    file = HistoryFile(path)
    if begin:
        file.begin(HEADER)
    return file


def items_of(path: Path, complaints: list[str] | None = None) -> list[Item]:
    return list(read_history(path, ([] if complaints is None else complaints).append).items)


def test_what_was_asked_and_never_answered_is_an_operation_without_an_end(tmp_path: Path) -> None:
    """The file as it is while its writer lives, which is what a kill leaves."""
    path = tmp_path / "h"
    file = written(path)
    file.ask(DEPOSIT)
    file.ask(READ)
    assert items_of(path) == [DEPOSIT, READ]
    file.write(TOLD)
    file.write(Fault(FaultKind.CRASH, 1, 20))
    file.write(Final(1, {"x": 1}))
    assert items_of(path) == [TOLD, Fault(FaultKind.CRASH, 1, 20), Final(1, {"x": 1}), DEPOSIT]
    file.close()
    file.write(TOLD)
    assert len(items_of(path)) == 4


@pytest.mark.parametrize("cut", range(1, len(item_line(TOLD).encode())))
def test_a_last_line_that_was_cut_off_is_left_out_and_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "h"
    whole = header_line(HEADER) + asked_line(READ)
    path.write_bytes(whole.encode() + item_line(TOLD).encode()[:cut])
    complaints: list[str] = []
    is_whole = cut == len(item_line(TOLD).encode()) - 1
    assert items_of(path, complaints) == ([TOLD] if is_whole else [READ])
    cut_off = f"{path}: line 3 was cut off while it was written, and is left out."
    assert complaints == ([] if is_whole else [cut_off])


def test_a_last_line_that_was_cut_off_in_the_middle_of_a_character(tmp_path: Path) -> None:
    path = tmp_path / "h"
    line = asked_line(DEPOSIT).encode()
    path.write_bytes(header_line(HEADER).encode() + line[: line.index("ö".encode()) + 1])
    assert items_of(path) == []


def test_a_cut_off_line_in_the_middle_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_text(header_line(HEADER) + asked_line(READ)[:20] + "\n" + item_line(TOLD), encoding="utf-8")
    with pytest.raises(HistoryError, match=r"line 2, column .*: this is not JSON"):
        items_of(path)


def test_what_was_recorded_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "h"
    written(path).close()
    with pytest.raises(
        FileExistsError, match="h exists; remove it, or record this history into another file"
    ):
        HistoryFile(path)


def test_a_request_that_cannot_be_written_down_is_not_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "h")
    file.ask(READ)

    file._file.close()
    monkeypatch.setattr(file, "_file", Broken())
    file.write(TOLD)  # the bank's answer is not lost on its customer
    with pytest.raises(OSError, match=r"h cannot be written .No space left on device., so nothing is asked"):
        file.ask(DEPOSIT)


class Broken:
    """A file on a disk that is full."""

    closed = False

    def write(self, _line: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((asked_line(READ), asked_line(READ)), "`asked` must be unique; 2 stands on an earlier line, too."),
        ((item_line(TOLD), asked_line(READ)), "`asked` must be unique; 2 stands on an earlier line, too."),
        ((item_line(Final(1, {})), asked_line(READ)), "`asked` comes after the final section"),
        ((asked_line(READ).replace("call_us", "return_us"),), "`return_us` is not a field here"),
    ],
)
def test_a_request_that_cannot_be_meant(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        list(parse_history([header_line(HEADER), *lines], "h").items)


def test_a_history_in_memory_is_what_ended() -> None:
    kept = Kept()
    kept.begin(HEADER)
    kept.ask(READ)
    kept.write(TOLD)
    kept.close()
    assert kept.history().header == HEADER
    assert list(kept.history().items) == [TOLD]
