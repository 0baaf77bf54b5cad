"""What the recorded operations did to accounts, as far as their answers say.

Decides which operations are one write (the same key), what it moves, and whether it happened. Must not know
what anybody saw of it. Proof: tests/checkers/test_unknown.py, test_anomalies.py.

A write is what becomes visible in one step: all legs of a transfer, all commands of a batch that was
answered. A batch without an answer may have happened in part, so each of its commands is a write of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from sys import maxsize

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
    SingleWrite,
    Submit,
    Transfer,
    Withdraw,
)
from bankbook.core.outcome import Certainty, Outcome
from bankbook.history.record import Fault, FaultKind, Operation

NEVER = maxsize
"""A moment after everything that was recorded."""

# Refusals that say something of the request and nothing of its key: the same key may do better later.
_SAYS_NOTHING_OF_THE_KEY = {
    Outcome.INVALID_REQUEST,
    Outcome.INVALID_TOKEN,
    Outcome.WRITES_LOST,
    Outcome.KEY_REUSED,
}


class Standing(IntEnum):
    """Whether a write happened."""

    REFUSED = 0
    POSSIBLE = 1
    """Once or not at all."""
    ACKNOWLEDGED = 2


@dataclass(eq=False, slots=True)
class Write:
    """One write and everything that was told of it."""

    operation: Operation
    """The request that was acknowledged, or else the first one."""
    asked_at: int
    """The place of the first request for it in the order of calls."""
    told_at: int
    """The place of `operation`."""
    amounts: tuple[tuple[str, int | None], ...]
    """Accounts, and what is added to each; None where the history does not tell."""
    standing: Standing
    call_us: int
    ack_us: int = NEVER
    is_of_one_session: bool = True
    """Whether it is known what its session had seen when it was decided."""
    until_us: int = NEVER
    """From then on it may be gone: its branch lost its disk, and no other one had to have it.

    Also where it was under way by then: it may have been done there, and once more after that.
    """
    bits: tuple[tuple[int, int], ...] = ()
    """Accounts (by their index), and the write's place in each."""
    entries: frozenset[str] = frozenset()
    """What the bank called it: more than one name where it went with a disk and happened once more."""

    @property
    def number(self) -> int:
        """The number of the operation to name."""
        return self.operation.number

    @property
    def may_be_twice(self) -> bool:
        """Whether its answer may tell of another time than was shown: a disk was lost before it came."""
        return self.until_us <= self.ack_us and self.until_us != NEVER

    def bit_on(self, index: int) -> int | None:
        """Return its place in an account; None where it moves nothing there."""
        for account, bit in self.bits:
            if account == index:
                return bit
        return None

    @property
    def sort_key(self) -> tuple[int, int]:
        """Its place in the order of calls."""
        return self.call_us, self.operation.number


def standing_of(operation: Operation) -> Standing:
    """Say what one answer tells of the operation."""
    outcome = operation.outcome
    if outcome is None or outcome.certainty is Certainty.UNKNOWN:
        return Standing.POSSIBLE
    return Standing.ACKNOWLEDGED if outcome is Outcome.OK else Standing.REFUSED


def settles_key(operation: Operation) -> bool:
    """Whether the same key has to be told the same ever after."""
    outcome = operation.outcome
    if outcome is None or outcome in _SAYS_NOTHING_OF_THE_KEY:
        return False
    return outcome.certainty in {Certainty.DONE, Certainty.REFUSED}


def is_write(command: Command) -> bool:
    """Whether a command asks for anything to be changed."""
    return not isinstance(command, ReadBalance | ReadStatement)


class Reservations:
    """What was set aside, and what became of it."""

    def __init__(self) -> None:
        self._made: dict[str, Reserve] = {}
        self._ended: dict[str, list[Operation]] = defaultdict(list)

    def add(self, operation: Operation) -> None:
        """Take note of what makes or ends a reservation."""
        command = operation.command
        if isinstance(command, Reserve) and operation.reservation is not None:
            self._made[operation.reservation] = command
        elif isinstance(command, Batch):
            for each, told in zip(command.commands, operation.results, strict=False):
                if isinstance(each, Reserve) and told.reservation is not None:
                    self._made[told.reservation] = each
        elif isinstance(command, Capture | Release):
            self._ended[command.reservation].append(operation)

    def account(self, reservation: str) -> str | None:
        """Return the account it was made of; None where its making is not in the history."""
        made = self._made.get(reservation)
        return None if made is None else made.account

    def amounts(self, operation: Operation, command: Capture) -> dict[str, int | None]:
        """Return what a capture moves."""
        made = self._made.get(command.reservation)
        if made is None:
            return {}
        amount = command.amount if command.amount is not None else self._left(operation, made)
        moved: dict[str, int | None] = {made.account: None if amount is None else -amount}
        if made.destination is not None:
            moved[made.destination] = amount
        return moved

    def _left(self, operation: Operation, made: Reserve) -> int | None:
        """Return what is left of a reservation; None where something else may have happened to it."""
        left, counted = int(made.amount), set[str]()
        for other in self._ended[self._name(operation)]:
            if other is operation or standing_of(other) is Standing.REFUSED:
                continue
            if other.key is not None and (other.key == operation.key or other.key in counted):
                continue
            assert isinstance(other.command, Capture | Release)
            if other.command.amount is None:
                continue  # where that took all, this took nothing, and is told so
            is_before = other.return_us is not None and other.return_us <= operation.call_us
            if not is_before or standing_of(other) is not Standing.ACKNOWLEDGED:
                return None
            left -= other.command.amount
            counted.update(() if other.key is None else (other.key,))
        return left

    def was_taken_by_another(self, operation: Operation) -> bool:
        """Whether somebody else ended the whole reservation: then this did not."""
        command = operation.command
        if not isinstance(command, Capture) or command.amount is not None:
            return False
        return any(
            other.key is None or other.key != operation.key
            for other in self._ended[command.reservation]
            if other is not operation
            and standing_of(other) is Standing.ACKNOWLEDGED
            and isinstance(other.command, Capture | Release)
            and other.command.amount is None
        )

    @staticmethod
    def _name(operation: Operation) -> str:
        assert isinstance(operation.command, Capture | Release)
        return operation.command.reservation


def writes_of(
    operations: Sequence[Operation], faults: Sequence[Fault], reservations: Reservations
) -> Iterator[Write]:
    """Go through all writes; `operations` are in the order of their calls."""
    repeated = repeated_keys(operations)
    keyed: dict[tuple[str, Command], list[int]] = {}
    for place, operation in enumerate(operations):
        if not is_write(operation.command):
            continue
        if operation.key is None or operation.key not in repeated:
            yield from _units([place], operations, faults, reservations)
        else:
            keyed.setdefault((operation.key, operation.command), []).append(place)
    for places in keyed.values():
        yield from _units(places, operations, faults, reservations)


def repeated_keys(operations: Sequence[Operation]) -> set[str]:
    """Return the keys that more than one operation has."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for operation in operations:
        if operation.key is not None:
            (repeated if operation.key in seen else seen).add(operation.key)
    return repeated


def _units(
    places: list[int], operations: Sequence[Operation], faults: Sequence[Fault], reservations: Reservations
) -> Iterator[Write]:
    same = [operations[place] for place in places]
    told = [place for place in places if operations[place].outcome is Outcome.OK]
    standing = _standing(same, faults)
    told_at = told[0] if told else places[0]
    operation = operations[told_at]
    if standing is Standing.POSSIBLE and reservations.was_taken_by_another(operation):
        standing = Standing.REFUSED
    ack_us = min([operations[place].return_us or 0 for place in told], default=NEVER)
    until_us = _until_us(operation, same[0].call_us, ack_us, faults)
    sessions = {each.session for each in same}
    entries = frozenset([each.entry for each in same if each.entry is not None])
    if standing is Standing.ACKNOWLEDGED and isinstance(operation.command, Batch) and until_us <= ack_us:
        # It may have happened in a store that was lost, too, where other parts of it were refused.
        standing, entries = Standing.POSSIBLE, frozenset()
    parts = _parts(operation, standing, reservations)
    for amounts, happened in parts:
        yield Write(
            operation,
            places[0],
            told_at,
            tuple(amounts.items()),
            happened,
            same[0].call_us,
            ack_us,
            len(sessions) == 1,
            until_us,
            entries=entries,
        )


def _until_us(operation: Operation, call_us: int, ack_us: int, faults: Sequence[Fault]) -> int:
    """Return from when on a write may be gone with the disks that were lost since it was asked for."""
    if not faults:
        return NEVER
    lost = sorted(
        (fault.at_us, fault.branch)
        for fault in faults
        if fault.kind is FaultKind.DISK_LOST and fault.at_us >= call_us
    )
    if lost and lost[0][0] <= ack_us:
        # It may have happened there, and been shown, or its answer was under way; what was acknowledged
        # later may have happened once more.
        return lost[0][0]
    if operation.durable:
        return lost[operation.durable][0] if len(lost) > operation.durable else NEVER
    # Another branch than the one that answered may have decided these.
    is_elsewhere = operation.is_replayed or isinstance(operation.command, OpenAccount | Capture | Release)
    return next((at_us for at_us, branch in lost if is_elsewhere or branch == operation.branch), NEVER)


def _standing(same: list[Operation], faults: Sequence[Fault]) -> Standing:
    """Say what all answers to one request tell together."""
    standing = max(map(standing_of, same))
    refusals = [] if standing is Standing.ACKNOWLEDGED else [each for each in same if settles_key(each)]
    if not refusals:
        return standing
    # A refusal that went with a disk binds nobody: the same request may have come once more after that. And
    # one that came after a disk was lost says nothing of what the request had done there before.
    first_us = min(each.call_us for each in same)
    is_settled = any(
        outlives(each, faults) and not _lost_between(first_us, each.call_us, faults) for each in refusals
    )
    return Standing.REFUSED if is_settled else Standing.POSSIBLE


def _lost_between(start_us: int, end_us: int, faults: Sequence[Fault]) -> bool:
    return any(each.kind is FaultKind.DISK_LOST and start_us <= each.at_us <= end_us for each in faults)


def outlives(operation: Operation, faults: Sequence[Fault]) -> bool:
    """Whether what was answered is still known to the bank, whatever disks were lost since it was asked for.

    Not only those that were lost after the answer: it may have been under way.
    """
    return not any(_may_have_gone_with(fault, operation) for fault in faults)


def _may_have_gone_with(fault: Fault, operation: Operation) -> bool:
    if fault.kind is not FaultKind.DISK_LOST or operation.durable or operation.call_us > fault.at_us:
        return False
    # Another branch than the one that was asked may have decided these.
    is_elsewhere = isinstance(operation.command, OpenAccount | Capture | Release)
    return is_elsewhere or fault.branch == operation.branch


def _parts(
    operation: Operation, standing: Standing, reservations: Reservations
) -> Iterator[tuple[dict[str, int | None], Standing]]:
    command = operation.command
    if not isinstance(command, Batch):
        yield _amounts(operation, command, reservations), standing
    elif standing is Standing.ACKNOWLEDGED:
        done = [
            each
            for each, told in zip(command.commands, operation.results, strict=False)
            if told.outcome is Outcome.OK
        ]
        refused = [
            each
            for each, told in zip(command.commands, operation.results, strict=False)
            if told.outcome is not Outcome.OK
        ]
        yield _sum_of(_amounts(operation, each, reservations) for each in done), standing
        yield from ((_amounts(operation, each, reservations), Standing.REFUSED) for each in refused)
    elif command.is_atomic:
        yield _sum_of(_amounts(operation, each, reservations) for each in command.commands), standing
    else:
        yield from ((_amounts(operation, each, reservations), standing) for each in command.commands)


def _sum_of(parts: Iterator[dict[str, int | None]]) -> dict[str, int | None]:
    total: dict[str, int | None] = {}
    for part in parts:
        for account, amount in part.items():
            before = total.get(account, 0)
            total[account] = None if before is None or amount is None else before + amount
    return total


def _amounts(operation: Operation, command: Command, reservations: Reservations) -> dict[str, int | None]:
    match command:
        case Deposit(account, amount):
            return {account: amount}
        case Withdraw(account, amount):
            return {account: -amount}
        case Transfer(source, destination, amount):
            return {source: -amount, destination: amount}
        case Submit(postings):
            return _sum_of({posting.account: posting.amount} for posting in postings)
        case Capture():
            return reservations.amounts(operation, command)
        case _:
            return {}


def moved_by(command: SingleWrite) -> list[tuple[str, int]]:
    """Return the legs of a command that says by itself what it moves."""
    match command:
        case Deposit(account, amount):
            return [(account, amount)]
        case Withdraw(account, amount):
            return [(account, -amount)]
        case Transfer(source, destination, amount):
            return [(source, -amount), (destination, amount)]
        case Submit(postings):
            return [(posting.account, posting.amount) for posting in postings]
        case _:
            return []
