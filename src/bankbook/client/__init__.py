"""The customer's side.

async with Bank({1: "127.0.0.1:50051", 2: "127.0.0.1:50052"}) as bank:
    session = bank.session("ada")
    await session.deposit(400, branch=1)
    print((await session.balance(branch=2)).balance)

bank, session    Bank and Session, for asyncio
sync             the same for programs without an event loop
statement        statements, read a page at a time
token            the session token, to be saved, loaded and merged
errors           the one tree of exceptions
sending          how a session's requests go out, and what their answers teach it
coalescing       which calls go out together, without being asked to; flights: what each of them is told
multiplexing     the stream that calls of all sessions travel on, to one branch
attempts         one attempt at one request: the channels, and what no answer means
retries          what is tried again, and where
recorder         all that is asked and told, as a history that `bankbook check` judges
"""

from bankbook.client.bank import Bank
from bankbook.client.errors import (
    AccountExistsError,
    BalanceLimitError,
    BankbookError,
    BatchAbortedError,
    BranchUnreachableError,
    CatchingUpError,
    CurrencyMismatchError,
    DurabilityTimeoutError,
    HistoryDroppedError,
    HoldTimeoutError,
    InsufficientFundsError,
    InvalidRequestError,
    InvalidTokenError,
    KeyReusedError,
    NotRepresentableError,
    OutcomeUnknownError,
    RefusedError,
    ReservationEndedError,
    ReservationExceededError,
    ReservationExpiredError,
    RetryableError,
    RightsUnreachableError,
    SameAccountError,
    ShuttingDownError,
    StoreUnavailableError,
    TooManyHeldError,
    UnbalancedError,
    UnknownAccountError,
    UnknownReservationError,
    WritesLostError,
)
from bankbook.client.recorder import Recorder
from bankbook.client.session import Session
from bankbook.client.statement import Statement, StatementChangedError
from bankbook.client.token import SessionToken
from bankbook.core.commands import (
    LATEST,
    LOCAL,
    SESSION,
    Deposit,
    Reserve,
    Result,
    Submit,
    Transfer,
    Withdraw,
    bounded,
)
from bankbook.core.entry import Posting
from bankbook.core.guarantees import Guarantee
from bankbook.core.outcome import Outcome
from bankbook.core.types import AccountId, Money
from bankbook.wire.replies import BatchReceipt, Receipt, StatementLine, StatementPage

__all__ = [
    "LATEST",
    "LOCAL",
    "SESSION",
    "AccountExistsError",
    "AccountId",
    "BalanceLimitError",
    "Bank",
    "BankbookError",
    "BatchAbortedError",
    "BatchReceipt",
    "BranchUnreachableError",
    "CatchingUpError",
    "CurrencyMismatchError",
    "Deposit",
    "DurabilityTimeoutError",
    "Guarantee",
    "HistoryDroppedError",
    "HoldTimeoutError",
    "InsufficientFundsError",
    "InvalidRequestError",
    "InvalidTokenError",
    "KeyReusedError",
    "Money",
    "NotRepresentableError",
    "Outcome",
    "OutcomeUnknownError",
    "Posting",
    "Receipt",
    "Recorder",
    "RefusedError",
    "ReservationEndedError",
    "ReservationExceededError",
    "ReservationExpiredError",
    "Reserve",
    "Result",
    "RetryableError",
    "RightsUnreachableError",
    "SameAccountError",
    "Session",
    "SessionToken",
    "ShuttingDownError",
    "Statement",
    "StatementChangedError",
    "StatementLine",
    "StatementPage",
    "StoreUnavailableError",
    "Submit",
    "TooManyHeldError",
    "Transfer",
    "UnbalancedError",
    "UnknownAccountError",
    "UnknownReservationError",
    "Withdraw",
    "WritesLostError",
    "bounded",
]
