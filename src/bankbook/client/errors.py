"""The exceptions of the client library, one for each outcome but OK.

    BankbookError
    ├── RefusedError                nothing happened, and nothing will as things stand
    │   ├── InvalidRequestError
    │   ├── InvalidTokenError
    │   ├── WritesLostError
    │   ├── KeyReusedError
    │   ├── AccountExistsError
    │   ├── UnknownAccountError
    │   ├── HistoryDroppedError
    │   ├── SameAccountError
    │   ├── CurrencyMismatchError
    │   ├── UnbalancedError
    │   ├── UnknownReservationError
    │   ├── ReservationExpiredError
    │   ├── ReservationEndedError
    │   ├── ReservationExceededError
    │   ├── InsufficientFundsError
    │   ├── BalanceLimitError
    │   ├── NotRepresentableError
    │   └── BatchAbortedError
    ├── RetryableError              nothing happened yet: the same request may be sent again
    │   ├── ShuttingDownError
    │   ├── TooManyHeldError
    │   ├── CatchingUpError
    │   ├── BranchUnreachableError
    │   ├── HoldTimeoutError
    │   ├── RightsUnreachableError
    │   └── StoreUnavailableError
    └── OutcomeUnknownError         it happened once or not at all: the same key, sent again, tells
        └── DurabilityTimeoutError  it happened, and is not yet known to be on as many disks as was asked

Decides nothing: bankbook.core.outcome says what each means. Proof: tests/client/test_errors.py.
"""

from typing import ClassVar

from bankbook.core.outcome import Certainty, Outcome
from bankbook.core.types import Key
from bankbook.core.vector import Gap
from bankbook.wire.status import Failure


class BankbookError(Exception):
    """A request was not carried out, or nobody knows; its text says why and what to do."""

    outcome: ClassVar[Outcome]

    def __init__(self, failure: Failure, key: Key | None = None) -> None:
        end = "" if failure.detail.endswith((".", "?")) else "."
        # What this library itself found out says what to do already; what the outcome means is for the rest.
        is_ours = failure.info is None and failure.outcome.certainty is not Certainty.UNKNOWN
        advice = "" if is_ours else f" {failure.outcome.in_words}"
        super().__init__(f"{failure.detail}{end}{advice}")
        self.failure = failure
        self.key = key
        """A write's idempotency key: sent again with it, the same request still takes effect only once. None
        for reads, and for what never got as far. That of a call which went together with others is good as
        this object, and not as text (see bankbook.client.flights)."""

    @property
    def branch(self) -> int | None:
        """The branch to ask instead, or the one that could not be reached; None where none is named."""
        return self.failure.branch

    @property
    def balance(self) -> int | None:
        """The balance that was not enough, in minor units; None for other errors."""
        return self.failure.balance

    @property
    def available(self) -> int | None:
        """What could have been taken out, in minor units; None for other errors."""
        return self.failure.available

    @property
    def command(self) -> int | None:
        """Of an all-or-nothing batch: which of its commands was refused first, from 1; else None."""
        return self.failure.command

    @property
    def awaited(self) -> tuple[Gap, ...]:
        """What was missing: origin, what its log had here, what was needed. Empty for other errors."""
        return self.failure.info.awaited if self.failure.info is not None else ()

    @property
    def held_us(self) -> int:
        """How long the request was held before it was given up, in microseconds."""
        return self.failure.info.held_us if self.failure.info is not None else 0


class RefusedError(BankbookError):
    """Nothing happened, and the same request would be refused again as things stand."""


class RetryableError(BankbookError):
    """Nothing happened yet; the same request may be sent again, here or elsewhere."""


class OutcomeUnknownError(BankbookError):
    """The answer was lost: the request took effect once or not at all; ask again with the same `key`."""

    outcome = Outcome.OUTCOME_UNKNOWN


class InvalidRequestError(RefusedError):
    """A part of the request is missing, malformed or out of bounds."""

    outcome = Outcome.INVALID_REQUEST


class InvalidTokenError(RefusedError):
    """The session token is damaged, forged, of another bank, or names what was never decided."""

    outcome = Outcome.INVALID_TOKEN


class WritesLostError(RefusedError):
    """The session token names writes that were lost with a branch's disk."""

    outcome = Outcome.WRITES_LOST


class KeyReusedError(RefusedError):
    """The idempotency key belongs to another request."""

    outcome = Outcome.KEY_REUSED


class AccountExistsError(RefusedError):
    """The account is open already."""

    outcome = Outcome.ACCOUNT_EXISTS


class UnknownAccountError(RefusedError):
    """There is no such account at this branch (yet)."""

    outcome = Outcome.UNKNOWN_ACCOUNT


class HistoryDroppedError(RefusedError):
    """The branch no longer keeps what happened at that time."""

    outcome = Outcome.HISTORY_DROPPED


class SameAccountError(RefusedError):
    """A transfer needs two different accounts."""

    outcome = Outcome.SAME_ACCOUNT


class CurrencyMismatchError(RefusedError):
    """The two accounts count different currencies."""

    outcome = Outcome.CURRENCY_MISMATCH


class UnbalancedError(RefusedError):
    """The legs of the transaction do not sum to zero in each currency."""

    outcome = Outcome.UNBALANCED


class UnknownReservationError(RefusedError):
    """There is no such reservation."""

    outcome = Outcome.UNKNOWN_RESERVATION


class ReservationExpiredError(RefusedError):
    """The reservation has expired, and its money is free again."""

    outcome = Outcome.RESERVATION_EXPIRED


class ReservationEndedError(RefusedError):
    """The reservation was captured or released already."""

    outcome = Outcome.RESERVATION_ENDED


class ReservationExceededError(RefusedError):
    """More was asked for than is left of the reservation."""

    outcome = Outcome.RESERVATION_EXCEEDED


class InsufficientFundsError(RefusedError):
    """The account would fall below its floor; `balance` and `available` say what there is."""

    outcome = Outcome.INSUFFICIENT_FUNDS


class BalanceLimitError(RefusedError):
    """The balance would leave the range that is kept exactly."""

    outcome = Outcome.BALANCE_LIMIT


class NotRepresentableError(RefusedError):
    """The balance does not fit the caller's protocol."""

    outcome = Outcome.NOT_REPRESENTABLE


class BatchAbortedError(RefusedError):
    """Another command of the same all-or-nothing batch was refused."""

    outcome = Outcome.BATCH_ABORTED


class ShuttingDownError(RetryableError):
    """The branch is stopping."""

    outcome = Outcome.SHUTTING_DOWN


class TooManyHeldError(RetryableError):
    """The branch holds as many requests as it may."""

    outcome = Outcome.TOO_MANY_HELD


class CatchingUpError(RetryableError):
    """The branch has a new store and fetches what the others know."""

    outcome = Outcome.CATCHING_UP


class BranchUnreachableError(RetryableError):
    """A branch whose answer is needed could not be reached; `branch` names it."""

    outcome = Outcome.BRANCH_UNREACHABLE


class HoldTimeoutError(RetryableError):
    """What the request depends on did not arrive in time; `awaited` names it."""

    outcome = Outcome.HOLD_TIMEOUT


class RightsUnreachableError(RetryableError):
    """The right to take the money out is at a branch that could not be reached; `branch` names it."""

    outcome = Outcome.RIGHTS_UNREACHABLE


class StoreUnavailableError(RetryableError):
    """The branch could not write to its store, and did not."""

    outcome = Outcome.STORE_UNAVAILABLE


class DurabilityTimeoutError(OutcomeUnknownError):
    """It happened, and is not yet known to be on as many other branches' disks as was asked."""

    outcome = Outcome.DURABILITY_TIMEOUT


ERRORS: dict[Outcome, type[BankbookError]] = {
    error.outcome: error
    for family in (RefusedError, RetryableError, OutcomeUnknownError, BankbookError)
    for error in family.__subclasses__()
    if hasattr(error, "outcome")
}


def error_for(failure: Failure, key: Key | None = None) -> BankbookError:
    """Return the exception that tells a failure of a request with this key."""
    return ERRORS[failure.outcome](failure, key)
