"""What is asked of the alternatives: the transfers of `bankbook bench`.

Decides nothing of its own: as many accounts, as much money, chosen in the same way. Must not know who carries
them out. Proof: tests/alternatives/test_alternatives.py.
"""

import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple, Protocol
from uuid import UUID

from bankbook.bench.accounts import chooser_for
from bankbook.bench.prepare import OPENING
from bankbook.bench.settings import Load, Skew
from bankbook.bench.workload import AMOUNT

ACCOUNTS = Load().accounts
OPENING_BALANCE = int(OPENING)
BULK = 1000

OK, INSUFFICIENT_FUNDS = "OK", "INSUFFICIENT_FUNDS"


class Transfer(NamedTuple):
    """What a customer asks for."""

    key: UUID
    source: int
    destination: int
    amount: int = int(AMOUNT)


class Ledger(Protocol):
    """An alternative, as its user's program sees it."""

    async def transfer(self, transfer: Transfer) -> str:
        """Carry out one; return OK or INSUFFICIENT_FUNDS, the same again for the same key."""

    async def transfer_all(self, transfers: Sequence[Transfer]) -> list[str]:
        """Carry out many with as few requests as there can be; return the outcome of each."""

    async def balances(self) -> list[int]:
        """Return the balance of every account."""

    async def postings(self, account: int) -> list[int]:
        """Return what was booked on an account, oldest first."""


def new_transfers(chance: Random) -> Iterator[Transfer]:
    """Yield transfers between accounts chosen by chance, each with a key of its own."""
    chooser = chooser_for(Skew.UNIFORM, ACCOUNTS)
    while True:
        source, destination = chooser.two(chance)
        yield Transfer(UUID(bytes=os.urandom(16)), source, destination)
