"""The four session guarantees, in terms of the sets of writes that results reveal.

Decides read your writes, monotonic reads, monotonic writes, writes follow reads, and whether a transfer is
ever seen in half. Must not compare balances: they fall and rise as they like.
Proof: tests/checkers/test_anomalies.py, tests/checkers/test_twin.py.

Source: Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session Guarantees for Weakly Consistent
Replicated Data" (PDIS 1994), section 3.
"""

from collections.abc import Callable
from functools import partial

from bankbook.checkers.evidence import Account, Evidence, Read, bits_of, is_asked_for, lasting
from bankbook.checkers.past import Past, is_earlier
from bankbook.checkers.verdict import Tally, Verdict, Witness
from bankbook.checkers.words import lacks, named, numbered, told
from bankbook.core.guarantees import Guarantee


class ReadChecks:
    """What a read has to show because of its session.

    Read your writes (Terry et al., section 3.1): a read shows every write that was acknowledged to its
    session before, and the one that it is the answer to. Monotonic reads (section 3.2): it shows every write
    that an earlier result for the same account showed. Half-visible transfers: it shows every write of which
    its session was shown another leg before; both are in one version of the database (Bailis et al.,
    "Scalable Atomic Visibility with RAMP Transactions", SIGMOD 2014, section 3.1: fractured reads).
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._own = Tally("read your writes", "no result comes after a write of its session to that account")
        self._seen = Tally("monotonic reads", "no session was shown the same write to an account before")
        self.legs = Tally("half-visible transfers", "no session looked at two sides of a transfer")

    def verdicts(self) -> list[Verdict]:
        """Return the three verdicts."""
        return [self._own.verdict(), self._seen.verdict(), self.legs.verdict()]

    def check(self, read: Read, place: int, past: Past) -> None:
        """Judge one read by what its session knew."""
        index = read.account.index
        if read.is_bound_by(Guarantee.READ_YOUR_WRITES):
            own = past.own.get(index, 0)
            for write in self._evidence.told[place]:
                bit = write.bit_on(index)
                own |= 0 if bit is None else 1 << bit
            self._demand(self._own, read, own, self._own_witness)
        if read.is_bound_by(Guarantee.MONOTONIC_READS):
            self._demand(self._seen, read, past.seen.get(index, 0), self._seen_witness)
            if past.perhaps_seen.get(index, 0) & ~read.must:
                self._seen.leave_open(f"{told(read)}: an earlier result may have shown more.")
            self._demand(self.legs, read, self._legs_of(read, past), self._leg_witness)

    def _legs_of(self, read: Read, past: Past) -> int:
        together = self._evidence.results[read.place]
        if len(together) == 1:
            return past.seen_elsewhere.get(read.account.index, 0)
        at_once = Past()
        at_once.take_in(self._evidence, read.place)
        index = read.account.index
        return past.seen_elsewhere.get(index, 0) | at_once.seen_elsewhere.get(index, 0)

    @staticmethod
    def _demand(tally: Tally, read: Read, demanded: int, witness: Callable[[Read, int], Witness]) -> None:
        if not demanded:
            return
        missing = demanded & ~read.may
        if missing:
            missing = lasting(read.account, missing, read.return_us)
        if missing:
            bit = (missing & -missing).bit_length() - 1
            tally.break_(read.place, partial(witness, read, bit))
        elif demanded & ~read.must & read.may:
            if not read.is_partial:
                tally.leave_open(f"{told(read)}: which of them is not clear.")
        else:
            tally.hold()

    @staticmethod
    def _own_witness(read: Read, bit: int) -> Witness:
        write = read.account.writes[bit]
        if write.operation is read.operation:
            story = f"{told(read)}: its own effect is missing."
        else:
            story = f"{told(read)}: {lacks(write)}, which was acknowledged to the same session before."
        return Witness(story, numbered(write, read))

    def _seen_witness(self, read: Read, bit: int) -> Witness:
        write = read.account.writes[bit]
        before = self._last_shown(read, bit)
        story = (
            f"{told(read)}: {lacks(write)}, though the same session's earlier operation "
            f"{before.operation.number} showed it."
        )
        return Witness(story, numbered(write, before, read))

    def _leg_witness(self, read: Read, bit: int) -> Witness:
        write = read.account.writes[bit]
        for index, other in write.bits:
            if index == read.account.index:
                continue
            for before in self._evidence.by_index[index].reads:
                if before.must >> other & 1 and self._is_before_or_with(before, read):
                    story = (
                        f"{told(read)}: {lacks(write)}, though the same session saw its other side: "
                        f"{told(before)}."
                    )
                    return Witness(story, numbered(write, before, read))
        raise AssertionError("the other leg was seen in some read")

    def _is_before_or_with(self, before: Read, read: Read) -> bool:
        if before.operation.session != read.operation.session:
            return False
        return before.place == read.place or is_earlier(self._evidence, before.place, read.place)

    def _last_shown(self, read: Read, bit: int) -> Read:
        found = [
            each
            for each in read.account.reads
            if each.must >> bit & 1
            and each.operation.session == read.operation.session
            and is_earlier(self._evidence, each.place, read.place)
        ]
        return found[-1]


class OrderChecks:
    """What a write brings along, for everybody who sees it.

    Monotonic writes (Terry et al., section 3.4): whoever sees a write sees those that its session had made
    before. Writes follow reads (section 3.3): whoever sees a write sees what its session had been shown
    before. Both are judged within the writes to one account, which one result reveals together; across
    accounts they are part of causal consistency.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._after_writes = Tally(
            "monotonic writes", "nobody was shown a write after which its session wrote to the same account"
        )
        self._after_reads = Tally(
            "writes follow reads", "nobody was shown a write whose session had been shown another before"
        )
        self._own: dict[int, list[int]] = {}
        self._seen: dict[int, list[int]] = {}
        self._perhaps: dict[int, list[int]] = {}

    def verdicts(self) -> list[Verdict]:
        """Return the two verdicts."""
        return [self._after_writes.verdict(), self._after_reads.verdict()]

    def note(self, place: int, past: Past) -> None:
        """Take note of what the session of a write knew when it asked for it."""
        for write in self._evidence.asked[place]:
            if not write.is_of_one_session:
                continue
            guarantees = write.operation.guarantees
            for index, bit in write.bits:
                own, seen = past.own.get(index), past.seen.get(index)
                if own and is_asked_for(Guarantee.MONOTONIC_WRITES, guarantees):
                    self._list(self._own, index)[bit] = own
                if seen and is_asked_for(Guarantee.WRITES_FOLLOW_READS, guarantees):
                    self._list(self._seen, index)[bit] = seen
                if perhaps := past.perhaps_seen.get(index):
                    self._list(self._perhaps, index)[bit] = perhaps

    def _list(self, lists: dict[int, list[int]], index: int) -> list[int]:
        found = lists.get(index)
        if found is None:
            found = lists[index] = [0] * len(self._account(index).writes)
        return found

    def _account(self, index: int) -> Account:
        return self._evidence.by_index[index]

    def check(self) -> None:
        """Judge every result, once all that was before the writes is known."""
        for lists, tally, tell in (
            (self._own, self._after_writes, _after_write),
            (self._seen, self._after_reads, self._after_read),
        ):
            for index, before in lists.items():
                follow = sum(1 << bit for bit, mask in enumerate(before) if mask)
                for read in self._account(index).reads:
                    if read.may & follow:
                        _check_order(tally, read, before, follow, tell)

        for index, perhaps in self._perhaps.items():
            follow = sum(1 << bit for bit, mask in enumerate(perhaps) if mask)
            for read in self._account(index).reads:
                if any(perhaps[bit] & ~read.must for bit in bits_of(read.may & follow)):
                    self._after_reads.leave_open(f"{told(read)}: what came before may have shown more.")

    def _after_read(self, read: Read, first_bit: int, bit: int) -> Witness:
        account = read.account
        first, later = account.writes[first_bit], account.writes[bit]
        before = next(
            each
            for each in account.reads
            if each.must >> first_bit & 1
            and each.operation.session == later.operation.session
            and is_earlier(self._evidence, each.place, later.asked_at)
        )
        story = (
            f"{told(read)}: {lacks(first)}, though it shows {named(later.operation)}, whose session had been "
            f"shown it before: {told(before)}."
        )
        return Witness(story, numbered(first, before, later, read))


def _after_write(read: Read, first_bit: int, bit: int) -> Witness:
    first, later = read.account.writes[first_bit], read.account.writes[bit]
    story = (
        f"{told(read)}: {lacks(first)}, though it shows {named(later.operation)}, which the same "
        "session asked "
        f"for after operation {first.number} was acknowledged."
    )
    return Witness(story, numbered(first, later, read))


def _check_order(
    tally: Tally, read: Read, before: list[int], follow: int, tell: Callable[[Read, int, int], Witness]
) -> None:
    missing = read.missing and lasting(read.account, read.missing, read.return_us)
    if missing:
        # What it came before was called later, so it stands higher.
        lowest = (missing & -missing).bit_length()
        for bit in bits_of(read.must & follow & (-1 << lowest)):
            broken = before[bit] & missing
            if broken:
                tally.break_(read.place, partial(tell, read, (broken & -broken).bit_length() - 1, bit))
                return
    if read.is_open and any(before[bit] & ~read.must for bit in bits_of(read.may & follow)):
        tally.leave_open(f"{told(read)}: which of them is not clear.")
    elif read.must & follow:
        tally.hold()
