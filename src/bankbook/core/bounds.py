"""What is malformed in a request: every bound that needs no state.

Decides the bounds of commands, and the sentences for whoever exceeds one, so that nothing malformed gets
further. Client and server ask here before anything else. Must not know accounts, nor how a request travels.
Proof: tests/core/test_bounds.py.
"""

from collections.abc import Callable

from bankbook.core.columns import Columns
from bankbook.core.commands import (
    LINES_MAX,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    Moves,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
    accounts_of,
)
from bankbook.core.entry import (
    ENTRY_BYTES_MAX,
    EXPIRES_MS_MAX,
    MOVE_DETAIL_CHARACTERS_MAX,
    Opening,
    Posting,
)
from bankbook.core.types import (
    ID_RULE,
    KEY_RULE,
    MEMO_CHARACTERS_MAX,
    MONEY_MAX,
    CustomerId,
    Key,
    ReservationId,
    is_id,
    is_key,
    is_memo,
    reserving_branch,
)

# A batch of so many transfers is about a megabyte: far from gRPC's 4 MB, and long enough that its cost is
# the commands' and not the request's.
BATCH_COMMANDS_MAX = 8192

# What the records of one request may fill, so that its entry stays below ENTRY_BYTES_MAX with everything else
# that stands in it: what it depends on is at most 20 kB.
BATCH_BYTES_MAX = ENTRY_BYTES_MAX - 64 * 1024

# Of one transaction. A payroll or a split among shareholders has hundreds.
LEGS_MAX = 1024

# A reservation that outlives its purpose by years is better made without an end.
LIFETIME_MS_MAX = 10 * 366 * 24 * 3600 * 1000

# Of the record of a refusal: its kind and a verdict with two numbers and a sentence. It keeps nothing else.
_REFUSAL_BYTES = 360

# Of what was done: the names of its parts, its kind, and a verdict with two numbers. Around the name of an
# account in a leg: its amount and the brackets. A byte of a memo that JSON has to escape takes at most two.
_DONE_BYTES, _LEG_BYTES, _ESCAPED_BYTES = 200, 32, 2

# In columns: what stands around the name of an account, with what of it is kept back; around a memo; and of a
# movement that was refused, two places, an amount, its outcome, two numbers and a sentence. One that happened
# has less.
_NAMED_BYTES, _QUOTED_BYTES, _MOVED_BYTES = 24, 3, 108 + MOVE_DETAIL_CHARACTERS_MAX

# What the wire can carry: 32 bits of milliseconds, 49 days.
BOUND_US_MAX = (2**32 - 1) * 1000


def complaint_about_freshness(freshness: Freshness) -> str | None:
    """Return what is malformed in a freshness, in words; None where nothing is."""
    if 0 <= freshness.bound_us <= BOUND_US_MAX:
        return None
    return f"a bound of freshness is 0 to {BOUND_US_MAX} microseconds; this one is {freshness.bound_us}"


def complaint_about(command: Command) -> str | None:
    """Return what is malformed in `command`, in words; None where nothing is."""
    if isinstance(command, Batch):
        return _complaint_about_batch(command)
    for account in accounts_of(command):
        if not is_id(account):
            return f"an account id has {ID_RULE}; this one is {account[:80]!r}"
    memo = getattr(command, "memo", "")
    if not is_memo(memo):
        return f"a memo is one line of at most {MEMO_CHARACTERS_MAX} characters; this one is {memo[:80]!r}"
    return _COMPLAINTS[type(command)](command)


def _complaint_about_batch(batch: Batch) -> str | None:
    if not 1 <= len(batch.commands) <= BATCH_COMMANDS_MAX:
        return f"a batch has 1 to {BATCH_COMMANDS_MAX} commands; this one has {len(batch.commands)}"
    if isinstance(batch.commands, Moves):
        columns = batch.commands.columns
        if columns.are_plain():
            return _complaint_about_size(_moves_in_log(columns))
    for number, command in enumerate(batch.commands, start=1):
        if type(command) not in _IN_BATCHES:
            return f"command {number} of the batch is a {type(command).__name__}, which must go by itself"
        complaint = complaint_about(command)
        if complaint is not None:
            return f"command {number} of the batch: {complaint}"
    return _complaint_about_size(sum(_size_in_log(command) for command in batch.commands))


def fits_in_log(batch: Batch) -> bool:
    """Whether an entry can have all of a batch of well-formed movements."""
    assert isinstance(batch.commands, Moves), "plain movements stand in columns"
    return _moves_in_log(batch.commands.columns) <= BATCH_BYTES_MAX


def _complaint_about_size(size: int) -> str | None:
    if size <= BATCH_BYTES_MAX:
        return None
    return f"the batch would fill {size} bytes of the log, and may fill {BATCH_BYTES_MAX}; send it in parts"


def _moves_in_log(columns: Columns) -> int:
    """Return how many bytes the records of plain movements have at the most."""
    names = sum(map(len, columns.accounts)) + len(columns.accounts) * _NAMED_BYTES
    memos = sum(len(memo.encode()) * _ESCAPED_BYTES + _QUOTED_BYTES for memo in columns.memos)
    return names + memos + columns.size * _MOVED_BYTES


def _size_in_log(command: SingleWrite) -> int:
    """Return how many bytes a command's record has at the most."""
    names = sum(len(account) + _LEG_BYTES for account in accounts_of(command))
    return max(names + len(command.memo.encode()) * _ESCAPED_BYTES + _DONE_BYTES, _REFUSAL_BYTES)


def _complaint_about_amount(amount: int) -> str | None:
    if _is_integer(amount, 0, MONEY_MAX):
        return None
    return f"an amount is an integer from 0 to {MONEY_MAX} minor units; this one is {amount!r}"


def _complaint_about_postings(postings: tuple[Posting, ...]) -> str | None:
    if not 2 <= len(postings) <= LEGS_MAX:  # noqa: PLR2004  (a transaction has two sides)
        return f"a transaction has 2 to {LEGS_MAX} postings; this one has {len(postings)}"
    for _, amount in postings:
        if not _is_integer(amount, -MONEY_MAX, MONEY_MAX):
            return f"a posting's amount is an integer up to {MONEY_MAX} either way; this one is {amount!r}"
    return None


def _complaint_about_reservation(reservation: str) -> str | None:
    if reserving_branch(ReservationId(reservation)) is not None:
        return None
    return f"a reservation is named as its receipt told, such as 2.0badcafe-17-0; not {reservation[:80]!r}"


def _complaint_about_lifetime(lifetime_ms: int) -> str | None:
    if _is_integer(lifetime_ms, 0, LIFETIME_MS_MAX):
        return None
    return f"a lifetime is 0 to {LIFETIME_MS_MAX} milliseconds; this one is {lifetime_ms!r}"


def _complaint_about_time(moment_ms: int) -> str | None:
    if _is_integer(moment_ms, 0, EXPIRES_MS_MAX):
        return None
    return f"a moment is 0 to {EXPIRES_MS_MAX} milliseconds since 1970; this one is {moment_ms!r}"


def _complaint_about_statement(statement: ReadStatement) -> str | None:
    complaint = _complaint_about_time(statement.from_ms) or _complaint_about_time(statement.to_ms)
    if complaint is not None or statement.from_ms <= statement.to_ms:
        if _is_integer(statement.lines_max, 1, LINES_MAX):
            return complaint
        return f"a page of a statement has 1 to {LINES_MAX} lines; {statement.lines_max!r} were asked for"
    return f"a statement ends after it begins; this one goes from {statement.from_ms} to {statement.to_ms}"


def _is_integer(value: int, low: int, high: int) -> bool:
    """A bool or a float is none, whatever the caller's types promised."""
    return type(value) is int and low <= value <= high


def complaint_about_customer(customer: CustomerId) -> str | None:
    """Return what is malformed in a customer's name, in words; None where nothing is."""
    return None if is_id(customer) else f"a customer id has {ID_RULE}; this one is {customer[:80]!r}"


def complaint_about_key(key: Key | None) -> str | None:
    """Return what is malformed in an idempotency key, in words; None where nothing is."""
    return None if key is None or is_key(key) else f"a key is {KEY_RULE}; this one is {key[:80]!r}"


def _complaint_about_terms(opening: Opening) -> str | None:
    if opening.floor is not None and not _is_integer(opening.floor, -MONEY_MAX, 0):
        return f"a floor is 0, or a credit line down to {-MONEY_MAX}, or none; this one is {opening.floor!r}"
    if opening.currency and not is_id(opening.currency):
        return f"a currency has {ID_RULE}; this one is {opening.currency[:80]!r}"
    return None


def _complaint_about_sum(command: Deposit | Withdraw | Transfer) -> str | None:
    return _complaint_about_amount(command.amount)


def _complaint_about_balance(command: ReadBalance) -> str | None:
    return None if command.at_ms is None else _complaint_about_time(command.at_ms)


def _complaint_about_reserve(command: Reserve) -> str | None:
    lifetime_ms = command.lifetime_ms
    return _complaint_about_amount(command.amount) or (
        None if lifetime_ms is None else _complaint_about_lifetime(lifetime_ms)
    )


def _complaint_about_settling(command: Capture | Release) -> str | None:
    return _complaint_about_reservation(command.reservation) or (
        None if command.amount is None else _complaint_about_amount(command.amount)
    )


# Whatever the caller's types promised.
_IN_BATCHES = {Deposit, Withdraw, Transfer, Submit, Reserve}

_COMPLAINTS: dict[type, Callable[..., str | None]] = {
    ReadBalance: _complaint_about_balance,
    ReadStatement: _complaint_about_statement,
    Deposit: _complaint_about_sum,
    Withdraw: _complaint_about_sum,
    Transfer: _complaint_about_sum,
    Submit: lambda command: _complaint_about_postings(command.postings),
    OpenAccount: lambda command: _complaint_about_terms(command.opening),
    Reserve: _complaint_about_reserve,
    Capture: _complaint_about_settling,
    Release: _complaint_about_settling,
}
