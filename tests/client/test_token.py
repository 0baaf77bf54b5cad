"""The session token as a customer holds it: saved, loaded, merged, and never quietly lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.client import SessionToken
from bankbook.core.token import Token, TokenCodec
from bankbook.core.types import BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import VersionVector

tokens = st.lists(st.binary(max_size=30), max_size=4).map(SessionToken)
CODEC = TokenCodec("test")


def sealed(branch: int, seq: int) -> bytes:
    origin = Origin(BranchId(branch), Incarnation(1))
    return CODEC.encode(Token(write=VersionVector([(origin, Seq(seq))])))


@given(tokens)
def test_a_token_that_was_saved_as_text_is_the_same_when_loaded(token: SessionToken) -> None:
    text = str(token)
    assert SessionToken.from_text(text) == token
    assert bytes(SessionToken.from_text(f"  {text}\n")) == bytes(token)
    assert text.isascii()
    assert not set(text) & set("+/ \n")


@given(tokens, tokens, tokens)
def test_merging_knows_what_both_knew_in_any_order_and_once(
    one: SessionToken, two: SessionToken, three: SessionToken
) -> None:
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(one) == one
    assert one.merge(SessionToken()) == one
    assert one.merge(two).parts >= one.parts | two.parts


def test_a_branch_understands_a_merged_token_also_one_that_was_merged_again_after_loading() -> None:
    one, two, three = (SessionToken([sealed(branch, 7)]) for branch in (1, 2, 3))
    loaded = SessionToken.from_text(str(one.merge(two)))
    whole = CODEC.decode(bytes(loaded.merge(three).merge(one)))
    assert [(origin.branch, seq) for origin, seq in whole.write] == [(1, 7), (2, 7), (3, 7)]


def test_the_token_of_a_session_that_has_done_nothing_is_no_text_at_all() -> None:
    assert str(SessionToken()) == ""
    assert SessionToken.from_text("") == SessionToken() == SessionToken([b""])


def test_equal_tokens_have_equal_hashes_and_can_be_written_into_a_program() -> None:
    token = SessionToken([sealed(1, 7)])
    loaded = SessionToken.from_text(str(token))
    assert {token: "here"}[loaded] == "here"
    assert repr(token) == f"SessionToken.from_text({str(token)!r})"
    assert token != str(token)


@pytest.mark.parametrize(
    "text",
    ["%%%%", "not a token", "AQ", "A", "AQID=", "AQ==AQ==", "AQ\x00ID", "AQ+/", "AQ\nID", "größe", "\ud800"],
)
def test_text_that_is_no_token_is_refused_and_not_taken_for_a_session_that_knows_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="not a session token"):
        SessionToken.from_text(text)


@given(st.integers(1, 2**40), st.data())
def test_a_character_that_got_into_a_saved_token_is_noticed(seq: int, data: st.DataObject) -> None:
    text = str(SessionToken([sealed(1, seq)]))
    place = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(ValueError, match="not a session token"):
        SessionToken.from_text(text[:place] + data.draw(st.sampled_from("!%+/ ,.:\t")) + text[place + 1 :])
