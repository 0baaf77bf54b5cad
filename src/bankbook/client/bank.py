"""Bank for asyncio: the customer's side of bankbook.v1.

Decides nothing; knows the branches, and makes sessions. Proof: tests/client/test_bank.py.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from bankbook.client.attempts import Channels
from bankbook.client.calls import Calls
from bankbook.client.session import Session
from bankbook.client.token import SessionToken
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId

DEFAULT_TIMEOUT_S = 30.0


class Bank:
    """A bank's branches, by their numbers. Use it with `async with`: leaving it closes every channel."""

    def __init__(
        self,
        addresses: Mapping[BranchId, str] | Mapping[int, str] | Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: bool = True,
    ) -> None:
        """Name the branches: number → "host:port", or a list of these, numbered from 1.

        `timeout` is in seconds, for every call that does not name its own. Within it, what may end better
        is tried again, at other branches too; not so without `retries`.
        """
        if isinstance(addresses, str):
            raise TypeError(f"a bank is {{1: {addresses!r}}} or [{addresses!r}], not one address by itself")
        if isinstance(addresses, Mapping):
            numbered = {int(number): address for number, address in addresses.items()}
        else:
            numbered = dict(enumerate(addresses, start=1))
        if not numbered:
            raise ValueError("a bank has at least one branch; name its address")
        self._calls = Calls(numbered, timeout, Channels(numbered), retries=retries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def branches(self) -> tuple[int, ...]:
        """The numbers of the branches, in ascending order."""
        return self._calls.branches

    async def close(self) -> None:
        """Close every channel; what is under way gets no answer. Closing twice is harmless."""
        await self._calls.close()

    def session(
        self,
        customer: str,
        *,
        account: str | None = None,
        token: SessionToken | None = None,
        guarantees: Guarantee = Guarantee.ALL,
    ) -> Session:
        """Return a session of `customer`, who has `account` (by default one named like the customer).

        With a `token`, it continues where the token's session was.
        """
        return Session(self._calls, customer, account or customer, token or SessionToken(), guarantees)
