"""Every way a request can end, and what each means for the money.

Decides nothing; names, and orders by precedence: where several apply, the one defined first is told.
The gRPC status of each stands in bankbook.wire.status, the exception in bankbook.client.errors; tests
hold the three tables together. Proof: tests/core/test_outcome.py, tests/core/test_ledger.py.

Source of the split in three: Maelstrom's definite and indefinite errors.
"""

from enum import Enum
from typing import NamedTuple


class Certainty(Enum):
    """What the customer may conclude about the money."""

    DONE = "done"
    """It happened, once, and is on the disk of the branch that answered."""
    REFUSED = "refused"
    """Nothing happened, and the same request would be refused again as things stand."""
    RETRYABLE = "retryable"
    """Nothing happened yet; the same request may be sent again, here or elsewhere."""
    UNKNOWN = "unknown"
    """It happened once or not at all; the same key, sent again, tells which, and never does it twice."""


class Meaning(NamedTuple):
    """What one outcome tells a person."""

    certainty: Certainty
    in_words: str


class Outcome(Enum):
    """How a request ended, in precedence order."""

    OK = Meaning(Certainty.DONE, "The request was carried out.")
    INVALID_REQUEST = Meaning(
        Certainty.REFUSED, "A part of the request is missing, malformed or out of bounds; mend it."
    )
    INVALID_TOKEN = Meaning(
        Certainty.REFUSED,
        "The session token is damaged, forged, of another bank, or names what no branch ever decided; "
        "start a new session.",
    )
    WRITES_LOST = Meaning(
        Certainty.REFUSED,
        "The session token names writes that were lost with a branch's disk; start a new session, and read "
        "the balance to see what is there.",
    )
    SHUTTING_DOWN = Meaning(Certainty.RETRYABLE, "The branch is stopping; ask another one.")
    TOO_MANY_HELD = Meaning(
        Certainty.RETRYABLE, "The branch holds as many requests as it may; ask again later or elsewhere."
    )
    KEY_REUSED = Meaning(
        Certainty.REFUSED,
        "The idempotency key belongs to another request; give each request a key of its own.",
    )
    CATCHING_UP = Meaning(
        Certainty.RETRYABLE,
        "The branch has a new store and fetches what the others know; ask again later or elsewhere.",
    )
    BRANCH_UNREACHABLE = Meaning(
        Certainty.RETRYABLE,
        "A branch whose answer is needed could not be reached in time; ask again or ask another branch, "
        "or ask for something less fresh than LATEST or BOUNDED.",
    )
    HOLD_TIMEOUT = Meaning(
        Certainty.RETRYABLE,
        "What the request depends on did not arrive before the deadline; ask again, or ask the branch "
        "that is named.",
    )
    ACCOUNT_EXISTS = Meaning(Certainty.REFUSED, "The account is open already.")
    UNKNOWN_ACCOUNT = Meaning(
        Certainty.REFUSED, "There is no such account at this branch (yet); open it first."
    )
    HISTORY_DROPPED = Meaning(
        Certainty.REFUSED,
        "The branch no longer keeps what happened at that time; ask for a later one, or another branch.",
    )
    SAME_ACCOUNT = Meaning(Certainty.REFUSED, "A transfer needs two different accounts.")
    CURRENCY_MISMATCH = Meaning(Certainty.REFUSED, "The two accounts count different currencies.")
    UNBALANCED = Meaning(
        Certainty.REFUSED, "The legs of a transaction must sum to zero in each currency; mend the amounts."
    )
    UNKNOWN_RESERVATION = Meaning(
        Certainty.REFUSED, "There is no such reservation; use the name that its receipt told."
    )
    RESERVATION_EXPIRED = Meaning(
        Certainty.REFUSED, "The reservation has expired and its money is free again; make a new one."
    )
    RESERVATION_ENDED = Meaning(Certainty.REFUSED, "The reservation was captured or released already.")
    RESERVATION_EXCEEDED = Meaning(
        Certainty.REFUSED, "More was asked for than is left of the reservation; ask for that or less."
    )
    INSUFFICIENT_FUNDS = Meaning(
        Certainty.REFUSED,
        "The account would fall below its floor, counting everything that any branch had acknowledged.",
    )
    RIGHTS_UNREACHABLE = Meaning(
        Certainty.RETRYABLE,
        "The money may be there, but the right to take it out is at a branch that could not be reached in "
        "time; ask again, or ask the branch that is named.",
    )
    BALANCE_LIMIT = Meaning(Certainty.REFUSED, "The balance would leave the range that is kept exactly.")
    NOT_REPRESENTABLE = Meaning(
        Certainty.REFUSED, "The balance does not fit the 32 bits of the original protocol; use bankbook.v1."
    )
    BATCH_ABORTED = Meaning(
        Certainty.REFUSED,
        "Another command of the same all-or-nothing batch was refused, so this one did not happen either.",
    )
    STORE_UNAVAILABLE = Meaning(
        Certainty.RETRYABLE, "The branch could not write to its store, and did not; ask again or elsewhere."
    )
    OUTCOME_UNKNOWN = Meaning(
        Certainty.UNKNOWN,
        "The answer was lost: the request took effect once or not at all; ask again with the same key.",
    )
    DURABILITY_TIMEOUT = Meaning(
        Certainty.UNKNOWN,
        "It happened and is on this branch's disk, but not yet known to be on as many others as was asked; "
        "ask again with the same key to wait on.",
    )

    @property
    def certainty(self) -> Certainty:
        """What the customer may conclude about the money."""
        return self.value.certainty

    @property
    def in_words(self) -> str:
        """One sentence for a person: what it means and what to do."""
        return self.value.in_words
