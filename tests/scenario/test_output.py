"""The output's format, and that it is written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from scenario.banks import POOR, deposit, failed_query, query, story, withdraw

from bankbook.scenario.output import (
    OutputError,
    parse_output,
    read_output,
    remove_stale,
    render,
    write_whole,
    writing_whole,
)


def test_the_output_is_spelt_as_in_the_original() -> None:
    told = story(
        [deposit(400, 1), query(400, 2), withdraw(500, 2, reason=POOR)], [failed_query("UNKNOWN_BRANCH", 9)]
    )
    assert told.text.splitlines() == [
        "[",
        '{"id":1,"recv":[{"interface":"deposit","branch":1,"result":"success"}]},',
        '{"id":1,"recv":[{"interface":"query","branch":2,"balance":400}]},',
        '{"id":1,"recv":[{"interface":"withdraw","branch":2,"result":"fail","reason":"INSUFFICIENT_FUNDS"}]},',
        '{"id":2,"recv":[{"interface":"query","branch":9,"result":"fail","reason":"UNKNOWN_BRANCH"}]}',
        "]",
    ]


def test_an_output_without_events_is_an_array_too() -> None:
    assert parse_output(render([]), source="output.json") == ()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    told = story([deposit(400, 1), query(400, 2), withdraw(500, 2, reason=POOR)])
    path = tmp_path / "made" / "on" / "the way" / "output.json"
    write_whole(path, told.text)
    assert read_output(path) == told.records
    assert [(record.balance, record.reason) for record in read_output(path)] == [
        (None, None),
        (400, None),
        (None, POOR),
    ]


def test_records_grouped_per_customer_are_read_too() -> None:
    text = (
        '[{"id":1,"recv":[{"interface":"deposit","branch":1,"result":"success"},'
        '{"interface":"query","branch":2,"balance":-4,"result":"success"}]},{"id":"2","recv":[]}]'
    )
    records = parse_output(text, source="output.json")
    assert [(record.customer, record.interface, record.balance) for record in records] == [
        ("1", "deposit", None),
        ("1", "query", -4),
    ]
    assert records[1].place == "record 1, result 2"


def test_a_new_output_takes_the_place_of_the_old_one_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    write_whole(path, "old")
    write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["output.json"]  # noqa: PTH208 (nothing is left, hidden files included)


def test_a_disk_fills_up_before_the_output_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "output.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device"):
        write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_person_interrupts_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "output.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_the_output_cannot_be_written_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"the output cannot be written"):
        write_whole(tmp_path / "file" / "output.json", "new")


def test_the_output_cannot_be_written_over_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    path.mkdir()
    with pytest.raises(OutputError, match=r"this is a directory"):
        write_whole(path, "new")
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_output_is_removed_before_a_run(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    remove_stale(path)
    path.touch()
    remove_stale(path)
    assert not path.exists()


def test_an_old_output_that_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"this is a directory"):
        remove_stale(tmp_path)


def test_an_old_output_that_cannot_be_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"the earlier output cannot be removed"):
        remove_stale(tmp_path / "file" / "output.json")


def test_the_input_is_never_taken_for_an_old_output(tmp_path: Path) -> None:
    path, link = tmp_path / "input.json", tmp_path / "link.json"
    path.write_text("[]", encoding="utf-8")
    link.symlink_to(path)
    for output in (path, link):
        with pytest.raises(OutputError, match=r"this is the input, and would be lost"):
            remove_stale(output, input_path=path)
    assert path.read_text(encoding="utf-8") == "[]"
    assert link.is_symlink()


def test_what_is_no_plain_file_is_never_taken_for_an_old_output(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for output in (pipe, link):
        with pytest.raises(OutputError, match=r"this is no plain file"):
            remove_stale(output)
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_that_no_output_can_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be (removed|written): File name too long"):
        remove_stale(tmp_path / ("o" * 300))
    with pytest.raises(OutputError, match=r"the output cannot be written: File name too long"):
        remove_stale(tmp_path / ("o" * 250))
    assert list(tmp_path.iterdir()) == []


def recorded(result: str) -> str:
    return f'[{{"id":1,"recv":[{result}]}}]'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[", "line 1, column 2: this is not JSON"),
        ("{}", "the file must be an array of records, not an object"),
        ("[3]", "record 1: this must be an object such as"),
        ('[{"id":1}]', "record 1: `recv` is missing"),
        ('[{"recv":[]}]', "record 1: `id` is missing"),
        ('[{"id":1,"recv":3}]', "record 1: `recv` must be an array of results, not 3"),
        ('[{"id":1,"recv":[],"rcv":[]}]', "unknown field `rcv`. Did you mean recv?"),
        (recorded("3"), "record 1, result 1: this must be an object"),
        (recorded('{"interface":"query","branch":1}'), "`balance` is missing"),
        (recorded('{"interface":"query","branch":1,"balance":1.5}'), "`balance` must be an integer, not 1.5"),
        (recorded('{"interface":"query","branch":1,"balance":"1"}'), "Write 1 without the quotation marks"),
        (recorded('{"interface":"deposit","branch":1}'), "`result` is missing"),
        (
            recorded('{"interface":"deposit","branch":1,"result":"ok"}'),
            "`result` must be one of success, fail",
        ),
        (recorded('{"interface":"deposit","branch":1,"result":"fail"}'), "`reason` is missing"),
        (
            recorded('{"interface":"deposit","branch":1,"result":"success","reason":"X"}'),
            "`reason` belongs only",
        ),
        (
            recorded('{"interface":"deposit","branch":1,"result":"success","balance":1}'),
            "`balance` belongs only",
        ),
        (
            recorded('{"interface":"query","branch":1,"result":"fail","reason":"X","balance":1}'),
            "`balance` belongs",
        ),
        (recorded('{"interface":"quary","branch":1,"balance":1}'), "Did you mean query?"),
        (recorded('{"interface":"query","balance":1}'), "`branch` is missing"),
        (
            recorded('{"interface":"query","branch":1,"balance":1,"balance":2}'),
            "`balance` stands in one object twice",
        ),
    ],
)
def test_an_output_that_is_none(text: str, words: str) -> None:
    with pytest.raises(OutputError) as refused:
        parse_output(text, source="output.json")
    assert str(refused.value).startswith("output.json: ")
    assert words in str(refused.value)


def test_an_output_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no such file"):
        read_output(tmp_path / "output.json")


def test_what_is_written_bit_by_bit_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    with suppress(ZeroDivisionError), writing_whole(path) as file:
        file.write("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with writing_whole(path) as file:
        file.write("half, ")
        assert not path.exists()
        file.write("and half")
    assert path.read_text() == "half, and half"
    assert list(tmp_path.iterdir()) == [path]


def test_the_output_does_not_take_the_place_of_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="no plain file"):
        write_whole(pipe, "new")
    assert pipe.is_fifo()
