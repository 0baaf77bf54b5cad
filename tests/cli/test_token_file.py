"""A customer's token between two commands: kept whole, kept private, and merged by commands at once."""

import multiprocessing
import stat
from pathlib import Path

import pytest
from cli.learning import ROUNDS, learn_at_once

from bankbook.cli.token_file import TokenFile, TokenFileError, default_path
from bankbook.client import SessionToken


def token(*parts: str) -> SessionToken:
    return SessionToken(part.encode() for part in parts)


def test_there_is_no_token_at_first_and_then_what_was_learned(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "state" / "ours" / "anna.token")
    assert file.read() == SessionToken()
    file.learn(SessionToken(), token("one"))
    assert file.read() == token("one")
    file.learn(token("one"), token("two"))
    assert file.read() == token("two"), "the answer covers what was sent"


def test_what_another_command_learned_meanwhile_stays(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "anna.token")
    file.learn(SessionToken(), token("start"))
    file.learn(token("start"), token("first"))
    file.learn(token("start"), token("second"))
    assert file.read() == token("first", "second")
    file.learn(token("first", "second"), token("both"))
    assert file.read() == token("both"), "it does not grow"


def test_a_command_that_learned_nothing_loses_nothing(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "anna.token")
    file.learn(SessionToken(), token("one"))
    file.learn(token("one"), token("one"))
    assert file.read() == token("one")


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "state" / "anna.token")
    file.learn(SessionToken(), token("one"))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_nothing_but_the_token_and_its_lock_is_left_behind(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "anna.token")
    file.learn(SessionToken(), token("one"))
    file.learn(token("one"), token("two"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".anna.token.lock", "anna.token"]
    assert file.forget()
    assert not file.forget(), "there is none any more"
    assert file.read() == SessionToken()


def test_a_file_that_holds_no_token_is_told_with_what_to_do(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "anna.token")
    for content in (b"%%%%", b"\xff\xfe"):
        file.path.write_bytes(content)
        with pytest.raises(TokenFileError, match="bankbook forget") as refusal:
            file.read()
        assert str(file.path) in str(refusal.value)
        assert file.forget()


def test_a_place_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    file = TokenFile(tmp_path / "occupied" / "anna.token")
    with pytest.raises(TokenFileError, match="--token-file"):
        file.learn(SessionToken(), token("one"))


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path("ours", "anna") == tmp_path / "bankbook" / "ours" / "anna.token"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".local" / "state" / "bankbook" / "ours" / "anna.token"
    for relative in ("", "here"):
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        assert default_path("ours", "anna") == expected, "a relative path is to be ignored"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_path("ours", "anna") == expected


def test_two_commands_at_once_merge_what_they_learn(tmp_path: Path) -> None:
    path = tmp_path / "anna.token"
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2, timeout=60)
    others = [
        context.Process(target=learn_at_once, args=(path, name, together)) for name in ("left", "right")
    ]
    for each in others:
        each.start()
    for each in others:
        each.join(90)
    assert [each.exitcode for each in others] == [0, 0]
    last = ROUNDS - 1
    assert TokenFile(path).read() == token(f"left{last}", f"right{last}"), "neither overwrote the other"
