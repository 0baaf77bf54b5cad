"""Bank for asyncio: the customer's side of bankbook.v1.

Decides nothing; knows the branches, and makes sessions. Proof: tests/client/test_bank.py.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from bankbook.client.attempts import Channels
from bankbook.client.calls import Calls, Recording, complaint_about_timeout
from bankbook.client.genesis import ask_header
from bankbook.client.recorder import Recorder
from bankbook.client.session import Session
from bankbook.client.token import SessionToken
from bankbook.core.guarantees import Guarantee
from bankbook.core.types import BranchId
from bankbook.history.writer import HistoryFile

DEFAULT_TIMEOUT_S = 30.0


class Bank:
    """A bank's branches, by their numbers. Use it with `async with`: leaving it closes every channel."""

    def __init__(
        self,
        addresses: Mapping[BranchId, str] | Mapping[int, str] | Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: bool = True,
        history: Path | str | Recorder | None = None,
    ) -> None:
        """Name the branches: number → "host:port", or a list of these, numbered from 1.

        `timeout` is in seconds, for every call that does not name its own. Within it, what may end better
        is tried again, at other branches too; not so without `retries`. Raises ValueError for one that never
        ends.

        `history` is a file, not there yet, for all that is asked and told: `bankbook check` judges it. Its
        first line is what the bank began with; who begins to record later than that makes a Recorder with a
        header of their own. Raises FileExistsError.
        """
        if isinstance(addresses, str):
            raise TypeError(f"a bank is {{1: {addresses!r}}} or [{addresses!r}], not one address by itself")
        if isinstance(addresses, Mapping):
            numbered = {int(number): address for number, address in addresses.items()}
        else:
            numbered = dict(enumerate(addresses, start=1))
        if not numbered:
            raise ValueError("a bank has at least one branch; name its address")
        complaint = complaint_about_timeout(timeout)
        if complaint is not None:
            raise ValueError(complaint)
        recorder = Recorder(HistoryFile(Path(history))) if isinstance(history, Path | str) else history
        recording = None if recorder is None else Recording(recorder, partial(ask_header, numbered))
        channels = Channels(numbered)
        self._calls = Calls(numbered, timeout, channels, retries=retries, recording=recording)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def recorder(self) -> Recorder | None:
        """What writes the history down, and takes faults and finals; None where there is none."""
        return self._calls.recorder

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
