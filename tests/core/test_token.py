"""The customer's bankbook: small, mergeable by anybody, and worth nothing once tampered with."""

import zlib
from collections.abc import Iterable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankbook.core.token import EMPTY, TOKEN_BYTES_MAX, Token, TokenCodec, TokenError
from bankbook.core.types import BRANCHES_MAX, INCARNATION_MAX, SEQ_MAX, BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import VersionVector

CHECKED, SIGNED = TokenCodec("bank"), TokenCodec("bank", b"secret")
CODECS = pytest.mark.parametrize("codec", [CHECKED, SIGNED], ids=["checked", "signed"])

origins = st.builds(
    Origin,
    st.integers(1, BRANCHES_MAX).map(BranchId),
    st.integers(1, INCARNATION_MAX).map(Incarnation),
)
vectors = st.dictionaries(origins, st.integers(1, SEQ_MAX).map(Seq), max_size=5).map(
    lambda parts: VersionVector(parts.items())
)
tokens = st.builds(Token, vectors, vectors)


def vector(*components: tuple[int, int]) -> VersionVector:
    return VersionVector(
        (Origin(BranchId(branch), Incarnation(0xDEADBEEF)), Seq(seq)) for branch, seq in components
    )


EXAMPLE = Token(read=vector((1, 70), (2, 3)), write=vector((2, 300)))


def sealed(body: Iterable[int]) -> bytes:
    """Return a part that nobody but a forger would make, with a checksum that fits."""
    part = bytes([1]) + sha256(b"bank").digest()[:8] + bytes(body)
    return part + zlib.crc32(part).to_bytes(4, "big")


@CODECS
@given(token=tokens)
def test_a_token_comes_back_as_it_was_given_out(codec: TokenCodec, token: Token) -> None:
    assert codec.decode(codec.encode(token)) == token


@CODECS
@given(token=tokens, other=tokens)
def test_laying_one_token_behind_another_merges_them(codec: TokenCodec, token: Token, other: Token) -> None:
    assert codec.decode(codec.encode(token) + codec.encode(other)) == token.merge(other)


@CODECS
def test_the_token_of_a_new_session_is_no_bytes_at_all(codec: TokenCodec) -> None:
    assert codec.encode(EMPTY) == b""
    assert codec.decode(b"") == EMPTY


@CODECS
def test_a_token_of_two_entries_in_both_vectors_is_under_64_bytes(codec: TokenCodec) -> None:
    typical = vector((1, 1_000_000), (10, 1_000_000))
    assert len(codec.encode(Token(typical, typical))) < 64


@CODECS
def test_every_change_of_one_byte_is_noticed(codec: TokenCodec) -> None:
    encoded = codec.encode(EXAMPLE)
    for place in range(len(encoded)):
        for flip in range(1, 256):
            tampered = bytearray(encoded)
            tampered[place] ^= flip
            with pytest.raises(TokenError):
                codec.decode(bytes(tampered))


@CODECS
def test_a_token_cut_short_at_either_end_is_refused(codec: TokenCodec) -> None:
    encoded = codec.encode(EXAMPLE)
    for length in range(1, len(encoded)):
        with pytest.raises(TokenError):
            codec.decode(encoded[:length])
        with pytest.raises(TokenError):
            codec.decode(encoded[length:])


@CODECS
def test_one_damaged_part_spoils_the_whole(codec: TokenCodec) -> None:
    good = codec.encode(EXAMPLE)
    for encoded in (good + b"\x00", good + good[:-1], good[:-1] + good):
        with pytest.raises(TokenError):
            codec.decode(encoded)


@given(st.binary(min_size=1, max_size=100))
def test_noise_is_no_token(noise: bytes) -> None:
    with pytest.raises(TokenError):
        CHECKED.decode(noise)


def test_a_token_of_another_bank_is_refused_as_such() -> None:
    with pytest.raises(TokenError, match="another bank"):
        CHECKED.decode(TokenCodec("other").encode(EXAMPLE))


def test_a_token_signed_with_another_key_is_refused() -> None:
    with pytest.raises(TokenError, match="forged"):
        SIGNED.decode(TokenCodec("bank", b"guess").encode(EXAMPLE))


def test_a_bank_that_signs_takes_no_unsigned_token_and_the_other_way_round() -> None:
    with pytest.raises(TokenError, match="forged"):
        SIGNED.decode(CHECKED.encode(EXAMPLE))
    with pytest.raises(TokenError, match="forged"):
        CHECKED.decode(SIGNED.encode(EXAMPLE))


def test_a_token_of_a_newer_format_is_refused() -> None:
    with pytest.raises(TokenError, match="version 3"):
        CHECKED.decode(b"\x03" + CHECKED.encode(EXAMPLE)[1:])


def test_the_forger_s_tool_makes_good_tokens_where_they_are_honest() -> None:
    honest = sealed([1, 2, 0, 0, 0, 9, 5, 0])
    assert CHECKED.decode(honest).read == VersionVector([(Origin(BranchId(2), Incarnation(9)), Seq(5))])


@pytest.mark.parametrize(
    "body",
    [
        [1, 0, 0, 0, 0, 1, 1, 0],  # branch 0
        [1, 0xFF, 0x7F, 0, 0, 0, 1, 1, 0],  # branch 16383
        [1, 1, 0, 0, 0, 0, 1, 0],  # incarnation 0
        [1, 1, 0, 0, 0, 1, 0, 0],  # seq 0
        [1, 1, 0, 0, 0, 1, *[0xFF] * 9, 0x01, 0],  # a seq of 70 bits
        [0xFF] * 9,  # as many components as nobody has
        [0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 0, 0, 0, 1, 1],  # 2^35 components, one of them there
    ],
)
def test_a_well_sealed_token_that_names_what_no_bank_has_is_refused(body: list[int]) -> None:
    with pytest.raises(TokenError):
        CHECKED.decode(sealed(body))


@CODECS
def test_a_token_may_be_so_long_and_no_longer(codec: TokenCodec) -> None:
    part = codec.encode(EXAMPLE)
    assert codec.decode(part * (TOKEN_BYTES_MAX // len(part))) == EXAMPLE
    with pytest.raises(TokenError, match="at most 65536 bytes"):
        codec.decode(part * (TOKEN_BYTES_MAX // len(part) + 1))


def test_only_what_is_not_known_everywhere_stays_in_a_token() -> None:
    assert EXAMPLE.beyond(vector((1, 70), (2, 3))) == Token(write=vector((2, 300)))
    assert EXAMPLE.beyond(vector((1, 69), (2, 299))) == Token(vector((1, 70)), vector((2, 300)))
