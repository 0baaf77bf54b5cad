"""Why reads cannot all be right, in as few words as possible.

Decides which reads to blame and which earlier writes they miss. Must not know how executions are
searched (search.py), only what the search answers.
Proof: tests/scenario/test_checker.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from bankbook.core.types import CustomerId
from bankbook.scenario.chain import SHIFTS_PER_CHAIN_MAX, Chain
from bankbook.scenario.history import Bound, History, Read, Write
from bankbook.scenario.model import Event, Interface
from bankbook.scenario.search import SETS_PER_SEARCH_MAX, Search

# A conflict is narrowed by asking again and again with fewer reads. All these questions together may
# look at this many sets and shifts, a few searches' worth; then the conflict is told as narrow as it is.
SETS_PER_CONFLICT_MAX = 60_000
SHIFTS_PER_CONFLICT_MAX = 4_000_000

# Guesses at which writes are missing. Beyond this many, a list of writes would explain nothing.
GUESSES_MAX = 100

# Different sums of own writes that are kept when guessing which of them are missing.
SUMS_MAX = 2_000


@dataclass(slots=True)
class Questions:
    """Asks the search about parts of one history, within a common budget."""

    history: History
    sets_left: int = SETS_PER_CONFLICT_MAX
    shifts_left: int = SHIFTS_PER_CONFLICT_MAX

    def are_impossible(self, reads: Sequence[Read]) -> bool:
        """Whether it is certain that no execution explains these reads."""
        return self._ask(reads) is False

    def are_possible(self, reads: Sequence[Read]) -> bool:
        """Whether it is certain that an execution explains these reads."""
        return self._ask(reads) is True

    def balances(self, read: Read) -> list[int] | None:
        """Every balance the read could have seen, were it the only one; None if there are too many."""
        return Chain(self.history, [read]).balances()

    def ask_of_session(self, reads: Sequence[Read]) -> bool | None:
        """Whether these reads of one session can all be right, whatever others read; None if too hard."""
        granted = min(self.shifts_left, SHIFTS_PER_CHAIN_MAX)
        chain = Chain(self.history, reads, granted)
        answer = chain.run()
        self.shifts_left -= granted - chain.shifts_left
        return self._search(reads) if answer is None else answer

    def _ask(self, reads: Sequence[Read]) -> bool | None:
        is_of_one_session = len({read.session for read in reads}) == 1
        return self.ask_of_session(reads) if is_of_one_session else self._search(reads)

    def _search(self, reads: Sequence[Read]) -> bool | None:
        granted = min(self.sets_left, SETS_PER_SEARCH_MAX)
        search = Search(self.history, reads, granted)
        answer = search.run()
        self.sets_left -= granted - search.sets_left
        return answer


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A set of writes, sharing its tail with others."""

    count: int
    write: Write | None = None
    rest: "_Chosen | None" = None

    def writes(self) -> Iterator[Write]:
        """Go through them, the earliest first."""
        link: _Chosen | None = self
        while link is not None and link.write is not None:
            yield link.write
            link = link.rest


def find_conflict(history: History, refuted: Sequence[int]) -> list[Read]:
    """Find few reads that cannot all be right: of one of the `refuted` sessions, or else of several."""
    questions = Questions(history)
    conflicts: list[list[Read]] = []
    for session in refuted:
        conflicts.append(_within_session(questions, history.reads(session)))
        if len(conflicts[-1]) == 1:
            break
    return min(conflicts, key=len) if conflicts else _narrowed(questions, [], history.reads())


def tell(history: History, conflict: Sequence[Read]) -> str:
    """Say in words why these reads cannot all be right."""
    questions = Questions(history)
    for blamed in reversed(conflict):
        others = [read for read in conflict if read is not blamed]
        missing = _missing_writes(questions, blamed, others)
        if missing:
            return f"{_said(blamed)}; {_missing_in_words(blamed, missing)}{_because(others)}"
    *others, blamed = conflict
    if others:
        return f"{_said(blamed)}; no set of writes explains that{_because(others)}"
    return f"{_said(blamed)}; {_closest(history, blamed)}"


def event_in_words(customer: CustomerId, event: Event) -> str:
    """Name an event: `customer 1, event 3 (query at branch 2)`."""
    return f"customer {customer}, event {event.number} ({request_in_words(event)})"


def request_in_words(event: Event) -> str:
    """Name what was asked for: `deposit of 10 at branch 1`."""
    money = "" if event.money is None else f" of {event.money}"
    to = "" if event.to is None else f" to customer {event.to}"
    what = "withdrawal" if event.interface is Interface.WITHDRAW else event.interface
    return f"{what}{money}{to} at branch {event.branch}"


def _within_session(questions: Questions, reads: list[Read]) -> list[Read]:
    """Narrow an impossible session down to the first read that does not fit, and what it contradicts."""
    low, high = 1, len(reads)
    while low < high:
        middle = (low + high) // 2
        if questions.are_impossible(reads[:middle]):
            high = middle
        else:
            low = middle + 1
    first = reads[high - 1]
    return [*_narrowed(questions, [first], reads[: high - 1]), first]


def _narrowed(questions: Questions, fixed: list[Read], reads: list[Read]) -> list[Read]:
    """Leave out of impossible `reads` what does not matter (QuickXplain: Junker, AAAI 2004)."""

    def needed(background: list[Read], grew: bool, candidates: list[Read]) -> list[Read]:
        if grew and questions.are_impossible(background):
            return []
        if len(candidates) <= 1:
            return candidates
        half = len(candidates) // 2
        early, late = candidates[:half], candidates[half:]
        from_late = needed(background + early, True, late)
        return needed(background + from_late, bool(from_late), early) + from_late

    few = needed(fixed, bool(fixed), reads)
    return few if questions.are_impossible(fixed + few) else reads


def _missing_writes(questions: Questions, blamed: Read, others: list[Read]) -> list[Write]:
    """Find the fewest writes without which the blamed read would fit."""
    history = questions.history
    for own in islice(_sets_of_own_writes(questions, blamed), GUESSES_MAX):
        if questions.are_possible([*others, _with_writes(blamed, own)]):
            return own
    for write, floor in islice(_foreign_writes(history, blamed, was_seen=bool(others)), GUESSES_MAX):
        if questions.are_possible([*others, replace(_with_writes(blamed, [write]), floor=floor)]):
            return [write]
    return []


def _with_writes(read: Read, missing: Sequence[Write]) -> Read:
    """Imagine the read as it would have been had it seen the missing writes too."""
    return replace(read, amount=read.amount + sum(write.effect(read.account) for write in missing))


def _sets_of_own_writes(questions: Questions, read: Read) -> Iterator[list[Write]]:
    """Go through sets of own earlier writes that might be missing, the smallest and latest first."""
    own = questions.history.own_writes_before(read)[::-1]
    balances = questions.balances(read)
    for writes in chain(([write] for write in own), _larger_sets(own, read)):
        imagined = _with_writes(read, writes)
        if balances is None or any(imagined.distance(balance) == 0 for balance in balances):
            yield writes


def _larger_sets(own: Sequence[Write], read: Read) -> Iterator[list[Write]]:
    """Go through sets of two and more with different sums."""
    best: dict[int, _Chosen] = {0: _Chosen(0)}
    for write in own:
        effect = write.effect(read.account)
        for amount, chosen in list(best.items()):
            known = best.get(amount + effect)
            if known.count > chosen.count + 1 if known else len(best) < SUMS_MAX:
                best[amount + effect] = _Chosen(chosen.count + 1, write, chosen)
    for chosen in sorted(best.values(), key=lambda chosen: chosen.count):
        if chosen.count > 1:
            yield list(chosen.writes())


def _foreign_writes(history: History, read: Read, was_seen: bool) -> Iterator[tuple[Write, tuple[int, int]]]:
    """Go through others' writes that must be visible: seen before, or followed by one that is."""
    for track in history.accounts[read.account].tracks:
        lane = history.lanes[track.lane]
        if track.lane == read.session or not lane[0].is_certain:
            continue
        for write in lane:
            count = write.count if was_seen else track.following[write.count]
            if write.effect(read.account) and count:
                yield write, (track.lane, count)


def _said(read: Read) -> str:
    event = event_in_words(read.customer, read.event)
    match read.bound:
        case Bound.EXACTLY:
            return f"{event} read {read.amount}"
        case Bound.AT_LEAST:
            return f"{event} succeeded, which needs a balance of {read.amount}"
        case Bound.BELOW:
            return f"{event} was refused for lack of funds, which needs a balance below {read.amount}"


def _missing_in_words(read: Read, missing: Sequence[Write]) -> str:
    names = " and ".join(_whose(read, write) for write in missing)
    told = f"{names} {'is' if len(missing) == 1 else 'are'} missing"
    if read.bound is not Bound.EXACTLY:
        return told
    balance = read.amount + sum(write.effect(read.account) for write in missing)
    return f"{told}: with {'it' if len(missing) == 1 else 'them'} the balance is {balance}"


def _whose(read: Read, write: Write) -> str:
    owner = "its own" if write.session == read.session else f"customer {write.customer}'s"
    return f"{owner} {request_in_words(write.event)} (event {write.event.number})"


def _because(others: Sequence[Read]) -> str:
    return f", because {' and '.join(map(_said, others))}" if others else ""


def _closest(history: History, read: Read) -> str:
    balances = Questions(history).balances(read)
    if not balances:
        return "no set of writes explains that"
    match read.bound:
        case Bound.EXACTLY:
            nearest = min(balances, key=lambda balance: abs(balance - read.amount))
            return f"no set of writes gives this balance; the closest is {nearest}"
        case Bound.AT_LEAST:
            return f"the balance cannot have been more than {max(balances)}"
        case Bound.BELOW:
            return f"the balance cannot have been less than {min(balances)}"
