"""How a trace tells what happens in a bank: entries, messages, answers and holds, a line each.

Decides the words only. Must not know commands, nor what is shown when. Proof: tests/testdata has them.
"""

import re
from collections.abc import Iterable

from bank_in_one_thread import EPOCH_US, SECOND

from bankbook.core.commands import (
    SESSION,
    Batch,
    Capture,
    Command,
    Deposit,
    Freshness,
    Level,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reply,
    Reserve,
    Result,
    Statement,
    Submit,
    Transfer,
    Withdraw,
    accounts_of,
)
from bankbook.core.entry import Entry, Posting, Record, RecordKind
from bankbook.core.holds import Held
from bankbook.core.messages import (
    Acknowledge,
    Answer,
    AskCopy,
    AskHead,
    AskKey,
    CopyPart,
    Entries,
    Forward,
    Head,
    Message,
    Subscribe,
    Unsubscribe,
)
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Portion
from bankbook.core.replica import Replica
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import (
    BranchId,
    EntryId,
    Incarnation,
    Key,
    Origin,
    ReservationId,
    Seq,
    reservation_id,
)
from bankbook.core.vector import Gap, VersionVector

# An incarnation that no branch of a trace ever has.
MADE_UP = 0xBAD << 8

_ORIGIN = re.compile(r"\b(\d{1,3})\.([0-9a-f]{8})(?=[-# ]|$)")
_NAME = re.compile(r"(\d{1,3})('*|\?)")


def origin_name(origin: Origin) -> str:
    """Return `1` for the log of branch 1, `1'` for that of its second life, `1?` for one made up."""
    if origin.incarnation >= MADE_UP:
        return f"{origin.branch}?"
    return f"{origin.branch}{chr(39) * ((origin.incarnation >> 8) - 1)}"


def named_origin(name: str) -> Origin:
    """Return the log of a name as `origin_name` makes it; raises ValueError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no log: it is 1, 1' in its second life, or 1? where it is made up")
    branch, life = int(match[1]), match[2]
    lives = MADE_UP if life == "?" else (len(life) + 1) << 8
    return Origin(BranchId(branch), Incarnation(lives + branch))


def named_entry(name: str) -> EntryId:
    """Return the entry of a name such as 1#3; raises ValueError."""
    log, sign, seq = name.partition("#")
    if not sign or not seq.isdecimal():
        raise ValueError(f"{name!r} is no entry: 1#3 is the third one of branch 1")
    return EntryId(named_origin(log), Seq(int(seq)))


def named_reservation(name: str) -> ReservationId:
    """Return the reservation of a name as it is told, such as 1-2-0; raises ValueError."""
    log, _, rest = name.partition("-")
    seq, dash, index = rest.partition("-")
    if not dash or not seq.isdecimal() or not index.isdecimal():
        raise ValueError(f"{name!r} is no reservation: 1-2-0 is the first one in the entry 1#2")
    return reservation_id(EntryId(named_origin(log), Seq(int(seq))), int(index))


def short(text: str) -> str:
    """Return a text of the core with the short names of logs in it."""

    def name(match: re.Match[str]) -> str:
        return origin_name(Origin(BranchId(int(match[1])), Incarnation(int(match[2], 16))))

    return _ORIGIN.sub(name, text)


def entry_name(entry: EntryId) -> str:
    return short(str(entry))


def vector_words(vector: VersionVector) -> str:
    return " ".join(f"{origin_name(origin)}#{seq}" for origin, seq in vector) or "nothing"


def token_words(token: Token) -> str:
    if token == EMPTY:
        return "empty"
    sides = (("read", token.read), ("wrote", token.write))
    return ", ".join(f"{side} {vector_words(vector)}" for side, vector in sides if vector)


def duration_words(microseconds: int) -> str:
    """Return `1.5 s` or `200 ms`."""
    if microseconds and microseconds < SECOND:
        return f"{microseconds / 1000:g} ms"
    return f"{microseconds / SECOND:g} s"


def listed(items: Iterable[object]) -> str:
    """Return `1, 2 and 3`."""
    texts = [str(item) for item in items]
    return " and ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def branch_words(branches: Iterable[int]) -> str:
    found = sorted(branches)
    return f"branch{'es' if len(found) > 1 else ''} {listed(found)}"


# Entries.


def entry_words(entry: Entry) -> str:
    """Return what an entry says, what its key is, and what it depends on."""
    parts = ["; ".join(record_words(record, entry.id, index) for index, record in enumerate(entry.records))]
    if entry.keyed is not None:
        parts.append(f"key {entry.keyed.key}")
    if entry.dependencies:
        parts.append(f"after {vector_words(entry.dependencies)}")
    return ", ".join(parts)


def record_words(record: Record, entry: EntryId, index: int) -> str:
    match record.kind:
        case RecordKind.DEPOSIT | RecordKind.WITHDRAWAL | RecordKind.TRANSFER:
            return f"{record.kind} {_legs(record.postings)}"
        case RecordKind.REFUSAL:
            return f"refusal {_outcome_of(record).name}"
        case RecordKind.FENCE:
            return f"fence: branch {record.fence} decides"
        case RecordKind.REJOINING:
            return f"rejoining: the log before ended with {listed(entry_name(end) for end in record.ended)}"
        case _:
            return _terms(record, entry, index)


def _terms(record: Record, entry: EntryId, index: int) -> str:
    if record.opening is not None:
        return f"opening of {record.opening.account}, floor {record.opening.floor}"
    if record.grant is not None:
        account, to, amount = record.grant
        return f"grant: the right to {amount} of {account} passes to branch {origin_name(to)}"
    if record.reservation is not None:
        account, amount, destination, expires_ms = record.reservation
        told = f"reservation {short(reservation_id(entry, index))} of {amount} of {account}"
        told += f" for {destination}" if destination else ""
        return told + ("" if expires_ms is None else f" until {_told_time(expires_ms, entry.origin.branch)}")
    assert record.settlement is not None, "nothing else is left"
    name, _, amount, left = record.settlement
    legs = f" ({_legs(record.postings)})" if record.postings else ""
    return f"{record.kind} of {amount} of {short(name)}{f', {left} left' if left else ''}{legs}"


def _told_time(wall_ms: int, branch: int) -> str:
    return duration_words(wall_ms * 1000 - EPOCH_US + branch * 60 * SECOND - SECOND)


def _outcome_of(record: Record) -> Outcome:
    return Outcome.OK if record.verdict is None else record.verdict.outcome


def _legs(postings: tuple[Posting, ...]) -> str:
    return ", ".join(f"{posting.account} {posting.amount:+d}" for posting in postings)


# What customers ask and are told.


def command_words(command: Command) -> str:
    match command:
        case ReadBalance():
            return f"read of {command.account}"
        case ReadStatement():
            return f"reading of the statement of {command.account}"
        case Deposit() | Withdraw():
            verb = "deposit" if isinstance(command, Deposit) else "withdrawal"
            return f"{verb} of {command.amount} {'to' if verb == 'deposit' else 'from'} {command.account}"
        case Transfer():
            return f"transfer of {command.amount} from {command.source} to {command.destination}"
        case Submit():
            return f"transaction {_legs(command.postings)}"
        case Reserve():
            return f"reservation of {command.amount} of {command.account}"
        case Capture() | Release():
            return f"{type(command).__name__.lower()} of {short(command.reservation)}"
        case OpenAccount():
            return f"opening of {command.opening.account}"
        case Batch():
            return f"batch of {len(command.commands)}"


def reply_words(reply: Reply, command: Command) -> list[str]:
    """Return what a customer is told, in parts."""
    parts = [_result_words(reply, _told_account(command))]
    if reply.results:
        assert isinstance(command, Batch), "only a batch has many results"
        results = zip(command.commands, reply.results, strict=True)
        parts += [
            f"({number}) {_result_words(result, _told_account(each))}"
            for number, (each, result) in enumerate(results, start=1)
        ]
    if reply.is_replayed:
        parts.append("as it was told before")
    if reply.held_us or reply.awaited:
        parts.append(_hold_words(reply))
    return [*parts, f"token: {token_words(reply.token)}"]


def _told_account(command: Command) -> str:
    return next(iter(accounts_of(command)), "the account")


def _hold_words(reply: Reply) -> str:
    parts = ["held"]
    if reply.held_us:
        parts.append(duration_words(reply.held_us))
    if reply.awaited:
        parts.append("for " + listed(f"{origin_name(gap.origin)}#{gap.needs}" for gap in reply.awaited))
    return " ".join(parts)


def _result_words(result: Reply | Result, account: str) -> str:
    balance, available = result.balance, result.available
    if isinstance(result, Reply) and result.statement is not None:
        return _statement_words(result.statement, account)
    if result.outcome is not Outcome.OK:
        return f"{result.outcome.name}: {short(result.detail)}"
    if balance is None:
        return "OK"
    told = f"{account} has {balance}"
    told += f", {available} of it free" if available is not None and available != balance else ""
    return f"{told}, reservation {short(result.reservation)}" if result.reservation else told


def _statement_words(statement: Statement, account: str) -> str:
    before = "brought forward" if statement.begins_ms is not None else "before"
    lines = (f"{line.kind} {line.amount:+d}, which makes {line.balance}" for line in statement.lines)
    return f"{account}: {'; '.join((f'{statement.opening} {before}', *lines))}"


def why_held(held: Held, replica: Replica) -> str:
    """Return what a request waits for."""
    context = replica._context
    if not context.has_joined:
        return "its store is new"
    if held.decided is not None:
        has = context.peers.having(*held.decided.entry)
        return f"known to be on {has} of {held.request.durable} other disks"
    if held.unanswered:
        return _why_asking(held)
    if held.short_of:
        gatherings = replica._gatherings._gatherings
        lacks = (
            f"the right to {gatherings[account].waiting[held.request.id].missing} of {account}"
            for account in sorted(held.short_of)
        )
        return f"it lacks {listed(lacks)}"
    gaps = list(context.applied.behind(held.needs))
    if gaps:
        return "; ".join(_gap_words(gap) for gap in gaps)
    return f"branch {held.owner} decides it now" if held.owner is not None else "it is read after the commit"


def _why_asking(held: Held) -> str:
    asked = branch_words(held.unanswered)
    if held.is_forwarded:
        return f"{asked} alone may decide it"
    if held.owner is not None:
        return f"{asked} may know the key {held.request.key}"
    return f"{asked} has to answer first" if len(held.unanswered) == 1 else f"{asked} have to answer first"


def _gap_words(gap: Gap) -> str:
    name = origin_name(gap.origin)
    return f"it has {name}#{gap.has} and needs {name}#{gap.needs}"


# What branches tell each other.


def message_words(message: Message, asked: AskHead | Key | None) -> str:
    """Return a message in short; `asked` is what an answer answers."""
    match message:
        case Entries(origin, entries, _):
            first, last = entries[0].seq, entries[-1].seq
            name = origin_name(origin)
            return f"entry {name}#{first}" if first == last else f"entries {name}#{first} to {name}#{last}"
        case Acknowledge(_, applied):
            return f"on my disk is {vector_words(applied)}"
        case Subscribe(origin, after):
            return f"send me log {origin_name(origin)} from entry {after + 1} on"
        case Unsubscribe(origin):
            return f"send me no more of log {origin_name(origin)}"
        case AskHead() | AskKey() | Forward() | AskCopy():
            return _question_words(message)
        case CopyPart(part=part, portion=portion):
            return f"part {part}: {_portion_words(portion)}"
        case Head():
            return _head_words(message, asked)
        case Answer(entry=None):
            return f"{message.outcome.name}: {short(message.detail)}"
        case Answer(entry=entry):
            assert entry is not None, "else it says why not"
            before = ", decided before" if message.is_replayed else ""
            return f"{entry_name(entry)} says what became of key {asked}{before}"


def _question_words(message: AskHead | AskKey | Forward | AskCopy) -> str:
    match message:
        case AskCopy(part=part):
            return f"give me part {part} of a copy of your store"
        case AskKey(key=key):
            return f"what became of key {key}? If nothing, it is mine"
        case Forward():
            freshness = "" if message.freshness == SESSION else f", {_freshness_words(message.freshness)}"
            command = f"{command_words(message.command)}{freshness}, key {message.key}"
            return f"carry out for {message.customer} the {command}"
        case AskHead(joining=Origin()):
            return "my store is new: what do you have?"
        case AskHead(account=None):
            return "which is your last entry?"
        case AskHead(wanted=0):
            return f"which is your last entry for {message.account}?"
        case _:
            wanted = f"give me the right to {message.wanted} of {message.account}"
            return f"{wanted}; which is your last entry for it?"


def _portion_words(portion: Portion | None) -> str:
    if portion is None:
        return "there is no such copy any more"
    if portion.end is not None:
        return f"that is all up to {vector_words(portion.end.applied)}"
    if portion.entries:
        return f"entries {listed(entry_name(entry.id) for entry in portion.entries)}"
    if portion.reservations:
        return f"reservations {listed(portion.reservations)}"
    balances = (f"{account} has {balance}" for account, (balance, *_) in portion.rows.items())
    return listed(balances)


def _freshness_words(freshness: Freshness) -> str:
    level, bound_us = freshness
    return f"{level.value}:{duration_words(bound_us)}" if level is Level.BOUNDED else level.value


def _head_words(head: Head, asked: AskHead | Key | None) -> str:
    over = listed(f"store {origin_name(life)} was replaced" for life in head.over)
    if isinstance(asked, AskHead) and asked.joining is not None:
        dropped = f"I no longer keep {vector_words(head.dropped)}" if head.dropped else ""
        told = (f"I have {vector_words(head.applied)}", dropped, over)
        return "; ".join(part for part in told if part)
    if over:
        return over
    about = f" for {asked.account}" if isinstance(asked, AskHead) and asked.account else ""
    seq = head.last_write if about else head.head
    name = f"{origin_name(head.origin)}#{seq}"
    return f"my last entry{about} is {name}" if seq else f"I have no entry{about}"
