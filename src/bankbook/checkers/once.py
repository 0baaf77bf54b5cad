"""Exactly once: one effect for each request, none for a refused one, at most one for a lost one.

Decides whether an answer or a balance shows that something happened twice, or that did not happen. Must not
know who ought to have seen it. Proof: tests/checkers/test_anomalies.py.

Sources: Helland, "Life beyond distributed transactions" (CIDR 2007), section 4, for what a key promises;
Maelstrom's definite and indefinite errors, for what a refusal promises.
"""

from collections import Counter, defaultdict
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from bankbook.checkers.decoding import Shown
from bankbook.checkers.effects import Write, is_write, outlives, settles_key
from bankbook.checkers.evidence import Account, Evidence, Read
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import named, numbered
from bankbook.core.outcome import Outcome
from bankbook.history.record import Operation, Stated

FINAL = 1 << 62
"""The place of what was found at the end: after every operation."""


# A history with more impossible balances than that is explained by more than one mishap each.
SUSPICIONS_MAX = 1000


class Suspicion(NamedTuple):
    """The one write that explains an impossible balance, if it happened otherwise than it may."""

    write: Write
    was_refused: bool
    """Whether it was refused and happened; otherwise it happened twice."""

    @property
    def in_words(self) -> str:
        """What must have happened."""
        how = "happened though it was refused" if self.was_refused else "happened twice"
        return f"{named(self.write.operation)} {how}"


def suspect(account: Account, balance: int | None, count: int) -> Suspicion | None:
    """Find the write which, done once too often, explains a balance that nothing else does."""
    if balance is None:
        return None
    for write in account.refused:
        amount = dict(write.amounts)[account.id]
        if amount and account.show(balance - amount, None, count):
            return Suspicion(write, True)
    for bit, (write, amount) in enumerate(zip(account.writes[:count], account.amounts[:count], strict=True)):
        shown = account.show(balance - amount, None, count)
        if shown is not None and shown.must >> bit & 1:
            return Suspicion(write, False)
    return None


def check_once(evidence: Evidence) -> Verdict:
    """Judge keys by their answers, and writes by the balances and statements they are seen in."""
    tally = Tally(
        "exactly once", "no key was used twice, and no balance shows exactly which writes it includes"
    )
    _check_keys(evidence, tally)
    for read in islice(chain.from_iterable(each.unexplained for each in evidence.by_index), SUSPICIONS_MAX):
        suspicion = suspect(read.account, read.balance, read.count)
        if suspicion is not None:
            tally.break_(read.place, partial(_read_witness, read, suspicion))
    for account in evidence.by_index:
        for read in account.reads:
            if read.stated is not None:
                _check_lines(account, read.stated, read, tally)
    for snapshot in evidence.snapshots:
        for account in snapshot.unexplained[:SUSPICIONS_MAX]:
            balance = snapshot.final.balances[account.id]
            suspicion = suspect(account, balance, len(account.writes))
            if suspicion is not None:
                where = f"At the end branch {snapshot.final.branch} has {balance} on {account.id}"
                tally.break_(FINAL, partial(_final_witness, where, suspicion))
    _count(evidence, tally)
    return tally.verdict()


def _count(evidence: Evidence, tally: Tally) -> None:
    """Count the writes of which some result tells exactly whether they happened."""
    for account in evidence.by_index:
        asked = len(account.writes) + len(account.refused)
        if not asked:
            continue
        reads = (Shown(read.must, read.may) for read in account.reads)
        finals = (each.shown[account.index] for each in evidence.snapshots if account.index in each.shown)
        shown = [*reads, *finals]
        if any(each.must == each.may for each in shown):
            tally.hold(asked)
        elif shown:
            tally.leave_open(f"the balances of {account.id} do not tell which writes they include.")


def _read_witness(read: Read, suspicion: Suspicion) -> Witness:
    story = (
        f"{named(read.operation)} was told the balance {read.balance} of {read.account.id}, which only "
        "adds up "
        f"if {suspicion.in_words}."
    )
    return Witness(story, numbered(suspicion.write, read))


def _final_witness(where: str, suspicion: Suspicion) -> Witness:
    return Witness(f"{where}, which only adds up if {suspicion.in_words}.", numbered(suspicion.write))


def _check_keys(evidence: Evidence, tally: Tally) -> None:
    answers: dict[str, list[tuple[int, Operation]]] = defaultdict(list)
    for place, operation in enumerate(evidence.operations):
        if operation.key in evidence.repeated and is_write(operation.command) and settles_key(operation):
            assert operation.key is not None, "None is no key"
            answers[operation.key].append((place, operation))
    for same in answers.values():
        # In the order in which they were told: a disk that was lost in between excuses what came after it.
        (_, first), *others = sorted(same, key=_told_at)
        for place, other in others:
            if not outlives(first, evidence.faults):
                _, first = place, other  # a disk is gone, and the key with it
                continue
            difference = _difference(first, other)
            if difference:
                tally.break_(place, partial(_key_witness, first, other, difference))
            else:
                tally.hold()


def _told_at(answer: tuple[int, Operation]) -> int:
    _, operation = answer
    assert operation.return_us is not None, "it was answered"
    return operation.return_us


def _difference(first: Operation, other: Operation) -> str:
    if first.command != other.command:
        return "two different commands were both answered as if the key were theirs"
    for name, one, two in (
        ("the outcome", first.outcome, other.outcome),
        ("the balance", first.balance, other.balance),
        ("the entry", first.entry, other.entry),
        ("the reservation", first.reservation, other.reservation),
        ("the results", first.results, other.results),
    ):
        if one != two and one is not None and two is not None:
            shown = [each.name if isinstance(each, Outcome) else each for each in (one, two)]
            return f"{name} was told as {shown[0]} and {shown[1]}"
    return ""


def _key_witness(first: Operation, other: Operation, difference: str) -> Witness:
    story = f"{named(first)} and {named(other)} have the same key {first.key}, but {difference}."
    return Witness(story, numbered(first, other))


def _check_lines(account: Account, stated: Stated, read: Read, tally: Tally) -> None:
    """Look for lines of one entry that add up to more than its write moves, or lines without a request."""
    if account.names is None:
        return  # what moved by one of its writes is not known, so nobody can tell whose a line is
    amounts: Counter[int] = Counter()
    for line in stated.lines:
        found = account.names.find(line)
        if len(found) == 1 and line.entry is not None:
            amounts[found[0]] += line.amount
    for bit, amount in amounts.items():
        asked = account.amounts[bit]
        if abs(amount) > abs(asked) and amount % asked == 0:
            tally.break_(read.place, partial(_line_witness, read, account.writes[bit], amount // asked))


def _line_witness(read: Read, write: Write, times: int) -> Witness:
    story = f"The statement told to {named(read.operation)} lists {named(write.operation)} {times} times."
    return Witness(story, numbered(write, read))
