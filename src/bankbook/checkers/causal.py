"""Causal consistency: whoever is shown a write is never again shown anything without what came before it.

Decides whether a result lacks a write of its causal past. Must not know what is fresh or final.
Proof: tests/checkers/test_anomalies.py, tests/checkers/test_twin.py.

Sources: Ahamad, Neiger, Burns, Kohli and Hutto, "Causal memory" (Distributed Computing 1995), section 2, for
the order: what a session did before, what it was shown, and whatever came before these. Bouajjani, Enea,
Guerraoui and Hamza, "On verifying causal consistency" (POPL 2017), section 5, for the pattern that is looked
for, a read that misses a write of its past (WriteCORead). Brzezinski, Sobaniec and Wawrzyniak, "From session
causality to causal consistency" (PDP 2004), for the edges: each is one of the four session guarantees, and
is left out where an operation did not ask for it.

How it scales: only a write that some result lacked although it had been called can be part of a violation.
Such suspects are taken a block at a time, and the operations between the first one's call and the last such
result are gone through once, each session and each write carrying a bitset of the suspects in its past.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from bankbook.checkers.effects import NEVER, Write
from bankbook.checkers.evidence import Account, Evidence, Read, bits_of, is_asked_for, lasting
from bankbook.checkers.past import Past, is_earlier
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import lacks, named, numbered, numbers, told
from bankbook.core.guarantees import Guarantee

SUSPECTS_PER_BLOCK = 2048
"""Bits in a bitset: 256 bytes for each session and each write of the time a block spans."""

# About a minute. Only a history in which results lack known writes for most of its time comes near.
OPERATIONS_GONE_THROUGH_MAX = 40_000_000


NOTHING = (0, 0)


class Doubt(NamedTuple):
    """A result that lacks a write which had been called before."""

    write: Write
    read: Read


class CausalCheck:
    """Looks for a result that lacks something of its causal past."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._tally = Tally("causal consistency", "no result has a write in its causal past")
        self._strangers: list[Read] = []
        """The first results of their sessions: what they show may have a past all the same."""
        self._rooted: dict[int, int] = {}
        self._left = OPERATIONS_GONE_THROUGH_MAX

    def note(self, read: Read, past: Past) -> None:
        """Note what a result shows to its session for the first time, and whether it is put to the test."""
        index = read.account.index
        seen = past.seen.get(index, 0)
        read.news = read.must & ~seen
        if read.is_partial:
            return
        if read.is_open:
            # Whatever it showed, something came before that.
            self._tally.leave_open(f"{told(read)}: which of them is not clear.")
        elif past.own or past.seen:
            self._tally.hold(bool(read.account.writes))
        elif read.must:
            self._strangers.append(read)

    def note_write(self, place: int, past: Past) -> None:
        """Note the writes that have a past."""
        if past.own or past.seen:
            for write in self._evidence.asked[place]:
                for index, bit in write.bits:
                    self._rooted[index] = self._rooted.get(index, 0) | 1 << bit

    def verdict(self) -> Verdict:
        """Judge, once every result has been noted."""
        rooted = self._rooted
        self._tally.hold(sum(bool(each.must & rooted.get(each.account.index, 0)) for each in self._strangers))
        for account in self._evidence.by_index:
            self._check_steps(account)
        decided = decisions(self._evidence)
        self._check_clock(decided)
        due: dict[int, list[int]] = defaultdict(list)
        for place, (newest, _) in decided.items():
            due[newest].append(place)
        doubts = sorted(self._doubts(), key=lambda doubt: doubt.write.sort_key)
        for block in _blocks(doubts):
            start = block[0].write.asked_at
            end_us = max(doubt.read.return_us for doubt in block)
            self._left -= 2 * (self._place_after(end_us) - start)
            if self._left < 0:
                self._tally.leave_open("too many results lack writes that are known elsewhere, for too long.")
                break
            Block(self._evidence, self._tally, block, due).go_through(start, end_us)
        return self._tally.verdict()

    def _check_steps(self, account: Account) -> None:
        """Demand with each write what its own answer shows: one request is one step."""
        with_it: dict[int, int] = {}
        for read in account.reads:
            for write in self._evidence.asked[read.place]:
                bit = write.bit_on(account.index)
                if bit is not None and read.must & ~(1 << bit) and not write.may_be_twice:
                    with_it[bit] = read.must
        if not with_it:
            return
        answered = sum(1 << bit for bit in with_it)
        # What is shown with a write or with any before it: where nothing of that is missing, no look at each.
        up_to: dict[int, int] = {}
        together = 0
        for bit in sorted(with_it):
            up_to[bit] = together = together | with_it[bit]
        for read in account.reads:
            shown = read.must & answered
            if not shown or not up_to[shown.bit_length() - 1] & ~read.may:
                continue
            for bit in bits_of(shown):
                missing = with_it[bit] & ~read.may
                if missing and lasting(account, missing, read.return_us):
                    first = account.writes[(missing & -missing).bit_length() - 1]
                    later = account.writes[bit]
                    self._tally.break_(read.place, partial(_step_witness, first, later, read))

    def _check_clock(self, decided: dict[int, "Decided"]) -> None:
        """Demand that nothing is shown before what it was decided on was even called."""
        operations = self._evidence.operations
        for place, (newest, _) in decided.items():
            for write in self._evidence.asked[place]:
                for index, bit in write.bits:
                    for read in self._evidence.by_index[index].reads:
                        if read.must >> bit & 1 and read.return_us < operations[newest].call_us:
                            chain = _decided_on(decided, place)
                            self._tally.break_(
                                read.place, partial(_clock_witness, self._evidence, read, chain)
                            )

    def _place_after(self, moment_us: int) -> int:
        return bisect_left(self._evidence.operations, moment_us + 1, key=lambda each: each.call_us)

    def _doubts(self) -> Iterator[Doubt]:
        for account in self._evidence.by_index:
            ever = 0
            for read in account.reads:
                ever |= read.must
            for read in account.reads:
                for bit in bits_of(read.missing and lasting(account, read.missing, read.return_us)):
                    write = account.writes[bit]
                    # What was never acknowledged nor shown, on any account, nobody can have known of.
                    if ever >> bit & 1 or write.ack_us != NEVER or len(write.bits) > 1:
                        yield Doubt(write, read)


class Decided(NamedTuple):
    """When a request was decided at the earliest, where that is after it was called."""

    newest: int
    """The place of the last call that came before."""
    because: int
    """The place of the request which its answer shows, and which was decided no earlier."""


def decisions(evidence: Evidence) -> dict[int, Decided]:
    """Return the requests that can only have been decided after a later call, by their places.

    One request is one step: all that its own answer shows was called, and decided, before it was decided.
    """
    decided: dict[int, Decided] = {}
    queue: deque[int] = deque()
    for place in evidence.by_return:
        if evidence.asked[place] and not _may_be_twice(evidence, place):
            newest = max((_newest(read) for read in evidence.results[place] if read.must), default=place)
            if newest > place:
                decided[place] = Decided(newest, newest)
                queue.append(place)
    while queue:
        place = queue.popleft()
        newest = decided[place].newest
        for shower in _shown_to(evidence, place):
            is_later = newest > (decided[shower].newest if shower in decided else shower)
            if is_later and evidence.asked[shower] and not _may_be_twice(evidence, shower):
                decided[shower] = Decided(newest, place)
                queue.append(shower)
    return decided


def _may_be_twice(evidence: Evidence, place: int) -> bool:
    return any(write.may_be_twice for write in evidence.asked[place])


def _newest(read: Read) -> int:
    return read.account.writes[read.must.bit_length() - 1].asked_at


def _decided_on(decided: dict[int, Decided], place: int) -> list[int]:
    """Return the places from a request to the last call before its decision."""
    chain, newest = [place], decided[place].newest
    while chain[-1] != newest:
        chain.append(decided[chain[-1]].because)
    return chain


def _clock_witness(evidence: Evidence, read: Read, chain: list[int]) -> Witness:
    operations = [evidence.operations[place] for place in chain]
    steps = [f"{told(read)}, which was over before {named(operations[-1])} was asked."]
    for later, first in pairwise(operations):
        steps.append(f"But the answer to operation {later.number} shows operation {first.number}.")
    return Witness(" ".join(steps), numbered(*reversed(operations), read))


def _blocks(doubts: list[Doubt]) -> Iterator[list[Doubt]]:
    block: list[Doubt] = []
    suspects: set[Write] = set()
    for doubt in doubts:
        if len(suspects) == SUSPECTS_PER_BLOCK and doubt.write not in suspects:
            yield block
            block, suspects = [], set()
        block.append(doubt)
        suspects.add(doubt.write)
    if block:
        yield block


class Block:
    """Some suspects, and what of them is in the past of each session and write of their time."""

    def __init__(
        self, evidence: Evidence, tally: Tally, doubts: list[Doubt], due: dict[int, list[int]]
    ) -> None:
        self._evidence = evidence
        self._operations, self._results = evidence.operations, evidence.results
        self._asked, self._told = evidence.asked, evidence.told
        self._due = due
        """Place of a call to the requests that can be decided from then on."""
        self._tally = tally
        self._slots: dict[Write, int] = {}
        self._doubts: dict[int, list[Doubt]] = defaultdict(list)
        for doubt in doubts:
            self._slots.setdefault(doubt.write, len(self._slots))
            self._doubts[doubt.read.place].append(doubt)
        self._own: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._before: dict[Write, int] = {}
        """Each write with the suspects in its past, itself included; none where there are none."""
        self._called: dict[int, tuple[int, int]] = {}
        """For operations under way: what their session had written and seen when they were called."""

    def go_through(self, start: int, end_us: int) -> None:
        """Follow who knows what, from the first suspect's call on, and judge the results in doubt."""
        operations = self._evidence.operations
        start_us = operations[start].call_us
        returns = self._evidence.by_return
        at = bisect_left(returns, start_us, key=lambda place: operations[place].return_us or 0)
        place, count = start, len(operations)
        while at < len(returns):
            returned = returns[at]
            return_us = operations[returned].return_us or 0
            if place < count and (operations[place].call_us, place) <= (return_us, returned):
                self._call(place)
                place += 1
            elif return_us > end_us:
                break
            else:
                self._return(returned)
                at += 1

    def _call(self, place: int) -> None:
        operation, asked = self._operations[place], self._asked[place]
        own, seen = self._own.get(operation.session, 0), self._seen.get(operation.session, 0)
        if own or seen:
            self._called[place] = (own, seen)
        for write in asked:
            before = 0
            if write.is_of_one_session and (own or seen):
                before = own if is_asked_for(Guarantee.MONOTONIC_WRITES, operation.guarantees) else 0
                before |= seen if is_asked_for(Guarantee.WRITES_FOLLOW_READS, operation.guarantees) else 0
            slot = self._slots.get(write)
            if slot is not None:
                before |= 1 << slot
            if before:
                self._before[write] = before
        # One request is one step: what its answer shows was there when it wrote.
        if asked and self._before:
            self._learn(place)
        due = self._due.get(place, ())
        for _ in due:
            # One of them may have been decided on another.
            for other in due:
                self._learn(other)

    def _return(self, place: int) -> None:
        learnt = self._learn(place) if self._before else 0
        own, seen = self._called.pop(place, NOTHING)
        for doubt in self._doubts.get(place, ()):
            demanded = learnt
            if own and doubt.read.is_bound_by(Guarantee.READ_YOUR_WRITES):
                demanded |= own
            if seen and doubt.read.is_bound_by(Guarantee.MONOTONIC_READS):
                demanded |= seen
            if demanded >> self._slots[doubt.write] & 1:
                self._tally.break_(place, partial(witness, self._evidence, doubt))
        session = self._operations[place].session
        if learnt:
            self._seen[session] = self._seen.get(session, 0) | learnt
        for write in self._told[place]:
            if write in self._before:
                self._own[session] = self._own.get(session, 0) | self._before[write]

    def _learn(self, place: int) -> int:
        """Return the suspects in the past of what a result shows."""
        learnt = 0
        before = self._before
        for read in self._results[place]:
            news = read.news
            if news:
                writes = read.account.writes
                for bit in bits_of(news):
                    past = before.get(writes[bit])
                    if past:
                        learnt |= past
        if learnt:
            for write in self._asked[place]:
                if not write.may_be_twice:
                    before[write] = before.get(write, 0) | learnt
        return learnt


def _step_witness(first: Write, later: Write, read: Read) -> Witness:
    story = (
        f"{told(read)}: {lacks(first)}, though it shows {named(later.operation)}, whose own answer "
        "shows that it "
        "was there when that was decided."
    )
    return Witness(story, numbered(first, later, read))


def witness(evidence: Evidence, doubt: Doubt) -> Witness:
    """Tell the shortest chain from the write to the result that lacks it."""
    chain = _shortest_chain(evidence, doubt)
    steps = [f"{told(doubt.read)}: {lacks(doubt.write)}."]
    if len(chain) == 1:
        steps.append("It was there when this result's own effect was decided.")
    for before, after in pairwise(chain):
        first, second = evidence.operations[before], evidence.operations[after]
        how = "then the same session asked for" if first.session == second.session else "which was shown to"
        steps.append(f"Operation {first.number}, {how} {named(second)}.")
    named_numbers = tuple(dict.fromkeys(evidence.operations[place].number for place in chain))
    steps.append(f"So {numbers(named_numbers[:1])} comes before the result, in the order of causes.")
    return Witness(" ".join(steps), named_numbers)


def _shortest_chain(evidence: Evidence, doubt: Doubt) -> list[int]:
    start, end = doubt.write.asked_at, doubt.read.place
    places: dict[str, list[int]] = defaultdict(list)
    for place, operation in enumerate(evidence.operations):
        places[operation.session].append(place)
    came_from: dict[int, int] = {}
    queue = deque([start])
    while queue:
        place = queue.popleft()
        session = places[evidence.operations[place].session]
        for follower in (*_shown_to(evidence, place), *_asked_after(evidence, place, session, doubt.read)):
            if follower not in came_from and follower != start:
                came_from[follower] = place
                queue.append(follower)
        if end in came_from:
            break
    chain = [end]
    while chain[-1] != start:
        chain.append(came_from[chain[-1]])
    return chain[::-1]


def _shown_to(evidence: Evidence, place: int) -> Iterator[int]:
    for write in evidence.asked[place]:
        for index, bit in write.bits:
            for read in evidence.by_index[index].reads:
                if read.must >> bit & 1:
                    yield read.place


def _asked_after(evidence: Evidence, place: int, session: list[int], end: Read) -> Iterator[int]:
    """Go through the later operations of a session that had to have this one in their past."""
    wrote, read = bool(evidence.told[place]), bool(evidence.results[place])
    for after in session:
        if not is_earlier(evidence, place, after):
            continue
        guarantees = evidence.operations[after].guarantees
        if evidence.asked[after] and (
            (wrote and Guarantee.MONOTONIC_WRITES in guarantees)
            or (read and Guarantee.WRITES_FOLLOW_READS in guarantees)
        ):
            yield after
        if after == end.place and (
            (wrote and end.is_bound_by(Guarantee.READ_YOUR_WRITES))
            or (read and end.is_bound_by(Guarantee.MONOTONIC_READS))
        ):
            yield after
