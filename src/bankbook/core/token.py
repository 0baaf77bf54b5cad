"""The session token: the customer's bankbook.

Decides the token's encoding, and which tokens are refused at sight. Must not know what waits for them.
Proof: tests/core/test_token.py.

A token is one or more sealed parts, end to end. A branch answers every request with a token of one
part, which covers all the parts it was sent. Whoever holds two tokens merges them by laying one behind
the other, without understanding either; so tokens stay opaque, and merge also where they are signed.

    part = version (1 byte: 1 sealed with a checksum, 2 signed)
           fingerprint of the cluster id (8 bytes)
           read vector, write vector: number of components, then for each
               branch (varint), incarnation (4 bytes), seq (varint)
           seal (version 1: CRC-32, 4 bytes; version 2: HMAC-SHA-256, its first 16 bytes)
"""

import hmac
import zlib
from dataclasses import dataclass
from hashlib import sha256

from bankbook.core.types import BRANCHES_MAX, SEQ_MAX, BranchId, Incarnation, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector

# Over a thousand parts: what a session collects while a thousand of its requests are under way at once.
# Cosmos DB's tokens overflow the 16 kB that HTTP headers may have; these travel in the message.
TOKEN_BYTES_MAX = 64 * 1024

_CHECKED, _SIGNED = 1, 2
_SEAL_BYTES = {_CHECKED: 4, _SIGNED: 16}
_FINGERPRINT_BYTES = 8
_INCARNATION_BYTES = 4
_VARINT_BYTES_MAX = 9  # 63 bits


class TokenError(ValueError):
    """This token cannot be used at this bank; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a session has read and written: its two vectors."""

    read: VersionVector = NOTHING
    write: VersionVector = NOTHING

    def merge(self, other: "Token") -> "Token":
        """Return the token that covers both."""
        return Token(self.read.merge(other.read), self.write.merge(other.write))

    def beyond(self, stable: VersionVector) -> "Token":
        """Return the token without the components that every branch is known to have."""
        return Token(self.read.beyond(stable), self.write.beyond(stable))


EMPTY = Token()
"""The token of a session that has done nothing yet; encoded, it is no bytes at all."""


class TokenCodec:
    """Encodes and decodes the tokens of one cluster."""

    def __init__(self, cluster: str, key: bytes | None = None) -> None:
        self._fingerprint = sha256(cluster.encode()).digest()[:_FINGERPRINT_BYTES]
        self._key = key
        self._version = _CHECKED if key is None else _SIGNED

    def encode(self, token: Token) -> bytes:
        """Return `token` as one sealed part; no bytes where it is empty."""
        if token == EMPTY:
            return b""
        part = bytearray([self._version])
        part += self._fingerprint
        for vector in (token.read, token.write):
            part += _varint(len(vector))
            for origin, seq in vector:
                part += _varint(origin.branch)
                part += origin.incarnation.to_bytes(_INCARNATION_BYTES, "big")
                part += _varint(seq)
        return bytes(part) + self._seal(bytes(part))

    def decode(self, encoded: bytes) -> Token:
        """Return the merge of all the parts of `encoded`.

        Raises TokenError where any part is damaged, forged, or of another cluster.
        """
        if len(encoded) > TOKEN_BYTES_MAX:
            raise TokenError(
                f"a session token has at most {TOKEN_BYTES_MAX} bytes, this one {len(encoded)}; "
                "send one request and use the token of its reply"
            )
        token, place = EMPTY, 0
        try:
            while place < len(encoded):
                part, place = self._decode_part(encoded, place)
                token = part if token is EMPTY else token.merge(part)
        except IndexError:
            raise TokenError("the session token is damaged: it ends too early") from None
        return token

    def _decode_part(self, encoded: bytes, start: int) -> tuple[Token, int]:
        """Return the part that begins at `start`, and where it ends. Raises IndexError beyond the end."""
        version = encoded[start]
        if version not in _SEAL_BYTES:
            raise TokenError(f"the session token is damaged or of a newer format (version {version})")
        if version != self._version:
            raise TokenError("the session token is forged: it is not sealed the way this bank seals its own")
        place = start + 1 + _FINGERPRINT_BYTES
        read, place = _read_vector(encoded, place)
        write, end = _read_vector(encoded, place)
        place = end + _SEAL_BYTES[version]
        if not hmac.compare_digest(encoded[end:place], self._seal(encoded[start:end])):
            raise TokenError("the session token is damaged or forged: its seal does not fit")
        if encoded[start + 1 : start + 1 + _FINGERPRINT_BYTES] != self._fingerprint:
            raise TokenError("the session token is of another bank; start a session with no token here")
        return Token(read, write), place

    def _seal(self, body: bytes) -> bytes:
        if self._key is None:
            return zlib.crc32(body).to_bytes(_SEAL_BYTES[_CHECKED], "big")
        return hmac.digest(self._key, body, "sha256")[: _SEAL_BYTES[_SIGNED]]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004  (seven bits a byte)
        encoded.append((number & 0x7F) | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(encoded: bytes, place: int) -> tuple[int, int]:
    """Return the number at `place`, and where it ends. Raises IndexError, TokenError."""
    result = 0
    for digit in range(_VARINT_BYTES_MAX):
        byte = encoded[place + digit]
        result |= (byte & 0x7F) << (7 * digit)
        if byte < 0x80:  # noqa: PLR2004  (the continuation bit of a varint)
            return result, place + digit + 1
    raise TokenError("the session token is damaged: a number in it is too long")


def _read_vector(encoded: bytes, place: int) -> tuple[VersionVector, int]:
    """Return the vector at `place`, and where it ends. Raises IndexError, TokenError."""
    components = []
    count, place = _read_varint(encoded, place)
    for _ in range(count):
        branch, place = _read_varint(encoded, place)
        incarnation = int.from_bytes(encoded[place : place + _INCARNATION_BYTES], "big")
        seq, place = _read_varint(encoded, place + _INCARNATION_BYTES)
        if not 1 <= branch <= BRANCHES_MAX or incarnation == 0 or not 1 <= seq <= SEQ_MAX:
            raise TokenError("the session token is damaged: it names what no bank has")
        components.append((Origin(BranchId(branch), Incarnation(incarnation)), Seq(seq)))
    return VersionVector(components), place
