"""How operations, reads and sets of writes are told in a witness.

Decides words only. Proof: the witnesses in tests/checkers/test_anomalies.py.
"""

from collections.abc import Iterable

from bankbook.checkers.effects import Write
from bankbook.checkers.evidence import Account, Read, bits_of
from bankbook.core.commands import (
    Batch,
    Capture,
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.history.record import Operation

# A witness is to be read: of a longer list the rest is counted.
LISTED_MAX = 8


def command_in_words(command: Command) -> str:
    """Say what was asked."""
    match command:
        case ReadBalance(account):
            return f"balance of {account}"
        case ReadStatement(account):
            return f"statement of {account}"
        case Deposit(account, amount):
            return f"deposit of {amount} to {account}"
        case Withdraw(account, amount):
            return f"withdrawal of {amount} from {account}"
        case Transfer(source, destination, amount):
            return f"transfer of {amount} from {source} to {destination}"
        case _:
            return _rare_in_words(command)


def _rare_in_words(command: Submit | OpenAccount | Reserve | Capture | Release | Batch) -> str:
    match command:
        case Submit(postings):
            return f"transaction of {len(postings)} postings"
        case OpenAccount(opening):
            return f"opening of {opening.account}"
        case Reserve(account, amount):
            return f"reservation of {amount} on {account}"
        case Capture(reservation):
            return f"capture of {reservation}"
        case Release(reservation):
            return f"release of {reservation}"
        case Batch(commands):
            return f"batch of {len(commands)} commands"


def named(operation: Operation) -> str:
    """Name an operation as a person would: who asked what, and where."""
    asked = command_in_words(operation.command)
    return f"operation {operation.number} (session {operation.session}, branch {operation.branch}: {asked})"


def names_of(account: Account, mask: int) -> str:
    """List the writes in a bitset, by their numbers."""
    return numbers(account.writes[bit].number for bit in bits_of(mask))


def numbers(found: Iterable[int]) -> str:
    """List operations by their numbers."""
    listed = list(dict.fromkeys(found))
    shown = [str(number) for number in listed[:LISTED_MAX]]
    if len(listed) > LISTED_MAX:
        return f"operations {', '.join(shown)} and {len(listed) - LISTED_MAX} more"
    if len(listed) == 1:
        return f"operation {shown[0]}"
    return f"operations {', '.join(shown[:-1])} and {shown[-1]}"


def told(read: Read) -> str:
    """Say what a read was told, and what that shows."""
    what = f"the balance {read.balance}" if read.balance is not None else "a statement"
    whose = f" of {read.account.id}"
    return f"{named(read.operation)} was told {what}{whose}, which shows {shown(read)}"


def shown(read: Read) -> str:
    """Say which writes a read shows."""
    if not read.may:
        return f"no write to {read.account.id}"
    if read.is_partial:
        return f"of its writes {names_of(read.account, read.must) if read.must else 'none'} on this page"
    few = "of its writes exactly" if read.is_exact else "of its writes at most"
    return f"{few} {names_of(read.account, read.may)}"


def lacks(write: Write) -> str:
    """Say which write is missing."""
    return f"{named(write.operation)} is missing"


def numbered(*found: Operation | Write | Read) -> tuple[int, ...]:
    """Return the numbers of what a witness names, each once."""
    each = (item.operation.number if isinstance(item, Write | Read) else item.number for item in found)
    return tuple(dict.fromkeys(each))
