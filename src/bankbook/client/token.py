"""The session token as a customer holds it: opaque, to be saved, loaded and merged.

Decides its form as text. Must not know what is in it. Proof: tests/client/test_token.py.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Self

# The whole of it: the decoder skips what it does not know, and "%%%%" would be a session that has done
# nothing yet, whose next read may be a stale one.
_FORM = re.compile(r"([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)?")


class SessionToken:
    """What a session knows. `str(token)` is its form for files and URLs; equal tokens know the same."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[bytes] = ()) -> None:
        self.parts = frozenset(part for part in parts if part)
        """Sealed by the bank, each as it came; laid end to end they are one token."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the token that `text` is the form of. Raises ValueError where it is not text of that form.

        Whether the token is any good, only a branch can tell.
        """
        if _FORM.fullmatch(text.strip()) is None:
            raise ValueError("not a session token: one is made of letters, digits, - and _, padded with =")
        return cls([urlsafe_b64decode(text.strip())])

    def merge(self, other: "SessionToken") -> "SessionToken":
        """Return the token that knows what both know, such as for a customer with two devices."""
        return SessionToken(self.parts | other.parts)

    def __bytes__(self) -> bytes:
        return b"".join(sorted(self.parts))

    def __str__(self) -> str:
        return urlsafe_b64encode(bytes(self)).decode("ascii")

    def __repr__(self) -> str:
        return f"SessionToken.from_text({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionToken) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))
