"""Statement agreement: a statement adds up, lists what was asked for, and all list it in one order.

Decides whether statements contradict themselves, their balances, the requests, or each other. Must not know
who was to see what. Proof: tests/checkers/test_anomalies.py.

Source: the order is the serialization order of Terry et al. (1994), section 2, there called WriteOrder:
branches that agree on the writes agree on their order, and a write that arrives late is put where it belongs.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from bankbook.checkers.evidence import Account, Evidence, Read
from bankbook.checkers.lines import Names
from bankbook.checkers.once import FINAL
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import named
from bankbook.history.record import Stated, StatedLine

Lines = tuple[StatedLine, ...]


class Sheet(NamedTuple):
    """One statement, and who was told it."""

    account: Account
    stated: Stated
    place: int
    who: str
    number: int | None
    """The operation; None for a branch at the end."""
    balance: int | None
    branch: int


def check_statements(evidence: Evidence) -> Verdict:
    """Judge each statement by itself, and then against the longest one of its account."""
    tally = Tally("statement agreement", "the history has no two statements of one account")
    for account in evidence.by_index:
        sheets = list(_sheets(evidence, account))
        if not sheets:
            continue
        names = account.names or Names(account.id, account.writes, account.amounts)
        for sheet in sheets:
            problem = _problem(sheet, names)
            if problem:
                tally.break_(sheet.place, partial(_witness, (sheet,), f"{sheet.who}, {problem}"))
        longest = max(sheets, key=lambda sheet: len(sheet.stated.lines))
        places = {word: at for at, line in enumerate(longest.stated.lines) if (word := _word(line, names))}
        for sheet in sheets:
            if sheet is not longest:
                _compare(sheet, longest, places, names, tally)
        ends = [sheet for sheet in sheets if sheet.number is None]
        for other in ends[1:]:
            _compare_ends(ends[0], other, tally)
    return tally.verdict()


def _sheets(evidence: Evidence, account: Account) -> Iterator[Sheet]:
    for read in (*account.reads, *account.unexplained):
        if read.stated is not None:
            yield _told(account, read, read.stated)
    for snapshot in evidence.snapshots:
        stated = snapshot.final.statements.get(account.id)
        if stated is not None:
            branch = snapshot.final.branch
            who = f"The statement of {account.id} that branch {branch} has at the end"
            balance = snapshot.final.balances[account.id]
            yield Sheet(account, stated, FINAL, who, None, balance, branch)


def _told(account: Account, read: Read, stated: Stated) -> Sheet:
    operation = read.operation
    who = f"The statement told to {named(operation)}"
    return Sheet(account, stated, read.place, who, operation.number, read.balance, operation.branch)


def _witness(sheets: tuple[Sheet, ...], story: str) -> Witness:
    return Witness(story, tuple(sheet.number for sheet in sheets if sheet.number is not None))


def _problem(sheet: Sheet, names: Names) -> str:
    """Say what is wrong with a statement by itself."""
    stated, account = sheet.stated, sheet.account
    opening = account.terms.balance if stated.is_complete else stated.opening
    if stated.is_complete and stated.opening is not None and stated.opening != opening:
        return f"which begins with the account, opens with {stated.opening} instead of {opening}."
    balance = opening
    for at, line in enumerate(stated.lines, start=1):
        balance = None if balance is None else balance + line.amount
        if balance is not None and line.balance is not None and line.balance != balance:
            return f"does not add up: after line {at} it says {line.balance} instead of {balance}."
        balance = line.balance if balance is None else balance
        if account.is_known and line.amount and not names.find(line):
            return f"has a line {at} of {line.amount} that nobody asked for."
    if balance is not None and stated.closing is not None and stated.closing != balance:
        return f"does not add up: it closes with {stated.closing} instead of {balance}."
    if stated.is_complete and None not in (balance, sheet.balance) and balance != sheet.balance:
        return f"adds up to {balance}, but the balance told along with it is {sheet.balance}."
    return ""


def _word(line: StatedLine, names: Names) -> str:
    """Return by what a line can be recognised elsewhere; nothing if it cannot.

    By its entry, if it names one: a write that was lost with its disk and is done again stands elsewhere.
    """
    if line.entry is not None:
        return f"entry {line.entry} {line.amount}"
    found = names.find(line)
    return f"write {found[0]} {line.amount}" if len(found) == 1 else ""


def _compare(sheet: Sheet, longest: Sheet, places: dict[str, int], names: Names, tally: Tally) -> None:
    before, last, shared = -1, 0, 0
    for at, line in enumerate(sheet.stated.lines, start=1):
        place = places.get(_word(line, names))
        if place is None:
            continue
        shared += 1
        if place < before:
            story = (
                f"{sheet.who} lists its lines {last} and {at} in the opposite order of {_small(longest.who)} "
                f"(lines {before + 1} and {place + 1})."
            )
            tally.break_(max(sheet.place, longest.place), partial(_witness, (sheet, longest), story))
            return
        before, last = place, at
    if shared:
        tally.hold()


def _compare_ends(first: Sheet, other: Sheet, tally: Tally) -> None:
    ones, others = _from_where_both_begin(first.stated.lines, other.stated.lines)
    for at, (one, two) in enumerate(zip(ones, others, strict=False), start=1):
        if one != two:
            tally.break_(FINAL, partial(Witness, _differs(first, other, at)))
            return
    if first.stated.is_complete and other.stated.is_complete and len(ones) != len(others):
        at = min(len(ones), len(others)) + 1
        tally.break_(FINAL, partial(Witness, _differs(first, other, at)))
    else:
        tally.hold()


def _from_where_both_begin(ones: Lines, others: Lines) -> tuple[Lines, Lines]:
    """Return two statements from the first line of the one that begins later: branches drop lines in time.

    Where neither has the other's first line, they are compared as they are.
    """
    if ones and others and ones[0] in others:
        return ones, others[others.index(ones[0]) :]
    if ones and others and others[0] in ones:
        return ones[ones.index(others[0]) :], others
    return ones, others


def _differs(first: Sheet, other: Sheet, at: int) -> str:
    return (
        f"At the end branches {first.branch} and {other.branch} have different statements of "
        f"{first.account.id}, from line {at} on."
    )


def _small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
