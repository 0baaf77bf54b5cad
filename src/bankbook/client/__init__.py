"""The customer's side.

async with Bank({1: "127.0.0.1:50051", 2: "127.0.0.1:50052"}) as bank:
    session = bank.session("ada")
    await session.deposit(400, branch=1)
    print((await session.balance(branch=2)).balance)

bank      Bank and Session, for asyncio
sync      the same for programs without an event loop
token     the session token, to be saved, loaded and merged
errors    the one tree of exceptions
"""

from bankbook.client.bank import Bank, Session
from bankbook.client.errors import (
    AccountExistsError,
    BalanceLimitError,
    BankbookError,
    BranchUnreachableError,
    CurrencyMismatchError,
    HoldTimeoutError,
    InsufficientFundsError,
    InvalidRequestError,
    InvalidTokenError,
    NotHomeError,
    NotRepresentableError,
    OutcomeUnknownError,
    RefusedError,
    RetryableError,
    SameAccountError,
    ShuttingDownError,
    StoreUnavailableError,
    TooManyHeldError,
    UnknownAccountError,
)
from bankbook.client.token import SessionToken
from bankbook.core.commands import LATEST, LOCAL, SESSION, bounded
from bankbook.core.guarantees import Guarantee
from bankbook.wire.requests import Receipt

__all__ = [
    "LATEST",
    "LOCAL",
    "SESSION",
    "AccountExistsError",
    "BalanceLimitError",
    "Bank",
    "BankbookError",
    "BranchUnreachableError",
    "CurrencyMismatchError",
    "Guarantee",
    "HoldTimeoutError",
    "InsufficientFundsError",
    "InvalidRequestError",
    "InvalidTokenError",
    "NotHomeError",
    "NotRepresentableError",
    "OutcomeUnknownError",
    "Receipt",
    "RefusedError",
    "RetryableError",
    "SameAccountError",
    "Session",
    "SessionToken",
    "ShuttingDownError",
    "StoreUnavailableError",
    "TooManyHeldError",
    "UnknownAccountError",
    "bounded",
]
